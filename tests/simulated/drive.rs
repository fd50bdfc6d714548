//! Every call into `unitbee::deploy`: nothing else of these tests knows its interface.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use unitbee::deploy::apply::apply as carry_out;
use unitbee::deploy::prune::prune as remove_old;
use unitbee::deploy::rollback::rollback as put_back;
use unitbee::deploy::uninstall::uninstall as take_off;
use unitbee::deploy::{ApplyError, ApplyOptions, ApplyRequest, Change, Desired, Now, OnFailure, Project};
use unitbee::host::Host;

use super::host::SimHost;
use super::want::{PROJECT, Want};

/// What an operation came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All is as it was wanted.
    Done,
    /// Somebody has to decide first, and nothing was done.
    Obstructed(String),
    /// There is no release to go back to, and nothing was done.
    NoRelease,
    /// A program did not pass its check, and nothing was done.
    Unchecked(String),
    /// A release did not pass its gate, and every unit of the change is as it was before.
    RolledBack(String),
    /// A release did not pass its gate, and it was not possible to go back.
    Unhealthy(String),
    /// The host did not do its part.
    Broken(String),
}

fn change(verb: &'static str) -> Change<'static> {
    Change {
        verb,
        by: "bee@here",
        owner: "bee@here, process 1",
        lock_timeout: Duration::from_secs(5),
        requested: None,
        interrupt: CancellationToken::new(),
    }
}

/// Makes the host what is desired; `take` overwrites what was edited by hand.
pub(crate) async fn apply(host: &Arc<SimHost>, desired: &[Desired], take: bool) -> Outcome {
    let host: Arc<dyn Host> = Arc::clone(host) as _;
    let project = Project { name: PROJECT.to_owned(), manifest: "/hive.toml".to_owned(), units: Want::units() };
    let options = ApplyOptions { take, project: Some(project), ..ApplyOptions::default() };
    let on_failure = OnFailure::default();
    let request = ApplyRequest { change: change("apply"), desired, options, on_failure, prune: false };
    outcome(Box::pin(carry_out(&host, &request, &|_| {})).await)
}

/// Removes units from the host.
pub(crate) async fn uninstall(host: &Arc<SimHost>, units: &[String]) -> Outcome {
    let host: Arc<dyn Host> = Arc::clone(host) as _;
    outcome(Box::pin(take_off(&host, units, Some(PROJECT), &change("uninstall"), &|_| {})).await)
}

/// Puts the releases before those in effect back.
pub(crate) async fn rollback(host: &Arc<SimHost>, units: &[String]) -> Outcome {
    let host: Arc<dyn Host> = Arc::clone(host) as _;
    let change = change("rollback");
    outcome(Box::pin(put_back(&host, units, None, &change, OnFailure::default(), &|_| {})).await)
}

/// Removes releases that are not needed any more, and with `secrets` whatever has old secrets.
pub(crate) async fn prune(host: &Arc<SimHost>, units: &[String], secrets: bool) -> Outcome {
    let host: Arc<dyn Host> = Arc::clone(host) as _;
    outcome(Box::pin(remove_old(&host, units, secrets, &change("prune"), &|_| {})).await)
}

fn outcome<T>(result: Result<T, ApplyError>) -> Outcome {
    let Err(error) = result else { return Outcome::Done };
    let words = words(&error);
    match &error {
        ApplyError::Obstacles { obstacles, .. } => Outcome::Obstructed(format!("{words}: {obstacles:?}")),
        ApplyError::NoRelease { .. } => Outcome::NoRelease,
        ApplyError::Check(_) => Outcome::Unchecked(words),
        ApplyError::Rejected { failures, .. } => {
            let why = failures.iter().fold(words, |all, failure| format!("{all}; {}", self::words(&failure.error)));
            let went_back = |now: &Now| matches!(now, Now::RolledBack { .. } | Now::Removed);
            if failures.iter().all(|failure| went_back(&failure.now)) {
                return Outcome::RolledBack(why);
            }
            Outcome::Unhealthy(failures.iter().fold(why, |why, failure| match &failure.now {
                Now::Unhealthy { error, .. } => format!("{why}; {}", self::words(error)),
                _ => why,
            }))
        }
        ApplyError::Lifecycle(_) => Outcome::Unhealthy(words),
        _ => Outcome::Broken(words),
    }
}

/// An error with its causes.
fn words(error: &ApplyError) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.fold(error.to_string(), |words, cause| format!("{words}: {cause}"))
}
