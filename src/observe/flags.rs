//! What is odd about a unit, each with the command that mends it. Pure: everything was read before.

use crate::host::{Cgroup, Facts, FileFound};
use crate::lifecycle::health::in_one_line;
use crate::lifecycle::http::HttpError;
use crate::service::journal::Journal;
use crate::service::record::Record;
use crate::service::render::header;
use crate::service::spec::Limits;
use crate::supervisor::{Flag, FlagKind, State, SupervisorKind, UnitStatus};

/// Everything that is known of a unit.
#[derive(Debug)]
pub struct FlagInputs<'a> {
    /// Host as the user named it.
    pub host: &'a str,
    /// The host itself.
    pub facts: &'a Facts,
    /// The manager that was asked.
    pub manager: Option<SupervisorKind>,
    /// Unit name without suffix.
    pub unit: &'a str,
    /// Its unit file.
    pub file: Option<&'a FileFound>,
    /// Its record.
    pub record: Option<&'a Record>,
    /// Its cgroup.
    pub cgroup: Option<&'a Cgroup>,
    /// What the supervisor says.
    pub status: Option<&'a UnitStatus>,
    /// Why it is unhealthy, if it is.
    pub unhealthy: Option<&'a str>,
    /// Why its health cannot be asked for, if it cannot.
    pub unasked: Option<&'a HttpError>,
    /// The change that was left unfinished on the host.
    pub unfinished: Option<&'a Unfinished>,
}

/// A change that nobody works on any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfinished {
    /// This one.
    Change(Journal),
    /// One of a newer unitbee, in this format.
    Newer(u32),
}

/// All flags of a unit.
#[must_use]
pub fn all(seen: &FlagInputs<'_>) -> Vec<Flag> {
    let mut flags = Vec::new();
    let mut flag = |kind, reason: Option<String>, mend: Option<String>| {
        flags.extend(reason.map(|reason| Flag { kind, reason, mend }));
    };
    let (unit, host) = (seen.unit, seen.host);
    let verb = |verb: &str| Some(format!("unitbee {verb} {unit} -H {host}"));
    flag(FlagKind::CrashLooping, seen.status.and_then(crash_looping), verb("logs"));
    flag(FlagKind::Unhealthy, seen.unhealthy.map(str::to_owned), verb("restart"));
    flag(FlagKind::HealthUnknown, seen.unasked.map(in_one_line), seen.unasked.and_then(HttpError::hint));
    flag(FlagKind::OldBinary, old_binary(seen), if is_program_gone(seen) { verb("apply") } else { verb("restart") });
    flag(FlagKind::UnitChanged, unit_changed(seen), verb("restart"));
    flag(FlagKind::NeedsReload, needs_reload(seen), Some(format!("unitbee apply -H {host}")));
    flag(FlagKind::Unsupervised, unsupervised(seen), verb("ensure"));
    flag(FlagKind::Drift, drift(seen), Some(format!("unitbee plan -H {host}")));
    let delegate = "sudo systemctl edit user@.service, with Delegate=cpu memory pids, and a reboot";
    let mend = match seen.manager {
        Some(SupervisorKind::Launchd) => None,
        _ if are_delegated(seen.cgroup) => verb("restart"),
        Some(SupervisorKind::Runner) => None,
        _ => Some(delegate.to_owned()),
    };
    flag(FlagKind::LimitNotEffective, limits(seen), mend);
    flag(FlagKind::Duplicate, duplicate(seen), verb("restart"));
    flag(FlagKind::UnfinishedChange, unfinished(seen), Some(format!("unitbee apply -H {host}")));
    let (reason, mend) = not_persistent(seen).unzip();
    flag(FlagKind::NotPersistent, reason, mend.flatten());
    flags
}

fn crash_looping(status: &UnitStatus) -> Option<String> {
    match &status.state {
        // One end is none yet.
        State::Backoff { restarts: 0, .. } => None,
        State::Backoff { reason, restarts: 1 } => Some(format!("restarted once: {reason}")),
        State::Backoff { reason, restarts } => Some(format!("restarted {restarts} times: {reason}")),
        State::Failed { reason } if status.restarts > 0 => Some(format!("gave up: {reason}")),
        _ => None,
    }
}

/// Compares the file that the main process runs with the one that the release names. A script runs its interpreter, so
/// another file alone means nothing.
fn old_binary(seen: &FlagInputs<'_>) -> Option<String> {
    let (record, status) = (seen.record?, seen.status?);
    let (pid, exe) = (status.pid?, main_exe(seen)?);
    let program = record.program.as_str();
    let store = seen.facts.data.join("unitbee/store");
    let is_old = match exe.strip_suffix(" (deleted)") {
        Some(deleted) => deleted == program || deleted.starts_with(store.as_str()),
        None => exe != program && exe.starts_with(store.as_str()),
    };
    is_old.then(|| format!("process {pid} runs {exe}, the unit names {program}"))
}

