//! The time by which a host tells times.

use tokio::time::Instant;

use crate::host::Facts;

/// The host's clock, read once and carried on here.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    host_usec: u64,
    read: Instant,
}

impl Clock {
    pub(super) fn of(facts: &Facts) -> Self {
        Self { host_usec: facts.now_usec, read: Instant::now() }
    }

    pub(super) fn now_usec(&self) -> u64 {
        let since = u64::try_from(self.read.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.host_usec.saturating_add(since)
    }

    /// Unix time in seconds.
    pub(super) fn now(&self) -> i64 {
        i64::try_from(self.now_usec() / 1_000_000).unwrap_or(i64::MAX)
    }
}
