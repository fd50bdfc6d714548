//! `rebuild` builds here and makes the hosts run what was built; a unit has the name of its file, too.

use super::bench::Bench;
use super::target::Reach;

/// The program is what the build command makes of its source.
const MANIFEST: &str = r#"[service.web]
command = ["./web"]
build = "{ echo '#!/bin/sh'; cat source; } >web && chmod 755 web"
"#;

pub(crate) fn subject(bench: &Bench) {
    bench.project.write("unitbee.toml", MANIFEST);
    bench.project.write("source", "exec sleep 1000\n");
    bench.unitbee(&["apply"]).exits(1).says("there is no file ").says("`unitbee rebuild web` builds it");
    bench.unitbee(&["rebuild"]).exits(0).says("web: built in ").says("changed");
    let pid = bench.running("web-main");

    bench.unitbee(&["rebuild", "web-main.service"]).exits(0).says("web: built in ").says("unchanged");
    assert_eq!(bench.running("web-main"), pid, "the same bytes are no new release");
    bench.project.write("source", "exec sleep 2000\n");
    // What is built on the host goes with the folder there, which is made anew.
    if bench.target.reach == Reach::Ssh {
        bench.unitbee(&["apply"]).exits(0).says("unchanged");
    }
    bench.unitbee(&["rebuild"]).exits(0).says("changed");
    let second = bench.running("web-main");
    assert_ne!(second, pid);

    bench.project.write("unitbee.toml", MANIFEST.replace("&& chmod", "&& echo broken >&2 && false && chmod"));
    bench.unitbee(&["rebuild"]).exits(1).says("broken\n").says("exited with 1");
    assert_eq!(bench.running("web-main"), second, "nothing is applied after a build that failed");

    std::fs::remove_file(bench.project.work().join("unitbee.toml")).unwrap();
    bench.unitbee(&["status", "web-main.service"]).exits(0).says(" web-main ");
    bench.unitbee(&["uninstall", "web-main.service"]).exits(0).says("removed web-main");
    assert_eq!(bench.units(), Vec::<String>::new());
}
