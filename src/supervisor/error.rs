//! What can go wrong between unitbee and a host's supervisor.

use thiserror::Error;

use crate::host::HostError;

/// A verb that a supervisor did not carry out. What the supervisor said of it is in the fields, already
/// [`printable`](crate::host::printable).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SupervisorError {
    /// The supervisor heard the request and refuses it.
    #[error("{operation}{} on {host}: {detail}", unit.as_ref().map_or_else(String::new, |unit| format!(" {unit}")))]
    Refused {
        /// Host.
        host: String,
        /// `start`, `enable`, …
        operation: &'static str,
        /// Unit without suffix, where it is about one.
        unit: Option<String>,
        /// Why, in so far as it matters here.
        refusal: Refusal,
        /// The supervisor's own name of the error, where it gave one: `org.freedesktop.systemd1.NoSuchUnit`.
        name: Option<String>,
        /// The supervisor's own words.
        detail: String,
    },
    /// The connection to the supervisor did not come up or broke, or an answer is missing or cannot be read.
    #[error("{operation} on {host}: the service manager does not answer: {detail}")]
    Unanswered {
        /// Host.
        host: String,
        /// What was being done.
        operation: &'static str,
        /// What was seen.
        detail: String,
    },
    /// The host has no supervisor that could be asked.
    #[error("{host} has no service manager for {user}: {missing}")]
    Missing {
        /// Host.
        host: String,
        /// Login name there.
        user: String,
        /// What is missing.
        missing: Missing,
    },
    /// What answers is not the service manager of this user.
    #[error("{host} answers for {user} with another service manager, of cgroup {cgroup:?}")]
    WrongManager {
        /// Host.
        host: String,
        /// Login name there.
        user: String,
        /// Where the manager that answers lives.
        cgroup: String,
    },
    /// launchd did not do what it was asked for.
    #[error("{operation} {unit} on {host}: {fault}")]
    Launchd {
        /// Host.
        host: String,
        /// `start`, `enable`, …
        operation: &'static str,
        /// Unit without suffix.
        unit: String,
        /// Why, and what mends it.
        fault: super::launchd::Fault,
    },
    /// The host did not do its part.
    #[error(transparent)]
    Host(#[from] HostError),
}

/// Why a supervisor refuses a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// There is no such unit.
    NoSuchUnit,
    /// The unit is masked: somebody made sure that it cannot be started.
    Masked,
    /// The unit file cannot be used as it is.
    BadUnitFile,
    /// The unit file is empty: a full disk or a power cut can leave that.
    EmptyUnitFile,
    /// The program of the unit is not there or cannot be executed.
    NoProgram,
    /// The unit cannot do this: it has no way to reload, say.
    NotApplicable,
    /// The unit has no such process.
    NoSuchProcess,
    /// Anything else; the name tells.
    Other,
}

/// What a host lacks for a service manager of this user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Missing {
    /// systemd does not run there.
    Systemd,
    /// It is no Mac.
    Launchd,
    /// It has no `/proc` of Linux, by which the runner knows processes.
    Proc,
    /// The user's own manager does not run: nobody is logged in, and nothing keeps it.
    UserManager,
    /// The user's own manager does not run although linger keeps it: it was stopped, or has failed.
    StoppedManager,
    /// The manager runs, and this systemd can only be asked over a session bus, which is not there.
    SessionBus,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Systemd => "systemd is not its init",
            Self::Launchd => "it does not run macOS",
            Self::Proc => "it does not run Linux, which the runner needs",
            Self::UserManager => "systemd keeps none for a user who is not logged in",
            Self::StoppedManager => "it does not run, although linger is on",
            Self::SessionBus => "it has no session bus (package dbus-user-session)",
        })
    }
}

impl SupervisorError {
    /// One command or one sentence that helps.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Refused { refusal, unit: Some(unit), .. } => match refusal {
                Refusal::NoSuchUnit => Some(format!("`unitbee install {unit}` puts it there")),
                Refusal::Masked => {
                    Some(format!("`systemctl --user unmask {unit}.service` on the host, if it is to run"))
                }
                Refusal::BadUnitFile => Some(format!(
                    "`systemd-analyze --user verify {unit}.service` on the host names the line that it does not accept"
                )),
                Refusal::EmptyUnitFile | Refusal::NoProgram => Some(format!("`unitbee apply {unit}` writes it again")),
                Refusal::NotApplicable => Some(format!("`unitbee restart {unit}` does it with a new process")),
                Refusal::NoSuchProcess | Refusal::Other => None,
            },
            Self::Missing { missing, user, .. } => match missing {
                Missing::Systemd | Missing::Launchd | Missing::Proc => None,
                Missing::UserManager => Some(linger_command(user)),
                Missing::StoppedManager => {
                    let quoted = shlex::try_quote(user).unwrap_or_default();
                    Some(format!("sudo systemctl start user@$(id -u {quoted}).service"))
                }
                Missing::SessionBus => {
                    Some("install dbus-user-session on the host (or dbus-broker) and log in again".to_owned())
                }
            },
            Self::Launchd { fault, .. } => Some(fault.hint()),
            Self::Host(error) => error.hint(),
            Self::Refused { .. } | Self::Unanswered { .. } | Self::WrongManager { .. } => None,
        }
    }

    /// What a supervisor that has no names for errors refuses.
    pub(crate) fn refused(host: &str, operation: &'static str, unit: &str, refusal: Refusal, detail: String) -> Self {
        Self::Refused { host: host.to_owned(), operation, unit: Some(unit.to_owned()), refusal, name: None, detail }
    }

    /// An answer that is missing, or that nobody can read.
    pub(super) fn unanswered(host: &str, operation: &'static str, detail: String) -> Self {
        Self::Unanswered { host: host.to_owned(), operation, detail }
    }

    /// Tells whether the supervisor knows no such unit.
    #[must_use]
    pub fn is_no_such_unit(&self) -> bool {
        matches!(self, Self::Refused { refusal: Refusal::NoSuchUnit, .. })
    }
}

/// The command, to be run on the host, that keeps the manager of `user` from boot to shutdown.
pub(super) fn linger_command(user: &str) -> String {
    let quoted = shlex::try_quote(user).unwrap_or_default();
    format!("sudo loginctl enable-linger {quoted}")
}
