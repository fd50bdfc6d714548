//! Whatever launchd does wrong or somebody did to it, a verb succeeds or says in one line why it cannot, with what mends it.

use std::time::Duration;

use super::bench::{Bench, UNITBEE};
use super::manifest::web;
use super::run::{Run, Running};

pub(crate) const LABEL: &str = "com.rbee.web-main";
const PLIST: &str = "/home/bee/Library/LaunchAgents/com.rbee.web-main.plist";
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// No verb takes longer to give up.
const BOUND: Duration = Duration::from_mins(1);

pub(crate) fn subject(bench: &Bench) {
    bench.project.write("unitbee.toml", web(&[], ""));
    bench.unitbee(&["apply"]).exits(0);
    a_record_outlives_its_process(bench);
    a_process_outlives_its_record(bench);
    bootout_is_in_progress(bench);
    print_has_another_layout(bench);
    two_start_it_at_once(bench);
    it_is_loaded_and_not_started(bench);
    it_is_never_started(bench);
    somebody_disabled_it(bench);
    it_is_switched_off_in_the_settings(bench);
    its_file_is_one_that_launchd_does_not_take(bench);
    its_log_cannot_be_written(bench);
    its_file_was_changed_by_hand(bench);
    gnu_comes_first(bench);
    its_user_leaves_the_screen_and_comes_back(bench);
    it_is_for_root(bench);
    the_host_is_started_anew(bench);
}

pub(crate) fn knob(bench: &Bench, name: &str, value: &str) {
    bench.root(&format!("mac set {name} '{value}'"));
}

/// A run that failed: in one line that names the cause, and one that mends it.
#[track_caller]
pub(crate) fn fails(run: Run, cause: &str, mend: &str) {
    let run = run.exits(1);
    let lines: Vec<&str> = run.stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let [told, hint] = lines[..] else { panic!("these are not two lines:\n{run}") };
    assert!(told.contains(cause), "{cause:?} is not said:\n{run}");
    assert!(hint.starts_with("hint: ") && hint.contains(mend), "{mend:?} does not mend it:\n{run}");
    assert!(run.took < BOUND, "too late:\n{run}");
}

/// Restarts it and makes sure that there is one new process; what launchctl was asked meanwhile.
#[track_caller]
pub(crate) fn restarts(bench: &Bench) -> Vec<String> {
    let calls = |bench: &Bench| bench.root("mac calls").lines().map(str::to_owned).collect::<Vec<_>>();
    let (before, pid) = (calls(bench).len(), bench.pid("web-main"));
    bench.unitbee(&["restart"]).exits(0).says("healthy after");
    let new = bench.running("web-main");
    assert_ne!(Some(new), pid);
    bench.assert_healthy(new);
    assert_eq!(bench.processes("web-main"), [new]);
    calls(bench).split_off(before)
}

fn bootstraps(calls: &[String]) -> Vec<&str> {
    calls.iter().filter(|call| call.starts_with("bootstrap ")).filter_map(|call| call.rsplit(' ').next()).collect()
}

fn a_record_outlives_its_process(bench: &Bench) {
    knob(bench, "eio-window", "3");
    let calls = restarts(bench);
    assert_eq!(bootstraps(&calls), ["0"], "it is not tried before the record is gone");
    knob(bench, "eio-window", "0");
}

