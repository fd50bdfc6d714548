//! From what launchctl prints of a job to [`UnitStatus`].
//!
//! A job that launchd starts again and again is never shown as running: it waits (`spawn scheduled`) for the end of its
//! throttle interval, and between two ends it looks alive to a single look, so one that launchd brought back counts as up
//! again only after it has stayed up for [`STEADY_USEC`].

use super::print::{Job, LastEnd};
use super::reason;
use crate::host::printable;
use crate::supervisor::{State, UnitStatus};

/// How long a job must stay up after a restart by launchd before it counts as running.
const STEADY_USEC: u64 = 10_000_000;

/// Exit code of a program that turns TERM into an exit: it has been stopped, it has not failed.
const TERMINATED: u32 = 143;
const SIGTERM: u32 = 15;

/// Makes the status of `unit` out of its job. launchctl tells no times: `started` is when its process was started, `now`
/// the host's clock, both in microseconds of Unix time.
#[must_use]
pub fn unit_status(unit: &str, job: &Job, enabled: bool, started: Option<u64>, now: u64) -> UnitStatus {
    let started = job.pid.and(started);
    UnitStatus {
        installed: true,
        enabled,
        state: state(job, started, now),
        pid: job.pid,
        started_usec: started,
        restarts: restarts(job),
        fragment: job.path.clone(),
        ended: job.last_end.as_ref().filter(|end| **end != LastEnd::Never).map(reason::words),
        invocation: job.pid.map(|pid| format!("{pid}.{}", started.unwrap_or(0))),
        ..UnitStatus::unknown(unit)
    }
}

fn state(job: &Job, started: Option<u64>, now: u64) -> State {
    match job.state.as_deref().unwrap_or_default() {
        "SIGTERMed" | "SIGKILLed" | "languishing" => State::Stopping,
        "spawn scheduled" => again(job).unwrap_or(State::Starting),
        "spawning" | "spawned" | "xpcproxy" => again(job).filter(|_| is_by_launchd(job)).unwrap_or(State::Starting),
        "not running" | "exited" => ended(job),
        "running" if is_by_launchd(job) && !is_steady(started, now) => {
            let words = "up again for less than 10 s";
            let reason = bad_end(job).map_or_else(|| words.to_owned(), |end| format!("{end}; {words}"));
            State::Backoff { reason, restarts: restarts(job) }
        }
        "running" => up(job, started).unwrap_or(State::Starting),
        // The set of states is launchd's own and may grow.
        other => up(job, started).unwrap_or_else(|| State::Failed {
            reason: format!("launchd tells the state {:?}, which unitbee does not know", printable(other.as_bytes())),
        }),
    }
}

fn up(job: &Job, started: Option<u64>) -> Option<State> {
    let since = i64::try_from(started.unwrap_or(0) / 1_000_000).unwrap_or(0);
    job.pid.map(|pid| State::Running { pid, since })
}

/// Down, and launchd has no reason to start it.
fn ended(job: &Job) -> State {
    bad_end(job).map_or(State::Stopped, |reason| State::Failed { reason })
}

/// About to be started, after it ended before.
fn again(job: &Job) -> Option<State> {
    let end = job.last_end.as_ref().filter(|end| **end != LastEnd::Never)?;
    (job.runs != Some(0)).then(|| State::Backoff { reason: reason::words(end), restarts: restarts(job) })
}

fn bad_end(job: &Job) -> Option<String> {
    match job.last_end.as_ref()? {
        LastEnd::Never | LastEnd::Exit(0 | TERMINATED) | LastEnd::Signal(SIGTERM) => None,
        end => Some(reason::words(end)),
    }
}

/// Tells whether launchd itself, by `KeepAlive`, brought the process back.
fn is_by_launchd(job: &Job) -> bool {
    restarts(job) > 0 && matches!(job.start_reason.as_deref(), Some("inefficient" | "semaphore"))
}

fn is_steady(started: Option<u64>, now: u64) -> bool {
    started.is_some_and(|started| started.saturating_add(STEADY_USEC) <= now)
}

