//! The start at boot under the runner: one line of the user's crontab for each unit is ours, all else there is not, and
//! where no such line would do anything none is promised.

use std::time::Duration;

use super::bench::Bench;
use super::manifest::web;
use super::target::Cron;

const BOOT: Duration = Duration::from_secs(30);

/// Lines of others, as cron(8) lets them be: with what looks like ours, and bytes that are no text.
const THEIRS: &[u8] =
    b"# mine\n\nMAILTO=\"\"\n@reboot /bin/true # unitbee: web-main\n  5 4 * * *\techo 100\\% \\\\ 'it''s' \xff\n";

pub(crate) fn subject(bench: &Bench) {
    bench.project.write("unitbee.toml", web(&[], ""));
    match bench.target.cron {
        Cron::Absent => nothing_is_promised(bench, "the host has no crontab for this user"),
        Cron::Busybox => {
            nothing_is_promised(bench, "cron is busybox's, which cannot start anything at boot");
            assert_ne!(bench.root("pidof crond || true"), "", "its crond died of us");
        }
        Cron::Able => {
            without_lines_of_others(bench);
            comes_back(bench);
            what_does_not_come_back_is_told_from_what_runs(bench);
            a_dead_cron_is_told(bench);
        }
    }
}

fn nothing_is_promised(bench: &Bench, reason: &str) {
    let before = crontab(bench);
    let note = format!("web-main: does not start at boot: {reason}");
    bench.unitbee(&["plan"]).exits(2).says(&note).hides("enable");
    bench.unitbee(&["apply"]).exits(0).says(&note).hides("enabled");
    let said = bench.unitbee(&["status"]).exits(0);
    said.says("not-persistent").says(&format!("it does not start at boot: {reason}"));
    bench.unitbee(&["plan"]).exits(0).says("nothing to do");
    bench.unitbee(&["uninstall"]).exits(0);
    assert_eq!(crontab(bench), before);
}

/// What crontab(1) says, or that there is none.
fn crontab(bench: &Bench) -> String {
    bench.sh("crontab -l 2>&1 | od -An -c || true")
}

fn without_lines_of_others(bench: &Bench) {
    let none = crontab(bench);
    bench.unitbee(&["plan"]).exits(2).says("enable web-main").hides("does not start at boot");
    bench.unitbee(&["apply"]).exits(0).says("enabled web-main");
    bench.unitbee(&["status"]).exits(0).hides("not-persistent");
    assert!(bench.is_enabled("web-main"));
    let home = bench.home();
    bench.unitbee(&["apply"]).exits(0).says("unchanged");
    assert_eq!(bench.home(), home);
    bench.unitbee(&["uninstall"]).exits(0);
    assert_eq!(crontab(bench), none, "a crontab is left where there was none");
}

fn comes_back(bench: &Bench) {
    bench.pour("cat >/tmp/theirs; setpriv --reuid=1000 --regid=1000 --init-groups crontab /tmp/theirs", THEIRS);
    let theirs = crontab(bench);
    bench.unitbee(&["plan"]).exits(2).says("enable web-main");
    bench.unitbee(&["apply"]).exits(0);
    let pid = bench.running("web-main");

    for how in [&[][..], &["--hard"]] {
        let before = bench.record("web-main");
        bench.project.log_out();
        bench.reboot(how);
        bench.until("the service is back", BOOT, |bench| bench.record("web-main")["boot"] != before["boot"]);
        bench.unitbee(&["wait"]).exits(0).says("is healthy");
        bench.assert_healthy(bench.running("web-main"));
        bench.unitbee(&["status"]).exits(0).says("running").hides("not-persistent");
        bench.unitbee(&["apply"]).exits(0).says("unchanged");
    }
    assert_eq!(bench.processes("web-main").len(), 1, "process {pid} was of another boot");
    bench.unitbee(&["uninstall"]).exits(0);
    assert_eq!(crontab(bench), theirs, "lines of others");
    bench.sh("crontab -r");
}

fn what_does_not_come_back_is_told_from_what_runs(bench: &Bench) {
    bench.unitbee(&["apply"]).exits(0);
    bench.unitbee(&["disable"]).exits(0).says("disabled");
    bench.unitbee(&["disable"]).exits(0).says("was disabled already");
    bench.unitbee(&["status"]).exits(0).says("not-persistent").says("mend: unitbee enable web-main");
    bench.project.log_out();
    bench.reboot(&["--hard"]);
    bench.unitbee(&["status"]).exits(3).says("failed (it ended with the host's last boot)");
    assert_eq!(bench.processes("web-main"), Vec::<u32>::new(), "nobody was to start it");
    bench.unitbee(&["enable"]).exits(0).says("enabled");
    bench.unitbee(&["start"]).exits(0).says("healthy after");
    bench.unitbee(&["status"]).exits(0).says("running").hides("not-persistent");
}

fn a_dead_cron_is_told(bench: &Bench) {
    bench.root("kill $(cat /run/crond.pid)");
    let reason = "it does not start at boot: cron does not run on the host";
    bench.until("cron has ended", BOOT, |bench| bench.root("pidof cron || true").is_empty());
    bench.unitbee(&["status"]).exits(0).says("not-persistent").says(reason);
    bench.unitbee(&["uninstall"]).exits(0);
    assert!(bench.sh("crontab -l 2>&1 || true").starts_with("no crontab"));
}
