//! A service unit as it is wanted, valid by construction: what is here can be rendered.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

pub use super::build::Build;
pub use super::name::{EnvName, SliceName, UnitName};
pub use super::url::HttpUrl;

/// Everything about one unit: one instance of one service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnitSpec {
    /// Name of the unit without suffix: `llm-8080`.
    pub unit: UnitName,
    /// Service that it is an instance of: `llm`.
    pub service: String,
    /// Instance: `8080`; `main` where the manifest names none.
    pub instance: String,
    /// Project of the manifest; empty for a unit that no manifest declares.
    #[serde(default)]
    pub project: String,
    /// Slice without suffix: `rbee`.
    pub slice: SliceName,
    /// One line for people.
    pub description: String,
    /// What runs.
    pub program: Program,
    /// Its arguments, without the program's name.
    pub args: Vec<String>,
    /// Command that builds the program here.
    pub build: Option<Build>,
    /// Arguments with which the program is tried on the host before a new release takes effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Vec<String>>,
    /// Environment that anybody may see.
    pub env: BTreeMap<EnvName, String>,
    /// Names of variables whose values come from this shell's environment and are kept in a 0600 file.
    pub secrets: BTreeSet<EnvName>,
    /// Absolute path on the host; the manager's default (the home) where absent.
    pub working_dir: Option<Utf8PathBuf>,
    /// Caps.
    pub limits: Limits,
    /// What happens when it ends by itself.
    pub restart: Restart,
    /// When it counts as healthy; [`Health::default`] where it is absent.
    pub health: Option<Health>,
    /// How it is ended.
    pub stop: Stop,
    /// Size and number of log files, where the supervisor writes files.
    pub logs: Logs,
    /// Whose supervisor runs it.
    pub scope: Scope,
    /// `systemd.<Section>.<Key>`: taken over verbatim after a check against what unitbee itself decides.
    pub systemd: BTreeMap<String, BTreeMap<String, Vec<String>>>,
    /// Keys of the property list that are taken over.
    pub launchd: BTreeMap<String, plist::Value>,
    /// Releases that are kept on the host; at least 1.
    #[serde(default = "usual_keep")]
    pub keep: u32,
    /// Running instances of the service that are replaced at a time; at least 1, [`u32::MAX`] for all.
    #[serde(default = "usual_parallel")]
    pub parallel: u32,
}

/// Releases that are kept where the manifest does not say.
pub const KEEP: u32 = 3;

/// Instances that are replaced at a time where the manifest does not say.
pub const PARALLEL: u32 = 1;

fn usual_keep() -> u32 {
    KEEP
}

fn usual_parallel() -> u32 {
    PARALLEL
}

impl UnitSpec {
    /// Returns the spec without what says how releases are made, replaced and kept, whose they are, and where on this
    /// machine the program was: two specs that are equal without it, with the same program, describe the same running
    /// unit and need no new release.
    #[must_use]
    pub fn without_policy(&self) -> Self {
        let program = match &self.program {
            Program::Shipped(path) => Program::Shipped(path.file_name().unwrap_or_default().into()),
            other => other.clone(),
        };
        Self { program, project: String::new(), build: None, keep: KEEP, parallel: PARALLEL, ..self.clone() }
    }
}

/// Where the program comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Program {
    /// A file of this machine (absolute path), shipped into the host's store.
    Shipped(Utf8PathBuf),
    /// An absolute path on the host.
    Path(Utf8PathBuf),
    /// A bare name, looked up on the host.
    Name(String),
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shipped(path) | Self::Path(path) => f.write_str(path.as_str()),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Caps; an absent one is no cap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Hundredths of a core: 200 is two cores.
    pub cpu_percent: Option<u32>,
    /// Memory of the whole unit in bytes, swap included.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub tasks: Option<u64>,
    /// Open files of each process.
    pub nofile: Option<u64>,
}

/// When the supervisor starts it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RestartWhen {
    /// After an end that is a failure.
    OnFailure,
    /// After every end that nobody asked for.
    Always,
    /// Never.
    No,
}

/// What happens when it ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// After which ends.
    pub when: RestartWhen,
    /// Pause before the first restart.
    pub delay: Duration,
    /// Longest pause, reached by growing.
    pub max_delay: Duration,
    /// Restarts in a row after which it stays down; 0 means never give up.
    pub give_up_after: u32,
}

impl Default for Restart {
    fn default() -> Self {
        Self {
            when: RestartWhen::OnFailure,
            delay: Duration::from_secs(1),
            max_delay: Duration::from_mins(1),
            give_up_after: 10,
        }
    }
}

/// When it counts as healthy: its URL answers, or where it has none, it runs; and it goes on doing so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Answered with 2xx by a healthy service.
    #[serde(default)]
    pub url: Option<HttpUrl>,
    /// Text that the answer must hold.
    pub expect: Option<String>,
    /// How long it may take from the start until it is healthy; without a URL, until it runs.
    pub within: Duration,
    /// How long it must then stay so, as the same process.
    pub healthy_for: Duration,
}

impl Health {
    /// How long a service may take to get healthy where the manifest does not say.
    pub const WITHIN: Duration = Duration::from_mins(1);

    /// How long a service must answer its URL where the manifest does not say.
    pub const ANSWERING_FOR: Duration = Duration::from_secs(2);

    /// How long a service without a URL must run where the manifest does not say. Many programs take about a second to find
    /// out that they cannot work, and exit then: this has to be longer.
    pub const RUNNING_FOR: Duration = Duration::from_millis(1500);
}

impl Default for Health {
    fn default() -> Self {
        Self { url: None, expect: None, within: Self::WITHIN, healthy_for: Self::RUNNING_FOR }
    }
}

/// How it is ended: the URL is asked, then TERM, then KILL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Gets a POST first.
    pub url: Option<HttpUrl>,
    /// How long it may take to end after the POST.
    pub drain: Duration,
    /// How long it may take to end after TERM.
    pub term: Duration,
}

impl Default for Stop {
    fn default() -> Self {
        Self { url: None, drain: Duration::from_secs(10), term: Duration::from_secs(10) }
    }
}

/// Log files, where the supervisor keeps files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logs {
    /// A file is rotated beyond this many bytes.
    pub max_size: u64,
    /// Rotated files that are kept.
    pub keep: u32,
}

impl Default for Logs {
    fn default() -> Self {
        Self { max_size: 10 << 20, keep: 3 }
    }
}

/// Whose supervisor runs it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The user's own.
    #[default]
    User,
    /// The machine's (macOS: a `LaunchDaemon` with `UserName`).
    System,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What older versions have written into the records on hosts.
    #[test]
    fn health_of_older_records_is_read() {
        let time = r#"{ "secs": 60, "nanos": 0 }"#;
        let text = format!(
            r#"{{ "url": "http://127.0.0.1:8080/health", "expect": null, "within": {time}, "healthy_for": {time} }}"#
        );
        let read: Option<Health> = serde_json::from_str(&text).unwrap();
        let health = read.unwrap();
        assert_eq!(health.url.as_ref().map(HttpUrl::as_str), Some("http://127.0.0.1:8080/health"));
        assert_eq!(health.within, Duration::from_mins(1));
        let written = serde_json::to_value(&health).unwrap();
        assert_eq!(written, serde_json::from_str::<serde_json::Value>(&text).unwrap(), "and written as it was");
        let read: Option<Health> = serde_json::from_str("null").unwrap();
        assert_eq!(read, None);
    }
}
