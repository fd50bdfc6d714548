//! How one file differs from another, for people and for machines, and whether a running process must care.

use std::collections::BTreeMap;
use std::fmt;

use camino::Utf8Path;
use serde::Serialize;
use similar::TextDiff;

use crate::service::render::launchd::DEFINITION;
use crate::supervisor::SupervisorKind;

/// What changes in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "change", content = "diff", rename_all = "lowercase")]
pub enum Difference {
    /// It is new: its text.
    New(String),
    /// It is another: unified diff.
    Changed(String),
    /// It changes, and its content is nobody's business.
    Secret,
    /// It goes.
    Removed,
}

impl Difference {
    /// Compares what is there with what is to be there.
    #[must_use]
    pub fn between(old: Option<&[u8]>, new: &[u8]) -> Self {
        let new = String::from_utf8_lossy(new);
        match old {
            None => Self::New(new.into_owned()),
            Some(old) => {
                let old = String::from_utf8_lossy(old);
                let diff = TextDiff::from_lines(old.as_ref(), new.as_ref());
                Self::Changed(diff.unified_diff().context_radius(1).to_string())
            }
        }
    }
}

/// A difference under the path of its file.
#[derive(Debug)]
pub struct Titled<'a> {
    /// Path there.
    pub path: &'a Utf8Path,
    /// What changes.
    pub difference: &'a Difference,
}

impl fmt::Display for Titled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.difference {
            Difference::New(text) => {
                writeln!(f, "+ {}", self.path)?;
                text.lines().try_for_each(|line| writeln!(f, "    +{line}"))
            }
            Difference::Changed(diff) if diff.is_empty() => writeln!(f, "~ {} (only its header)", self.path),
            Difference::Changed(diff) => {
                writeln!(f, "~ {}", self.path)?;
                diff.lines().try_for_each(|line| writeln!(f, "    {line}"))
            }
            Difference::Secret => writeln!(f, "~ {} (secrets, not shown)", self.path),
            Difference::Removed => writeln!(f, "- {}", self.path),
        }
    }
}

/// Settings that the manager applies to a running unit with a daemon-reload (systemd.resource-control(5); the others
/// are looked at only when the unit ends or fails). `EnvironmentFile` is a path that changes with every release; the
/// caller compares what is in it.
const LIVE: [&str; 17] = [
    "CPUQuota",
    "Description",
    "EnvironmentFile",
    "KillMode",
    "MemoryMax",
    "MemorySwapMax",
    "Restart",
    "RestartMaxDelaySec",
    "RestartSec",
    "RestartSteps",
    "StartLimitBurst",
    "StartLimitIntervalSec",
    "SuccessExitStatus",
    "TasksMax",
    "TimeoutStartSec",
    "TimeoutStopSec",
    "WantedBy",
];

/// Settings that a runner takes over while its service runs. What runs is told by `command`, which is the digest of it.
const LIVE_FOR_RUNNER: [&str; 14] = [
    "cpu_percent",
    "delay_ms",
    "give_up_after",
    "log_keep",
    "log_size",
    "logs",
    "max_delay_ms",
    "memory",
    "program",
    "restart",
    "secrets",
    "settled",
    "stop_timeout",
    "tasks",
];

/// The first setting for which a running process must be replaced, or `None` if it can stay.
#[must_use]
pub fn needs_restart(manager: SupervisorKind, old: &[u8], new: &[u8]) -> Option<String> {
    let (old, new) = (String::from_utf8_lossy(old), String::from_utf8_lossy(new));
    let settings = |text| match manager {
        SupervisorKind::Runner => settings(before_service(text), &LIVE_FOR_RUNNER),
        SupervisorKind::Systemd => settings(text, &LIVE),
        SupervisorKind::Launchd => properties(text),
    };
    let (old, new) = (settings(&old), settings(&new));
    let differs = |key: &&&str| old.get(**key) != new.get(**key);
    old.keys().chain(new.keys()).find(differs).map(|key| (*key).to_owned())
}

/// The settings of a definition for the runner stand before its function.
fn before_service(text: &str) -> &str {
    text.split("\nservice() {").next().unwrap_or_default()
}

/// Every key of a property list with its lines: launchd takes over none of them while it runs a job. That the digest
/// differs is no news.
fn properties(text: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut properties: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut of = "";
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(key) = line.strip_prefix("\t<key>").and_then(|rest| rest.strip_suffix("</key>")) {
            of = key;
        } else if line.contains(DEFINITION) {
            lines.next();
        } else {
            properties.entry(of).or_default().push(line);
        }
    }
    properties
}

/// Every setting that is not live, with its values in their order.
fn settings<'a>(text: &'a str, live: &[&str]) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut settings: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with(['#', ';', '['])) {
        if let Some((key, value)) = line.split_once('=').filter(|(key, _)| !live.contains(key)) {
            settings.entry(key).or_default().push(value);
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::{Difference, needs_restart};
    use crate::supervisor::SupervisorKind;

    #[test]
    fn a_new_limit_needs_no_restart() {
        let old = b"[Service]\nExecStart=\":/w\" \"a\"\nMemoryMax=1\n";
        assert_eq!(
            needs_restart(
                SupervisorKind::Systemd,
                old,
                b"[Service]\nExecStart=\":/w\" \"a\"\nMemoryMax=2\nTasksMax=3\n"
            ),
            None
        );
        assert_eq!(
            needs_restart(SupervisorKind::Systemd, old, b"[Service]\nExecStart=\":/w\" \"b\"\n").as_deref(),
            Some("ExecStart")
        );
        assert_eq!(
            needs_restart(SupervisorKind::Systemd, old, b"[Service]\nExecStart=\":/w\" \"a\"\nEnvironment=\"A=1\"\n")
                .as_deref(),
            Some("Environment")
        );
    }

    #[test]
    fn a_diff_shows_what_changes() {
        let Difference::Changed(diff) = Difference::between(Some(b"a\nb\nc\n"), b"a\nB\nc\n") else { panic!() };
        assert!(diff.contains("-b\n+B\n"), "{diff}");
    }
}
