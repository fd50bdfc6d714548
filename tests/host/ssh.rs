//! What is special about a connection: that it is shared, may be lost, and is kept. Each trap of ssh has its test.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command as Process, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use unitbee::host::{
    self, Answer, Ask, Base, Batch, Command, ConnectFault, Content, End, Endpoint, Host, HostError, HostPath, Options,
    Put, Query,
};

use crate::world::{Far, World, address, alone, children, eventually, nobody, running, signal, skip, taken};

fn sh(script: &str) -> Command {
    Command::new("sh").args(["-c", script])
}

async fn says(host: &Arc<dyn Host>, script: &str) -> String {
    let output = host.run(&sh(script)).await.unwrap();
    assert!(output.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Our own masters: the ssh that serves this control folder.
fn masters(world: &World) -> usize {
    let sockets = world.folder.join("run/unitbee").read_dir_utf8().unwrap();
    sockets.filter(|entry| running(entry.as_ref().unwrap().path().as_str()).len() == 1).count()
}

/// A command whose asker goes away is ended there, also where there is neither setsid(1) nor timeout(1).
#[test]
fn trap_1_a_dropped_command_dies_on_the_host() {
    alone("ssh::trap_1_a_dropped_command_dies_on_the_host", async |mut world| {
        let folder = world.folder.join("bin");
        fs::create_dir(&folder).unwrap();
        for name in ["sh", "sleep", "head", "dd", "cat"] {
            let program = ["/usr/bin", "/bin"].map(|place| format!("{place}/{name}"));
            let program = program.iter().find(|path| fs::exists(path).unwrap()).unwrap();
            std::os::unix::fs::symlink(program, folder.join(name)).unwrap();
        }
        // The script also looks where programs usually are: there it must not find it either.
        let hide = world.program(
            "hide",
            "exec /bin/sh -c \"$(printf %s \"$SSH_ORIGINAL_COMMAND\" | PATH=/usr/bin:/bin sed s/setsid/absent/)\"",
        );
        let host = world.ssh_to(&Far { config: &format!("ForceCommand {hide}"), path: Some(folder.as_str()) });
        let name = format!("4323.{}", std::process::id());
        let command = sh(&format!("(sleep {name} & sleep {name}) & sleep {name} & sleep {name}"));
        let ran = tokio::time::timeout(Duration::from_millis(800), host.run(&command)).await;
        assert!(ran.is_err(), "{ran:?}");
        eventually("the sleeps are gone", || running(&name).is_empty()).await;
        let pipe = host.pipe(&command).await.unwrap();
        eventually("the sleeps are there", || running(&name).len() >= 4).await;
        drop(pipe);
        eventually("the sleeps are gone", || running(&name).is_empty()).await;
    });
}

/// When this process is killed, what it started there ends too, and its lock is free.
#[test]
fn what_a_killed_process_left_dies_on_the_host() {
    const TEST: &str = "ssh::what_a_killed_process_left_dies_on_the_host";
    alone(TEST, async |mut world| {
        const NAME: &str = "4324.05";
        if std::env::var_os("UNITBEE_TEST_VICTIM").is_some() {
            let host = world.another();
            let _lease = host.lock("apply", "victim", &Query::default()).await.unwrap();
            let _pipe = host.pipe(&Command::new("sleep").arg(NAME)).await.unwrap();
            host.run(&Command::new("sleep").arg(NAME).deadline(Duration::from_secs(600))).await.unwrap();
        }
        let host = world.ssh();
        let mut victim = Process::new(std::env::current_exe().unwrap());
        victim.args([TEST, "--exact"]).env("UNITBEE_TEST_VICTIM", "1").stdout(Stdio::null()).stderr(Stdio::null());
        let mut victim = victim.spawn().unwrap();
        eventually("the sleeps are there", || running(NAME).len() >= 2).await;
        let error = host.lock("apply", "me", &Query::default()).await.unwrap_err();
        assert!(matches!(&error, HostError::Busy { owner, .. } if owner == "victim"), "{error:?}");
        victim.kill().unwrap();
        victim.wait().unwrap();
        eventually("the sleeps are gone", || running(NAME).is_empty()).await;
        drop(taken(&host, "me").await);
    });
}

/// sshd takes ten sessions of a connection: whoever comes later waits, also for those of other processes.
#[test]
fn trap_2_more_commands_than_sessions_wait_their_turn() {
    alone("ssh::trap_2_more_commands_than_sessions_wait_their_turn", async |mut world| {
        let hosts = [world.ssh(), world.another(), world.another()];
        says(&hosts[0], "true").await;
        let tasks: Vec<_> = (0..36)
            .map(|number| {
                let host = Arc::clone(&hosts[number % 3]);
                tokio::spawn(async move { says(&host, &format!("sleep 0.2; echo {number}")).await })
            })
            .collect();
        for (number, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await.unwrap(), format!("{number}\n"));
        }
        assert_eq!(world.sshd().logins(), 1);
    });
}

/// 127 and 255 are what the program said, and a program that is not there is told apart.
#[test]
fn an_sshd_that_allows_one_session_gets_more_connections() {
    alone("ssh::an_sshd_that_allows_one_session_gets_more_connections", async |mut world| {
        let host = world.ssh_to(&Far { config: "MaxSessions 1", path: None });
        // What an apply does: it is the one at work while it asks and tells.
        let (_lease, _) = host.lock("apply", "me", &Query::default()).await.unwrap();
        assert_eq!(masters(&world), 1);
        assert_eq!(says(&host, "echo one").await, "one\n");
        let cat = host.pipe(&sh("cat")).await.unwrap();
        assert_eq!(says(&host, "echo two").await, "two\n");
        host.query(&Query::default()).await.unwrap();
        drop(cat);
    });
}

#[test]
fn trap_3_exit_127_is_the_programs_own() {
    alone("ssh::trap_3_exit_127_is_the_programs_own", async |mut world| {
        let host = world.ssh();
        for code in [127, 255] {
            assert_eq!(host.run(&sh(&format!("exit {code}"))).await.unwrap().end, End::Exit(code));
        }
        assert_eq!(host.run(&Command::new("no-such-program")).await.unwrap().end, End::NotFound);
    });
}

/// Death by a signal is not the loss of the connection, and the loss of the connection is.
#[test]
fn trap_4_a_signal_is_told_from_a_lost_connection() {
    alone("ssh::trap_4_a_signal_is_told_from_a_lost_connection", async |mut world| {
        let host = world.ssh();
        assert_eq!(host.run(&sh("kill -KILL $$")).await.unwrap().end, End::Signal(9));

        let begun = Instant::now();
        let cut = async {
            eventually("it runs", || !running("30.4").is_empty()).await;
            for connection in world.sshd().connections() {
                signal("KILL", &connection.to_string());
                for session in children(connection) {
                    signal("KILL", &session.to_string());
                }
            }
        };
        let sleep = Command::new("sleep").arg("30.4");
        let (ran, ()) = tokio::join!(host.run(&sleep), cut);
        let error = ran.unwrap_err();
        assert!(matches!(error, HostError::Lost { .. }), "{error:?}");
        assert!(begun.elapsed() < Duration::from_secs(10));

        // The shell there is killed, the connection is not.
        let kill = sh("kill -KILL $PPID");
        let error = host.run(&kill).await.unwrap_err();
        assert!(matches!(error, HostError::Killed { .. }), "{error:?}");
        assert_eq!(says(&host, "echo back").await, "back\n");
    });
}

/// A forward to a port that nobody listens on comes up, and ends with the first byte.
#[test]
fn trap_5_a_forward_to_a_closed_port_ends_at_once() {
    alone("ssh::trap_5_a_forward_to_a_closed_port_ends_at_once", async |mut world| {
        let host = world.ssh();
        let forward = host.forward(&Endpoint::Tcp { host: "127.0.0.1".into(), port: nobody() }).await.unwrap();
        let mut pipe = forward.connect().await.unwrap();
        pipe.stdin.write_all(b"GET / HTTP/1.0\r\n\r\n").await.ok();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(5), pipe.stdout.read_to_end(&mut answer)).await;
        assert!(read.is_ok() && answer.is_empty(), "{answer:?}");
    });
}

