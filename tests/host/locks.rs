//! Locks, taken and found from this machine and from behind an sshd.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use unitbee::host::{HostError, Query};

use crate::world::{alone, listing, signal, taken};

#[test]
fn a_lock_is_held_against_both_ways_in() {
    alone("locks::a_lock_is_held_against_both_ways_in", async |mut world| {
        let hosts = world.both();
        let none = Query::default();
        for holder in &hosts {
            for other in &hosts {
                let (lease, _) = taken(holder, "ann: apply").await;
                let error = other.lock("apply", "bob", &none).await.unwrap_err();
                assert!(matches!(&error, HostError::Busy { owner, .. } if owner == "ann: apply"), "{error:?}");
                let (another, _) = other.lock("other", "bob", &none).await.unwrap();
                drop(another);
                drop(lease);
                drop(taken(other, "bob").await);
            }
        }
        let error = hosts[1].lock("../x", "me", &none).await.unwrap_err();
        assert!(matches!(error, HostError::Unsendable { .. }), "{error:?}");
    });
}

#[test]
fn the_lock_of_the_dead_is_taken_over() {
    alone("locks::the_lock_of_the_dead_is_taken_over", async |mut world| {
        let hosts = world.both();
        for other in &hosts {
            let (lease, _) = taken(&hosts[1], "ann").await;
            let lock = world.home().join(".local/state/unitbee/lock");
            let tokens: Vec<_> = listing(&lock).into_keys().filter(|path| path.contains('/')).collect();
            let [token] = &tokens[..] else { panic!("{tokens:?}") };
            let holder = token.split(['/', '.']).nth(1).unwrap();
            signal("KILL", holder);
            let (next, _) = taken(other, "bob").await;
            drop((lease, next));
        }
    });
}

#[test]
fn of_many_one_at_a_time_has_the_lock() {
    alone("locks::of_many_one_at_a_time_has_the_lock", async |mut world| {
        let hosts = world.both();
        let busy = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let tasks = (0..10).map(|number| {
            let (host, busy) = (Arc::clone(&hosts[number % 2]), Arc::clone(&busy));
            tokio::spawn(async move {
                let owner = number.to_string();
                let (lease, _) = taken(&host, &owner).await;
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

/// An older version calls its token without a time and a name, and writes inside who it is.
#[test]
fn a_lock_of_an_older_version_counts() {
    alone("locks::a_lock_of_an_older_version_counts", async |mut world| {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let node = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let own = std::process::id();
        // 0 is for who could not find out when it started; nobody started at 1.
        let token =
            |start| format!("home/.local/state/unitbee/lock/apply@{}/{own}.{start}.{}.x", node.trim(), boot.trim());
        for host in world.both() {
            let alive = world.file(&token(0), "ann@laptop, process 7");
            let error = host.lock("apply", "bob", &Query::default()).await.unwrap_err();
            assert_eq!(error.to_string(), format!("{} is busy: ann@laptop, process 7 is at work there", host.name()));
            std::fs::rename(alive, world.folder.join(token(1))).unwrap();
            drop(host.lock("apply", "bob", &Query::default()).await.unwrap());
            drop(taken(&host, "cat").await);
        }
    });
}
