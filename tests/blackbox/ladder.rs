//! The stop ladder: which step ends what, and that nothing of a service is left, nor anything else touched.

use std::fmt::Write;
use std::time::Duration;

use super::bench::Bench;
use super::target::Manager;

/// Instance, its habits, further keys, the step that ends it.
const SERVICES: [(&str, &str, &str, &str); 6] = [
    ("polite", "", r#"url = "http://127.0.0.1:{port}/v1/shutdown", "#, "url"),
    ("plain", "", "", "term"),
    ("deaf", r#", "--deaf""#, "", "kill"),
    ("refusing", r#", "--shutdown", "none""#, r#"url = "http://127.0.0.1:{port}/v1/shutdown", "#, "term"),
    ("parent", r#", "--children""#, "", "term"),
    ("silent", r#", "--deaf", "--shutdown", "none""#, r#"url = "http://127.0.0.1:{port}/health", "#, "kill"),
];

pub(crate) fn subject(bench: &Bench) {
    bench.project.write("unitbee.toml", manifest(bench.target.patience));
    bench.unitbee(&["apply"]).exits(0);
    // A process of the same user that looks just like a child of the daemon.
    let stranger = bench.stranger("sleep 1000");
    let units: Vec<String> = SERVICES.iter().map(|(name, ..)| format!("{name}-main")).collect();
    let all: Vec<Vec<u32>> = units.iter().map(|unit| bench.processes(unit)).collect();
    assert_eq!(all.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 1, 1, bench.target.family(), 1], "{all:?}");

    // Its answer has to come in time to be told, so nothing else is stopped meanwhile.
    let refused = bench.unitbee(&["stop", "--json", "refusing"]).exits(0).says("answered 404");
    let others: Vec<&str> = SERVICES.iter().map(|(name, ..)| *name).filter(|name| *name != "refusing").collect();
    let run = bench.unitbee(&[&["stop", "--json"], &others[..]].concat()).exits(0);
    for (unit, (name, .., by)) in units.iter().zip(SERVICES) {
        let run = if name == "refusing" { &refused } else { &run };
        let line = run.stdout.lines().find(|line| line.contains(&format!("\"unit\":\"{unit}\""))).unwrap_or_default();
        assert!(line.contains(&format!("\"by\":\"{by}\"")), "{unit} ends by {by}: {run}");
        assert_eq!(bench.processes(unit), Vec::<u32>::new(), "{unit}");
    }
    for pid in all.concat() {
        assert_eq!(bench.root(&format!("cat /proc/{pid}/comm 2>/dev/null || true")), "", "process {pid}");
    }
    assert_eq!(bench.root(&format!("cat /proc/{stranger}/comm")).trim(), "sleep", "it is none of ours");

    // What was asked to end stays down, whatever `restart` says: for longer than its delay and a start take.
    std::thread::sleep(Duration::from_millis(1500) * bench.target.patience.min(4));
    for unit in &units {
        assert_eq!(bench.pid(unit), None, "{unit}");
        assert_eq!(bench.property(unit, "NRestarts"), "0", "{unit}");
    }
    // Without a cgroup a process that got away is not told from a stranger.
    if bench.target.manager == Manager::Systemd {
        // It waits until the unit is gone, whose name the next one has.
        bench.sh("systemctl --user stop stranger");
        somebody_else_at_the_stop_url_is_not_asked(bench);
    }
}

/// A program that does not listen leaves the port to others, who would exit if they were asked.
fn somebody_else_at_the_stop_url_is_not_asked(bench: &Bench) {
    let program = std::fs::read(bench.project.work().join("daemon")).unwrap();
    bench.pour("mkdir -p /srv; cat >/srv/stranger; chmod 755 /srv/stranger", &program);
    let stranger = bench.stranger("/srv/stranger --port 8090");
    bench.until("the stranger answers", Duration::from_secs(30), |bench| bench.get(8090, "/health").0 == 200);
    let term = bench.target.patience * 2;
    let manifest = |version: &str| {
        format!(
            r#"[service.mute]
command = ["./daemon", "--port", "8090", "--no-listen", "--version", "{version}"]
stop = {{ url = "http://127.0.0.1:8090/v1/shutdown", drain = "1s", term = "{term}s" }}
"#
        )
    };
    for version in ["one", "two"] {
        bench.project.write("unitbee.toml", manifest(version));
        bench.unitbee(&["apply"]).exits(0);
    }
    bench.unitbee(&["restart"]).exits(0);
    bench.unitbee(&["stop", "mute"]).exits(0).says("no process of mute-main listens at http://127.0.0.1:8090/");
    assert_eq!(bench.get(8090, "/health").0, 200, "somebody else was asked to exit");
    bench.root(&format!("kill {stranger}"));
}

fn manifest(patience: u32) -> String {
    let mut text = String::new();
    // Longer than it takes to tell the supervisor of one that its URL has ended.
    let delay = patience.min(4);
    for (number, (name, habits, url, _)) in SERVICES.iter().enumerate() {
        let port = 8080 + number;
        let url = url.replace("{port}", &port.to_string());
        let drain = if url.is_empty() { String::new() } else { format!(r#"drain = "{patience}s", "#) };
        write!(
            text,
            r#"
[service.{name}]
command = ["./daemon", "--port", "{port}"{habits}]
health = {{ url = "http://127.0.0.1:{port}/health", healthy_for = "100ms" }}
restart = {{ when = "always", delay = "{delay}s", max_delay = "{delay}s" }}
stop = {{ {url}{drain}term = "{patience}s" }}
"#
        )
        .unwrap();
    }
    text
}
