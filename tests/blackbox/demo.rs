//! The demo shows the whole job, and nothing of it stays.

use std::time::Duration;

use super::bench::Bench;
use super::run::Run;

pub(crate) fn subject(bench: &Bench) {
    let before = state(bench);
    let run = bench.unitbee(&demo(bench)).exits(0);
    for text in ["unitbee-demo-main is healthy after", "stopped by its shutdown URL", "removed unitbee-demo-main"] {
        assert!(run.stderr.contains(text), "{text:?} is not said: {run}");
    }
    for text in ["running  healthy", "listens on 127.0.0.1:", "Nothing is left"] {
        assert!(run.stdout.contains(text), "{text:?} is not said: {run}");
    }
    assert_eq!(state(bench), before, "something of the demo is left, or gone");

    let interrupted = (0..5).map(|_| interrupt(bench)).find(|run| run.code != Some(0));
    let run = interrupted.expect("each was over before it could be interrupted");
    assert_eq!(run.code, Some(1), "{run}");
    run.says("interrupted").says("Nothing is left");
    assert_eq!(state(bench), before, "something of the interrupted demo is left, or gone");
}

/// The verb, for services as those of the target are.
fn demo(bench: &Bench) -> Vec<&'static str> {
    [&["demo"], bench.target.scope()].concat()
}

/// Interrupts a demo while it waits for its daemon, unless that is healthy before it can be stopped.
fn interrupt(bench: &Bench) -> Run {
    let running = bench.start(&[], &demo(bench));
    let daemon = || bench.pid("unitbee-demo-main");
    bench.until("the daemon runs", Duration::from_secs(20), |_| daemon().is_some());
    if let Some(pid) = daemon() {
        bench.root(&format!("kill -STOP {pid} || true"));
    }
    bench.interrupt(running)
}

/// Files, units and processes of the user, and whether a session is needed for them.
fn state(bench: &Bench) -> String {
    let state = bench.root(
        "find /home/bee -path '*unitbee*' -o -name '*.service' -o -name '*.slice' | sort
         find /sys/fs/cgroup -name '*unitbee*' -o -name 'rbee.slice*'
         pgrep -u bee -l unitbee || true
         ls /var/lib/systemd/linger 2>/dev/null || true",
    );
    format!("{state}{}", bench.units().join("\n"))
}
