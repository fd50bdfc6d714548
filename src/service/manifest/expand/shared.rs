//! What all instances of a service have in common: the keys without placeholders.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::build;
use super::super::overrides::{instead_of_launchd, instead_of_systemd, is_systemd_key};
use super::super::problem::Problems;
use super::super::read::{At, Entry, Map};
use super::super::written::{self, Parallel, Setting};
use crate::service::build::Build;
use crate::service::escape;
use crate::service::spec::{EnvName, Limits, Logs, Restart, Scope};

/// The parts of a unit that do not depend on its instance.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) build: Option<Build>,
    pub(super) secrets: BTreeSet<EnvName>,
    pub(super) limits: Limits,
    pub(super) restart: Restart,
    pub(super) logs: Logs,
    pub(super) scope: Scope,
    pub(super) systemd: BTreeMap<String, BTreeMap<String, Vec<String>>>,
    pub(super) launchd: BTreeMap<String, plist::Value>,
    pub(super) keep: Option<u32>,
    pub(super) parallel: Option<u32>,
}

impl Shared {
    pub(super) fn new(written: &written::Service, problems: &mut Problems<'_>) -> Self {
        Self {
            build: build::checked(&written.build, problems),
            secrets: secrets(written, problems),
            limits: limits(&written.limits, problems),
            restart: restart(&written.restart, problems),
            logs: logs(&written.logs),
            scope: written.scope.value().copied().unwrap_or_default(),
            systemd: systemd(&written.systemd, problems),
            launchd: launchd(&written.launchd, problems),
            keep: at_least_one(&written.keep, "`keep` includes the release that runs", problems),
            parallel: parallel(&written.parallel, problems),
        }
    }
}

/// Reads a number that is at least 1; `why` it cannot be 0.
pub(super) fn at_least_one(written: &Entry<u32>, why: &str, problems: &mut Problems<'_>) -> Option<u32> {
    let at = written.at()?;
    if at.value == 0 {
        problems.add(&at.span, format!("invalid number 0: {why}"), "write a whole number from 1 up");
    }
    Some(at.value)
}

fn parallel(written: &Entry<Parallel>, problems: &mut Problems<'_>) -> Option<u32> {
    let At { value: Parallel(number), span } = written.at()?;
    if *number == 0 {
        let help = "write how many instances are replaced at a time, or \"all\"";
        problems.add(span, "invalid number 0: no instance would ever be replaced", help);
    }
    Some(*number)
}

/// Reads the name of a variable.
pub(super) fn env_name(name: &At<String>, problems: &mut Problems<'_>) -> Option<EnvName> {
    let read = EnvName::new(&name.value).ok();
    if read.is_none() {
        let message = format!("{:?} is no name for an environment variable", name.value);
        problems.add(&name.span, message, "use letters, digits and `_`, and no digit first");
    }
    read
}

fn secrets(written: &written::Service, problems: &mut Problems<'_>) -> BTreeSet<EnvName> {
    let Some(secrets) = written.secrets.value() else { return BTreeSet::new() };
    for secret in secrets.iter() {
        let open = written.env.value().and_then(|env| env.keys().find(|name| name.value == secret.value));
        if let Some(open) = open {
            let message = format!("`{}` is in `secrets` and in `env`, where anybody can read it", secret.value);
            problems.clash(&secret.span, message, "leave it out of one of them", (&open.span, "set here"));
        }
    }
    secrets.iter().filter_map(|name| env_name(name, problems)).collect()
}

fn limits(written: &Entry<written::Limits>, problems: &mut Problems<'_>) -> Limits {
    let Some(written) = written.value() else { return Limits::default() };
    Limits {
        cpu_percent: written.cpu.value().map(|cpu| cpu.0),
        memory: written.memory.value().map(|memory| memory.0),
        tasks: count(&written.tasks, problems),
        nofile: count(&written.nofile, problems),
    }
}

fn count(written: &Entry<u64>, problems: &mut Problems<'_>) -> Option<u64> {
    let at = written.at()?;
    if at.value == 0 {
        problems.add(&at.span, "a limit of 0 lets nothing run", "leave the key out for no limit");
    }
    Some(at.value)
}

fn restart(written: &Entry<written::Restart>, problems: &mut Problems<'_>) -> Restart {
    let usual = Restart::default();
    let Some(written) = written.value() else { return usual };
    let (delay, max_delay) = (written.delay.at(), written.max_delay.at());
    if let (Some(delay), Some(max)) = (delay, max_delay)
        && delay.value.0 > max.value.0
    {
        let help = "write a `max_delay` of at least `delay`";
        let message = "`delay` is longer than `max_delay`";
        problems.clash(&delay.span, message, help, (&max.span, "the longest pause"));
    }
    // Where one is written, the other's default gives way.
    let (delay, max_delay) = (delay.map(|at| at.value.0), max_delay.map(|at| at.value.0));
    Restart {
        when: written.when.value().copied().unwrap_or(usual.when),
        delay: delay.unwrap_or_else(|| usual.delay.min(max_delay.unwrap_or(Duration::MAX))),
        max_delay: max_delay.unwrap_or_else(|| usual.max_delay.max(delay.unwrap_or_default())),
        give_up_after: written.give_up_after.value().copied().unwrap_or(usual.give_up_after),
    }
}

fn logs(written: &Entry<written::Logs>) -> Logs {
    let usual = Logs::default();
    let Some(written) = written.value() else { return usual };
    Logs {
        max_size: written.max_size.value().map_or(usual.max_size, |size| size.0),
        keep: written.keep.value().copied().unwrap_or(usual.keep),
    }
}

fn systemd(
    written: &Entry<written::Sections>,
    problems: &mut Problems<'_>,
) -> BTreeMap<String, BTreeMap<String, Vec<String>>> {
    let Some(written) = written.value() else { return BTreeMap::new() };
    [("Unit", &written.Unit), ("Service", &written.Service), ("Install", &written.Install)]
        .into_iter()
        .filter_map(|(name, keys)| Some((name.to_owned(), section(name, keys.value()?, problems))))
        .collect()
}

fn section(name: &str, keys: &Map<Setting>, problems: &mut Problems<'_>) -> BTreeMap<String, Vec<String>> {
    for key in keys.keys() {
        if let Some(instead) = instead_of_systemd(name, &key.value) {
            problems.add(&key.span, format!("`{}` is decided by unitbee", key.value), instead);
        } else if !is_systemd_key(&key.value) {
            let message = format!("{:?} is no key of a unit file", key.value);
            problems.add(&key.span, message, "use letters, digits and `-`, and a letter first");
        }
    }
    for value in keys.iter().flat_map(|(_, setting)| setting.value.0.iter()) {
        if let Err(error) = escape::verbatim(&value.value.0) {
            let message = format!("the value is not one line of a unit file: {error}");
            problems.add(&value.span, message, "write it on one line; a list makes several");
        }
    }
    keys.iter()
        .map(|(key, setting)| (key.value.clone(), setting.value.0.iter().map(|v| v.value.0.clone()).collect()))
        .collect()
}

fn launchd(written: &Entry<Map<written::Property>>, problems: &mut Problems<'_>) -> BTreeMap<String, plist::Value> {
    let Some(written) = written.value() else { return BTreeMap::new() };
    for key in written.keys() {
        if let Some(instead) = instead_of_launchd(&key.value) {
            problems.add(&key.span, format!("`{}` is decided by unitbee", key.value), instead);
        }
    }
    written.iter().map(|(key, value)| (key.value.clone(), value.value.0.clone())).collect()
}