/// The socket of a forward goes with it, also when there is no runtime any more, and the master forgets it.
#[test]
fn trap_6_a_dropped_forward_leaves_no_socket() {
    alone("ssh::trap_6_a_dropped_forward_leaves_no_socket", async |mut world| {
        let host = world.ssh();
        let control = world.folder.join("run/unitbee");
        let to = Endpoint::Unix(world.folder.join("x"));
        let sockets = |forward: &host::Forward| match &forward.here {
            Endpoint::Unix(path) => path.clone(),
            Endpoint::Tcp { .. } => panic!("{forward:?}"),
        };
        let listeners = |master: u32| {
            let links = fs::read_dir(format!("/proc/{master}/fd"))
                .unwrap()
                .filter_map(|it| fs::read_link(it.ok()?.path()).ok());
            links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
        };
        says(&host, "true").await;
        let entries =
            || control.read_dir_utf8().unwrap().map(|entry| entry.unwrap().path().to_owned()).collect::<Vec<_>>();
        let master = entries().iter().find_map(|path| running(path.as_str()).first().copied()).unwrap();
        // The session that has just ended may still have its sockets.
        let mut settled = listeners(master);
        eventually("the master is at rest", || {
            let last = std::mem::replace(&mut settled, listeners(master));
            last == settled
        })
        .await;
        let before = (entries(), settled);

        let forward = host.forward(&to).await.unwrap();
        let path = sockets(&forward);
        assert!(UnixStream::connect(&path).await.is_ok());
        assert!(listeners(master) > before.1);
        drop(forward);
        assert!(UnixStream::connect(&path).await.is_err());

        let forward = host.forward(&to).await.unwrap();
        tokio::task::spawn_blocking(|| std::thread::spawn(move || drop(forward)).join().unwrap()).await.unwrap();
        assert_eq!(entries(), before.0);
        eventually("the master has forgotten them", || listeners(master) <= before.1).await;
    });
}

