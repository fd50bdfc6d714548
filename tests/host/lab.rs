//! The same exchange with every kind of host that the lab has: four systemds, no init, busybox behind
//! dropbear, the programs of a Mac.

use std::process::{Command as Process, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use camino::Utf8PathBuf;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use unitbee::host::{
    self, Answer, Append, Ask, Base, Batch, Command, ConnectFault, Content, End, Endpoint, Facts, Host, HostError,
    HostPath, Options, Put, Query,
};

use crate::changes::puts;
use crate::leftovers::{files, killed, killer, steps};
use crate::world::{eventually, run, skip, taken};

const LAB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/lab");

fn lab(args: &[&str]) -> Output {
    Process::new(LAB).args(args).stdin(Stdio::null()).output().unwrap()
}

/// Tells the hosts of this process apart.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A host that is there as long as this value.
pub(crate) struct LabHost {
    name: String,
    config: Utf8PathBuf,
}

impl LabHost {
    /// Starts a host, or says why there is none.
    fn up(test: &str, base: &str, options: &[&str]) -> Option<Self> {
        let doctor = lab(&["doctor"]);
        if doctor.status.code() == Some(3) {
            skip(test, String::from_utf8_lossy(&doctor.stdout).trim());
            return None;
        }
        // A host's name becomes one of an interface: it is short.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("h-{}-{number}", std::process::id() % 10_000);
        let built = lab(&["build", base]);
        if !built.status.success() {
            skip(test, String::from_utf8_lossy(&built.stderr).trim());
            return None;
        }
        let up = lab(&[&["up", &name], options].concat());
        assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
        let config = String::from_utf8(up.stdout).unwrap().trim().into();
        Some(Self { name, config })
    }

    fn open(&self) -> Arc<dyn Host> {
        let ssh_config = Some(self.config.clone());
        host::open(&self.name, &self.name, &Options { ssh_config, keep: Duration::from_secs(1), ..Options::default() })
    }

    fn root(&self, script: &str) -> String {
        let output = lab(&["exec", &self.name, "sh", "-c", script]);
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for LabHost {
    fn drop(&mut self) {
        lab(&["down", &self.name]);
    }
}

fn home(rel: &str) -> HostPath {
    HostPath::new(Base::Home, rel)
}

/// Everything that a host can do, once. Returns its facts.
async fn everything(host: &Arc<dyn Host>) -> Facts {
    let puts = vec![
        Put { path: home("a b/c"), mode: 0o640, content: Content::Bytes(b"hello\n\n".to_vec()) },
        Put { path: HostPath::new(Base::Data, "unitbee/x"), mode: 0o755, content: Content::Bytes(vec![7; 200_000]) },
    ];
    host.change(&Batch { puts, ..Batch::default() }, &|_| ()).await.unwrap();
    let asks = [
        Ask::File(home("a b/c")),
        Ask::Size(HostPath::new(Base::Data, "unitbee/x")),
        Ask::Tree(home("a b")),
        Ask::Program("sh".into()),
        Ask::File(home("none")),
    ];
    let query = Query { asks: asks.into() };
    let (lease, seen) = host.lock("apply", "ann", &query).await.unwrap();
    let [
        Answer::File(Some(file)),
        Answer::Size(Some(200_000)),
        Answer::Tree(tree),
        Answer::Program(Some(_)),
        Answer::File(None),
    ] = &seen.answers[..]
    else {
        panic!("{seen:?}")
    };
    assert_eq!((file.content.as_slice(), file.mode, tree.len()), (&b"hello\n\n"[..], 0o640, 1));
    let busy = host.lock("apply", "bob", &Query::default()).await.unwrap_err();
    assert!(matches!(&busy, HostError::Busy { owner, .. } if owner == "ann"), "{busy:?}");
    drop(lease);
    drop(taken(host, "bob").await);

    let many = vec![Ask::File(home("a b/c")); 200];
    assert_eq!(host.query(&Query { asks: many }).await.unwrap().answers.len(), 200);

    let error = host
        .change(&Batch { removes: vec![HostPath::new(Base::Root, "etc/hostname")], ..Batch::default() }, &|_| ())
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), format!("remove /etc/hostname on {}: Permission denied", host.name()));
    let puts =
        vec![Put { path: HostPath::new(Base::Root, "etc/unitbee"), mode: 0o644, content: Content::Bytes(vec![1]) }];
    let error = host.change(&Batch { puts, ..Batch::default() }, &|_| ()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("write /etc/unitbee on {}: Permission denied", host.name()));

    let word = "it's \\ $HOME\n!";
    let script = "cat; printf %s \"$A$1\"; echo err >&2; exit 7";
    let command = Command::new("sh").args(["-c", script, "sh", word]).env("A", "a\nb").stdin("in");
    let output = host.run(&command).await.unwrap();
    assert_eq!((output.end, output.stderr.as_slice()), (End::Exit(7), &b"err\n"[..]));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("ina\nb{word}"));
    let late = Command::new("sh").args(["-c", "sleep 4326 & sleep 4326"]).deadline(Duration::from_secs(1));
    assert!(matches!(host.run(&late).await, Err(HostError::Deadline { .. })));
    let mut pipe = host.pipe(&Command::new("cat")).await.unwrap();
    pipe.stdin.write_all(b"over").await.unwrap();
    drop(pipe.stdin);
    let mut said = String::new();
    pipe.stdout.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "over");

    under_a_lock(host, &seen.facts.node).await;
    let removes = vec![home("a b"), HostPath::new(Base::Data, "unitbee"), HostPath::new(Base::State, "unitbee/audit")];
    let (lease, _) = taken(host, "bob").await;
    let fence = Some(lease.fence().clone());
    host.change(&Batch { removes, fence, ..Batch::default() }, &|_| ()).await.unwrap();
    drop(lease);
    drop(taken(host, "bob").await);
    seen.facts
}

