//! A home that two hosts share, as over NFS: what one of them runs is nobody else's to believe dead, to signal or to replace.

use super::bench::Bench;
use super::manifest::web;

const RECORD: &str = "/home/bee/.local/state/unitbee/registry/web-main.json";

/// Becomes, for the script after it, another host with the same files: with a name and a boot id of its own.
const ELSEWHERE: &str = r#"
printf '00000000-0000-4000-8000-000000000000\n' >/tmp/boot
exec unshare --uts --mount sh -euc '
  hostname elsewhere.example
  # The host is a container, which has this file from outside.
  umount /proc/sys/kernel/random/boot_id
  mount --bind /tmp/boot /proc/sys/kernel/random/boot_id
  exec setpriv --reuid=1000 --regid=1000 --init-groups env -i HOME=/home/bee PATH=/usr/bin:/bin sh -euc "$0"
' "#;

pub(crate) fn subject(bench: &Bench) {
    bench.project.write("unitbee.toml", web(&[], ""));
    bench.unitbee(&["apply"]).exits(0);
    bench.unitbee(&["stop"]).exits(0);
    elsewhere(bench, "exec sh ~/.config/unitbee/web-main.sh start");
    let record = bench.sh(&format!("cat {RECORD}"));
    let pid = bench.record("web-main")["pid"].as_u64().unwrap();
    assert_eq!(bench.record("web-main")["node"], "elsewhere.example");

    let words = "it is supervised on elsewhere.example, which has the same state folder";
    bench.unitbee(&["status"]).exits(3).says(words).hides("last boot");
    for verb in ["start", "stop", "restart", "ensure", "apply", "uninstall"] {
        bench.unitbee(&[verb]).exits(1).says(words);
    }
    bench.unitbee(&["kill", "--all", "--signal", "kill"]).exits(1).says(words);
    assert_eq!(bench.sh(&format!("cat {RECORD}")), record, "its record was touched");
    bench.assert_healthy(u32::try_from(pid).unwrap());

    // What was put down there in order may be taken up here.
    elsewhere(bench, "kill $(ls ~/.local/state/unitbee/claims/web-main | cut -d . -f 1)");
    bench.until("it has ended there", std::time::Duration::from_secs(20), |bench| bench.claims().is_empty());
    bench.unitbee(&["status"]).exits(3).says("stopped").hides("elsewhere");
    bench.unitbee(&["start"]).exits(0).says("healthy after");
    assert_ne!(bench.record("web-main")["node"], "elsewhere.example");

    // A host that died has left a claim that nobody but a person can know to be void.
    bench.unitbee(&["stop"]).exits(0);
    elsewhere(bench, "exec sh ~/.config/unitbee/web-main.sh start");
    let record = bench.record("web-main");
    bench.root(&format!("kill -KILL {} {}", record["runner"], record["pid"]));
    let folder = "/home/bee/.local/state/unitbee/claims/web-main";
    bench.unitbee(&["start"]).exits(1).says(words).says(&format!("if that host is gone for good, remove {folder}"));
    bench.sh(&format!("rm -r {folder}"));
    bench.unitbee(&["start"]).exits(0).says("healthy after");
    bench.sh(&format!("ls {RECORD}.damaged"));
    bench.unitbee(&["uninstall"]).exits(0);
    assert_eq!(bench.units(), Vec::<String>::new());
}

fn elsewhere(bench: &Bench, script: &str) {
    bench.root(&format!("{ELSEWHERE}{}", shlex::try_quote(script).unwrap()));
}
