//! Why a verb on a service failed.

use thiserror::Error;

use super::gate::GateError;
use super::http::HttpError;
use super::stop::StopError;
use crate::supervisor::SupervisorError;

/// Why a verb failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LifecycleError {
    /// There is no such unit.
    #[error("{unit} is not installed on {host}")]
    NotInstalled {
        /// Unit.
        unit: String,
        /// Host.
        host: String,
    },
    /// The file that defines it was not written by unitbee, so it is left alone.
    #[error("{unit} on {host} is not managed by unitbee: {path} was not written by it")]
    Foreign {
        /// Unit.
        unit: String,
        /// Host.
        host: String,
        /// The file.
        path: String,
    },
    /// It was restarted, and units that depend on it and were active before are not active now.
    #[error("{unit} on {host} was restarted, but {} did not come back", dependents.join(", "))]
    Dependents {
        /// Unit.
        unit: String,
        /// Host.
        host: String,
        /// The units, by their full names.
        dependents: Vec<String>,
    },
    /// It is not running, and should be.
    #[error("{unit} is {state} on {host}")]
    NotRunning {
        /// Unit.
        unit: String,
        /// Host.
        host: String,
        /// What it is instead, with the reason.
        state: String,
    },
    /// The supervisor did not do its part.
    #[error("{verb} {unit} on {host}")]
    Supervisor {
        /// Verb.
        verb: &'static str,
        /// Unit.
        unit: String,
        /// Host.
        host: String,
        /// Cause.
        source: SupervisorError,
    },
    /// Its `ExecReload=` failed; the process is as it was.
    #[error("cannot reload {unit} on {host}: the job ended with {result:?}")]
    Reload {
        /// Unit.
        unit: String,
        /// Host.
        host: String,
        /// The supervisor's word for the result.
        result: String,
    },
    /// It did not get healthy.
    #[error("wait for {unit} on {host}")]
    Gate {
        /// Unit.
        unit: String,
        /// Host.
        host: String,
        /// Cause.
        source: GateError,
    },
    /// It was running and no longer is: something failed between its stop and its start.
    #[error("{}; {unit} is down", with_causes(cause))]
    Down {
        /// Unit.
        unit: String,
        /// What failed.
        cause: Box<LifecycleError>,
    },
    /// It did not end.
    #[error(transparent)]
    Stop(#[from] StopError),
    /// Its health URL cannot be reached at all.
    #[error("probe {unit} on {host}")]
    Http {
        /// Unit.
        unit: String,
        /// Host.
        host: String,
        /// Cause.
        source: HttpError,
    },
}

impl LifecycleError {
    /// One command or one sentence that helps.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotInstalled { unit, .. } => Some(format!("`unitbee apply {unit}` installs it")),
            Self::Foreign { path, .. } => {
                Some(format!("rename the service, or move {path} away and `unitbee apply`, if unitbee is to manage it"))
            }
            Self::Dependents { dependents, host, .. } => Some(format!(
                "`systemctl --user status {}` on {host} shows why",
                dependents.first().map_or("", String::as_str)
            )),
            Self::Gate { unit, host, source: GateError::Exited { clean: true, .. } } => Some(format!(
                "a service has to stay in the foreground, and not fork into the background; \
                 `unitbee logs {unit} -H {host}` shows what it said"
            )),
            Self::NotRunning { unit, host, .. }
            | Self::Gate {
                unit,
                host,
                source: GateError::Failed { .. } | GateError::Exited { .. } | GateError::NotHealthy { .. },
            } => Some(format!("`unitbee logs {unit} -H {host}` shows what it said")),
            Self::Supervisor { source, .. } => source.hint(),
            Self::Stop(error) => error.hint(),
            Self::Down { cause, .. } => cause.hint(),
            Self::Http { source, .. } | Self::Gate { source: GateError::Http { source, .. }, .. } => source.hint(),
            _ => None,
        }
    }
}

/// An error with its causes in one line.
fn with_causes(error: &LifecycleError) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.map(ToString::to_string).fold(error.to_string(), |told, cause| match joined(&told, &cause) {
        Some(both) => both,
        None if told.contains(&cause) => told,
        None => format!("{told}: {cause}"),
    })
}

/// Two errors, one the other's cause, in one line where they speak of the same: `start web on mac` and `enable web on mac: no`
/// are `start web on mac: no`.
pub(crate) fn joined(error: &str, cause: &str) -> Option<String> {
    let (_, what) = error.split_once(' ')?;
    let more = cause.split_once(' ')?.1.strip_prefix(what)?;
    (more.starts_with(": ") || more.starts_with(" on ")).then(|| format!("{error}{more}"))
}
