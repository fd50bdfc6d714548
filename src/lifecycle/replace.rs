//! Starting and replacing a service in two steps: what is told to the host, and the gate that the new process has to pass.

use std::time::Duration;

use futures_util::TryFutureExt;
use tokio::time::Instant;

use super::error::LifecycleError;
use super::gate::{Gate, GateError, Passed};
use super::service::{Service, Started};
use super::stop::{AFTER_KILL, Stopped, StoppedBy, ask_to_exit, graceful_shutdown, is_alive, refuse_own};
use crate::service::spec::{Health, Stop};
use crate::supervisor::{JobResult, Refusal, State, SupervisorError, UnitStatus};

/// How long a start job may take: `Type=exec` is done with the exec.
const START: Duration = Duration::from_secs(90);

/// What counts where no health is declared.
static USUAL: Health = Health { url: None, expect: None, within: Health::WITHIN, healthy_for: Health::RUNNING_FOR };

/// A start that was begun: what [`Service::gate`] has to know of it.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The run before it, which no longer counts.
    pub before: Option<String>,
    /// Its main process, if it has one yet.
    pub pid: Option<u32>,
    /// When it began.
    pub begun: Instant,
    /// The units that depend on it and were active before it was replaced, by their full names.
    pub dependents: Vec<String>,
}