/// One connection serves all processes, ends when it was idle for as long as it is kept, and leaves nothing.
#[test]
fn trap_7_a_kept_connection_is_shared_and_leaves_in_time() {
    alone("ssh::trap_7_a_kept_connection_is_shared_and_leaves_in_time", async |mut world| {
        let first = world.ssh();
        says(&first, "true").await;
        assert_eq!((world.sshd().logins(), masters(&world)), (1, 1));
        drop(first);
        let options = Options { keep: Duration::from_secs(1), ..world.options() };
        let second = host::open("far", "far", &options);
        says(&second, "true").await;
        assert_eq!((world.sshd().logins(), masters(&world)), (1, 1));

        // As long as a host is open, its connection stays, however short it is kept.
        let control = world.folder.join("run/unitbee");
        signal("TERM", &running(&control_socket(&world))[0].to_string());
        eventually("the master is gone", || masters(&world) == 0).await;
        says(&second, "true").await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!((world.sshd().logins(), masters(&world)), (2, 1));
        drop(second);
        eventually("the idle master has left", || {
            control
                .read_dir_utf8()
                .unwrap()
                .all(|entry| entry.unwrap().path().extension().is_some_and(|kind| matches!(kind, "lock" | "hint")))
        })
        .await;
    });
}

fn control_socket(world: &World) -> String {
    let entries = world.folder.join("run/unitbee").read_dir_utf8().unwrap();
    let socket = entries.map(|entry| entry.unwrap().path().to_owned()).find(|path| path.extension().is_none());
    socket.unwrap().into_string()
}

/// Connecting to what never answers ends in time, and so does the ssh that tried.
#[test]
fn trap_8_connecting_has_an_end() {
    alone("ssh::trap_8_connecting_has_an_end", async |mut world| {
        world.ssh();
        let silent = std::net::TcpListener::bind((address(), 0)).unwrap();
        let port = silent.local_addr().unwrap().port().to_string();
        let config = fs::read_to_string(world.folder.join("ssh_config")).unwrap();
        let name = format!("300.{}", std::process::id());
        let proxy = world.program("proxy", &format!("sleep {name}"));
        for (lines, what) in [
            (config.replace(&world.sshd().port.to_string(), &port), "a server that says nothing"),
            (format!("Host far\n ProxyCommand {proxy}\n"), "a proxy that says nothing"),
        ] {
            world.file("silent_config", lines);
            let options = Options {
                ssh_config: Some(world.folder.join("silent_config")),
                connect_timeout: Some(Duration::from_secs(1)),
                ..world.options()
            };
            let begun = Instant::now();
            let error = host::open("far", "far", &options).run(&sh("true")).await.unwrap_err();
            assert!(matches!(error, HostError::Connect { fault: ConnectFault::Unreachable, .. }), "{what}: {error:?}");
            assert!(begun.elapsed() < Duration::from_secs(5), "{what}: {:?}", begun.elapsed());
            eventually("no ssh is left", || running(&name).is_empty()).await;
        }
        // Giving up is as good.
        let options = Options { ssh_config: Some(world.folder.join("silent_config")), ..world.options() };
        let host = host::open("far", "far", &options);
        assert!(tokio::time::timeout(Duration::from_millis(500), host.run(&sh("true"))).await.is_err());
        eventually("no ssh is left", || running(&name).is_empty()).await;
    });
}

