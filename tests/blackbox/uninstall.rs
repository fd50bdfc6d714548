//! uninstall leaves nothing: no file, no unit, no process.

use super::bench::Bench;
use super::manifest::web;
use super::target::Manager;

pub(crate) fn subject(bench: &Bench) {
    let before = files(bench);
    bench.project.write("unitbee.toml", web(&["--children"], r#"secrets = ["TOKEN"]"#));
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

    // What launchd has loaded lives on without its file.
    if bench.target.domain().is_some() {
        bench.unitbee_with(&[("TOKEN", "x")], &["apply"]).exits(0);
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

/// All files of the home, and folders but for those that everybody shares.
fn files(bench: &Bench) -> Vec<String> {
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
