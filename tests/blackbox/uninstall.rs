//! uninstall leaves nothing: no file, no unit, no process.

use super::bench::Bench;
use super::manifest::web;
use super::target::Manager;

pub(crate) fn subject(bench: &Bench) {
    let before = files(bench);
    let within = format!("{}s", 30 * bench.target.patience);
    let family = |keys: &str| web(&["--children"], keys).replace("30s", &within);
    bench.project.write("unitbee.toml", family(r#"secrets = ["TOKEN"]"#));
    bench.unitbee_with(&[("TOKEN", "x")], &["apply"]).exits(0);
    bench.unitbee(&["stop"]).exits(0);
    bench.unitbee(&["start"]).exits(0);
    let processes = bench.processes("web-main");
    assert_eq!(processes.len(), bench.target.family(), "the daemon and its children");

    bench.unitbee(&["uninstall"]).exits(0).says("removed web-main");
    assert_eq!(bench.processes("web-main"), Vec::<u32>::new());
    for pid in processes {
        assert_eq!(bench.root(&format!("test ! -d /proc/{pid} || cat /proc/{pid}/cmdline")), "");
    }
    assert_eq!(bench.units(), Vec::<String>::new());
    assert_eq!(bench.root("find /sys/fs/cgroup -name 'rbee.slice*' -o -name 'web-main*'"), "");
    assert_eq!(files(bench), before, "files are left behind, or gone");
    assert_eq!(bench.get(8080, "/health").0, 0);

    // Somebody took the unit file away before, and systemd knows no link of what has no file.
    if bench.target.manager == Manager::Systemd {
        bench.unitbee_with(&[("TOKEN", "x")], &["apply"]).exits(0);
        bench.unitbee(&["stop"]).exits(0);
        bench.sh("rm $HOME/.config/systemd/user/web-main.service; systemctl --user daemon-reload");
        bench.unitbee(&["uninstall"]).exits(0).says("removed web-main");
        assert_eq!(files(bench), before, "files are left behind");
    }

    // What launchd has loaded lives on without its file, and its log has old ones beside it.
    if let Some(domain) = bench.target.domain() {
        leaves_others_alone(bench, domain);
        let more = "secrets = [\"TOKEN\"]\nlogs = { max_size = \"4K\" }";
        bench.project.write("unitbee.toml", family(more));
        bench.unitbee_with(&[("TOKEN", "x")], &["apply"]).exits(0);
        bench.unitbee(&["stop"]).exits(0);
        bench.sh("head -c 9000 /dev/zero | tr '\\0' x >>~/.local/state/unitbee/log/web-main.log");
        bench.unitbee_with(&[("TOKEN", "x")], &["apply"]).exits(0);
        let log = "~/.local/state/unitbee/log/web-main.log";
        bench.sh(&format!("test -s {log}.1")); // apply started it, so it rotated its log
        bench.sh(&format!("cp {log}.1 {log}.2 && cp {log}.1 {log}.0 && cp {log}.1 {log}.part && mkdir {log}.lock"));
        bench.root("rm -f /home/bee/Library/LaunchAgents/*.plist /Library/LaunchDaemons/*.plist");
        bench.unitbee(&["uninstall"]).exits(0).says("removed web-main");
        assert_eq!(bench.units(), Vec::<String>::new());
        assert_eq!(bench.processes("web-main"), Vec::<u32>::new());
        assert_eq!(files(bench), before, "files are left behind");
    }

    bench.unitbee(&["uninstall"]).exits(0).says("web-main not installed");
    bench.unitbee(&["status"]).exits(3).says("not installed");
    assert_eq!(files(bench), before, "the second uninstall left something");
}

/// A job by the same label that somebody loaded from elsewhere is neither replaced nor removed.
fn leaves_others_alone(bench: &Bench, domain: &str) {
    const OTHER: &str = "/Library/other.plist";
    let plist = "<plist version=\"1.0\"><dict><key>Label</key><string>com.rbee.web-main</string>\
        <key>ProgramArguments</key><array><string>/bin/sleep</string><string>7777</string></array>\
        <key>RunAtLoad</key><true/><key>LimitLoadToSessionType</key>\
        <array><string>Aqua</string><string>Background</string></array></dict></plist>";
    bench.root(&format!("printf %s '{plist}' >{OTHER} && /bin/launchctl bootstrap {domain} {OTHER}"));
    bench.unitbee_with(&[("TOKEN", "x")], &["apply"]).exits(1).says(OTHER);
    bench.unitbee(&["uninstall"]).exits(1).says(OTHER);
    assert!(bench.root(&format!("/bin/launchctl print {domain}/com.rbee.web-main")).contains(OTHER));
    let gone = "while /bin/launchctl print";
    bench.root(&format!(
        "/bin/launchctl bootout {domain}/com.rbee.web-main; rm {OTHER}
        {gone} {domain}/com.rbee.web-main >/dev/null 2>&1; do sleep 0.1; done"
    ));
}

/// All files of the home, and folders but for those that everybody shares.
pub(crate) fn files(bench: &Bench) -> Vec<String> {
    let shared = [
        "",
        ".config",
        ".config/systemd",
        ".config/systemd/user",
        ".local",
        ".local/share",
        ".local/state",
        "Library",
        "Library/LaunchAgents",
    ];
    let is_shared = |path: &String| shared.iter().any(|folder| path.strip_prefix("/home/bee/") == Some(folder));
    bench.home().into_keys().filter(|path| !is_shared(path)).collect()
}