#[test]
fn trap_9_what_cannot_be_sent_is_refused_by_name() {
    alone("ssh::trap_9_what_cannot_be_sent_is_refused_by_name", async |mut world| {
        let host = world.ssh();
        for arg in ["a\0b".to_owned(), "x".repeat(200_000)] {
            let error = host.run(&Command::new("echo").arg(arg)).await.unwrap_err();
            assert!(matches!(&error, HostError::Unsendable { what, .. } if what.starts_with("echo ")), "{error:?}");
        }
        // Nothing of it needed the host.
        assert_eq!(world.sshd().logins(), 0);
    });
}

/// Each of many processes that start at once finds or makes the one connection.
#[test]
fn twenty_processes_make_one_connection() {
    const TEST: &str = "ssh::twenty_processes_make_one_connection";
    alone(TEST, async |mut world| {
        if std::env::var_os("UNITBEE_TEST_ONE_OF_MANY").is_some() {
            assert_eq!(says(&world.another(), "echo hello").await, "hello\n");
            return;
        }
        world.ssh();
        let many: Vec<_> = (0..20)
            .map(|_| {
                let mut one = Process::new(std::env::current_exe().unwrap());
                one.args([TEST, "--exact"]).env("UNITBEE_TEST_ONE_OF_MANY", "1");
                one.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        for one in many {
            let output = one.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        assert_eq!(world.sshd().logins(), 1);
    });
}

/// Every way not to get in is one clear line.
#[test]
fn why_there_is_no_connection_is_told() {
    alone("ssh::why_there_is_no_connection_is_told", async |mut world| {
        world.ssh();
        let config = fs::read_to_string(world.folder.join("ssh_config")).unwrap();
        let ssh = world.folder.join("ssh");
        let known = fs::read_to_string(ssh.join("known_hosts")).unwrap();
        let stranger = fs::read_to_string(ssh.join("user.pub")).unwrap();
        let changed = format!("{} {stranger}", known.split(' ').next().unwrap());
        world.file("ssh/empty", "");
        world.file("ssh/changed", changed);
        fs::copy(ssh.join("host"), ssh.join("wrong")).unwrap();
        let port = format!("Port {}", world.sshd().port);
        let here = address().to_string();
        // The user's own configuration may want to hear nothing of it.
        let quiet = config.replace("HostName", "LogLevel QUIET\n HostName");
        for (config, (from, to, fault, words)) in [config, quiet].iter().flat_map(|config| {
            [
                ("known_hosts\n", "empty\n", ConnectFault::HostKey, "host key is known"),
                ("known_hosts\n", "changed\n", ConnectFault::HostKey, "has changed"),
                ("/user\n", "/wrong\n", ConnectFault::Refused, "Permission denied"),
                (here.as_str(), "no-such-host.invalid", ConnectFault::UnknownName, "no-such-host.invalid"),
                (port.as_str(), "Port 1", ConnectFault::Unreachable, "Connection refused"),
                ("HostName", "Bogus yes\n HostName", ConnectFault::Other, "Bad configuration option: bogus"),
            ]
            .map(|case| (config, case))
        }) {
            let options =
                Options { ssh_config: Some(world.file("other_config", config.replace(from, to))), ..world.options() };
            let error = host::open("gpu", "far", &options).query(&Query::default()).await.unwrap_err();
            let text = error.to_string();
            assert!(matches!(error, HostError::Connect { fault: found, .. } if found == fault), "{error:?}");
            assert!(text.starts_with("connect to gpu: ") && text.contains(words) && !text.contains('\n'), "{text}");
        }
        assert_eq!(fs::read_to_string(ssh.join("empty")).unwrap(), "", "no key was accepted");
    });
}

/// A master may outlive the connection that it has: the next command finds out and makes another.
#[test]
fn a_dead_connection_is_replaced() {
    alone("ssh::a_dead_connection_is_replaced", async |mut world| {
        let host = world.ssh();
        says(&host, "true").await;
        let [connection] = world.sshd().connections()[..] else { panic!("one connection") };
        drop(host);
        // It is there and does not answer, as a host behind a cut cable.
        signal("STOP", &connection.to_string());
        let options = Options { connect_timeout: Some(Duration::from_secs(2)), ..world.options() };
        let begun = Instant::now();
        assert_eq!(says(&host::open("far", "far", &options), "echo back").await, "back\n");
        assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
        assert_eq!(world.sshd().logins(), 2);
        signal("CONT", &connection.to_string());
    });
}

/// What a login shell prints, and which one it is, makes no difference.
#[test]
fn login_shells_may_talk_and_differ() {
    alone("ssh::login_shells_may_talk_and_differ", async |mut world| {
        world.file(
            "home/.bashrc",
            "echo 'Welcome to the bank.'; echo \"@0 end 0\"; echo careful >&2; printf 'no newline'\n",
        );
        world.file("x", "content");
        let shells = ["bash", "rbash", "dash", "fish", "zsh", "mksh", "tcsh", "bsd-csh", "elvish", "yash", "nu"];
        let choose = world.program("choose", "exec \"$(cat \"${0%/*}/shell\")\" -c \"$SSH_ORIGINAL_COMMAND\"");
        let host = world.ssh_to(&Far { config: &format!("ForceCommand {choose}"), ..Far::default() });
        let path = HostPath::new(Base::Root, world.folder.join("x").strip_prefix("/").unwrap());
        let ask = Query { asks: vec![Ask::File(path)] };
        for shell in shells {
            if Process::new(shell).arg("-c").arg(":").output().is_err() {
                if shell == "nu" {
                    // It is in no release of Debian: no reason to fail where everything must run.
                    eprintln!("SKIP nu, which is not installed");
                    continue;
                }
                skip("ssh::login_shells_may_talk_and_differ", &format!("{shell} is not installed"));
                continue;
            }
            let found = Process::new("sh").args(["-c", "command -v \"$1\"", "sh", shell]).output().unwrap();
            world.file("shell", found.stdout);
            let seen = host.query(&ask).await.unwrap();
            let [Answer::File(Some(found))] = &seen.answers[..] else { panic!("{shell}: {seen:?}") };
            assert_eq!(found.content, b"content", "{shell}");
            let word = "it's \\ a\\'b \"$HOME\" `id` !! *\n ü";
            let output = host.run(&Command::new("printf").args(["%s", word])).await.unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word, "{shell}");
            assert_eq!(output.stderr, b"", "{shell}");
            let mut pipe = host.pipe(&Command::new("echo").arg(word)).await.unwrap();
            let mut said = String::new();
            pipe.stdout.read_to_string(&mut said).await.unwrap();
            assert_eq!(said, format!("{word}\n"), "{shell}");
            assert_eq!(host.run(&sh("exit 3")).await.unwrap().end, End::Exit(3), "{shell}");
            let (lease, _) = taken(&host, shell).await;
            let put =
                Put { path: HostPath::new(Base::Home, "put"), mode: 0o600, content: Content::Bytes(shell.into()) };
            let batch = Batch { puts: vec![put], fence: Some(lease.fence().clone()), ..Batch::default() };
            host.change(&batch, &|_| ()).await.unwrap();
            assert_eq!(fs::read_to_string(world.home().join("put")).unwrap(), shell);
        }
    });
}

/// What the user may not write stays as it is; `/etc/hosts` and the like are safe from a wrong base.
#[test]
fn somebody_elses_folder_is_left_alone() {
    const TEST: &str = "ssh::somebody_elses_folder_is_left_alone";
    alone(TEST, async |mut world| {
        const NOBODY: &str = "65534";
        if !rustix::process::geteuid().is_root() {
            return skip(TEST, "only root can log in as somebody else");
        }
        world.file("theirs/file", "theirs");
        fs::set_permissions(&world.folder, fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(world.folder.join("theirs/file"), fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::chown(world.home(), Some(65534), Some(65534)).unwrap();
        let config = format!(
            "ForceCommand exec setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups sh -c \"$SSH_ORIGINAL_COMMAND\""
        );
        let host = world.ssh_to(&Far { config: &config, ..Far::default() });
        let theirs = |name: &str| HostPath::new(Base::Root, world.folder.join(name).strip_prefix("/").unwrap());
        let put = |path| Put { path, mode: 0o644, content: Content::Bytes(b"mine".to_vec()) };
        let puts = |path| Batch { puts: vec![put(path)], ..Batch::default() };
        let at = |name: &str| format!("{}/{name}", world.folder);
        for (batch, step) in [
            (puts(theirs("theirs/file")), format!("write {}", at("theirs/file"))),
            (puts(theirs("theirs/new/file")), format!("make folder {}", at("theirs/new"))),
            (Batch { removes: vec![theirs("theirs")], ..Batch::default() }, format!("remove {}", at("theirs"))),
        ] {
            let error = host.change(&batch, &|_| ()).await.unwrap_err();
            assert_eq!(error.to_string(), format!("{step} on far: Permission denied"));
        }
        let error = host.query(&Query { asks: vec![Ask::File(theirs("theirs/file"))] }).await.unwrap_err();
        assert_eq!(error.to_string(), format!("read {} on far: Permission denied", at("theirs/file")));
        assert_eq!(fs::read_to_string(world.folder.join("theirs/file")).unwrap(), "theirs");
        host.change(&puts(HostPath::new(Base::Home, "mine")), &|_| ()).await.unwrap();
        let left: Vec<_> = world.home().read_dir_utf8().unwrap().map(|it| it.unwrap().file_name().to_owned()).collect();
        assert_eq!(left, ["mine"]);
    });
}

/// The same scripts with nothing but busybox: Alpine's userland.
#[test]
fn busybox_is_enough() {
    const TEST: &str = "ssh::busybox_is_enough";
    alone(TEST, async |mut world| {
        let applets = world.folder.join("applets");
        fs::create_dir(&applets).unwrap();
        let Ok(installed) = Process::new("busybox").args(["--install", "-s", applets.as_str()]).output() else {
            return skip(TEST, "busybox is not installed");
        };
        assert!(installed.status.success() && applets.join("sha256sum").exists());
        let busybox = world.program("busybox", "exec busybox sh -c \"$(printf %s \"$SSH_ORIGINAL_COMMAND\")\"");
        let config = format!("ForceCommand {busybox}");
        let host = world.ssh_to(&Far { config: &config, path: Some(applets.as_str()) });
        assert!(says(&host, "readlink -f /proc/$$/exe").await.contains("busybox"));

        let place = |name: &str| HostPath::new(Base::Home, name);
        let content = Content::Bytes(b"hello".to_vec());
        let puts = vec![Put { path: place("a/b"), mode: 0o640, content: content.clone() }];
        host.change(&Batch { puts, ..Batch::default() }, &|_| ()).await.unwrap();
        let asks =
            vec![Ask::File(place("a/b")), Ask::Size(place("a/b")), Ask::Tree(place("a")), Ask::Program("tar".into())];
        let (far, here) =
            (host.query(&Query { asks: asks.clone() }).await.unwrap(), World::local().query(&Query { asks }).await);
        assert_eq!(far.answers[..3], here.unwrap().answers[..3]);
        assert_eq!(far.answers[3], Answer::Program(Some(applets.join("tar"))));
        let batch = Batch {
            puts: vec![Put { path: place("a"), mode: 0o640, content }],
            removes: vec![place("a")],
            ..Batch::default()
        };
        assert!(host.change(&batch, &|_| ()).await.is_err(), "a folder is there");
        let batch = Batch { puts: Vec::new(), ..batch };
        host.change(&batch, &|_| ()).await.unwrap();
        assert!(!world.home().join("a").exists());

        let (lease, _) = host.lock("apply", "me", &Query::default()).await.unwrap();
        assert!(host.lock("apply", "you", &Query::default()).await.is_err());
        drop(lease);
        drop(taken(&host, "you").await);
        let output = host.run(&Command::new("cat").env("A", "b\n").stdin("in")).await.unwrap();
        assert_eq!((output.end, output.stdout), (End::Exit(0), b"in".to_vec()));
        let name = format!("4325.{}", std::process::id());
        let error = host.run(&Command::new("sleep").arg(&name).deadline(Duration::from_secs(1))).await.unwrap_err();
        assert!(matches!(error, HostError::Deadline { .. }), "{error:?}");
        drop(host.pipe(&Command::new("sleep").arg(&name)).await.unwrap());
        eventually("the sleeps are gone", || running(&name).is_empty()).await;
    });
}
