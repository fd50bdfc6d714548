//! The verbs on one installed service: start, stop, restart, reload, kill, enable, disable, ensure, wait.

use std::time::Duration;

use thiserror::Error;
use tokio::time::Instant;

use super::gate::{Gate, GateError};
use super::health::{PROBE, Prober};
use super::http::HttpError;
use super::stop::{StopError, Stopped, graceful_shutdown};
use crate::host::process::Signal;
use crate::host::{Cgroup, Host};
use crate::service::spec::{Health, Stop};
use crate::supervisor::{JobResult, State, Supervisor, SupervisorError, UnitStatus, Whom};

/// How long a start job may take: `Type=exec` is done with the exec.
const START: Duration = Duration::from_secs(90);

/// How long a service without a health check must stay up for its start to count.
const MOMENT: Duration = Duration::from_millis(500);

/// One installed unit of one host.
#[derive(Debug, Clone, Copy)]
pub struct Service<'a> {
    /// Host.
    pub host: &'a dyn Host,
    /// Its supervisor.
    pub supervisor: &'a Supervisor,
    /// Unit name without suffix.
    pub unit: &'a str,
    /// When it counts as healthy; without it, running is all that is asked.
    pub health: Option<&'a Health>,
    /// How it is ended.
    pub stop: &'a Stop,
}

/// Why a verb failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LifecycleError {
    /// There is no such unit.
    #[error("{unit} is not installed on {host}")]
    NotInstalled {
        /// Unit.
        unit: String,
        /// Host.
        host: String,
    },
    /// It is not running, and should be.
    #[error("{unit} is {state} on {host}")]
    NotRunning {
        /// Unit.
        unit: String,
        /// Host.
        host: String,
        /// What it is instead, with the reason.
        state: String,
    },
    /// The supervisor did not do its part.
    #[error("{verb} {unit} on {host}")]
    Supervisor {
        /// Verb.
        verb: &'static str,
        /// Unit.
        unit: String,
        /// Host.
        host: String,
        /// Cause.
        source: SupervisorError,
    },
    /// Its `ExecReload=` failed; the process is as it was.
    #[error("reload {unit} on {host}: the job ended as {result:?}")]
    Reload {
        /// Unit.
        unit: String,
        /// Host.
        host: String,
        /// The supervisor's word for it.
        result: String,
    },
    /// It did not get healthy.
    #[error("wait for {unit} on {host}")]
    Gate {
        /// Unit.
        unit: String,
        /// Host.
        host: String,
        /// Cause.
        source: GateError,
    },
    /// It ran, and does no more: the supervisor did not do its part in between.
    #[error("{}; {unit} is down", told(cause))]
    Down {
        /// Unit.
        unit: String,
        /// What failed.
        cause: Box<LifecycleError>,
    },
    /// It did not end.
    #[error(transparent)]
    Stop(#[from] StopError),
    /// Its health URL cannot be reached at all.
    #[error("probe {unit} on {host}")]
    Http {
        /// Unit.
        unit: String,
        /// Host.
        host: String,
        /// Cause.
        source: HttpError,
    },
}

impl LifecycleError {
    /// One command or one sentence that helps.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotInstalled { unit, .. } => Some(format!("`unitbee apply {unit}` installs it")),
            Self::NotRunning { unit, host, .. }
            | Self::Gate { unit, host, source: GateError::Failed { .. } | GateError::NotHealthy { .. } } => {
                Some(format!("`unitbee logs {unit} -H {host}` shows what it said"))
            }
            Self::Supervisor { source, .. } => source.hint(),
            Self::Stop(error) => error.hint(),
            Self::Down { cause, .. } => cause.hint(),
            Self::Http { source, .. } | Self::Gate { source: GateError::Http { source, .. }, .. } => source.hint(),
            _ => None,
        }
    }
}

/// An error with its causes in one line.
fn told(error: &LifecycleError) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.map(ToString::to_string).fold(error.to_string(), |told, cause| match joined(&told, &cause) {
        Some(both) => both,
        None if told.contains(&cause) => told,
        None => format!("{told}: {cause}"),
    })
}

