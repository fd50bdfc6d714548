//! A service that ends by itself again and again is never said to run, and at last is given up.

use std::time::{Duration, Instant};

use super::bench::Bench;
use super::target::Manager;

/// Each life and each pause is long enough for somebody to look, and a life too short to count as running (10 s).
fn manifest(patience: u32) -> String {
    let time = (300 * patience).min(8000);
    format!(
        r#"
[service.web]
command = ["./daemon", "--port", "8080", "--exit-after", "{time}", "--code", "3"]
restart = {{ delay = "{time}ms", max_delay = "{time}ms", give_up_after = 4 }}
"#
    )
}

pub(crate) fn subject(bench: &Bench) {
    bench.project.write("unitbee.toml", manifest(bench.target.patience));
    bench.unitbee(&["apply", "--keep-failed"]);
    bench.until("it was restarted", Duration::from_secs(10), |bench| {
        bench.property("web-main", "NRestarts").parse::<u32>().is_ok_and(|restarts| restarts > 0)
    });

    let mut seen = Vec::new();
    let deadline = Instant::now() + Duration::from_mins(1) * bench.target.patience;
    while Instant::now() < deadline {
        let run = bench.unitbee(&["status", "--json"]).exits(3);
        let status = run.json()[0].clone();
        let state = status["state"].to_string();
        let flags: Vec<_> = status["flags"].as_array().unwrap().iter().map(|flag| flag["kind"].clone()).collect();
        assert!(status["reason"].is_string(), "{run}");
        assert!(flags.contains(&"crash-looping".into()), "{run}");
        assert!(state == "\"backoff\"" || state == "\"failed\"", "{run}");
        let over = state == "\"failed\"";
        seen.push(state);
        if over || (bench.target.domain().is_some() && seen.len() >= 10) {
            break;
        }
    }
    if bench.target.domain().is_some() {
        assert!(!seen.contains(&"\"failed\"".to_owned()), "launchd never gives up: {seen:?}");
        bench.unitbee(&["status"]).exits(3).says("backoff (exited with code 3").says("mend: unitbee logs");
        bench.unitbee(&["uninstall"]).exits(0);
        assert_eq!(bench.units(), Vec::<String>::new());
        return;
    }
    assert_eq!(seen.last().map(String::as_str), Some("\"failed\""), "it is never given up: {seen:?}");
    assert!(seen.len() > 1, "nobody looked while it was restarted: {seen:?}");
    assert_eq!(bench.property("web-main", "ActiveState"), "failed");
    bench
        .unitbee(&["status"])
        .exits(3)
        .says("failed (exited with code 3")
        .says("gave up: exited with code 3")
        .says("mend: unitbee logs");
    let said = bench.said("web-main");
    assert_eq!(said.matches("daemon gives up with 3").count(), 5, "a start and four restarts: {said}");

    // A start that somebody asks for is not the one too many.
    bench.unitbee(&["restart"]);
    if bench.target.manager == Manager::Systemd {
        assert_ne!(bench.property("web-main", "Result"), "start-limit-hit");
    }
    bench.unitbee(&["uninstall"]).exits(0);
    assert_eq!(bench.units(), Vec::<String>::new());
}
