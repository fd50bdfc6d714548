//! The steps that a change consists of. Each has an id that stays the same from plan to event to journal, and all that
//! it needs to be carried out.

use std::sync::Arc;

use camino::Utf8PathBuf;
use serde::Serialize;

use super::check::Check;
use super::diff::Difference;
use crate::host::{Batch, Content};
pub use crate::service::journal::StepId;
use crate::service::spec::{Stop, UnitSpec};
use crate::supervisor::SupervisorKind;

/// One step of a change.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// Its id.
    pub id: StepId,
    /// The unit that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// What it does and why, in words.
    pub does: String,
    /// Files that it changes, with what changes in them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileChange>,
    /// What is done.
    #[serde(skip)]
    pub action: Action,
}

/// A file that a step changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// Its path there.
    pub path: Utf8PathBuf,
    /// What changes in it.
    #[serde(flatten)]
    pub difference: Difference,
}

/// What a step does.
#[derive(Debug, Clone)]
pub enum Action {
    /// Opens the journal.
    OpenJournal,
    /// Writes and removes files. Neighbouring steps of this kind go to the host in one exchange, in their order.
    Files(Batch),
    /// Tries a program.
    Check(Box<Check>),
    /// Brings files that are root's to the host without putting them in place.
    StagePrivileged(Batch),
    /// Writes and removes files that are root's.
    Privileged(Batch),
    /// Stops a unit under another manager and has that forget it.
    Leave {
        /// The manager.
        from: SupervisorKind,
        /// How what runs is stopped.
        stop: Stop,
    },
    /// Has the manager run without a session.
    Linger,
    /// Has a unit started at boot. Neighbouring steps of this kind are carried out at once.
    Enable,
    /// Has the managers read their unit files again.
    Reload,
    /// Has the kernel hold units that go on running to their new limits.
    HoldLimits(Vec<Arc<UnitSpec>>),
    /// Starts a unit; one that runs is replaced, in one order to the host.
    Launch {
        /// How what runs now is stopped: as the release wants it that started it. Absent where nothing is to be stopped.
        replaces: Option<Stop>,
    },
    /// Waits until the unit counts as healthy.
    Gate,
    /// Stops a unit that goes.
    Stop {
        /// Its manager.
        manager: SupervisorKind,
        /// How.
        stop: Stop,
    },
    /// Has a manager forget units that have ended.
    Forget {
        /// The manager.
        manager: SupervisorKind,
        /// The units.
        units: Vec<String>,
    },
    /// Stops slices that nothing needs any more, has the managers read their unit files again, and has them forget how
    /// the units failed.
    Settle {
        /// Slices without suffix.
        slices: Vec<String>,
        /// The managers, each with its units.
        managers: Vec<(SupervisorKind, Vec<String>)>,
    },
    /// Makes sure that nothing is left of a unit.
    Prove {
        /// The managers that had it.
        managers: Vec<SupervisorKind>,
    },
    /// Closes the journal.
    CloseJournal,
}

impl Step {
    /// A step that is about no unit in particular.
    #[must_use]
    pub fn new(id: StepId, does: impl Into<String>, action: Action) -> Self {
        Self { id, unit: None, does: does.into(), files: Vec::new(), action }
    }

    /// A step on a unit.
    #[must_use]
    pub fn on(verb: &str, unit: &str, does: impl Into<String>, action: Action) -> Self {
        Self { unit: Some(unit.to_owned()), ..Self::new(StepId::new(verb, unit), does, action) }
    }

    /// The same step with files that it changes.
    #[must_use]
    pub fn changing(self, files: Vec<FileChange>) -> Self {
        Self { files, ..self }
    }

    /// Bytes that the step sends.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let (Action::Files(batch) | Action::StagePrivileged(batch)) = &self.action else { return 0 };
        batch
            .puts
            .iter()
            .map(|put| match &put.content {
                Content::Bytes(bytes) => bytes.len() as u64,
                Content::File { len, .. } => *len,
            })
            .sum()
    }
}
