//! Every verb, over every way to the manager, on every systemd.

use std::time::Duration;

use tokio::time::Instant;
use unitbee::host::process::Signal;
use unitbee::supervisor::{JobResult, Refusal, Restarted, State, Supervisor, SupervisorError, Transport, Unseen, Whom};

use crate::site::{PATIENCE, Site, until};

/// Units that end in every way there is.
const UNITS: &[(&str, &str)] = &[
    (
        "ok.service",
        "[Service]\nType=exec\nSlice=hive.slice\nExecStart=/bin/sleep 1000\n[Install]\nWantedBy=default.target\n",
    ),
    ("family.service", "[Service]\nType=exec\nExecStart=/bin/sh -c 'sleep 1000 & sleep 1000 & wait'\n"),
    ("missing.service", "[Service]\nType=exec\nExecStart=/no/such/program\n"),
    ("exits.service", "[Service]\nType=exec\nExecStart=/bin/sh -c 'sleep 0.2; exit 3'\n"),
    ("crashes.service", "[Service]\nType=exec\nExecStart=/bin/sh -c 'sleep 0.2; kill -SEGV $$$$'\n"),
    ("bad.service", "[Service]\nExecStart=relative \"unbalanced\n"),
    (
        "stubborn.service",
        "[Service]\nType=exec\nTimeoutStopSec=1\nExecStart=/bin/sh -c 'trap \"\" TERM; while :; do sleep 1; done'\n",
    ),
    (
        "slow.service",
        "[Service]\nType=exec\nTimeoutStartSec=60\nExecStart=/bin/sleep 1000\nExecStartPost=/bin/sleep 1000\n",
    ),
    (
        "late.service",
        "[Service]\nType=exec\nTimeoutStartSec=1\nExecStart=/bin/sleep 1000\nExecStartPost=/bin/sleep 1000\n",
    ),
    (
        "blinks.service",
        "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=exec\nRestart=always\nRestartSec=300ms\nExecStart=/bin/sh -c 'sleep 0.4; exit 7'\n",
    ),
    (
        "gives-up.service",
        "[Unit]\nStartLimitIntervalSec=60\nStartLimitBurst=3\n[Service]\nType=exec\nRestart=on-failure\nRestartSec=100ms\nExecStart=/bin/sh -c 'sleep 0.2; exit 7'\n",
    ),
    ("reloads.service", "[Service]\nType=exec\nExecStart=/bin/sleep 1000\nExecReload=/bin/touch reloaded\n"),
    ("once.service", "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n"),
];

const TRANSPORTS: [Transport; 3] = [Transport::ForwardedBus, Transport::StdioBridge, Transport::Systemctl];

#[tokio::test]
async fn on_bullseye() {
    on("bullseye").await;
}

#[tokio::test]
async fn on_bookworm() {
    on("bookworm").await;
}

#[tokio::test]
async fn on_trixie() {
    on("trixie").await;
}

#[tokio::test]
async fn on_forky() {
    on("forky").await;
}

async fn on(debian: &str) {
    let Some(site) = Site::up("verbs", debian, &[]) else { return };
    site.sh("loginctl enable-linger bee");
    site.install(UNITS);
    site.systemctl("mask masked.service");
    for transport in TRANSPORTS {
        site.leave_only(transport);
        let supervisor = site.connect().await.unwrap();
        assert_eq!(supervisor.transport(), transport);
        assert_eq!(supervisor.version().await.unwrap(), Some(site.lab.systemd()));
        let test = Verbs { site: &site, supervisor, transport };
        test.starts_and_stops().await;
        test.says_why_it_did_not_start().await;
        test.says_why_it_ended().await;
        test.never_shows_a_loop_as_running().await;
        test.signals().await;
        test.reloads().await;
        test.waits_no_longer_than_it_should().await;
        test.enables_and_disables().await;
        test.knows_what_is_gone().await;
        test.stops_an_empty_slice_only().await;
        test.shows_many_units_in_order().await;
        site.systemctl("stop 'o*.service' 's*.service' 'f*.service' 'r*.service'");
        site.systemctl("reset-failed");
    }
}

struct Verbs<'a> {
    site: &'a Site,
    supervisor: Supervisor,
    transport: Transport,
}

