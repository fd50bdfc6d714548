//! The library's own handle on an installed service does what the verbs do, under the names that programs ask for.

use std::time::Duration;

use camino::Utf8PathBuf;
use unitbee::host::{self, Options};
use unitbee::lifecycle::{DaemonManager, Operation, StoppedBy};
use unitbee::supervisor::State;

use super::bench::Bench;
use super::manifest::web;
use super::target::Manager;

const READY: Duration = Duration::from_secs(30);

pub(crate) fn subject(bench: &Bench) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(of(bench, "nobody-main", is_typed));
    bench.project.write("unitbee.toml", web(&[], r#"restart = { when = "no" }"#));
    bench.unitbee(&["apply"]).exits(0);
    runtime.block_on(of(bench, "web-main", does_what_it_says));
    runtime.block_on(of(bench, "web-main", forgets_the_dead));
}

async fn of(bench: &Bench, unit: &str, body: impl AsyncFnOnce(&Bench, DaemonManager)) {
    let config = Utf8PathBuf::from_path_buf(bench.host.ssh_config.clone()).unwrap();
    let options = Options { ssh_config: Some(config), keep: Duration::from_secs(5), ..Options::default() };
    let host = host::open(&bench.host.name, &bench.host.name, &options);
    body(bench, DaemonManager::open(host, unit).await.unwrap()).await;
}

async fn is_typed(bench: &Bench, nobody: DaemonManager) {
    assert!(!nobody.is_running().await.unwrap());
    assert_eq!(nobody.pid().await.unwrap(), None);
    assert_eq!(nobody.clean_stale().await.unwrap(), None);
    let error = nobody.start().await.unwrap_err();
    assert_eq!((error.operation, error.unit.as_str()), (Operation::Start, "nobody-main"));
    assert_eq!(error.to_string(), format!("cannot start nobody-main on {}", bench.host.name));
    for error in [nobody.stop().await.unwrap_err(), nobody.kill().await.unwrap_err()] {
        assert!(error.cause.to_string().contains("is not installed"), "{error:?}");
    }
    let error = nobody.wait_ready(READY).await.unwrap_err();
    assert_eq!(error.operation, Operation::WaitReady);
}

async fn does_what_it_says(bench: &Bench, web: DaemonManager) {
    let pid = bench.running("web-main");
    assert_eq!(web.pid().await.unwrap(), Some(pid));
    let started = web.start().await.unwrap();
    assert!(started.already && started.pid == Some(pid), "{started:?}");
    web.wait_ready(READY).await.unwrap();

    let new = web.restart().await.unwrap().pid;
    assert_eq!(new, Some(bench.running("web-main")));
    assert_ne!(new, Some(pid));

    let stopped = web.stop().await.unwrap();
    assert_eq!(stopped.by, StoppedBy::Url, "the release on the host tells the URL: {stopped:?}");
    assert!(!web.is_running().await.unwrap());
    let error = web.wait_ready(Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(error.operation, Operation::WaitReady, "{error:?}");

    web.start().await.unwrap();
    let stopped = web.kill().await.unwrap();
    assert_eq!(stopped.by, StoppedBy::Kill);
    assert_eq!(bench.processes("web-main"), Vec::<u32>::new());
    web.start().await.unwrap();
    assert!(web.is_running().await.unwrap());
    assert_eq!(web.clean_stale().await.unwrap(), None, "what runs is not stale");
    assert_eq!(web.pid().await.unwrap(), Some(bench.running("web-main")));
}

async fn forgets_the_dead(bench: &Bench, web: DaemonManager) {
    let pid = bench.running("web-main");
    match bench.target.manager {
        Manager::Systemd => {
            bench.root(&format!("kill -KILL {pid}"));
            bench.until("it failed", READY, |bench| bench.property("web-main", "ActiveState") == "failed");
            assert_eq!(web.clean_stale().await.unwrap(), None, "how an installed unit ended is worth knowing");
            bench.sh("rm ~/.config/systemd/user/web-main.service; systemctl --user daemon-reload");
        }
        Manager::Launchd(_) => {
            bench.root(&format!("kill -KILL {pid}"));
            bench.until("it failed", READY, |bench| bench.property("web-main", "ActiveState") == "failed");
            assert_eq!(web.clean_stale().await.unwrap(), None, "how an installed unit ended is worth knowing");
            bench.root("rm -f /home/bee/Library/LaunchAgents/*.plist /Library/LaunchDaemons/*.plist");
        }
        Manager::Runner => drop(bench.root(&format!("kill -KILL {} {pid}", bench.record("web-main")["runner"]))),
    }
    assert!(matches!(web.status().await.unwrap().state, State::Failed { .. }));
    let cleaned = web.clean_stale().await.unwrap();
    assert!(cleaned.is_some(), "nothing was stale");
    assert_eq!(web.clean_stale().await.unwrap(), None, "it was cleaned: {cleaned:?}");
    assert_eq!(web.status().await.unwrap().state, State::Stopped);
}
