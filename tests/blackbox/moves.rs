//! A service that goes from one supervisor, or one domain of launchd, to another and back: there are never two copies, and
//! nothing of the first stays.

use super::bench::Bench;
use super::manifest::web;
use super::target::Manager;

const RUNNER: &[&str] = &["--supervisor", "runner"];

/// Restarted whenever it ends: who does not take it away first gets it back.
const ALWAYS: &str = r#"restart = { when = "always", delay = "100ms", max_delay = "100ms" }"#;

pub(crate) fn subject(bench: &Bench) {
    match bench.target.manager {
        Manager::Launchd(_) => between_domains(bench),
        Manager::Systemd | Manager::Runner => to_the_runner_and_back(bench),
    }
    bench.unitbee(&["uninstall"]).exits(0);
    assert_eq!(daemons(bench), "");
    assert_eq!(
        bench.sh("find ~/.config/unitbee ~/.local/state/unitbee ~/.local/share/unitbee 2>/dev/null || true"),
        ""
    );
}

/// Notes, for as long as the host is up, how many daemons there are whenever that is more than one; gives its number.
fn watch(bench: &Bench) -> String {
    let setsid = bench.target.setsid();
    bench.root(&format!(
        "{setsid} sh -c '
          while :; do
            set -- $(pgrep -x daemon)
            [ $# -le 1 ] || echo \"$*\" >>/tmp/two
          done' >/dev/null 2>&1 </dev/null & echo $!"
    ))
}

fn assert_never_two(bench: &Bench, watch: &str) {
    bench.root(&format!("kill {watch}"));
    assert_eq!(bench.root("cat /tmp/two 2>/dev/null || true"), "", "two at a time");
}

/// The numbers of all daemons.
fn daemons(bench: &Bench) -> String {
    bench.root("pgrep -x daemon || true")
}

/// An agent becomes a daemon of the system, and an agent again.
fn between_domains(bench: &Bench) {
    let wish = |scope: &str| {
        bench.project.write("unitbee.toml", web(&[], &format!("scope = {scope:?}\n{ALWAYS}")));
    };
    let gone = |domain: &str| {
        let asked = bench.root(&format!("launchctl print {domain}/com.rbee.web-main >/dev/null 2>&1 || echo $?"));
        assert_eq!(asked, "113\n", "{domain} has it too");
    };
    bench.root("mac set sudo true");
    wish("user");
    bench.unitbee(&["apply"]).exits(0);
    let watch = watch(bench);
    let first = bench.running("web-main");

    wish("system");
    bench.unitbee(&["plan"]).exits(2).says("stop web-main and take it away from launchd");
    // What there is no room for ends nothing.
    let full =
        "mount -t tmpfs -o size=8k none /Library/LaunchDaemons; head -c 1M /dev/zero >/Library/LaunchDaemons/full";
    bench.root(&format!("{full} 2>/dev/null || true"));
    let told = "write /Library/LaunchDaemons/com.rbee.web-main.plist";
    bench.unitbee(&["apply"]).exits(1).says(told).says("No space left on device");
    assert_eq!(bench.running("web-main"), first);
    assert_eq!(bench.root("ls -A /Library/LaunchDaemons"), "full\n");
    bench.root("umount /Library/LaunchDaemons");
    let run = bench.unitbee(&["apply"]).exits(0);
    run.says("stopped web-main by its shutdown URL").says("web-main is healthy after");
    let second = only(bench, first);
    gone("gui/1000");
    let status = bench.unitbee(&["status", "--json"]).exits(0).json();
    assert_eq!((&status[0]["pid"], &status[0]["flags"]), (&second.into(), &serde_json::json!([])), "{status:#}");
    bench.unitbee(&["apply"]).exits(0).says("unchanged");

    // Who may not take it away must not have it twice.
    bench.root("mac set sudo false");
    wish("user");
    bench.unitbee(&["apply"]).exits(1).says("a password is required");
    assert_eq!(daemons(bench), format!("{second}\n"));
    gone("gui/1000");
    bench.root("mac set sudo true");
    bench.unitbee(&["apply"]).exits(0).says("web-main is healthy after");
    let third = only(bench, second);
    gone("system");
    bench.unitbee(&["apply"]).exits(0).says("unchanged");

    // What needs Linux is not tried.
    for verb in ["plan", "apply", "status"] {
        bench.unitbee(&[&[verb], RUNNER].concat()).exits(1).says("it does not run Linux, which the runner needs");
    }
    assert_eq!(bench.running("web-main"), third);
    assert_never_two(bench, &watch);
}

fn to_the_runner_and_back(bench: &Bench) {
    bench.project.write("unitbee.toml", web(&[], ALWAYS));
    let unit = "/home/bee/.config/systemd/user/web-main.service";
    let definition = "/home/bee/.config/unitbee/web-main.sh";
    bench.unitbee(&["apply"]).exits(0);
    let watch = watch(bench);
    let first = bench.running("web-main");

    let with = |args: &[&str]| bench.unitbee(&[args, RUNNER].concat());
    with(&["plan"])
        .exits(2)
        .says("stop web-main and take it away from systemd")
        .says("under the runner, because it was requested");
    with(&["apply"]).exits(0).says("stopped web-main by its shutdown URL").says("web-main is healthy after");
    let second = only(bench, first);
    assert_eq!(bench.sh(&format!("ls {unit} 2>/dev/null || true")), "", "systemd has it too");
    assert_eq!(bench.property("web-main", "LoadState,ActiveState"), "not-found\ninactive");
    // What is installed under the runner is found there without being told.
    let status = bench.unitbee(&["status", "--json"]).exits(0).json();
    assert_eq!((&status[0]["manager"], &status[0]["pid"]), (&"runner".into(), &second.into()), "{status:#}");
    with(&["apply"]).exits(0).says("unchanged");

    // While its runner is dead the service runs on, and is still not there twice.
    bench.root(&format!("kill -KILL {}", bench.record("web-main")["runner"]));
    bench.unitbee(&["plan"]).exits(2).says("stop web-main and take it away from runner");
    bench.unitbee(&["apply"]).exits(0).says("web-main is healthy after");
    let third = only(bench, second);
    assert_eq!(bench.running("web-main"), third);
    assert_eq!(bench.sh(&format!("find {definition} ~/.local/state/unitbee/registry ~/.local/state/unitbee/claims -type f 2>/dev/null || true")), "");
    bench.unitbee(&["apply"]).exits(0).says("unchanged");

    assert_never_two(bench, &watch);
}

/// The one daemon of the host, which is not `before`.
#[track_caller]
fn only(bench: &Bench, before: u32) -> u32 {
    let pids = daemons(bench);
    let pid = pids.trim().parse().unwrap_or_else(|_| panic!("not one daemon: {pids}"));
    assert_ne!(pid, before);
    bench.assert_healthy(pid);
    pid
}
