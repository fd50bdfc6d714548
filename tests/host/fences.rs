//! What a lock is good for once it is lost, who is told to hold one, and where there is no room for any.

use std::fs;
use std::io::Write;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use unitbee::host::{
    Answer, Ask, Base, Batch, Command, Content, Guard, Holder, Host, HostError, HostPath, Lease, Put, Query,
};

use crate::changes::{at, change, put, puts};
use crate::world::{Far, Mount, World, alone, eventually, listing, signal, skip, taken};

/// Somebody who holds nothing.
#[derive(Debug)]
struct Nobody;

impl Guard for Nobody {}

fn token(lease: &Lease) -> Utf8PathBuf {
    Utf8Path::new("/").join(&lease.fence().token().rel)
}

fn is_lost<T>(result: Result<T, HostError>) -> bool {
    match result {
        Err(HostError::LockLost { .. }) => true,
        Err(error) => panic!("{error:?}"),
        Ok(_) => false,
    }
}

#[test]
fn what_is_done_under_a_lock_is_refused_once_it_is_lost() {
    alone("fences::what_is_done_under_a_lock_is_refused_once_it_is_lost", async |mut world| {
        let hosts = world.both();
        world.file("place/old", "old");
        let place = world.folder.join("place");
        let touch = |name: &str| Command::new("touch").arg(place.join(name));
        for (holder, actor) in hosts.iter().flat_map(|holder| hosts.iter().map(move |actor| (holder, actor))) {
            let (lease, _) = taken(holder, "ann").await;
            let fence = lease.fence();
            let fenced = |batch: Batch| Batch { fence: Some(fence.clone()), ..batch };
            let asked = Lease::new(fence.clone(), Box::new(Nobody));
            change(actor, fenced(puts([put(place.join("new"), 0o644, "new")]))).await.unwrap();
            change(actor, fenced(Batch { removes: vec![at(place.join("new"))], ..Batch::default() })).await.unwrap();
            assert!(actor.run(&touch("touched").fenced(fence)).await.unwrap().success());
            drop(actor.pipe(&Command::new("cat").fenced(fence)).await.unwrap());
            assert!(!is_lost(lease.check(holder.as_ref()).await) && !is_lost(asked.check(actor.as_ref()).await));
            fs::remove_file(place.join("touched")).unwrap();

            // As whoever comes next does it with the lock of a dead holder.
            fs::rename(token(&lease), token(&lease).with_file_name("1.2.3.4")).unwrap();
            let before = (listing(&place), listing(&world.home()));
            let all = Batch {
                removes: vec![at(place.join("old"))],
                ..puts([put(place.join("a/b"), 0o644, "new"), put(world.home().join(".config/x/y"), 0o644, "new")])
            };
            assert!(is_lost(change(actor, fenced(all)).await));
            assert!(is_lost(
                change(actor, fenced(Batch { removes: vec![at(place.join("old"))], ..Batch::default() })).await
            ));
            assert!(is_lost(actor.run(&touch("touched").env("SECRET", "x").stdin("in").fenced(fence)).await));
            assert!(is_lost(actor.pipe(&touch("touched").fenced(fence)).await.map(drop)));
            assert!(is_lost(asked.check(actor.as_ref()).await));
            assert_eq!((listing(&place), listing(&world.home())), before);
            drop(lease);
            fs::remove_dir_all(world.home().join(".local/state/unitbee")).unwrap();
        }
    });
}

#[test]
fn a_lock_that_is_lost_while_a_change_is_staged_stops_it() {
    alone("fences::a_lock_that_is_lost_while_a_change_is_staged_stops_it", async |mut world| {
        let bin = world.folder.join("bin");
        // What was staged is synced right before the lock is looked at again.
        world.program("bin/sync", &format!("rm -f {}/.local/state/unitbee/lock/apply@*/[0-9]*", world.home()));
        let path = format!("{bin}:/usr/bin:/bin");
        let far = world.ssh_to(&Far { path: Some(&path), ..Far::default() });
        world.file("place/old", "old");
        let place = world.folder.join("place");
        let batch = |fence| Batch {
            removes: vec![at(place.join("old"))],
            fence: Some(fence),
            ..puts([put(place.join("new/a"), 0o644, "new"), put(place.join("b"), 0o644, "new")])
        };
        let before = listing(&place);
        let (lease, _) = taken(&far, "ann").await;
        assert!(is_lost(change(&far, batch(lease.fence().clone())).await));
        assert_eq!(listing(&place), before);
        assert!(!world.home().join(".local/share/unitbee").exists());
        drop(lease);

        let here = World::local();
        let (lease, _) = taken(&here, "ann").await;
        let gate = world.folder.join("gate");
        crate::world::run(std::process::Command::new("mkfifo").arg(&gate));
        let mut batch = batch(lease.fence().clone());
        let sha256 = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae".into();
        batch.puts[1].content = Content::File { path: gate.clone(), len: 3, sha256 };
        let lost = token(&lease);
        let writer = std::thread::spawn(move || {
            // It can be opened once the change has begun to read.
            let mut gate = fs::File::options().write(true).open(gate).unwrap();
            fs::remove_file(lost).unwrap();
            gate.write_all(b"foo").unwrap();
        });
        assert!(is_lost(change(&here, batch).await));
        writer.join().unwrap();
        assert_eq!(listing(&place), before);
    });
}

