//! The host's lock around a verb of [`lifecycle`](crate::lifecycle), with what goes with it: a change that was left
//! half-done is finished first, and the audit log gets a line for each unit.

use std::sync::Arc;

use super::audit::AuditLine;
use super::change::Change;
use super::converge::Session;
use super::error::ApplyError;
use super::event::Sink;
use super::journal;
use super::recover;
use crate::host::{Batch, Facts, Host, Lease, Query};

/// The lock of a host, held for a verb.
#[derive(Debug)]
pub struct Held<'a> {
    host: &'a Arc<dyn Host>,
    change: &'a Change<'a>,
    lease: Lease,
    facts: Facts,
}

impl<'a> Held<'a> {
    /// Takes the lock of `host` and finishes or reverts what an earlier change left half-done.
    ///
    /// # Errors
    ///
    /// Where the lock cannot be had, or what is half-done can be neither finished nor reverted.
    pub async fn take(host: &'a Arc<dyn Host>, change: &'a Change<'a>, events: Sink<'_>) -> Result<Self, ApplyError> {
        let query = Query { asks: vec![journal::ask()] };
        let (lease, observation) = change.lock(host, &query, events).await?;
        let session = Session { host, change, lease: &lease, events, recovering: None };
        recover::before(&session, &observation).await?;
        Ok(Self { host, change, facts: observation.facts, lease })
    }

    /// Makes sure that the lock is still held.
    ///
    /// # Errors
    ///
    /// Where it was lost, or the host cannot tell.
    pub async fn check(&self) -> Result<(), ApplyError> {
        Ok(self.lease.check(self.host.as_ref()).await?)
    }

    /// Notes in the host's audit log how the verb ended for each unit, and gives the lock back. A log that cannot be
    /// written keeps nobody from starting or stopping anything.
    pub async fn done(self, results: &[(String, String)]) {
        let Change { verb, by, .. } = *self.change;
        let line = |(unit, result): &(String, String)| {
            let (by, verb, unit, result) = (by.to_owned(), verb.to_owned(), unit.clone(), result.clone());
            AuditLine { usec: self.facts.now_usec, by, verb, unit, release: None, result }.append()
        };
        let appends = results.iter().map(line).collect();
        let batch = Batch { appends, fence: Some(self.lease.fence().clone()), ..Batch::default() };
        if let Err(error) = self.host.change(&batch, &|_| ()).await {
            tracing::debug!(host = self.host.name(), %error, "the audit log was not written");
        }
    }
}
