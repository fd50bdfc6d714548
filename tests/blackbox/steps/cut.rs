//! The network goes in the middle of a change and stays away: the units are up all the same, and once it is back the next
//! apply converges.

use super::super::bench::Bench;
use super::super::lab::{expect, lab};
use super::moment::{Moment, all};
use super::tree::Tree;
use super::{Kind, Release, SILENT, assert_good, assert_runs, await_any, start, unitbee};

/// What is under way when the network goes.
const STEPS: [&str; 3] = ["switch:", "replace:", "gate:"];

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
    for (number, step) in (5..).zip(STEPS) {
        let is_it = |moment: &&Moment| moment.event == "step-began" && moment.step.starts_with(step);
        let moment = moments.iter().find(is_it).unwrap();
        let (old, new) = (release(number - 1), release(number));
        new.write(bench);
        let mut running = start(bench, &["apply"]);
        let lines = running.lines();
        moment.reach(&lines);
        expect(&lab(&["cut", &bench.host.name]), "lab cut");
        let what = format!("cut at {moment:?}");
        await_any(bench, &[old, new], SILENT, &what);
        let run = running.end().exits(1);
        expect(&lab(&["mend", &bench.host.name]), "lab mend");
        let what = format!("{what}\n{run}");
        await_any(bench, &[old, new], SILENT, &what);
        unitbee(bench, &["apply"]).exits(0);
        assert_runs(bench, new, &what);
        whole.assert_is_of(bench, &what);
        assert_good(bench, &what);
    }
}
