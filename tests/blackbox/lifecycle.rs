//! Every verb does what the supervisor then confirms.

use std::time::Duration;

use super::bench::Bench;
use super::manifest::web;
use super::target::{Cron, Manager};

const SOON: Duration = Duration::from_secs(10);

pub(crate) fn subject(bench: &Bench) {
    for verb in ["start", "stop", "restart", "reload", "kill", "enable", "disable", "ensure", "wait"] {
        bench.project.write("unitbee.toml", web(&[], ""));
        bench.unitbee(&[verb]).exits(1).says("web-main is not installed");
    }
    let keys = r#"restart = { delay = "100ms", max_delay = "100ms" }
        systemd.Service.ExecReload = "/usr/bin/touch /tmp/reloaded""#;
    bench.project.write("unitbee.toml", web(&[], keys));
    bench.unitbee(&["apply"]).exits(0);

    stops_and_starts(bench);
    restarts(bench);
    reloads(bench);
    signals(bench);
    enables_and_disables(bench);
    ensures(bench);
    waits(bench);
}

fn stops_and_starts(bench: &Bench) {
    let pid = bench.running("web-main");
    bench.unitbee(&["start"]).exits(0).says(&format!("runs already as process {pid}"));
    assert_eq!(bench.running("web-main"), pid);

    bench.unitbee(&["stop"]).exits(0).says("stopped by its shutdown URL");
    assert_eq!(bench.property("web-main", "ActiveState"), "inactive");
    assert_eq!(bench.processes("web-main"), Vec::<u32>::new());
    assert!(bench.is_enabled("web-main"), "what is stopped comes back at the next boot");
    bench.unitbee(&["stop"]).exits(0).says("it did not run");
    let status = bench.unitbee(&["status", "--json"]).exits(3).json();
    assert_eq!((&status[0]["state"], &status[0]["pid"]), (&"stopped".into(), &serde_json::Value::Null), "{status:#}");

    bench.unitbee(&["start"]).exits(0).says("healthy after");
    let new = bench.running("web-main");
    assert_ne!(new, pid);
    bench.assert_healthy(new);
}

fn restarts(bench: &Bench) {
    let pid = bench.running("web-main");
    bench.unitbee(&["restart"]).exits(0).says("stopped by its shutdown URL").says("healthy after");
    let new = bench.running("web-main");
    assert_ne!(new, pid);
    bench.assert_healthy(new);
}

fn reloads(bench: &Bench) {
    let pid = bench.running("web-main");
    if bench.target.manager != Manager::Systemd {
        bench.unitbee(&["reload"]).exits(1).says("`unitbee restart web-main`");
        assert_eq!(bench.running("web-main"), pid);
        return;
    }
    bench.unitbee(&["reload"]).exits(0).says("reloaded");
    bench.root("rm /tmp/reloaded");
    assert_eq!(bench.running("web-main"), pid);
}

fn signals(bench: &Bench) {
    let pid = bench.running("web-main");
    bench.unitbee(&["kill", "--signal", "kill"]).exits(0).says("SIGKILL");
    bench.until("the supervisor starts it again", SOON, |bench| bench.pid("web-main").is_some_and(|new| new != pid));
    assert_eq!(bench.property("web-main", "NRestarts"), "1");
    let status = bench.unitbee(&["status", "--json"]).json();
    assert_eq!(status[0]["restarts"], 1, "{status:#}");

    let pid = bench.running("web-main");
    bench.unitbee(&["kill", "--all"]).exits(0).says("SIGTERM");
    if bench.target.domain().is_some() {
        // To launchd an end by a signal is a failure, whichever signal it is.
        bench.until("TERM ends it", SOON, |bench| bench.pid("web-main").is_some_and(|new| new != pid));
        bench.unitbee(&["stop"]).exits(0);
    }
    bench.until("TERM ends it", SOON, |bench| bench.property("web-main", "ActiveState") == "inactive");
    bench.unitbee(&["kill"]).exits(1).says("web-main is stopped");
    bench.unitbee(&["start"]).exits(0);
}

fn enables_and_disables(bench: &Bench) {
    if bench.target.manager == Manager::Runner && bench.target.cron != Cron::Able {
        assert!(bench.is_enabled("web-main"));
        return;
    }
    let pid = bench.running("web-main");
    bench.unitbee(&["disable"]).exits(0).says("disabled");
    assert!(!bench.is_enabled("web-main"));
    bench.unitbee(&["disable"]).exits(0).says("was disabled already");
    bench.unitbee(&["status"]).says("not-persistent").says("mend: unitbee enable web-main");
    bench.unitbee(&["enable"]).exits(0).says("enabled");
    assert!(bench.is_enabled("web-main"));
    bench.unitbee(&["enable"]).exits(0).says("was enabled already");
    assert_eq!(bench.running("web-main"), pid, "neither touches the process");
}

fn ensures(bench: &Bench) {
    let pid = bench.running("web-main");
    bench.unitbee(&["ensure"]).exits(0).says(&format!("runs already as process {pid}"));
    assert_eq!(bench.running("web-main"), pid);

    bench.stop_behind("web-main");
    bench.unitbee(&["ensure"]).exits(0).says("healthy after");
    let pid = bench.running("web-main");
    bench.assert_healthy(pid);

    bench.project.write("unitbee.toml", web(&[], "").replace("30s", "1s"));
    bench.unitbee(&["apply"]).exits(0);
    let pid = bench.running("web-main");
    bench.until("it is older than its time to get healthy", SOON, |bench| bench.age(pid) > 2);
    bench.root(&format!("kill -STOP {pid}"));
    bench.unitbee(&["ensure"]).exits(0).says("healthy after");
    let new = bench.running("web-main");
    assert_ne!(new, pid, "a service that hangs is started again");
    bench.assert_healthy(new);
}

fn waits(bench: &Bench) {
    const WELL: &str = "/home/bee/well";
    bench.stop_behind("web-main");
    bench.unitbee(&["wait"]).exits(1).says("web-main is not healthy within 1s: it is stopped");
    assert_eq!(bench.pid("web-main"), None, "it only waits");

    bench.sh(&format!("touch {WELL}"));
    bench.project.write("unitbee.toml", web(&["--healthy-with", WELL], ""));
    bench.unitbee(&["apply"]).exits(0);
    bench.stop_behind("web-main");
    bench.sh(&format!("rm {WELL}"));
    bench.start_behind("web-main");
    bench.until("it is up, and not well", SOON, |bench| bench.get(8080, "/health").0 == 503);
    let waiting = bench.start(&[], &["wait"]);
    // Long enough for it to look, more than once as a rule.
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(bench.get(8080, "/health").0, 503);
    bench.sh(&format!("touch {WELL}"));
    waiting.end().exits(0).says("is healthy");
    assert_eq!(bench.get(8080, "/health").0, 200);
}
