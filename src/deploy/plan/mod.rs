//! What has to be done on one host, as an ordered list of steps: a value that is pure, complete and printable. Carrying
//! it out leaves no choice.

mod notes;
mod obstacle;
mod planner;
mod removal;
mod retention;

use std::fmt;
use std::sync::Arc;

use camino::Utf8PathBuf;
use serde::{Serialize, Serializer, ser::SerializeStruct};

pub use self::notes::Notes;
pub use self::obstacle::Obstacle;
pub use self::planner::plan;
pub(super) use self::removal::{Leaving, plan_removal};
pub(super) use self::retention::{abandoned, failed, forget_staged, outdated, spent, strip, unmark};
use super::diff::Titled;
use super::journal;
use super::step::{Action, Step};
use crate::host::Batch;
use crate::service::spec::UnitSpec;
use crate::supervisor::{Choice, SupervisorKind};

/// Everything that has to be done on one host. The steps of [`prepare`](Self::prepare) come first; then the waves, one
/// after the other; then those of [`finish`](Self::finish), and these only when every gate was passed.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The host.
    pub host: String,
    /// The manager that its services are for; absent where nothing was looked at.
    pub manager: Option<SupervisorKind>,
    /// Why it is that one.
    pub because: &'static str,
    /// Brings everything to the host that takes effect later.
    pub prepare: Vec<Step>,
    /// Units that change together.
    pub waves: Vec<Wave>,
    /// Removes what is not needed any more.
    pub finish: Vec<Step>,
    /// What is not quite as requested, and cannot be.
    pub notes: Vec<String>,
    /// Files of ours that were edited by hand and would be overwritten.
    pub drifts: Vec<Obstacle>,
    /// Drop-ins that have a say over the units, where they were looked into.
    pub drop_ins: Vec<DropIn>,
    /// Units of the same project that the manifest does not name.
    pub orphans: Vec<String>,
    /// Releases of these units that changes which died brought there, or only their marks.
    pub abandoned: Vec<(String, u32)>,
    /// Failed releases of these units of which more is there than what remembers them.
    pub spent: Vec<(String, u32)>,
    /// What the journal says of the units.
    pub entries: Vec<journal::Entry>,
}

/// A drop-in of a unit, which is somebody else's and has the last word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DropIn {
    /// The unit.
    pub unit: String,
    /// Its path there.
    pub path: Utf8PathBuf,
    /// What it sets, line by line: `MemoryMax=1G`.
    pub sets: Vec<String>,
}

/// Units that change together: first the steps that they share, then each on its own, at the same time as the others.
#[derive(Debug, Clone, Default)]
pub struct Wave {
    /// Steps that come before any of the units is started.
    pub shared: Vec<Step>,
    /// What happens to each unit.
    pub lanes: Vec<Lane>,
}

/// What happens to one unit of a wave.
#[derive(Debug, Clone)]
pub struct Lane {
    /// Its spec.
    pub spec: Arc<UnitSpec>,
    /// The release that takes effect.
    pub release: u32,
    /// Starting or replacing it, and its gate.
    pub steps: Vec<Step>,
    /// What is written when it has passed.
    pub accept: Step,
    /// What is done when it does not pass.
    pub way_back: WayBack,
    /// Whether the release passed its gate before: one that does not this time is no bad release.
    pub is_proven: bool,
}

/// What is done with a unit whose new release does not pass its gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WayBack {
    /// This release is put back.
    Release(u32),
    /// This release is put back, of which nobody knows whether it is any good; if it is not, the unit is removed.
    Unproven(u32),
    /// The unit is removed: there was none before that was any good.
    Remove,
    /// Nothing: the release was in effect before.
    Nothing,
}

/// What may be done without asking.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct ApplyOptions {
    /// Overwrite files of ours that were edited by hand, and take over units of other projects.
    pub take: bool,
    /// Move what was edited by hand in unit files of ours into drop-ins.
    pub keep: bool,
    /// Try a release again that did not pass its gate.
    pub retry: bool,
    /// Leave alone what changes that died have brought: what did not pass in the change in hand looks the same.
    pub keep_abandoned: bool,
    /// Show what would be overwritten instead of refusing to.
    pub preview: bool,
    /// Do not make sure that the units outlive the session, where a manager runs already: they will not be there for long.
    pub transient: bool,
    /// The project whose units they are.
    pub project: Option<Project>,
}

/// A project as its manifest has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// The manifest.
    pub manifest: String,
    /// All units that it has on the host, also those that are not worked on.
    pub units: Vec<String>,
}

impl Plan {
    /// All steps in their order. Those of the lanes of one wave are carried out at the same time.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        let waves = self.waves.iter().flat_map(|wave| {
            let lanes = wave.lanes.iter().flat_map(|lane| lane.steps.iter().chain([&lane.accept]));
            wave.shared.iter().chain(lanes)
        });
        self.prepare.iter().chain(waves).chain(&self.finish)
    }

    /// Whether nothing has to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps().next().is_none()
    }

    /// Whether there is nothing to do but, at most, to have the manager run without a session.
    #[must_use]
    pub fn only_lingers(&self) -> bool {
        self.steps().all(|step| matches!(step.action, Action::Linger))
    }

    /// Bytes that all steps send.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.steps().map(Step::bytes).sum()
    }

    /// The spec of a unit that the plan starts, replaces or gates.
    #[must_use]
    pub fn lane(&self, unit: &str) -> Option<&Lane> {
        self.waves.iter().flat_map(|wave| &wave.lanes).find(|lane| lane.spec.unit.as_str() == unit)
    }
}

/// Whether a batch does nothing.
pub(super) fn is_empty(batch: &Batch) -> bool {
    batch.puts.is_empty() && batch.removes.is_empty() && batch.prune.is_empty()
}

impl Serialize for Plan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut plan = serializer.serialize_struct("Plan", 8)?;
        plan.serialize_field("host", &self.host)?;
        plan.serialize_field("manager", &self.manager)?;
        plan.serialize_field("because", &self.because)?;
        plan.serialize_field("steps", &self.steps().collect::<Vec<_>>())?;
        plan.serialize_field("notes", &self.notes)?;
        plan.serialize_field("drift", &self.drifts.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        plan.serialize_field("drop_ins", &self.drop_ins)?;
        plan.serialize_field("orphans", &self.orphans)?;
        plan.end()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(manager) = self.manager.filter(|manager| *manager != SupervisorKind::Systemd) {
            let article = if manager == SupervisorKind::Runner { "the " } else { "" };
            writeln!(f, "  under {article}{manager}, {}", Choice { manager, why: self.because })?;
        }
        for drift in &self.drifts {
            let hint = drift.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
            writeln!(f, "! {drift}{hint}")?;
            if let Obstacle::Drift { diff: Some(diff), .. } = drift {
                diff.lines().try_for_each(|line| writeln!(f, "    {line}"))?;
            }
        }
        for step in self.steps() {
            writeln!(f, "~ {}", step.does)?;
            for file in &step.files {
                write!(f, "{}", Titled { path: &file.path, difference: &file.difference })?;
            }
        }
        self.drop_ins.iter().try_for_each(|drop_in| writeln!(f, "{drop_in}"))?;
        for unit in &self.orphans {
            writeln!(f, "! {unit} is not in the manifest any more; `--prune` removes it")?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        Ok(())
    }
}

impl fmt::Display for DropIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { unit, path, sets } = self;
        let sets = if sets.is_empty() { "nothing".to_owned() } else { sets.join("; ") };
        write!(f, "drop-in of {unit}: {path} sets {sets}")
    }
}
