//! What is said when the connection breaks in the middle of something.

use std::time::Duration;

use unitbee::supervisor::{JobResult, State, Transport, Unseen};

use crate::site::{PATIENCE, Site};

const SLOW: &str = "[Service]\nType=exec\nExecStart=/bin/sleep 1000\nExecStartPost=/bin/sleep 3\n";

#[tokio::test]
async fn a_bus_that_dies_during_a_job() {
    for suite in ["bullseye", "forky"] {
        let Some(site) = Site::up("bus-dies", suite, &[]) else { return };
        site.sh("loginctl enable-linger bee");
        site.install(&[("slow.service", SLOW)]);
        let supervisor = site.connect().await.unwrap();
        assert_eq!(supervisor.transport(), Transport::ForwardedBus);
        let mut watch = supervisor.watch("slow").await.unwrap();
        let job = supervisor.start("slow", PATIENCE);
        let accident = async {
            watch.changed(PATIENCE).await;
            site.root("pkill -KILL -u bee -f 'dbus-daemon --session'");
        };
        let (end, ()) = tokio::join!(job, accident);
        let JobResult::Unseen { cause: Unseen::ConnectionLost, status } = end.unwrap() else { panic!("on {suite}") };
        assert!(matches!(status.state, State::Starting | State::Running { .. }), "{status:?}");
        let later =
            crate::site::until(&supervisor, "slow", "running", |status| matches!(status.state, State::Running { .. }));
        later.await;
    }
}

/// Signals that nobody takes must not hold up what comes after them on the same connection.
#[tokio::test]
async fn a_watch_that_nobody_asks() {
    let Some(site) = Site::up("watch", "trixie", &[]) else { return };
    site.install(&[(
        "ok.service",
        "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=exec\nExecStart=/bin/sleep 1000\n",
    )]);
    let supervisor = site.connect().await.unwrap();
    let mut watch = supervisor.watch("ok").await.unwrap();
    for _ in 0..40 {
        assert_eq!(supervisor.stop("ok", PATIENCE).await.unwrap(), JobResult::Done);
        assert_eq!(supervisor.start("ok", PATIENCE).await.unwrap(), JobResult::Done);
    }
    assert!(watch.changed(PATIENCE).await, "forty restarts are a change");
    // The last of them may still be on its way.
    let mut more = 0;
    while watch.changed(Duration::from_millis(300)).await {
        more += 1;
    }
    assert!(more < 10, "{more} more: what was not asked for was kept, one by one");
}