/// It is waited for, and not killed in the middle of ending.
fn a_process_outlives_its_record(bench: &Bench) {
    let usual = web(&[], "");
    let without_url = usual.replace(r#"url = "http://127.0.0.1:8080/v1/shutdown", drain = "2s", "#, "");
    bench.project.write("unitbee.toml", &without_url);
    bench.unitbee(&["apply"]).exits(0);
    knob(bench, "outlives", "2");
    restarts(bench);
    bench.unitbee(&["stop"]).exits(0).says("stopped by TERM");
    assert!(bench.processes("web-main").is_empty());
    knob(bench, "outlives", "0");
    bench.project.write("unitbee.toml", usual);
    bench.unitbee(&["apply"]).exits(0);
}

fn bootout_is_in_progress(bench: &Bench) {
    knob(bench, "bootout-code", "36");
    restarts(bench);
    knob(bench, "bootout-code", "0");
}

fn print_has_another_layout(bench: &Bench) {
    knob(bench, "layout", "14");
    restarts(bench);
    bench.unitbee(&["status"]).exits(0).says("running").says("healthy");
    bench.unitbee(&["plan"]).exits(0).says("nothing to do");
    knob(bench, "layout", "26");
}

fn two_start_it_at_once(bench: &Bench) {
    for code in ["5", "17", "37"] {
        knob(bench, "duplicate-code", code);
        bench.unitbee(&["stop"]).exits(0);
        let both = [(); 2].map(|()| bench.start(&[], &["start"]));
        for running in both {
            running.end().exits(0);
        }
        assert_eq!(bench.processes("web-main"), [bench.running("web-main")], "{code}");
    }
    knob(bench, "duplicate-code", "5");
}

fn it_is_loaded_and_not_started(bench: &Bench) {
    knob(bench, "never-spawns", "true");
    knob(bench, "kickstart-running-code", "37");
    let calls = restarts(bench);
    assert_eq!(calls.iter().filter(|call| call.starts_with("kickstart ")).count(), 1, "{calls:#?}");
    knob(bench, "kickstart-running-code", "0");
}

fn it_is_never_started(bench: &Bench) {
    knob(bench, "hangs", "kickstart");
    bench
        .unitbee(&["restart"])
        .exits(1)
        .says(&format!("launchd has loaded gui/1000/{LABEL} twice and does not start it (not running)"))
        .says(&format!("hint: `launchctl kickstart gui/1000/{LABEL}` on the host"));
    knob(bench, "hangs", "");
    knob(bench, "never-spawns", "false");
    bench.unitbee(&["start"]).exits(0).says("healthy after");
}

/// Many have GNU's programs first in their path on a Mac, of which some have other options.
fn gnu_comes_first(bench: &Bench) {
    let names =
        "base64 cp cut date dd df find head id ln ls mkdir mktemp mv readlink rm sort stat sync tail touch tr wc";
    bench.root(&format!(
        "mkdir -p /opt/gnubin; for name in {names}; do
           for folder in /usr/libexec/lab /usr/bin; do
             [ ! -e $folder/$name ] || {{ ln -sf $folder/$name /opt/gnubin; break; }}
           done
         done"
    ));
    bench.sshd("SetEnv PATH=/opt/gnubin:/usr/bin:/bin:/usr/sbin:/sbin\n");
    bench.project.log_out();
    restarts(bench);
    bench.unitbee(&["apply"]).exits(0).says("unchanged");
    bench.unitbee(&["uninstall"]).exits(0);
    bench.unitbee(&["apply"]).exits(0);
}

/// A host that is reached as root has no agents.
fn it_is_for_root(bench: &Bench) {
    bench.root(
        "install -d -m 700 /root/.ssh; install -m 600 /home/bee/.ssh/authorized_keys /root/.ssh; usermod -p '*' root",
    );
    let mut command = bench.project.command(UNITBEE);
    command.arg("-H").arg(format!("root@{}", bench.host.name)).arg("--ssh-config").arg(&bench.host.ssh_config);
    command.arg("apply");
    let run = Running::of(command).end().exits(1);
    run.says("nothing was done")
        .says("web-main: root has no agents")
        .says("hint: reach the host as the user that is to run it");
    bench.root("[ ! -e /root/Library ] && [ ! -e /root/.local/share ]");
}

fn somebody_disabled_it(bench: &Bench) {
    bench.root(&format!("launchctl disable gui/1000/{LABEL}"));
    restarts(bench);
    assert!(!bench.is_enabled("web-main"), "it is started, and stays what somebody made it");
    // What else keeps it from being loaded is told, not that it is disabled, and what passes is waited for.
    bench.unitbee(&["stop"]).exits(0);
    bench.root(&format!("chmod 666 {PLIST}"));
    fails(bench.unitbee(&["start"]), "others may write it", "`chmod 644 ");
    assert!(!bench.is_enabled("web-main"));
    bench.root(&format!("chmod 644 {PLIST}"));
    bench.unitbee(&["start"]).exits(0).says("healthy after");
    assert!(!bench.is_enabled("web-main"));
    bench.unitbee(&["status"]).exits(0).says("not-persistent").says("mend: unitbee enable web-main");
    bench.unitbee(&["plan"]).exits(2).says("enable web-main");
    bench.unitbee(&["apply"]).exits(0);
    assert!(bench.is_enabled("web-main"));
    bench.unitbee(&["plan"]).exits(0).says("nothing to do");
}

fn it_is_switched_off_in_the_settings(bench: &Bench) {
    bench.unitbee(&["stop"]).exits(0);
    knob(bench, "login-items", "false");
    let cause = format!("launchctl bootstrap gui/1000/{LABEL}: Bootstrap failed: 5: Input/output error (exit code 5)");
    fails(
        bench.unitbee(&["start"]),
        &cause,
        "see whether it is switched off in System Settings > General > Login Items",
    );
    knob(bench, "login-items", "true");
    bench.unitbee(&["start"]).exits(0);
}

fn its_file_is_one_that_launchd_does_not_take(bench: &Bench) {
    bench.unitbee(&["stop"]).exits(0);
    for (wrong, words, mended) in [
        (format!("chmod 666 {PLIST}"), "others may write it", format!("chmod 644 {PLIST}")),
        (format!("chown 1:1 {PLIST}"), "it belongs to user 1", format!("chown 1000:1000 {PLIST}")),
        (
            format!("mv {PLIST} {PLIST}.real; ln -s {PLIST}.real {PLIST}"),
            "it is no regular file",
            format!("mv -f {PLIST}.real {PLIST}"),
        ),
    ] {
        bench.root(&wrong);
        let words = format!("launchd does not take {PLIST}: {words} (Bootstrap failed: 5: Input/output error)");
        bench.unitbee(&["start"]).exits(1).says(&words).says("hint: `");
        bench.root(&mended);
    }
    bench.unitbee(&["start"]).exits(0).says("healthy after");
}

fn its_log_cannot_be_written(bench: &Bench) {
    let log = "/home/bee/.local/state/unitbee/log/web-main.log";
    let pid = bench.running("web-main");
    bench.root(&format!("chown 0:0 {log}; chmod 600 {log}"));
    bench
        .unitbee(&["restart"])
        .exits(1)
        .says(&format!("its log {log} cannot be written"))
        .says("Permission denied")
        .says("hint: on the host, see who owns");
    assert_eq!(bench.running("web-main"), pid, "what runs was ended for nothing");
    bench.unitbee(&["stop"]).exits(0);
    bench.unitbee(&["start"]).exits(1).says(&format!("its log {log} cannot be written"));
    bench.root(&format!("chown 1000:1000 {log}"));
    bench.unitbee(&["start"]).exits(0).says("healthy after");
    // Nobody needs to make its folder.
    bench.unitbee(&["stop"]).exits(0);
    bench.root("rm -r /home/bee/.local/state/unitbee/log");
    bench.unitbee(&["start"]).exits(0).says("healthy after");
}

/// What launchd could not load, or would load as something else, ends nothing that runs.
fn its_file_was_changed_by_hand(bench: &Bench) {
    let (path, pid) = (bench.definition_path(), bench.running("web-main"));
    let good = bench.sh(&format!("cat {path}"));
    let changes = [
        ("sed -i s/com.rbee.web-main/com.rbee.other/", "its Label is not com.rbee.web-main", "`unitbee apply --take`"),
        ("sed -i s/ProgramArguments/Arguments/", "it names no program", "`unitbee apply --take`"),
        ("sed -i s/Aqua/Moon/", "it is not for sessions of type Aqua", "`unitbee apply --take`"),
        // With it goes the mark by which it is known as ours.
        ("sed -i 1,5d", "is not managed by unitbee", "move /home/bee/Library/LaunchAgents/"),
        ("sed -i 6,9d", "it is no property list", "`unitbee apply --take`"),
        ("chmod 666", "others may write it", "`chmod 644 "),
        ("rm", "it is not there", "`unitbee apply`"),
    ];
    for (change, cause, mend) in changes {
        bench.sh(&format!("{change} {path}"));
        fails(bench.unitbee(&["restart"]), cause, mend);
        assert_eq!(bench.running("web-main"), pid, "after {change}");
        assert_eq!(bench.processes("web-main").len(), 1, "after {change}");
        if change == "rm" {
            bench.unitbee(&["status"]).says("its property list is gone").says("mend: unitbee apply");
        }
        bench.pour(&format!("cat >{path}; chmod 644 {path}; chown 1000:1000 {path}"), good.as_bytes());
    }
    bench.unitbee(&["plan"]).exits(0);
}

fn its_user_leaves_the_screen_and_comes_back(bench: &Bench) {
    for code in ["125", "112"] {
        knob(bench, "headless-code", code);
        bench.root("mac logout 1000");
        bench.until("it ended with the session", SOON, |bench| bench.processes("web-main").is_empty());
        knob(bench, "no-user-domain", "true");
        let cause = "launchd has no domain for bee: Could not ";
        fails(bench.unitbee(&["start"]), cause, "log in at the screen of the host, or give");
        let files = bench.home();
        bench.unitbee(&["apply"]).exits(1).says("nothing was done").says(cause).says("hint: log in at the screen");
        assert_eq!(bench.home(), files);
        knob(bench, "no-user-domain", "false");
        bench.unitbee(&["status"]).exits(3).says("stopped");
        bench.unitbee(&["start"]).exits(0).says("healthy after");
        bench.unitbee(&["status"]).exits(0).says("not-persistent").says("scope = \"system\"");
        bench.root(&format!("launchctl print user/1000/{LABEL}"));

        bench.root("mac login 1000");
        bench.unitbee(&["status"]).says("duplicate").says(&format!("user/1000/{LABEL}"));
        bench.unitbee(&["apply"]).exits(0);
        assert_eq!(bench.processes("web-main"), [bench.running("web-main")]);
        bench.unitbee(&["status"]).exits(0).hides("duplicate").hides("not-persistent");
    }
}

fn the_host_is_started_anew(bench: &Bench) {
    bench.project.log_out();
    bench.reboot(&["--hard"]);
    bench.until("it is back", SOON, |bench| bench.pid("web-main").is_some());
    bench.unitbee(&["wait"]).exits(0);
    bench.unitbee(&["apply"]).exits(0).says("unchanged");
}
