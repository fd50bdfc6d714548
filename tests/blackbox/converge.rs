//! apply makes a host what the manifest says, and does no more than that takes.

use std::fs::OpenOptions;
use std::io::Write;

use super::bench::Bench;
use super::manifest::web;
use super::target::Manager;

/// Names that `status --json` always has.
const STABLE: &str = "host unit service instance manager because lacks state pid since restarts memory_bytes \
                      cpu_percent tasks health flags release";

pub(crate) fn subject(bench: &Bench) {
    let first = installs(bench);
    changes_nothing_twice(bench, first);
    let second = replaces_what_changed(bench, first);
    changes_limits_of_a_running_process(bench, second);
    let third = restarts_for_secrets(bench, second);
    ships_a_new_binary(bench, third);
    keeps_three_releases(bench);
}

fn installs(bench: &Bench) -> u32 {
    bench.project.write("unitbee.toml", web(&[], ""));
    bench.unitbee(&["plan"]).exits(2).says(bench.definition()).says(bench.command_key());
    assert!(bench.files(bench.definition()).is_empty(), "plan wrote files");
    bench.unitbee(&["apply"]).exits(0).says("web-main is healthy after");
    let pid = bench.running("web-main");
    bench.assert_healthy(pid);
    assert!(bench.is_enabled("web-main"));
    if bench.target.manager == Manager::Systemd {
        assert_eq!(bench.property("web-main", "Slice"), "rbee.slice");
    }
    let program = bench.program(pid);
    assert!(program.starts_with("/home/bee/.local/share/unitbee/store/") && program.ends_with("/daemon"), "{program}");
    let run = bench.unitbee(&["status", "-v"]).exits(0).says("running").says("healthy");
    let (host, because) = match bench.target.manager {
        Manager::Systemd => ("systemd over ", "because systemd is the host's init\n"),
        Manager::Launchd(_) => ("launchd over shell", "because the host runs macOS; it has no cap on "),
        Manager::Runner => ("runner over shell", "because the host has no service manager; it has no sandbox, "),
    };
    assert!(run.stderr.contains(host) && run.stderr.contains(because), "{run}");
    let status = bench.unitbee(&["status", "--json"]).exits(0).json();
    let missing: Vec<_> = STABLE.split(' ').filter(|name| status[0].get(name).is_none()).collect();
    assert!(missing.is_empty(), "machines count on {missing:?}: {status:#}");
    pid
}

fn changes_nothing_twice(bench: &Bench, pid: u32) {
    let (home, reloads) = (bench.home(), bench.reloads());
    let invocation = bench.property("web-main", "InvocationID");
    bench.unitbee(&["plan"]).exits(0).says("nothing to do");
    let run = bench.unitbee(&["apply", "-v"]).exits(0).says("unchanged").says("1 exchange\n");
    assert!(!run.stderr.contains("wrote"), "{run}");
    let result = bench.unitbee(&["--json", "apply"]).exits(0).last_json();
    assert_eq!((&result["outcome"], &result["exchanges"]), (&"unchanged".into(), &1.into()), "{result}");
    assert_eq!(bench.home(), home, "files were touched");
    assert_eq!(bench.reloads(), reloads, "the manager was reloaded");
    assert_eq!(bench.property("web-main", "InvocationID"), invocation, "the service was restarted");
    assert_eq!(bench.running("web-main"), pid);
}

fn replaces_what_changed(bench: &Bench, pid: u32) -> u32 {
    bench.project.write("unitbee.toml", web(&["--version", "two"], ""));
    bench
        .unitbee(&["plan"])
        .exits(2)
        .says(&bench.shown('-', bench.command_key()))
        .says(&bench.shown('+', bench.command_key()))
        .says("two")
        .says(&format!("restart web-main: {} changed", bench.command_key()));
    assert_eq!(bench.running("web-main"), pid, "plan did something");
    bench.unitbee(&["apply"]).exits(0).says("stopped web-main by its shutdown URL").says("web-main is healthy after");
    let new = bench.running("web-main");
    assert_ne!(new, pid);
    bench.assert_healthy(new);
    assert_eq!(bench.get(8080, "/health").1.trim(), format!("ok version=two pid={new}"));
    bench.unitbee(&["plan"]).exits(0);
    new
}

