//! An installed service as its owner sees it: found by its name, with all that its release says of health and stop.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::service::{LifecycleError, Service, Started};
use super::stop::Stopped;
use crate::host::{Answer, Ask, Host, HostError, Query};
use crate::service::record::Record;
use crate::service::spec::{Health, Logs, Stop, UnitSpec};
use crate::supervisor::{self, State, Supervisor, SupervisorError, SupervisorKind, UnitStatus, layout};

/// One installed service of one host, whichever supervisor runs it.
///
/// How it is probed and ended was written down on the host when it was installed, so its name is all that is needed.
/// Nothing is remembered here between two calls: each tells what is true on the host at that moment, whoever else works
/// on it.
///
/// ```no_run
/// # async fn example() -> anyhow::Result<()> {
/// use std::time::Duration;
///
/// use unitbee::host;
/// use unitbee::lifecycle::DaemonManager;
///
/// let host = host::open("gpu1", "bee@gpu1", &host::Options::default());
/// let worker = DaemonManager::open(host, "llm-8080").await?;
/// worker.clean_stale().await?;
/// worker.start().await?;
/// worker.wait_ready(Duration::from_secs(300)).await?;
/// println!("process {:?}", worker.pid().await?);
/// worker.stop().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct DaemonManager {
    host: Arc<dyn Host>,
    supervisor: Arc<Supervisor>,
    unit: String,
    health: Option<Health>,
    stop: Stop,
    logs: Logs,
}

/// What was asked of a [`DaemonManager`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// [`start`](DaemonManager::start).
    Start,
    /// [`stop`](DaemonManager::stop).
    Stop,
    /// [`kill`](DaemonManager::kill).
    Kill,
    /// [`status`](DaemonManager::status), [`pid`](DaemonManager::pid) and [`is_running`](DaemonManager::is_running).
    Status,
    /// [`restart`](DaemonManager::restart).
    Restart,
    /// [`wait_ready`](DaemonManager::wait_ready).
    WaitReady,
    /// [`clean_stale`](DaemonManager::clean_stale).
    CleanStale,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Kill => "kill",
            Self::Status => "look at",
            Self::Restart => "restart",
            Self::WaitReady => "wait for",
            Self::CleanStale => "clean up after",
        })
    }
}

/// An operation that failed; the source tells why.
#[derive(Debug, Error)]
#[error("cannot {operation} {unit} on {host}")]
pub struct DaemonError {
    /// What was asked.
    pub operation: Operation,
    /// Unit name without suffix.
    pub unit: String,
    /// Host.
    pub host: String,
    /// Why.
    #[source]
    pub cause: LifecycleError,
}

impl DaemonManager {
    /// Finds a unit and its supervisor on `host`. That there is no such unit shows with the first operation.
    pub async fn open(host: Arc<dyn Host>, unit: &str) -> Result<Self, SupervisorError> {
        let (supervisor, records) = connect(&host, &[unit.to_owned()], None).await?;
        let spec = records.first().and_then(Option::as_ref).map(|record| &record.spec);
        Ok(Self::of(host, Arc::new(supervisor), unit, spec))
    }

    /// The same for many units in one exchange; they share one supervisor, `wish` where one is wished for. A spec is
    /// what counts where the host has no record of how the unit was installed.
    pub async fn open_all(
        host: &Arc<dyn Host>,
        units: &[(String, Option<&UnitSpec>)],
        wish: Option<SupervisorKind>,
    ) -> Result<Vec<Self>, SupervisorError> {
        let names: Vec<String> = units.iter().map(|(unit, _)| unit.clone()).collect();
        let (supervisor, records) = connect(host, &names, wish).await?;
        let supervisor = Arc::new(supervisor);
        let daemon = |((unit, spec), record): (&(String, Option<&UnitSpec>), Option<Record>)| {
            let spec = record.as_ref().map(|record| &record.spec).or(*spec);
            Self::of(Arc::clone(host), Arc::clone(&supervisor), unit, spec)
        };
        Ok(units.iter().zip(records).map(daemon).collect())
    }

    fn of(host: Arc<dyn Host>, supervisor: Arc<Supervisor>, unit: &str, spec: Option<&UnitSpec>) -> Self {
        let health = spec.and_then(|spec| spec.health.clone());
        let stop = spec.map(|spec| spec.stop.clone()).unwrap_or_default();
        let logs = spec.map(|spec| spec.logs).unwrap_or_default();
        Self { host, supervisor, unit: unit.to_owned(), health, stop, logs }
    }