/// Tells whether the file that the release names is the one that was deleted: a restart would find none.
fn is_program_gone(seen: &FlagInputs<'_>) -> bool {
    let deleted = main_exe(seen).and_then(|exe| exe.strip_suffix(" (deleted)"));
    deleted.is_some_and(|exe| seen.record.is_some_and(|record| record.program == exe))
}

/// The file that the main process runs, as its supervisor or its cgroup tells.
fn main_exe<'a>(seen: &FlagInputs<'a>) -> Option<&'a str> {
    let status = seen.status?;
    let in_cgroup = || seen.cgroup?.processes.iter().find(|process| Some(process.pid) == status.pid)?.exe.as_deref();
    status.exe.as_deref().or_else(in_cgroup)
}

fn unit_changed(seen: &FlagInputs<'_>) -> Option<String> {
    let (record, started) = (seen.record?, seen.status?.started_usec?);
    let runs = matches!(seen.status?.state, State::Running { .. });
    (runs && record.outdates(started, seen.facts.now_usec))
        .then(|| format!("the process is older than release {}", record.release))
}

fn needs_reload(seen: &FlagInputs<'_>) -> Option<String> {
    seen.status?.needs_reload.then(|| "the manager has not read the unit file as it is on disk".to_owned())
}

fn drift(seen: &FlagInputs<'_>) -> Option<String> {
    let content = &seen.file?.content;
    match header::parse(content) {
        None => Some("the unit file was not written by unitbee".to_owned()),
        Some(header) if !header.intact => Some("the unit file was edited by hand".to_owned()),
        Some(_) => None,
    }
}

fn limits(seen: &FlagInputs<'_>) -> Option<String> {
    let (status, limits) = (seen.status?, &seen.record?.spec.limits);
    let State::Running { pid, .. } = status.state else { return None };
    let is_outside = |cgroup: &Cgroup| cgroup.processes.iter().all(|process| process.pid != pid);
    if are_any(limits) && seen.cgroup.is_some_and(is_outside) {
        return Some(format!("process {pid} is not in the unit's cgroup"));
    }
    limit_gap(seen.manager?, limits, seen.cgroup, status.no_limits_reason.as_deref())
}

/// The limits that launchd has no way to hold a unit to, in words.
fn uncapped(limits: &Limits) -> String {
    let wished =
        [("cpu", limits.cpu_percent.is_some()), ("memory", limits.memory.is_some()), ("tasks", limits.tasks.is_some())];
    let names: Vec<&str> = wished.into_iter().filter_map(|(name, is_wished)| is_wished.then_some(name)).collect();
    format!("{}: launchd has no such cap", names.join(", "))
}

/// Which limits of a running unit do not hold, in words. What was configured, and what a runner says of it, proves nothing:
/// only the cgroup's own files tell what holds. `without` is why there is no cgroup, where the manager knows.
#[must_use]
pub fn limit_gap(
    manager: SupervisorKind,
    limits: &Limits,
    cgroup: Option<&Cgroup>,
    without: Option<&str>,
) -> Option<String> {
    if !are_any(limits) {
        return None;
    }
    if manager == SupervisorKind::Launchd {
        return Some(uncapped(limits));
    }
    let Some(cgroup) = cgroup else {
        return Some(without.unwrap_or("the host has no cgroup v2 tree for it").to_owned());
    };
    let control = |file: &'static str| control(manager, cgroup, file);
    let gaps: Vec<String> = [
        ("memory", limits.memory.map(|bytes| holds_at_most(&control, "memory.max", bytes))),
        ("cpu", limits.cpu_percent.map(|percent| holds_quota(&control, percent))),
        ("tasks", limits.tasks.map(|tasks| holds_at_most(&control, "pids.max", tasks))),
    ]
    .into_iter()
    .filter_map(|(name, held)| match held? {
        Ok(()) => None,
        Err(gap) => Some(format!("{name}: {gap}")),
    })
    .collect();
    (!gaps.is_empty()).then(|| gaps.join("; "))
}

/// Tells whether the kernel has a file for each kind of limit.
fn are_delegated(cgroup: Option<&Cgroup>) -> bool {
    let has =
        |cgroup: &Cgroup| ["memory.max", "cpu.max", "pids.max"].iter().all(|file| cgroup.files.contains_key(*file));
    cgroup.is_some_and(has)
}

