//! The units of one wave: each is started or replaced and has to pass its gate, at the same time as the others.

use std::sync::Arc;

use super::super::error::ApplyError;
use super::super::event::Event;
use super::super::plan::{Lane, Wave};
use super::super::step::{Action, Step};
use super::Executor;
use crate::host::Cgroup;
use crate::lifecycle::service::Started;
use crate::lifecycle::{Launch, Service};
use crate::service::spec::UnitSpec;
use crate::supervisor::Supervisor;

/// A unit that is up.
#[derive(Debug)]
pub(in super::super) struct Passed {
    pub(in super::super) spec: Arc<UnitSpec>,
    /// Its cgroup, where that was looked at already.
    pub(in super::super) cgroup: Option<Cgroup>,
    /// Main process.
    pub(in super::super) pid: Option<u32>,
}

/// A unit that did not pass its gate.
#[derive(Debug)]
pub(in super::super) struct Rejected {
    pub(in super::super) unit: String,
    pub(in super::super) release: u32,
    pub(in super::super) error: ApplyError,
}

impl Executor<'_> {
    /// Carries out the lanes of a wave; those that did not pass. An error is one of the host's, not of a service.
    pub(super) async fn lanes(&mut self, wave: &Wave) -> Result<Vec<Rejected>, ApplyError> {
        if wave.lanes.is_empty() {
            return Ok(Vec::new());
        }
        self.flush().await?;
        let supervisor = self.supervisor(self.manager).await?;
        let all = futures_util::future::join_all(wave.lanes.iter().map(|lane| self.lane(&supervisor, lane))).await;
        let mut rejected = Vec::new();
        for (lane, done) in wave.lanes.iter().zip(all) {
            match done {
                Ok(passed) => {
                    self.outcome.up.push(passed);
                    self.deferred.push(lane.accept.clone());
                }
                Err(error) if error.is_about_the_host() => return Err(error),
                Err(error) => {
                    rejected.push(Rejected { unit: lane.spec.unit.to_string(), release: lane.release, error });
                }
            }
        }
        Ok(rejected)
    }

    async fn lane(&self, supervisor: &Supervisor, lane: &Lane) -> Result<Passed, ApplyError> {
        let spec = &lane.spec;
        let unit = spec.unit.as_str();
        let health = spec.health.as_ref();
        let service = Service { host: self.host.as_ref(), supervisor, unit, health, stop: &spec.stop };
        let mut launch = None;
        let mut up = None;
        for step in &lane.steps {
            let one = std::slice::from_ref(step);
            self.begun(one);
            let done = self.lane_step(&service, step, &mut launch, &mut up).await;
            self.ended(one, done.is_ok());
            done?;
        }
        // A service that runs is worth more than a log that is short.
        if launch.is_some()
            && let Err(error) = supervisor.rotate_log(unit, &spec.logs).await
        {
            (self.events)(Event::Unrotated { unit: unit.to_owned(), why: error.to_string() });
        }
        let (pid, cgroup) = up.map_or((None, None), |started: Started| (started.pid, started.cgroup));
        Ok(Passed { spec: Arc::clone(spec), cgroup, pid })
    }

    async fn lane_step(
        &self,
        service: &Service<'_>,
        step: &Step,
        launch: &mut Option<Launch>,
        up: &mut Option<Started>,
    ) -> Result<(), ApplyError> {
        let unit = || service.unit.to_owned();
        match &step.action {
            Action::Launch { replaces } => {
                self.lease.check(self.host.as_ref()).await?;
                let launched = match replaces {
                    Some(ladder) => {
                        let (stopped, launched) = service.replace(ladder).await?;
                        (self.events)(Event::Stopped { unit: unit(), by: stopped.by });
                        launched
                    }
                    None => service.launch().await?,
                };
                (self.events)(Event::Started { unit: unit(), pid: launched.pid });
                *launch = Some(launched);
            }
            Action::Gate => {
                let begun = tokio::time::Instant::now();
                let within = service.health.map(|health| health.within).unwrap_or_default();
                let seen = |what: &str| {
                    let after = begun.elapsed();
                    (self.events)(Event::Seen { unit: unit(), what: what.to_owned(), after, within });
                };
                let started = match launch {
                    Some(launch) => service.gate(launch, &seen).await?,
                    None => service.wait().await?,
                };
                if let Some(after) = started.healthy_after {
                    (self.events)(Event::Healthy { unit: unit(), after });
                }
                *up = Some(started);
            }
            // The planner puts nothing else into a lane.
            _ => {}
        }
        Ok(())
    }
}
