//! An apply that is stopped for longer than its lock lasts, as by a lid that is closed: whoever was faster wins, and the
//! one that wakes up changes nothing.

use rustix::process::Signal;

use super::super::bench::Bench;
use super::moment::{Moment, all};
use super::tree::Tree;
use super::{Kind, Release, assert_good, assert_runs, start, unitbee};

/// Where the first one is stopped: as it brings its files, and when its first unit is done.
const STEPS: [(&str, &str); 2] = [("step-began", "release:"), ("step-began", "gate:")];

pub(crate) fn subject(bench: &Bench) {
    let release = |version| Release { version, kind: Kind::ByUrl };
    for version in 1..=3 {
        release(version).write(bench);
        unitbee(bench, &["apply"]).exits(0);
    }
    let whole = Tree::of(bench).whole();
    release(4).write(bench);
    let run = unitbee(bench, &["--json", "apply"]).exits(0);
    let moments: Vec<Moment> = all(&run).into_iter().flatten().collect();
    for (number, (event, step)) in (0..).zip(STEPS) {
        let is_it = |moment: &&Moment| moment.event == event && moment.step.starts_with(step);
        let moment = moments.iter().find(is_it).unwrap();
        let (slow, quick) = (release(10 + 2 * number), release(11 + 2 * number));
        slow.write(bench);
        let mut running = start(bench, &["apply"]);
        let lines = running.lines();
        moment.reach(&lines);
        running.signal(Signal::STOP);

        quick.write(bench);
        let run = unitbee(bench, &["apply"]).exits(0);
        assert!(run.stderr.contains("waiting for "), "it had the lock at once:\n{run}");
        assert_runs(bench, quick, "while the first one sleeps");
        running.signal(Signal::CONT);
        let rest = lines.rest();
        let run = running.end().exits(1);
        let what = format!("{moment:?}\n{}\n{run}", rest.join("\n"));
        let lost = format!("the lock on {} was lost", bench.host.name);
        assert!(rest.iter().any(|line| line.contains(&lost)), "{what}");
        assert_runs(bench, quick, &what);
        whole.assert_is_of(bench, &what);
        assert_good(bench, &what);
        unitbee(bench, &["plan"]).exits(0);
    }
}
