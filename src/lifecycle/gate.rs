//! The health gate: a success counts only from the process that was just started.
//!
//! A 2xx proves that *something* answers. It counts when the unit's main process was started after the action, when
//! that process or its cgroup owns the listening socket, and when both stay so for `healthy_for`.

use std::time::Duration;

use thiserror::Error;
use tokio::time::Instant;

use super::health::{PROBE, Probe, Prober, pauses};
use super::http::HttpError;
use crate::host::{Answer, Ask, Base, Cgroup, Host, HostError, HostPath, Query};
use crate::service::spec::Health;
use crate::supervisor::{State, Supervisor, SupervisorError, UnitStatus};

/// How often a healthy service is looked at again while `healthy_for` runs.
const STEADY: Duration = Duration::from_millis(250);

/// Least time for one look: the last one, too, must tell what is there and not that its own time was over.
const LOOK: Duration = Duration::from_millis(250);

/// A service passed the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// Main process that passed.
    pub pid: u32,
    /// From the beginning of the gate to the first good look.
    pub took: Duration,
    /// The unit's cgroup as it was then; `None` where it has none, or where nobody needed to look.
    pub cgroup: Option<Cgroup>,
}

/// Why a service did not pass.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GateError {
    /// It ended and stays down.
    #[error("{unit} failed: {reason}")]
    Failed {
        /// Unit.
        unit: String,
        /// Why it ended.
        reason: String,
    },
    /// It had its time.
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
    #[error("look who listens for {unit}")]
    Host {
        /// Unit.
        unit: String,
        /// Cause.
        source: HostError,
    },
}

/// What is let through: one unit, and the run of it that does not count any more.
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
}

/// Where one look at the service leads.
enum Look {
    Good(u32, Option<Cgroup>),
    NotYet(String),
    /// It had less time than a probe may take, and that was over before an answer came.
    CutShort(String),
}