/// Two errors, one the other's cause, in one line where they speak of the same: `start web on mac` and `enable web on mac: no`
/// are `start web on mac: no`.
pub(crate) fn joined(error: &str, cause: &str) -> Option<String> {
    let (_, what) = error.split_once(' ')?;
    let more = cause.split_once(' ')?.1.strip_prefix(what)?;
    (more.starts_with(": ") || more.starts_with(" on ")).then(|| format!("{error}{more}"))
}

/// What a start came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// Main process.
    pub pid: Option<u32>,
    /// How long it took to get healthy; `None` where no health is declared.
    pub healthy_after: Option<Duration>,
    /// Whether it ran already, so that nothing was done.
    pub already: bool,
    /// Its cgroup, where the health gate looked at it.
    pub cgroup: Option<Cgroup>,
}

/// What [`ensure_daemon_running`] found or did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ensured {
    /// It ran and was healthy.
    Already {
        /// Main process.
        pid: Option<u32>,
    },
    /// It was started, or started again because it was not healthy.
    Started(Started),
}

impl Service<'_> {
    /// Starts it and waits until the new process is healthy. One that runs already is left alone.
    pub async fn start(&self) -> Result<Started, LifecycleError> {
        let before = self.installed().await?;
        match before.state {
            State::Running { .. } if !before.unsupervised => {
                return Ok(Started { pid: before.pid, healthy_after: None, already: true, cgroup: None });
            }
            // Else the start would wait for the pause before the next restart.
            State::Backoff { .. } | State::Running { .. } => {
                graceful_shutdown(self.host, self.supervisor, self.unit, self.stop).await?;
            }
            // That run is the one that is asked for.
            State::Starting => return self.start_from(UnitStatus { invocation: None, ..before }).await,
            _ => {}
        }
        self.start_from(before).await
    }

    /// Ends it down the ladder. It stays enabled.
    pub async fn stop(&self) -> Result<Stopped, LifecycleError> {
        self.installed().await?;
        Ok(graceful_shutdown(self.host, self.supervisor, self.unit, self.stop).await?)
    }

    /// Ends it down the ladder and starts it again.
    pub async fn restart(&self) -> Result<(Stopped, Started), LifecycleError> {
        let before = self.installed().await?;
        let stopped = self.end().await?;
        Ok((stopped, self.start_from(before).await?))
    }

    /// Ends it down the ladder, to start it again; not where it is known already that this could not be done.
    pub async fn end(&self) -> Result<Stopped, LifecycleError> {
        self.supervisor.prepare_start(self.unit).await.map_err(self.failed("start"))?;
        match graceful_shutdown(self.host, self.supervisor, self.unit, self.stop).await {
            Ok(stopped) => Ok(stopped),
            Err(error) => Err(self.or_down(error.into()).await),
        }
    }

    /// An error in the middle of a restart, with what that came to.
    async fn or_down(&self, error: LifecycleError) -> LifecycleError {
        match self.supervisor.status_of(self.unit).await {
            Ok(status) if matches!(status.state, State::Stopped | State::Failed { .. }) => {
                LifecycleError::Down { unit: self.unit.to_owned(), cause: Box::new(error) }
            }
            _ => error,
        }
    }

    /// Starts it, whatever it is doing, and waits until a run other than that of `before` is healthy.
    pub async fn start_from(&self, before: UnitStatus) -> Result<Started, LifecycleError> {
        // The manager counts every start against its limit: one that somebody asked for must not be the one too many.
        self.supervisor.reset_failed(self.unit).await.map_err(self.failed("reset-failed"))?;
        let end = match self.supervisor.start(self.unit, START).await.map_err(self.failed("start")) {
            Err(error) if before.pid.is_some() => return Err(self.or_down(error).await),
            end => end?,
        };
        if matches!(end, JobResult::Failed { .. }) {
            let after = self.supervisor.status_of(self.unit).await.map_err(self.failed("look at"))?;
            return Err(self.not_up(&after));
        }
        let gate = |health| Gate {
            host: self.host,
            supervisor: self.supervisor,
            unit: self.unit,
            health,
            before: before.invocation.clone(),
        };
        let Some(health) = self.health else {
            return Ok(Started { pid: self.stays_up().await?.pid, healthy_after: None, already: false, cgroup: None });
        };
        let passed = gate(health).pass().await.map_err(|source| self.gate_failed(source))?;
        Ok(Started { pid: Some(passed.pid), healthy_after: Some(passed.took), already: false, cgroup: passed.cgroup })
    }

    /// Probes it once; one without a health check is healthy.
    pub async fn is_healthy(&self) -> Result<bool, LifecycleError> {
        let Some(health) = self.health else { return Ok(true) };
        let unasked =
            |source| LifecycleError::Http { unit: self.unit.to_owned(), host: self.host.name().to_owned(), source };
        let prober = Prober::open(self.host, health).await.map_err(unasked)?;
        Ok(prober.probe(PROBE).await.map_err(unasked)?.is_healthy())
    }

    /// Waits until it runs and is healthy, without doing anything to it.
    pub async fn wait(&self) -> Result<Started, LifecycleError> {
        self.installed().await?;
        let Some(health) = self.health else {
            return Ok(Started { pid: self.running().await?.pid, healthy_after: None, already: true, cgroup: None });
        };
        let gate = Gate { host: self.host, supervisor: self.supervisor, unit: self.unit, health, before: None };
        let passed = gate.pass().await.map_err(|source| self.gate_failed(source))?;
        Ok(Started { pid: Some(passed.pid), healthy_after: Some(passed.took), already: true, cgroup: passed.cgroup })
    }

    /// Lets it read its configuration again, by the unit's own `ExecReload=`.
    pub async fn reload(&self) -> Result<(), LifecycleError> {
        self.installed().await?;
        match self.supervisor.reload(self.unit, START).await.map_err(self.failed("reload"))? {
            JobResult::Failed { result } => {
                Err(LifecycleError::Reload { unit: self.unit.to_owned(), host: self.host.name().to_owned(), result })
            }
            JobResult::Done | JobResult::Unseen { .. } => Ok(()),
        }
    }

    /// Sends a signal to its main process, or to all of its processes.
    pub async fn kill(&self, whom: Whom, signal: Signal) -> Result<(), LifecycleError> {
        let status = self.installed().await?;
        if status.pid.is_none() {
            return Err(self.not_running(&status));
        }
        self.supervisor.kill(self.unit, whom, signal).await.map_err(self.failed("kill"))
    }

    /// Lets it start at boot from now on; `false` where it did already.
    pub async fn enable(&self) -> Result<bool, LifecycleError> {
        self.installed().await?;
        let changed = self.supervisor.enable(&[self.unit.to_owned()]).await.map_err(self.failed("enable"))?;
        self.switched(changed).await
    }

    /// Lets it start at boot no more; `false` where it did not.
    pub async fn disable(&self) -> Result<bool, LifecycleError> {
        self.installed().await?;
        let changed = self.supervisor.disable(&[self.unit.to_owned()]).await.map_err(self.failed("disable"))?;
        self.switched(changed).await
    }

    /// The supervisor tells of the switch only once it has read its links again.
    async fn switched(&self, changed: bool) -> Result<bool, LifecycleError> {
        if changed {
            self.supervisor.daemon_reload().await.map_err(self.failed("daemon-reload"))?;
        }
        Ok(changed)
    }

    /// Its status, or the error that it is not installed.
    async fn installed(&self) -> Result<UnitStatus, LifecycleError> {
        let status = self.supervisor.status_of(self.unit).await.map_err(self.failed("look at"))?;
        if status.installed {
            return Ok(status);
        }
        Err(LifecycleError::NotInstalled { unit: self.unit.to_owned(), host: self.host.name().to_owned() })
    }

    /// Its status if it runs; a process that ends right after its start is an error here.
    async fn running(&self) -> Result<UnitStatus, LifecycleError> {
        let status = self.supervisor.status_of(self.unit).await.map_err(self.failed("look at"))?;
        match status.state {
            State::Running { .. } => Ok(status),
            _ => Err(self.not_up(&status)),
        }
    }

    /// Its status if it runs and goes on running for a moment: most of what cannot run at all ends within that.
    async fn stays_up(&self) -> Result<UnitStatus, LifecycleError> {
        let deadline = Instant::now() + MOMENT;
        let mut watch = self.supervisor.watch(self.unit).await.map_err(self.failed("look at"))?;
        loop {
            let status = self.running().await?;
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(status);
            }
            watch.changed(left).await;
        }
    }

    /// A start that failed; one that fails at once is told in the words of one that takes its time.
    fn not_up(&self, status: &UnitStatus) -> LifecycleError {
        match &status.state {
            State::Failed { reason } => {
                self.gate_failed(GateError::Failed { unit: self.unit.to_owned(), reason: reason.clone() })
            }
            _ => self.not_running(status),
        }
    }

    fn not_running(&self, status: &UnitStatus) -> LifecycleError {
        LifecycleError::NotRunning {
            unit: self.unit.to_owned(),
            host: self.host.name().to_owned(),
            state: status.state.to_string(),
        }
    }

    fn gate_failed(&self, source: GateError) -> LifecycleError {
        LifecycleError::Gate { unit: self.unit.to_owned(), host: self.host.name().to_owned(), source }
    }

    fn failed(&self, verb: &'static str) -> impl FnOnce(SupervisorError) -> LifecycleError + '_ {
        move |source| LifecycleError::Supervisor {
            verb,
            unit: self.unit.to_owned(),
            host: self.host.name().to_owned(),
            source,
        }
    }
}

