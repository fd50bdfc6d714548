//! The same is true of this machine and of one behind an sshd: every body here runs on both.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command as Process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::world::{World, alone, eventually, peak, run, running, signal, skip};
use camino::Utf8Path;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use unitbee::host::{
    Answer, Ask, Base, Batch, Command, Content, End, Endpoint, Facts, FileFound, Host, HostError, HostPath,
    Observation, Put, Query,
};

fn at(path: impl AsRef<Utf8Path>) -> HostPath {
    HostPath::new(Base::Root, path.as_ref().strip_prefix("/").unwrap())
}

fn put(path: impl AsRef<Utf8Path>, mode: u32, content: impl AsRef<[u8]>) -> Put {
    Put { path: at(path), mode, content: Content::Bytes(content.as_ref().to_vec()) }
}

fn file(path: impl AsRef<Utf8Path>, mode: u32, source: &Utf8Path) -> Put {
    let bytes = fs::read(source).unwrap();
    let sha256 = hex::encode(Sha256::digest(&bytes));
    Put { path: at(path), mode, content: Content::File { path: source.to_owned(), len: bytes.len() as u64, sha256 } }
}

async fn ask(host: &Arc<dyn Host>, asks: impl Into<Vec<Ask>>) -> Result<Observation, HostError> {
    host.query(&Query { asks: asks.into() }).await
}

async fn change(host: &Arc<dyn Host>, batch: Batch) -> Result<(), HostError> {
    host.change(&batch, &|_| ()).await
}

fn puts(puts: impl Into<Vec<Put>>) -> Batch {
    Batch { puts: puts.into(), ..Batch::default() }
}

