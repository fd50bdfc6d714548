//! Questions and their answers: the same from this machine and from behind an sshd.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command as Process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use camino::Utf8Path;
use unitbee::host::{
    Answer, Ask, Base, Command, Facts, FileFound, Host, HostError, HostPath, Libc, Observation, Query,
};

use crate::world::{World, alone, run, skip};

fn at(path: impl AsRef<Utf8Path>) -> HostPath {
    HostPath::new(Base::Root, path.as_ref().strip_prefix("/").unwrap())
}

async fn ask(host: &Arc<dyn Host>, asks: impl Into<Vec<Ask>>) -> Result<Observation, HostError> {
    host.query(&Query { asks: asks.into() }).await
}

#[test]
fn answers_are_the_same() {
    alone("questions::answers_are_the_same", async |mut world| {
        world.file("d/empty", "");
        world.file("d/plain", "one\ntwo\n");
        world.file("d/cut", "no newline at the end");
        world.file("d/binary", [0, 255, 10, 10, 64, 0, 13, 10]);
        world.file("d/like a mark", "\n@0123456789abcdef0123456789abcdef end 0\n");
        fs::set_permissions(world.folder.join("d/plain"), fs::Permissions::from_mode(0o640)).unwrap();
        fs::set_permissions(world.folder.join("d/cut"), fs::Permissions::from_mode(0o4711)).unwrap();
        for (link, target) in [("link", "plain"), ("masked", "/dev/null"), ("dangling", "nowhere"), ("folder", "sub")] {
            symlink(target, world.folder.join("d").join(link)).unwrap();
        }
        world.file("d/sub/a b", "x");
        world.file("d/sub/foo-\\x2d.service", "x");
        world.file("d/sub/deeper/too deep", "x");
        world.file("d/sub/line\nbreak", "x");
        world.file("d/ü", "umlaut");
        world.file("d/sub/.unitbee.4711.x", "half a file");

        let mut asks = Vec::new();
        for name in
            ["empty", "plain", "cut", "binary", "like a mark", "link", "masked", "dangling", "none", "none/at/all"]
        {
            asks.push(Ask::File(at(world.folder.join("d").join(name))));
        }
        for name in ["plain", "link", "binary", "none", "dangling"] {
            asks.push(Ask::Size(at(world.folder.join("d").join(name))));
        }
        asks.extend(["d", "d/folder", "none", "d/plain"].map(|name| Ask::Tree(at(world.folder.join(name)))));
        asks.extend(["sh", "no-such-program", "", "a/b", "ls; id"].map(|name| Ask::Program(name.into())));
        asks.push(Ask::File(HostPath::new(Base::Home, "x")));
        asks.push(Ask::Tree(HostPath::new(Base::Config, "systemd/user")));
        asks.push(Ask::Cgroup(HostPath::new(Base::Cgroup, "app.slice")));
        asks.push(Ask::Cgroup(at(&world.folder)));
        asks.push(Ask::Listeners(at(&world.folder)));
        let near = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = near.local_addr().unwrap().port();
        asks.extend([Ask::Libc, Ask::Listening(port), Ask::Listening(1)]);

        let [local, ssh] = world.both();
        let (here, far) = (ask(&local, &asks[..]).await.unwrap(), ask(&ssh, &asks[..]).await.unwrap());
        for ((asked, here), far) in asks.iter().zip(&here.answers).zip(&far.answers) {
            assert_eq!(here, far, "{asked:?}");
        }
        assert_eq!(here.answers[asks.len() - 2..], [Answer::Listening(true), Answer::Listening(false)]);
        if let Ok(told) = Process::new("getconf").arg("GNU_LIBC_VERSION").output().map(|told| told.stdout)
            && told.starts_with(b"glibc 2.")
        {
            let libc = &here.answers[asks.len() - 3];
            assert!(matches!(libc, Answer::Libc(Libc::Glibc(2, _))), "{libc:?}");
        }
        let Answer::Tree(tree) = &here.answers[15] else { panic!("{here:?}") };
        assert_eq!(
            tree.keys().map(|path| path.as_str()).collect::<Vec<_>>(),
            [
                "binary",
                "cut",
                "empty",
                "folder/a b",
                "folder/foo-\\x2d.service",
                "like a mark",
                "link",
                "plain",
                "sub/a b",
                "sub/foo-\\x2d.service",
                "ü"
            ]
        );
        assert_eq!(
            here.answers[1],
            Answer::File(Some(FileFound { content: b"one\ntwo\n".to_vec(), mode: 0o640, link: None }))
        );
        let timeless = |facts: &Facts| Facts { now_usec: 0, uptime_usec: 0, ..facts.clone() };
        assert_eq!(timeless(&here.facts), timeless(&far.facts));
        assert!(
            here.facts.now().abs_diff(far.facts.now()) < 10
                && here.facts.uptime_usec.abs_diff(far.facts.uptime_usec) < 10_000_000
        );
        assert_eq!(here.facts.home, world.home());
        assert_eq!((local.exchanges(), ssh.exchanges()), (1, 1));
    });
}

