//! Why a unit ended, in words.
//!
//! From `Result`, `ExecMainCode` and `ExecMainStatus` (org.freedesktop.systemd1(5)); the exit codes from 200 on are
//! those of systemd.exec(5), "Process Exit Codes".

use super::properties::Properties;
use crate::host::printable;
use crate::supervisor::reason::{OUT_OF_MEMORY, code as manager_code, signal_name};

/// `CLD_EXITED`, `CLD_KILLED` and `CLD_DUMPED` of siginfo(5), as `ExecMainCode` has them.
const EXITED: u32 = 1;
const KILLED: u32 = 2;
const DUMPED: u32 = 3;

/// Why the last run ended, and what the manager made of it.
pub(super) fn failed(properties: &Properties) -> String {
    let words = ended(properties);
    let limit = if properties.text("Result") == "start-limit-hit" { ", start limit hit" } else { "" };
    match properties.small("NRestarts") {
        0 => format!("{words}{limit}"),
        1 => format!("{words}{limit} after 1 restart"),
        n => format!("{words}{limit} after {n} restarts"),
    }
}

/// Why the last run ended.
pub(super) fn ended(properties: &Properties) -> String {
    let code = properties.small("ExecMainCode");
    let status = properties.small("ExecMainStatus");
    match properties.text("Result") {
        "oom-kill" => OUT_OF_MEMORY.into(),
        "watchdog" => "did not notify its watchdog in time (watchdog)".into(),
        "protocol" => "exited before it said that it was ready (protocol)".into(),
        "resources" => "the host did not have what its start needs (resources)".into(),
        "exec-condition" => "its own condition forbids the start (exec-condition)".into(),
        "timeout" if came_up(properties) => "did not stop in time and was killed (timeout)".into(),
        "timeout" => "did not start in time (timeout)".into(),
        "exit-code" if code != EXITED || status == 0 => "one of its start or stop commands failed".into(),
        "signal" | "core-dump" if code == EXITED => "one of its start or stop commands was killed".into(),
        "success" | "exit-code" | "signal" | "core-dump" | "start-limit-hit" => process_end(code, status),
        other => printable(other.as_bytes()),
    }
}

/// Tells whether the last run got so far that the unit was active.
fn came_up(properties: &Properties) -> bool {
    properties.number("ActiveEnterTimestampMonotonic") >= properties.number("ExecMainStartTimestampMonotonic")
}

fn process_end(code: u32, status: u32) -> String {
    match code {
        EXITED => match manager_code(status) {
            Some(words) => words.into(),
            None => format!("exited with code {status}"),
        },
        KILLED => format!("was killed by {}", signal_name(status)),
        DUMPED => format!("was killed by {} (core dumped)", signal_name(status)),
        _ => "never ran".into(),
    }
}
