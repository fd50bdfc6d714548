//! A host tells who changed what, and how that ended.

use super::super::bench::Bench;
use super::super::uninstall::files;
use super::Release;

pub(crate) fn subject(bench: &Bench) {
    let before = files(bench);
    bench.wants(&[Release::good("one")]);
    bench.unitbee(&["apply"]).exits(0);
    bench.unitbee(&["apply"]).exits(0).says("unchanged");
    bench.wants(&[Release::bad("two", &["--status", "500"])]);
    bench.unitbee(&["apply"]).exits(4);
    bench.unitbee(&["apply", "--retry", "--no-rollback"]).exits(1);
    bench.unitbee(&["rollback"]).exits(0);

    let history = bench.unitbee(&["--json", "history"]).exits(0).json();
    let line = |line: &serde_json::Value| {
        let by = line["by"].as_str().unwrap();
        assert!(["tester@", "bee@"].iter().any(|who| by.starts_with(who)), "{line:#}");
        let [verb, result] = ["verb", "result"].map(|key| line[key].as_str().unwrap().to_owned());
        (verb, line["release"].as_u64().unwrap(), result)
    };
    let lines: Vec<_> = history[0]["changes"].as_array().unwrap().iter().map(line).collect();
    let expected =
        [("apply", 1, "done"), ("apply", 2, "rolled back to 1"), ("apply", 3, "failed"), ("rollback", 1, "done")];
    let expected = expected.map(|(verb, release, result)| (verb.to_owned(), release, result.to_owned()));
    assert_eq!(lines, expected, "what changes nothing is not noted, all else is: {history:#}");
    let text = bench.unitbee(&["history"]).exits(0);
    assert!(text.stdout.contains(" apply release 2: rolled back to 1\n"), "{text}");

    bench.unitbee(&["uninstall"]).exits(0);
    assert_eq!(files(bench), before, "files are left behind");
}
