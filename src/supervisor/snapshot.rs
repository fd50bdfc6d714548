//! What one exchange tells of units under those managers that need not be asked by themselves: launchd and the runner.

use super::launchd::Fault;
use super::launchd::look::{self, JobsSnapshot};
use super::registry::{self, Registry};
use super::{SupervisorError, SupervisorKind, UnitFileKind, UnitStatus};
use crate::host::{Answer, Ask, Facts, FileFound};
use crate::service::spec::Scope;

/// What a host told.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    registry: Registry,
    look: JobsSnapshot,
}

/// What must be asked of a host to know of units; cheap where there is neither manager, unless it is requested.
#[must_use]
pub fn asks(requested: Option<SupervisorKind>, units: &[String], scope: &look::Scope) -> Vec<Ask> {
    registry::asks(requested).into_iter().chain([look::ask(units, scope)]).collect()
}

impl Snapshot {
    /// Reads the answers to [`asks`]; `None` when they are not of that form.
    pub fn read(answers: &mut impl Iterator<Item = Answer>) -> Option<Self> {
        Some(Self { registry: Registry::read(answers)?, look: JobsSnapshot::read(&answers.next()?)? })
    }

    /// What is true of a unit that this file defines; `None` under a manager that has to be asked.
    pub fn status(
        &self,
        manager: SupervisorKind,
        host: &str,
        facts: &Facts,
        unit: &str,
        file: Option<(UnitFileKind, &FileFound)>,
    ) -> Result<Option<UnitStatus>, SupervisorError> {
        manager.check(host, facts)?;
        match manager {
            SupervisorKind::Systemd => Ok(None),
            SupervisorKind::Runner => Ok(Some(self.registry.status(facts, unit, file.map(|(_, file)| file)))),
            SupervisorKind::Launchd => {
                self.look.check(host, unit)?;
                self.look.status(host, facts, unit, file).map(Some)
            }
        }
    }

    /// The managers that know of a unit, whatever files there are.
    #[must_use]
    pub fn known_by(&self, unit: &str) -> Vec<SupervisorKind> {
        let runner = self.registry.knows(unit).then_some(SupervisorKind::Runner);
        let launchd = self.look.has(unit).then_some(SupervisorKind::Launchd);
        runner.into_iter().chain(launchd).collect()
    }

    /// A job of launchd's by the name of a unit that somebody else's file defines: its target and that file.
    #[must_use]
    pub fn foreign_job(&self, unit: &str, facts: &Facts) -> Option<(String, String)> {
        self.look.foreign(unit, facts)
    }

    /// Why the account may not act as root, where that was asked.
    #[must_use]
    pub fn why_no_root(&self) -> Option<String> {
        self.look.why_no_root()
    }

    /// Why launchd has nowhere to load a unit of this scope.
    #[must_use]
    pub fn no_place(&self, facts: &Facts, scope: Scope) -> Option<Fault> {
        super::launchd::domain(&self.look, facts, UnitFileKind::of(SupervisorKind::Launchd, scope)).err()
    }
}
