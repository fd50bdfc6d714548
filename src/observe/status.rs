//! The state of units on one host: one exchange, one question to the supervisor, and one probe for each health URL.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use thiserror::Error;
use tokio_util::task::AbortOnDropHandle;

use super::flags::{self, FlagInputs, Unfinished};
use crate::host::{Answer, Ask, Cgroup, Facts, FileFound, Host, HostError, Query};
use crate::lifecycle::health::{Probe, Prober};
use crate::lifecycle::http::HttpError;
use crate::service::journal::Journal;
use crate::service::record::Record;
use crate::service::spec::UnitSpec;
use crate::supervisor::launchd::look;
use crate::supervisor::snapshot::{self, Snapshot};
use crate::supervisor::{
    self, Choice, Flag, Missing, State, Supervisor, SupervisorError, SupervisorKind, Transport, UnitFileKind,
    UnitStatus, layout,
};

/// How long a service may take to answer when somebody just looks.
const PROBE: Duration = Duration::from_secs(2);

/// The managers that give a unit a cgroup.
const CGROUPS: [SupervisorKind; 2] = [SupervisorKind::Systemd, SupervisorKind::Runner];

/// A unit that is looked at.
#[derive(Debug, Clone)]
pub struct UnitRef {
    /// Unit name without suffix.
    pub unit: String,
    /// Slice without suffix, as far as it is known here.
    pub slice: String,
    /// Spec of the manifest, where there is one; else the record on the host tells.
    pub spec: Option<UnitSpec>,
}

/// The state of one unit. The names are those of the JSON, and stay.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnitReport {
    /// Host as the user named it.
    pub host: String,
    /// Unit name without suffix.
    pub unit: String,
    /// Service that it is an instance of.
    pub service: String,
    /// Instance.
    pub instance: String,
    /// `systemd`, `launchd`, `runner`.
    pub manager: Option<SupervisorKind>,
    /// Why it is that one.
    pub because: &'static str,
    /// What it cannot promise on any host.
    pub lacks: &'static [&'static str],
    /// How the manager was talked to.
    pub transport: Option<Transport>,
    /// `stopped`, `starting`, `running`, `stopping`, `failed`, `backoff`.
    pub state: &'static str,
    /// Why it failed.
    pub reason: Option<String>,
    /// Main process.
    pub pid: Option<u32>,
    /// Unix time in seconds since when it is up.
    pub since: Option<i64>,
    /// Unix time in seconds by the host's clock.
    pub now: i64,
    /// Restarts by the supervisor since the last start by hand.
    pub restarts: u32,
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// CPU time per time since the start, in percent of one core.
    pub cpu_percent: Option<f64>,
    /// Processes and threads.
    pub tasks: Option<u64>,
    /// `healthy`, `starting`, `unhealthy`, `unknown` (there is no way to ask); absent where no health is declared or it does not run.
    pub health: Option<&'static str>,
    /// What is odd.
    pub flags: Vec<Flag>,
    /// Number of the release in effect.
    pub release: Option<u32>,
    /// Whether it is started at boot.
    pub enabled: bool,
    /// Whether there is such a unit at all.
    pub installed: bool,
    /// Drop-ins in effect.
    pub drop_ins: Vec<String>,
}

impl UnitReport {
    /// Tells whether it is installed, runs, and is not known to be unhealthy.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.installed && self.state == "running" && self.health != Some("unhealthy")
    }
}

/// Why the state of a host's units cannot be told.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ObserveError {
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
}

impl ObserveError {
    /// One command or one sentence that helps.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Host(error) => error.hint(),
            Self::Supervisor(error) => error.hint(),
            Self::Garbled { .. } => None,
        }
    }
}

/// What the host's files say of one unit.
struct Found {
    /// What defines it.
    files: BTreeMap<UnitFileKind, FileFound>,
    /// The one of the manager that is asked.
    file: Option<(UnitFileKind, FileFound)>,
    record: Option<Record>,
    /// Cgroups, by the manager that made them.
    cgroups: BTreeMap<SupervisorKind, Cgroup>,
}

