//! Twenty who apply at once: one does the work, and what is there afterwards is what each of them wanted.

use super::bench::Bench;
use super::manifest::web;
use super::run::Run;

const CROWD: usize = 20;

pub(crate) fn subject(bench: &Bench) {
    bench.project.write("unitbee.toml", web(&["--version", "1"], ""));
    let runs = at_once(bench, &["apply"]);
    for run in &runs {
        run.clone().exits(0);
    }
    assert_one(bench, "1", 1);

    bench.project.write("unitbee.toml", web(&["--version", "2"], ""));
    let runs = at_once(bench, &["apply", "--lock-wait", "0s"]);
    let (done, busy): (Vec<Run>, Vec<Run>) = runs.into_iter().partition(|run| run.code == Some(0));
    assert!(!done.is_empty(), "nobody did the work");
    for run in busy {
        run.exits(1).says("is busy: tester@").says("is at work there");
    }
    assert_one(bench, "2", 2);
}

fn at_once(bench: &Bench, args: &[&str]) -> Vec<Run> {
    let crowd: Vec<_> = (0..CROWD).map(|_| bench.start(&[("USER", "tester")], args)).collect();
    crowd.into_iter().map(super::run::Running::end).collect()
}

fn assert_one(bench: &Bench, version: &str, release: u64) {
    let pid = bench.running("web-main");
    bench.assert_healthy(pid);
    assert_eq!(bench.get(8080, "/health").1.trim(), format!("ok version={version} pid={pid}"));
    assert_eq!(bench.processes("web-main"), [pid]);
    let starts = bench.said("web-main");
    assert_eq!(
        starts.matches(&format!("daemon {version} is up")).count(),
        1,
        "it was started more than once: {starts}"
    );
    let status = bench.unitbee(&["status", "--json"]).exits(0).json();
    assert_eq!(status[0]["release"], release, "{status:#}");
    bench.unitbee(&["plan"]).exits(0).says("nothing to do");
    assert_eq!(bench.sh("find $HOME -path '*/unitbee/lock/*/*' ! -name free"), "", "a lock is left");
}
