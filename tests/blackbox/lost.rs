//! A connection that breaks while something is waited for is made again: it says nothing of the service.

use std::time::Duration;

use super::bench::Bench;
use super::manifest::web;

pub(crate) fn subject(bench: &Bench) {
    bench.project.write("unitbee.toml", web(&["--health-after", "6000"], ""));
    bench.unitbee(&["apply"]).exits(0);
    let pid = bench.running("web-main");
    bench.sh("systemctl --user restart web-main.service");
    // Connections to the port 8080 (1F90), those included that have just been closed.
    let asked =
        |bench: &Bench| bench.sh("grep -c ':1F90 .* 0[16] ' /proc/net/tcp || true").trim().parse::<u32>().unwrap();
    let before = asked(bench);
    let waiting = bench.start(&[], &["wait"]);
    bench.until("it is asked for its health", Duration::from_secs(10), |bench| {
        bench.running("web-main") != pid && asked(bench) > before
    });
    bench.project.log_out();
    waiting.end().exits(0).hides("not healthy").hides("os error");
}
