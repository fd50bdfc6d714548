//! Looks at a host, plans, and carries the plan out under the lock: the one way from what is to what is desired, whether
//! that comes from a manifest or from a release that the host keeps.

use std::sync::Arc;

use camino::Utf8PathBuf;

use super::apply::{Applied, OnFailure};
use super::change::Change;
use super::desired::Desired;
use super::error::ApplyError;
use super::event::{Event, Sink};
use super::execute::{Ended, Executor, Passed, is_lock_lost, is_no_manager};
use super::journal::Journal;
use super::limits::unenforced;
use super::plan::{self, ApplyOptions, Plan};
use super::recover::finish;
use super::release::read_back;
use super::retreat::Retreat;
use super::survey::{self, Observed, UnitObserved, Unusable};
use crate::host::{Answer, Ask, Base, Facts, Host, HostPath, Lease, Observation, Query};
use crate::lifecycle::{LifecycleError, Service};
use crate::service::render::header;
use crate::service::render::{Systemd, Target};
use crate::service::spec::UnitSpec;
use crate::supervisor::{Approach, Supervisor, SupervisorError, SupervisorKind, UnitFileKind, layout};

/// How far the way to the manager has been gone.
pub(super) enum Route {
    Approach(Approach),
    Supervisor(Arc<Supervisor>),
}

impl From<Approach> for Route {
    fn from(approach: Approach) -> Self {
        Self::Approach(approach)
    }
}

/// What a look at a host came to.
pub(super) struct Looked {
    pub(super) plan: Plan,
    pub(super) observed: Observed,
    pub(super) supervisor: Option<Arc<Supervisor>>,
}

impl Looked {
    /// The way to the manager for the next look.
    pub(super) fn route(&self) -> Route {
        let gone = self.supervisor.as_ref().map(|supervisor| Route::Supervisor(Arc::clone(supervisor)));
        gone.unwrap_or_else(|| Approach::default().into())
    }

    /// What an apply comes to that has nothing to do: those that run have to be healthy all the same.
    pub(super) async fn unchanged(self, host: &Arc<dyn Host>, desired: &[Desired]) -> Result<Applied, ApplyError> {
        if let Some(supervisor) = &self.supervisor {
            still_healthy(host, supervisor, desired.iter().map(|desired| &desired.spec)).await?;
        }
        Ok(Applied {
            transport: self.supervisor.map(|supervisor| supervisor.transport()),
            notes: self.plan.notes,
            orphans: self.plan.orphans,
            ..Applied::default()
        })
    }
}

/// Asks the manager for what the files do not say, and plans.
pub(super) async fn look(
    host: &Arc<dyn Host>,
    change: &Change<'_>,
    desired: &[Desired],
    options: &ApplyOptions,
    observation: Observation,
    route: Route,
    events: Sink<'_>,
) -> Result<Looked, ApplyError> {
    let mut observed = survey::read(desired, observation, change.requested).map_err(|unusable| match unusable {
        Unusable::Garbled => ApplyError::Garbled { host: host.name().to_owned() },
        Unusable::Newer(newer) => newer.into(),
    })?;
    let supervisor = match route {
        Route::Supervisor(supervisor) => Some(supervisor),
        Route::Approach(approach) => {
            connect_if_any(approach, host, &observed.facts, observed.choice.manager, events).await?.map(Arc::new)
        }
    };
    if let Some(supervisor) = &supervisor {
        ask(host.as_ref(), supervisor, desired, &mut observed).await?;
    }
    read_originals(host.as_ref(), desired, &mut observed).await;
    read_drop_ins(host.as_ref(), desired, options, &mut observed).await?;
    let plan = plan::plan(host.name(), desired, &observed, change.by, options)
        .map_err(|obstacles| ApplyError::Obstacles { host: host.name().to_owned(), obstacles })?;
    Ok(Looked { plan, observed, supervisor })
}