/// Looks at units of one host. `wish` is the manager that was asked for.
pub async fn status(
    host: &Arc<dyn Host>,
    subjects: &[UnitRef],
    wish: Option<SupervisorKind>,
) -> Result<Vec<UnitReport>, ObserveError> {
    let units: Vec<String> = subjects.iter().map(|subject| subject.unit.clone()).collect();
    let mut query = Query { asks: vec![Ask::Folder(layout::journals()), Ask::Locked(layout::LOCK.to_owned())] };
    query.asks.extend(snapshot::asks(wish, &units, &look::Scope::All));
    for subject in subjects {
        query.asks.extend(UnitFileKind::ALL.map(|kind| Ask::File(kind.path(&subject.unit))));
        query.asks.push(Ask::File(layout::current_spec(&subject.unit)));
        let cgroup = |manager| Ask::Cgroup(layout::cgroup(manager, &subject.slice, &subject.unit));
        query.asks.extend(CGROUPS.map(cgroup));
    }
    let (observation, approach) = supervisor::query(host, &query).await?;
    let garbled = || ObserveError::Garbled { host: host.name().to_owned() };
    let mut answers = observation.answers.into_iter();
    let unfinished = unfinished(&mut answers, &observation.facts).ok_or_else(garbled)?;
    let told = Snapshot::read(&mut answers).ok_or_else(garbled)?;
    let mut found = read(answers).ok_or_else(garbled)?;
    let facts = observation.facts;
    let installed: Vec<SupervisorKind> =
        found.iter().flat_map(|found| found.files.keys().map(|definition| definition.manager())).collect();
    let choice = SupervisorKind::of_installed(SupervisorKind::choose(&facts, wish), wish, &installed);
    for found in &mut found {
        found.files.retain(|definition, _| definition.manager() == choice.manager);
        // Of two the daemon's counts, which is there from boot on.
        found.file = found.files.remove(&UnitFileKind::LaunchDaemon).map(|file| (UnitFileKind::LaunchDaemon, file));
        found.file = found.file.take().or_else(|| found.files.pop_first());
    }
    // While the manager is asked what runs: of what does not, nobody reads the answer.
    let probing: Vec<_> =
        subjects.iter().zip(&found).map(|(subject, found)| begin_probe(host, subject, found)).collect();
    let supervisor = match Supervisor::connect_by(approach, Arc::clone(host), &facts, choice.manager).await {
        Ok(supervisor) => Some(supervisor),
        // Nobody is logged in and nothing keeps the manager: then nothing runs.
        Err(SupervisorError::Missing { missing: Missing::UserManager | Missing::StoppedManager, .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let (statuses, now) = match &supervisor {
        Some(Supervisor::Launchd(_) | Supervisor::Runner(_)) => {
            let status = |(unit, found): (&String, &Found)| -> Result<_, SupervisorError> {
                let file = found.file.as_ref().map(|(definition, file)| (*definition, file));
                let mut status = told.status(choice.manager, host.name(), &facts, unit, file)?;
                if let (Some(status), Some(cgroup)) = (&mut status, found.cgroups.get(&SupervisorKind::Runner)) {
                    status.count_in(cgroup);
                }
                Ok(status)
            };
            (units.iter().zip(&found).map(status).collect::<Result<_, _>>()?, facts.now())
        }
        // It counts up to its own answer, which on a slow host comes long after the facts were told.
        Some(supervisor) => {
            (supervisor.status(&units).await?.into_iter().map(Some).collect::<Vec<_>>(), supervisor.now())
        }
        None => (vec![None; units.len()], facts.now()),
    };
    let (host, supervisor) = (host.name(), supervisor.as_ref());
    let site = HostContext { host, facts: &facts, now, choice, supervisor, unfinished: unfinished.as_ref() };
    let looks = subjects
        .iter()
        .zip(found)
        .zip(probing)
        .zip(statuses)
        .map(|(((subject, found), probing), status)| look(&site, subject, found, probing, status));
    Ok(futures_util::future::join_all(looks).await)
}

/// The change of this machine that nobody works on any more; the outer one is absent where the answers are others.
#[expect(clippy::option_option, reason = "the outer one is an error")]
fn unfinished(answers: &mut impl Iterator<Item = Answer>, facts: &Facts) -> Option<Option<Unfinished>> {
    let (Answer::Folder(files), Answer::Locked(holder)) = (answers.next()?, answers.next()?) else { return None };
    // Whoever is alive and has the lock is still at it.
    if holder.is_some_and(|holder| holder.alive) {
        return Some(None);
    }
    let path = layout::journal(&facts.node);
    let journal = path.rel.file_name().and_then(|name| files.get(name)?.as_deref());
    Some(journal.and_then(|bytes| match Journal::parse(bytes) {
        Ok(journal) => journal.map(Unfinished::Change),
        Err(format) => Some(Unfinished::Newer(format)),
    }))
}

/// The spec that counts: what runs was started by the recorded one, and the manifest may have moved on.
fn spec<'a>(subject: &'a UnitRef, found: &'a Found) -> Option<&'a UnitSpec> {
    found.record.as_ref().map(|record| &record.spec).or(subject.spec.as_ref())
}

fn read(mut answers: impl Iterator<Item = Answer>) -> Option<Vec<Found>> {
    let mut found = Vec::new();
    while let Some(first) = answers.next() {
        let mut files = BTreeMap::new();
        let mut first = Some(first);
        for definition in UnitFileKind::ALL {
            let Answer::File(file) = first.take().or_else(|| answers.next())? else { return None };
            files.extend(file.map(|file| (definition, file)));
        }
        let Answer::File(record) = answers.next()? else { return None };
        let record = record.and_then(|file| Record::parse(&file.content).ok());
        let mut cgroups = BTreeMap::new();
        for manager in CGROUPS {
            let Answer::Cgroup(cgroup) = answers.next()? else { return None };
            cgroups.extend(cgroup.map(|cgroup| (manager, cgroup)));
        }
        found.push(Found { files, file: None, record, cgroups });
    }
    Some(found)
}

/// What is the same for all units of a host.
struct HostContext<'a> {
    host: &'a str,
    facts: &'a Facts,
    /// Unix time in seconds by the host's clock when the manager was asked.
    now: i64,
    choice: Choice,
    /// Absent where the manager does not run.
    supervisor: Option<&'a Supervisor>,
    /// The change that was left unfinished there.
    unfinished: Option<&'a Unfinished>,
}

async fn look(
    site: &HostContext<'_>,
    subject: &UnitRef,
    found: Found,
    probing: Option<Probing>,
    status: Option<UnitStatus>,
) -> UnitReport {
    let &HostContext { host, facts, now, choice, supervisor, unfinished } = site;
    let spec = spec(subject, &found);
    let health = match (probing, &status) {
        (Some(probing), Some(UnitStatus { state: State::Running { since, .. }, .. })) => {
            Some(probing.end(now - since).await)
        }
        _ => None,
    };
    let seen = FlagInputs {
        host,
        facts,
        manager: supervisor.map(Supervisor::kind),
        unit: &subject.unit,
        file: found.file.as_ref().map(|(_, file)| file),
        record: found.record.as_ref(),
        cgroup: supervisor.and_then(|supervisor| found.cgroups.get(&supervisor.kind())),
        status: status.as_ref(),
        unhealthy: health.as_ref().and_then(|health| health.as_ref().ok()?.1.as_deref()),
        unasked: health.as_ref().and_then(|health| health.as_ref().err()),
        unfinished,
    };
    let flags = flags::all(&seen);
    let state = status.as_ref().map_or(&State::Stopped, |status| &status.state);
    let since = if let State::Running { since, .. } = state { Some(*since) } else { None };
    UnitReport {
        host: host.to_owned(),
        unit: subject.unit.clone(),
        service: spec.map_or_else(|| subject.unit.clone(), |spec| spec.service.clone()),
        instance: spec.map_or_else(String::new, |spec| spec.instance.clone()),
        manager: supervisor.map(Supervisor::kind),
        because: choice.why,
        lacks: choice.manager.lacks(),
        transport: supervisor.map(Supervisor::transport),
        state: state.as_str(),
        reason: match state {
            State::Failed { reason } | State::Backoff { reason, .. } => Some(reason.clone()),
            _ => None,
        },
        pid: status.as_ref().and_then(|status| status.pid),
        since,
        now,
        restarts: status.as_ref().map_or(0, |status| status.restarts),
        memory_bytes: status.as_ref().and_then(|status| status.memory),
        cpu_percent: status.as_ref().and_then(|status| cpu_percent(status, now)),
        tasks: status.as_ref().and_then(|status| status.tasks),
        health: health.map(|health| health.map_or("unknown", |(word, _)| word)),
        flags,
        release: found.record.as_ref().map(|record| record.release),
        enabled: status.as_ref().is_some_and(|status| status.enabled),
        installed: status.as_ref().map_or(found.file.is_some(), |status| status.installed),
        drop_ins: status.map(|status| status.drop_ins).unwrap_or_default(),
    }
}

/// A probe that is under way; dropping it ends it.
struct Probing {
    probe: AbortOnDropHandle<Result<Probe, HttpError>>,
    within: Duration,
}

fn begin_probe(host: &Arc<dyn Host>, subject: &UnitRef, found: &Found) -> Option<Probing> {
    let health = spec(subject, found)?.health.clone()?;
    let (host, within, url) = (Arc::clone(host), health.within, health.url?);
    let probe = tokio::spawn(async move {
        let prober = Prober::open(host.as_ref(), &url, health.expect.as_deref()).await?;
        prober.probe(PROBE).await
    });
    Some(Probing { probe: AbortOnDropHandle::new(probe), within })
}

impl Probing {
    /// The word for it, and the reason where it is not good, of a process of this age in seconds.
    async fn end(self, age: i64) -> Result<(&'static str, Option<String>), HttpError> {
        Ok(match self.probe.await.unwrap_or_else(|error| Ok(Probe::Unhealthy(error.to_string())))? {
            Probe::Healthy => ("healthy", None),
            Probe::Unhealthy(_) if u64::try_from(age).is_ok_and(|age| age < self.within.as_secs()) => {
                ("starting", None)
            }
            Probe::Unhealthy(reason) => ("unhealthy", Some(reason)),
        })
    }
}

/// As ps(1) has it: CPU time by the time since the start. A rate of this moment would take two looks.
fn cpu_percent(status: &UnitStatus, now: i64) -> Option<f64> {
    let State::Running { since, .. } = status.state else { return None };
    let (used, wall) = (status.cpu_nsec?, u64::try_from(now - since).ok()?.max(1));
    // Tenths of a percent in whole numbers: exact enough to show, and safe to convert.
    let tenths = u32::try_from(used / wall / 1_000_000).ok()?;
    Some(f64::from(tenths) / 10.0)
}