fn restarts(job: &Job) -> u32 {
    job.runs.unwrap_or(0).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::super::print::parse;
    use super::*;

    const NOW: u64 = 1_000_000_000_000;

    fn seen(lines: &[&str], age: u64) -> UnitStatus {
        let text = format!("gui/501/com.rbee.llm-8080 = {{\n\t{}\n}}\n", lines.join("\n\t"));
        unit_status("llm-8080", &parse(&text).unwrap(), true, Some(NOW - age * 1_000_000), NOW)
    }

    fn failed(reason: &str) -> State {
        State::Failed { reason: reason.to_owned() }
    }

    fn backoff(reason: &str, restarts: u32) -> State {
        State::Backoff { reason: reason.to_owned(), restarts }
    }

    const CONFIG: &str = "exited with code 78 (EX_CONFIG): most often launchd cannot use its program, its working directory or its log file";

    #[test]
    fn a_job_that_is_down_says_why() {
        for (end, state) in [
            ("last exit code = (never exited)", State::Stopped),
            ("last exit code = 0", State::Stopped),
            ("last exit code = 143", State::Stopped),
            ("last terminating signal = Terminated: 15", State::Stopped),
            ("last exit code = 3", failed("exited with code 3")),
            ("last exit code = 78: EX_CONFIG", failed(CONFIG)),
            ("last terminating signal = Bus error: 10", failed("was killed by SIGBUS")),
            ("last terminating signal = Killed: 9", failed("was killed by SIGKILL")),
            ("last terminating signal = Information request: 29", failed("was killed by signal 29")),
            (
                "last exit reason = OS_REASON_CODESIGNING",
                failed("was killed for its code signature (OS_REASON_CODESIGNING)"),
            ),
            ("last exit reason = OS_REASON_DYLD", failed("needs a library that cannot be loaded (OS_REASON_DYLD)")),
            (
                "last exit reason = JETSAM_REASON_MEMORY_PERPROCESSLIMIT",
                failed("was killed: over its memory limit (JETSAM_REASON_MEMORY_PERPROCESSLIMIT)"),
            ),
            ("last exit reason = NEWS\u{1b}[0m", failed("was ended by the system (NEWS\\u{1b}[0m)")),
        ] {
            let status = seen(&["state = not running", "runs = 1", end], 0);
            assert_eq!((status.state, status.pid, status.restarts), (state, None, 0), "{end}");
        }
    }

    #[test]
    fn a_job_that_waits_for_its_throttle_is_no_job_that_starts() {
        let waits = |runs, end| seen(&["state = spawn scheduled", runs, end], 0).state;
        assert_eq!(waits("runs = 0", "last exit code = (never exited)"), State::Starting);
        assert_eq!(waits("runs = 7", "last exit code = 1"), backoff("exited with code 1", 6));
        assert_eq!(waits("runs = 2", "last exit code = 0"), backoff("exited with code 0", 1));
        assert_eq!(waits("runs = 22138", "last exit code = 78: EX_CONFIG"), backoff(CONFIG, 22137));
        let killed = "last exit reason = OS_REASON_CODESIGNING";
        assert_eq!(waits("runs = 4", killed), backoff("was killed for its code signature (OS_REASON_CODESIGNING)", 3));
    }

    #[test]
    fn a_job_that_launchd_brought_back_runs_once_it_stays_up() {
        let runs = |reason, age| {
            let reason = format!("immediate reason = {reason}");
            let lines = ["state = running", "runs = 9", "pid = 7", &reason, "last exit code = 1"];
            seen(&lines, age).state
        };
        let since = |age: i64| State::Running { pid: 7, since: 1_000_000 - age };
        assert_eq!(runs("inefficient", 9), backoff("exited with code 1; up again for less than 10 s", 8));
        assert_eq!(runs("semaphore", 9), backoff("exited with code 1; up again for less than 10 s", 8));
        assert_eq!(runs("semaphore", 10), since(10));
        assert_eq!(runs("non-ipc demand", 1), since(1), "started by hand");
        assert_eq!(runs("speculative", 1), since(1));
    }

    #[test]
    fn the_rest_is_told_by_state_and_process() {
        for (state, pid, word) in [
            ("xpcproxy", "pid = 5", "starting"),
            ("spawning", "forks = 0", "starting"),
            ("SIGTERMed", "pid = 5", "stopping"),
            ("SIGKILLed", "pid = 5", "stopping"),
            ("languishing", "pid = 5", "stopping"),
            ("running", "forks = 0", "starting"),
            ("exited", "last exit code = 0", "stopped"),
            ("something new", "pid = 5", "running"),
            ("something new", "forks = 0", "failed"),
        ] {
            let state = format!("state = {state}");
            assert_eq!(seen(&[&state, "runs = 1", pid], 60).state.as_str(), word, "{state}");
        }
        assert_eq!(seen(&["runs = 1"], 0).state.as_str(), "failed", "no state at all");
        let status = seen(&["state = running", "runs = 1", "pid = 5", "path = /x.plist"], 60);
        assert_eq!((status.pid, status.fragment.as_deref()), (Some(5), Some("/x.plist")));
        assert_eq!(status.started_usec, Some(NOW - 60_000_000));
        assert_ne!(status.invocation, seen(&["state = running", "runs = 1", "pid = 5"], 59).invocation);
    }
}