/// Reads what was written of unit files that were edited since, to show the edit. That they cannot be read only means that
/// it is not shown.
async fn read_originals(host: &dyn Host, desired: &[Desired], observed: &mut Observed) {
    for (desired, unit) in desired.iter().zip(&mut observed.units) {
        let edited = unit.file.as_ref().and_then(|file| header::parse(&file.content)).filter(|header| !header.intact);
        let Some(header) = edited else { continue };
        if unit.releases.get(&header.release).is_some_and(|release| release.definition) {
            let release = [(desired.unit().to_owned(), header.release)];
            let stored = read_back(host, &release).await.ok().and_then(|mut all| all.pop());
            unit.original = stored.map(|stored| stored.definition);
        }
    }
}

/// Reads the drop-ins that a plan looks into: to show what they set, and the one that a further edit goes into.
async fn read_drop_ins(
    host: &dyn Host,
    desired: &[Desired],
    options: &ApplyOptions,
    observed: &mut Observed,
) -> Result<(), ApplyError> {
    if observed.choice.manager != SupervisorKind::Systemd {
        return Ok(());
    }
    let is_edited = |unit: &UnitObserved| {
        unit.file.as_ref().and_then(|file| header::parse(&file.content)).is_some_and(|header| !header.intact)
    };
    let mut asks = Vec::new();
    let mut of = Vec::new();
    for (at, (desired, unit)) in desired.iter().zip(&observed.units).enumerate() {
        if options.keep && is_edited(unit) {
            asks.push(Ask::File(layout::kept_drop_in(desired.unit())));
            of.push((at, None));
        }
        let drop_ins = unit.status.iter().filter(|_| options.preview).flat_map(|status| &status.drop_ins);
        for path in drop_ins.filter(|path| path.starts_with('/')) {
            asks.push(Ask::File(HostPath::new(Base::Root, path.trim_start_matches('/'))));
            of.push((at, Some(Utf8PathBuf::from(path))));
        }
    }
    if asks.is_empty() {
        return Ok(());
    }
    for ((at, path), answer) in of.into_iter().zip(host.query(&Query { asks }).await?.answers) {
        let Answer::File(file) = answer else { return Err(ApplyError::Garbled { host: host.name().to_owned() }) };
        match (path, file) {
            (None, file) => observed.units[at].kept = file,
            (Some(path), Some(file)) => observed.units[at].drop_ins.push((path, file.content)),
            // Gone since the manager read it, which it will find out by itself.
            (Some(_), None) => {}
        }
    }
    Ok(())
}

