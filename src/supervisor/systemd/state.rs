//! From systemd's properties to [`UnitStatus`].
//!
//! `ActiveState` and `SubState` are open sets that grow with systemd; what is not known here is told by whether there
//! is a main process. A unit that systemd keeps restarting is never shown as running: between two crashes it looks
//! alive to a single look (`active`, `Result=success`), so one that came back by itself counts as up again only after
//! it has stayed up for [`STEADY_USEC`].

use super::properties::Properties;
use super::reason;
use crate::host::printable;
use crate::supervisor::{State, UnitStatus};

/// How long a unit must stay up after a restart by the manager before it counts as running.
const STEADY_USEC: u64 = 10_000_000;

/// Makes the status of `unit` (without suffix) out of its properties; `now` is the host's clock in microseconds.
pub(super) fn unit_status(unit: &str, properties: &Properties, now: u64) -> UnitStatus {
    let pid = Some(properties.small("MainPID")).filter(|pid| *pid != 0);
    UnitStatus {
        installed: !matches!(properties.text("LoadState"), "not-found" | ""),
        enabled: properties.text("UnitFileState") == "enabled",
        state: state(properties, pid, now),
        pid,
        started_usec: pid.and_then(|_| properties.latest_time("ExecMainStartTimestamp")),
        restarts: properties.small("NRestarts"),
        memory: properties.number("MemoryCurrent"),
        cpu_nsec: properties.number("CPUUsageNSec"),
        tasks: properties.number("TasksCurrent"),
        cgroup: properties.cgroup("ControlGroup").map(str::to_owned),
        needs_reload: properties.flag("NeedDaemonReload"),
        fragment: Some(properties.text("FragmentPath").to_owned()).filter(|path| !path.is_empty()),
        drop_ins: properties.list("DropInPaths"),
        invocation: properties.id("InvocationID"),
        ended: (pid.is_none() && properties.small("ExecMainCode") != 0).then(|| reason::ended(properties)),
        ..UnitStatus::unknown(unit)
    }
}

fn state(properties: &Properties, pid: Option<u32>, now: u64) -> State {
    let restarts = properties.small("NRestarts");
    if properties.text("SubState").contains("auto-restart") {
        return State::Backoff { reason: reason::ended(properties), restarts };
    }
    match properties.text("ActiveState") {
        "failed" => State::Failed { reason: reason::failed(properties) },
        "inactive" => not_running(properties),
        "deactivating" => State::Stopping,
        "activating" if restarts > 0 => State::Backoff { reason: "is being started again".to_owned(), restarts },
        "activating" => State::Starting,
        _ if restarts > 0 && !is_steady(properties, now) => {
            State::Backoff { reason: "up again for less than 10 s".to_owned(), restarts }
        }
        _ => match pid {
            Some(pid) => State::Running { pid, since: up_since(properties) },
            None if properties.text("SubState") == "exited" => State::Stopped,
            // Forked off, and systemd could not tell which process is the main one.
            None => State::Starting,
        },
    }
}

/// Down, and not because it ended badly; but a file that cannot be loaded is a reason of its own.
fn not_running(properties: &Properties) -> State {
    match properties.text("LoadState") {
        "bad-setting" | "error" => {
            let words = properties.error("LoadError").unwrap_or("systemd does not say why");
            State::Failed { reason: format!("its unit file cannot be loaded: {}", printable(words.as_bytes())) }
        }
        _ => State::Stopped,
    }
}

fn is_steady(properties: &Properties, now: u64) -> bool {
    properties.time("ExecMainStartTimestamp").is_none_or(|started| started.saturating_add(STEADY_USEC) <= now)
}

