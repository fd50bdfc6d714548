//! Makes a host what is desired.
//!
//! First a look without a lock: on a host where nothing is to be done, that one exchange is all. Else the host's lock is
//! taken and the look repeated under it, so that of many who apply at once each works on what the one before left.

use std::sync::Arc;

use super::change::Change;
use super::converge::{Looked, Session, look};
use super::desired::Desired;
use super::error::ApplyError;
use super::event::Sink;
use super::plan::{ApplyOptions, Plan};
use super::recover::{self, close, converge_after, recover};
use super::survey;
use super::uninstall::remove;
use crate::host::{Host, Observation};
use crate::supervisor::{self, Approach, Transport};

/// What is to be done on one host, and how.
#[derive(Debug, Clone)]
pub struct ApplyRequest<'a> {
    /// Who does it.
    pub change: Change<'a>,
    /// What is to be there.
    pub desired: &'a [Desired],
    /// What may be done without asking.
    pub options: ApplyOptions,
    /// What is done when a release does not pass its gate.
    pub on_failure: OnFailure,
    /// Remove units of the project that the manifest does not name any more.
    pub prune: bool,
}

/// What is done when a release does not pass its gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// The previous release is put back; units that have passed stay.
    RollBack(First),
    /// The previous release is put back, also of the units of the change that have passed.
    RollBackAll(First),
    /// Everything is left as it is.
    Leave,
}

/// What is done with a unit whose first release does not pass its gate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum First {
    /// It is removed.
    #[default]
    Remove,
    /// It is kept for a look.
    Keep,
}

impl Default for OnFailure {
    fn default() -> Self {
        Self::RollBack(First::Remove)
    }
}

/// What an apply came to on one host.
#[derive(Debug, Clone, Default)]
pub struct Applied {
    /// Whether anything was changed.
    pub changed: bool,
    /// How the host's service manager was talked to.
    pub transport: Option<Transport>,
    /// What is not quite as requested, and cannot be.
    pub notes: Vec<String>,
    /// Limits that do not hold, by unit; of units that were started or read anew, the others were not looked at.
    pub unenforced: Vec<(String, String)>,
    /// Set where the services end with the session: the command that fixes it, and what the host said.
    pub not_persistent: Option<(String, String)>,
    /// Units of the project that the manifest does not name, and that are still there.
    pub orphans: Vec<String>,
    /// Units that were removed.
    pub removed: Vec<String>,
}

/// What would be done on `host`; nothing is.
///
/// # Errors
///
/// Where the host cannot be looked at, or something stands in the way.
pub async fn preview(host: &Arc<dyn Host>, request: &ApplyRequest<'_>, events: Sink<'_>) -> Result<Plan, ApplyError> {
    let query = survey::query(request.desired, request.change.requested);
    let (observation, approach) = supervisor::query(host, &query).await?;
    Ok(first_look(host, request, observation, approach, events).await?.plan)
}

async fn first_look(
    host: &Arc<dyn Host>,
    request: &ApplyRequest<'_>,
    observation: Observation,
    approach: Approach,
    events: Sink<'_>,
) -> Result<Looked, ApplyError> {
    look(host, &request.change, request.desired, &request.options, observation, approach.into(), events).await
}

/// Makes `host` what is desired, and waits until everything that was started is healthy.
///
/// # Errors
///
/// [`ApplyError::Rejected`] where a release did not pass its gate, with what was done about it; any other where nothing
/// of a service was changed, or the host was lost.
pub async fn apply(host: &Arc<dyn Host>, request: &ApplyRequest<'_>, events: Sink<'_>) -> Result<Applied, ApplyError> {
    let query = survey::query(request.desired, request.change.requested);
    let (observation, approach) = supervisor::query(host, &query).await?;
    let is_unfinished = recover::find(&observation)?.is_some();
    let first = match first_look(host, request, observation, approach, events).await {
        Ok(first) => {
            let has_orphans = request.prune && !first.plan.orphans.is_empty();
            if first.plan.is_empty() && !is_unfinished && !has_orphans {
                return first.unchanged(host, request.desired).await;
            }
            Some(first)
        }
        // It may be what was left half-done that stands in the way, and something may be down meanwhile.
        Err(ApplyError::Obstacles { .. }) if is_unfinished => None,
        Err(error) => return Err(error),
    };
    let (lease, observation) = request.change.lock(host, &query, events).await?;
    let session = Session { host, change: &request.change, lease: &lease, events, recovering: None };
    let mut observation = observation;
    // Where this change cannot be made as things are, it is not what finishes the one before.
    let units = if first.is_some() { request.units() } else { Vec::new() };
    let mut unfinished = recover(&session, &units, &observation).await?;
    if let Some(journal) = &unfinished {
        if first.is_none() {
            close(&session, journal, &observation.facts).await?;
            unfinished = None;
        }
        // It has changed what was seen.
        observation = host.query(&query).await?;
    }
    let route = first.map_or_else(|| Approach::default().into(), |first| first.route());
    let looked = look(host, &request.change, request.desired, &request.options, observation, route, events).await?;
    let orphans = looked.plan.orphans.clone();
    let converging = converge_after(&session, unfinished, request.desired, looked, request.on_failure);
    let mut applied = Box::pin(converging).await?;
    applied.orphans.clone_from(&orphans);
    if request.prune && !orphans.is_empty() {
        applied.removed = remove(&session, &orphans, None).await?;
        applied.orphans.clear();
        applied.changed = true;
    }
    Ok(applied)
}

impl ApplyRequest<'_> {
    fn units(&self) -> Vec<String> {
        self.desired.iter().map(|desired| desired.unit().to_owned()).collect()
    }
}
