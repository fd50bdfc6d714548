//! Looking out for changes where the supervisor can call nobody: by looking again and again.

use std::time::Duration;

use tokio::time::Instant;

use super::launchd::Launchd;
use super::runner::Runner;
use super::{SupervisorError, UnitStatus};

/// How often a unit is looked at while somebody waits for a change of it.
pub(super) const POLL: Duration = Duration::from_millis(200);

/// Who is looked at.
#[derive(Debug)]
pub(super) enum Polled {
    Runner(Runner),
    Launchd(Launchd),
}

/// Looks at a unit again and again.
#[derive(Debug)]
pub struct Poll {
    supervisor: Polled,
    unit: String,
    seen: Option<UnitStatus>,
}

impl Poll {
    pub(super) fn of(supervisor: Polled, unit: &str) -> Self {
        Self { supervisor, unit: unit.to_owned(), seen: None }
    }

    pub(super) async fn changed(&mut self, deadline: Duration) -> bool {
        let until = Instant::now() + deadline;
        loop {
            tokio::time::sleep(POLL.min(until.saturating_duration_since(Instant::now()))).await;
            let now = self.look().await.ok();
            let is_new = match (&self.seen, &now) {
                (Some(old), Some(new)) => old.state != new.state || old.pid != new.pid,
                _ => true,
            };
            let first = self.seen.is_none();
            self.seen = now.or(self.seen.take());
            if is_new || first || Instant::now() >= until {
                return is_new && !first;
            }
        }
    }

    async fn look(&self) -> Result<UnitStatus, SupervisorError> {
        match &self.supervisor {
            Polled::Runner(runner) => runner.status_of(&self.unit).await,
            Polled::Launchd(launchd) => launchd.status_of(&self.unit).await,
        }
    }
}
