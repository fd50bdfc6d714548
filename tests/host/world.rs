//! A world of its own for one test: a home, a runtime folder, and an sshd on loopback that serves the same home.
//!
//! Each test runs in a process of its own, started again with an environment that leads nowhere else.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use unitbee::host::{self, Host, HostError, Lease, Observation, Options, Query};

/// Tells a test that it is in its own process, and where its folder is.
const FOLDER: &str = "UNITBEE_TEST_WORLD";

/// What a test works with.
pub(crate) struct World {
    /// Holds everything that the test makes.
    pub(crate) folder: Utf8PathBuf,
    sshd: Option<Sshd>,
}

/// How the sshd of a world differs from a plain one.
#[derive(Default)]
pub(crate) struct Far<'a> {
    /// Lines for `sshd_config`.
    pub(crate) config: &'a str,
    /// The only folder of programs there is on the far side.
    pub(crate) path: Option<&'a str>,
}

/// Runs `body` in a process of its own, or says why it cannot run.
pub(crate) fn alone<F: Future<Output = ()>>(test: &str, body: impl FnOnce(World) -> F) {
    let Some(folder) = std::env::var_os(FOLDER) else { return begin(test) };
    let folder = Utf8PathBuf::from_path_buf(folder.into()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(body(World { folder, sshd: None }));
}

fn begin(test: &str) {
    if sshd_program().is_none() {
        return skip(test, "openssh-server is not installed");
    }
    let folder = tempfile::Builder::new().prefix("ub").tempdir_in("/tmp").unwrap();
    for place in ["home", "run"] {
        fs::create_dir(folder.path().join(place)).unwrap();
        fs::set_permissions(folder.path().join(place), fs::Permissions::from_mode(0o700)).unwrap();
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--include-ignored", "--nocapture"])
        .env(FOLDER, folder.path())
        .env("HOME", folder.path().join("home"))
        .env("XDG_RUNTIME_DIR", folder.path().join("run"))
        .env_remove("SSH_AUTH_SOCK")
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}", String::from_utf8_lossy(&output.stdout));
    eprint!("{said}");
}

/// Says why the rest of a test does not run.
pub(crate) fn skip(test: &str, reason: &str) {
    crate::skip::skip(test, reason);
}

fn sshd_program() -> Option<PathBuf> {
    ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"].iter().map(PathBuf::from).find(|path| path.exists())
}

impl World {
    /// The home of both sides.
    pub(crate) fn home(&self) -> Utf8PathBuf {
        self.folder.join("home")
    }

    /// This machine.
    pub(crate) fn local() -> Arc<dyn Host> {
        host::open("here", "localhost", &Options::default())
    }

    /// Both, so that the same can be asked of them.
    pub(crate) fn both(&mut self) -> [Arc<dyn Host>; 2] {
        [Self::local(), self.ssh()]
    }

    /// This machine, by way of an sshd.
    pub(crate) fn ssh(&mut self) -> Arc<dyn Host> {
        self.ssh_to(&Far::default())
    }

    /// Starts an sshd of this kind, once, and names it as a host.
    pub(crate) fn ssh_to(&mut self, far: &Far<'_>) -> Arc<dyn Host> {
        if self.sshd.is_none() {
            self.sshd = Some(Sshd::start(&self.folder, &self.home(), far));
        }
        self.another()
    }

    /// The host once more, as another process would open it.
    pub(crate) fn another(&self) -> Arc<dyn Host> {
        host::open("far", "far", &self.options())
    }

    /// How the host is reached.
    pub(crate) fn options(&self) -> Options {
        Options {
            ssh_config: Some(self.folder.join("ssh_config")),
            connect_timeout: Some(Duration::from_secs(5)),
            keep: Duration::from_secs(20),
            alternative: None,
        }
    }

    /// The running sshd.
    pub(crate) fn sshd(&self) -> &Sshd {
        self.sshd.as_ref().unwrap()
    }

    /// Writes a file, with the folders on the way.
    pub(crate) fn file(&self, path: &str, content: impl AsRef<[u8]>) -> Utf8PathBuf {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Writes a program for the far side.
    pub(crate) fn program(&self, path: &str, script: &str) -> Utf8PathBuf {
        let path = self.file(path, format!("#!/bin/sh\n{script}"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }
}

/// A real sshd with keys of its own.
pub(crate) struct Sshd {
    /// Where it listens.
    pub(crate) port: u16,
    daemon: Child,
    log: PathBuf,
}

impl Sshd {
    fn start(folder: &Utf8Path, home: &Utf8Path, far: &Far<'_>) -> Self {
        let ssh = folder.join("ssh");
        fs::create_dir(&ssh).unwrap();
        for key in ["host", "user"] {
            run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", ssh.join(key).as_str()]));
        }
        let public = |key: &str| fs::read_to_string(ssh.join(format!("{key}.pub"))).unwrap();
        fs::write(ssh.join("authorized_keys"), public("user")).unwrap();

        let address = address();
        let port = TcpListener::bind((address, 0)).unwrap().local_addr().unwrap().port();
        fs::write(ssh.join("known_hosts"), format!("[{address}]:{port} {}", public("host"))).unwrap();
        let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
        fs::write(folder.join("ssh_config"), client_config(&ssh, address, port, user.trim())).unwrap();

        if user.trim() == "root" {
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let mut config = format!(
            "ListenAddress {address}:{port}\nHostKey {ssh}/host\nAuthorizedKeysFile {ssh}/authorized_keys\n\
             StrictModes no\nUsePAM no\nPidFile none\nLogLevel VERBOSE\n"
        );
        // Of this one the last line counts.
        let startups = if far.config.contains("MaxStartups") { "" } else { "MaxStartups 100\n" };
        let path = far.path.unwrap_or("/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
        writeln!(config, "SetEnv HOME={home} PATH={path}\n{startups}{}", far.config).unwrap();
        fs::write(ssh.join("sshd_config"), config).unwrap();

        let log = ssh.join("log").into_std_path_buf();
        let daemon = Command::new(sshd_program().unwrap())
            .args(["-D", "-f", ssh.join("sshd_config").as_str(), "-E"])
            .arg(&log)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let sshd = Self { port, daemon, log };
        let until = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect((address, port)).is_err() {
            assert!(Instant::now() < until, "sshd did not come up: {}", sshd.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        sshd
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// How many connections logged in.
    pub(crate) fn logins(&self) -> usize {
        self.log().matches("Accepted publickey").count()
    }

    /// The processes that serve its connections.
    pub(crate) fn connections(&self) -> Vec<u32> {
        children(self.daemon.id())
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        for connection in self.connections() {
            signal("KILL", &connection.to_string());
        }
        self.daemon.kill().unwrap();
        self.daemon.wait().unwrap();
    }
}

/// An address of this process alone: a port there is not given to another test between the look for it and its use.
pub(crate) fn address() -> Ipv4Addr {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 1 + high, middle, low)
}

/// A port of this machine that nobody listens on, and that nobody else is given while this process lives.
pub(crate) fn nobody() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let port = taken.local_addr().unwrap().port();
    std::mem::forget((listener, taken));
    port
}

/// Writes what ssh needs to get there.
fn client_config(ssh: &Utf8Path, address: Ipv4Addr, port: u16, user: &str) -> String {
    format!(
        "Host far\n HostName {address}\n Port {port}\n User {user}\n IdentityFile {ssh}/user\n IdentitiesOnly yes\n \
         IdentityAgent none\n UserKnownHostsFile {ssh}/known_hosts\n GlobalKnownHostsFile /dev/null\n \
         StrictHostKeyChecking yes\n"
    )
}

/// Runs a program that must not fail.
pub(crate) fn run(command: &mut Command) -> Vec<u8> {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Sends a signal to a process, or with `-` before the number to a group.
pub(crate) fn signal(name: &str, process: &str) {
    // It may have ended by itself.
    Command::new("kill").args(["-s", name, "--", process]).stderr(Stdio::null()).status().unwrap();
}

/// The children of a process.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let parent = parent.to_string();
    processes(|stat, _| stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)) == Some(&parent))
}

/// The living processes that have `word` among their arguments.
pub(crate) fn running(word: &str) -> Vec<u32> {
    processes(|_, args| args.split('\0').any(|arg| arg == word))
}

fn processes(wanted: impl Fn(&str, &str) -> bool) -> Vec<u32> {
    let numbers = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers
        .filter(|pid: &u32| {
            let read = |name: &str| fs::read(Path::new("/proc").join(pid.to_string()).join(name)).unwrap_or_default();
            let (stat, args) = (read("stat"), read("cmdline"));
            let stat = String::from_utf8_lossy(&stat);
            !stat.contains(") Z ") && !stat.is_empty() && wanted(&stat, &String::from_utf8_lossy(&args))
        })
        .collect()
}

/// Takes the lock `apply` as soon as its holder has given it back.
pub(crate) async fn taken(host: &Arc<dyn Host>, owner: &str) -> (Lease, Observation) {
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        match host.lock("apply", owner, &Query::default()).await {
            Err(HostError::Busy { .. }) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            taken => return taken.unwrap(),
        }
    }
}

/// Waits until something is so, which it must become soon.
pub(crate) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(15);
    while !is_so() {
        assert!(Instant::now() < until, "not within 15 s: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A file system of a size and kind, unmounted with the value.
pub(crate) struct Mount(Utf8PathBuf);

impl Mount {
    pub(crate) fn new(path: &Utf8Path, options: &str) -> Option<Self> {
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "unitbee-test", path.as_str()]).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(path.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(&self.0).output());
    }
}

/// The most memory that this process had, in KiB.
pub(crate) fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Everything below a folder: its path with its mode, and its content or where it points.
pub(crate) fn listing(folder: &Utf8Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in folder.read_dir_utf8().unwrap() {
        let entry = entry.unwrap();
        let path = entry.path();
        let metadata = fs::symlink_metadata(path).unwrap();
        let shown = if metadata.is_symlink() {
            fs::read_link(path).unwrap().display().to_string()
        } else if metadata.is_dir() {
            found.extend(
                listing(path).into_iter().map(|(name, shown)| (format!("{}/{name}", entry.file_name()), shown)),
            );
            "folder".into()
        } else {
            String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()
        };
        found.insert(entry.file_name().to_owned(), format!("{:o} {shown}", metadata.permissions().mode() & 0o7777));
    }
    found
}
