//! The journal of a change: a file on the host that says what is under way, so that whoever comes next can finish or
//! revert what was left half-done.
//!
//! It is written before the first file of the change, synced with it, and removed with the last. Only the holder of the
//! host's lock writes it; one that is found under the lock is that of a change that died.

use std::fmt;

use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::step::StepId;
use crate::host::{Answer, Ask, Content, Facts, HostPath, Put};
use crate::supervisor::layout;

/// A change that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// Format; [`Journal::VERSION`].
    pub version: u32,
    /// `apply`, `uninstall`, `rollback`.
    pub verb: String,
    /// `alice@laptop, process 4711`.
    pub by: String,
    /// Unix time in microseconds by the host's clock.
    pub begun_usec: u64,
    /// The last step that is known to have been carried out.
    pub after: Option<StepId>,
    /// The units that are changed.
    pub units: Vec<Entry>,
}

/// What happens to one unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Unit.
    pub unit: String,
    /// The release that was in effect; absent where the unit is new.
    pub from: Option<u32>,
    /// The release that takes effect; absent where the unit goes.
    pub to: Option<u32>,
}

/// Why a journal cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{path} was written by a newer unitbee (format {version}), which must finish its change")]
pub struct NewerJournal {
    /// Its path there.
    pub path: String,
    /// Its format.
    pub version: u32,
}

#[derive(Deserialize)]
struct Format {
    version: u32,
}

impl Journal {
    /// The format that this version writes and reads.
    pub const VERSION: u32 = 1;

    /// Whether the change is about a unit.
    #[must_use]
    pub fn is_about(&self, unit: &str) -> bool {
        self.units.iter().any(|entry| entry.unit == unit)
    }

    /// Asks for the journals of all machines that share the folder.
    #[must_use]
    pub fn ask() -> Ask {
        Ask::Folder(layout::journals())
    }

    /// Finds this machine's journal in the answer to [`ask`](Self::ask). One that is damaged says nothing: the files
    /// that it would speak of are looked at anyway.
    ///
    /// # Errors
    ///
    /// Where a newer unitbee wrote it.
    pub fn find(answer: &Answer, facts: &Facts) -> Result<Option<Self>, NewerJournal> {
        let Answer::Folder(files) = answer else { return Ok(None) };
        let path = layout::journal(&facts.node);
        let name = path.rel.file_name().unwrap_or_default();
        let Some(Some(bytes)) = files.get(name) else { return Ok(None) };
        match serde_json::from_slice(bytes) {
            Ok(Format { version }) if version > Self::VERSION => {
                let path = layout::absolute(&path, facts).unwrap_or_default().into_string();
                Err(NewerJournal { path, version })
            }
            _ => Ok(serde_json::from_slice(bytes).ok()),
        }
    }

    /// Where it is on this machine.
    #[must_use]
    pub fn path(facts: &Facts) -> HostPath {
        layout::journal(&facts.node)
    }

    /// What writes it.
    #[must_use]
    pub fn put(&self, facts: &Facts) -> Put {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        Put { path: Self::path(facts), mode: 0o600, content: Content::Bytes(bytes) }
    }
}

/// `apply by alice@laptop, process 4711, begun 2026-11-28 12:00:00 UTC, stopped after switch:web`.
impl fmt::Display for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}", self.verb, self.by)?;
        let seconds = i64::try_from(self.begun_usec / 1_000_000).unwrap_or_default();
        if let Ok(begun) = Timestamp::from_second(seconds) {
            write!(f, ", begun {}", begun.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S UTC"))?;
        }
        match &self.after {
            Some(step) => write!(f, ", stopped after {step}"),
            None => write!(f, ", stopped before its first step"),
        }
    }
}
