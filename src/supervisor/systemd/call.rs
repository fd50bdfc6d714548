//! What comes of asking the manager for something, whichever way it is asked.

use crate::host::{HostError, printable};
use crate::supervisor::{Refusal, SupervisorError, Unseen};

/// A verb that makes the manager queue a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Start,
    Stop,
    Reload,
}

impl Verb {
    /// The word that `systemctl` and error messages have for it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Reload => "reload",
        }
    }

    /// The method of the manager.
    pub(super) fn method(self) -> &'static str {
        match self {
            Self::Start => "StartUnit",
            Self::Stop => "StopUnit",
            Self::Reload => "ReloadUnit",
        }
    }
}

/// What came of a job.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It ended with this result.
    Ended(String),
    /// Its end was not seen.
    Unseen(Unseen),
}

/// Why a call brought nothing.
#[derive(Debug)]
pub(super) enum CallError {
    /// The manager refuses it.
    Refused {
        /// Why.
        refusal: Refusal,
        /// Name of the D-Bus error.
        name: Option<String>,
        /// The manager's words, printable.
        words: String,
    },
    /// No answer came, or none that can be read.
    Broken(String),
    /// The host did not carry the question.
    Host(HostError),
}

impl CallError {
    /// The error that the manager sent under this name.
    pub(super) fn named(name: &str, words: Option<&str>) -> Self {
        Self::Refused {
            refusal: refusal(name),
            name: Some(name.to_owned()),
            words: printable(words.unwrap_or("no reason given").trim().as_bytes()),
        }
    }

    /// Tells whether the manager has no such unit.
    pub(super) fn is_no_such_unit(&self) -> bool {
        matches!(self, Self::Refused { refusal: Refusal::NoSuchUnit, .. })
    }

    /// The error as it leaves this module.
    pub(super) fn within(self, host: &str, operation: &'static str, unit: Option<&str>) -> SupervisorError {
        let host = host.to_owned();
        match self {
            Self::Refused { refusal, name, words } => SupervisorError::Refused {
                host,
                operation,
                unit: unit.map(str::to_owned),
                refusal,
                name,
                detail: words,
            },
            Self::Broken(detail) => SupervisorError::Unanswered { host, operation, detail },
            Self::Host(error) => error.into(),
        }
    }
}

impl From<HostError> for CallError {
    fn from(error: HostError) -> Self {
        Self::Host(error)
    }
}

/// What the name of a D-Bus error means (`bus-common-errors.h` of systemd). The words are never looked at: they differ
/// between versions.
fn refusal(name: &str) -> Refusal {
    match name {
        "org.freedesktop.systemd1.NoSuchUnit" | "org.freedesktop.DBus.Error.FileNotFound" => Refusal::NoSuchUnit,
        "org.freedesktop.systemd1.UnitMasked" => Refusal::Masked,
        "org.freedesktop.systemd1.BadUnitSetting" | "org.freedesktop.systemd1.LoadFailed" => Refusal::BadUnitFile,
        "org.freedesktop.systemd1.JobTypeNotApplicable" => Refusal::NotApplicable,
        "org.freedesktop.systemd1.NoSuchProcess" => Refusal::NoSuchProcess,
        _ => Refusal::Other,
    }
}
