//! How a process ended, in words that follow the name of the unit: exit codes as systemd.exec(5) has them, signals by name.

/// Words for the end of what the kernel killed for want of memory.
pub(super) const OUT_OF_MEMORY: &str = "was killed: out of memory (oom-kill)";

/// Words for an end as a shell tells it: an exit code, or 128 and the number of a signal.
#[must_use]
pub(super) fn exit(status: u32) -> String {
    match status.checked_sub(128) {
        Some(signal @ 1..=64) => format!("was killed by {}", signal_name(signal)),
        _ => code(status).map_or_else(|| format!("exited with code {status}"), str::to_owned),
    }
}

/// Exit codes by which a supervisor tells that it did not get as far as the program.
pub(super) fn code(status: u32) -> Option<&'static str> {
    Some(match status {
        200 => "cannot enter its working directory (200/CHDIR)",
        201 => "cannot set its niceness (201/NICE)",
        202 => "cannot arrange its open files (202/FDS)",
        203 => "cannot be executed (203/EXEC)",
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
pub(super) fn signal_name(number: u32) -> String {
    signal_of(number, &[(7, "SIGBUS"), (10, "SIGUSR1"), (12, "SIGUSR2"), (31, "SIGSYS")])
}

/// Name of a signal: one that has the same number everywhere, or one of the system's `own`.
pub(super) fn signal_of(number: u32, own: &[(u32, &str)]) -> String {
    let name = match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        _ => match own.iter().find(|(known, _)| *known == number) {
            Some((_, name)) => name,
            None => return format!("signal {number}"),
        },
    };
    name.to_owned()
}
