//! A service outlives the last session, and comes back with its host.

use std::time::Duration;

use super::bench::Bench;
use super::manifest::web;

const BOOT: Duration = Duration::from_secs(30);

pub(crate) fn subject(bench: &Bench) {
    // A manager that nothing keeps ends with the last session at once, not after ten seconds.
    bench.root(
        "mkdir -p /etc/systemd/logind.conf.d
        printf '[Login]\\nUserStopDelaySec=0\\n' >/etc/systemd/logind.conf.d/lab.conf
        systemctl restart systemd-logind",
    );
    bench.project.write("unitbee.toml", web(&[], ""));
    bench.unitbee(&["apply"]).exits(0).says("switched linger on");

    outlives_the_last_session(bench);
    comes_back(bench, &[]);
    bench.project.write("unitbee.toml", web(&["--version", "two"], ""));
    bench.unitbee(&["apply"]).exits(0);
    comes_back(bench, &["--hard"]);
    assert!(bench.get(8080, "/health").1.contains("version=two"));
}

fn outlives_the_last_session(bench: &Bench) {
    let pid = bench.running("web-main");
    bench.project.log_out();
    bench.until("the last session is gone", BOOT, |bench| {
        bench.root("loginctl show-user bee --property=State --value").trim() == "lingering"
    });
    assert_eq!(bench.running("web-main"), pid);
    bench.assert_healthy(pid);
}

fn comes_back(bench: &Bench, how: &[&str]) {
    let (boot, pid) = (bench.root("cat /proc/sys/kernel/random/boot_id"), bench.running("web-main"));
    let invocation = bench.property("web-main", "InvocationID");
    bench.project.log_out();
    bench.reboot(how);
    bench.until("the service is back", BOOT, |bench| bench.pid("web-main").is_some());
    assert_ne!(bench.property("web-main", "InvocationID"), invocation, "process {pid} of boot {boot}");
    bench.unitbee(&["wait"]).exits(0).says("is healthy");
    bench.assert_healthy(bench.running("web-main"));
    bench.unitbee(&["status"]).exits(0).says("running").says("healthy");
    bench.unitbee(&["apply"]).exits(0).says("unchanged");
}
