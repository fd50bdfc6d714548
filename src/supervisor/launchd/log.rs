//! The log of a job under launchd: a file that launchd opens for the program to append to, and never looks at again.
//!
//! Nothing of ours runs on a Mac between two verbs, and newsyslog(8), which belongs to root there, renames files that
//! programs hold open. So the verbs that see to it that a service runs rotate its log too: as often as one of them is
//! called, no more.

use std::time::Duration;

use crate::host::{Command, Facts, Host, HostError};
use crate::service::spec::Logs;

use super::super::layout;

/// How a log is rotated, and how it is read.
const ROTATE: &str = include_str!("../../../templates/launchd/rotate.sh");
const READ: &str = include_str!("../../../templates/launchd/logs.sh");

/// How long it may take to copy a log that nobody rotated for long.
const COPY: Duration = Duration::from_mins(10);

/// Rotates the log of a unit if it has outgrown `logs.max_size`: copied and cut, for the program goes on writing to it.
/// Lines that are written in the very moment of the cut are lost; none is ever there twice.
pub async fn rotate(host: &dyn Host, facts: &Facts, unit: &str, logs: &Logs) -> Result<(), HostError> {
    let path = path(facts, unit);
    let (size, keep) = (logs.max_size.to_string(), logs.keep.to_string());
    let command = Command::new("sh").args(["-c", ROTATE, "sh", &path, &size, &keep]).env("LC_ALL", "C");
    let output = host.run(&command.deadline(COPY)).await?;
    if output.success() {
        return Ok(());
    }
    let detail = output.last_words().unwrap_or_else(|| "no reason was given".to_owned());
    Err(HostError::Change { host: host.name().to_owned(), step: format!("rotate {path}"), detail })
}

/// Prints the newest lines of a unit's log with those of its old ones, and with `follow` what comes after them.
#[must_use]
pub fn read(facts: &Facts, unit: &str, lines: u32, follow: bool) -> Command {
    let follow = if follow { "1" } else { "" };
    Command::new("sh").args(["-c", READ, "sh", &path(facts, unit), &lines.to_string(), follow]).env("LC_ALL", "C")
}

pub(super) fn path(facts: &Facts, unit: &str) -> String {
    layout::absolute(&layout::job_log(unit), facts).unwrap_or_default().into_string()
}
