//! What launchd never comes to an end with: a verb gives up in time, says over what, and leaves nothing half done.

use super::bench::Bench;
use super::faults::{LABEL, SOON, fails, knob, restarts};
use super::manifest::web;

pub(crate) fn subject(bench: &Bench) {
    bench.project.write("unitbee.toml", web(&[], ""));
    bench.unitbee(&["apply"]).exits(0);
    it_takes_its_time_to_start(bench);
    launchctl_hangs(bench);
    it_is_killed_while_it_starts_what_is_disabled(bench);
    its_process_does_not_end(bench);
}

fn it_takes_its_time_to_start(bench: &Bench) {
    knob(bench, "spawn-time", "2");
    restarts(bench);
    knob(bench, "spawn-time", "0.05");
    // Longer than anybody waits: 1 s between two starts, 15 s for one, and what the health check is given.
    let keys = r#"restart = { when = "always", delay = "1s", max_delay = "1s" }"#;
    bench.project.write("unitbee.toml", web(&[], keys).replace("30s", "1s"));
    bench.unitbee(&["apply"]).exits(0);
    knob(bench, "stays-scheduled", "true");
    let words = format!("launchd has loaded gui/1000/{LABEL} and has not started it for ");
    fails(bench.unitbee(&["restart"]), &words, "`unitbee restart` loads it anew");
    knob(bench, "stays-scheduled", "false");
    bench.project.write("unitbee.toml", web(&[], ""));
    bench.unitbee(&["apply"]).exits(0);
}

/// With a shell that gives a script without a terminal no groups of processes; on a Mac one may choose it.
fn launchctl_hangs(bench: &Bench) {
    let pid = bench.running("web-main");
    bench.root("ln -sf dash /usr/bin/sh");
    knob(bench, "hangs", "print");
    let all = ["status", "stop", "apply"].map(|verb| bench.start(&[], &[verb]));
    for running in all {
        let words = "look at web-main on hangs-mac: `launchctl print user/1000` did not come back within 20 s";
        fails(running.end(), words, "`launchctl print system` on the host");
    }
    knob(bench, "hangs", "");
    assert_eq!(bench.root("/usr/libexec/lab/ps -A -o args= | grep '[l]aunchctl print' || true"), "", "calls were left");
    for verb in ["bootout", "enable", "bootstrap"] {
        knob(bench, "hangs", verb);
        let call = if verb == "enable" { "bootstrap" } else { verb };
        let words = format!("`launchctl {call} gui/1000/{LABEL}` did not come back within 10 s; web-main is down");
        fails(bench.unitbee(&["restart"]), &words, "`launchctl print system` on the host");
        knob(bench, "hangs", "");
        bench.unitbee(&["start"]).exits(0);
    }
    bench.root("ln -sf bash /usr/bin/sh");
    assert_ne!(bench.running("web-main"), pid);
}

/// What was disabled stays so, whenever who starts it is killed: the next verb does what was left undone.
fn it_is_killed_while_it_starts_what_is_disabled(bench: &Bench) {
    for verb in ["stop", "start", "disable"] {
        bench.unitbee(&["stop"]).exits(0);
        bench.unitbee(&["disable"]).exits(0);
        knob(bench, "hangs", "bootstrap");
        let running = bench.start(&[], &["start"]);
        let begun = |bench: &Bench| bench.root("mac calls").trim_end().ends_with(".plist None");
        bench.until("launchd is told to load it", SOON, begun);
        bench.kill(running);
        knob(bench, "hangs", "");
        bench.unitbee(&["status"]).exits(3).hides("running");
        bench.unitbee(&[verb]).exits(0);
        assert!(!bench.is_enabled("web-main"), "{verb}");
        assert_eq!(bench.sh("ls ~/.local/state/unitbee/disabled"), "", "{verb}");
    }
    bench.unitbee(&["apply"]).exits(0);
    assert!(bench.is_enabled("web-main"));
}

fn its_process_does_not_end(bench: &Bench) {
    bench.project.write(
        "unitbee.toml",
        web(&[], "").replace("drain = \"2s\", term = \"5s\"", "term = \"1s\"").replace("/v1/shutdown", "/nowhere"),
    );
    bench.unitbee(&["apply"]).exits(0);
    let pid = bench.running("web-main");
    knob(bench, "unkillable", "true");
    let words = format!("web-main is still there after KILL: processes [{pid}]");
    fails(bench.unitbee(&["restart"]), &words, &format!("`ps -o state,command -p {pid}` on the host"));
    bench.unitbee(&["status"]).exits(3).says("stopping");
    let words = format!(
        "start web-main on hangs-mac: gui/1000/{LABEL} was told to end and was killed, and launchd still has it"
    );
    fails(bench.unitbee(&["start"]), &words, &format!("`sudo launchctl bootout gui/1000/{LABEL}` on the host"));
    knob(bench, "unkillable", "false");
    bench.root(&format!("kill -KILL {pid}"));
    bench.project.write("unitbee.toml", web(&[], ""));
    bench.unitbee(&["apply"]).exits(0);
    assert_eq!(bench.processes("web-main"), [bench.running("web-main")]);
}