fn changes_limits_of_a_running_process(bench: &Bench, pid: u32) {
    let is_systemd = bench.target.manager == Manager::Systemd;
    let is_launchd = bench.target.domain().is_some();
    let limits = r#"limits = { memory = "200M", tasks = 77 }"#;
    bench.project.write("unitbee.toml", web(&["--version", "two"], limits));
    bench
        .unitbee(&["plan"])
        .exits(2)
        .says(match bench.target.manager {
            Manager::Systemd => "+MemoryMax=",
            Manager::Launchd(_) => "(only its header)",
            Manager::Runner => "+memory=",
        })
        .hides("restart web-main");
    // launchd has nothing that could be told of them.
    bench
        .unitbee(&["apply"])
        .exits(0)
        .says(if is_launchd { "does not hold" } else { "daemon-reload" })
        .hides("stopped");
    assert_eq!(bench.running("web-main"), pid, "new limits need no new process");
    if is_systemd {
        assert_eq!(bench.property("web-main", "MemoryMax"), (200 << 20).to_string());
        assert_eq!(bench.property("web-main", "TasksMax"), "77");
    }
    let status = bench.unitbee(&["status", "--json"]).exits(0).json();
    let flags = status[0]["flags"].as_array().unwrap();
    let gap = flags.iter().find(|flag| flag["kind"] == "limit-not-effective");
    assert_eq!(gap.is_none(), bench.target.limits_hold, "{status:#}");
    let expected: &[&str] =
        if is_systemd { &["limit-not-effective"] } else { &["limit-not-effective", "not-persistent"] };
    let only: Vec<_> = flags.iter().filter(|flag| !expected.contains(&flag["kind"].as_str().unwrap())).collect();
    assert!(only.is_empty(), "{only:?}");
}

fn restarts_for_secrets(bench: &Bench, pid: u32) -> u32 {
    bench.project.write("unitbee.toml", web(&["--version", "two"], r#"secrets = ["TOKEN"]"#));
    bench.unitbee(&["plan"]).exits(1).says("secret TOKEN is not set");
    bench.unitbee_with(&[("TOKEN", "first word")], &["apply"]).exits(0);
    let first = bench.running("web-main");
    assert_ne!(first, pid);
    assert!(bench.get(8080, "/env").1.contains("TOKEN=first word\n"));
    bench.unitbee_with(&[("TOKEN", "first word")], &["plan"]).exits(0);

    bench.unitbee_with(&[("TOKEN", "other")], &["plan"]).exits(2).says("its secrets changed");
    bench.unitbee_with(&[("TOKEN", "other")], &["apply"]).exits(0);
    let second = bench.running("web-main");
    assert_ne!(second, first);
    assert!(bench.get(8080, "/env").1.contains("TOKEN=other\n"));
    second
}

fn ships_a_new_binary(bench: &Bench, pid: u32) {
    let old = bench.program(pid);
    grow_daemon(bench);
    let token = [("TOKEN", "other")];
    bench.unitbee_with(&token, &["plan"]).exits(2).says(&format!("restart web-main: {} changed", bench.command_key()));
    bench.unitbee_with(&token, &["apply"]).exits(0);
    let new = bench.running("web-main");
    bench.assert_healthy(new);
    assert_ne!(bench.program(new), old);
    assert!(bench.files("/daemon").contains(&old), "the release before needs its program");
}

fn keeps_three_releases(bench: &Bench) {
    let token = [("TOKEN", "other")];
    let before = bench.files("/daemon");
    for _ in 0..2 {
        grow_daemon(bench);
        bench.unitbee_with(&token, &["apply"]).exits(0);
    }
    let store = bench.files("/daemon");
    assert_eq!(store.len(), 3, "the store keeps the programs of three releases: {store:?}");
    assert!(store.iter().any(|path| !before.contains(path)), "{store:?}");
    assert!(store.contains(&bench.program(bench.running("web-main"))));
    assert_eq!(bench.files("/env").len(), 3, "three releases are kept");
    bench.unitbee_with(&token, &["plan"]).exits(0);
}

/// Makes another program of the daemon that does the same.
fn grow_daemon(bench: &Bench) {
    let path = bench.project.work().join("daemon");
    OpenOptions::new().append(true).open(path).unwrap().write_all(b"\0more").unwrap();
}
