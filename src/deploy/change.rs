//! What every change of a host has in common: who makes it, the host's lock, and what a change that died left behind.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::event::{Event, Sink};
use crate::host::{Host, HostError, Lease, Observation, Query};
use crate::supervisor::{SupervisorKind, layout};

/// How long to wait before the next try at the lock; every process adds its own bit, so that they do not come together.
const RETRY: Duration = Duration::from_millis(250);

/// Who changes a host, and how.
#[derive(Debug, Clone)]
pub struct Change<'a> {
    /// `apply`, `rollback`, `stop`.
    pub verb: &'static str,
    /// Who makes the change: `alice@laptop`.
    pub by: &'a str,
    /// The same for others who find the host locked: `alice@laptop, process 4711`.
    pub owner: &'a str,
    /// How long to wait for others who change the host.
    pub lock_timeout: Duration,
    /// The manager that was asked for, instead of the one that fits the host.
    pub requested: Option<SupervisorKind>,
    /// Ends the change after the units in hand.
    pub interrupt: CancellationToken,
}

impl Change<'_> {
    /// Takes the host's lock and answers `query` under it.
    ///
    /// # Errors
    ///
    /// [`HostError::Busy`] where somebody else has it for longer than [`lock_timeout`](Self::lock_timeout).
    pub async fn lock(
        &self,
        host: &Arc<dyn Host>,
        query: &Query,
        events: Sink<'_>,
    ) -> Result<(Lease, Observation), HostError> {
        let deadline = Instant::now() + self.lock_timeout;
        let mut waits = false;
        loop {
            match host.lock(layout::LOCK, self.owner, query).await {
                Err(HostError::Busy { owner, .. }) if Instant::now() < deadline && !self.interrupt.is_cancelled() => {
                    if !waits {
                        events(Event::Waiting { owner });
                        waits = true;
                    }
                    let own = Duration::from_millis(u64::from(std::process::id() % 256));
                    tokio::time::sleep(RETRY + own).await;
                }
                done => return done,
            }
        }
    }
}
