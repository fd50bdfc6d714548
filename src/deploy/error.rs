//! Why a change of a host failed, and what became of the units.

use thiserror::Error;

use super::check::CheckError;
use super::journal::NewerJournal;
use super::plan::Obstacle;
use super::release::StoredError;
use crate::host::HostError;
use crate::lifecycle::stop::StopError;
use crate::lifecycle::{GateError, LifecycleError};
use crate::supervisor::SupervisorError;

/// Why a change of a host failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The host did not do its part.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The host's supervisor did not do its part.
    #[error(transparent)]
    Supervisor(#[from] SupervisorError),
    /// The host's answers are not those to our questions.
    #[error("{host} answered other questions than were asked")]
    Garbled {
        /// Host.
        host: String,
    },
    /// A newer unitbee left a change unfinished.
    #[error(transparent)]
    Newer(#[from] NewerJournal),
    /// Somebody has to decide or to fix something first.
    #[error("nothing was done on {host}")]
    Obstacles {
        /// Host.
        host: String,
        /// What stands in the way.
        obstacles: Vec<Obstacle>,
    },
    /// A program does not run there.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// A service did not start, or did not get healthy.
    #[error(transparent)]
    Lifecycle(#[from] LifecycleError),
    /// A service did not stop.
    #[error(transparent)]
    Stop(#[from] StopError),
    /// A release cannot be read back.
    #[error(transparent)]
    Stored(#[from] StoredError),
    /// The release to go back to is not kept.
    #[error("{host} does not keep release {release} of {unit}")]
    NoSuchRelease {
        /// Unit.
        unit: String,
        /// Host.
        host: String,
        /// Number.
        release: u32,
    },
    /// There is no release to go back to.
    #[error("{unit} has no earlier release on {host} to go back to")]
    NoRelease {
        /// Unit.
        unit: String,
        /// Host.
        host: String,
    },
    /// Something is left where nothing should be.
    #[error("{unit} is not gone from {host}: {what}")]
    NotGone {
        /// Unit.
        unit: String,
        /// Host.
        host: String,
        /// What is left.
        what: String,
    },
    /// Releases did not pass their gates.
    #[error("{}", words(failures))]
    Rejected {
        /// What happened to each unit.
        failures: Vec<Failure>,
        /// Units whose turn did not come.
        untouched: Vec<String>,
    },
    /// A unit goes back because another of the same change did not pass.
    #[error("{unit} goes back with the others of the change")]
    TakenBack {
        /// Unit.
        unit: String,
    },
    /// Somebody asked for the end.
    #[error("interrupted on {host}: {}", units(done, left))]
    Interrupted {
        /// Host.
        host: String,
        /// Units that are done.
        done: Vec<String>,
        /// Units whose turn did not come.
        left: Vec<String>,
    },
}

/// A release that did not pass its gate.
#[derive(Debug)]
pub struct Failure {
    /// Unit.
    pub unit: String,
    /// Its release.
    pub release: u32,
    /// Why it did not pass.
    pub error: Box<ApplyError>,
    /// The end of its log.
    pub log: Vec<String>,
    /// What runs now.
    pub now: Now,
}

/// What runs of a unit after its release did not pass.
#[derive(Debug)]
pub enum Now {
    /// An earlier release runs again and is healthy.
    RolledBack {
        /// Its number.
        to: u32,
        /// Main process.
        pid: Option<u32>,
    },
    /// An earlier release was put back and is not healthy either.
    Unhealthy {
        /// Its number.
        to: u32,
        /// Why not.
        error: Box<ApplyError>,
        /// The end of its log.
        log: Vec<String>,
    },
    /// The unit was removed: there was none before.
    Removed,
    /// Everything was left as it is.
    Left,
}

impl Failure {
    /// Whether the unit had passed its gate and goes back because another did not.
    #[must_use]
    pub fn is_taken_back(&self) -> bool {
        matches!(*self.error, ApplyError::TakenBack { .. })
    }
}

impl ApplyError {
    /// One command or one sentence that helps.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Host(error) => error.hint(),
            Self::Supervisor(error) => error.hint(),
            Self::Lifecycle(error) => error.hint(),
            Self::Check(error) => error.hint(),
            Self::Obstacles { obstacles, .. } => obstacles.iter().find_map(Obstacle::hint),
            Self::Stop(error) => error.hint(),
            Self::NoRelease { unit, .. } | Self::NoSuchRelease { unit, .. } => {
                Some(format!("`unitbee history {unit}` shows its releases"))
            }
            Self::Interrupted { left, .. } if !left.is_empty() => Some("the same command again goes on".to_owned()),
            Self::Rejected { failures, .. } => failures.iter().find_map(|failure| match failure.now {
                Now::Left => Some(format!("`unitbee rollback {}` puts the release before back", failure.unit)),
                Now::RolledBack { .. } | Now::Removed | Now::Unhealthy { .. } => None,
            }),
            Self::Interrupted { .. }
            | Self::TakenBack { .. }
            | Self::Garbled { .. }
            | Self::NotGone { .. }
            | Self::Newer(_)
            | Self::Stored(_) => None,
        }
    }

    /// Whether the host was lost rather than the service: then nothing can be said of the service, and nothing can be done
    /// about it from here.
    #[must_use]
    pub fn is_about_the_host(&self) -> bool {
        self.causes().find_map(host_error).is_some_and(is_lost)
    }

    /// Whether a gate rejected the release, so that it would do so again: else it was not the release that was at fault.
    #[must_use]
    pub fn is_a_verdict(&self) -> bool {
        let is_verdict = |cause: &(dyn std::error::Error + 'static)| {
            let of_gate = match cause.downcast_ref::<Self>() {
                Some(Self::Lifecycle(LifecycleError::Dependents { .. })) => return true,
                _ => cause.downcast_ref::<GateError>(),
            };
            of_gate.is_some_and(|error| {
                matches!(error, GateError::Failed { .. } | GateError::Exited { .. } | GateError::NotHealthy { .. })
            })
        };
        self.causes().any(is_verdict)
    }

    /// The error and its causes.
    fn causes(&self) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
        let first: &(dyn std::error::Error + 'static) = self;
        std::iter::successors(Some(first), |error| error.source())
    }
}

/// The host's own error, where `error` is that or stands for it: a transparent error does not name what it is as its source.
fn host_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a HostError> {
    if let Some(
        ApplyError::Host(host)
        | ApplyError::Stored(StoredError::Host(host))
        | ApplyError::Supervisor(SupervisorError::Host(host)),
    ) = error.downcast_ref()
    {
        return Some(host);
    }
    match error.downcast_ref::<SupervisorError>() {
        Some(SupervisorError::Host(host)) => Some(host),
        _ => error.downcast_ref::<HostError>(),
    }
}

fn is_lost(error: &HostError) -> bool {
    matches!(
        error,
        HostError::Connect { .. } | HostError::Lost { .. } | HostError::Busy { .. } | HostError::LockLost { .. }
    )
}

fn words(failures: &[Failure]) -> String {
    let one = |failure: &Failure| match failure.now {
        Now::RolledBack { to, .. } if failure.is_taken_back() => {
            format!("{} went back to release {to} with it", failure.unit)
        }
        Now::Removed if failure.is_taken_back() => format!("{} was removed with it", failure.unit),
        Now::RolledBack { to, .. } => {
            format!("release {} of {} failed and was rolled back to release {to}", failure.release, failure.unit)
        }
        Now::Unhealthy { to, .. } => format!(
            "release {} of {} failed, and release {to}, which was put back, is not healthy either",
            failure.release, failure.unit
        ),
        Now::Removed => format!("{} did not start and was removed", failure.unit),
        Now::Left => format!("release {} of {} failed", failure.release, failure.unit),
    };
    failures.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn units(done: &[String], left: &[String]) -> String {
    let list = |units: &[String]| if units.is_empty() { "none".to_owned() } else { units.join(", ") };
    format!("done: {}; untouched: {}", list(done), list(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost() -> HostError {
        HostError::Lost { host: "gpu1".into(), during: "query".into() }
    }

    fn at_gate(source: GateError) -> ApplyError {
        LifecycleError::Gate { unit: "web".into(), host: "gpu1".into(), source }.into()
    }

    #[test]
    fn a_host_that_is_lost_is_found_wherever_it_is_the_cause() {
        let unit = || "web".to_owned();
        let stop = StopError::Supervisor { unit: unit(), source: lost().into() };
        let lifecycle =
            LifecycleError::Supervisor { verb: "start", unit: unit(), host: "gpu1".into(), source: lost().into() };
        let errors: [ApplyError; 7] = [
            lost().into(),
            SupervisorError::from(lost()).into(),
            StoredError::from(lost()).into(),
            stop.into(),
            lifecycle.into(),
            at_gate(GateError::Supervisor { unit: unit(), source: lost().into() }),
            at_gate(GateError::Host { unit: unit(), source: lost() }),
        ];
        for error in errors {
            assert!(error.is_about_the_host(), "{error:?}");
            assert!(!error.is_a_verdict(), "{error:?}");
        }
    }

    #[test]
    fn only_a_gate_rejects_a_release() {
        let refused =
            HostError::Change { host: "gpu1".into(), step: "write x".into(), detail: "No space left on device".into() };
        let error = ApplyError::from(refused);
        assert!(!error.is_about_the_host() && !error.is_a_verdict());
        let exited =
            at_gate(GateError::Exited { unit: "web".into(), reason: "exited with code 1".into(), clean: false });
        assert!(exited.is_a_verdict() && !exited.is_about_the_host());
    }
}
