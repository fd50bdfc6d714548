//! A service outlives the last session, and comes back with its host, or with the login that its supervisor waits for; where
//! neither brings it back, that is told, and the next verb does.

use std::time::Duration;

use super::bench::Bench;
use super::manifest::web;
use super::run::Run;
use super::target::{Manager, Return};

const BOOT: Duration = Duration::from_secs(30);

pub(crate) fn subject(bench: &Bench) {
    bench.project.write("unitbee.toml", web(&["--version", "one"], ""));
    if bench.target.manager == Manager::Systemd {
        // A manager that nothing keeps ends with the last session at once, not after ten seconds.
        bench.root(
            "mkdir -p /etc/systemd/logind.conf.d
            printf '[Login]\\nUserStopDelaySec=0\\n' >/etc/systemd/logind.conf.d/lab.conf
            systemctl restart systemd-logind",
        );
        bench.unitbee(&["apply"]).exits(0).says("switched linger on");
    } else {
        bench.unitbee(&["apply"]).exits(0);
    }
    outlives_the_last_session(bench);

    let back = bench.target.comes_back();
    for (version, how) in [("one", &[][..]), ("two", &["--hard"])] {
        bench.project.write("unitbee.toml", web(&["--version", version], ""));
        bench.unitbee(&["apply"]).exits(0);
        reboot(bench, how);
        match back {
            Return::Boot | Return::Login => comes_back(bench),
            Return::Asked => is_asked_back(bench, if version == "one" { "ensure" } else { "apply" }),
        }
        assert!(bench.get(8080, "/health").1.contains(&format!("version={version}")));
        bench.unitbee(&["apply"]).exits(0).says("unchanged");
    }
    if back == Return::Login {
        waits_for_a_login(bench);
    }
    if back != Return::Asked {
        stays_away_when_it_is_to(bench);
    }
}

fn outlives_the_last_session(bench: &Bench) {
    let pid = bench.running("web-main");
    bench.project.log_out();
    bench.until("the last session is gone", BOOT, |bench| !bench.has_session());
    assert_eq!(bench.running("web-main"), pid);
    bench.assert_healthy(pid);
}

/// Reboots the host while the service runs.
fn reboot(bench: &Bench, how: &[&str]) {
    let boot = || bench.root("cat /proc/sys/kernel/random/boot_id");
    let (before, pid) = (boot(), bench.running("web-main"));
    bench.project.log_out();
    bench.reboot(how);
    assert_ne!(boot(), before, "process {pid} may be that of before");
}

fn comes_back(bench: &Bench) {
    bench.until("the service is back", BOOT, |bench| bench.pid("web-main").is_some());
    bench.unitbee(&["wait"]).exits(0).says("is healthy");
    bench.assert_healthy(bench.running("web-main"));
    bench.unitbee(&["status"]).exits(0).says("running").says("healthy").hides("not-persistent");
}

fn is_asked_back(bench: &Bench, verb: &str) {
    is_not_there(bench).says("it does not start at boot: ").says("mend: ");
    bench.unitbee(&["plan"]).exits(2).says("start web-main: it is stopped");
    bench.unitbee(&[verb]).exits(0).says("healthy after");
    bench.assert_healthy(bench.running("web-main"));
    bench.unitbee(&["status"]).exits(0).says("running").says("not-persistent");
}

/// The first status of it.
fn is_not_there(bench: &Bench) -> Run {
    let run = bench.unitbee(&["status"]).exits(3).says("stopped").says("not-persistent");
    assert_eq!(bench.processes("web-main"), Vec::<u32>::new(), "nobody was to start it");
    run
}

/// While nobody is logged in at the screen it is not there.
fn waits_for_a_login(bench: &Bench) {
    bench.log_in_at_boot(false);
    reboot(bench, &[]);
    is_not_there(bench).says("when its user logs in at the screen, where nobody is now");
    bench.log_in();
    comes_back(bench);
    bench.unitbee(&["apply"]).exits(0).says("unchanged");
    bench.log_in_at_boot(true);
}

fn stays_away_when_it_is_to(bench: &Bench) {
    bench.unitbee(&["disable"]).exits(0).says("disabled");
    let mend = "mend: unitbee enable web-main";
    bench.unitbee(&["status"]).exits(0).says("not-persistent").says(mend);
    reboot(bench, &["--hard"]);
    is_not_there(bench).says(mend);
    bench.unitbee(&["enable"]).exits(0).says("enabled");
    bench.unitbee(&["start"]).exits(0).says("healthy after");
    bench.unitbee(&["status"]).exits(0).says("running").hides("not-persistent");
}
