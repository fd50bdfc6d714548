//! A hundred restarts in a row of a service that takes its time to end: none fails, and there are never two copies.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use camino::Utf8PathBuf;
use unitbee::host::{self, Options};
use unitbee::lifecycle::DaemonManager;

use super::bench::Bench;

const RESTARTS: usize = 100;

/// Needs 0.4 s to end, which are 4 s of a Mac whose clock runs ten times as fast.
const SLOW: &str = r#"#!/bin/sh
mkdir lock || echo "$$ found another" >>two
trap 'sleep 0.4; rmdir lock; exit 0' TERM
echo "$$ runs" >>runs
while :; do sleep 0.02; done
"#;

const MANIFEST: &str = r#"
[service.web]
command = ["./slow.sh"]
stop = { term = "10s" }
restart = { when = "always" }
"#;

pub(crate) fn subject(bench: &Bench) {
    bench.root("mac set speed 10");
    bench.project.write("slow.sh", SLOW);
    fs::set_permissions(bench.project.work().join("slow.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    bench.project.write("unitbee.toml", MANIFEST);
    bench.unitbee(&["apply"]).exits(0);

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let config = Utf8PathBuf::from_path_buf(bench.host.ssh_config.clone()).unwrap();
        let options = Options { ssh_config: Some(config), ..Options::default() };
        let host = host::open(&bench.host.name, &bench.host.name, &options);
        let web = DaemonManager::open(host, "web-main").await.unwrap();
        let mut pid = web.pid().await.unwrap();
        for number in 1..=RESTARTS {
            let started = web.restart().await.unwrap_or_else(|error| panic!("restart {number}: {error:?}"));
            assert!(started.pid.is_some() && started.pid != pid, "restart {number}: {started:?}");
            pid = started.pid;
        }
    });

    assert_eq!(bench.sh("cat ~/two 2>/dev/null || true"), "", "there were two copies");
    assert_eq!(bench.sh("cat ~/runs").lines().count(), RESTARTS + 1);
    let calls = bench.root("mac calls");
    let bootstraps: Vec<&str> = calls.lines().filter(|call| call.starts_with("bootstrap ")).collect();
    assert!(bootstraps.iter().all(|call| call.ends_with(" 0")), "nothing is tried blindly: {bootstraps:#?}");
    assert_eq!(bootstraps.len(), RESTARTS + 1);
    bench.unitbee(&["uninstall"]).exits(0);
}