/// Connects to the user's manager; a user whose manager does not run yet, because nothing keeps it, is no error.
pub(super) async fn connect_if_any(
    approach: Approach,
    host: &Arc<dyn Host>,
    facts: &Facts,
    manager: SupervisorKind,
    events: Sink<'_>,
) -> Result<Option<Supervisor>, SupervisorError> {
    match Supervisor::connect_by(approach, Arc::clone(host), facts, manager).await {
        Ok(supervisor) => {
            events(Event::Connected { manager: supervisor.manager(), transport: supervisor.transport().to_string() });
            Ok(Some(supervisor))
        }
        Err(error) if is_no_manager(&error, facts) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn ask(
    host: &dyn Host,
    supervisor: &Supervisor,
    desired: &[Desired],
    observed: &mut Observed,
) -> Result<(), SupervisorError> {
    let (manager, host) = (supervisor.kind(), host.name());
    for (unit, desired) in observed.units.iter_mut().zip(desired) {
        let own = UnitFileKind::of(manager, desired.spec.scope);
        let file = unit.file.as_ref().map(|file| (own, file));
        unit.status = observed.told.status(manager, host, &observed.facts, desired.unit(), file)?;
    }
    if manager != SupervisorKind::Systemd {
        return Ok(());
    }
    let names: Vec<String> = desired.iter().map(|desired| desired.unit().to_owned()).collect();
    let (version, statuses) = tokio::try_join!(supervisor.version(), supervisor.status(&names))?;
    observed.target = Target::Systemd(Systemd { version });
    for (unit, status) in observed.units.iter_mut().zip(statuses) {
        unit.status = Some(status);
    }
    Ok(())
}

/// A change of a host whose lock is held.
pub(super) struct Session<'a> {
    pub(super) host: &'a Arc<dyn Host>,
    pub(super) change: &'a Change<'a>,
    pub(super) lease: &'a Lease,
    pub(super) events: Sink<'a>,
    /// The change that died and is being finished or reverted: its journal stays until that is done.
    pub(super) recovering: Option<&'a Journal>,
}

impl<'a> Session<'a> {
    /// An executor whose journal says that this change is under way.
    pub(super) fn executor(&self, facts: &Facts, manager: SupervisorKind) -> Executor<'a> {
        let journal = Journal {
            version: Journal::VERSION,
            verb: self.change.verb.to_owned(),
            by: self.change.owner.to_owned(),
            begun_usec: facts.now_usec,
            after: None,
            units: self.recovering.map(|journal| journal.units.clone()).unwrap_or_default(),
        };
        Executor::new(self, facts.clone(), manager, journal)
    }

    /// Carries out what was planned. Where a release does not pass its gate, goes back as `on_failure` says.
    pub(super) async fn converge(
        &self,
        desired: &[Desired],
        looked: Looked,
        on_failure: OnFailure,
    ) -> Result<Applied, ApplyError> {
        if looked.plan.is_empty() {
            return looked.unchanged(self.host, desired).await;
        }
        let Looked { plan, observed, supervisor } = looked;
        let mut executor = self.executor(&observed.facts, observed.choice.manager).with(supervisor);
        let ended = executor.run(&plan).await;
        match ended {
            Ok(Ended::Whole) => {}
            // Whoever comes next finds the journal.
            Err(error) if error.is_about_the_host() || is_lock_lost(&error) => return Err(error),
            other => {
                let is_half_done = |unit: &String| {
                    !executor.outcome.has_begun(unit)
                        && observed.journal.as_ref().is_some_and(|journal| journal.is_about(unit))
                };
                let units = plan.entries.iter().map(|entry| entry.unit.clone());
                let half_done: Vec<String> = units.filter(is_half_done).collect();
                let error = Retreat::new(self, executor, &plan, on_failure).go_back(other).await;
                if !error.is_about_the_host() && !half_done.is_empty() {
                    // Their turn did not come, and the change that died before this one is not finished yet. What this one
                    // failed of is what matters.
                    Box::pin(finish(self, &half_done)).await.ok();
                }
                return Err(error);
            }
        }
        let supervisor = executor.connected().cloned();
        let outcome = executor.outcome;
        let mut applied = Applied {
            changed: outcome.changed,
            transport: supervisor.as_ref().map(|supervisor| supervisor.transport()),
            notes: plan.notes,
            not_persistent: outcome.not_persistent,
            orphans: plan.orphans,
            ..Applied::default()
        };
        if let Some(supervisor) = &supervisor {
            let passed = |spec: &&UnitSpec| !outcome.up.iter().any(|up| up.pid.is_some() && up.spec.unit == spec.unit);
            let kept: Vec<&UnitSpec> = desired.iter().map(|desired| &desired.spec).filter(passed).collect();
            still_healthy(self.host, supervisor, kept.into_iter()).await?;
            applied.unenforced = unenforced(self.host.as_ref(), supervisor, outcome.up).await?;
        }
        Ok(applied)
    }
}

/// Makes sure of units that were left alone: one that did not get healthy at the last try gets its time, and fails again.
async fn still_healthy<'s>(
    host: &Arc<dyn Host>,
    supervisor: &Supervisor,
    specs: impl Iterator<Item = &'s UnitSpec>,
) -> Result<(), LifecycleError> {
    let check = async |spec: &UnitSpec| -> Result<(), LifecycleError> {
        let (unit, host) = (spec.unit.as_str(), host.as_ref());
        let service = Service { host, supervisor, unit, health: spec.health.as_ref(), stop: &spec.stop };
        if service.is_healthy().await? { Ok(()) } else { service.wait().await.map(drop) }
    };
    futures_util::future::try_join_all(specs.map(check)).await.map(drop)
}

/// Units that are up, by name.
pub(super) fn names(up: &[Passed]) -> Vec<String> {
    up.iter().filter(|up| up.pid.is_some()).map(|up| up.spec.unit.to_string()).collect()
}