fn are_any(limits: &Limits) -> bool {
    limits.memory.is_some() || limits.cpu_percent.is_some() || limits.tasks.is_some()
}

fn control(manager: SupervisorKind, cgroup: &Cgroup, file: &str) -> Result<String, String> {
    let bytes = cgroup.files.get(file).ok_or_else(|| {
        let controller = file.split('.').next().unwrap_or(file);
        match manager {
            SupervisorKind::Runner => format!("its cgroup has no {controller} controller"),
            _ => format!("the {controller} controller is not delegated to the user's manager"),
        }
    })?;
    Ok(String::from_utf8_lossy(bytes).trim().to_owned())
}

fn holds_at_most(
    control: &impl Fn(&'static str) -> Result<String, String>,
    file: &'static str,
    wanted: u64,
) -> Result<(), String> {
    let value = control(file)?;
    match value.parse::<u64>() {
        Ok(held) if held <= wanted => Ok(()),
        _ => Err(format!("{file} is {value:?}")),
    }
}

/// `cpu.max` is `<quota> <period>` in microseconds, or `max <period>`.
fn holds_quota(control: &impl Fn(&'static str) -> Result<String, String>, percent: u32) -> Result<(), String> {
    let value = control("cpu.max")?;
    let held = value.split_once(' ').and_then(|(quota, period)| {
        let (quota, period): (u64, u64) = (quota.parse().ok()?, period.parse().ok()?);
        quota.checked_mul(100)?.checked_div(period)
    });
    match held {
        Some(held) if held <= u64::from(percent) => Ok(()),
        _ => Err(format!("cpu.max is {value:?}")),
    }
}

fn duplicate(seen: &FlagInputs<'_>) -> Option<String> {
    let also = &seen.status?.other_domains;
    (!also.is_empty()).then(|| format!("launchd has it more than once, also as {}", also.join(", ")))
}

fn unfinished(seen: &FlagInputs<'_>) -> Option<String> {
    match seen.unfinished? {
        Unfinished::Change(journal) => journal.is_about(seen.unit).then(|| journal.to_string()),
        Unfinished::Newer(format) => Some(format!("a newer unitbee left a change unfinished (format {format})")),
    }
}

fn unsupervised(seen: &FlagInputs<'_>) -> Option<String> {
    seen.status?.unsupervised.then(|| "its runner has died: nothing starts it again when it ends".to_owned())
}

fn not_persistent(seen: &FlagInputs<'_>) -> Option<(String, Option<String>)> {
    let status = seen.status;
    if seen.manager == Some(SupervisorKind::Launchd)
        && seen.file.is_none()
        && status.is_some_and(|status| status.installed)
    {
        let reason = "its property list is gone: launchd knows it until the session ends, and no longer".to_owned();
        return Some((reason, Some(format!("unitbee apply -H {}", seen.host))));
    }
    let is_off = seen.manager == Some(SupervisorKind::Launchd) && status.is_some_and(|status| !status.enabled);
    if let Some((status, reason)) = status.filter(|_| !is_off).and_then(|status| Some((status, status.boot_blocker?))) {
        let mend = (seen.manager == Some(SupervisorKind::Launchd)).then(|| {
            "`scope = \"system\"` in the manifest, or `install-unit --scope system`; it needs sudo on the host"
                .to_owned()
        });
        return status.installed.then(|| (format!("it does not start at boot: {reason}"), mend));
    }
    if seen.manager != Some(SupervisorKind::Runner) && seen.facts.systemd && !seen.facts.linger {
        let user = &seen.facts.user;
        let reason = format!("{user} has no linger: it ends at logout and does not start at boot");
        return Some((reason, Some(format!("sudo loginctl enable-linger {user}"))));
    }
    let mend = || Some(format!("unitbee enable {} -H {}", seen.unit, seen.host));
    let status = status?;
    (status.installed && !status.enabled).then(|| ("it is not started at boot".to_owned(), mend()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_end_is_no_loop() {
        let told = |state| crash_looping(&UnitStatus { state, restarts: 4, ..UnitStatus::unknown("web-main") });
        let backoff = |restarts| State::Backoff { reason: "exit code 3".into(), restarts };
        assert_eq!(told(backoff(0)), None);
        assert_eq!(told(backoff(1)).unwrap(), "restarted once: exit code 3");
        assert_eq!(told(backoff(2)).unwrap(), "restarted 2 times: exit code 3");
        assert_eq!(told(State::Failed { reason: "exit code 3".into() }).unwrap(), "gave up: exit code 3");
        assert_eq!(told(State::Running { pid: 1, since: 0 }), None);
    }
}
