//! A runner that may write a part of the cgroup v2 tree: nothing of a service is ever outside, and nothing gets away.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::bench::Bench;

const SOON: Duration = Duration::from_secs(20);

/// Says where its first instruction is, makes a cgroup of its own below, and starts what is never seen twice under the same
/// number: each process leaves session, group, parent and environment behind to a child, and ends. To be ended one by one,
/// they would have to be caught.
const STORM: &str = r#"#!/bin/sh
read -r first </proc/self/cgroup
trap '' TERM
echo "first in $first"
mkdir "/sys/fs/cgroup${first#0::}/own"
for _ in 1 2 3 4; do
  env -i /usr/bin/perl -MPOSIX=setsid -e 'while (1) {
    my $child = fork;
    exit if $child;
    setsid if defined $child;
    select undef, undef, undef, 0.005;
  }' storm &
done
exec sleep 100000
"#;

const MANIFEST: &str = r#"
[service.web]
command = ["./storm.sh"]
limits = { cpu = "50%", memory = "64M", tasks = 30 }
stop = { term = "3s" }
"#;

pub(crate) fn subject(bench: &Bench) {
    bench.project.write("storm.sh", STORM);
    fs::set_permissions(bench.project.work().join("storm.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    bench.project.write("unitbee.toml", MANIFEST);
    bench.unitbee(&["apply", "--strict-limits"]).exits(0).hides("limit-not-effective");
    let folder = bench.record("web-main")["cgroup"].as_str().unwrap().to_owned();
    assert_eq!(bench.root(&bench.find_cgroup("web-main")).trim(), folder);
    let below = folder.strip_prefix("/sys/fs/cgroup").unwrap();
    bench.until("it says where it is", SOON, |bench| bench.said("web-main").contains("first in "));
    assert!(bench.said("web-main").contains(&format!("first in 0::{below}\n")), "{}", bench.said("web-main"));

    a_process_outside_is_told(bench);
    a_storm_ends_at_one_stroke(bench, &folder);
    bench.unitbee(&["uninstall"]).exits(0);
    assert_eq!(bench.root("find /sys/fs/cgroup -name 'rbee.slice*'"), "");
}

fn a_storm_ends_at_one_stroke(bench: &Bench, folder: &str) {
    let main = bench.running("web-main");
    let inside = || {
        let pids = bench.root(&format!("cat {folder}/cgroup.procs"));
        pids.lines().filter_map(|pid| pid.parse().ok()).filter(|pid| *pid != main).collect::<BTreeSet<u32>>()
    };
    let before = inside();
    bench.until("others have taken all places", SOON, |_| {
        let now = inside();
        !now.is_empty() && now.is_disjoint(&before)
    });
    bench.unitbee(&["stop"]).exits(0).says("by KILL");
    assert_eq!(bench.root(&format!("test ! -e {folder} || cat {folder}/cgroup.procs")), "");
    assert_eq!(bench.root("grep -lx perl /proc/[0-9]*/comm 2>/dev/null || true"), "");
}

fn a_process_outside_is_told(bench: &Bench) {
    let pid = bench.running("web-main");
    bench.root(&format!("echo {pid} >/sys/fs/cgroup/cgroup.procs"));
    let words = format!("process {pid} is not in the unit's cgroup");
    bench.unitbee(&["status"]).exits(0).says("limit-not-effective").says(&words);
    bench.root(&format!("echo {pid} >{}/cgroup.procs", bench.record("web-main")["cgroup"].as_str().unwrap()));
    bench.unitbee(&["status"]).exits(0).hides("limit-not-effective");
}
