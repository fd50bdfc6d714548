//! A restart is one order to the host: what depends on a unit comes back with it, and whatever becomes of unitbee meanwhile,
//! the service is up again without any further command.

use std::fmt::Write;
use std::sync::Mutex;
use std::time::Duration;

use camino::Utf8PathBuf;
use rustix::process::Signal;
use unitbee::host::{self, Options};
use unitbee::lifecycle::{DaemonManager, StoppedBy};
use unitbee::service::spec::Stop;

use super::bench::Bench;
use super::lab::lab;
use super::target::{Manager, Reach};

/// How often unitbee is killed in each of the two ways to stop.
const KILLS: u64 = 20;

const SOON: Duration = Duration::from_secs(20);

/// The host has to notice first that nobody speaks to it any more.
const LATER: Duration = Duration::from_mins(1);

const BY_URL: &str = r#"{ url = "http://127.0.0.1:8080/v1/shutdown", drain = "5s", term = "5s" }"#;

pub(crate) fn subject(bench: &Bench) {
    if bench.target.domain().is_some() {
        bench.root("mac set speed 10");
    }
    if bench.target.manager == Manager::Systemd {
        what_depends_on_it_comes_back(bench, BY_URL);
        what_depends_on_it_comes_back(bench, r#"{ term = "5s" }"#);
        if bench.target.reach == Reach::Ssh {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            runtime.block_on(it_is_done_in_steps(bench));
        }
        bench.unitbee(&["uninstall"]).exits(0);
    }
    // It takes a moment to answer, and with that to exit.
    is_up_again_after_a_kill(bench, r#", "--slow", "200""#, BY_URL);
    if bench.target.reach == Reach::Ssh {
        // It exits long after it was asked, when nobody is there any more who would start it again.
        let stop = r#"{ url = "http://127.0.0.1:8080/v1/shutdown", drain = "30s", term = "5s" }"#;
        bench.project.write("unitbee.toml", manifest(r#", "--shutdown", "late""#, stop));
        bench.unitbee(&["apply"]).exits(0);
        is_up_again_when_unitbee_is_silent(bench);
        is_up_again_when_the_network_is_gone(bench);
    }
    is_up_again_after_a_kill(bench, r#", "--deaf""#, r#"{ term = "500ms" }"#);
}

fn manifest(habits: &str, stop: &str) -> String {
    format!(
        r#"[service.web]
command = ["./daemon", "--port", "8080"{habits}]
health = {{ url = "http://127.0.0.1:8080/health", within = "30s", healthy_for = "300ms" }}
stop = {stop}
restart = {{ when = "no" }}
"#
    )
}

/// Service, how it depends on which unit.
const DEPENDENTS: [(&str, &str, &str); 5] = [
    ("requiring", "Requires", "web-main"),
    ("bound", "BindsTo", "web-main"),
    ("part", "PartOf", "web-main"),
    ("far", "BindsTo", "bound-main"),
    ("down", "BindsTo", "web-main"),
];

fn what_depends_on_it_comes_back(bench: &Bench, stop: &str) {
    let mut text = manifest("", stop);
    for (name, how, on) in DEPENDENTS {
        write!(
            text,
            "[service.{name}]\ncommand = [\"/bin/sleep\", \"1000\"]\nhealth = {{ healthy_for = \"10ms\" }}\n\
             systemd.Unit = {{ {how} = \"{on}.service\", After = \"{on}.service\" }}\n"
        )
        .unwrap();
    }
    bench.project.write("unitbee.toml", text);
    bench.unitbee(&["apply"]).exits(0);
    bench.unitbee(&["start"]).exits(0);
    bench.unitbee(&["stop", "down"]).exits(0);
    let units = ["web-main", "requiring-main", "bound-main", "part-main", "far-main"];
    let before: Vec<u32> = units.iter().map(|unit| bench.running(unit)).collect();
    bench.unitbee(&["restart", "web"]).exits(0);
    for (unit, before) in units.iter().zip(before) {
        assert_ne!(bench.running(unit), before, "{unit} is restarted with {stop}");
    }
    assert_eq!(bench.pid("down-main"), None, "what was down before stays so");
}

async fn it_is_done_in_steps(bench: &Bench) {
    let config = Utf8PathBuf::from_path_buf(bench.host.ssh_config.clone()).unwrap();
    let options = Options { ssh_config: Some(config), ..Options::default() };
    let host = host::open(&bench.host.name, &bench.host.name, &options);
    let web = DaemonManager::open(host, "web-main").await.unwrap();
    let service = web.owned().await.unwrap();
    let pid = bench.running("web-main");

    let (stopped, launch) = service.replace(&Stop::default()).await.unwrap();
    assert_eq!(stopped.by, StoppedBy::Term);
    assert!(launch.before.is_some() && launch.pid.is_some_and(|new| new != pid), "{launch:?}");
    let mut dependents = launch.dependents.clone();
    dependents.sort();
    let active = ["bound-main.service", "far-main.service", "part-main.service", "requiring-main.service"];
    assert_eq!(dependents, active);
    let seen = Mutex::new(Vec::new());
    let started = service.gate(&launch, &|words| seen.lock().unwrap().push(words.to_owned())).await.unwrap();
    assert_eq!(started.pid, launch.pid, "{:?}", seen.lock().unwrap());

    // A release that fails takes those down that are bound to it; the one before brings them back.
    bench.sh("systemctl --user stop web-main");
    assert_eq!(bench.pid("bound-main"), None);
    let launch = service.launch().await.unwrap();
    service.gate(&launch, &|_| {}).await.unwrap();
    service.restore(&dependents).await.unwrap();
    for unit in active {
        bench.running(unit.trim_end_matches(".service"));
    }
}

fn is_up_again_after_a_kill(bench: &Bench, habits: &str, stop: &str) {
    bench.project.write("unitbee.toml", manifest(habits, stop));
    bench.unitbee(&["apply"]).exits(0);
    for number in 0..KILLS {
        let running = bench.start(&[], &["restart"]);
        std::thread::sleep(Duration::from_millis(60 * number) * bench.target.patience);
        let killed = bench.kill(running);
        is_whole(bench, SOON, &format!("{stop}, kill {number}: {killed}"));
    }
}

fn is_up_again_when_unitbee_is_silent(bench: &Bench) {
    let running = bench.start(&[], &["restart"]);
    bench.until("the host has the order", SOON, is_ordered);
    running.signal(Signal::STOP);
    is_whole(bench, LATER, "stopped by a signal");
    running.signal(Signal::CONT);
    // It may say that it was away for too long.
    let run = running.end();
    is_whole(bench, SOON, &run.to_string());
}

fn is_up_again_when_the_network_is_gone(bench: &Bench) {
    let running = bench.start(&[], &["restart"]);
    bench.until("the host has the order", SOON, is_ordered);
    assert!(lab(&["cut", &bench.host.name]).status.success());
    is_whole(bench, LATER, "without a network");
    assert!(lab(&["mend", &bench.host.name]).status.success());
    let run = running.end();
    is_whole(bench, SOON, &run.to_string());
}

/// Tells whether the host has an order that it has not carried out.
fn is_ordered(bench: &Bench) -> bool {
    !bench.root("grep -ls 'carry_ou[t]' /proc/[0-9]*/cmdline || true").is_empty()
}

fn is_whole(bench: &Bench, within: Duration, what: &str) {
    bench.until(&format!("the order is carried out: {what}"), within, |bench| !is_ordered(bench));
    bench.until(&format!("it is up again: {what}"), within, |bench| {
        bench.get(8080, "/health").0 == 200 && bench.pid("web-main").is_some()
    });
    assert_eq!(bench.processes("web-main").len(), 1, "{what}");
}
