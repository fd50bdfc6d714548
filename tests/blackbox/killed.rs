//! Whenever unitbee is killed, the next apply makes everything right, and nothing of the first try stays.

use std::time::Duration;

use super::bench::Bench;
use super::manifest::web;

/// Moments after the start at which unitbee is killed, in milliseconds: from the first connection to the health gate.
const MOMENTS: [u64; 12] = [5, 40, 80, 120, 160, 200, 250, 300, 400, 500, 700, 1000];

pub(crate) fn subject(bench: &Bench) {
    let before = files(bench);
    for (number, moment) in MOMENTS.into_iter().enumerate() {
        let version = number.to_string();
        bench.project.write("unitbee.toml", web(&["--version", &version], ""));
        let running = bench.start(&[], &["apply"]);
        std::thread::sleep(Duration::from_millis(moment));
        let killed = bench.kill(running);

        let run = bench.unitbee(&["apply"]).exits(0);
        let pid = bench.running("web-main");
        bench.assert_healthy(pid);
        let now = bench.get(8080, "/health").1;
        assert!(now.contains(&format!("version={version} ")), "{moment} ms: {now}, after:\n{killed}\n{run}");
        let left: Vec<String> = files(bench).into_iter().filter(|path| is_leftover(path)).collect();
        assert_eq!(left, Vec::<String>::new(), "left after {moment} ms");
        // Every other time from nothing.
        if number % 2 == 0 {
            bench.unitbee(&["uninstall"]).exits(0);
            assert_eq!(files(bench), before, "left after {moment} ms and uninstall");
        }
    }
}

fn files(bench: &Bench) -> Vec<String> {
    bench.sh("find $HOME -type f").lines().map(str::to_owned).collect()
}

/// What is there only while somebody is at work. The lock of the dead may stay until somebody needs it.
fn is_leftover(path: &str) -> bool {
    ["/unitbee/tmp/", "/.unitbee", "/.new."].iter().any(|part| path.contains(part))
}