impl Service<'_> {
    /// Starts the definition in effect, without waiting until it is healthy: [`gate`](Self::gate) does that.
    pub async fn launch(&self) -> Result<Launch, LifecycleError> {
        self.launch_from(self.installed().await?, Vec::new()).await
    }

    /// Ends what runs down the ladder of `old` and starts the definition in effect, without waiting until it is healthy.
    ///
    /// That is one order to the host, which has it before anything is ended: once the process is told to end, the host
    /// finishes alone whatever becomes of us. Units that depend on this one and were active before are active afterwards.
    /// Nothing is ended where it is known already that the definition in effect cannot be started.
    ///
    /// # Errors
    ///
    /// [`LifecycleError::Dependents`] if such a unit did not come back though this one did.
    pub async fn replace(&self, old: &Stop) -> Result<(Stopped, Launch), LifecycleError> {
        let before = self.installed().await?;
        let begun = Instant::now();
        // Questions and checks only, which do not wait for each other.
        let (old_processes, (), (), dependents) = tokio::try_join!(
            self.supervisor.processes(self.unit).map_err(self.failed("list the processes of")),
            self.supervisor.prepare_start(self.unit).map_err(self.failed("start")),
            self.supervisor.prepare_stop(&before).map_err(self.failed("stop")),
            self.supervisor.dependents(self.unit).map_err(self.failed("list what depends on")),
        )?;
        refuse_own(self.host, self.unit, &old_processes)?;
        let runs = is_alive(&before) || !old_processes.is_empty();
        if !runs && !matches!(before.state, State::Backoff { .. }) {
            let stopped = Stopped { by: StoppedBy::Already, elapsed: begun.elapsed(), note: None };
            return Ok((stopped, self.launch_from(before, dependents).await?));
        }
        let order = || async {
            let order = self.supervisor.order_restart(self.unit, &old_processes, old.term, &dependents).await;
            order.map_err(self.failed("restart"))
        };
        let mut first = order().await?;
        let (mut stopped, start) = if first.is_insurance() {
            let stopped = match graceful_shutdown(self.host, self.supervisor, self.unit, old).await {
                Ok(stopped) => stopped,
                Err(error) => {
                    first.withdraw().await;
                    return Err(self.or_down(error.into()).await);
                }
            };
            let start = self.start_job().await;
            first.withdraw().await;
            (stopped, start)
        } else {
            let (mut by_url, mut note) = (false, None);
            // Where nothing of it runs, it is somebody else who answers there.
            if runs && first.is_pending().await {
                let asked = ask_to_exit(self.host, self.supervisor, self.unit, &before, old).await;
                (by_url, note) = asked.map_err(self.failed("stop"))?;
            }
            let deadline = old.term + AFTER_KILL + START;
            let mut done = first.carry_out(deadline).await.map_err(self.failed("restart"))?;
            if done.alone && old.url.is_some() {
                // The new run may have got the request that was meant for the old one.
                done = order().await?.carry_out(deadline).await.map_err(self.failed("restart"))?;
            }
            let by = match (done.killed, by_url) {
                (true, _) => StoppedBy::Kill,
                (false, true) => StoppedBy::Url,
                (false, false) => StoppedBy::Term,
            };
            let start = done.failure.map_or(Ok(JobResult::Done), |result| Ok(JobResult::Failed { result }));
            (Stopped { by, elapsed: begun.elapsed(), note }, start)
        };
        if !runs && stopped.by != StoppedBy::Kill {
            stopped.by = StoppedBy::Already;
        }
        let begun = Instant::now();
        let after = match start {
            Ok(result) => self.after(result).await,
            Err(error) => Err(error),
        };
        let after = match after {
            Ok(after) => after,
            // It says itself that the unit is down.
            Err(error @ LifecycleError::Gate { .. }) => return Err(error),
            Err(error) => return Err(self.or_down(error).await),
        };
        if after.pid.is_some() {
            self.check_dependents(&dependents).await?;
        }
        Ok((stopped, Launch { before: before.invocation, pid: after.pid, begun, dependents }))
    }

    /// Starts again those of `dependents` that are down: the ones that were up before this unit was replaced and, as they
    /// cannot be without it, ended when its new process did.
    pub async fn restore(&self, dependents: &[String]) -> Result<(), LifecycleError> {
        self.supervisor.start_dependents(dependents, START).await.map_err(self.failed("start what depends on"))?;
        self.check_dependents(dependents).await
    }

    pub(super) async fn check_dependents(&self, dependents: &[String]) -> Result<(), LifecycleError> {
        let down = self.supervisor.inactive(dependents).await.map_err(self.failed("look at what depends on"))?;
        if down.is_empty() {
            return Ok(());
        }
        let (unit, host) = (self.unit.to_owned(), self.host.name().to_owned());
        Err(LifecycleError::Dependents { unit, host, dependents: down })
    }

    /// Waits until the process that a launch started is healthy. An exit or a restart meanwhile fails at once. `seen` gets
    /// what was seen last, as often as that changes.
    pub async fn gate(&self, launch: &Launch, seen: &(dyn Fn(&str) + Sync)) -> Result<Started, LifecycleError> {
        let gate = Gate { before: launch.before.clone(), begun: launch.begun, strict: true, ..self.usual_gate() };
        let passed = gate.pass(seen).await.map_err(|source| self.gate_failed(source))?;
        Ok(self.started(passed, false))
    }

    /// The gate of somebody who just waits.
    pub(super) fn usual_gate(&self) -> Gate<'_> {
        Gate {
            host: self.host,
            supervisor: self.supervisor,
            unit: self.unit,
            health: self.health.unwrap_or(&USUAL),
            before: None,
            begun: Instant::now(),
            strict: false,
        }
    }

    pub(super) fn started(&self, passed: Passed, already: bool) -> Started {
        let answers = self.health.is_some_and(|health| health.url.is_some());
        let healthy_after = answers.then_some(passed.elapsed);
        Started { pid: Some(passed.pid), healthy_after, already, cgroup: passed.cgroup }
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

    pub(super) async fn launch_from(
        &self,
        before: UnitStatus,
        dependents: Vec<String>,
    ) -> Result<Launch, LifecycleError> {
        let begun = Instant::now();
        let result = self.start_job().await?;
        let after = self.after(result).await?;
        // A start job does nothing to a run that is there already: that one is what was asked for.
        let is_kept = matches!(before.state, State::Starting | State::Running { .. });
        let before = before.invocation.filter(|old| !is_kept || after.invocation.as_ref() != Some(old));
        Ok(Launch { before, pid: after.pid, begun, dependents })
    }

    async fn start_job(&self) -> Result<JobResult, LifecycleError> {
        // The manager counts every start against its limit: one that somebody asks for must not be the one too many.
        self.supervisor.reset_failed(self.unit).await.map_err(self.failed("reset-failed"))?;
        self.supervisor.start(self.unit, START).await.map_err(self.failed("start"))
    }

    /// The status after a start job that came to `result`.
    async fn after(&self, result: JobResult) -> Result<UnitStatus, LifecycleError> {
        let after = self.supervisor.status_of(self.unit).await.map_err(self.failed("look at"))?;
        match result {
            JobResult::Failed { result } => Err(self.not_up(&after, result)),
            JobResult::Done | JobResult::Unseen { .. } => Ok(after),
        }
    }

    /// A start that failed, in the same words as one that fails a moment later. `result` is the supervisor's word for it.
    fn not_up(&self, status: &UnitStatus, result: String) -> LifecycleError {
        let unit = self.unit.to_owned();
        match (&status.state, &status.ended) {
            (State::Failed { reason }, _) => self.gate_failed(GateError::Failed { unit, reason: reason.clone() }),
            (State::Backoff { .. } | State::Stopped, Some(reason)) => {
                let clean = status.state == State::Stopped;
                self.gate_failed(GateError::Exited { unit, reason: reason.clone(), clean })
            }
            _ => {
                let host = self.host.name();
                let source = SupervisorError::refused(host, "start", self.unit, Refusal::Other, result);
                self.failed("start")(source)
            }
        }
    }
}
