//! Restarts: how the pause grows, and when it is enough.
//!
//! systemd has two mechanisms that know nothing of each other, and the manifest has one wish: wait `delay`, then
//! longer, up to `max_delay`, and stay down after so many restarts *in a row*.
//!
//! The pause grows by `RestartSteps=` and `RestartMaxDelaySec=` (since 254): pause *i* is
//! `first * (longest / first) ^ ((i - 1) / steps)`, from `steps + 1` on it is the longest (`service_restart_usec_next`
//! in service.c). As many steps as there are doublings between the two make each pause at most twice the last. It
//! shrinks again only when somebody starts the unit, not after a long good run.
//!
//! Giving up is a rate limit on *all* starts, the first included (ratelimit.c): within a window of
//! `StartLimitIntervalSec=`, opened by the first start after the last window, `StartLimitBurst=` starts are let through.
//! After *n* restarts *n* + 1 starts have been seen, so that is the burst. For the next one to be refused the window
//! must still be open then, after *n* + 1 runs and as many pauses, each the longest, because an earlier bad hour may have
//! grown them. A run that belongs to the row is one that ended before the service could count as [settled](SETTLED).
//! A window shorter than that (the default of 10 s, say) never fills once the pauses have grown, and the unit would be
//! restarted for ever.
//!
//! The window stays where it was opened. Where that was before a good run, it may end within the row, and the count
//! starts anew: then there are up to twice as many restarts and one.

use std::time::Duration;

use crate::service::spec::{Restart, RestartWhen, UnitSpec};
use crate::service::target::Systemd;

/// Run time after which the next failure starts a new row, where no health check says when it is up.
const SETTLED: Duration = Duration::from_mins(1);

/// Smallest pause that can grow: systemd's own default.
const SMALLEST: Duration = Duration::from_millis(100);

/// The pauses between restarts, as far as a systemd can keep them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Backoff {
    /// Before the first restart.
    pub(super) first: Duration,
    /// How it grows; where absent all pauses are the same.
    pub(super) growth: Option<Growth>,
    /// What differs from the wish.
    pub(super) notes: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Growth {
    pub(super) steps: u32,
    pub(super) longest: Duration,
}

/// `StartLimitIntervalSec=` and `StartLimitBurst=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StartLimit {
    /// Whole seconds.
    pub(super) interval: u64,
    pub(super) burst: u32,
}

impl Backoff {
    pub(super) fn new(restart: &Restart, target: Systemd) -> Self {
        let Restart { when, delay, max_delay, .. } = *restart;
        if when == RestartWhen::No || delay >= max_delay {
            return Self { first: delay, growth: None, notes: Vec::new() };
        }
        let first = if delay.is_zero() { SMALLEST.min(max_delay) } else { delay };
        let mut notes = Vec::new();
        if delay.is_zero() {
            notes.push(format!("the pause before a restart cannot grow from nothing: the first is {first:?}"));
        }
        if !target.grows_restart_delay() {
            notes.push(format!(
                "systemd before 254 cannot let the pause grow to {max_delay:?}: every restart comes after {first:?}"
            ));
            return Self { first, growth: None, notes };
        }
        Self { first, growth: Some(Growth { steps: doublings(first, max_delay), longest: max_delay }), notes }
    }

    fn longest(&self) -> Duration {
        self.growth.map_or(self.first, |growth| growth.longest)
    }
}

/// Works out the rate limit; `None` means that there is to be none.
pub(super) fn start_limit(spec: &UnitSpec, backoff: &Backoff) -> Option<StartLimit> {
    let Restart { when, give_up_after, .. } = spec.restart;
    if when == RestartWhen::No || give_up_after == 0 {
        return None;
    }
    let settled = settled(spec);
    let burst = give_up_after.saturating_add(1);
    let window = backoff.longest().saturating_add(settled).saturating_mul(burst);
    Some(StartLimit { interval: super::whole_seconds(window), burst })
}

/// Run time after which the next failure starts a new row.
pub(super) fn settled(spec: &UnitSpec) -> Duration {
    spec.health.as_ref().map_or(SETTLED, |health| health.within.saturating_add(health.healthy_for))
}

/// How often `first` must be doubled to reach `longest`.
fn doublings(first: Duration, longest: Duration) -> u32 {
    let mut pause = first;
    let mut count = 0;
    while pause < longest {
        pause = pause.saturating_mul(2);
        count += 1;
    }
    count.max(1)
}
