//! A signal in the middle of a replacement: both units are up afterwards, and the same command again goes on.

use std::time::Duration;

use rustix::process::Signal;

use super::super::bench::Bench;
use super::super::target::Reach;
use super::moment::{all, planned};
use super::tree::Tree;
use super::{Kind, Release, assert_good, assert_runs, await_any, start, unitbee};

const SOON: Duration = Duration::from_secs(40);

pub(crate) fn subject(bench: &Bench) {
    assert_eq!(bench.target.reach, Reach::Ssh);
    let release = |version| Release { version, kind: Kind::ByUrl };
    for version in 1..=3 {
        release(version).write(bench);
        unitbee(bench, &["apply"]).exits(0);
    }
    let whole = Tree::of(bench).whole();
    release(4).write(bench);
    let plan = planned(bench);
    let run = unitbee(bench, &["--json", "apply"]).exits(0);
    let groups = all(&run);
    let first = groups.iter().flatten().find(|moment| moment.step.starts_with("replace:")).unwrap();
    assert!(plan.contains(&first.step));
    let signals = [(Signal::INT, Some(1)), (Signal::TERM, Some(1)), (Signal::HUP, Some(1)), (Signal::QUIT, None)];
    // What a shell starts in the background ignores it from the start.
    let signals = signals.into_iter().filter(|(signal, _)| *signal != Signal::QUIT || !is_quit_ignored());
    for (number, (signal, code)) in (5..).zip(signals) {
        let (old, new) = (release(number - 1), release(number));
        new.write(bench);
        let mut running = start(bench, &["apply"]);
        let lines = running.lines();
        first.reach(&lines);
        running.signal(signal);
        let run = running.end();
        assert_eq!(run.code, code, "{signal:?}:\n{run}");
        let what = format!("{signal:?}\n{run}");
        await_any(bench, &[old, new], SOON, &what);
        if code.is_some() {
            // The unit in hand is finished, the other is left, and nothing is unfinished.
            assert!(new.is_answer(200, &bench.get(8081, "/health").1), "{what}");
            assert!(old.is_answer(200, &bench.get(8082, "/health").1), "{what}");
            assert_good(bench, &what);
        }
        unitbee(bench, &["apply"]).exits(0);
        assert_runs(bench, new, &what);
        whole.assert_is_of(bench, &what);
        assert_good(bench, &what);
    }
}

fn is_quit_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
    u64::from_str_radix(ignored, 16).unwrap() & 1 << (Signal::QUIT.as_raw() - 1) != 0
}
