//! Changes that are killed, and what is left of them once the next one is done.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::{Command as Process, Stdio};
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use unitbee::host::{Base, Batch, Content, Fence, Host, HostError, HostPath, Put, change_as_root, stage_as_root};

use crate::changes::{change, puts};
use crate::world::{Far, World, alone, eventually, listing, taken};

/// Tells this program that it is to be killed while it changes something.
const VICTIM: &str = "UNITBEE_TEST_VICTIM";

/// Files of every folder that something is put into.
pub(crate) fn files(release: u32) -> Vec<Put> {
    let put = |base, rel: String| Put {
        path: HostPath::new(base, rel),
        mode: 0o600,
        content: Content::Bytes(release.to_string().into_bytes()),
    };
    vec![
        put(Base::Data, format!("unitbee/store/sha{release}/program")),
        put(Base::Data, format!("unitbee/units/web/{release}/env")),
        put(Base::State, "unitbee/registry/web.json".into()),
        put(Base::Config, "systemd/user/web.service".into()),
    ]
}

/// A program that stands for `own` and kills who calls it the `$at`th time, before or after its work.
pub(crate) fn killer(name: &str, folder: &Utf8Path, own: &str) -> String {
    format!(
        "#!/bin/sh
if ! read -r at when <{folder}/{name}.at; then exec {own} \"$@\"; fi
case $at in
1) rm -f {folder}/{name}.at ;;
*) echo $((at - 1)) $when >{folder}/{name}.at && exec {own} \"$@\" ;;
esac
[ $when = before ] || {own} \"$@\"
kill -KILL 0

"
    )
}

/// Which calls of a change of [`files`] there are: tar(1) once, mv(1) once for each file that is staged and once for each that
/// is put in place.
pub(crate) fn steps() -> impl Iterator<Item = (&'static str, String, bool)> {
    let tar = ["before", "after"].map(|when| ("tar", format!("1 {when}"), false));
    let mv = (1..=8).flat_map(|at| {
        ["before", "after"].map(|when| ("mv", format!("{at} {when}"), at > 5 || (at == 5 && when == "after")))
    });
    tar.into_iter().chain(mv)
}

/// Has the change of `release` killed on the host, which says so.
pub(crate) async fn killed(host: &Arc<dyn Host>, release: u32, fence: &Fence) {
    let batch = Batch { fence: Some(fence.clone()), ..puts(files(release)) };
    let error = change(host, batch).await.unwrap_err();
    assert!(matches!(error, HostError::Killed { .. }), "{error:?}");
    assert_eq!(error.to_string(), format!("change was killed on {}", host.name()));
}

fn without_locks(home: &Utf8Path) -> BTreeMap<String, String> {
    let mut found = listing(home);
    found.retain(|name, _| !name.contains("/lock"));
    found
}

#[test]
fn of_a_change_that_was_killed_nothing_is_left() {
    alone("leftovers::of_a_change_that_was_killed_nothing_is_left", async |mut world| {
        let bin = world.folder.join("bin");
        for name in ["tar", "mv"] {
            let script = killer(name, &bin, &format!("/bin/{name}"));
            world.program(&format!("bin/{name}"), script.strip_prefix("#!/bin/sh\n").unwrap());
        }
        let path = format!("{bin}:/usr/bin:/bin");
        let far = world.ssh_to(&Far { path: Some(&path), ..Far::default() });
        let (lease, _) = taken(&far, "ann").await;
        let fenced = |batch: Batch| Batch { fence: Some(lease.fence().clone()), ..batch };
        change(&far, fenced(puts(files(1)))).await.unwrap();
        let before = without_locks(&world.home());
        // Whichever way the next one comes.
        for next in [&far, &World::local()] {
            for (program, at, is_renaming) in steps() {
                world.file(&format!("bin/{program}.at"), format!("{at}\n"));
                killed(&far, 2, lease.fence()).await;
                let left = without_locks(&world.home());
                assert_ne!(left, before, "{program} {at}: nothing to sweep");
                change(next, fenced(Batch::default())).await.unwrap();
                let after = without_locks(&world.home());
                if is_renaming {
                    assert!(after.keys().all(|name| !name.contains("/.")), "{program} {at}: {after:?}");
                    let removes =
                        ["store/sha2", "units/web/2"].map(|rel| HostPath::new(Base::Data, format!("unitbee/{rel}")));
                    change(next, fenced(Batch { removes: removes.into(), ..puts(files(1)) })).await.unwrap();
                    assert_eq!(without_locks(&world.home()), before, "{program} {at}");
                } else {
                    assert_eq!(after, before, "{program} {at}");
                }
            }
        }
    });
}