    /// Every verb that there is, with what it needs to know of this unit.
    #[must_use]
    pub fn service(&self) -> Service<'_> {
        Service {
            host: self.host.as_ref(),
            supervisor: &self.supervisor,
            unit: &self.unit,
            health: self.health.as_ref(),
            stop: &self.stop,
        }
    }

    /// Unit name without suffix.
    #[must_use]
    pub fn unit(&self) -> &str {
        &self.unit
    }

    /// Starts it and waits until the new process is healthy; one that runs already is left alone.
    pub async fn start(&self) -> Result<Started, DaemonError> {
        self.service().start().await.map_err(self.failed(Operation::Start))
    }

    /// Ends it down the stop ladder and proves that nothing of it is left.
    pub async fn stop(&self) -> Result<Stopped, DaemonError> {
        self.service().stop().await.map_err(self.failed(Operation::Stop))
    }

    /// Ends it by KILL at once, and keeps it ended, where [`stop`](Self::stop) would ask first.
    pub async fn kill(&self) -> Result<Stopped, DaemonError> {
        let at_once = Stop { url: None, drain: Duration::ZERO, term: Duration::ZERO };
        let service = Service { stop: &at_once, ..self.service() };
        service.stop().await.map_err(self.failed(Operation::Kill))
    }

    /// What its supervisor says of it.
    pub async fn status(&self) -> Result<UnitStatus, DaemonError> {
        let failed = self.failed(Operation::Status);
        self.supervisor.status_of(&self.unit).await.map_err(|source| failed(self.not_done("ask for", source)))
    }

    /// Ends it down the stop ladder and starts it again.
    pub async fn restart(&self) -> Result<Started, DaemonError> {
        let done = self.service().restart().await.map_err(self.failed(Operation::Restart))?;
        Ok(done.1)
    }

    /// Waits until it is healthy, or runs where no health is declared, for at most `within`; does nothing to it.
    pub async fn wait_ready(&self, within: Duration) -> Result<(), DaemonError> {
        let health = self.health.clone().map(|health| Health { within, ..health });
        let service = Service { health: health.as_ref(), ..self.service() };
        service.wait().await.map(drop).map_err(self.failed(Operation::WaitReady))
    }

    /// Its main process.
    pub async fn pid(&self) -> Result<Option<u32>, DaemonError> {
        Ok(self.status().await?.pid)
    }

    /// Tells whether it is up.
    pub async fn is_running(&self) -> Result<bool, DaemonError> {
        Ok(matches!(self.status().await?.state, State::Running { .. }))
    }

    /// Forgets what a run left behind that ended without a word, such as a record of a process that is dead; returns
    /// what that was. Of a unit that has a process nothing is forgotten.
    pub async fn clean_stale(&self) -> Result<Option<String>, DaemonError> {
        let failed = self.failed(Operation::CleanStale);
        self.supervisor.clean_stale(&self.unit).await.map_err(|source| failed(self.not_done("clean up after", source)))
    }

    /// Rotates its log where that is nobody else's task: see [`Supervisor::rotate_log`].
    pub async fn rotate_log(&self) -> Result<(), HostError> {
        self.supervisor.rotate_log(&self.unit, &self.logs).await
    }

    fn not_done(&self, verb: &'static str, source: SupervisorError) -> LifecycleError {
        LifecycleError::Supervisor { verb, unit: self.unit.clone(), host: self.host.name().to_owned(), source }
    }

    fn failed(&self, operation: Operation) -> impl FnOnce(LifecycleError) -> DaemonError {
        let (unit, host) = (self.unit.clone(), self.host.name().to_owned());
        move |cause| DaemonError { operation, unit, host, cause }
    }
}

/// The supervisor of units, and what is recorded of each; in one exchange.
async fn connect(
    host: &Arc<dyn Host>,
    units: &[String],
    wish: Option<SupervisorKind>,
) -> Result<(Supervisor, Vec<Option<Record>>), SupervisorError> {
    let mut asks = SupervisorKind::ask_installed(units);
    asks.extend(units.iter().map(|unit| Ask::File(layout::current_spec(unit))));
    let (observation, approach) = supervisor::query(host, &Query { asks }).await?;
    let mut answers = observation.answers.into_iter();
    let manager = SupervisorKind::read_installed(&observation.facts, wish, units.len(), &mut answers).manager;
    let supervisor = Supervisor::connect_by(approach, Arc::clone(host), &observation.facts, manager).await?;
    let record = |answer| match answer {
        Answer::File(Some(file)) => Record::parse(&file.content),
        _ => None,
    };
    Ok((supervisor, answers.map(record).collect()))
}
