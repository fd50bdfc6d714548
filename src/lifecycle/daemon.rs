//! An installed service as its owner sees it: found by its name, with all that its release says of health and stop.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::error::LifecycleError;
use super::service::{Service, Started};
use super::stop::Stopped;
use crate::host::{Answer, Ask, Facts, FileFound, Host, HostError, Query};
use crate::service::record::Record;
use crate::service::render::header;
use crate::service::spec::{Health, Logs, Scope, Stop, UnitSpec};
use crate::supervisor::{self, State, Supervisor, SupervisorError, SupervisorKind, UnitFileKind, UnitStatus, layout};

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
    ownership: Ownership,
}

/// Whose the file is that defines a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ownership {
    /// unitbee wrote it; or it is empty, which is what is left of one of ours, and of nobody else's interest.
    Ours,
    /// Somebody else wrote it; its path.
    Foreign(String),
    /// It is not where it belongs; where that is. A unit may be defined elsewhere all the same.
    Absent(String),
}

impl Ownership {
    fn of(unit: &str, manager: SupervisorKind, file: Option<&(UnitFileKind, FileFound)>, facts: &Facts) -> Self {
        let path = |kind: UnitFileKind| layout::absolute(&kind.path(unit), facts).unwrap_or_default().into_string();
        match file {
            Some((_, file)) if file.content.is_empty() || header::parse(&file.content).is_some() => Self::Ours,
            Some((kind, _)) => Self::Foreign(path(*kind)),
            None => Self::Absent(path(UnitFileKind::of(manager, Scope::User))),
        }
    }
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
        let (supervisor, mut found) = connect(&host, &[unit.to_owned()], None).await?;
        let (record, ownership) = found.pop().unwrap_or((None, Ownership::Ours));
        let spec = record.as_ref().map(|record| &record.spec);
        Ok(Self::of(host, Arc::new(supervisor), unit, spec, ownership))
    }

    /// The same for many units in one exchange; they share one supervisor, `requested` where one is requested. A spec is
    /// what counts where the host has no record of how the unit was installed.
    pub async fn open_all(
        host: &Arc<dyn Host>,
        units: &[(String, Option<&UnitSpec>)],
        requested: Option<SupervisorKind>,
    ) -> Result<Vec<Self>, SupervisorError> {
        let names: Vec<String> = units.iter().map(|(unit, _)| unit.clone()).collect();
        let (supervisor, found) = connect(host, &names, requested).await?;
        let supervisor = Arc::new(supervisor);
        let daemon = |((unit, spec), (record, ownership)): (&(String, Option<&UnitSpec>), Found)| {
            let spec = record.as_ref().map(|record| &record.spec).or(*spec);
            Self::of(Arc::clone(host), Arc::clone(&supervisor), unit, spec, ownership)
        };
        Ok(units.iter().zip(found).map(daemon).collect())
    }

    fn of(
        host: Arc<dyn Host>,
        supervisor: Arc<Supervisor>,
        unit: &str,
        spec: Option<&UnitSpec>,
        ownership: Ownership,
    ) -> Self {
        let health = spec.and_then(|spec| spec.health.clone());
        let stop = spec.map(|spec| spec.stop.clone()).unwrap_or_default();
        let logs = spec.map(|spec| spec.logs).unwrap_or_default();
        Self { host, supervisor, unit: unit.to_owned(), health, stop, logs, ownership }
    }

    /// The verbs that there are, with what they need to know of this unit. Those that change something are only for a unit
    /// that is [`owned`](Self::owned).
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

    /// The same for a unit that unitbee installed.
    ///
    /// # Errors
    ///
    /// [`LifecycleError::Foreign`] for a unit that a file of somebody else defines.
    pub async fn owned(&self) -> Result<Service<'_>, LifecycleError> {
        let foreign = match &self.ownership {
            Ownership::Ours => None,
            Ownership::Foreign(path) => Some(path.clone()),
            Ownership::Absent(expected) => {
                let status = self.supervisor.status_of(&self.unit).await;
                let status = status.map_err(|source| self.not_done("look at", source))?;
                // A file of ours that was removed, but that the manager still has loaded, was where it belongs; and a mask
                // defines nothing.
                status.fragment.filter(|path| status.installed && path != expected && path != "/dev/null")
            }
        };
        match foreign {
            None => Ok(self.service()),
            Some(path) => {
                let (unit, host) = (self.unit.clone(), self.host.name().to_owned());
                Err(LifecycleError::Foreign { unit, host, path })
            }
        }
    }

    /// Unit name without suffix.
    #[must_use]
    pub fn unit(&self) -> &str {
        &self.unit
    }

    /// Starts it and waits until the new process is healthy; one that runs already is left alone.
    pub async fn start(&self) -> Result<Started, DaemonError> {
        let done = async { self.owned().await?.start().await };
        done.await.map_err(self.failed(Operation::Start))
    }

    /// Ends it down the stop ladder and proves that nothing of it is left.
    pub async fn stop(&self) -> Result<Stopped, DaemonError> {
        let done = async { self.owned().await?.stop().await };
        done.await.map_err(self.failed(Operation::Stop))
    }

    /// Ends it by KILL at once, and keeps it ended, where [`stop`](Self::stop) would ask first.
    pub async fn kill(&self) -> Result<Stopped, DaemonError> {
        let at_once = Stop { url: None, drain: Duration::ZERO, term: Duration::ZERO };
        let done = async { Service { stop: &at_once, ..self.owned().await? }.stop().await };
        done.await.map_err(self.failed(Operation::Kill))
    }

    /// What its supervisor says of it.
    pub async fn status(&self) -> Result<UnitStatus, DaemonError> {
        let failed = self.failed(Operation::Status);
        self.supervisor.status_of(&self.unit).await.map_err(|source| failed(self.not_done("ask for", source)))
    }

    /// Ends it down the stop ladder and starts it again.
    pub async fn restart(&self) -> Result<Started, DaemonError> {
        let done = async { self.owned().await?.restart().await };
        Ok(done.await.map_err(self.failed(Operation::Restart))?.1)
    }

    /// Waits until it is healthy, or runs where no health is declared, for at most `within`; does nothing to it.
    pub async fn wait_ready(&self, within: Duration) -> Result<(), DaemonError> {
        let health = Health { within, ..self.health.clone().unwrap_or_default() };
        let service = Service { health: Some(&health), ..self.service() };
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

/// What is recorded of a unit, and whose it is.
type Found = (Option<Record>, Ownership);

/// The supervisor of units, and what is known of each; in one exchange.
async fn connect(
    host: &Arc<dyn Host>,
    units: &[String],
    requested: Option<SupervisorKind>,
) -> Result<(Supervisor, Vec<Found>), SupervisorError> {
    let mut asks = SupervisorKind::ask_files(units);
    asks.extend(units.iter().map(|unit| Ask::File(layout::current_spec(unit))));
    let (observation, approach) = supervisor::query(host, &Query { asks }).await?;
    let facts = &observation.facts;
    let mut answers = observation.answers.into_iter();
    let (choice, files) = SupervisorKind::read_files(facts, requested, units.len(), &mut answers);
    let supervisor = Supervisor::connect_by(approach, Arc::clone(host), facts, choice.manager).await?;
    let owners = units.iter().zip(&files).map(|(unit, file)| Ownership::of(unit, choice.manager, file.as_ref(), facts));
    let record = |answer| if let Answer::File(Some(file)) = answer { Record::parse(&file.content).ok() } else { None };
    Ok((supervisor, answers.map(record).zip(owners).collect()))
}
