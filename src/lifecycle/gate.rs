//! The health gate: a success counts only from the process that was just started.
//!
//! A 2xx proves that *something* answers. It counts when the unit's main process was started after the action, when
//! that process or its cgroup owns the listening socket, and when both stay so for `healthy_for`. Without a URL it counts
//! that the process runs for so long. A process that exits while the gate of its start is watching does not pass, whether
//! or not it is started again.

use std::time::Duration;

use thiserror::Error;
use tokio::time::Instant;

use super::health::{PROBE, Probe, Prober, pauses};
use super::http::HttpError;
use super::listener::{Listener, ListenerFault};
use crate::host::{Cgroup, Host, HostError};
use crate::service::spec::{Health, HttpUrl};
use crate::supervisor::{State, Supervisor, SupervisorError, UnitStatus};

/// How often a healthy service is looked at again while `healthy_for` runs.
const STEADY: Duration = Duration::from_millis(250);

/// Least time for one look: the last one, too, must tell what is there and not that its own time was over.
const LOOK: Duration = Duration::from_millis(250);

/// How often it is asked for the reason of an exit that was seen before its reason.
const REASONS: u32 = 5;

/// A service passed the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// Main process that passed.
    pub pid: u32,
    /// From the start to the first good look.
    pub elapsed: Duration,
    /// The unit's cgroup as it was then; `None` where it has none, or where nobody needed to look.
    pub cgroup: Option<Cgroup>,
}

/// Why a service did not pass.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GateError {
    /// It is down and is not started again.
    #[error("{unit} failed: {reason}")]
    Failed {
        /// Unit.
        unit: String,
        /// Why, in words that follow the unit's name.
        reason: String,
    },
    /// The process that was started exited while the gate was watching; it may be started again.
    #[error("{unit} failed: {reason}")]
    Exited {
        /// Unit.
        unit: String,
        /// How it ended, in words that follow the unit's name: `exited with code 7`, `was killed by SIGSEGV`.
        reason: String,
        /// Whether that was no failure for the supervisor, which does not start it again.
        clean: bool,
    },
    /// It did not get healthy in time.
    #[error("{unit} is not healthy within {within:?}: {last}")]
    NotHealthy {
        /// Unit.
        unit: String,
        /// Time that it had.
        within: Duration,
        /// What was seen last.
        last: String,
    },
    /// The health URL cannot be reached at all.
    #[error("probe {unit}")]
    Http {
        /// Unit.
        unit: String,
        /// Cause.
        source: HttpError,
    },
    /// The supervisor does not answer.
    #[error("watch {unit}")]
    Supervisor {
        /// Unit.
        unit: String,
        /// Cause.
        source: SupervisorError,
    },
    /// The host does not answer.
    #[error("find out who listens for {unit}")]
    Host {
        /// Unit.
        unit: String,
        /// Cause.
        source: HostError,
    },
}

/// What is let through: one unit, and the run of it that no longer counts.
#[derive(Debug)]
pub struct Gate<'a> {
    /// Host of the unit.
    pub host: &'a dyn Host,
    /// Its supervisor.
    pub supervisor: &'a Supervisor,
    /// The unit.
    pub unit: &'a str,
    /// How its health is seen.
    pub health: &'a Health,
    /// The run before the action: its answers do not count.
    pub before: Option<String>,
    /// When its time began.
    pub begun: Instant,
    /// Whether an exit or a restart meanwhile ends the gate: it is that of a start, and not of somebody who just waits.
    pub strict: bool,
}

/// What the status of a unit says of it.
enum Verdict {
    /// This main process runs.
    Runs(u32),
    NotYet(String),
    /// The process that was started exited.
    Exited,
}

/// Where one look at the service leads.
enum Look {
    Good(u32, Option<Cgroup>),
    NotYet(String),
    /// It had less time than a probe may take, and that was over before an answer came.
    CutShort(String),
}

