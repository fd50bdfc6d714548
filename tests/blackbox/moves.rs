//! A service that goes from one supervisor to another and back: there are never two copies, and nothing of the first stays.

use super::bench::Bench;
use super::manifest::web;

const RUNNER: &[&str] = &["--supervisor", "runner"];

/// Notes, for as long as the host is up, how many daemons there are whenever that is more than one.
const WATCH: &str = "setsid sh -c '
  while :; do
    set -- $(pidof daemon || true)
    [ $# -le 1 ] || echo \"$*\" >>/tmp/two
  done' >/dev/null 2>&1 </dev/null & echo $!";

pub(crate) fn subject(bench: &Bench) {
    bench
        .project
        .write("unitbee.toml", web(&[], r#"restart = { when = "always", delay = "100ms", max_delay = "100ms" }"#));
    let unit = "/home/bee/.config/systemd/user/web-main.service";
    let definition = "/home/bee/.config/unitbee/web-main.sh";
    bench.unitbee(&["apply"]).exits(0);
    let watch = bench.root(WATCH);
    let first = bench.running("web-main");

    let with = |args: &[&str]| bench.unitbee(&[args, RUNNER].concat());
    with(&["plan"])
        .exits(2)
        .says("stop web-main and take it away from systemd")
        .says("under the runner, because it was asked for");
    with(&["apply"]).exits(0).says("stopped web-main by its shutdown URL").says("web-main is healthy after");
    let second = only(bench, first);
    assert_eq!(bench.sh(&format!("ls {unit} 2>/dev/null || true")), "", "systemd has it too");
    assert_eq!(bench.property("web-main", "LoadState,ActiveState"), "not-found\ninactive");
    // What is installed under the runner is found there without being told.
    let status = bench.unitbee(&["status", "--json"]).exits(0).json();
    assert_eq!((&status[0]["manager"], &status[0]["pid"]), (&"runner".into(), &second.into()), "{status:#}");
    with(&["apply"]).exits(0).says("unchanged");

    // While its runner is dead the service runs on, and is still not there twice.
    bench.root(&format!("kill -KILL {}", bench.record("web-main")["runner"]));
    bench.unitbee(&["plan"]).exits(2).says("stop web-main and take it away from runner");
    bench.unitbee(&["apply"]).exits(0).says("web-main is healthy after");
    let third = only(bench, second);
    assert_eq!(bench.running("web-main"), third);
    assert_eq!(bench.sh(&format!("find {definition} ~/.local/state/unitbee/registry ~/.local/state/unitbee/claims -type f 2>/dev/null || true")), "");
    bench.unitbee(&["apply"]).exits(0).says("unchanged");

    bench.root(&format!("kill {watch}"));
    assert_eq!(bench.root("cat /tmp/two 2>/dev/null || true"), "", "two at a time");
    bench.unitbee(&["uninstall"]).exits(0);
    assert_eq!(bench.root("pidof daemon || true"), "");
    assert_eq!(
        bench.sh("find ~/.config/unitbee ~/.local/state/unitbee ~/.local/share/unitbee 2>/dev/null || true"),
        ""
    );
}

/// The one daemon of the host, which is not `before`.
#[track_caller]
fn only(bench: &Bench, before: u32) -> u32 {
    let pids = bench.root("pidof daemon");
    let pid = pids.trim().parse().unwrap_or_else(|_| panic!("not one daemon: {pids}"));
    assert_ne!(pid, before);
    bench.assert_healthy(pid);
    pid
}
