//! What counts as healthy: the new process and no other, in time, for as long as it must.

use std::time::Duration;

use super::bench::Bench;

/// A service with a time to get healthy, a policy of restarts and habits.
fn manifest(port: u16, within: &str, restart: &str, habits: &[&str]) -> String {
    let port = port.to_string();
    let command = [&["./daemon", "--port", &port], habits].concat();
    format!(
        r#"[service.web]
command = {command:?}
health = {{ url = "http://127.0.0.1:8080/health", within = "{within}", healthy_for = "500ms" }}
stop = {{ term = "1s" }}
restart = {{ when = "{restart}", delay = "200ms", max_delay = "200ms" }}
"#
    )
}

pub(crate) fn subject(bench: &Bench) {
    a_slow_one_is_waited_for(bench);
    one_that_never_gets_healthy_has_its_time(bench);
    one_that_ends_is_told_at_once(bench);
    one_that_is_started_again_does_not_pass(bench);
    one_that_goes_to_the_background_is_told_so(bench);
    one_without_a_url_has_to_stay_up(bench);
    one_that_never_ran_says_why(bench);
    one_that_is_healthy_for_a_moment_only_does_not_pass(bench);
    a_stranger_on_the_port_does_not_pass(bench);
}

fn a_slow_one_is_waited_for(bench: &Bench) {
    bench.project.write("unitbee.toml", manifest(8080, "30s", "no", &["--health-after", "2500"]));
    let run = bench.unitbee(&["apply"]).exits(0).says("web-main is healthy after");
    assert!(run.took > Duration::from_millis(2500), "{run}");
    bench.assert_healthy(bench.running("web-main"));
}

fn one_that_never_gets_healthy_has_its_time(bench: &Bench) {
    // Its answers take longer than the last look: what is told is what it said before.
    let habits = ["--unhealthy", "--slow", "600"];
    bench.project.write("unitbee.toml", manifest(8080, "3s", "no", &habits));
    let run = bench
        .unitbee(LEFT)
        .exits(1)
        .says("web-main is not healthy within 3s: http://127.0.0.1:8080/health answered 503")
        .says("hint: `unitbee rollback web-main");
    assert!(run.took > Duration::from_secs(3), "{run}");
    assert!(run.took < Duration::from_mins(1), "{run}");
    bench.running("web-main");
    bench.unitbee(&["status"]).exits(3).says("unhealthy web-main").says("answered 503");
    // Nothing is left to be done, and nothing is good.
    bench.unitbee(LEFT).exits(1).says("web-main is not healthy within 3s");
}

/// An apply that leaves what fails as it is: here it is looked at.
const LEFT: &[&str] = &["apply", "--no-rollback", "--retry"];

/// How soon an early exit is told, with all that comes before and after the two seconds that it may take.
const SOON: Duration = Duration::from_secs(20);

fn one_that_ends_is_told_at_once(bench: &Bench) {
    let habits = ["--unhealthy", "--exit-after", "300", "--code", "7"];
    bench.project.write("unitbee.toml", manifest(8080, "2min", "no", &habits));
    let run = bench.unitbee(LEFT).exits(1).says("web-main failed: exited with code 7");
    assert!(run.took < SOON * bench.target.patience, "{run}");
    assert_eq!(bench.property("web-main", "ActiveState"), "failed");
    bench.unitbee(&["status"]).exits(3).says("failed (exited with code 7)");
}

fn one_that_is_started_again_does_not_pass(bench: &Bench) {
    let habits = ["--unhealthy", "--exit-after", "300", "--code", "7"];
    bench.project.write("unitbee.toml", manifest(8080, "2min", "always", &habits));
    let run = bench.unitbee(LEFT).exits(1).says("web-main failed: exited with code 7");
    assert!(run.took < SOON * bench.target.patience, "{run}");
    bench.stop_behind("web-main");
}

fn one_that_goes_to_the_background_is_told_so(bench: &Bench) {
    let habits = ["--exit-after", "300", "--code", "0"];
    bench.project.write("unitbee.toml", manifest(8080, "2min", "no", &habits));
    let words = "web-main failed: exited with code 0";
    let run = bench.unitbee(LEFT).exits(1).says(words).says("has to stay in the foreground");
    assert!(run.took < SOON * bench.target.patience, "{run}");
}

fn one_without_a_url_has_to_stay_up(bench: &Bench) {
    let manifest = |habits: &str, keys: &str| {
        format!(
            "[service.web]\ncommand = [\"./daemon\", \"--port\", \"8080\"{habits}]\n{keys}\nstop = {{ term = \"1s\" }}\n"
        )
    };
    let exits = r#", "--exit-after", "1000", "--code", "5""#;
    bench.project.write("unitbee.toml", manifest(exits, ""));
    bench.unitbee(LEFT).exits(1).says("web-main failed: exited with code 5");
    bench.unitbee(&["start"]).exits(1);
    bench.stop_behind("web-main");

    bench.project.write("unitbee.toml", manifest(r#", "--version", "stays""#, r#"health = { healthy_for = "3s" }"#));
    let run = bench.unitbee(&["apply"]).exits(0);
    assert!(run.took > Duration::from_secs(3), "{run}");
    let pid = bench.running("web-main");
    let run = bench.unitbee(&["restart"]).exits(0).hides("healthy after");
    assert!(run.took > Duration::from_secs(3), "{run}");
    assert_ne!(bench.running("web-main"), pid);
    bench.unitbee(&["wait"]).exits(0).says("runs");
}

fn one_that_never_ran_says_why(bench: &Bench) {
    if bench.target.domain().is_some() {
        return;
    }
    let text = manifest(8080, "30s", "no", &[]) + "working_dir = \"/nowhere\"\n";
    bench.project.write("unitbee.toml", text);
    bench.unitbee(LEFT).exits(1).says("cannot enter its working directory (200/CHDIR)");
    bench.unitbee(&["start"]).exits(1).says("cannot enter its working directory (200/CHDIR)");
    bench.unitbee(&["status"]).exits(3).says("cannot enter its working directory (200/CHDIR)");
}

fn one_that_is_healthy_for_a_moment_only_does_not_pass(bench: &Bench) {
    let habits = ["--exit-after", "400", "--code", "9"];
    bench.project.write("unitbee.toml", manifest(8080, "30s", "no", &habits));
    bench.unitbee(LEFT).exits(1).says("web-main failed: exited with code 9");
}

fn a_stranger_on_the_port_does_not_pass(bench: &Bench) {
    let program = std::fs::read(bench.project.work().join("daemon")).unwrap();
    bench.pour("mkdir -p /srv; cat >/srv/stranger; chmod 755 /srv/stranger", &program);
    bench.stop_behind("web-main");
    let stranger = bench.stranger("/srv/stranger --port 8080");
    bench.until("the stranger answers", Duration::from_secs(10), |bench| bench.get(8080, "/health").0 == 200);

    bench.project.write("unitbee.toml", manifest(8081, "2s", "no", &[]));
    let words = "http://127.0.0.1:8080/health is answered by a process that does not belong to the unit";
    bench.unitbee(LEFT).exits(1).says("web-main is not healthy within 2s").says(words);

    bench.project.write("unitbee.toml", manifest(8080, "30s", "no", &[]));
    bench.unitbee(LEFT).exits(1).says("web-main failed: exited with code 98");

    bench.root(&format!("kill {stranger}"));
    bench.unitbee(&["apply", "--retry"]).exits(0).says("web-main is healthy after");
    bench.assert_healthy(bench.running("web-main"));
}