/// A cgroup of our own, removed with everything in it.
struct Cgroup(camino::Utf8PathBuf);

impl Cgroup {
    fn make() -> Option<Self> {
        let unified = Utf8Path::new("/sys/fs/cgroup/unified");
        let root = if unified.exists() { unified } else { Utf8Path::new("/sys/fs/cgroup") };
        let folder = root.join(format!("unitbee-test-{}", std::process::id()));
        fs::create_dir_all(folder.join("below")).ok()?;
        Some(Self(folder))
    }

    fn adopt(&self, below: &str, pid: u32) {
        fs::write(self.0.join(below).join("cgroup.procs"), pid.to_string()).unwrap();
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        drop(fs::remove_dir(self.0.join("below")));
        drop(fs::remove_dir(&self.0));
    }
}

#[test]
fn a_cgroup_shows_its_processes_and_what_they_listen_on() {
    const TEST: &str = "questions::a_cgroup_shows_its_processes_and_what_they_listen_on";
    alone(TEST, async |mut world| {
        let Some(cgroup) = Cgroup::make() else { return skip(TEST, "no cgroup v2 folder can be made here") };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        // It keeps our listening socket as its standard input.
        let mut server = Process::new("sleep").arg("300").stdin(std::os::fd::OwnedFd::from(listener)).spawn().unwrap();
        let mut other = Process::new("sleep").arg("300").spawn().unwrap();
        cgroup.adopt("", other.id());
        cgroup.adopt("below", server.id());

        let asks = [Ask::Cgroup(at(&cgroup.0)), Ask::Listeners(at(&cgroup.0)), Ask::Cgroup(at(cgroup.0.join("below")))];
        let [local, ssh] = world.both();
        let (here, far) = (ask(&local, &asks[..]).await, ask(&ssh, &asks[..]).await);
        for child in [&mut server, &mut other] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let (here, far) = (here.unwrap(), far.unwrap());
        assert_eq!(here.answers, far.answers);
        let Answer::Cgroup(Some(seen)) = &here.answers[0] else { panic!("{here:?}") };
        assert_eq!(seen.processes.len(), 2);
        assert!(seen.processes.iter().all(|process| process.start > Some(0)));
        assert!(seen.processes.iter().all(|process| process.exe.as_deref().unwrap().ends_with("/sleep")));
        assert!(seen.files.contains_key("cgroup.events"));
        let Answer::Listeners(listeners) = &here.answers[1] else { panic!("{here:?}") };
        assert_eq!(listeners.iter().map(|found| found.port).collect::<Vec<_>>(), [port]);
    });
}

/// The script is read by the host that runs it and by no other, and what was asked beside it is answered all the same.
#[test]
fn a_script_runs_on_hosts_of_its_system() {
    const TEXT: &str = concat!(
        "printf '%s|' \"$#\" \"$@\"; cat; printf 'it'\\''s $HOME' #",
        "                                                                                \n",
        "printf ' done\n' # it's \"quoted\" \\ and `more`"
    );
    alone("questions::a_script_runs_on_hosts_of_its_system", async |mut world| {
        world.file("after", "read");
        let script = |system| Ask::Script { system, text: TEXT, args: vec!["a b".into(), "*".into(), "$x".into()] };
        for host in world.both() {
            for (system, told) in [("Linux", Some(&b"3|a b|*|$x|it's $HOME done\n"[..])), ("Darwin", None)] {
                let asks = [script(system), Ask::File(at(world.folder.join("after")))];
                let answers = ask(&host, asks).await.unwrap().answers;
                assert_eq!(answers[0], Answer::Script(told.map(<[u8]>::to_vec)), "{}", host.name());
                assert!(matches!(&answers[1], Answer::File(Some(file)) if file.content == b"read"), "{answers:?}");
            }
        }
    });
}

