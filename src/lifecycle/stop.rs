//! The stop ladder: ask the shutdown URL, then TERM, then KILL, then prove that nothing is left.
//!
//! Every step has a deadline of its own, and the answer names the step that ended it. A step that cannot work (no URL
//! is declared, no process of the unit listens there) is skipped at once.

use std::time::Duration;

use serde::Serialize;
use thiserror::Error;
use tokio::time::Instant;

use super::http::{Http, HttpError};
use super::listener::{Listener, ListenerFault};
use crate::host::process::{self, ProcessId, Signal};
use crate::host::{Host, HostError};
use crate::service::spec::{HttpUrl, Stop};
use crate::supervisor::{State, Supervisor, SupervisorError, UnitStatus, Whom};

/// How long a process may take to vanish after KILL; only one stuck in the kernel takes longer.
pub(super) const AFTER_KILL: Duration = Duration::from_secs(10);

/// Longest that the shutdown URL may take to answer; the time to drain is running meanwhile.
const ANSWER: Duration = Duration::from_secs(5);

/// The least time that it has for that, however short the time to drain is.
const LEAST_ANSWER: Duration = Duration::from_secs(1);

/// The step of the ladder that ended a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoppedBy {
    /// Nothing ran.
    Already,
    /// It exited after a POST to its shutdown URL.
    Url,
    /// It exited after TERM.
    Term,
    /// It had to be killed.
    Kill,
}

/// How a service was ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stopped {
    /// The step that did it.
    pub by: StoppedBy,
    /// From the first step to the proof; of a unit that was replaced, to the start of the next run.
    #[serde(skip)]
    pub elapsed: Duration,
    /// Why a step before it was skipped.
    pub note: Option<String>,
}

/// Why a service could not be ended.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StopError {
    /// The supervisor did not do its part.
    #[error("stop {unit}")]
    Supervisor {
        /// Unit.
        unit: String,
        /// Cause.
        source: SupervisorError,
    },
    /// We are one of its processes.
    #[error("cannot stop {unit} on {host}: this program runs in it and would be stopped before the work is done")]
    Own {
        /// Unit.
        unit: String,
        /// Host.
        host: String,
    },
    /// The host did not do its part.
    #[error("stop process {pid}")]
    Process {
        /// Process id.
        pid: u32,
        /// Cause.
        source: HostError,
    },
    /// It was killed, and something is still there.
    #[error("{what} is still there after KILL: processes {pids:?}")]
    NotEmpty {
        /// Unit or process.
        what: String,
        /// What is left.
        pids: Vec<u32>,
    },
}

impl StopError {
    /// One command or one sentence that helps.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Supervisor { source, .. } => source.hint(),
            Self::Own { .. } => {
                Some("run it from another shell, or over SSH; a service that just exits is started again".to_owned())
            }
            Self::Process { source, .. } => source.hint(),
            Self::NotEmpty { pids, .. } => pids.first().map(|pid| {
                format!("`ps -o state,command -p {pid}` on the host: what the kernel waits for in state D or U only it can end, or a reboot")
            }),
        }
    }
}