/// Everything below a folder: its path with its mode, and its content or where it points.
fn listing(folder: &Utf8Path) -> BTreeMap<String, String> {
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

/// What a failed change said: the step, and the reason.
fn step(result: Result<(), HostError>) -> (String, String) {
    match result {
        Err(HostError::Change { step, detail, .. }) => (step, detail),
        other => panic!("{other:?}"),
    }
}

#[test]
fn answers_are_the_same() {
    alone("both::answers_are_the_same", async |mut world| {
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

        let [local, ssh] = world.both();
        let (here, far) = (ask(&local, &asks[..]).await.unwrap(), ask(&ssh, &asks[..]).await.unwrap());
        for ((asked, here), far) in asks.iter().zip(&here.answers).zip(&far.answers) {
            assert_eq!(here, far, "{asked:?}");
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
        let timeless = |facts: &Facts| Facts { now: 0, uptime: 0, ..facts.clone() };
        assert_eq!(timeless(&here.facts), timeless(&far.facts));
        assert!((here.facts.now - far.facts.now).abs() < 10 && here.facts.uptime.abs_diff(far.facts.uptime) < 10);
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
    const TEST: &str = "both::a_cgroup_shows_its_processes_and_what_they_listen_on";
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
        // The clocks of the whole machine go on.
        let still = |seen: &Observation| {
            let mut answers = seen.answers.clone();
            for answer in &mut answers {
                if let Answer::Cgroup(Some(cgroup)) = answer {
                    cgroup.parents.iter_mut().for_each(|parent| drop(parent.remove("cpu.stat")));
                }
            }
            answers
        };
        assert_eq!(still(&here), still(&far));
        let Answer::Cgroup(Some(seen)) = &here.answers[0] else { panic!("{here:?}") };
        assert_eq!(seen.processes.len(), 2);
        assert!(seen.processes.iter().all(|process| process.start > Some(0)));
        assert!(seen.processes.iter().all(|process| process.exe.as_deref().unwrap().ends_with("/sleep")));
        assert!(seen.files.contains_key("cgroup.events"));
        assert!(!seen.parents.is_empty());
        let Answer::Listeners(listeners) = &here.answers[1] else { panic!("{here:?}") };
        assert_eq!(listeners.iter().map(|found| found.port).collect::<Vec<_>>(), [port]);
    });
}

#[test]
fn what_cannot_be_read_is_an_error_of_the_query() {
    alone("both::what_cannot_be_read_is_an_error_of_the_query", async |mut world| {
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
fn a_change_leaves_the_same_behind() {
    alone("both::a_change_leaves_the_same_behind", async |mut world| {
        let binary = world.file("source", vec![7; 300_000]);
        let [local, ssh] = world.both();
        let mut listings = Vec::new();
        for (host, name) in [(local, "a"), (ssh, "b")] {
            let place = world.folder.join(name);
            world.file(&format!("{name}/old/deep/file"), "old");
            world.file(&format!("{name}/gone"), "old");
            world.file(&format!("{name}/kept/file"), "old");
            world.file(&format!("{name}/replaced"), "old");
            world.file(&format!("{name}/target"), "behind the link");
            symlink("target", place.join("link")).unwrap();
            symlink("kept", place.join("way")).unwrap();
            fs::create_dir(place.join("empty")).unwrap();
            let sent = AtomicU64::new(0);
            let batch = Batch {
                puts: vec![
                    put(place.join("new/folder/file"), 0o644, "hello\n"),
                    put(place.join("replaced"), 0o600, ""),
                    put(place.join("with space 'and' \\quote\""), 0o444, "x"),
                    put(place.join("link"), 0o640, "instead of the link"),
                    put(place.join("way/through"), 0o644, "behind a link to a folder"),
                    file(place.join("program"), 0o755, &binary),
                ],
                removes: ["old", "gone", "never was", "never/was"].map(|name| at(place.join(name))).to_vec(),
                prune: ["empty", "kept", "never", "target"].map(|name| at(place.join(name))).to_vec(),
            };
            host.change(&batch, &|bytes| sent.store(bytes, Ordering::Relaxed)).await.unwrap();
            assert!(sent.into_inner() > 300_000);
            listings.push(listing(&place));
            fs::remove_dir_all(place).unwrap();
        }
        assert_eq!(listings[0], listings[1]);
        let found = &listings[0];
        assert_eq!(found["new/folder/file"], "644 hello\n");
        assert_eq!(found["new/folder"], "755 folder");
        assert_eq!(found["replaced"], "600 ");
        assert_eq!(found["link"], "640 instead of the link");
        assert_eq!(found["kept/through"], "644 behind a link to a folder");
        assert_eq!(found["target"], "644 behind the link");
        assert!(found["program"].starts_with("755 \u{7}\u{7}"));
        assert!(!["old", "gone", "empty"].iter().any(|name| found.contains_key(*name)), "{found:?}");
    });
}

#[test]
fn a_large_file_is_never_held_in_memory() {
    alone("both::a_large_file_is_never_held_in_memory", async |mut world| {
        const LEN: u64 = 64 << 20;
        let source = world.file("source", "");
        fs::File::options().write(true).open(&source).unwrap().set_len(LEN).unwrap();
        let sum = run(Process::new("sha256sum").arg(&source));
        let sha256 = String::from_utf8(sum).unwrap()[..64].to_owned();
        let hosts = world.both();
        let before = peak();
        for host in hosts {
            let content = Content::File { path: source.clone(), len: LEN, sha256: sha256.clone() };
            let sent = AtomicU64::new(0);
            let put = Put { path: at(world.folder.join("arrived")), mode: 0o755, content };
            host.change(&puts([put]), &|bytes| sent.store(bytes, Ordering::Relaxed)).await.unwrap();
            assert_eq!(sent.into_inner(), LEN);
            assert_eq!(fs::metadata(world.folder.join("arrived")).unwrap().len(), LEN);
            assert!(peak() - before < 20_000, "{} KiB more than before", peak() - before);
        }
    });
}

#[test]
fn folders_of_ours_are_for_nobody_else() {
    alone("both::folders_of_ours_are_for_nobody_else", async |mut world| {
        for host in world.both() {
            let path = HostPath::new(Base::Data, "unitbee/store/abc/worker");
            let content = Content::Bytes(b"x".to_vec());
            change(&host, puts([Put { path, mode: 0o755, content }])).await.unwrap();
            let found = listing(&world.home());
            assert_eq!(found[".local/share"], "755 folder");
            assert_eq!(found[".local/share/unitbee"], "700 folder");
            assert_eq!(found[".local/share/unitbee/store/abc"], "700 folder");
            assert_eq!(found[".local/share/unitbee/store/abc/worker"], "755 x");
            assert_eq!(found.len(), 6, "{found:?}");
            let removes = vec![HostPath::new(Base::Data, "unitbee")];
            change(&host, Batch { removes, ..Batch::default() }).await.unwrap();
            assert_eq!(listing(&world.home()).len(), 2);
            fs::remove_dir_all(world.home().join(".local")).unwrap();
        }
    });
}

#[test]
fn nobody_ever_sees_half_a_file() {
    alone("both::nobody_ever_sees_half_a_file", async |mut world| {
        let path = world.file("watched", "a".repeat(200_000));
        let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (watched, stop) = (path.clone(), Arc::clone(&done));
        let reader = std::thread::spawn(move || {
            let mut reads = 0;
            while !stop.load(Ordering::Relaxed) {
                let content = fs::read(&watched).unwrap();
                assert_eq!(content.len(), 200_000);
                assert!(content.iter().all(|byte| *byte == content[0]), "a mixture");
                reads += 1;
            }
            reads
        });
        for host in world.both() {
            for letter in ["b", "c", "d", "e", "f"] {
                change(&host, puts([put(&path, 0o644, letter.repeat(200_000))])).await.unwrap();
            }
        }
        done.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 10);
    });
}

#[test]
fn a_change_that_fails_leaves_nothing_behind() {
    alone("both::a_change_that_fails_leaves_nothing_behind", async |mut world| {
        world.file("place/first", "old");
        fs::create_dir(world.folder.join("place/second")).unwrap();
        let place = world.folder.join("place");
        for host in world.both() {
            let source = world.file("source", "12345");
            let before = (listing(&place), listing(&world.home()));
            let batch = puts([put(place.join("new/first"), 0o644, "new"), put(place.join("second"), 0o644, "new")]);
            let (what, why) = step(change(&host, batch).await);
            assert_eq!((what, why.as_str()), (format!("write {place}/second"), "a folder is there"));

            let mut wrong = file(place.join("first"), 0o644, &source);
            fs::write(&source, "another").unwrap();
            assert!(change(&host, puts([wrong.clone()])).await.is_err());
            wrong.content = Content::File { path: world.folder.join("nowhere"), len: 1, sha256: String::new() };
            assert!(change(&host, puts([put(place.join("first"), 0o644, "new"), wrong])).await.is_err());

            let (what, _) = step(change(&host, puts([put(place.join("first/below"), 0o644, "new")])).await);
            assert_eq!(what, format!("make folder {place}/first"));
            for rel in ["", ".", "a/.."] {
                let removes = vec![HostPath::new(Base::Home, rel)];
                step(change(&host, Batch { removes, ..Batch::default() }).await);
            }
            assert_eq!((listing(&place), listing(&world.home())), before);
        }
    });
}

/// A file system of a size and kind, unmounted with the value.
struct Mount(camino::Utf8PathBuf);

impl Mount {
    fn new(path: &Utf8Path, options: &str) -> Option<Self> {
        let mounted =
            Process::new("mount").args(["-t", "tmpfs", "-o", options, "unitbee-test", path.as_str()]).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(path.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        drop(Process::new("umount").arg(&self.0).output());
    }
}

#[test]
fn a_full_disk_and_a_read_only_one_are_told() {
    const TEST: &str = "both::a_full_disk_and_a_read_only_one_are_told";
    alone(TEST, async |mut world| {
        let source = world.file("source", vec![7; 3 << 20]);
        let full = world.folder.join("full");
        fs::create_dir(&full).unwrap();
        let Some(_full) = Mount::new(&full, "size=1m") else { return skip(TEST, "no file system can be mounted here") };
        fs::write(full.join("first"), "old").unwrap();
        for host in world.both() {
            let batch = puts([put(full.join("first"), 0o644, "new"), file(full.join("new/second"), 0o644, &source)]);
            let (what, why) = step(change(&host, batch).await);
            assert_eq!((what, why.as_str()), (format!("write {full}/new/second"), "No space left on device"));
            assert_eq!(listing(&full), BTreeMap::from([("first".into(), "644 old".into())]));
        }
        // The home itself: the far side stages there.
        let home = Mount::new(&world.home(), "size=1m").unwrap();
        for host in world.both() {
            let (_, why) = step(change(&host, puts([file(world.home().join("x"), 0o644, &source)])).await);
            assert_eq!(why, "No space left on device");
            assert_eq!(listing(&world.home()), BTreeMap::new());
        }
        drop(home);
        let _read_only = Mount::new(&world.home(), "ro").unwrap();
        for host in world.both() {
            let (what, why) = step(change(&host, puts([put(world.home().join("a/b"), 0o644, "x")])).await);
            assert!(what.starts_with("make folder "), "{what}");
            assert_eq!(why, "Read-only file system");
            let locked = host.lock("apply", "me", Duration::ZERO, &Query::default()).await;
            assert!(matches!(locked, Err(HostError::Change { detail, .. }) if detail == "Read-only file system"));
        }
    });
}

#[test]
fn programs_get_their_words_and_give_their_bytes() {
    alone("both::programs_get_their_words_and_give_their_bytes", async |mut world| {
        let words = ["", " ", "a'b", "\\'", "$HOME `id` $(id)", "*", "!!", "a\nb", "-n", "ü\u{2028}"];
        let bytes: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
        for host in world.both() {
            let command =
                Command::new("sh").args(["-c", "for word; do printf '%s\\0' \"$word\"; done", "sh"]).args(words);
            let output = host.run(&command).await.unwrap();
            let said: Vec<_> = output.stdout.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
            assert_eq!(said[..words.len()], words, "{}", host.name());

            let output = host.run(&Command::new("cat").stdin(bytes.clone())).await.unwrap();
            assert!(output.success() && output.stdout == bytes, "{}: {} bytes", host.name(), output.stdout.len());
            let output =
                host.run(&Command::new("sh").args(["-c", "cat >&2; printf out"]).stdin(&bytes[..5000])).await.unwrap();
            assert!(output.stderr == bytes[..5000] && output.stdout == b"out");

            let secret = "a 'secret'\n\nwith \\ and $x ";
            let show = Command::new("sh").args(["-c", "printf %s \"$A|$B|\"; cat"]).env("A", secret).env("B", "");
            let output = host.run(&show.stdin("input")).await.unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{secret}||input"));
        }
    });
}

#[test]
fn every_end_of_a_program_is_its_own() {
    alone("both::every_end_of_a_program_is_its_own", async |mut world| {
        let plain = world.file("not-executable", "x");
        for host in world.both() {
            for code in [0, 1, 126, 127, 128, 255] {
                let output = host.run(&Command::new("sh").args(["-c".into(), format!("exit {code}")])).await.unwrap();
                assert_eq!(output.end, End::Exit(code), "{}", host.name());
            }
            for number in [9, 15, 1] {
                let output =
                    host.run(&Command::new("sh").args(["-c".into(), format!("kill -{number} $$")])).await.unwrap();
                assert_eq!(output.end, End::Signal(number), "{}", host.name());
            }
            for program in ["no-such-program", "/no/such/program", ""] {
                let output = host.run(&Command::new(program)).await.unwrap();
                assert_eq!(output.end, End::NotFound, "{} {program:?}", host.name());
            }
            assert_eq!(host.run(&Command::new(plain.as_str())).await.unwrap().end, End::Exit(126));
            let error = host.run(&Command::new("echo").arg("a\0b")).await.unwrap_err();
            assert!(matches!(error, HostError::Unsendable { .. }), "{error:?}");
            // A program that does not read what it is given.
            let output = host.run(&Command::new("true").stdin(vec![0; 1 << 20])).await.unwrap();
            assert!(output.success());
        }
    });
}

#[test]
fn a_program_may_say_only_so_much() {
    alone("both::a_program_may_say_only_so_much", async |mut world| {
        for host in world.both() {
            for script in ["head -c 5000000 /dev/zero", "head -c 5000000 /dev/zero >&2", "exec cat /dev/zero"] {
                let error = host.run(&Command::new("sh").args(["-c", script])).await.unwrap_err();
                assert!(matches!(error, HostError::TooMuch { .. }), "{}: {error:?}", host.name());
            }
            let mut command = Command::new("sh").args(["-c", "head -c 1000 /dev/zero"]);
            command.limit = 1000;
            assert_eq!(host.run(&command).await.unwrap().stdout.len(), 1000);
            command.limit = 999;
            assert!(host.run(&command).await.is_err());
        }
    });
}

#[test]
fn what_takes_too_long_is_killed_with_all_that_it_started() {
    alone("both::what_takes_too_long_is_killed_with_all_that_it_started", async |mut world| {
        for host in world.both() {
            let name = format!("4321.{}", std::process::id());
            let script = format!("trap '' TERM HUP INT; sleep {name} & sleep {name}");
            let command = Command::new("sh").args(["-c", &script]).deadline(Duration::from_secs(1));
            let begun = Instant::now();
            let error = host.run(&command).await.unwrap_err();
            assert!(matches!(error, HostError::Deadline { .. }), "{error:?}");
            assert!(begun.elapsed() < Duration::from_secs(4));
            eventually("the sleeps are gone", || running(&name).is_empty()).await;
        }
    });
}

#[test]
fn what_is_dropped_is_killed() {
    alone("both::what_is_dropped_is_killed", async |mut world| {
        for host in world.both() {
            let name = format!("4322.{}", std::process::id());
            let command = Command::new("sleep").arg(&name).deadline(Duration::from_secs(600));
            let ran = tokio::time::timeout(Duration::from_millis(800), host.run(&command)).await;
            assert!(ran.is_err(), "{ran:?}");
            eventually("the sleep is gone", || running(&name).is_empty()).await;

            let pipe =
                host.pipe(&Command::new("sh").args(["-c", &format!("sleep {name} & sleep {name}")])).await.unwrap();
            eventually("the sleeps are there", || running(&name).len() >= 2).await;
            drop(pipe);
            eventually("the sleeps are gone", || running(&name).is_empty()).await;
        }
    });
}

#[test]
fn a_daemon_outlives_the_program_that_started_it() {
    alone("both::a_daemon_outlives_the_program_that_started_it", async |mut world| {
        for host in world.both() {
            let name = format!("30.{}", std::process::id());
            let script = format!("nohup sleep {name} >/dev/null 2>&1 & echo started");
            let begun = Instant::now();
            let output = host.run(&Command::new("sh").args(["-c", &script])).await.unwrap();
            assert_eq!(output.stdout, b"started\n");
            // It is not waited for even when it keeps the output open.
            let output =
                host.run(&Command::new("sh").args(["-c", &format!("sleep {name} & echo open")])).await.unwrap();
            assert_eq!(output.stdout, b"open\n");
            assert!(begun.elapsed() < Duration::from_secs(10));
            tokio::time::sleep(Duration::from_secs(1)).await;
            let daemons = running(&name);
            assert_eq!(daemons.len(), 2, "{}", host.name());
            for daemon in daemons {
                signal("KILL", &daemon.to_string());
            }
            eventually("they are gone", || running(&name).is_empty()).await;
        }
    });
}

#[test]
fn a_pipe_carries_bytes_both_ways_at_once() {
    alone("both::a_pipe_carries_bytes_both_ways_at_once", async |mut world| {
        for host in world.both() {
            let mut pipe = host.pipe(&Command::new("cat")).await.unwrap();
            for bytes in [&b"hello\n"[..], b"\n", b"@", b"\0\xff"] {
                pipe.stdin.write_all(bytes).await.unwrap();
                let mut answer = vec![0; bytes.len()];
                pipe.stdout.read_exact(&mut answer).await.unwrap();
                assert_eq!(answer, bytes);
            }
            pipe.stdin.shutdown().await.unwrap();
            drop(pipe.stdin);
            assert_eq!(pipe.stdout.read_to_end(&mut Vec::new()).await.unwrap(), 0);

            // Its input may end long before its output does.
            let mut pipe =
                host.pipe(&Command::new("sh").args(["-c", "cat >/dev/null; sleep 3; echo late"])).await.unwrap();
            drop(pipe.stdin);
            let mut answer = String::new();
            pipe.stdout.read_to_string(&mut answer).await.unwrap();
            assert_eq!(answer, "late\n");

            let missing = host.pipe(&Command::new("no-such-program")).await;
            assert!(matches!(missing, Err(HostError::Unsendable { .. })));
        }
    });
}

#[test]
fn a_forward_leads_to_a_socket_of_the_host() {
    alone("both::a_forward_leads_to_a_socket_of_the_host", async |mut world| {
        async fn echo(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) {
            let mut bytes = [0; 5];
            stream.read_exact(&mut bytes).await.unwrap();
            stream.write_all(&bytes).await.unwrap();
        }
        let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let unix = tokio::net::UnixListener::bind(world.folder.join("socket")).unwrap();
        let port = tcp.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = tcp.accept().await {
                tokio::spawn(echo(stream));
            }
        });
        tokio::spawn(async move {
            while let Ok((stream, _)) = unix.accept().await {
                tokio::spawn(echo(stream));
            }
        });
        let ends = [Endpoint::Tcp { host: "127.0.0.1".into(), port }, Endpoint::Unix(world.folder.join("socket"))];
        for host in world.both() {
            for end in &ends {
                let forward = host.forward(end).await.unwrap();
                assert_eq!(forward.is_forwarded(), !host.is_local());
                let mut pipe = forward.connect().await.unwrap();
                pipe.stdin.write_all(b"hello").await.unwrap();
                let mut bytes = [0; 5];
                pipe.stdout.read_exact(&mut bytes).await.unwrap();
                assert_eq!(&bytes, b"hello");
            }
        }
    });
}

#[test]
fn a_lock_is_held_against_both_ways_in() {
    alone("both::a_lock_is_held_against_both_ways_in", async |mut world| {
        let hosts = world.both();
        let none = Query::default();
        for holder in &hosts {
            for other in &hosts {
                let (lease, _) = holder.lock("apply", "ann: apply", Duration::from_secs(5), &none).await.unwrap();
                let error = other.lock("apply", "bob", Duration::ZERO, &none).await.unwrap_err();
                assert!(matches!(&error, HostError::Busy { owner, .. } if owner == "ann: apply"), "{error:?}");
                let (another, _) = other.lock("other", "bob", Duration::ZERO, &none).await.unwrap();
                drop(another);
                let (waited, ()) = tokio::join!(other.lock("apply", "bob", Duration::from_secs(10), &none), async {
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    drop(lease);
                });
                drop(waited.unwrap());
            }
        }
        let error = hosts[1].lock("../x", "me", Duration::ZERO, &none).await.unwrap_err();
        assert!(matches!(error, HostError::Unsendable { .. }), "{error:?}");
    });
}

#[test]
fn the_lock_of_the_dead_is_taken_over() {
    alone("both::the_lock_of_the_dead_is_taken_over", async |mut world| {
        let hosts = world.both();
        let none = Query::default();
        for other in &hosts {
            let (lease, _) = hosts[1].lock("apply", "ann", Duration::from_secs(5), &none).await.unwrap();
            let lock = world.home().join(".local/state/unitbee/lock");
            let tokens: Vec<_> = listing(&lock).into_keys().filter(|path| path.contains('/')).collect();
            let [token] = &tokens[..] else { panic!("{tokens:?}") };
            let holder = token.split(['/', '.']).nth(1).unwrap();
            signal("KILL", holder);
            let (next, _) = other.lock("apply", "bob", Duration::from_secs(2), &none).await.unwrap();
            drop((lease, next));
        }
    });
}

#[test]
fn of_many_one_at_a_time_has_the_lock() {
    alone("both::of_many_one_at_a_time_has_the_lock", async |mut world| {
        let hosts = world.both();
        let busy = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let tasks = (0..10).map(|number| {
            let (host, busy) = (Arc::clone(&hosts[number % 2]), Arc::clone(&busy));
            tokio::spawn(async move {
                let owner = number.to_string();
                let locked = host.lock("apply", &owner, Duration::from_secs(30), &Query::default()).await;
                let (lease, _) = locked.unwrap();
                assert!(!busy.swap(true, Ordering::SeqCst), "two have the lock");
                tokio::time::sleep(Duration::from_millis(20)).await;
                busy.store(false, Ordering::SeqCst);
                drop(lease);
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    });
}

#[test]
fn the_environment_is_not_needed() {
    alone("both::the_environment_is_not_needed", async |world: World| {
        // The same test once more, as cron or `env -i` would start it.
        if std::env::var_os("HOME").is_some() {
            let folder = world.folder.as_str();
            let mut again = Process::new(std::env::current_exe().unwrap());
            again
                .args(["both::the_environment_is_not_needed", "--exact"])
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