#[test]
fn a_holder_asks_once_nobody_hears_it() {
    alone("fences::a_holder_asks_once_nobody_hears_it", async |mut world| {
        let host = world.ssh();
        let (lease, _) = taken(&host, "ann").await;
        let exchanges = host.exchanges();
        lease.check(host.as_ref()).await.unwrap();
        assert_eq!(host.exchanges(), exchanges, "it asks though the host hears it");
        let name = token(&lease).file_name().unwrap().to_owned();
        signal("KILL", name.split('.').next().unwrap());
        let (next, _) = taken(&World::local(), "bob").await;
        let mut lost = false;
        for _ in 0..500 {
            lost = is_lost(lease.check(host.as_ref()).await);
            if lost {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert!(lost && host.exchanges() > exchanges);
        assert!(!is_lost(next.check(World::local().as_ref()).await));
        drop(lease);
        assert!(!is_lost(next.check(World::local().as_ref()).await), "who has lost it gave it back");
    });
}

async fn holder(host: &Arc<dyn Host>) -> Option<Holder> {
    let seen = host.query(&Query { asks: vec![Ask::Locked("apply".into()), Ask::Program("sh".into())] }).await.unwrap();
    match &seen.answers[..] {
        [Answer::Locked(holder), Answer::Program(Some(_))] => holder.clone(),
        answers => panic!("{answers:?}"),
    }
}

#[test]
fn who_holds_a_lock_is_told_without_taking_it() {
    alone("fences::who_holds_a_lock_is_told_without_taking_it", async |mut world| {
        let hosts = world.both();
        for keeps in [false, true] {
            if keeps {
                world.file("home/.local/share/unitbee/store/x", "");
            }
            for (locker, asker) in hosts.iter().flat_map(|holder| hosts.iter().map(move |actor| (holder, actor))) {
                assert_eq!(holder(asker).await, None);
                let (lease, _) = taken(locker, "ann@laptop: apply, 100 %").await;
                let found = holder(asker).await.unwrap();
                assert_eq!((found.owner.as_str(), found.alive), ("ann@laptop: apply, 100 %", true));
                assert_eq!(Some(found.token.as_str()), token(&lease).file_name());
                assert!(found.since.is_some_and(|since| since > 1_700_000_000), "{found:?}");
                drop(lease);
                drop(taken(locker, "bob").await);
                eventually("it is free", || {
                    let lock = world.home().join(".local/state/unitbee/lock");
                    if keeps { listing(&lock).keys().any(|name| name.ends_with("/free")) } else { !lock.exists() }
                })
                .await;
            }
        }
        let (lease, _) = taken(&hosts[1], "ann").await;
        signal("KILL", token(&lease).file_name().unwrap().split('.').next().unwrap());
        for asker in &hosts {
            eventually("it is dead", || !running(&token(&lease))).await;
            assert!(!holder(asker).await.unwrap().alive);
        }
        let error = hosts[1].query(&Query { asks: vec![Ask::Locked("../x".into())] }).await.unwrap_err();
        assert!(matches!(error, HostError::Unsendable { .. }), "{error:?}");
    });
}

/// Whether the process that a token is called after lives.
fn running(token: &Utf8Path) -> bool {
    let pid = token.file_name().unwrap().split('.').next().unwrap();
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn machines_that_share_a_home_do_not_look_at_each_others_locks() {
    alone("fences::machines_that_share_a_home_do_not_look_at_each_others_locks", async |mut world| {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        // One that would be alive here, and one that would be dead.
        for (pid, start) in [(std::process::id(), 0), (1, 1)] {
            let name = format!(".local/state/unitbee/lock/apply@another/{pid}.{start}.{}.x.5.cat", boot.trim());
            let other = world.file(&format!("home/{name}"), "");
            for host in world.both() {
                let (lease, _) = taken(&host, "ann").await;
                assert_eq!(holder(&host).await.unwrap().owner, "ann");
                drop(lease);
                drop(taken(&host, "bob").await);
                eventually("only that of the other is left", || {
                    let found = listing(&world.home().join(".local/state/unitbee/lock"));
                    found.len() == 2 && other.exists()
                })
                .await;
            }
            fs::remove_dir_all(world.home().join(".local")).unwrap();
        }
    });
}

/// Takes all the space, or all the names, that there is.
fn fill(folder: &Utf8Path) {
    let spare = |number: u32| folder.join(format!("fill-{number}"));
    assert!((0..100_000).any(|number| fs::write(spare(number), "").is_err()), "there is no end to names");
    let bytes = vec![7; 1 << 20];
    for number in 0..1000 {
        let file = fs::OpenOptions::new().append(true).open(spare(number));
        drop(file.and_then(|mut file| file.write_all(&bytes)));
    }
}

#[test]
fn what_fills_the_disk_can_be_removed() {
    const TEST: &str = "fences::what_fills_the_disk_can_be_removed";
    alone(TEST, async |mut world| {
        let hosts = world.both();
        for (holder, actor) in hosts.iter().flat_map(|holder| hosts.iter().map(move |actor| (holder, actor))) {
            let Some(home) = Mount::new(&world.home(), "size=256k,nr_inodes=60,mode=700") else {
                return skip(TEST, "no file system can be mounted here");
            };
            let ours = HostPath::new(Base::Data, "unitbee/store/x/program");
            let program = Put { path: ours.clone(), mode: 0o755, content: Content::Bytes(b"x".to_vec()) };
            let (lease, _) = taken(holder, "ann").await;
            let batch = Batch { fence: Some(lease.fence().clone()), ..puts([program]) };
            change(actor, batch).await.unwrap();
            drop(lease);
            drop(taken(holder, "ann").await);
            let lock = world.home().join(".local/state/unitbee/lock");
            eventually("it is free", || listing(&lock).keys().any(|name| name.ends_with("/free"))).await;

            fill(&world.home());
            let (lease, _) = holder.lock("apply", "ann", &Query::default()).await.unwrap();
            let error = actor.lock("apply", "bob", &Query::default()).await.unwrap_err();
            assert!(matches!(&error, HostError::Busy { owner, .. } if owner == "ann"), "{error:?}");
            let stop = Command::new("true").fenced(lease.fence());
            assert!(actor.run(&stop).await.unwrap().success());
            let batch = Batch {
                removes: vec![ours],
                prune: ["unitbee/store/x", "unitbee/store", "unitbee"].map(|rel| HostPath::new(Base::Data, rel)).into(),
                fence: Some(lease.fence().clone()),
                ..Batch::default()
            };
            change(actor, batch).await.unwrap();
            drop(lease);
            eventually("nothing is left", || {
                listing(&world.home()).keys().all(|name| name.starts_with("fill-") || !name.contains("unitbee"))
            })
            .await;

            // Where there is no lock yet, none can be made, and that is said at once.
            fs::remove_dir_all(world.home().join(".local")).unwrap();
            fill(&world.home());
            for spare in 0..6 {
                let before = listing(&world.home()).len();
                for host in [holder, actor] {
                    match host.lock("apply", "me", &Query::default()).await {
                        Ok(_) => assert!(spare > 4, "{spare}"),
                        Err(HostError::Change { step, detail, .. }) => {
                            assert_eq!(detail, "No space left on device", "{step}");
                            assert!(step.contains("/.local/state/unitbee/lock"), "{step}");
                        }
                        Err(error) => panic!("{error:?}"),
                    }
                    let ours = world.home().join(".local/state/unitbee");
                    eventually("nothing is left behind", || !ours.exists()).await;
                    drop(fs::remove_dir_all(world.home().join(".local")));
                }
                assert_eq!(listing(&world.home()).len(), before);
                fs::remove_file(world.home().join(format!("fill-{spare}"))).unwrap();
            }
            drop(home);
        }
    });
}
