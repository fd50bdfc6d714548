//! Changes: the same on this machine and behind an sshd, and nothing of one that fails.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command as Process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use camino::Utf8Path;
use sha2::{Digest, Sha256};
use unitbee::host::{Base, Batch, Changed, Content, Host, HostError, HostPath, Put, Query};

use crate::world::{Mount, alone, listing, peak, run, skip};

pub(crate) fn at(path: impl AsRef<Utf8Path>) -> HostPath {
    HostPath::new(Base::Root, path.as_ref().strip_prefix("/").unwrap())
}

pub(crate) fn put(path: impl AsRef<Utf8Path>, mode: u32, content: impl AsRef<[u8]>) -> Put {
    Put { path: at(path), mode, content: Content::Bytes(content.as_ref().to_vec()) }
}

fn file(path: impl AsRef<Utf8Path>, mode: u32, source: &Utf8Path) -> Put {
    let bytes = fs::read(source).unwrap();
    let sha256 = hex::encode(Sha256::digest(&bytes));
    Put { path: at(path), mode, content: Content::File { path: source.to_owned(), len: bytes.len() as u64, sha256 } }
}

pub(crate) async fn change(host: &Arc<dyn Host>, batch: Batch) -> Result<Changed, HostError> {
    host.change(&batch, &|_| ()).await
}

pub(crate) fn puts(puts: impl Into<Vec<Put>>) -> Batch {
    Batch { puts: puts.into(), ..Batch::default() }
}

/// What a failed change said: the step, and the reason.
fn step(result: Result<Changed, HostError>) -> (String, String) {
    match result {
        Err(HostError::Change { step, detail, .. }) => (step, detail),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_change_leaves_the_same_behind() {
    alone("changes::a_change_leaves_the_same_behind", async |mut world| {
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
                ..Batch::default()
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
    alone("changes::a_large_file_is_never_held_in_memory", async |mut world| {
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
    alone("changes::folders_of_ours_are_for_nobody_else", async |mut world| {
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
    alone("changes::nobody_ever_sees_half_a_file", async |mut world| {
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
    alone("changes::a_change_that_fails_leaves_nothing_behind", async |mut world| {
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

#[test]
fn a_full_disk_and_a_read_only_one_are_told() {
    const TEST: &str = "changes::a_full_disk_and_a_read_only_one_are_told";
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
            let locked = host.lock("apply", "me", &Query::default()).await;
            assert!(matches!(locked, Err(HostError::Change { detail, .. }) if detail == "Read-only file system"));
        }
    });
}