impl Gate<'_> {
    /// Waits until the unit passes, at most `health.within` for the first good look and `health.healthy_for` more.
    pub async fn pass(&self) -> Result<Passed, GateError> {
        let unit = || self.unit.to_owned();
        let begun = Instant::now();
        let deadline = begun + self.health.within;
        let prober = Prober::open(self.host, self.health).await.map_err(|source| self.unasked(source))?;
        let mut watch =
            self.supervisor.watch(self.unit).await.map_err(|source| GateError::Supervisor { unit: unit(), source })?;
        let mut pauses = pauses();
        let mut before = None;
        loop {
            let reason = match self.look(&prober, deadline).await? {
                Look::Good(pid, cgroup) => {
                    let took = begun.elapsed();
                    match self.stays(&prober, pid).await? {
                        None => return Ok(Passed { pid, took, cgroup }),
                        Some(reason) => reason,
                    }
                }
                Look::NotYet(reason) => reason,
                // That its own time was over says nothing of the service.
                Look::CutShort(reason) => before.unwrap_or(reason),
            };
            let pause = pauses.next().unwrap_or(PROBE);
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(GateError::NotHealthy { unit: unit(), within: self.health.within, last: reason });
            }
            before = Some(reason);
            // A unit that fails meanwhile ends the wait at once.
            watch.changed(pause.min(left)).await;
        }
    }

    async fn look(&self, prober: &Prober<'_>, deadline: Instant) -> Result<Look, GateError> {
        let status = self.status().await?;
        let pid = match self.counts(&status)? {
            Ok(pid) => pid,
            Err(reason) => return Ok(Look::NotYet(reason)),
        };
        let begun = Instant::now();
        let time = deadline.saturating_duration_since(begun).clamp(LOOK, PROBE);
        if let Probe::Unhealthy(reason) = prober.probe(time).await.map_err(|source| self.unasked(source))? {
            let is_cut_short = time < PROBE && begun.elapsed() >= time;
            return Ok(if is_cut_short { Look::CutShort(reason) } else { Look::NotYet(reason) });
        }
        let (cgroup, wrong) = self.who_listens(&status).await?;
        Ok(match wrong {
            None => Look::Good(pid, cgroup),
            Some(reason) => Look::NotYet(reason),
        })
    }

    /// The main process if its answers count; the outer error ends the gate.
    fn counts(&self, status: &UnitStatus) -> Result<Result<u32, String>, GateError> {
        match &status.state {
            State::Failed { reason } => Err(GateError::Failed { unit: self.unit.to_owned(), reason: reason.clone() }),
            State::Running { pid, .. } if self.before.is_none() || status.invocation != self.before => Ok(Ok(*pid)),
            State::Running { .. } => Ok(Err("the old process still runs".to_owned())),
            // Up, after a restart so fresh that it proves nothing: whether it stays so is what `healthy_for` is for.
            State::Backoff { .. } if let Some(pid) = status.pid => Ok(Ok(pid)),
            State::Backoff { reason, restarts } => {
                Ok(Err(format!("it ended ({reason}) and was restarted {restarts} times")))
            }
            other => Ok(Err(format!("it is {}", other.word()))),
        }
    }

    /// The unit's cgroup, and what is wrong if the socket of the health URL does not belong to it. A URL that is not the
    /// host's loopback may be answered by a proxy, so there nothing can be proven.
    async fn who_listens(&self, status: &UnitStatus) -> Result<(Option<Cgroup>, Option<String>), GateError> {
        // Below the manager's own cgroup, wherever the host has mounted the tree: …/user@1000.service/rbee.slice/…
        let below = |path: &str| path.split_once("/user@")?.1.split_once('/').map(|(_, below)| below.to_owned());
        let query = match (status.cgroup.as_deref().and_then(below), self.supervisor) {
            (Some(path), _) => {
                let path = HostPath::new(Base::Cgroup, path);
                Query { asks: vec![Ask::Cgroup(path.clone()), Ask::Listeners(path)] }
            }
            (None, Supervisor::Launchd(_) | Supervisor::Runner(_)) => {
                Query { asks: vec![Ask::Sockets(self.processes().await?)] }
            }
            (None, Supervisor::Systemd(_)) => return Ok((None, None)),
        };
        let observation =
            self.host.query(&query).await.map_err(|source| GateError::Host { unit: self.unit.to_owned(), source })?;
        let mut cgroup = None;
        let mut ours = !self.health.url.is_loopback();
        for answer in observation.answers {
            match answer {
                Answer::Cgroup(found) => cgroup = found,
                Answer::Listeners(found) => ours |= found.iter().any(|socket| socket.port == self.health.url.port()),
                _ => {}
            }
        }
        let stranger = || format!("{} is answered by a process that does not belong to the unit", self.health.url);
        Ok((cgroup, (!ours).then(stranger)))
    }

    /// Looks on until `healthy_for` is over; what went wrong, if something did.
    async fn stays(&self, prober: &Prober<'_>, pid: u32) -> Result<Option<String>, GateError> {
        let until = Instant::now() + self.health.healthy_for;
        while Instant::now() < until {
            tokio::time::sleep(STEADY.min(until.saturating_duration_since(Instant::now()))).await;
            if let Probe::Unhealthy(reason) = prober.probe(PROBE).await.map_err(|source| self.unasked(source))? {
                return Ok(Some(reason));
            }
            let status = self.status().await?;
            match self.counts(&status)? {
                Ok(now) if now == pid => {}
                Ok(now) => return Ok(Some(format!("process {pid} was replaced by {now}"))),
                Err(reason) => return Ok(Some(reason)),
            }
        }
        Ok(None)
    }

    async fn processes(&self) -> Result<Vec<u32>, GateError> {
        let failed = |source| GateError::Supervisor { unit: self.unit.to_owned(), source };
        self.supervisor.processes(self.unit).await.map_err(failed)
    }

    fn unasked(&self, source: HttpError) -> GateError {
        GateError::Http { unit: self.unit.to_owned(), source }
    }

    async fn status(&self) -> Result<UnitStatus, GateError> {
        self.supervisor
            .status_of(self.unit)
            .await
            .map_err(|source| GateError::Supervisor { unit: self.unit.to_owned(), source })
    }
}
