//! The journal of a change: a file on the host that says what is under way, so that whoever comes next can finish or
//! revert what was left half-done.
//!
//! It is written before the first file of the change, synced with it, and removed with the last. Only the holder of the
//! host's lock writes it; one that is found under the lock is that of a change that died.

use std::fmt;

use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// Names a step within its change: `replace:web`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(String);

impl StepId {
    /// The id of what a step does (`replace`) and to what (`web`).
    #[must_use]
    pub fn new(verb: &str, object: &str) -> Self {
        Self(format!("{verb}:{object}"))
    }

    /// The id of a step that there is once in a change.
    #[must_use]
    pub fn only(verb: &str) -> Self {
        Self(verb.to_owned())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the step does: `replace`.
    #[must_use]
    pub fn verb(&self) -> &str {
        self.0.split(':').next().unwrap_or_default()
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

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

    /// Whether a unit goes by the change.
    #[must_use]
    pub fn removes(&self, unit: &str) -> bool {
        self.units.iter().any(|entry| entry.unit == unit && entry.to.is_none())
    }

    /// Reads a journal. One that is damaged says nothing: the files that it would speak of are looked at anyway.
    ///
    /// # Errors
    ///
    /// The format, where a newer unitbee wrote it.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, u32> {
        match serde_json::from_slice(bytes) {
            Ok(Format { version }) if version > Self::VERSION => Err(version),
            _ => Ok(serde_json::from_slice(bytes).ok()),
        }
    }

    /// The bytes that are kept.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
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
