//! The connection to a host: an ssh(1) master process that carries the sessions of every unitbee of this user.
//!
//! We start it ourselves, because only so does everything else stay as the user's ssh is configured: host keys,
//! jump hosts, agents, identities. It is found by the path of its control socket, in a folder that nobody else can
//! look into, and leaves when it was idle for a while. A lock beside it makes one of many that start at once.

#![expect(clippy::disallowed_methods, reason = "the ssh client of this machine is started here")]

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use openssh::Session;
use rustix::process::{Pid, Signal, kill_process_group};
use sha2::{Digest, Sha256};
use tokio::net::UnixStream;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use super::super::{ConnectFault, HostError, Options, nonce};
use super::fault;

/// How long a connection may take to come up where nobody says.
pub(super) const CONNECT: Duration = Duration::from_secs(10);

/// How long past its own deadline ssh(1) may take to give up.
const MARGIN: Duration = Duration::from_secs(2);

/// The longest folder: ssh adds 34 bytes to it while it binds, and macOS takes 103 in all.
const LONGEST_FOLDER: usize = 65;

/// A live connection.
#[derive(Debug)]
pub(super) struct Connection {
    /// Starts sessions and forwards.
    pub(super) session: Arc<Session>,
    /// The control socket of its master.
    pub(super) socket: Utf8PathBuf,
    /// Whether the host has answered through it: a master may outlive the connection that it has.
    pub(super) proven: AtomicBool,
    /// A client that asks for nothing: as long as it is there, the master does not leave, and its end tells that
    /// the master did.
    presence: UnixStream,
}

impl Connection {
    async fn over(socket: &Utf8Path, proven: bool) -> io::Result<Self> {
        let presence = UnixStream::connect(socket).await?;
        let session = Session::resume_mux(socket.as_std_path().into(), None);
        Ok(Self { session: Arc::new(session), socket: socket.to_owned(), proven: AtomicBool::new(proven), presence })
    }

    /// Tells whether its master is still there; no message is sent for it.
    pub(super) fn is_alive(&self) -> bool {
        let mut greeting = [0; 64];
        loop {
            match self.presence.try_read(&mut greeting) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(fault) => return fault.kind() == io::ErrorKind::WouldBlock,
            }
        }
    }

    /// Remembers that the host has answered.
    pub(super) fn prove(&self) {
        self.proven.store(true, Ordering::Relaxed);
    }

    /// Tells whether the host has answered.
    pub(super) fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
    }

    /// Hides the master from whoever looks for one: its host does not answer. It leaves by itself.
    pub(super) fn disown(&self) {
        fs::remove_file(&self.socket).ok();
    }
}

/// How to get a connection to one destination.
#[derive(Debug)]
pub(super) struct Master {
    host: String,
    destination: String,
    options: Options,
}

impl Master {
    pub(super) fn new(host: &str, destination: &str, options: &Options) -> Self {
        Self { host: host.into(), destination: destination.into(), options: options.clone() }
    }

    /// The user id on the far side, told by an earlier exchange through the master that is there now.
    pub(super) fn known_uid(&self) -> Option<u32> {
        let socket = control_folder().ok()?.join(self.name());
        let uid = fs::read_to_string(uid_file(&socket)).ok()?.parse().ok()?;
        socket.exists().then_some(uid)
    }

    /// Keeps the user id for whoever uses this master next; without it the next one is merely slower.
    pub(super) fn learn_uid(&self, uid: u32) {
        if self.known_uid() != Some(uid)
            && let Ok(folder) = control_folder()
        {
            fs::write(uid_file(&folder.join(self.name())), uid.to_string()).ok();
        }
    }

    /// Uses the master that is there or starts one.
    pub(super) async fn connect(&self) -> Result<Connection, HostError> {
        let folder = control_folder().map_err(|source| self.io("make the folder for control sockets", source))?;
        let socket = folder.join(self.name());
        if let Ok(connection) = Connection::over(&socket, false).await {
            return Ok(connection);
        }
        let patience = self.patience().await;
        let until = Instant::now() + patience + MARGIN;
        let _lock = self.lock(&socket.with_extension("lock"), until).await?;
        // While we waited, another process may have made it.
        if let Ok(connection) = Connection::over(&socket, false).await {
            return Ok(connection);
        }
        sweep(&folder, Duration::from_mins(1));
        for left in [&socket, &uid_file(&socket)] {
            fs::remove_file(left).ok();
        }
        self.start(&socket, patience, until).await?;
        let connection = Connection::over(&socket, true).await;
        connection.map_err(|source| self.io("use the connection", source))
    }

    /// Starts a master that nobody else finds: sshd counts the sessions of each connection.
    pub(super) async fn connect_alone(&self) -> Result<Connection, HostError> {
        let folder = control_folder().map_err(|source| self.io("make the folder for control sockets", source))?;
        // As long as that of one that is shared: there is no room for more.
        let socket = folder.join(&nonce()[..16]);
        let patience = self.patience().await;
        self.start(&socket, patience, Instant::now() + patience + MARGIN).await?;
        let connection = Connection::over(&socket, true).await;
        connection.map_err(|source| self.io("use the connection", source))
    }

