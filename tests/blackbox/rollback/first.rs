//! A bad release where there was none, and one whose predecessor is bad by now too.

use super::super::bench::Bench;
use super::super::uninstall::files;
use super::Release;

const TOKEN: [(&str, &str); 1] = [("TOKEN", "token-of-the-first-one")];

pub(crate) fn subject(bench: &Bench) {
    bench.hurry();
    over_nothing(bench);
    is_kept_for_a_look(bench);
    over_one_that_is_bad_by_now(bench);
}

fn over_nothing(bench: &Bench) {
    let before = files(bench);
    let bad = Release { keys: r#"secrets = ["TOKEN"]"#, ..Release::bad("first", &["--status", "500"]) };
    bench.wants(&[bad]);
    for _ in 0..2 {
        let run = bench.unitbee_with(&TOKEN, &["apply"]).exits(1);
        assert!(run.stderr.contains("answered 500") && run.stderr.contains("| daemon first is up"), "{run}");
        assert!(run.stderr.contains("now: web-main is removed"), "{run}");
        assert_eq!(bench.units(), Vec::<String>::new());
        assert_eq!(bench.processes("web-main"), Vec::<u32>::new());
        assert_eq!(files(bench), before, "files are left behind");
        // Nothing remembers it either, so that it is tried again.
    }
    bench.unitbee(&["status"]).exits(3).says("not installed");
}

fn is_kept_for_a_look(bench: &Bench) {
    bench.wants(&[Release::bad("kept", &["--status", "500"])]);
    bench.unitbee(&["apply", "--keep-failed"]).exits(1).says("now: release 1 of web-main is in effect");
    bench.running("web-main");
    assert_eq!(bench.get(8080, "/health").0, 500);
    bench.unitbee(&["status"]).exits(3).says("unhealthy web-main");
    bench.unitbee(&["logs"]).exits(0).says("daemon kept is up");
    bench.unitbee(&["apply"]).exits(1).says("this very release was tried as release 1");
    bench.is_settled();

    bench.wants(&[Release::good("cured")]);
    bench.unitbee(&["apply"]).exits(0);
    bench.serves("cured");
    bench.unitbee(&["uninstall"]).exits(0);
}

fn over_one_that_is_bad_by_now(bench: &Bench) {
    let habits = ["--unhealthy-with", "/tmp/sick"];
    bench.wants(&[Release { habits: &habits, within: 6, ..Release::good("old") }]);
    bench.unitbee(&["apply"]).exits(0);
    let old = bench.current("web-main");
    bench.sh("touch /tmp/sick");
    bench.wants(&[Release::bad("new", &["--status", "500"])]);
    let run = bench.unitbee(&["apply"]).exits(5).says_all(&["answered 500", "answered 503"]);
    for version in ["new", "old"] {
        assert!(run.stderr.contains(&format!("| daemon {version} is up")), "the log of {version}:\n{run}");
    }
    assert!(run.stderr.contains(&format!("now: release {old} of web-main is in effect and not healthy")), "{run}");
    assert_eq!(bench.current("web-main"), old);
    bench.only_remembers("web-main", old + 1);
    bench.unitbee(&["status"]).exits(3).says("unhealthy web-main");
    bench.is_settled();

    bench.sh("rm /tmp/sick");
    bench.serves("old");
    bench.unitbee(&["uninstall"]).exits(0);
}