/// Makes sure that an installed service runs and is healthy: leaves a good one alone, gives one that is about to get
/// healthy its time, and starts or restarts any other.
///
/// ```no_run
/// # async fn example() -> anyhow::Result<()> {
/// use unitbee::host::{self, Query};
/// use unitbee::lifecycle::{Service, ensure_daemon_running};
/// use unitbee::service::spec::Stop;
/// use unitbee::supervisor::Supervisor;
///
/// let host = host::open("gpu1", "bee@gpu1", &host::Options::default());
/// let facts = host.query(&Query::default()).await?.facts;
/// let supervisor = Supervisor::connect(host.clone(), &facts).await?;
/// let stop = Stop::default();
/// let service =
///     Service { host: host.as_ref(), supervisor: &supervisor, unit: "llm-8080", health: None, stop: &stop };
/// ensure_daemon_running(&service).await?;
/// # Ok(())
/// # }
/// ```
pub async fn ensure_daemon_running(service: &Service<'_>) -> Result<Ensured, LifecycleError> {
    let status = service.installed().await?;
    let State::Running { since, .. } = status.state.clone() else {
        // Cancels a pending restart too, so that the start below is the only one.
        graceful_shutdown(service.host, service.supervisor, service.unit, service.stop).await?;
        return Ok(Ensured::Started(service.start_from(status).await?));
    };
    if status.unsupervised {
        let (_, started) = service.restart().await?;
        return Ok(Ensured::Started(started));
    }
    if service.is_healthy().await? {
        return Ok(Ensured::Already { pid: status.pid });
    }
    let age = service.supervisor.now().saturating_sub(since);
    let within = service.health.map_or(0, |health| health.within.as_secs());
    if u64::try_from(age).is_ok_and(|age| age < within) {
        let begun = Instant::now();
        match service.wait().await {
            Ok(started) => {
                return Ok(Ensured::Started(Started { healthy_after: Some(begun.elapsed()), ..started }));
            }
            Err(error @ LifecycleError::Gate { source: GateError::Http { .. }, .. }) => return Err(error),
            Err(_) => {}
        }
    }
    let (_, started) = service.restart().await?;
    Ok(Ensured::Started(started))
}