impl Verbs<'_> {
    async fn state(&self, unit: &str) -> State {
        self.supervisor.status_of(unit).await.unwrap().state
    }

    async fn start(&self, unit: &str) -> JobResult {
        self.supervisor.start(unit, PATIENCE).await.unwrap()
    }

    async fn starts_and_stops(&self) {
        let before = self.supervisor.status_of("ok").await.unwrap();
        assert!(before.installed && before.state == State::Stopped, "{before:?}");
        assert_eq!(self.start("ok").await, JobResult::Done);
        let first = self.supervisor.status_of("ok").await.unwrap();
        let State::Running { pid, since } = first.state else { panic!("{first:?}") };
        assert_eq!(pid.to_string(), self.site.systemctl("show -p MainPID ok").trim().replace("MainPID=", ""));
        assert_eq!(self.supervisor.processes("ok").await.unwrap(), [pid]);
        let now: i64 = self.site.sh("date +%s").trim().parse().unwrap();
        assert!((now - 20..=now).contains(&since), "{since} at {now}");
        let started = i64::try_from(first.started_usec.unwrap()).unwrap() / 1_000_000;
        assert!((now - 20..=now).contains(&started), "{started} at {now}");
        assert!(first.cgroup.as_deref().unwrap().ends_with("/hive.slice/ok.service"), "{first:?}");
        assert_eq!(first.fragment, Some(format!("{}/.config/systemd/user/ok.service", self.site.lab.home())));

        assert_eq!(self.start("ok").await, JobResult::Done, "a second start changes nothing");
        assert_eq!(self.supervisor.status_of("ok").await.unwrap().invocation, first.invocation);
        let order = self.supervisor.order_restart("ok", &[pid], PATIENCE, &[]).await.unwrap();
        assert_eq!(self.supervisor.status_of("ok").await.unwrap().pid, first.pid, "it is only ordered");
        let restarted = order.carry_out(PATIENCE).await.unwrap();
        assert_eq!(restarted, Restarted { killed: false, alone: false, failure: None });
        let second = self.supervisor.status_of("ok").await.unwrap();
        assert!(second.pid != first.pid && second.invocation != first.invocation, "{second:?}");

        assert_eq!(self.supervisor.stop("ok", PATIENCE).await.unwrap(), JobResult::Done);
        assert_eq!(self.state("ok").await, State::Stopped);
        assert!(self.supervisor.processes("ok").await.unwrap().is_empty());
        assert_eq!(
            self.supervisor.stop("ok", PATIENCE).await.unwrap(),
            JobResult::Done,
            "a second stop changes nothing"
        );
        assert_eq!(self.supervisor.stop("no-such", PATIENCE).await.unwrap(), JobResult::Done);

        assert_eq!(self.start("family").await, JobResult::Done);
        until_async(|| async { self.supervisor.processes("family").await.unwrap().len() == 3 }).await;
        assert_eq!(self.supervisor.stop("family", PATIENCE).await.unwrap(), JobResult::Done);
        assert!(self.supervisor.processes("family").await.unwrap().is_empty());
    }

    async fn says_why_it_did_not_start(&self) {
        for (unit, refusal, name) in [
            ("masked", Refusal::Masked, "org.freedesktop.systemd1.UnitMasked"),
            ("bad", Refusal::BadUnitFile, "org.freedesktop.systemd1.BadUnitSetting"),
            ("no-such", Refusal::NoSuchUnit, "org.freedesktop.systemd1.NoSuchUnit"),
        ] {
            let error = self.supervisor.start(unit, PATIENCE).await.unwrap_err();
            let SupervisorError::Refused { refusal: seen, name: given, detail, .. } = &error else {
                panic!("{error:?}")
            };
            assert_eq!(*seen, refusal, "{error:?}");
            assert_eq!(given.as_deref(), (self.transport != Transport::Systemctl).then_some(name), "{error:?}");
            assert!(!detail.starts_with("Failed to"), "{detail}");
            assert!(error.to_string().starts_with(&format!("start {unit} on ")), "{error}");
            assert!(error.hint().unwrap().contains(unit), "{error:?}");
        }
        let failed = JobResult::Failed { result: "failed".to_owned() };
        assert_eq!(self.start("missing").await, failed);
        assert_eq!(self.start("late").await, failed);
        let bad = self.state("bad").await;
        assert!(
            matches!(&bad, State::Failed { reason } if reason.starts_with("its unit file cannot be loaded")),
            "{bad}"
        );
    }

    async fn says_why_it_ended(&self) {
        for unit in ["exits", "crashes", "gives-up", "stubborn", "once"] {
            assert_eq!(self.start(unit).await, JobResult::Done, "{unit}");
        }
        assert_eq!(self.supervisor.stop("stubborn", PATIENCE).await.unwrap(), JobResult::Done);
        let limit = if self.site.lab.systemd() < 262 { "" } else { ", start limit hit" };
        for (unit, reason) in [
            ("missing", "cannot be executed (203/EXEC)"),
            ("late", "did not start in time (timeout)"),
            ("stubborn", "did not stop in time and was killed (timeout)"),
            ("exits", "exited with code 3"),
            ("crashes", "was killed by SIGSEGV"),
            ("gives-up", &format!("exited with code 7{limit} after 3 restarts")),
        ] {
            let is_down =
                |status: &_| matches!(status, &unitbee::supervisor::UnitStatus { state: State::Failed { .. }, .. });
            let status = until(&self.supervisor, unit, "failed", is_down).await;
            assert_eq!(status.state, State::Failed { reason: reason.to_owned() }, "{unit}");
        }
        assert_eq!(self.state("once").await, State::Stopped);
        self.supervisor.reset_failed("gives-up").await.unwrap();
        let reset = self.supervisor.status_of("gives-up").await.unwrap();
        assert_eq!((reset.state, reset.restarts), (State::Stopped, 0));
        self.supervisor.reset_failed("no-such").await.unwrap();
    }

    async fn never_shows_a_loop_as_running(&self) {
        assert_eq!(self.start("blinks").await, JobResult::Done);
        let pauses =
            |status: &unitbee::supervisor::UnitStatus| matches!(status.state, State::Backoff { restarts: 2.., .. });
        until(&self.supervisor, "blinks", "in a loop", pauses).await;
        let mut reasons = std::collections::BTreeSet::new();
        let deadline = Instant::now() + Duration::from_secs(2);
        while Instant::now() < deadline {
            match self.state("blinks").await {
                State::Backoff { reason, .. } => reasons.insert(reason),
                State::Stopping => false,
                other => panic!("in a loop, and shown as {other}"),
            };
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        for reason in ["exited with code 7", "up again for less than 10 s"] {
            assert!(reasons.contains(reason), "{reasons:?}");
        }
        assert_eq!(self.supervisor.stop("blinks", PATIENCE).await.unwrap(), JobResult::Done);
        assert_eq!(self.state("blinks").await, State::Stopped);
    }

    async fn signals(&self) {
        assert_eq!(self.start("family").await, JobResult::Done);
        until_async(|| async { self.supervisor.processes("family").await.unwrap().len() == 3 }).await;
        let mut watch = self.supervisor.watch("family").await.unwrap();
        self.supervisor.kill("family", Whom::All, Signal::Term).await.unwrap();
        let spoke = watch.changed(PATIENCE).await;
        assert_eq!(spoke, self.transport != Transport::Systemctl, "only a bus has signals");
        until(&self.supervisor, "family", "stopped", |status| status.state == State::Stopped).await;
        assert_eq!(self.start("ok").await, JobResult::Done);
        self.supervisor.kill("ok", Whom::Main, Signal::Kill).await.unwrap();
        let killed = |status: &unitbee::supervisor::UnitStatus| matches!(&status.state, State::Failed { reason } if reason == "was killed by SIGKILL");
        until(&self.supervisor, "ok", "killed", killed).await;
        for unit in ["ok", "no-such"] {
            for whom in [Whom::Main, Whom::All] {
                self.supervisor.kill(unit, whom, Signal::Term).await.unwrap();
            }
        }
    }

    async fn reloads(&self) {
        self.site.sh("rm -f reloaded");
        assert_eq!(self.start("reloads").await, JobResult::Done);
        let before = self.supervisor.status_of("reloads").await.unwrap();
        assert_eq!(self.supervisor.reload("reloads", PATIENCE).await.unwrap(), JobResult::Done);
        self.site.sh("test -e reloaded");
        assert_eq!(self.supervisor.status_of("reloads").await.unwrap().invocation, before.invocation);
        assert_eq!(self.start("ok").await, JobResult::Done);
        let error = self.supervisor.reload("ok", PATIENCE).await.unwrap_err();
        assert!(matches!(error, SupervisorError::Refused { refusal: Refusal::NotApplicable, .. }), "{error:?}");
    }

    async fn waits_no_longer_than_it_should(&self) {
        let begun = Instant::now();
        let end = self.supervisor.start("slow", Duration::from_secs(1)).await.unwrap();
        let JobResult::Unseen { cause: Unseen::Deadline, status } = end else { panic!("{end:?}") };
        assert_eq!(status.state, State::Starting);
        assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
        assert_eq!(self.supervisor.stop("slow", PATIENCE).await.unwrap(), JobResult::Done);
    }

    async fn enables_and_disables(&self) {
        let unit = ["ok".to_owned()];
        for enabled in [true, false] {
            for is_new in [true, false] {
                let changed =
                    if enabled { self.supervisor.enable(&unit).await } else { self.supervisor.disable(&unit).await };
                assert_eq!(changed.unwrap(), is_new, "enabled: {enabled}");
            }
            self.supervisor.daemon_reload().await.unwrap();
            assert_eq!(self.supervisor.status_of("ok").await.unwrap().enabled, enabled);
            let state = self.site.systemctl("is-enabled ok || true");
            assert_eq!(state.trim(), if enabled { "enabled" } else { "disabled" });
        }
        for (unit, refusal) in [("no-such", Refusal::NoSuchUnit), ("masked", Refusal::Masked)] {
            let unit = [unit.to_owned()];
            assert!(!self.supervisor.disable(&unit).await.unwrap(), "{unit:?}");
            let error = self.supervisor.enable(&unit).await.unwrap_err();
            assert!(matches!(error, SupervisorError::Refused { refusal: seen, .. } if seen == refusal), "{error:?}");
        }
        assert_eq!(self.site.systemctl("is-enabled masked || true").trim(), "masked", "a mask is left alone");
    }

    async fn knows_what_is_gone(&self) {
        assert!(self.supervisor.is_gone("no-such").await.unwrap());
        assert!(!self.supervisor.is_gone("ok").await.unwrap());
        self.site.install(&[("guest.service", "[Service]\nType=exec\nExecStart=/bin/sleep 1000\n")]);
        assert_eq!(self.start("guest").await, JobResult::Done);
        self.site.sh("rm .config/systemd/user/guest.service");
        let changed = self.supervisor.status_of("guest").await.unwrap();
        assert!(changed.needs_reload && changed.installed, "{changed:?}");
        self.supervisor.daemon_reload().await.unwrap();
        assert!(!self.supervisor.is_gone("guest").await.unwrap(), "it still runs");
        let orphan = self.supervisor.status_of("guest").await.unwrap();
        assert!(!orphan.installed && matches!(orphan.state, State::Running { .. }), "{orphan:?}");
        assert_eq!(self.supervisor.stop("guest", PATIENCE).await.unwrap(), JobResult::Done);
        assert!(self.supervisor.is_gone("guest").await.unwrap());
    }

    async fn stops_an_empty_slice_only(&self) {
        assert_eq!(self.start("ok").await, JobResult::Done);
        self.supervisor.stop_slice("hive").await.unwrap();
        assert!(matches!(self.state("ok").await, State::Running { .. }));
        assert_eq!(self.supervisor.stop("ok", PATIENCE).await.unwrap(), JobResult::Done);
        self.supervisor.stop_slice("hive").await.unwrap();
        assert_eq!(self.site.systemctl("is-active hive.slice || true").trim(), "inactive");
        self.supervisor.stop_slice("no-such").await.unwrap();
    }

    async fn shows_many_units_in_order(&self) {
        let names: Vec<String> =
            (0..100).map(|n| if n % 10 == 3 { "ok".to_owned() } else { format!("none-{n}") }).collect();
        let shown = self.supervisor.status(&names).await.unwrap();
        assert_eq!(shown.iter().map(|status| &status.unit).collect::<Vec<_>>(), names.iter().collect::<Vec<_>>());
        for status in &shown {
            assert_eq!(status.installed, status.unit == "ok", "{status:?}");
            assert_eq!(status.state, State::Stopped, "{status:?}");
        }
        assert!(self.supervisor.status(&[]).await.unwrap().is_empty());
    }
}

/// Looks again and again until it is so.
async fn until_async<F: Future<Output = bool>>(is_so: impl Fn() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "it never is so");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