/// Ends `unit` down the ladder and proves that none of its processes is left.
///
/// Every way leads through the supervisor's own stop, so that it does not start the service again.
///
/// ```no_run
/// # async fn example() -> anyhow::Result<()> {
/// use unitbee::host::{self, Query};
/// use unitbee::service::spec::Stop;
/// use unitbee::supervisor::Supervisor;
///
/// let host = host::open("gpu1", "bee@gpu1", &host::Options::default());
/// let facts = host.query(&Query::default()).await?.facts;
/// let supervisor = Supervisor::connect(host.clone(), &facts).await?;
/// let stopped = unitbee::lifecycle::graceful_shutdown(host.as_ref(), &supervisor, "llm-8080", &Stop::default()).await?;
/// eprintln!("ended by {:?} after {:?}", stopped.by, stopped.elapsed);
/// # Ok(())
/// # }
/// ```
pub async fn graceful_shutdown(
    host: &dyn Host,
    supervisor: &Supervisor,
    unit: &str,
    stop: &Stop,
) -> Result<Stopped, StopError> {
    let begun = Instant::now();
    let failed = |source| StopError::Supervisor { unit: unit.to_owned(), source };
    let before = supervisor.status_of(unit).await.map_err(failed)?;
    is_outside(host, supervisor, unit).await?;
    supervisor.prepare_stop(&before).await.map_err(failed)?;
    if !is_alive(&before) && supervisor.processes(unit).await.map_err(failed)?.is_empty() {
        let mut by = StoppedBy::Already;
        if matches!(before.state, State::Backoff { .. }) {
            supervisor.stop(unit, stop.term + AFTER_KILL).await.map_err(failed)?;
            // It may have been started again in between.
            if prove_empty(supervisor, unit).await? {
                by = StoppedBy::Kill;
            }
        }
        return Ok(Stopped { by, elapsed: begun.elapsed(), note: None });
    }

    let (by_url, note) = ask_to_exit(host, supervisor, unit, &before, stop).await.map_err(failed)?;

    // Its time begins when it was told to stop.
    supervisor.begin_stop(unit).await.map_err(failed)?;
    let job = supervisor.stop(unit, stop.term + AFTER_KILL);
    tokio::pin!(job);
    let by_kill = tokio::select! {
        done = &mut job => { done.map_err(failed)?; false }
        () = tokio::time::sleep(stop.term), if !by_url => {
            // What has ended needs no KILL, however long its supervisor takes to say so; unless it was to have no time at all.
            let lives = stop.term.is_zero() || !supervisor.processes(unit).await.map_err(failed)?.is_empty();
            if lives {
                supervisor.kill(unit, Whom::All, Signal::Kill).await.map_err(failed)?;
            }
            job.await.map_err(failed)?;
            lives
        }
    };
    let by_kill = prove_empty(supervisor, unit).await? || by_kill;
    let by = match (by_kill, by_url) {
        (true, _) => StoppedBy::Kill,
        (false, true) => StoppedBy::Url,
        (false, false) => StoppedBy::Term,
    };
    Ok(Stopped { by, elapsed: begun.elapsed(), note })
}

/// Makes sure that we are no process of `unit`: whoever ends that ends us, and nobody is left to start it again.
///
/// # Errors
///
/// [`StopError::Own`] where we are, and [`StopError::Supervisor`] where that cannot be told.
pub async fn is_outside(host: &dyn Host, supervisor: &Supervisor, unit: &str) -> Result<(), StopError> {
    if !host.is_local() {
        return Ok(());
    }
    let pids =
        supervisor.processes(unit).await.map_err(|source| StopError::Supervisor { unit: unit.into(), source })?;
    refuse_own(host, unit, &pids)
}

/// The same where the processes of the unit are known.
pub(super) fn refuse_own(host: &dyn Host, unit: &str, pids: &[u32]) -> Result<(), StopError> {
    if host.is_local() && pids.contains(&std::process::id()) {
        return Err(StopError::Own { unit: unit.to_owned(), host: host.name().to_owned() });
    }
    Ok(())
}

/// A unit between two restarts may be up again, too freshly to count as running: it has a process then.
pub(super) fn is_alive(status: &UnitStatus) -> bool {
    status.pid.is_some() || matches!(status.state, State::Running { .. } | State::Starting | State::Stopping)
}

/// Asks a unit to exit by its stop URL, if there is one, and waits until its main process is gone: whether it is, and why
/// this step was skipped.
pub(super) async fn ask_to_exit(
    host: &dyn Host,
    supervisor: &Supervisor,
    unit: &str,
    before: &UnitStatus,
    stop: &Stop,
) -> Result<(bool, Option<String>), SupervisorError> {
    let Some(url) = &stop.url else { return Ok((false, None)) };
    match is_others(host, supervisor, before, url).await {
        Ok(None) => {}
        Ok(Some(reason)) => return Ok((false, Some(reason))),
        Err(ListenerFault::Supervisor(error)) => return Err(error),
        Err(ListenerFault::Host(error)) => return Ok((false, Some(error.to_string()))),
    }
    let deadline = Instant::now() + stop.drain;
    match ask(host, url, ANSWER.min(stop.drain.max(LEAST_ANSWER))).await {
        Ok(()) => Ok((wait_for_end(supervisor, unit, before, deadline).await?, None)),
        Err(reason) => Ok((false, Some(reason))),
    }
}

/// Tells, in words, whether it must be somebody else who answers at the stop URL and would exit in the unit's place: a program
/// that is not up yet, or not any more, leaves its port to others. Where no cgroup holds the processes of a unit, one that
/// got away is not told from a stranger, and it is asked.
async fn is_others(
    host: &dyn Host,
    supervisor: &Supervisor,
    before: &UnitStatus,
    url: &HttpUrl,
) -> Result<Option<String>, ListenerFault> {
    let unit = &before.unit;
    if matches!(before.state, State::Backoff { .. }) {
        return Ok(Some(format!("{unit} is restarting")));
    }
    // Where nothing can be proven the host need not be asked.
    let is_provable = before.cgroup.is_some() && url.is_loopback();
    if !is_provable || Listener::of(host, supervisor, before, url).await?.may_be_ours {
        return Ok(None);
    }
    Ok(Some(format!("no process of {unit} listens at {url}")))
}

