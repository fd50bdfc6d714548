//! What defines a unit for a manager: which kind of file, and where it is.

use serde::Serialize;

use super::SupervisorKind;
use super::layout;
use crate::host::{Base, HostPath};
use crate::service::render::launchd::label;
use crate::service::spec::Scope;

/// A kind of file that defines a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum UnitFileKind {
    /// A unit of systemd's user manager.
    SystemdUnit,
    /// A `LaunchAgent` of the account.
    LaunchAgent,
    /// A `LaunchDaemon`, which is root's to write.
    LaunchDaemon,
    /// A definition for the runner.
    RunnerScript,
}

impl UnitFileKind {
    /// All that there are.
    pub const ALL: [Self; 4] = [Self::SystemdUnit, Self::LaunchAgent, Self::LaunchDaemon, Self::RunnerScript];

    /// The one that a unit of this scope has under a manager.
    #[must_use]
    pub fn of(manager: SupervisorKind, scope: Scope) -> Self {
        match (manager, scope) {
            (SupervisorKind::Systemd, _) => Self::SystemdUnit,
            (SupervisorKind::Launchd, Scope::User) => Self::LaunchAgent,
            (SupervisorKind::Launchd, Scope::System) => Self::LaunchDaemon,
            (SupervisorKind::Runner, _) => Self::RunnerScript,
        }
    }

    /// Who reads it.
    #[must_use]
    pub fn manager(self) -> SupervisorKind {
        match self {
            Self::SystemdUnit => SupervisorKind::Systemd,
            Self::LaunchAgent | Self::LaunchDaemon => SupervisorKind::Launchd,
            Self::RunnerScript => SupervisorKind::Runner,
        }
    }

    /// Whether only root may write it.
    #[must_use]
    pub fn needs_root(self) -> bool {
        self == Self::LaunchDaemon
    }

    /// Where it is.
    #[must_use]
    pub fn path(self, unit: &str) -> HostPath {
        match self {
            Self::SystemdUnit => layout::unit_file(&format!("{unit}.service")),
            Self::LaunchAgent => HostPath::new(Base::Home, format!("Library/LaunchAgents/{}.plist", label(unit))),
            Self::LaunchDaemon => HostPath::new(Base::Root, format!("Library/LaunchDaemons/{}.plist", label(unit))),
            Self::RunnerScript => HostPath::new(Base::Config, format!("unitbee/{unit}.sh")),
        }
    }
}
