//! Why a unit ended, in words.
//!
//! From `Result`, `ExecMainCode` and `ExecMainStatus` (org.freedesktop.systemd1(5)); the exit codes from 200 on are
//! those of systemd.exec(5), "Process Exit Codes".

use super::properties::Properties;
use crate::host::printable;

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
        "oom-kill" => "out of memory (oom-kill)".into(),
        "watchdog" => "gave no sign of life in time (watchdog)".into(),
        "protocol" => "ended before it said that it was ready (protocol)".into(),
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
            None => format!("exit code {status}"),
        },
        KILLED => format!("killed by {}", signal_name(status)),
        DUMPED => format!("killed by {} (core dumped)", signal_name(status)),
        _ => "never ran".into(),
    }
}

/// Exit codes by which systemd tells that it did not get as far as the program.
fn manager_code(status: u32) -> Option<&'static str> {
    Some(match status {
        200 => "cannot enter its working directory (200/CHDIR)",
        201 => "cannot set its niceness (201/NICE)",
        202 => "cannot arrange its open files (202/FDS)",
        203 => "its program cannot be run (203/EXEC)",
        204 => "no memory for its start (204/MEMORY)",
        205 => "cannot set its limits (205/LIMITS)",
        206 => "cannot set its OOM score (206/OOM_ADJUST)",
        208 => "cannot open its standard input (208/STDIN)",
        209 => "cannot open its standard output (209/STDOUT)",
        210 => "cannot change its root directory (210/CHROOT)",
        211 => "cannot set its I/O priority (211/IOPRIO)",
        214 => "cannot set its CPU scheduling (214/SETSCHEDULER)",
        215 => "cannot set its CPU affinity (215/CPUAFFINITY)",
        216 => "cannot change its groups (216/GROUP)",
        217 => "cannot change its user (217/USER)",
        218 => "cannot change its capabilities (218/CAPABILITIES)",
        219 => "cannot enter its cgroup (219/CGROUP)",
        222 => "cannot open its standard error (222/STDERR)",
        225 => "cannot set up its network (225/NETWORK)",
        226 => "cannot set up its mounts (226/NAMESPACE)",
        228 => "cannot filter its system calls (228/SECCOMP)",
        233 => "cannot make its runtime directory (233/RUNTIME_DIRECTORY)",
        238 => "cannot make its state directory (238/STATE_DIRECTORY)",
        239 => "cannot make its cache directory (239/CACHE_DIRECTORY)",
        240 => "cannot make its log directory (240/LOGS_DIRECTORY)",
        243 => "cannot set up its credentials (243/CREDENTIALS)",
        _ => return None,
    })
}

/// Name of a signal on Linux; those that differ between its architectures go by number.
fn signal_name(number: u32) -> String {
    let name = match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => return format!("signal {number}"),
    };
    name.into()
}
