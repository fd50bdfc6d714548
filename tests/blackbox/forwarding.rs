//! A host whose sshd forwards nothing: a service there is no less healthy for it, and is left alone.

use std::time::Duration;

use super::bench::Bench;
use super::manifest::web;

pub(crate) fn subject(bench: &Bench) {
    sshd(bench, "AllowTcpForwarding no\n");
    // What a login shell prints, and what reads the same file, is no part of what is carried.
    bench.root("echo 'echo garbage; echo garbage >&2' >/home/bee/.bashrc");
    bench.project.write("unitbee.toml", web(&[], ""));
    bench.unitbee(&["apply"]).exits(0).says("web-main is healthy after");
    let pid = bench.running("web-main");
    bench.assert_healthy(pid);
    let status = bench.unitbee(&["status", "--json"]).exits(0).json();
    assert_eq!((&status[0]["health"], &status[0]["flags"]), (&"healthy".into(), &serde_json::json!([])), "{status:#}");
    bench.unitbee(&["ensure"]).exits(0).says(&format!("runs already as process {pid}"));
    bench.root("rm /home/bee/.bashrc");
    assert_eq!(bench.running("web-main"), pid);
    bench.unitbee(&["stop"]).exits(0).says("stopped by its shutdown URL");
    bench.unitbee(&["start"]).exits(0).says("healthy after");

    nothing_connects(bench);
}

/// Nor is there a program that connects: nobody knows whether it is healthy.
fn nothing_connects(bench: &Bench) {
    bench.root("mkdir /srv/bare; ln -s /usr/bin/* /srv/bare; cd /srv/bare; rm -f bash python3 nc busybox");
    sshd(bench, "DisableForwarding yes\nSetEnv PATH=/srv/bare\n");
    let pid = bench.running("web-main");
    let status = bench.unitbee(&["status", "--json"]).exits(0).json();
    let flag = &status[0]["flags"][0]["kind"];
    assert_eq!((&status[0]["health"], flag), (&"unknown".into(), &"health-unknown".into()), "{status:#}");
    bench.unitbee(&["ensure"]).exits(1).says("lets nobody through").says("AllowTcpForwarding");
    assert_eq!(bench.running("web-main"), pid, "what may be healthy is not restarted");

    let run = bench.unitbee(&["restart"]).exits(1).says("lets nobody through").says("AllowTcpForwarding");
    assert!(run.took < Duration::from_secs(25), "nothing is waited for: {run}");
    assert_ne!(bench.running("web-main"), pid);
}

/// Has the sshd of the host follow these lines; those who are logged in log in again.
fn sshd(bench: &Bench, lines: &str) {
    bench.sshd(lines);
    bench.project.log_out();
}
