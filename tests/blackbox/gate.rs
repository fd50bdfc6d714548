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
    one_that_ends_again_and_again_is_not_waited_for_longer(bench);
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
        .unitbee(&["apply"])
        .exits(1)
        .says("web-main is not healthy within 3s: http://127.0.0.1:8080/health answered 503")
        .says("hint: `unitbee logs web-main");
    assert!(run.took > Duration::from_secs(3), "{run}");
    assert!(run.took < Duration::from_mins(1), "{run}");
    bench.running("web-main");
    bench.unitbee(&["status"]).exits(3).says("unhealthy web-main").says("answered 503");
    // Nothing is left to be done, and nothing is good.
    bench.unitbee(&["apply"]).exits(1).says("web-main is not healthy within 3s");
}

fn one_that_ends_is_told_at_once(bench: &Bench) {
    let habits = ["--unhealthy", "--exit-after", "300", "--code", "7"];
    bench.project.write("unitbee.toml", manifest(8080, "2min", "no", &habits));
    let run = bench.unitbee(&["apply"]).exits(1).says("web-main failed: exited with code 7");
    assert!(run.took < Duration::from_mins(1), "{run}");
    assert_eq!(bench.property("web-main", "ActiveState"), "failed");
    bench.unitbee(&["status"]).exits(3).says("failed (exited with code 7)");
}

fn one_that_ends_again_and_again_is_not_waited_for_longer(bench: &Bench) {
    let habits = ["--unhealthy", "--exit-after", "300", "--code", "7"];
    bench.project.write("unitbee.toml", manifest(8080, "3s", "always", &habits));
    let run = bench.unitbee(&["apply"]).exits(1).says("web-main is not healthy within 3s");
    assert!(run.took < Duration::from_mins(1), "{run}");
}

fn one_that_is_healthy_for_a_moment_only_does_not_pass(bench: &Bench) {
    let habits = ["--exit-after", "400", "--code", "9"];
    bench.project.write("unitbee.toml", manifest(8080, "30s", "no", &habits));
    bench.unitbee(&["apply"]).exits(1).says("web-main failed: exited with code 9");
}

fn a_stranger_on_the_port_does_not_pass(bench: &Bench) {
    let program = std::fs::read(bench.project.work().join("daemon")).unwrap();
    bench.pour("mkdir -p /srv; cat >/srv/stranger; chmod 755 /srv/stranger", &program);
    bench.stop_behind("web-main");
    let stranger = bench.stranger("/srv/stranger --port 8080");
    bench.until("the stranger answers", Duration::from_secs(10), |bench| bench.get(8080, "/health").0 == 200);

    bench.project.write("unitbee.toml", manifest(8081, "2s", "no", &[]));
    let words = "http://127.0.0.1:8080/health is answered by a process that does not belong to the unit";
    bench.unitbee(&["apply"]).exits(1).says("web-main is not healthy within 2s").says(words);

    bench.project.write("unitbee.toml", manifest(8080, "30s", "no", &[]));
    bench.unitbee(&["apply"]).exits(1).says("web-main failed: exited with code 98");

    bench.root(&format!("kill {stranger}"));
    bench.unitbee(&["apply"]).exits(0).says("web-main is healthy after");
    bench.assert_healthy(bench.running("web-main"));
}
