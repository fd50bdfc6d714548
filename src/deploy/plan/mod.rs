//! What has to be done on one host: a value that is pure, complete and printable. Carrying it out leaves no choice.

mod notes;
mod obstacle;
mod planner;

use std::fmt;

use camino::Utf8PathBuf;
use serde::Serialize;

pub use self::notes::Notes;
pub use self::obstacle::Obstacle;
pub use self::planner::plan;
use super::check::Check;
use super::diff::{self, Difference};
use crate::host::{Batch, Content, Put};
use crate::service::spec::Stop;
use crate::supervisor::{Choice, SupervisorKind, UnitFileKind, layout};

/// Everything that has to be done on one host, in this order.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Plan {
    /// The host.
    pub host: String,
    /// The manager that its services are for; absent where nothing was looked at.
    pub manager: Option<SupervisorKind>,
    /// Why it is that one.
    pub because: &'static str,
    /// Units that are taken away from another manager first.
    pub moves: Vec<Move>,
    /// Whether the manager must be told to stay without a session.
    pub linger: bool,
    /// Programs that are shipped.
    pub ships: Vec<Ship>,
    /// Programs that are tried before anything else is changed.
    pub checks: Vec<Check>,
    /// Files that are written, with what changes in them.
    pub files: Vec<FileChange>,
    /// Units that are to be started at boot.
    pub enable: Vec<String>,
    /// Whether the manager must read its unit files again.
    pub reload: bool,
    /// Units that are started or restarted.
    pub starts: Vec<Start>,
    /// What is not quite as wished, and cannot be.
    pub notes: Vec<String>,
    /// The files themselves.
    #[serde(skip)]
    pub batch: Batch,
    /// Those that only root may write or remove, after the others.
    #[serde(skip)]
    pub roots: Batch,
}

/// A program that is shipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ship {
    /// Its path here.
    pub from: Utf8PathBuf,
    /// Its path there.
    pub to: Utf8PathBuf,
    /// Bytes.
    pub bytes: u64,
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: String,
    /// Whether no release there needs it yet.
    #[serde(skip)]
    pub fresh: bool,
}

/// A file that is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// Its path there.
    pub path: Utf8PathBuf,
    /// What changes in it.
    #[serde(flatten)]
    pub difference: Difference,
}

/// A unit that another manager has now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Move {
    /// Unit.
    pub unit: String,
    /// Who has it.
    pub from: SupervisorKind,
    /// What defines it there.
    #[serde(skip)]
    pub definition: UnitFileKind,
    /// How what runs now is ended.
    #[serde(skip)]
    pub stop: Stop,
}

/// A unit that is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Start {
    /// Unit.
    pub unit: String,
    /// Whether a running process is ended first.
    pub restart: bool,
    /// Why.
    pub why: String,
    /// How what runs now is ended: by the ways of the release that started it.
    #[serde(skip)]
    pub stop: Stop,
}

/// What may be done without asking.
#[derive(Debug, Clone, Copy, Default)]
pub struct Choices {
    /// Overwrite files of ours that were edited by hand.
    pub take: bool,
    /// Do not see to it that the units outlive the session, where a manager runs already: they will not be there for long.
    pub transient: bool,
}

impl Plan {
    /// Tells whether nothing has to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.linger && self.only_lingers()
    }

    /// Tells whether there is nothing to do but, at most, to keep the manager without a session.
    #[must_use]
    pub fn only_lingers(&self) -> bool {
        !self.changes_files()
            && self.moves.is_empty()
            && self.enable.is_empty()
            && !self.reload
            && self.starts.is_empty()
    }

    /// Tells whether a file is written or removed.
    #[must_use]
    pub fn changes_files(&self) -> bool {
        [&self.batch, &self.roots].into_iter().any(|batch| !batch.puts.is_empty() || !batch.removes.is_empty())
    }

    /// Takes the programs out of the change, each after the marks of who needs it: whatever becomes of them, they are
    /// then found by who tidies up.
    pub(super) fn split_programs(&mut self) -> Batch {
        let shipped: Vec<_> = self.ships.iter().map(|ship| layout::refs_to(&ship.sha256)).collect();
        let is_mark = |put: &mut Put| {
            shipped.iter().any(|refs| put.path.base == refs.base && put.path.rel.starts_with(&refs.rel))
        };
        let mut puts: Vec<Put> = self.batch.puts.extract_if(.., is_mark).collect();
        puts.extend(self.batch.puts.extract_if(.., |put| matches!(put.content, Content::File { .. })));
        Batch { puts, ..Batch::default() }
    }

    /// What takes back [`Self::split_programs`].
    pub(super) fn without_programs(&self, ahead: &Batch) -> Batch {
        let is_mark = |put: &&Put| matches!(put.content, Content::Bytes(_));
        let fresh = || self.ships.iter().filter(|ship| ship.fresh).map(|ship| ship.sha256.as_str());
        let marks = ahead.puts.iter().filter(is_mark).map(|put| put.path.clone());
        let removes = fresh().map(layout::target).chain(marks).collect();
        Batch { removes, prune: fresh().map(layout::refs_to).collect(), ..Batch::default() }
    }

    /// Bytes that the change carries.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let length = |put: &Put| match &put.content {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::File { len, .. } => *len,
        };
        self.batch.puts.iter().map(length).sum()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(manager) = self.manager.filter(|manager| *manager != SupervisorKind::Systemd) {
            let article = if manager == SupervisorKind::Runner { "the " } else { "" };
            writeln!(f, "  under {article}{manager}, {}", Choice { manager, why: self.because })?;
        }
        for unit in &self.moves {
            writeln!(f, "~ stop {} and take it away from {}", unit.unit, unit.from)?;
        }
        if self.linger {
            writeln!(f, "~ linger: on, so that services outlive the last session and start at boot")?;
        }
        for ship in &self.ships {
            writeln!(f, "+ {} ({} bytes from {})", ship.to, ship.bytes, ship.from)?;
        }
        for check in &self.checks {
            writeln!(f, "~ check {}: `{check}`", check.unit)?;
        }
        for file in &self.files {
            write!(f, "{}", diff::Titled { path: &file.path, difference: &file.difference })?;
        }
        for unit in &self.enable {
            writeln!(f, "~ enable {unit}")?;
        }
        if self.reload {
            writeln!(f, "~ daemon-reload")?;
        }
        for start in &self.starts {
            writeln!(f, "~ {} {}: {}", if start.restart { "restart" } else { "start" }, start.unit, start.why)?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        Ok(())
    }
}
