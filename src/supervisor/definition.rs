//! What defines a unit for a manager: which kind of file, and where it is.

use serde::Serialize;

use super::Manager;
use super::layout;
use crate::host::{Base, HostPath};
use crate::service::render::launchd::label;
use crate::service::spec::Scope;

/// A kind of file that defines a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Definition {
    /// A unit of systemd's user manager.
    Service,
    /// A `LaunchAgent` of the account.
    Agent,
    /// A `LaunchDaemon`, which is root's to write.
    Daemon,
    /// A definition for the runner.
    Script,
}

impl Definition {
    /// All that there are.
    pub const ALL: [Self; 4] = [Self::Service, Self::Agent, Self::Daemon, Self::Script];

    /// The one that a unit of this scope has under a manager.
    #[must_use]
    pub fn of(manager: Manager, scope: Scope) -> Self {
        match (manager, scope) {
            (Manager::Systemd, _) => Self::Service,
            (Manager::Launchd, Scope::User) => Self::Agent,
            (Manager::Launchd, Scope::System) => Self::Daemon,
            (Manager::Runner, _) => Self::Script,
        }
    }

    /// Who reads it.
    #[must_use]
    pub fn manager(self) -> Manager {
        match self {
            Self::Service => Manager::Systemd,
            Self::Agent | Self::Daemon => Manager::Launchd,
            Self::Script => Manager::Runner,
        }
    }

    /// Whether only root may write it.
    #[must_use]
    pub fn is_roots(self) -> bool {
        self == Self::Daemon
    }

    /// Where it is.
    #[must_use]
    pub fn path(self, unit: &str) -> HostPath {
        match self {
            Self::Service => layout::unit_file(&format!("{unit}.service")),
            Self::Agent => HostPath::new(Base::Home, format!("Library/LaunchAgents/{}.plist", label(unit))),
            Self::Daemon => HostPath::new(Base::Root, format!("Library/LaunchDaemons/{}.plist", label(unit))),
            Self::Script => HostPath::new(Base::Config, format!("unitbee/{unit}.sh")),
        }
    }
}