#[test]
fn of_a_unitbee_of_this_machine_that_was_killed_nothing_is_left() {
    const TEST: &str = "leftovers::of_a_unitbee_of_this_machine_that_was_killed_nothing_is_left";
    if let Some(gate) = std::env::var_os(VICTIM) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let mut batch = puts(files(2));
        let path = Utf8PathBuf::from_path_buf(gate.into()).unwrap();
        batch.puts[3].content = Content::File { path, len: 3, sha256: "0".repeat(64) };
        runtime.block_on(async {
            let (lease, _) = taken(&World::local(), "victim").await;
            change(&World::local(), Batch { fence: Some(lease.fence().clone()), ..batch }).await.unwrap_err();
        });
        return;
    }
    alone(TEST, async |mut world| {
        let gate = world.folder.join("gate");
        crate::world::run(Process::new("mkfifo").arg(&gate));
        for host in world.both() {
            let (lease, _) = taken(&host, "ann").await;
            change(&host, Batch { fence: Some(lease.fence().clone()), ..puts(files(1)) }).await.unwrap();
            drop(lease);
            drop(taken(&host, "ann").await);
            let before = without_locks(&world.home());
            let mut victim = Process::new(std::env::current_exe().unwrap())
                .args([TEST, "--exact"])
                .env(VICTIM, &gate)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            // It has staged three of four files and waits for the last one.
            let _writer = fs::File::options().write(true).open(&gate).unwrap();
            victim.kill().unwrap();
            victim.wait().unwrap();
            let staged =
                |found: &BTreeMap<String, String>| found.keys().filter(|name| name.contains("/.unitbee.")).count();
            assert_eq!(staged(&without_locks(&world.home())), 4);
            // Its lock is taken over too.
            let (lease, _) = host.lock("apply", "bob", &unitbee::host::Query::default()).await.unwrap();
            change(&host, Batch { fence: Some(lease.fence().clone()), ..Batch::default() }).await.unwrap();
            assert_eq!(without_locks(&world.home()), before);
            drop(lease);
            let lock = world.home().join(".local/state/unitbee/lock");
            eventually("it is free", || listing(&lock).keys().any(|name| name.ends_with("/free"))).await;
        }
    });
}

/// Files that are root's are staged under names that hold the account's number: others may be at work beside it.
#[test]
fn of_files_that_are_roots_nothing_is_left() {
    alone("leftovers::of_files_that_are_roots_nothing_is_left", async |mut world| {
        let bin = world.folder.join("bin");
        world.program("bin/sudo", "shift\nexec \"$@\"\n");
        world.program("bin/chown", "");
        let path = format!("{bin}:/usr/bin:/bin");
        let far = world.ssh_to(&Far { path: Some(&path), ..Far::default() });
        let (lease, seen) = taken(&far, "ann").await;
        let uid = seen.facts.uid;
        for name in [format!(".unitbee.{uid}@dead"), format!(".unitbee.{uid}7@other"), "gone.plist".to_owned()] {
            world.file(&format!("daemons/{name}"), "");
        }
        let daemons = world.folder.join("daemons");
        let put = |name: &str| crate::changes::put(daemons.join(name), 0o644, name);
        let batch = Batch {
            removes: vec![crate::changes::at(daemons.join("gone.plist"))],
            fence: Some(lease.fence().clone()),
            ..puts([put("a.plist"), put("b.plist")])
        };
        stage_as_root(far.as_ref(), &batch).await.unwrap();
        let staged: Vec<_> = listing(&daemons).into_keys().collect();
        let [a, b, other] = ["@a", "@b", "7@other"].map(|rest| format!(".unitbee.{uid}{rest}"));
        assert_eq!(
            staged.into_iter().collect::<BTreeSet<_>>(),
            BTreeSet::from([a, b, other.clone(), "gone.plist".into()])
        );
        change_as_root(far.as_ref(), &batch).await.unwrap();
        let found = listing(&daemons);
        assert_eq!(
            (found.len(), found["a.plist"].as_str(), found["b.plist"].as_str()),
            (3, "644 a.plist", "644 b.plist")
        );
        assert!(found.contains_key(&other));

        fs::remove_dir_all(world.home().join(".local/state/unitbee/lock")).unwrap();
        for done in [stage_as_root(far.as_ref(), &batch).await, change_as_root(far.as_ref(), &batch).await] {
            assert!(matches!(done, Err(HostError::LockLost { .. })), "{done:?}");
        }
        assert_eq!(listing(&daemons), found);
    });
}