/// Sends the POST. A connection that ends without an answer counts as heard: a daemon that exits at once does that.
async fn ask(host: &dyn Host, url: &HttpUrl, within: Duration) -> Result<(), String> {
    let http = Http::open(host, url).await.map_err(|error| error.to_string())?;
    match http.post(within).await {
        Ok(reply) if (200..300).contains(&reply.status) => Ok(()),
        Ok(reply) => Err(format!("{url} answered {}", reply.status)),
        Err(HttpError::Broken { source, .. }) if !source.is_connect() => Ok(()),
        Err(HttpError::Timeout { .. }) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Waits until the main process of `before` is gone; `false` when the time is over.
async fn wait_for_end(
    supervisor: &Supervisor,
    unit: &str,
    before: &UnitStatus,
    deadline: Instant,
) -> Result<bool, SupervisorError> {
    let mut watch = supervisor.watch(unit).await?;
    loop {
        let now = supervisor.status_of(unit).await?;
        if now.pid != before.pid || !is_alive(&now) {
            return Ok(true);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        watch.changed(left).await;
    }
}

/// Kills what the stop left over, until nothing is; tells whether there was something.
async fn prove_empty(supervisor: &Supervisor, unit: &str) -> Result<bool, StopError> {
    let failed = |source| StopError::Supervisor { unit: unit.to_owned(), source };
    let deadline = Instant::now() + AFTER_KILL;
    let mut killed = false;
    for (look, pause) in super::health::pauses().enumerate() {
        let pids = supervisor.processes(unit).await.map_err(failed)?;
        if pids.is_empty() {
            return Ok(killed);
        }
        if Instant::now() > deadline {
            return Err(StopError::NotEmpty { what: unit.to_owned(), pids });
        }
        // What the supervisor itself has killed with the main process may still be on its way out.
        if look > 0 {
            killed = true;
            supervisor.kill(unit, Whom::All, Signal::Kill).await.map_err(failed)?;
        }
        tokio::time::sleep(pause).await;
    }
    Ok(killed)
}

/// Ends one process that no supervisor knows: TERM, `stop.term` to end, KILL. The URL comes first where one is given.
///
/// A process that took over the number of the one found at the beginning is never signalled.
///
/// ```no_run
/// # async fn example() -> anyhow::Result<()> {
/// use unitbee::service::spec::Stop;
///
/// let host = unitbee::host::open("here", "localhost", &unitbee::host::Options::default());
/// let stopped = unitbee::lifecycle::graceful_shutdown_by_pid(host.as_ref(), 4711, &Stop::default()).await?;
/// eprintln!("ended by {:?}", stopped.by);
/// # Ok(())
/// # }
/// ```
pub async fn graceful_shutdown_by_pid(host: &dyn Host, pid: u32, stop: &Stop) -> Result<Stopped, StopError> {
    let begun = Instant::now();
    let failed = |source| StopError::Process { pid, source };
    let done = |by, note| Ok(Stopped { by, elapsed: begun.elapsed(), note });
    let Some(process) = process::find(host, pid).await.map_err(failed)? else {
        return done(StoppedBy::Already, None);
    };
    let mut note = None;
    if let Some(url) = &stop.url {
        match ask(host, url, ANSWER).await {
            Ok(()) if gone_within(host, &process, stop.drain).await.map_err(failed)? => {
                return done(StoppedBy::Url, None);
            }
            Ok(()) => {}
            Err(reason) => note = Some(reason),
        }
    }
    for (signal, by, time) in [(Signal::Term, StoppedBy::Term, stop.term), (Signal::Kill, StoppedBy::Kill, AFTER_KILL)]
    {
        if !process::signal(host, &process, signal).await.map_err(failed)?
            || gone_within(host, &process, time).await.map_err(failed)?
        {
            return done(by, note);
        }
    }
    Err(StopError::NotEmpty { what: format!("process {pid}"), pids: vec![pid] })
}

async fn gone_within(host: &dyn Host, process: &ProcessId, time: Duration) -> Result<bool, HostError> {
    let deadline = Instant::now() + time;
    let mut pauses = super::health::pauses();
    loop {
        if process::find(host, process.pid).await?.as_ref() != Some(process) {
            return Ok(true);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        tokio::time::sleep(pauses.next().unwrap_or(left).min(left)).await;
    }
}
