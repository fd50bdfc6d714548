//! A state folder on a disk that is full: a runner has room of its own for what it notes. One that is read-only: a clear
//! error, nothing lost, and mended by the next verb. And a process number that is given out again.

use std::time::Duration;

use super::bench::Bench;
use super::manifest::web;

const SOON: Duration = Duration::from_secs(20);
const STATE: &str = "/home/bee/.local/state/unitbee";

pub(crate) fn subject(bench: &Bench) {
    bench.root(&format!(
        "mkdir -p {STATE}; chown -R bee: /home/bee/.local; mount -t tmpfs -o size=128k,uid=1000,gid=1000,mode=700 state {STATE}"
    ));
    bench.project.write("unitbee.toml", web(&[], ""));
    bench.unitbee(&["apply"]).exits(0).says("web-main is healthy after");
    a_full_disk_stops_nobody(bench);
    nothing_starts_without_a_record(bench);
    a_number_that_is_given_out_again_is_nobody(bench);
    bench.unitbee(&["uninstall"]).exits(0);
    bench.root(&format!("umount {STATE}"));
}

fn fill(bench: &Bench) {
    bench.sh(&format!("cat /dev/zero >{STATE}/fill 2>/dev/null || true"));
}

fn a_full_disk_stops_nobody(bench: &Bench) {
    let pid = bench.running("web-main");
    fill(bench);
    bench.unitbee(&["status"]).exits(0).says("running").says("healthy");
    // What is started again meanwhile is noted.
    bench.root(&format!("kill -KILL {pid}"));
    bench.until("it is up again", SOON, |bench| bench.get(8080, "/health").0 == 200);
    let again = bench.running("web-main");
    assert_ne!(again, pid);
    bench.assert_healthy(again);
    bench.unitbee(&["restart"]).exits(0).says("healthy after");
    let new = bench.running("web-main");
    assert_ne!(new, again);
    bench.unitbee(&["stop"]).exits(0).says("by its shutdown URL");
    bench.unitbee(&["status"]).exits(3).says("stopped").hides("failed");
    assert_eq!(bench.processes("web-main"), Vec::<u32>::new());
    bench.unitbee(&["start"]).exits(0).says("healthy after");
    bench.sh(&format!("rm {STATE}/fill"));
    bench.unitbee(&["plan"]).exits(0).says("nothing to do");

    // Where there is no room for what starts it again, it goes on.
    let running = bench.running("web-main");
    bench.sh(&format!("rm {STATE}/registry/web-main.spare"));
    fill(bench);
    bench.unitbee(&["restart"]).exits(1).says("No space left on device");
    assert_eq!(bench.running("web-main"), running);
    bench.assert_healthy(running);
    bench.sh(&format!("rm {STATE}/fill"));
    bench.unitbee(&["stop"]).exits(0);
}

fn nothing_starts_without_a_record(bench: &Bench) {
    bench.root(&format!("mount -o remount,ro {STATE}"));
    let before = bench.record("web-main");
    bench.unitbee(&["start"]).exits(1).says("Read-only file system").says(STATE);
    assert_eq!(bench.get(8080, "/health").0, 0);
    assert_eq!(bench.record("web-main"), before, "the record was lost");
    bench.unitbee(&["status"]).exits(3).says("stopped");
    bench.root(&format!("mount -o remount,rw {STATE}"));
    bench.unitbee(&["start"]).exits(0).says("healthy after");
    let left = bench.sh(&format!("find {STATE} -name '.*' ! -path {STATE}"));
    assert_eq!(left, "", "left of the try");
    bench.unitbee(&["stop"]).exits(0);
}

/// The kernel is told which number to give out next.
fn a_number_that_is_given_out_again_is_nobody(bench: &Bench) {
    bench.unitbee(&["start"]).exits(0);
    let (pid, record) = (bench.running("web-main"), bench.record("web-main"));
    bench.root(&format!("kill -KILL {} {pid}", record["runner"]));
    bench.until("it is dead", SOON, |bench| bench.root(&format!("ls -d /proc/{pid} 2>/dev/null || true")).is_empty());
    let stranger = bench.root(&format!(
        "mount -o remount,rw /proc/sys
        for _ in $(seq 200); do
          echo $(({pid} - 1)) >/proc/sys/kernel/ns_last_pid
          setsid setpriv --reuid=1000 --regid=1000 --clear-groups sleep 1000 >/dev/null 2>&1 </dev/null &
          [ $! -ne {pid} ] || break
          kill $!
        done
        echo $!"
    ));
    assert_eq!(stranger.trim(), pid.to_string(), "it is another number");
    bench.unitbee(&["status"]).exits(3).says("failed (its runner was killed)");
    bench.unitbee(&["kill", "--all", "--signal", "kill"]).exits(1);
    bench.unitbee(&["stop"]).exits(0).says("it did not run");
    bench.unitbee(&["start"]).exits(0).says("healthy after");
    assert_ne!(bench.running("web-main"), pid);
    assert_eq!(bench.root(&format!("cat /proc/{pid}/comm")).trim(), "sleep", "it is none of ours");
}