impl Gate<'_> {
    /// Waits until the unit passes, at most `health.within` for the first good look and `health.healthy_for` more; `seen`
    /// gets what was seen last, as often as that changes.
    pub async fn pass(&self, seen: &(dyn Fn(&str) + Sync)) -> Result<Passed, GateError> {
        let unit = || self.unit.to_owned();
        let deadline = self.begun + self.health.within;
        let prober = match &self.health.url {
            Some(url) => Some(
                Prober::open(self.host, url, self.health.expect.as_deref())
                    .await
                    .map_err(|source| self.unreachable(source))?,
            ),
            None => None,
        };
        let mut watch =
            self.supervisor.watch(self.unit).await.map_err(|source| GateError::Supervisor { unit: unit(), source })?;
        let mut pauses = pauses();
        let mut before: Option<String> = None;
        // The process that was seen first; a strict gate lets no other pass.
        let mut first = None;
        loop {
            let reason = match self.look(prober.as_ref(), deadline, &mut first).await? {
                Look::Good(pid, cgroup) => {
                    let elapsed = self.begun.elapsed();
                    match self.stays(prober.as_ref(), pid, &mut first).await? {
                        None => return Ok(Passed { pid, elapsed, cgroup }),
                        Some(reason) => reason,
                    }
                }
                Look::NotYet(reason) => reason,
                // That its own time was over says nothing of the service.
                Look::CutShort(reason) => before.clone().unwrap_or(reason),
            };
            if before.as_ref() != Some(&reason) {
                seen(&reason);
            }
            let pause = pauses.next().unwrap_or(PROBE);
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(GateError::NotHealthy { unit: unit(), within: self.health.within, last: reason });
            }
            before = Some(reason);
            // A unit that fails meanwhile ends the wait at once. The answer to a URL is nothing that a watch can tell.
            let pause = if self.strict { pause.min(PROBE / 3) } else { pause };
            watch.changed(pause.min(left)).await;
        }
    }

    async fn look(
        &self,
        prober: Option<&Prober<'_>>,
        deadline: Instant,
        first: &mut Option<u32>,
    ) -> Result<Look, GateError> {
        let status = self.status().await?;
        let pid = match self.counts(&status, first).await? {
            Ok(pid) => pid,
            Err(reason) => return Ok(Look::NotYet(reason)),
        };
        let Some(prober) = prober else { return Ok(Look::Good(pid, None)) };
        let begun = Instant::now();
        let time = deadline.saturating_duration_since(begun).clamp(LOOK, PROBE);
        if let Probe::Unhealthy(reason) = prober.probe(time).await.map_err(|source| self.unreachable(source))? {
            let is_cut_short = time < PROBE && begun.elapsed() >= time;
            return Ok(if is_cut_short { Look::CutShort(reason) } else { Look::NotYet(reason) });
        }
        let (cgroup, wrong) = self.who_listens(&status, prober.url()).await?;
        Ok(match wrong {
            None => Look::Good(pid, cgroup),
            Some(reason) => Look::NotYet(reason),
        })
    }

    /// The main process if its answers count; the outer error ends the gate.
    async fn counts(&self, status: &UnitStatus, first: &mut Option<u32>) -> Result<Result<u32, String>, GateError> {
        match self.judge(status)? {
            Verdict::Runs(pid) => match *first {
                Some(old) if self.strict && old != pid => Err(self.exited(status.clone()).await),
                _ => {
                    *first = Some(pid);
                    Ok(Ok(pid))
                }
            },
            Verdict::NotYet(reason) => Ok(Err(reason)),
            Verdict::Exited => Err(self.exited(status.clone()).await),
        }
    }

    fn judge(&self, status: &UnitStatus) -> Result<Verdict, GateError> {
        let is_old = self.before.is_some() && status.invocation == self.before;
        Ok(match &status.state {
            State::Failed { reason } => {
                return Err(GateError::Failed { unit: self.unit.to_owned(), reason: reason.clone() });
            }
            State::Running { .. } if is_old => Verdict::NotYet("the old process is still running".to_owned()),
            State::Running { pid, .. } => Verdict::Runs(*pid),
            State::Backoff { .. } | State::Stopped if self.strict => Verdict::Exited,
            State::Stopping if self.strict && status.pid.is_none() => Verdict::Exited,
            // Up, after a restart so fresh that it proves nothing: whether it stays so is what `healthy_for` is for.
            State::Backoff { .. } if let Some(pid) = status.pid => Verdict::Runs(pid),
            State::Backoff { reason, restarts } => {
                Verdict::NotYet(format!("it {reason} and was restarted {restarts} times"))
            }
            other => Verdict::NotYet(format!("it is {}", other.as_str())),
        })
    }

    /// The error for a process that exited. How it ended may be known a moment later than that it did.
    async fn exited(&self, status: UnitStatus) -> GateError {
        let mut status = status;
        for _ in 0..REASONS {
            if status.ended.is_some() || matches!(status.state, State::Failed { .. }) {
                break;
            }
            tokio::time::sleep(LOOK).await;
            status = match self.status().await {
                Ok(status) => status,
                Err(error) => return error,
            };
        }
        let unit = self.unit.to_owned();
        match status.state {
            State::Failed { reason } => GateError::Failed { unit, reason },
            State::Stopped | State::Stopping => {
                let reason = status.ended.unwrap_or_else(|| "exited at once".to_owned());
                GateError::Exited { unit, reason, clean: true }
            }
            _ => {
                let reason = status.ended.unwrap_or_else(|| "exited and was started again".to_owned());
                GateError::Exited { unit, reason, clean: false }
            }
        }
    }

    /// The unit's cgroup, and what is wrong if the socket of the health URL does not belong to it.
    async fn who_listens(
        &self,
        status: &UnitStatus,
        url: &HttpUrl,
    ) -> Result<(Option<Cgroup>, Option<String>), GateError> {
        let unit = || self.unit.to_owned();
        let listener = Listener::of(self.host, self.supervisor, status, url).await.map_err(|fault| match fault {
            ListenerFault::Host(source) => GateError::Host { unit: unit(), source },
            ListenerFault::Supervisor(source) => GateError::Supervisor { unit: unit(), source },
        })?;
        let stranger = || format!("{url} is answered by a process that does not belong to the unit");
        Ok((listener.cgroup, (!listener.may_be_ours).then(stranger)))
    }

    /// Looks on until `healthy_for` is over; what went wrong, if something did.
    async fn stays(
        &self,
        prober: Option<&Prober<'_>>,
        pid: u32,
        first: &mut Option<u32>,
    ) -> Result<Option<String>, GateError> {
        let until = Instant::now() + self.health.healthy_for;
        while Instant::now() < until {
            tokio::time::sleep(STEADY.min(until.saturating_duration_since(Instant::now()))).await;
            // Why a process that exited does not answer is told by its status.
            let status = self.status().await?;
            match self.counts(&status, first).await? {
                Ok(now) if now == pid => {}
                Ok(now) => return Ok(Some(format!("process {pid} was replaced by {now}"))),
                Err(reason) => return Ok(Some(reason)),
            }
            let Some(prober) = prober else { continue };
            if let Probe::Unhealthy(reason) = prober.probe(PROBE).await.map_err(|source| self.unreachable(source))? {
                return Ok(Some(reason));
            }
        }
        // What exited during the last probe did not stay.
        let status = self.status().await?;
        Ok(match self.counts(&status, first).await? {
            Ok(now) if now == pid => None,
            Ok(now) => Some(format!("process {pid} was replaced by {now}")),
            Err(reason) => Some(reason),
        })
    }

    fn unreachable(&self, source: HttpError) -> GateError {
        GateError::Http { unit: self.unit.to_owned(), source }
    }

    async fn status(&self) -> Result<UnitStatus, GateError> {
        self.supervisor
            .status_of(self.unit)
            .await
            .map_err(|source| GateError::Supervisor { unit: self.unit.to_owned(), source })
    }
}
