//! Several units in one apply, one of them bad.

use super::super::bench::Bench;
use super::super::uninstall::files;
use super::Release;

const UNITS: [(&str, u16); 3] = [("one", 8080), ("two", 8081), ("three", 8082)];

/// What does not let the second get healthy.
const BAD: &[&str] = &["--status", "500"];

pub(crate) fn subject(bench: &Bench) {
    bench.hurry();
    let before = files(bench);
    over_good_ones(bench);
    assert_eq!(files(bench), before, "files are left behind");
    over_nothing(bench, &before);
    in_one_wave(bench);
}

fn over_good_ones(bench: &Bench) {
    wants(bench, "1", "1", &[]);
    bench.unitbee(&["apply"]).exits(0);
    serve(bench, ["1", "1", "1"]);
    let third = bench.running("three-main");

    // Those before the bad one stay, those after it are left alone.
    wants(bench, "2", "bad", BAD);
    let run = bench.unitbee(&["apply"]).exits(4);
    says(&run.stderr, "release 2 of two-main failed and was rolled back to release 1");
    says(&run.stderr, "not changed: three-main");
    serve(bench, ["2", "1", "1"]);
    assert_eq!((bench.current("one-main"), bench.current("two-main"), bench.current("three-main")), (2, 1, 1));
    bench.only_remembers("two-main", 2);
    assert_eq!(bench.releases("three-main").len(), 1, "what was brought along for it stays nowhere");

    // The same for machines, and all of them go back.
    wants(bench, "3", "worse", BAD);
    let told = bench.unitbee(&["--json", "apply", "--atomic"]).exits(4).last_json();
    let failure = |unit: &str| told["failures"].as_array().unwrap().iter().find(|it| it["unit"] == unit).unwrap();
    for (unit, release) in [("one-main", 2), ("two-main", 1)] {
        assert_eq!(failure(unit)["now"]["state"], "rolled-back", "{told:#}");
        assert_eq!(failure(unit)["now"]["release"], release, "{told:#}");
    }
    assert!(failure("two-main")["error"].as_str().unwrap().contains("answered 500"), "{told:#}");
    assert_eq!(told["untouched"], serde_json::json!(["three-main"]));
    serve(bench, ["2", "1", "1"]);
    assert_eq!((bench.current("one-main"), bench.current("two-main")), (2, 1));
    assert_eq!(bench.running("three-main"), third, "the third was touched");
    bench.is_settled();

    // Nothing is wrong with what went back with another: it is not refused.
    wants(bench, "3", "3", &[]);
    bench.unitbee(&["apply"]).exits(0);
    serve(bench, ["3", "3", "3"]);
    bench.unitbee(&["uninstall"]).exits(0);
}

/// New units are started all at once, and what was not there goes.
fn over_nothing(bench: &Bench, before: &[String]) {
    wants(bench, "1", "bad", BAD);
    let run = bench.unitbee(&["apply", "--atomic"]).exits(1);
    for (service, _) in UNITS {
        says(&run.stderr, &format!("now: {service}-main is removed"));
    }
    assert_eq!(files(bench), before, "files are left behind");

    let run = bench.unitbee(&["apply"]).exits(1);
    says(&run.stderr, "now: two-main is removed");
    bench.serves_at("one-main", 8080, "1");
    bench.serves_at("three-main", 8082, "1");
    assert_eq!(bench.get(8081, "/health").0, 0);
    assert_eq!(bench.sh("ls ~/.local/share/unitbee/units"), "one-main\nthree-main\n", "the second has left something");
    bench.is_settled();
    bench.unitbee(&["uninstall"]).exits(0);
}

/// Instances that are replaced at the same time.
fn in_one_wave(bench: &Bench) {
    let wants = |version: &str, second: &str| {
        let manifest = format!(
            r#"[service.web]
command = ["./daemon", "--port", "{{port}}", "--version", "{version}", "--healthy-with", "{{mark}}"]
instances = {{ a = {{ port = 8080, mark = "/" }}, b = {{ port = 8081, mark = "{second}" }} }}
parallel = "all"
health = {{ url = "http://127.0.0.1:{{port}}/health", within = "5s", healthy_for = "300ms" }}
stop = {{ url = "http://127.0.0.1:{{port}}/v1/shutdown", drain = "1s", term = "2s" }}
"#
        );
        bench.project.write("unitbee.toml", manifest);
    };
    wants("1", "/");
    bench.unitbee(&["apply"]).exits(0);
    wants("2", "/no/such/file");
    let run = bench.unitbee(&["apply"]).exits(4);
    says(&run.stderr, "release 2 of web-b failed and was rolled back to release 1");
    bench.serves_at("web-a", 8080, "2");
    bench.serves_at("web-b", 8081, "1");
    bench.unitbee(&["status"]).exits(0);
    bench.unitbee(&["uninstall"]).exits(0);
}

/// Has the manifest name all three in one version, but the second in another with these habits.
fn wants(bench: &Bench, version: &str, second: &str, habits: &[&str]) {
    let releases = UNITS.map(|(service, port)| match service {
        "two" if !habits.is_empty() => Release { service, port, ..Release::bad(second, habits) },
        _ => Release { service, port, ..Release::good(version) },
    });
    bench.wants(&releases);
}

#[track_caller]
fn serve(bench: &Bench, versions: [&str; 3]) {
    for ((service, port), version) in UNITS.into_iter().zip(versions) {
        bench.serves_at(&format!("{service}-main"), port, version);
    }
    bench.unitbee(&["status"]).exits(0);
}

#[track_caller]
fn says(stderr: &str, text: &str) {
    assert!(stderr.contains(text), "{text:?} is not said:\n{stderr}");
}