    /// A short name for what makes a connection its own.
    fn name(&self) -> String {
        let config = self.options.ssh_config.as_ref().map(|path| path.canonicalize_utf8().unwrap_or(path.clone()));
        let mut digest = Sha256::new();
        digest.update(&self.destination);
        digest.update("\0");
        digest.update(config.unwrap_or_default().as_str());
        hex::encode(&digest.finalize()[..8])
    }

    async fn lock(&self, path: &Utf8Path, until: Instant) -> Result<File, HostError> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
        let file = file.map_err(|source| self.io("open the lock of the connection", source))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(fs::TryLockError::WouldBlock) if Instant::now() < until => sleep(Duration::from_millis(20)).await,
                Err(fs::TryLockError::WouldBlock) => {
                    return Err(self.unreachable("another process is still connecting".into()));
                }
                Err(fs::TryLockError::Error(source)) => return Err(self.io("lock the connection", source)),
            }
        }
    }

    /// How long a connection may take to come up: as the caller wants it, else as the user's ssh is configured.
    async fn patience(&self) -> Duration {
        if let Some(patience) = self.options.connect_timeout {
            return patience;
        }
        let mut command = Command::new("ssh");
        command.arg("-G");
        if let Some(config) = &self.options.ssh_config {
            command.args(["-F", config.as_str()]);
        }
        command.args(["--", &self.destination]).stdin(Stdio::null()).kill_on_drop(true);
        // What is wrong with ssh or its configuration is told by the connection that is tried next.
        let told = timeout(CONNECT, command.output()).await.ok().and_then(Result::ok).map(|output| output.stdout);
        told.as_deref().and_then(configured).unwrap_or(CONNECT)
    }

    async fn start(&self, socket: &Utf8Path, patience: Duration, until: Instant) -> Result<(), HostError> {
        let log = socket.with_extension("log");
        // A file, not a pipe: the master goes on in the background and keeps what it was given.
        let errors = File::create(&log).map_err(|source| self.io("open the log of ssh", source))?;
        let mut command = Command::new("ssh");
        command.args(["-M", "-N", "-f", "-S", socket.as_str()]);
        let seconds = |time: Duration| time.as_secs().max(1);
        for option in [
            "BatchMode=yes".to_owned(),
            format!("ControlPersist={}s", seconds(self.options.keep)),
            format!("ConnectTimeout={}", seconds(patience)),
            // What is forwarded for the user's own sessions would be in their way here.
            "ClearAllForwardings=yes".into(),
            "RemoteCommand=none".into(),
            // A host that vanished is noticed within 15 s.
            "ServerAliveInterval=5".into(),
            "ServerAliveCountMax=3".into(),
        ] {
            command.args(["-o", &option]);
        }
        if let Some(config) = &self.options.ssh_config {
            command.args(["-F", config.as_str()]);
        }
        command.args(["--", &self.destination]);
        // For `fault`; sessions do not get it.
        command.env("LC_ALL", "C");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors).process_group(0).kill_on_drop(true);

        let mut child = command.spawn().map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => HostError::Connect {
                host: self.host.clone(),
                fault: ConnectFault::NoSsh,
                detail: "there is no ssh in $PATH".into(),
                alternative: None,
            },
            _ => self.io("start ssh", source),
        })?;
        let group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
        let ended = timeout(until.saturating_duration_since(Instant::now()), child.wait()).await;
        match ended {
            Ok(Ok(status)) if status.success() => {
                group.release();
                fs::remove_file(&log).ok();
                Ok(())
            }
            Ok(Ok(_)) => {
                let said = fs::read(&log).unwrap_or_default();
                fs::remove_file(&log).ok();
                let (fault, detail) = fault::interpret(&said[..said.len().min(64 << 10)]);
                let alternative = self.options.alternative.clone();
                Err(HostError::Connect { host: self.host.clone(), fault, detail, alternative })
            }
            Ok(Err(source)) => Err(self.io("wait for ssh", source)),
            Err(_) => Err(self.unreachable(format!("no connection within {patience:?}"))),
        }
    }

    fn unreachable(&self, detail: String) -> HostError {
        HostError::Connect { host: self.host.clone(), fault: ConnectFault::Unreachable, detail, alternative: None }
    }

    fn io(&self, during: &str, source: io::Error) -> HostError {
        HostError::Io { host: self.host.clone(), during: during.into(), source }
    }
}

/// Finds `connecttimeout 30` in what `ssh -G` prints; without a setting it is `none`.
fn configured(settings: &[u8]) -> Option<Duration> {
    let settings = std::str::from_utf8(settings).ok()?;
    let seconds = settings.lines().find_map(|line| line.strip_prefix("connecttimeout "))?;
    seconds.parse().ok().filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

fn uid_file(socket: &Utf8Path) -> Utf8PathBuf {
    socket.with_extension("uid")
}

/// ssh(1) while it connects, with what it started to get through: dropping this ends them. ssh leaves the group when
/// it goes to the background, but what it started stays in it and is still needed.
struct Group(Option<Pid>);

impl Group {
    fn release(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            kill_process_group(leader, Signal::KILL).ok();
        }
    }
}

