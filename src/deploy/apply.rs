//! Carries a plan out on one host.
//!
//! First look without a lock: on a host where nothing is to be done, that one exchange is all. Else the host's lock is
//! taken and the look repeated under it, so that of many who apply at once each works on what the one before left.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::time::Instant;

use super::check::{self, CheckError};
use super::event::{Event, Sink};
use super::plan::{Choices, Obstacle, Plan, Start, plan};
use super::release::Wanted;
use super::survey::{self, Observed};
use crate::host::{self, Answer, Ask, Cgroup, Facts, Host, HostError, Lease, Observation, Query};
use crate::lifecycle::stop::{StopError, is_outside};
use crate::lifecycle::{LifecycleError, Service, graceful_shutdown};
use crate::observe::flags::limit_gap;
use crate::service::render::{Systemd, Target};
use crate::service::spec::{Limits, UnitSpec};
use crate::supervisor::{
    self, Approach, Persistence, Supervisor, SupervisorError, SupervisorKind, UnitFileKind, layout,
};

/// The host-wide lock that everything which changes units takes.
pub(super) const LOCK: &str = "apply";

/// How long to wait before the next try at the lock; every process adds its own bit, so that they do not come together.
const RETRY: Duration = Duration::from_millis(250);

/// What is to be done on one host, and how.
#[derive(Debug, Clone)]
pub struct Order<'a> {
    /// What is to be there.
    pub wanted: &'a [Wanted],
    /// What may be done without asking.
    pub choices: Choices,
    /// Who is at work, for others who find the host locked.
    pub owner: &'a str,
    /// How long to wait for others at work.
    pub patience: Duration,
    /// The manager that was asked for, instead of the one that fits the host.
    pub supervisor: Option<SupervisorKind>,
}

/// What an apply came to on one host.
#[derive(Debug, Clone)]
pub struct Applied {
    /// What was done.
    pub outcome: Outcome,
    /// How the host's service manager was talked to.
    pub transport: Option<supervisor::Transport>,
    /// What is not quite as wished, and cannot be.
    pub notes: Vec<String>,
    /// Limits that do not hold, by unit; of units that were started or read anew, the others were not looked at.
    pub gaps: Vec<(String, String)>,
    /// Set where the services end with the session: the command that mends it, and what the host said.
    pub not_persistent: Option<(String, String)>,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing had to be done.
    Unchanged,
    /// The plan was carried out.
    Changed,
}

/// Why an apply failed on one host.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The host did not do its part.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The host's supervisor did not do its part.
    #[error(transparent)]
    Supervisor(#[from] SupervisorError),
    /// The host's answers are not those to our questions.
    #[error("{host} answered other questions than were asked")]
    Garbled {
        /// Host.
        host: String,
    },
    /// Somebody has to decide or to mend something first.
    #[error("nothing was done on {host}")]
    Obstacles {
        /// Host.
        host: String,
        /// What stands in the way.
        obstacles: Vec<Obstacle>,
    },
    /// A program does not run there.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// A service did not start, or did not get healthy. Its files are in place.
    #[error(transparent)]
    Lifecycle(#[from] LifecycleError),
    /// A service did not end.
    #[error(transparent)]
    Stop(#[from] StopError),
    /// Something is left where nothing should be.
    #[error("{unit} is not gone from {host}: {what}")]
    NotGone {
        /// Unit.
        unit: String,
        /// Host.
        host: String,
        /// What is left.
        what: String,
    },
}

impl ApplyError {
    /// One command or one sentence that helps.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Host(error) => error.hint(),
            Self::Supervisor(error) => error.hint(),
            Self::Lifecycle(error) => error.hint(),
            Self::Check(error) => error.hint(),
            Self::Obstacles { obstacles, .. } => obstacles.iter().find_map(Obstacle::hint),
            Self::Stop(error) => error.hint(),
            Self::Garbled { .. } | Self::NotGone { .. } => None,
        }
    }
}

/// A host with its manager, where it has one already.
pub(super) struct Site {
    pub(super) facts: Facts,
    pub(super) manager: SupervisorKind,
    pub(super) supervisor: Option<Supervisor>,
}

/// How far the way to the manager has been gone.
enum Way {
    Approach(Approach),
    Supervisor(Supervisor),
}

impl Default for Way {
    fn default() -> Self {
        Self::Approach(Approach::default())
    }
}

/// What would be done on `host`; nothing is.
pub async fn preview(host: &Arc<dyn Host>, order: &Order<'_>, events: Sink<'_>) -> Result<Plan, ApplyError> {
    let (observation, approach) = supervisor::query(host, &survey::query(order.wanted, order.supervisor)).await?;
    let (plan, _) = look(host, order, observation, Way::Approach(approach), events).await?;
    Ok(plan)
}

