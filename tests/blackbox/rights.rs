//! What of a Mac's services is root's to do, where the account may not act as root, and where somebody was killed over it:
//! nothing is half done.

use super::bench::Bench;
use super::faults::{SOON, fails, knob};
use super::manifest::web;

const PLIST: &str = "/Library/LaunchDaemons/com.rbee.web-main.plist";
const AGENTS: &str = "/home/bee/Library/LaunchAgents";
const AGENT: &str = "/home/bee/Library/LaunchAgents/com.rbee.web-main.plist";

/// Verbs that end, start or change what runs.
const VERBS: [&[&str]; 6] = [&["stop"], &["restart"], &["kill"], &["disable"], &["uninstall"], &["start"]];

pub(crate) fn subject(bench: &Bench) {
    bench.project.write("unitbee.toml", web(&[], ""));
    bench.unitbee(&["apply"]).exits(0);
    sudo_refuses(bench);
    it_is_switched_off_in_the_settings(bench);
    it_is_somebody_elses(bench);
    a_write_is_killed(bench);
    it_is_killed_between_agent_and_daemon(bench);
}

fn sudo_refuses(bench: &Bench) {
    let pid = bench.running("web-main");
    let says = |words: &str| format!("sudo does not let bee act as root: {words}");
    for (sudo, words) in [("false", "sudo: a password is required"), ("refused", "Sorry, user bee is not allowed to ")]
    {
        knob(bench, "sudo", sudo);
        for verb in VERBS.into_iter().filter(|verb| *verb != ["start"]) {
            fails(bench.unitbee(verb), &says(words), "`bee ALL=(root) NOPASSWD: ALL` by `sudo visudo`");
            assert_eq!(bench.running("web-main"), pid, "{verb:?}");
        }
        bench.unitbee(&["status"]).exits(0).says("running");
        bench.unitbee(&["apply"]).exits(0).says("unchanged");
        bench.project.write("unitbee.toml", web(&["--version", "two"], ""));
        let files = bench.home();
        bench.unitbee(&["apply"]).exits(1).says("nothing was done").says(&says(words)).says("sudo visudo");
        assert_eq!((bench.home(), bench.running("web-main")), (files, pid));
        bench.project.write("unitbee.toml", web(&[], ""));
    }
    knob(bench, "sudo", "true");
    bench.unitbee(&["stop"]).exits(0);
    knob(bench, "sudo", "false");
    fails(bench.unitbee(&["start"]), &says("sudo: a password is required"), "sudo visudo");
    knob(bench, "sudo", "true");
    bench.unitbee(&["start"]).exits(0);
}

/// Root hears the number of it.
fn it_is_switched_off_in_the_settings(bench: &Bench) {
    bench.unitbee(&["stop"]).exits(0);
    knob(bench, "login-items", "false");
    let cause = "launchctl bootstrap system/com.rbee.web-main: Bootstrap failed: 161: ";
    fails(bench.unitbee(&["start"]), cause, "switch it on in System Settings > General > Login Items");
    knob(bench, "login-items", "true");
    bench.unitbee(&["start"]).exits(0);
}

fn it_is_somebody_elses(bench: &Bench) {
    let pid = bench.running("web-main");
    bench.root(&format!("cp -p {PLIST} /tmp/ours; sed -i 's|<string>bee</string>|<string>daemon</string>|' {PLIST}"));
    let words = format!("{PLIST} is a daemon of daemon and is left alone");
    for verb in VERBS.into_iter().filter(|verb| ![["uninstall"], ["start"]].contains(&[verb[0]])) {
        fails(bench.unitbee(verb), &words, "reach the host as daemon");
    }
    for verb in ["apply", "uninstall"] {
        bench.unitbee(&[verb]).exits(1).says("nothing was done").says(&words).says("hint: reach the host as daemon");
    }
    assert_eq!(bench.running("web-main"), pid);
    bench.root(&format!("mv /tmp/ours {PLIST}"));
    bench.unitbee(&["apply"]).exits(0).says("unchanged");
}

/// A property list that was not put in place yet is not read at boot, and goes with the next write.
fn a_write_is_killed(bench: &Bench) {
    let pid = bench.running("web-main");
    let left = || bench.root("cd /Library/LaunchDaemons; ls -A");
    bench.root("mv /usr/bin/chown /usr/bin/chown.own; printf '#!/bin/sh\nkill -KILL $PPID\n' >/usr/bin/chown; chmod 755 /usr/bin/chown");
    bench.project.write("unitbee.toml", web(&["--version", "two"], ""));
    bench.unitbee(&["apply"]).exits(1).says(&format!("write {PLIST}"));
    assert_eq!(left(), ".unitbee.1000@com.rbee.web-main\ncom.rbee.web-main.plist\n");
    assert_eq!(bench.running("web-main"), pid);
    bench.root("mv -f /usr/bin/chown.own /usr/bin/chown");
    bench.unitbee(&["apply"]).exits(0);
    assert_eq!(left(), "com.rbee.web-main.plist\n");
    assert!(bench.get(8080, "/health").1.contains("version=two "));
}

fn it_is_killed_between_agent_and_daemon(bench: &Bench) {
    let agent = ("", "user/1000", AGENT);
    let daemon = (r#"scope = "system""#, "system", PLIST);
    for (moment, [old, new]) in [
        ("has ended", [daemon, agent]),
        ("has ended", [agent, daemon]),
        ("has lost its file", [daemon, agent]),
        ("has lost its file", [agent, daemon]),
    ] {
        std::fs::write(bench.project.work().join("unitbee.toml"), web(&[], new.0)).unwrap();
        let running = bench.start(&[], &["apply"]);
        let (target, file) = (format!("{}/com.rbee.web-main", old.1), old.2);
        let script = match moment {
            "has ended" => format!("! launchctl print {target} >/dev/null 2>&1 || echo there"),
            _ => format!("ls {file} 2>/dev/null || true"),
        };
        bench.until(&format!("{target} {moment}"), SOON, |bench| bench.root(&script).is_empty());
        let killed = bench.kill(running);
        let run = bench.unitbee(&["apply"]).exits(0);
        let at = format!("{target} {moment}, after:\n{killed}\n{run}");
        let files = bench.root(&format!("ls -A {} {AGENTS}", PLIST.rsplit_once('/').unwrap().0));
        assert!(files.matches("web-main").count() == 1 && files.matches("unitbee").count() == 0, "{files}\n{at}");
        assert_eq!(bench.processes("web-main").len(), 1, "{at}");
        bench.root(&format!("launchctl print {}/com.rbee.web-main", new.1));
        bench.unitbee(&["apply"]).exits(0).says("unchanged");
    }
    bench.unitbee(&["uninstall"]).exits(0);
    assert_eq!(bench.root(&format!("ls -A {AGENTS} /Library/LaunchDaemons | grep web || true")), "");
}
