//! The verbs on one installed service: start, stop, restart, reload, kill, enable, disable, ensure, wait.

use std::time::Duration;

use super::error::LifecycleError;
use super::gate::GateError;
use super::health::{PROBE, Prober};
use super::stop::{Stopped, graceful_shutdown};
use crate::host::process::Signal;
use crate::host::{Cgroup, Host};
use crate::service::spec::{Health, Stop};
use crate::supervisor::{JobResult, State, Supervisor, SupervisorError, UnitStatus, Whom};

/// How long a reload may take.
const RELOAD: Duration = Duration::from_secs(90);

/// One installed unit of one host.
#[derive(Debug, Clone, Copy)]
pub struct Service<'a> {
    /// Host.
    pub host: &'a dyn Host,
    /// Its supervisor.
    pub supervisor: &'a Supervisor,
    /// Unit name without suffix.
    pub unit: &'a str,
    /// When it counts as healthy; [`Health::default`] where it is absent.
    pub health: Option<&'a Health>,
    /// How it is ended.
    pub stop: &'a Stop,
}

/// What a start came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// Main process.
    pub pid: Option<u32>,
    /// How long it took to get healthy; `None` where it has no health URL.
    pub healthy_after: Option<Duration>,
    /// Whether it ran already, so that nothing was done.
    pub already: bool,
    /// Its cgroup, where the health gate looked at it.
    pub cgroup: Option<Cgroup>,
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
                self.supervisor.prepare_start(self.unit).await.map_err(self.failed("start"))?;
                graceful_shutdown(self.host, self.supervisor, self.unit, self.stop).await?;
            }
            _ => {}
        }
        let launch = self.launch_from(before, Vec::new()).await?;
        self.gate(&launch, &|_| {}).await
    }

    /// Ends it down the ladder. It stays enabled.
    pub async fn stop(&self) -> Result<Stopped, LifecycleError> {
        self.installed().await?;
        Ok(graceful_shutdown(self.host, self.supervisor, self.unit, self.stop).await?)
    }

    /// Ends it down the ladder and starts it again, as one order to the host; waits until the new process is healthy, and
    /// what depends on it is up again.
    pub async fn restart(&self) -> Result<(Stopped, Started), LifecycleError> {
        let (stopped, launch) = self.replace(self.stop).await?;
        let started = self.gate(&launch, &|_| {}).await?;
        self.check_dependents(&launch.dependents).await?;
        Ok((stopped, started))
    }

    /// Probes it once; one without a health URL is healthy.
    pub async fn is_healthy(&self) -> Result<bool, LifecycleError> {
        let Some(health) = self.health else { return Ok(true) };
        let Some(url) = &health.url else { return Ok(true) };
        let unreachable =
            |source| LifecycleError::Http { unit: self.unit.to_owned(), host: self.host.name().to_owned(), source };
        let prober = Prober::open(self.host, url, health.expect.as_deref()).await.map_err(unreachable)?;
        Ok(prober.probe(PROBE).await.map_err(unreachable)?.is_healthy())
    }

    /// Waits until it runs and is healthy, without doing anything to it: over restarts, too.
    pub async fn wait(&self) -> Result<Started, LifecycleError> {
        self.installed().await?;
        let passed = self.usual_gate().pass(&|_| {}).await.map_err(|source| self.gate_failed(source))?;
        Ok(self.started(passed, true))
    }

    /// Lets it read its configuration again, by the unit's own `ExecReload=`.
    pub async fn reload(&self) -> Result<(), LifecycleError> {
        self.installed().await?;
        match self.supervisor.reload(self.unit, RELOAD).await.map_err(self.failed("reload"))? {
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
    pub(super) async fn installed(&self) -> Result<UnitStatus, LifecycleError> {
        let status = self.supervisor.status_of(self.unit).await.map_err(self.failed("look at"))?;
        if status.installed {
            return Ok(status);
        }
        Err(LifecycleError::NotInstalled { unit: self.unit.to_owned(), host: self.host.name().to_owned() })
    }

    fn not_running(&self, status: &UnitStatus) -> LifecycleError {
        LifecycleError::NotRunning {
            unit: self.unit.to_owned(),
            host: self.host.name().to_owned(),
            state: status.state.to_string(),
        }
    }

    pub(super) fn gate_failed(&self, source: GateError) -> LifecycleError {
        LifecycleError::Gate { unit: self.unit.to_owned(), host: self.host.name().to_owned(), source }
    }

    pub(super) fn failed(&self, verb: &'static str) -> impl FnOnce(SupervisorError) -> LifecycleError + '_ {
        move |source| LifecycleError::Supervisor {
            verb,
            unit: self.unit.to_owned(),
            host: self.host.name().to_owned(),
            source,
        }
    }
}
