//! A host that lets nobody switch linger on: everything else is done, and what remains is said.

use super::bench::Bench;
use super::manifest::web;

pub(crate) fn subject(bench: &Bench) {
    let command = "sudo loginctl enable-linger bee";
    bench.project.write("unitbee.toml", web(&[], ""));
    bench.unitbee(&["apply"]).exits(1).says("web-main is healthy after").says("not-persistent").says(command);
    let pid = bench.running("web-main");
    bench.assert_healthy(pid);
    assert!(bench.is_enabled("web-main"));
    assert_eq!(bench.root("ls /var/lib/systemd/linger 2>/dev/null || true"), "");

    let status = bench.unitbee(&["status", "--json"]).exits(0).json();
    let flag = &status[0]["flags"][0];
    assert_eq!((&flag["kind"], &flag["mend"]), (&"not-persistent".into(), &command.into()), "{status:#}");
    bench.unitbee(&["--json", "apply"]).exits(1).says("not-persistent").says(command);
    assert_eq!(bench.running("web-main"), pid);

    bench.root(&command.replace("sudo", "systemd-run --quiet --wait"));
    bench.unitbee(&["apply"]).exits(0).says("unchanged");
    bench.unitbee(&["status"]).exits(0).hides("not-persistent");
    bench.project.log_out();
    assert_eq!(bench.running("web-main"), pid);
}