/// Makes `host` what is wanted, and waits until everything that was started is healthy.
pub async fn apply(host: &Arc<dyn Host>, order: &Order<'_>, events: Sink<'_>) -> Result<Applied, ApplyError> {
    let query = survey::query(order.wanted, order.supervisor);
    let (observation, approach) = supervisor::query(host, &query).await?;
    let (plan, site) = look(host, order, observation, Way::Approach(approach), events).await?;
    if plan.is_empty() {
        if let Some(supervisor) = &site.supervisor {
            still_healthy(host, order, &plan, supervisor).await?;
        }
        return Ok(Applied {
            outcome: Outcome::Unchanged,
            transport: site.supervisor.as_ref().map(Supervisor::transport),
            notes: plan.notes,
            gaps: Vec::new(),
            not_persistent: None,
        });
    }
    let (lease, observation) = lock(host, order, &query, events).await?;
    let way = site.supervisor.map_or_else(Way::default, Way::Supervisor);
    let (plan, site) = look(host, order, observation, way, events).await?;
    let applied = carry_out(host, order, plan, site, events).await;
    drop(lease);
    applied
}

/// Takes the host's lock and asks under it.
pub(super) async fn lock(
    host: &Arc<dyn Host>,
    order: &Order<'_>,
    query: &Query,
    events: Sink<'_>,
) -> Result<(Lease, Observation), HostError> {
    let deadline = Instant::now() + order.patience;
    let mut waits = false;
    loop {
        match host.lock(LOCK, order.owner, query).await {
            Err(HostError::Busy { .. }) if Instant::now() < deadline => {
                if !waits {
                    events(Event::Waiting);
                    waits = true;
                }
                tokio::time::sleep(RETRY + Duration::from_millis(u64::from(std::process::id() % 256))).await;
            }
            done => return done,
        }
    }
}

/// Asks the manager for what the files do not tell, and plans.
async fn look(
    host: &Arc<dyn Host>,
    order: &Order<'_>,
    observation: Observation,
    way: Way,
    events: Sink<'_>,
) -> Result<(Plan, Site), ApplyError> {
    let mut observed = survey::read(order.wanted, observation, order.supervisor)
        .ok_or_else(|| ApplyError::Garbled { host: host.name().to_owned() })?;
    let supervisor = match way {
        Way::Supervisor(supervisor) => Some(supervisor),
        Way::Approach(approach) => {
            connect_if_any(approach, host, &observed.facts, observed.choice.manager, events).await?
        }
    };
    if let Some(supervisor) = &supervisor {
        ask(host.as_ref(), supervisor, order.wanted, &mut observed).await?;
    }
    let plan = plan(host.name(), order.wanted, &observed, order.choices)
        .map_err(|obstacles| ApplyError::Obstacles { host: host.name().to_owned(), obstacles })?;
    Ok((plan, Site { facts: observed.facts, manager: observed.choice.manager, supervisor }))
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
        Err(SupervisorError::Missing { missing: supervisor::Missing::UserManager, .. }) if !facts.linger => Ok(None),
        Err(error) => Err(error),
    }
}

async fn ask(
    host: &dyn Host,
    supervisor: &Supervisor,
    wanted: &[Wanted],
    observed: &mut Observed,
) -> Result<(), SupervisorError> {
    let (manager, host) = (supervisor.kind(), host.name());
    for (unit, wanted) in observed.units.iter_mut().zip(wanted) {
        let own = UnitFileKind::of(manager, wanted.spec.scope);
        let file = unit.file.as_ref().map(|file| (own, file));
        unit.status = observed.told.status(manager, host, &observed.facts, wanted.spec.unit.as_str(), file)?;
    }
    if manager != SupervisorKind::Systemd {
        return Ok(());
    }
    let names: Vec<String> = wanted.iter().map(|unit| unit.spec.unit.to_string()).collect();
    let (version, statuses) = tokio::try_join!(supervisor.version(), supervisor.status(&names))?;
    observed.target = Target::Systemd(Systemd { version });
    for (unit, status) in observed.units.iter_mut().zip(statuses) {
        unit.status = Some(status);
    }
    Ok(())
}