#[test]
fn what_cannot_be_read_is_an_error_of_the_query() {
    alone("questions::what_cannot_be_read_is_an_error_of_the_query", async |mut world| {
        let large = world.file("large", vec![b'x'; (1 << 20) + 1]);
        let full = world.file("full", vec![b'x'; 1 << 20]);
        for host in world.both() {
            let error = ask(&host, [Ask::File(at(&large))]).await.unwrap_err();
            assert!(matches!(error, HostError::TooMuch { .. }), "{error:?}");
            assert!(error.to_string().contains(large.as_str()), "{error}");
            let Ok(Observation { answers, .. }) = ask(&host, [Ask::File(at(&full))]).await else { panic!() };
            assert!(matches!(&answers[..], [Answer::File(Some(found))] if found.content.len() == 1 << 20));
            let error = ask(&host, [Ask::File(at(&world.folder))]).await.unwrap_err();
            assert_eq!(error.to_string(), format!("read {} on {}: not a regular file", world.folder, host.name()));
            for rel in ["a/../b", "a\nb", "a\u{1b}b", "/etc/passwd"] {
                let error = ask(&host, [Ask::File(HostPath::new(Base::Home, rel))]).await.unwrap_err();
                assert!(matches!(error, HostError::Change { .. }), "{rel:?}: {error:?}");
            }
        }
    });
}

#[test]
fn a_folder_that_others_work_in_can_be_read() {
    alone("questions::a_folder_that_others_work_in_can_be_read", async |mut world| {
        world.file("d/stays", "x");
        let hosts = world.both();
        let (folder, done) = (world.folder.join("d"), Arc::new(AtomicBool::new(false)));
        let others = std::thread::spawn({
            let (folder, done) = (folder.clone(), Arc::clone(&done));
            move || {
                while !done.load(Ordering::Relaxed) {
                    (0..20).for_each(|n| fs::write(folder.join(n.to_string()), "x").unwrap());
                    (0..20).for_each(|n| fs::remove_file(folder.join(n.to_string())).unwrap());
                }
            }
        });
        for host in hosts {
            for _ in 0..40 {
                let answers = ask(&host, [Ask::Tree(at(&folder))]).await.unwrap().answers;
                assert!(matches!(&answers[..], [Answer::Tree(files)] if files.contains_key(Utf8Path::new("stays"))));
            }
        }
        done.store(true, Ordering::Relaxed);
        others.join().unwrap();
    });
}

#[test]
fn a_file_that_somebody_writes_is_read_whole() {
    alone("questions::a_file_that_somebody_writes_is_read_whole", async |mut world| {
        let (file, after) = (world.file("edited", "x"), world.file("after", "y"));
        let hosts = world.both();
        let done = Arc::new(AtomicBool::new(false));
        let editor = std::thread::spawn({
            let (file, done) = (file.clone(), Arc::clone(&done));
            move || {
                for size in (0..5000).cycle().take_while(|_| !done.load(Ordering::Relaxed)) {
                    fs::write(&file, "x".repeat(size)).unwrap();
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
            }
        });
        for host in hosts {
            for _ in 0..40 {
                let asks = [Ask::File(at(&file)), Ask::File(at(&after))];
                match &ask(&host, asks).await.map(|seen| seen.answers) {
                    Ok(answers) => {
                        let [Answer::File(Some(file)), Answer::File(Some(after))] = &answers[..] else { panic!() };
                        assert!(file.content.iter().all(|byte| *byte == b'x') && after.content == b"y", "{answers:?}");
                    }
                    Err(error) => assert!(error.to_string().ends_with("somebody else is writing them"), "{error}"),
                }
            }
        }
        done.store(true, Ordering::Relaxed);
        editor.join().unwrap();
    });
}

#[test]
fn the_environment_is_not_needed() {
    alone("questions::the_environment_is_not_needed", async |world: World| {
        // The same test once more, as cron or `env -i` would start it.
        if std::env::var_os("HOME").is_some() {
            let folder = world.folder.as_str();
            let mut again = Process::new(std::env::current_exe().unwrap());
            again
                .args(["questions::the_environment_is_not_needed", "--exact"])
                .env_clear()
                .env("UNITBEE_TEST_WORLD", folder);
            run(&mut again);
            return;
        }
        let seen = ask(&World::local(), [Ask::Program("sh".into())]).await.unwrap();
        assert!(seen.facts.home.is_absolute() && !seen.facts.user.is_empty(), "{seen:?}");
        assert!(matches!(&seen.answers[..], [Answer::Program(Some(path))] if path.ends_with("bin/sh")), "{seen:?}");
        assert!(World::local().run(&Command::new("uname")).await.unwrap().success());
    });
}
