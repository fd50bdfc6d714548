//! `unitbee rollback`, what stays of releases for it, and what `prune` takes away.

use super::super::bench::Bench;
use super::Release;

pub(crate) fn subject(bench: &Bench) {
    bench.hurry();
    leads_back_from_what_was_left(bench);
    goes_to_and_fro(bench);
    goes_back_where_it_came_from(bench);
    loses_the_way_with_the_secrets(bench);
    bench.unitbee(&["uninstall"]).exits(0);
}

fn leads_back_from_what_was_left(bench: &Bench) {
    bench.wants(&[Release::good("one")]);
    bench.unitbee(&["apply"]).exits(0);
    let run = bench.unitbee(&["rollback"]).exits(1).says("no earlier release");
    assert!(run.stderr.contains("hint: `unitbee history web-main`"), "{run}");
    bench.serves("one");

    bench.wants(&[Release::bad("two", &["--status", "500"])]);
    bench.unitbee(&["apply", "--no-rollback"]).exits(1).says("now: release 2 of web-main is in effect");
    assert_eq!((bench.get(8080, "/health").0, bench.current("web-main")), (500, 2));
    bench.unitbee(&["status"]).exits(3);
    bench.unitbee(&["apply"]).exits(1).says("this very release was tried as release 2");
    bench.is_settled();

    bench.unitbee(&["rollback"]).exits(0).says("web-main is at release 1");
    bench.serves("one");
    assert_eq!(bench.current("web-main"), 1);
    let states: Vec<_> = bench.releases("web-main").iter().map(|release| release["state"].clone()).collect();
    assert_eq!(states, ["healthy", "failed"]);
}

fn goes_to_and_fro(bench: &Bench) {
    bench.wants(&[Release::good("three")]);
    bench.unitbee(&["apply"]).exits(0);
    assert_eq!(bench.current("web-main"), 3);
    bench.unitbee(&["rollback", "web"]).exits(0).says("web-main is at release 1");
    bench.serves("one");
    // What is there already is not restarted.
    let pid = bench.running("web-main");
    bench.unitbee(&["rollback", "--to", "1"]).exits(0);
    assert_eq!(bench.running("web-main"), pid);
    bench.unitbee(&["rollback", "--to", "3"]).exits(0).says("web-main is at release 3");
    bench.serves("three");
    bench.unitbee(&["plan"]).exits(0).says("nothing to do");
    bench.unitbee(&["rollback", "--to", "99"]).exits(1);
    bench.serves("three");
    assert_eq!(bench.current("web-main"), 3);
}

/// A release that was good once need not be so when it is put back.
fn goes_back_where_it_came_from(bench: &Bench) {
    let habits = ["--unhealthy-with", "/tmp/sick"];
    bench.wants(&[Release { habits: &habits, within: 6, ..Release::good("four") }]);
    bench.unitbee(&["apply"]).exits(0);
    bench.wants(&[Release::good("five")]);
    bench.unitbee(&["apply"]).exits(0);
    bench.sh("touch /tmp/sick");
    let run = bench.unitbee(&["rollback"]).exits(4);
    assert!(run.stderr.contains("release 4 of web-main failed and was rolled back to release 5"), "{run}");
    assert!(run.stderr.contains("| daemon four is up") && run.stderr.contains("answered 503"), "{run}");
    bench.serves("five");
    assert_eq!(bench.current("web-main"), 5);
    bench.is_settled();
    bench.sh("rm /tmp/sick");
}

fn loses_the_way_with_the_secrets(bench: &Bench) {
    let keys = r#"secrets = ["TOKEN"]"#;
    bench.wants(&[Release { keys, ..Release::good("six") }]);
    for token in ["token-one", "token-two", "token-three"] {
        bench.unitbee_with(&[("TOKEN", token)], &["apply"]).exits(0);
    }
    let current = bench.current("web-main");
    bench.unitbee(&["rollback"]).exits(0);
    assert!(bench.get(8080, "/env").1.contains("TOKEN=token-two\n"), "secrets are part of a release");
    bench.unitbee(&["rollback", "--to", &current.to_string()]).exits(0);
    assert!(bench.get(8080, "/env").1.contains("TOKEN=token-three\n"));
    assert_eq!(bench.holding("TOKEN=").len(), 3, "one file for each release");

    let pid = bench.running("web-main");
    bench.unitbee(&["prune", "--secrets"]).exits(0).says("removed releases");
    for old in ["token-one", "token-two"] {
        assert_eq!(bench.holding(old), Vec::<String>::new(), "an old secret is left");
    }
    let end = format!("units/web-main/{current}/env");
    let left = bench.holding("token-three");
    assert!(left.len() == 1 && left[0].ends_with(&end), "{left:?}");
    assert_eq!(bench.running("web-main"), pid);
    bench.unitbee(&["prune", "--secrets"]).exits(0).says("nothing to prune");
    bench.unitbee(&["rollback"]).exits(1).says("no earlier release");
    bench.unitbee_with(&[("TOKEN", "token-three")], &["apply"]).exits(0).says("unchanged");
    bench.serves("six");
}