async fn carry_out(
    host: &Arc<dyn Host>,
    order: &Order<'_>,
    plan: Plan,
    site: Site,
    events: Sink<'_>,
) -> Result<Applied, ApplyError> {
    let mut plan = plan;
    // Each is looked at again when it is ended, but then files are changed already.
    if let Some(supervisor) = &site.supervisor {
        for start in plan.starts.iter().filter(|start| start.restart) {
            is_outside(host.as_ref(), supervisor, &start.unit).await?;
        }
    }
    check::run(host.as_ref(), &mut plan, events).await?;
    let mut outcome = if plan.only_lingers() { Outcome::Unchanged } else { Outcome::Changed };
    // What cannot be brought there ends nothing.
    host::stage_as_root(host.as_ref(), &plan.roots).await?;
    let left = take_away(host, &plan, &site.facts, events).await?;
    // Before anything else, because it fails as a whole.
    if plan.changes_files() {
        let total = plan.bytes();
        host.change(&plan.batch, &|bytes| events(Event::Sent { bytes, total })).await?;
        host::change_as_root(host.as_ref(), &plan.roots).await?;
        events(Event::Written { files: plan.batch.puts.len() + plan.roots.puts.len() });
    }
    for supervisor in left {
        supervisor.daemon_reload().await?;
    }
    let mut not_persistent = None;
    let mut site = site;
    if plan.linger {
        match supervisor::ensure_persistent(host.as_ref(), &site.facts).await? {
            Persistence::Already => {}
            Persistence::Enabled => {
                outcome = Outcome::Changed;
                events(Event::LingerEnabled);
                site = reconnected(host, site, events).await?;
            }
            Persistence::Refused { command, detail } => not_persistent = Some((command, detail)),
        }
    }
    let supervisor = match site.supervisor {
        Some(supervisor) => supervisor,
        // Says what is missing, now that everything was tried.
        None => Supervisor::connect_by(Approach::default(), Arc::clone(host), &site.facts, site.manager).await?,
    };
    // A wanted link is read with the unit files.
    if !plan.enable.is_empty() {
        // A host without cron has nothing that could be switched on for the runner.
        if supervisor.enable(&plan.enable).await? || supervisor.kind() == SupervisorKind::Systemd {
            plan.enable.iter().for_each(|unit| events(Event::Enabled { unit: unit.clone() }));
        }
    }
    if plan.reload || (!plan.enable.is_empty() && supervisor.kind() != SupervisorKind::Launchd) {
        supervisor.daemon_reload().await?;
        events(Event::Reloaded);
    }
    let mut up = if plan.reload { hold_what_runs(order, &plan, &supervisor).await? } else { Vec::new() };
    up.extend(start_all(host, order, &plan, &supervisor, events).await?);
    let gaps = gaps(host, &supervisor, up).await?;
    still_healthy(host, order, &plan, &supervisor).await?;
    Ok(Applied { outcome, transport: Some(supervisor.transport()), notes: plan.notes, gaps, not_persistent })
}

/// A manager that was just brought up has a socket that the facts do not know of yet.
async fn reconnected(host: &Arc<dyn Host>, site: Site, events: Sink<'_>) -> Result<Site, ApplyError> {
    if site.supervisor.is_some() {
        return Ok(site);
    }
    let facts = host.query(&Query::default()).await?.facts;
    let supervisor = connect_if_any(Approach::default(), host, &facts, site.manager, events).await?;
    Ok(Site { facts, manager: site.manager, supervisor })
}

/// Ends units under managers that are not the host's any more, so that there are never two copies; gives the managers,
/// which have to hear that the definitions are gone.
async fn take_away(
    host: &Arc<dyn Host>,
    plan: &Plan,
    facts: &Facts,
    events: Sink<'_>,
) -> Result<Vec<Supervisor>, ApplyError> {
    let mut left = Vec::new();
    for manager in SupervisorKind::ALL {
        let moves: Vec<_> = plan.moves.iter().filter(|unit| unit.from == manager).collect();
        if moves.is_empty() {
            continue;
        }
        let supervisor = match Supervisor::connect_by(Approach::default(), Arc::clone(host), facts, manager).await {
            Ok(supervisor) => supervisor,
            // A manager that is not there runs nothing.
            Err(SupervisorError::Missing { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        for unit in moves {
            let stopped = graceful_shutdown(host.as_ref(), &supervisor, &unit.unit, &unit.stop).await?;
            events(Event::Stopped { unit: unit.unit.clone(), by: stopped.by });
            supervisor.forget(std::slice::from_ref(&unit.unit)).await?;
        }
        left.push(supervisor);
    }
    Ok(left)
}

/// A unit that is up, with its cgroup where that was looked at already.
type Up<'a> = (&'a UnitSpec, Option<Cgroup>);

/// Starts what is new all at once; replaces what runs one after the other, so that the others go on serving.
async fn start_all<'a>(
    host: &Arc<dyn Host>,
    order: &Order<'a>,
    plan: &Plan,
    supervisor: &Supervisor,
    events: Sink<'_>,
) -> Result<Vec<Up<'a>>, ApplyError> {
    let spec = |unit: &str| order.wanted.iter().map(|wanted| &wanted.spec).find(|spec| spec.unit.as_str() == unit);
    let run = async |start: &Start| -> Result<Option<Up<'a>>, ApplyError> {
        let unit = start.unit.as_str();
        let Some(spec) = spec(unit) else { return Ok(None) };
        let service = Service { host: host.as_ref(), supervisor, unit, health: spec.health.as_ref(), stop: &spec.stop };
        let launch = if start.restart {
            let (stopped, launch) = service.replace(&start.stop).await?;
            events(Event::Stopped { unit: unit.to_owned(), by: stopped.by });
            launch
        } else {
            service.launch().await?
        };
        let started = service.gate(&launch, &|_| {}).await?;
        events(Event::Started { unit: unit.to_owned(), pid: started.pid });
        if let Some(after) = started.healthy_after {
            events(Event::Healthy { unit: unit.to_owned(), after });
        }
        // A service that runs is worth more than a log that is short.
        if let Err(error) = supervisor.rotate_log(unit, &spec.logs).await {
            events(Event::Unrotated { unit: unit.to_owned(), why: error.to_string() });
        }
        Ok(Some((spec, started.cgroup)))
    };
    let mut up = Vec::new();
    let fresh = plan.starts.iter().filter(|start| !start.restart).map(&run);
    for done in futures_util::future::join_all(fresh).await {
        up.extend(done?);
    }
    for start in plan.starts.iter().filter(|start| start.restart) {
        up.extend(run(start).await?);
    }
    Ok(up)
}

