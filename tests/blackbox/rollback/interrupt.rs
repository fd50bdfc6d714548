//! Ctrl-C during an apply: once finishes the unit in hand, twice ends at once.

use std::time::Duration;

use super::super::bench::Bench;
use super::super::run::Running;
use super::Release;

const UNITS: [(&str, u16); 2] = [("one", 8080), ("two", 8081)];

pub(crate) fn subject(bench: &Bench) {
    bench.hurry();
    wants(bench, "1", &[]);
    bench.unitbee(&["apply"]).exits(0);
    once(bench);
    twice(bench);
    bench.unitbee(&["uninstall"]).exits(0);
}

fn once(bench: &Bench) {
    let second = bench.running("two-main");
    let running = begin(bench, "2");
    let run = bench.interrupt(running).exits(1);
    assert!(run.stderr.contains("interrupted: finishing the unit in hand"), "{run}");
    assert!(run.stderr.contains("done: one-main; untouched: two-main"), "{run}");
    bench.serves_at("one-main", 8080, "2");
    bench.serves_at("two-main", 8081, "1");
    assert_eq!(bench.running("two-main"), second, "the second was touched");
    bench.is_settled();
    bench.unitbee(&["status"]).exits(0);

    bench.unitbee(&["apply"]).exits(0).hides("unfinished");
    serve(bench, "2");
}

fn twice(bench: &Bench) {
    let running = begin(bench, "3");
    // Signals that come before the first one was seen count as one.
    bench.until("it has ended", Duration::from_secs(10), |_| {
        bench.signal_interrupt(&running);
        running.is_over()
    });
    let run = running.end().exits(130);
    assert!(run.stderr.contains("the next command that changes the host finishes or reverts"), "{run}");
    assert_eq!(bench.holding("begun_usec").len(), 1, "the journal tells of it");

    bench.unitbee(&["apply"]).exits(0).says("a change was left unfinished: apply by ");
    serve(bench, "3");
    bench.is_settled();
}

/// Starts an apply of a version whose first unit takes its time to get healthy, and awaits that it is under way.
fn begin(bench: &Bench, version: &str) -> Running {
    wants(bench, version, &["--health-after", "4000"]);
    let running = bench.start(&[], &["apply"]);
    bench.until("the first unit was replaced", Duration::from_secs(20), |bench| bench.get(8080, "/health").0 == 503);
    running
}

fn wants(bench: &Bench, version: &str, habits: &[&str]) {
    bench.wants(&UNITS.map(|(service, port)| Release { service, port, habits, ..Release::good(version) }));
}

#[track_caller]
fn serve(bench: &Bench, version: &str) {
    for (service, port) in UNITS {
        bench.serves_at(&format!("{service}-main"), port, version);
    }
    bench.unitbee(&["status"]).exits(0);
}