/// What only a holder of the lock does.
async fn under_a_lock(host: &Arc<dyn Host>, node: &str) {
    let put = |base, rel: String| Put { path: HostPath::new(base, rel), mode: 0o600, content: Content::Bytes(vec![1]) };
    let left = vec![
        put(Base::Data, format!("unitbee/.new.{node}@x/3")),
        put(Base::Data, format!("unitbee/store/y/.unitbee.{node}@x.0")),
        put(Base::Config, format!("systemd/user/.unitbee.{node}@x.1")),
        put(Base::Data, format!("unitbee/store/z/.unitbee.{node}.lan@x.0")),
    ];
    let asks = |left: &[Put]| left.iter().map(|put| Ask::Size(put.path.clone())).collect::<Vec<_>>();
    let asks = [vec![Ask::Locked("apply".into())], asks(&left)].concat();
    host.change(&Batch { puts: left, ..Batch::default() }, &|_| ()).await.unwrap();

    let (lease, _) = taken(host, "ann, process 7").await;
    let exchanges = host.exchanges();
    lease.check(host.as_ref()).await.unwrap();
    assert_eq!(host.exchanges(), exchanges);
    let fence = lease.fence().clone();
    let log = HostPath::new(Base::State, "unitbee/audit");
    let line = |line: &str| Append { path: log.clone(), line: line.into() };
    let appends = vec![line("one $HOME 'x' \\n"), line("two")];
    let batch = Batch { appends, fence: Some(fence.clone()), ..Batch::default() };
    assert_eq!(host.change(&batch, &|_| ()).await.unwrap().notes, Vec::<String>::new());
    let command = Command::new("echo").arg("ran").fenced(&fence);
    assert_eq!(host.run(&command).await.unwrap().stdout, b"ran\n");

    let seen = host.query(&Query { asks: [asks, vec![Ask::File(log)]].concat() }).await.unwrap();
    let [Answer::Locked(Some(holder)), sizes @ .., Answer::File(Some(log))] = &seen.answers[..] else {
        panic!("{seen:?}")
    };
    assert_eq!((holder.owner.as_str(), holder.alive), ("ann, process 7", true));
    assert_eq!(sizes, [None, None, None, Some(1)].map(Answer::Size));
    assert_eq!((log.content.as_slice(), log.mode), (&b"one $HOME 'x' \\n\ntwo\n"[..], 0o600));

    drop(lease);
    let (next, _) = taken(host, "bob").await;
    for lost in [host.change(&batch, &|_| ()).await.map(|_| ()), host.run(&command).await.map(|_| ())] {
        assert!(matches!(lost, Err(HostError::LockLost { .. })), "{lost:?}");
    }
    drop(next);
}

