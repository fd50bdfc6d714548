//! A service that runs unitbee on itself: what would end it halfway is refused, and the service goes on.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::bench::Bench;

const SOON: Duration = Duration::from_secs(30);

const SCRIPT: &str = r#"#!/bin/sh
export HOME=/home/bee NO_COLOR=1
until [ -e ~/go ]; do
  sleep 0.1
done
cd /srv/work
for verb in restart stop uninstall apply; do
  echo "$verb:"
  /usr/local/bin/unitbee "$verb" web-main 2>&1
  echo "$verb is done: $?"
done >/home/bee/said
exec sleep 1000
"#;

pub(crate) fn subject(bench: &Bench) {
    bench.project.write("inside.sh", SCRIPT);
    fs::set_permissions(bench.project.work().join("inside.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    let manifest =
        |value: &str| format!("[service.web]\ncommand = [\"./inside.sh\"]\nenv = {{ RELEASE = \"{value}\" }}\n");
    bench.project.write("unitbee.toml", manifest("one"));
    bench.unitbee(&["apply"]).exits(0);
    let pid = bench.running("web-main");
    // What it is to apply itself.
    bench.project.write("unitbee.toml", manifest("two"));
    bench.unitbee(&["plan"]).exits(2);
    bench.sh("touch ~/go");
    bench.until("all is tried", SOON, |bench| bench.sh("cat ~/said || true").contains("apply is done"));
    let said = bench.sh("cat ~/said");
    for verb in ["restart", "stop", "uninstall", "apply"] {
        assert!(said.contains(&format!("{verb} is done: 1\n")), "{said}");
    }
    assert_eq!(
        said.matches(": this program runs in it and would be stopped before the work is done").count(),
        4,
        "{said}"
    );
    assert_eq!(said.matches("hint: run it from another shell").count(), 4, "{said}");
    assert_eq!(bench.running("web-main"), pid, "{said}");
    bench.sh("rm ~/go");
    bench.unitbee(&["apply"]).exits(0);
    assert_ne!(bench.running("web-main"), pid);
}