/// The units that a plan leaves running as they are.
fn kept<'a>(order: &Order<'a>, plan: &Plan) -> impl Iterator<Item = &'a UnitSpec> {
    let is_started = |spec: &&UnitSpec| plan.starts.iter().any(|start| start.unit == spec.unit.as_str());
    order.wanted.iter().map(|wanted| &wanted.spec).filter(move |spec| !is_started(spec))
}

/// Makes sure of those that were left alone: one that did not get healthy at the last try gets its time, and fails again.
async fn still_healthy(
    host: &Arc<dyn Host>,
    order: &Order<'_>,
    plan: &Plan,
    supervisor: &Supervisor,
) -> Result<(), LifecycleError> {
    let check = async |spec: &UnitSpec| -> Result<(), LifecycleError> {
        let (unit, host) = (spec.unit.as_str(), host.as_ref());
        let service = Service { host, supervisor, unit, health: spec.health.as_ref(), stop: &spec.stop };
        if service.is_healthy().await? { Ok(()) } else { service.wait().await.map(drop) }
    };
    futures_util::future::try_join_all(kept(order, plan).map(check)).await.map(drop)
}

/// Has those that go on running held to their new limits.
async fn hold_what_runs<'a>(
    order: &Order<'a>,
    plan: &Plan,
    supervisor: &Supervisor,
) -> Result<Vec<Up<'a>>, SupervisorError> {
    let hold = async |spec: &'a UnitSpec| supervisor.realize_limits(spec.unit.as_str()).await.map(|()| (spec, None));
    futures_util::future::try_join_all(kept(order, plan).map(hold)).await
}

/// Which limits of the units do not hold; one exchange for those whose cgroup nobody looked at yet, and one more where
/// only a runner knows why there is none.
async fn gaps(
    host: &Arc<dyn Host>,
    supervisor: &Supervisor,
    mut up: Vec<Up<'_>>,
) -> Result<Vec<(String, String)>, ApplyError> {
    let manager = supervisor.kind();
    let is_unseen = |(spec, cgroup): &&mut Up<'_>| {
        manager != SupervisorKind::Launchd && cgroup.is_none() && spec.limits != Limits::default()
    };
    let mut unseen: Vec<&mut Up<'_>> = up.iter_mut().filter(is_unseen).collect();
    if !unseen.is_empty() {
        let ask =
            |(spec, _): &&mut Up<'_>| Ask::Cgroup(layout::cgroup(manager, spec.slice.as_str(), spec.unit.as_str()));
        let asks = unseen.iter().map(ask).collect();
        for ((_, cgroup), answer) in unseen.iter_mut().zip(host.query(&Query { asks }).await?.answers) {
            if let Answer::Cgroup(found) = answer {
                *cgroup = found;
            }
        }
    }
    let bare: Vec<String> = up
        .iter()
        .filter(|(spec, cgroup)| {
            manager == SupervisorKind::Runner && cgroup.is_none() && spec.limits != Limits::default()
        })
        .map(|(spec, _)| spec.unit.to_string())
        .collect();
    let told = if bare.is_empty() { Vec::new() } else { supervisor.status(&bare).await? };
    let gap = |(spec, cgroup): &Up<'_>| {
        let unit = spec.unit.as_str();
        let without =
            told.iter().find(|status| status.unit == unit).and_then(|status| status.no_limits_reason.as_deref());
        Some((unit.to_owned(), limit_gap(manager, &spec.limits, cgroup.as_ref(), without)?))
    };
    Ok(up.iter().filter_map(gap).collect())
}