/// Unix time in seconds.
fn up_since(properties: &Properties) -> i64 {
    let usec = properties.time("ActiveEnterTimestamp").unwrap_or(0);
    i64::try_from(usec / 1_000_000).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::properties::{Value, parse_show};
    use super::*;

    /// What `systemctl show` printed for units that were made to end in every way.
    const SAMPLES: [(&str, &str); 2] = [
        ("247", include_str!("../../../tests/data/systemd/show-247.txt")),
        ("262", include_str!("../../../tests/data/systemd/show-262.txt")),
    ];

    fn sample(text: &str) -> HashMap<String, UnitStatus> {
        let read = |properties: &Properties| {
            let unit = properties.text("Id").strip_suffix(".service").expect("a service");
            (unit.to_owned(), unit_status(unit, properties, 2_000_000_000_000_000))
        };
        parse_show(text).iter().map(read).collect()
    }

    #[test]
    fn states_are_told_with_their_reason() {
        for (version, text) in SAMPLES {
            let units = sample(text);
            let after_limit = if version == "262" { ", start limit hit" } else { "" };
            for (unit, reason) in [
                ("exits", "exited with code 3"),
                ("missing", "cannot be executed (203/EXEC)"),
                ("cwd", "cannot enter its working directory (200/CHDIR)"),
                ("segv", "was killed by SIGSEGV"),
                ("stubborn", "did not stop in time and was killed (timeout)"),
                ("slow", "did not start in time (timeout)"),
                ("pre", "one of its start or stop commands failed"),
                ("bad", "its unit file cannot be loaded: Unit bad.service has a bad unit file setting."),
                ("gaveup", &format!("exited with code 7{after_limit} after 3 restarts")),
            ] {
                assert_eq!(units[unit].state, State::Failed { reason: reason.to_owned() }, "{unit} on {version}");
            }
            assert_eq!(units["loop"].state, State::Backoff { reason: "exited with code 7".to_owned(), restarts: 1 });
            for unit in ["masked", "oneshot", "nosuch"] {
                assert_eq!(units[unit].state, State::Stopped, "{unit} on {version}");
            }
            assert!(matches!(units["ok"].state, State::Running { .. }), "{:?}", units["ok"].state);
        }
    }

    #[test]
    fn the_rest_of_the_status_is_read() {
        for (version, text) in SAMPLES {
            let units = sample(text);
            let ok = &units["ok"];
            assert!(ok.installed && ok.enabled && ok.pid.is_some(), "{ok:?}");
            let State::Running { since, .. } = ok.state else { panic!("{ok:?}") };
            assert_eq!(ok.started_usec.map(|usec| usec / 1_000_000), u64::try_from(since).ok(), "{version}");
            assert_eq!(ok.fragment.as_deref(), Some("/home/bee/.config/systemd/user/ok.service"));
            assert_eq!(ok.drop_ins, ["/home/bee/.config/systemd/user/ok.service.d/50 nice.conf"]);
            assert_eq!(ok.invocation.as_deref().map(str::len), Some(32), "{version}");
            assert!(ok.cgroup.as_deref().is_some_and(|path| path.ends_with("/ok.service")), "{version}");
            assert!((ok.memory, ok.tasks) == (None, None) && ok.cpu_nsec.is_some(), "{version}");
            assert!(units["masked"].installed && !units["masked"].enabled);
            assert!(!units["nosuch"].installed, "{version}");
            assert!(units["exits"].invocation.is_some() && units["exits"].cgroup.is_none());
        }
    }

    fn made(properties: &[(&str, Value)]) -> UnitStatus {
        let properties = properties.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        unit_status("llm", &properties, 1_000_000_000)
    }

    fn text(value: &str) -> Value {
        Value::Text(value.to_owned())
    }

    #[test]
    fn a_unit_that_came_back_by_itself_runs_once_it_stays_up() {
        let run_as = |pid, restarts, started| {
            made(&[
                ("LoadState", text("loaded")),
                ("ActiveState", text("active")),
                ("SubState", text("running")),
                ("Result", text("success")),
                ("MainPID", Value::Number(pid)),
                ("NRestarts", Value::Number(restarts)),
                ("ExecMainStartTimestamp", Value::Number(started)),
                ("ActiveEnterTimestamp", Value::Number(started)),
            ])
        };
        let run = |restarts, started| run_as(7, restarts, started);
        assert_eq!(run(0, 999_000_000).state, State::Running { pid: 7, since: 999 });
        assert_eq!(run(3, 990_000_000).state, State::Running { pid: 7, since: 990 });
        let young = run(3, 990_000_001);
        assert!(matches!(young.state, State::Backoff { restarts: 3, .. }), "{young:?}");
        assert_eq!(young.pid, Some(7));
        assert!(matches!(run(1, 1_000_500_000).state, State::Backoff { .. }), "started after the clock was read");
        assert!(matches!(run_as(0, 3, 990_000_001).state, State::Backoff { .. }), "its process has just ended");
    }

    #[test]
    fn every_end_has_its_words() {
        let ended = |result: &str, code, status| {
            let status = made(&[
                ("LoadState", text("loaded")),
                ("ActiveState", text("failed")),
                ("Result", text(result)),
                ("ExecMainCode", Value::Number(code)),
                ("ExecMainStatus", Value::Number(status)),
            ]);
            let State::Failed { reason } = status.state else { panic!("{status:?}") };
            reason
        };
        for (result, code, status, reason) in [
            ("oom-kill", 2, 9, "was killed: out of memory (oom-kill)"),
            ("signal", 2, 9, "was killed by SIGKILL"),
            ("signal", 2, 35, "was killed by signal 35"),
            ("core-dump", 3, 6, "was killed by SIGABRT (core dumped)"),
            ("exit-code", 1, 1, "exited with code 1"),
            ("exit-code", 1, 255, "exited with code 255"),
            ("exit-code", 1, 218, "cannot change its capabilities (218/CAPABILITIES)"),
            ("exit-code", 2, 15, "one of its start or stop commands failed"),
            ("watchdog", 2, 6, "did not notify its watchdog in time (watchdog)"),
            ("protocol", 1, 0, "exited before it said that it was ready (protocol)"),
            ("start-limit-hit", 0, 0, "never ran, start limit hit"),
            ("some-\u{1b}news", 0, 0, "some-\\u{1b}news"),
        ] {
            assert_eq!(ended(result, code, status), reason, "{result} {code} {status}");
        }
    }

    #[test]
    fn states_of_other_versions_are_told_by_what_is_known() {
        let seen = |active: &str, sub: &str, pid| {
            made(&[
                ("LoadState", text("loaded")),
                ("ActiveState", text(active)),
                ("SubState", text(sub)),
                ("MainPID", Value::Number(pid)),
                ("ExecMainCode", Value::Number(1)),
                ("ExecMainStatus", Value::Number(1)),
                ("Result", text("exit-code")),
            ])
            .state
            .as_str()
        };
        for (active, sub, pid, word) in [
            ("activating", "start", 5, "starting"),
            ("activating", "auto-restart-queued", 0, "backoff"),
            ("failed", "failed-before-auto-restart", 0, "backoff"),
            ("inactive", "dead-before-auto-restart", 0, "backoff"),
            ("deactivating", "stop-sigterm", 5, "stopping"),
            ("reloading", "reload-notify", 5, "running"),
            ("refreshing", "refresh-extensions", 5, "running"),
            ("active", "running", 0, "starting"),
            ("active", "exited", 0, "stopped"),
            ("inactive", "dead", 0, "stopped"),
        ] {
            assert_eq!(seen(active, sub, pid), word, "{active} {sub}");
        }
    }
}
