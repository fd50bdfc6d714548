//! What a host does to the runner's notes: no process that is not the service's is touched, and nothing is believed for
//! being written down.

use std::time::Duration;

use super::bench::Bench;
use super::manifest::web;

const SOON: Duration = Duration::from_secs(20);
const RECORD: &str = "/home/bee/.local/state/unitbee/registry/web-main.json";

pub(crate) fn subject(bench: &Bench) {
    bench.project.write("unitbee.toml", web(&[], ""));
    bench.unitbee(&["apply"]).exits(0);
    a_dead_runner_is_told_and_mended(bench);
    a_recycled_number_is_not_signalled(bench);
    a_record_of_another_boot_is_past(bench);
    a_damaged_record_is_told_and_put_aside(bench);
    a_state_folder_that_cannot_be_written_is_told(bench);
    bench.unitbee(&["uninstall"]).exits(0);
    assert_eq!(bench.units(), Vec::<String>::new());
}

fn a_dead_runner_is_told_and_mended(bench: &Bench) {
    let pid = bench.running("web-main");
    bench.root(&format!("kill -KILL {}", bench.record("web-main")["runner"]));
    bench.unitbee(&["status"]).exits(0).says("running").says("unsupervised").says("mend: unitbee ensure web-main");
    bench.assert_healthy(pid);
    bench.unitbee(&["plan"]).exits(2).says("restart web-main: its runner has died");
    bench.unitbee(&["ensure"]).exits(0).says("healthy after");
    let new = bench.running("web-main");
    assert_ne!(new, pid);
    bench.assert_healthy(new);
    bench.unitbee(&["status"]).exits(0).hides("unsupervised");

    let both = format!("{} {new}", bench.record("web-main")["runner"]);
    bench.root(&format!("kill -KILL {both}"));
    // Who is killed is there until somebody has taken note of it.
    bench.until("both are gone", SOON, |bench| {
        bench.root(&format!("for pid in {both}; do ! kill -0 $pid 2>/dev/null || echo $pid; done")).is_empty()
    });
    bench.unitbee(&["status"]).exits(3).says("failed (its runner was killed)");
    bench.unitbee(&["apply"]).exits(0).says("web-main is healthy after");
}

fn a_recycled_number_is_not_signalled(bench: &Bench) {
    bench.unitbee(&["stop"]).exits(0);
    let stranger = bench.stranger("sleep 1000");
    let edit = format!(r#"s/"pid": [0-9]*/"pid": {stranger}/; s/"state": "[a-z]*"/"state": "running"/"#);
    bench.sh(&format!("sed -i '{edit}' {RECORD}"));
    bench.unitbee(&["status"]).exits(3).says("failed");
    bench.unitbee(&["kill", "--all", "--signal", "kill"]).exits(1);
    bench.unitbee(&["stop"]).exits(0).says("it did not run");
    bench.unitbee(&["start"]).exits(0);
    assert_eq!(bench.root(&format!("cat /proc/{stranger}/comm")).trim(), "sleep", "it is none of ours");
    bench.root(&format!("kill {stranger}"));
    bench.assert_healthy(bench.running("web-main"));
}

fn a_record_of_another_boot_is_past(bench: &Bench) {
    let text = bench.sh(&format!("cat {RECORD}"));
    bench.unitbee(&["stop"]).exits(0);
    let boot = bench.root("cat /proc/sys/kernel/random/boot_id");
    let other = text.replace(boot.trim(), "00000000-0000-0000-0000-000000000000");
    bench.pour(&format!("cat >{RECORD}"), other.as_bytes());
    bench.unitbee(&["status"]).exits(3).says("failed (it ended with the host's last boot)");
    bench.unitbee(&["apply"]).exits(0).says("web-main is healthy after");
}

fn a_damaged_record_is_told_and_put_aside(bench: &Bench) {
    for damage in ["printf '{ \"version\": 1,' >", "rm -f "] {
        bench.unitbee(&["stop"]).exits(0);
        bench.sh(&format!("{damage}{RECORD}; [ -e {RECORD} ] || mkdir {RECORD}"));
        bench.unitbee(&["status"]).exits(3).says("its record").says(RECORD);
        bench.unitbee(&["apply"]).exits(0).says("web-main is healthy after");
        bench.assert_healthy(bench.running("web-main"));
        bench.sh(&format!("ls -d {RECORD}.damaged"));
        bench.unitbee(&["plan"]).exits(0).says("nothing to do");
    }
}

fn a_state_folder_that_cannot_be_written_is_told(bench: &Bench) {
    bench.unitbee(&["stop"]).exits(0);
    bench.root("chown -R root: /home/bee/.local/state/unitbee; chmod -R go=rX /home/bee/.local/state/unitbee");
    bench.unitbee(&["start"]).exits(1).says("Permission denied");
    bench.root("chown -R bee: /home/bee/.local/state/unitbee");
    bench.unitbee(&["start"]).exits(0);
    bench.until("it runs", SOON, |bench| bench.pid("web-main").is_some());
}
