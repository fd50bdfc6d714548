//! The lock of a host that is held, and how its holder knows that it still is.
//!
//! The holder of a distant lock says every few seconds that it is there; a host that hears nothing for a minute gives the
//! lock to the next one who asks. Whoever was suspended for so long would go on with a plan that is no longer true. So a lock
//! has a token, a file on the host that is there for as long as the lock is held: the host itself looks for it before
//! each write under a [`Fence`], and the holder asks for it where its own clocks say that it was silent for too long.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use camino::Utf8PathBuf;

use super::query::{Answer, Ask, Base, HostPath, Query};
use super::{Guard, Host, HostError, proc};

/// How long a holder may be silent before it asks whether the lock is still its own; the host waits for a minute.
const SILENCE: Duration = Duration::from_secs(45);

/// What a change is made under: the host refuses it with [`HostError::LockLost`] once this token is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    token: HostPath,
}

impl Fence {
    /// Makes a fence of the token of a lock.
    #[must_use]
    pub fn new(token: HostPath) -> Self {
        Self { token }
    }

    /// The file that is there for as long as the lock is held.
    #[must_use]
    pub fn token(&self) -> &HostPath {
        &self.token
    }

    /// Makes a fence of the absolute path of a token, as the host tells it.
    pub(super) fn at(path: &str) -> Result<Self, &'static str> {
        let token = HostPath::new(Base::Root, path.strip_prefix('/').ok_or("the path is not absolute")?);
        token.fault_of_change().map_or(Ok(Self { token }), Err)
    }

    /// The absolute path of the token.
    pub(super) fn path(&self) -> Utf8PathBuf {
        format!("/{}", self.token.rel).into()
    }
}

/// The host-wide lock of one name; dropping it, or the death of this process, frees it on the host.
#[derive(Debug)]
pub struct Lease {
    fence: Fence,
    pulse: Pulse,
    /// Keeps the lock.
    _guard: Box<dyn Guard>,
}

/// How a holder knows that the lock is still its own.
#[derive(Debug)]
pub(super) enum Pulse {
    /// It is a lock of this machine: the token is looked for.
    Here,
    /// The host hears of us in time.
    Beats(Arc<Beats>),
    /// The host is asked each time.
    Unknown,
}

impl Lease {
    /// A lock with the token of `fence`, which is held for as long as `guard` lives.
    #[must_use]
    pub fn new(fence: Fence, guard: Box<dyn Guard>) -> Self {
        Self::with(fence, Pulse::Unknown, guard)
    }

    pub(super) fn with(fence: Fence, pulse: Pulse, guard: Box<dyn Guard>) -> Self {
        Self { fence, pulse, _guard: guard }
    }

    /// What changes under this lock carry.
    #[must_use]
    pub fn fence(&self) -> &Fence {
        &self.fence
    }

    /// Makes sure that the lock is still held, without an exchange for as long as the host has heard of us in time.
    pub async fn check(&self, host: &dyn Host) -> Result<(), HostError> {
        let held = match &self.pulse {
            Pulse::Here => self.fence.path().as_std_path().exists(),
            Pulse::Beats(beats) if beats.are_in_time() => true,
            Pulse::Beats(_) | Pulse::Unknown => {
                let asks = vec![Ask::Size(self.fence.token.clone())];
                let seen = host.query(&Query { asks }).await?;
                matches!(seen.answers[..], [Answer::Size(Some(_))])
            }
        };
        if held { Ok(()) } else { Err(HostError::LockLost { host: host.name().to_owned() }) }
    }
}

/// When a holder last said that it is there.
#[derive(Debug)]
pub(super) struct Beats(Mutex<State>);

#[derive(Debug)]
struct State {
    last: Moment,
    in_time: bool,
}

impl Beats {
    /// Begins to count at `start`, before the host can have begun.
    pub(super) fn since(start: Moment) -> Self {
        Self(Mutex::new(State { last: start, in_time: true }))
    }

    /// Notes that the host was told just now. What comes too late changes nothing: the host may have given up before.
    pub(super) fn beat(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.in_time = state.in_time && state.last.elapsed() < SILENCE;
        state.last = Moment::now();
    }

    /// Notes that the host can be told nothing more.
    pub(super) fn end(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).in_time = false;
    }

    fn are_in_time(&self) -> bool {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.in_time && state.last.elapsed() < SILENCE
    }
}

/// A moment by every clock of this machine: those that stand still while it sleeps, or that somebody sets, are not to be
/// relied on alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    running: Instant,
    wall: SystemTime,
    /// Since boot, the time asleep counted; 0 where only Linux could tell.
    boot_usec: u64,
}

impl Moment {
    pub(super) fn now() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this machine is read here")]
        let uptime = std::fs::read("/proc/uptime").ok();
        let boot_usec = uptime.and_then(|text| proc::uptime_usec(&text)).unwrap_or(0);
        Self { running: Instant::now(), wall: SystemTime::now(), boot_usec }
    }

    /// The longest time that any clock says has passed.
    fn elapsed(&self) -> Duration {
        let now = Self::now();
        let running = now.running.saturating_duration_since(self.running);
        let wall = now.wall.duration_since(self.wall).unwrap_or_default();
        let boot = Duration::from_micros(now.boot_usec.saturating_sub(self.boot_usec));
        running.max(wall).max(boot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_is_an_absolute_path() {
        let fence = Fence::at("/home/bee/.local/state/unitbee/lock/apply@gpu1.lan/7.1.b.n.1.me@x").unwrap();
        assert_eq!(fence.path(), "/home/bee/.local/state/unitbee/lock/apply@gpu1.lan/7.1.b.n.1.me@x");
        for path in ["", "/", "relative", "/a/../b", "/a\nb"] {
            assert!(Fence::at(path).is_err(), "{path:?}");
        }
    }

    /// A machine that slept for two minutes: the first beat afterwards is written before anybody looks.
    #[test]
    fn a_beat_that_comes_too_late_does_not_count() {
        let ago = |seconds| {
            let (mut moment, past) = (Moment::now(), Duration::from_secs(seconds));
            moment.wall -= past;
            moment
        };
        assert!(Beats::since(ago(44)).are_in_time());
        assert!(!Beats::since(ago(46)).are_in_time());
        let late = Beats::since(ago(120));
        late.beat();
        assert!(!late.are_in_time());
        let ended = Beats::since(ago(0));
        ended.beat();
        assert!(ended.are_in_time());
        ended.end();
        assert!(!ended.are_in_time());
    }

    #[test]
    fn the_longest_time_counts() {
        let mut moment = Moment::now();
        moment.wall += Duration::from_hours(1);
        assert!(moment.elapsed() < Duration::from_secs(10), "a clock that was set back");
        moment.boot_usec = moment.boot_usec.saturating_sub(100_000_000);
        assert!(moment.boot_usec == 0 || moment.elapsed() >= Duration::from_secs(100));
    }
}