/// Kills a change at each of its steps.
async fn kill_changes(lab: &LabHost, host: &Arc<dyn Host>) {
    lab.root("mkdir -m 777 /tmp/killer /tmp/killer/own");
    let asks = ["tar", "mv"].map(|name| Ask::Program(name.into())).into();
    let seen = host.query(&Query { asks }).await.unwrap();
    let [Answer::Program(Some(tar)), Answer::Program(Some(mv))] = &seen.answers[..] else { panic!("{seen:?}") };
    for (name, path) in [("tar", tar), ("mv", mv)] {
        let script = killer(name, "/tmp/killer".into(), &format!("/tmp/killer/own/{name}"));
        lab.root(&format!(
            "cp -pP {path} /tmp/killer/own/{name}; rm {path}; cat >{path} <<'END'\n{script}END\nchmod 755 {path}"
        ));
    }
    let found = || lab.root("cd /home/bee && find . | grep -v /lock | sort");
    let (lease, _) = taken(host, "ann").await;
    let fenced = |batch: Batch| Batch { fence: Some(lease.fence().clone()), ..batch };
    host.change(&fenced(puts(files(1))), &|_| ()).await.unwrap();
    let before = found();
    for (program, at, is_renaming) in steps() {
        lab.root(&format!("echo '{at}' >/tmp/killer/{program}.at; chmod 666 /tmp/killer/{program}.at"));
        killed(host, 2, lease.fence()).await;
        assert_ne!(found(), before, "{program} {at}: nothing to sweep");
        host.change(&fenced(Batch::default()), &|_| ()).await.unwrap();
        if is_renaming {
            assert!(!found().contains("/.unitbee") && !found().contains("/.new"), "{program} {at}: {}", found());
            let removes = ["store/sha2", "units/web/2"].map(|rel| HostPath::new(Base::Data, format!("unitbee/{rel}")));
            host.change(&fenced(Batch { removes: removes.into(), ..puts(files(1)) }), &|_| ()).await.unwrap();
        }
        assert_eq!(found(), before, "{program} {at}");
    }
    let removes =
        [(Base::Data, "unitbee"), (Base::State, "unitbee/registry"), (Base::Config, "systemd/user/web.service")];
    let removes = removes.map(|(base, rel)| HostPath::new(base, rel)).into();
    host.change(&fenced(Batch { removes, ..Batch::default() }), &|_| ()).await.unwrap();
    drop(lease);
    drop(taken(host, "ann").await);
    lab.root(&format!("cp -pPf /tmp/killer/own/tar {tar}; cp -pPf /tmp/killer/own/mv {mv}; rm -r /tmp/killer"));
}

/// Runs `then` on a host of the lab that can do everything.
pub(crate) fn on_a_lab_host(
    test: &str,
    base: &str,
    options: &[&str],
    then: impl AsyncFnOnce(&LabHost, &Arc<dyn Host>, Facts),
) {
    let Some(lab) = LabHost::up(test, base, options) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let host = lab.open();
        let facts = everything(&host).await;
        assert_eq!((facts.user.as_str(), facts.uid), ("bee", 1000));
        if options.contains(&"mac") {
            assert_eq!((facts.os.as_str(), facts.arch.as_str(), facts.boot_id.len()), ("Darwin", "arm64", 36));
        } else {
            assert_eq!((facts.os.as_str(), facts.boot_id.len()), ("Linux", 36));
        }
        if base != "busybox" {
            // dropbear does not let a program know that nobody listens: there it ends with the connection.
            drop(host.pipe(&Command::new("sleep").arg("4326")).await.unwrap());
        }
        then(&lab, &host, facts).await;
        let sleeping = || lab.root("grep -l '432[6]' /proc/[0-9]*/cmdline 2>/dev/null || :");
        eventually("nothing sleeps there any more", || sleeping().is_empty()).await;
        let left = || lab.root("find /home/bee -name '.unitbee*' -o -name '.new*' -o -name '*lock*'");
        eventually("nothing is left behind", || left().is_empty()).await;
    });
}