/// Returns the folder of control sockets, made where it is missing: a socket gives whoever can open it the host.
fn control_folder() -> io::Result<Utf8PathBuf> {
    let uid = rustix::process::geteuid().as_raw();
    let runtime = std::env::var("XDG_RUNTIME_DIR").ok().map(|folder| Utf8PathBuf::from(folder).join("unitbee"));
    let shared = Utf8PathBuf::from(format!("/tmp/unitbee-{uid}"));
    // `su` leaves the variable of somebody else behind: then the folder is not ours to make.
    match runtime.filter(|folder| folder.is_absolute() && folder.as_str().len() <= LONGEST_FOLDER) {
        Some(folder) => private(&folder, uid).or_else(|_| private(&shared, uid)),
        None => private(&shared, uid),
    }
}

/// Makes sure that a folder is there, is ours, and is closed to everybody else.
fn private(folder: &Utf8Path, uid: u32) -> io::Result<Utf8PathBuf> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(fault) if fault.kind() != io::ErrorKind::AlreadyExists => return Err(fault),
        _ => {}
    }
    let found = fs::symlink_metadata(folder)?;
    if found.is_dir() && found.uid() == uid && found.mode() & 0o777 == 0o700 {
        Ok(folder.to_owned())
    } else {
        Err(io::Error::other(format!("{folder} is not a folder that only this user can look into")))
    }
}

/// Removes what masters left that were killed: sockets that nobody listens on, logs and locks of yesterday.
///
/// A socket younger than `settled` may be one that ssh is just making.
fn sweep(folder: &Utf8Path, settled: Duration) {
    const DAY: Duration = Duration::from_hours(24);
    for entry in folder.read_dir_utf8().into_iter().flatten().flatten() {
        let Ok(found) = fs::symlink_metadata(entry.path()) else { continue };
        let age = found.modified().ok().and_then(|at| at.elapsed().ok()).unwrap_or_default();
        if found.is_dir() {
            // That of a forward, with its socket.
            if age >= settled {
                sweep(entry.path(), settled);
                fs::remove_dir(entry.path()).ok();
            }
            continue;
        }
        let dead = if found.file_type().is_socket() {
            let refused = std::os::unix::net::UnixStream::connect(entry.path()).err();
            age >= settled && refused.is_some_and(|fault| fault.kind() == io::ErrorKind::ConnectionRefused)
        } else {
            found.is_file() && age > DAY
        };
        if dead {
            fs::remove_file(entry.path()).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_a_folder_that_is_ours_alone_is_used() {
        let place = tempfile::tempdir().unwrap();
        let place = Utf8Path::from_path(place.path()).unwrap();
        let uid = rustix::process::geteuid().as_raw();
        let folder = place.join("c");
        assert_eq!(private(&folder, uid).unwrap(), folder);
        assert_eq!(private(&folder, uid).unwrap(), folder);
        assert!(private(&folder, uid + 1).is_err(), "somebody else's");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o750)).unwrap();
        assert!(private(&folder, uid).is_err(), "open to a group");
        std::os::unix::fs::symlink(place, place.join("l")).unwrap();
        assert!(private(&place.join("l"), uid).is_err(), "a link");
    }

    #[test]
    fn dead_sockets_are_swept_and_live_ones_stay() {
        let place = tempfile::tempdir().unwrap();
        let place = Utf8Path::from_path(place.path()).unwrap();
        drop(std::os::unix::net::UnixListener::bind(place.join("dead")).unwrap());
        let _live = std::os::unix::net::UnixListener::bind(place.join("live")).unwrap();
        File::create(place.join("x.lock")).unwrap();
        for (folder, listens) in [("f1", false), ("f2", true)] {
            fs::create_dir(place.join(folder)).unwrap();
            let listener = std::os::unix::net::UnixListener::bind(place.join(folder).join("s")).unwrap();
            if listens {
                std::mem::forget(listener);
            }
        }
        sweep(place, Duration::ZERO);
        let mut left: Vec<_> = place.read_dir_utf8().unwrap().map(|it| it.unwrap().file_name().to_owned()).collect();
        left.sort();
        assert_eq!(left, ["f2", "live", "x.lock"]);
    }

    #[test]
    fn the_users_own_connect_timeout_is_found() {
        assert_eq!(configured(b"user bee\nconnecttimeout 30\nport 22\n"), Some(Duration::from_secs(30)));
        for told in [&b"connecttimeout none\n"[..], b"connecttimeout 0\n", b"", b"\xff", b"xconnecttimeout 30\n"] {
            assert_eq!(configured(told), None);
        }
    }

    #[test]
    fn connections_differ_by_destination_and_configuration() {
        let name = |destination: &str, config: Option<&str>| {
            let options = Options { ssh_config: config.map(Into::into), ..Options::default() };
            Master::new("h", destination, &options).name()
        };
        assert_eq!(name("a", None), name("a", None));
        assert_ne!(name("a", None), name("b", None));
        assert_ne!(name("a", None), name("a", Some("/x")));
        assert_eq!(name("a", None).len(), 16);
    }
}
