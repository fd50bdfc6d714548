//! Making sure that a service runs and is healthy.

use tokio::time::Instant;

use super::error::LifecycleError;
use super::gate::GateError;
use super::service::{Service, Started};
use super::stop::graceful_shutdown;
use crate::supervisor::State;

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
        // One that is starting is the one that is asked for; any other is ended, with a pending restart, so that the start
        // below is the only one.
        if status.state != State::Starting {
            service.supervisor.prepare_start(service.unit).await.map_err(service.failed("start"))?;
            graceful_shutdown(service.host, service.supervisor, service.unit, service.stop).await?;
        }
        let launch = service.launch_from(status, Vec::new()).await?;
        return Ok(Ensured::Started(service.gate(&launch, &|_| {}).await?));
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