/// What the user's manager was started with, `PAM` gave it.
fn with_systemd(test: &str, suite: &str) {
    on_a_lab_host(test, suite, &["--suite", suite], async |lab, host, facts| {
        assert!(facts.systemd && facts.bus && !facts.linger, "{facts:?}");
        kill_changes(lab, host).await;
        let cgroup = facts.cgroup.unwrap();
        assert!(cgroup.as_str().ends_with("/user.slice/user-1000.slice/user@1000.service"), "{cgroup}");
        let asks =
            vec![Ask::Cgroup(HostPath::new(Base::Cgroup, "init.scope")), Ask::Cgroup(HostPath::new(Base::Cgroup, "x"))];
        let seen = host.query(&Query { asks }).await.unwrap();
        let [Answer::Cgroup(Some(init)), Answer::Cgroup(None)] = &seen.answers[..] else { panic!("{seen:?}") };
        assert!(!init.processes.is_empty(), "{init:?}");

        // The manager's own environment counts, from wherever we come.
        lab.root(
            "mkdir -p /etc/systemd/system/user@.service.d
             printf '[Service]\\nEnvironment=XDG_CONFIG_HOME=/home/bee/conf XDG_DATA_HOME=relative\\n' >/etc/systemd/system/user@.service.d/x.conf
             systemctl daemon-reload && systemctl restart user@1000.service",
        );
        let seen = host.query(&Query::default()).await.unwrap().facts;
        assert_eq!((seen.config.as_str(), seen.data.as_str()), ("/home/bee/conf", "/home/bee/.local/share"));

        let bus = Endpoint::Unix("/run/user/1000/bus".into());
        let mut pipe = host.forward(&bus).await.unwrap().connect().await.unwrap();
        pipe.stdin.write_all(b"\0AUTH EXTERNAL 31303030\r\n").await.unwrap();
        let mut answer = [0; 3];
        pipe.stdout.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"OK ");
    });
}

#[test]
fn with_systemd_247() {
    with_systemd("lab::with_systemd_247", "bullseye");
}

#[test]
fn with_systemd_252() {
    with_systemd("lab::with_systemd_252", "bookworm");
}

#[test]
fn with_systemd_257() {
    with_systemd("lab::with_systemd_257", "trixie");
}

#[test]
fn with_systemd_262() {
    with_systemd("lab::with_systemd_262", "forky");
}

/// Since 9.8, an sshd serves nobody from an address for a while whose logins it refused.
#[test]
fn an_sshd_that_bars_an_address() {
    const TEST: &str = "lab::an_sshd_that_bars_an_address";
    let Some(lab) = LabHost::up(TEST, "forky", &["--suite", "forky"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    run(Process::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key));
    let config = std::fs::read_to_string(&lab.config).unwrap();
    let is_other = |line: &&str| !line.trim_start().starts_with("IdentityFile");
    let lines: Vec<&str> = config.lines().filter(is_other).collect();
    let wrong = Utf8PathBuf::from_path_buf(folder.path().join("config")).unwrap();
    std::fs::write(&wrong, format!("{}\n IdentityFile {}\n", lines.join("\n"), key.display())).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let refused = async |penalty: &str| {
            lab.root(&format!(
                "echo 'PerSourcePenalties authfail:{penalty} min:1' >/etc/ssh/sshd_config.d/penalties.conf
                pid=$(cat /run/sshd.pid); rm /run/sshd.pid; kill -HUP $pid; until [ -s /run/sshd.pid ]; do sleep 0.1; done"
            ));
            let options = Options { ssh_config: Some(wrong.clone()), ..Options::default() };
            let error = host::open("h", &lab.name, &options).query(&Query::default()).await.unwrap_err();
            assert!(matches!(error, HostError::Connect { fault: ConnectFault::Refused, .. }), "{error:?}");
        };
        refused("600").await;
        let error = lab.open().query(&Query::default()).await.unwrap_err();
        assert!(matches!(error, HostError::Connect { fault: ConnectFault::Dropped, .. }), "{error:?}");
        assert!(error.to_string().ends_with("before the login: Not allowed at this time"), "{error}");
        assert!(error.hint().unwrap().contains("PerSourcePenalties"));
        refused("5").await;
        lab.open().query(&Query::default()).await.unwrap();
    });
}

#[test]
fn without_an_init() {
    on_a_lab_host("lab::without_an_init", "trixie", &["--kind", "bare"], async |_, _, facts| {
        assert!(!facts.systemd && !facts.bus && facts.cgroup.is_none(), "{facts:?}");
    });
}

#[test]
fn with_busybox_behind_dropbear() {
    on_a_lab_host("lab::with_busybox_behind_dropbear", "busybox", &["--kind", "busybox"], async |_, _, facts| {
        assert!(!facts.systemd && !facts.bus && facts.cgroup.is_none(), "{facts:?}");
    });
}

#[test]
fn with_the_programs_of_a_mac() {
    on_a_lab_host("lab::with_the_programs_of_a_mac", "trixie", &["--kind", "mac"], async |lab, host, facts| {
        kill_changes(lab, host).await;
        assert!(!facts.systemd && !facts.bus && facts.cgroup.is_none(), "{facts:?}");
    });
}
