//! Takes units off a host: stopped down the ladder, disabled, removed, and looked at again until nothing is left.

use std::sync::Arc;

use camino::Utf8PathBuf;

use super::apply::{ApplyError, Order, connect_if_any, lock};
use super::event::{Event, Sink};
use super::plan::Obstacle;
use super::survey::Refs;
use crate::host::{self, Answer, Ask, Batch, Facts, FileFound, Host, Observation, Query};
use crate::lifecycle::graceful_shutdown;
use crate::service::record::Record;
use crate::service::render::header;
use crate::service::spec::Stop;
use crate::supervisor::launchd::look;
use crate::supervisor::snapshot::{self, Snapshot};
use crate::supervisor::{Approach, Supervisor, SupervisorKind, UnitFileKind, launchd, layout};

/// What was found of the units that are to go.
struct Leaving {
    unit: String,
    /// What defines it.
    files: Vec<(UnitFileKind, FileFound)>,
    record: Option<Record>,
    /// Whether releases of it are there.
    releases: bool,
    /// The managers that know of it all the same.
    known_by: Vec<SupervisorKind>,
    /// A job by its label that is somebody else's.
    foreign_job: Option<(String, String)>,
    /// Names of the logs that launchd wrote for it, and of what their rotation makes.
    job_logs: Vec<String>,
}

impl Leaving {
    fn is_there(&self) -> bool {
        !self.files.is_empty() || self.releases || !self.known_by.is_empty()
    }

    /// Its definitions that are ours.
    fn definitions(&self) -> impl Iterator<Item = UnitFileKind> {
        let ours = |(_, file): &&(UnitFileKind, FileFound)| header::parse(&file.content).is_some();
        self.files.iter().filter(ours).map(|(definition, _)| *definition)
    }

    /// Whether this manager may run it: what is without a definition may still be known to the host's own.
    fn is_under(&self, manager: SupervisorKind, own: SupervisorKind) -> bool {
        self.definitions().any(|definition| definition.manager() == manager)
            || (manager == own && self.definitions().next().is_none())
            || self.known_by.contains(&manager)
    }
}

/// Removes `units` from `host`; answers with those that were there. `order.wanted` is not looked at.
pub async fn uninstall(
    host: &Arc<dyn Host>,
    units: &[String],
    order: &Order<'_>,
    events: Sink<'_>,
) -> Result<Vec<String>, ApplyError> {
    let query = query(units);
    let (_lease, observation) = lock(host, order, &query, events).await?;
    let garbled = || ApplyError::Garbled { host: host.name().to_owned() };
    let facts = observation.facts.clone();
    let (refs, leaving) = read(units, observation).ok_or_else(garbled)?;
    refuse_foreign(host, &leaving, &facts)?;
    let leaving: Vec<Leaving> = leaving.into_iter().filter(Leaving::is_there).collect();
    if leaving.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<String> = leaving.iter().map(|unit| unit.unit.clone()).collect();
    let own = SupervisorKind::choose(&facts, order.supervisor).manager;

    let mut supervisors = Vec::new();
    for manager in SupervisorKind::ALL {
        let here: Vec<&Leaving> = leaving.iter().filter(|unit| unit.is_under(manager, own)).collect();
        if here.is_empty() {
            continue;
        }
        let Some(supervisor) = connect_if_any(Approach::default(), host, &facts, manager, events).await? else {
            continue;
        };
        for unit in &here {
            let stop = unit.record.as_ref().map_or_else(Stop::default, |record| record.spec.stop.clone());
            let stopped = graceful_shutdown(host.as_ref(), &supervisor, &unit.unit, &stop).await?;
            events(Event::Stopped { unit: unit.unit.clone(), by: stopped.by });
        }
        let here: Vec<String> = here.iter().map(|unit| unit.unit.clone()).collect();
        supervisor.forget(&here).await?;
        supervisors.push((supervisor, here));
    }
    let (batch, roots, slices) = removal(&leaving, refs);
    host::change_as_root(host.as_ref(), &roots).await?;
    host.change(&batch, &|_| ()).await?;
    for (supervisor, here) in &supervisors {
        for slice in &slices {
            supervisor.stop_slice(slice).await?;
        }
        supervisor.daemon_reload().await?;
        for unit in here {
            supervisor.reset_failed(unit).await?;
        }
    }
    for unit in &names {
        let with = supervisors.iter().filter(|(_, here)| here.contains(unit)).map(|(supervisor, _)| supervisor);
        prove_gone(host, with, unit).await?;
        events(Event::Removed { unit: unit.clone() });
    }
    Ok(names)
}

fn query(units: &[String]) -> Query {
    let mut asks = vec![Ask::Tree(layout::refs()), Ask::Folder(layout::logs())];
    asks.extend(snapshot::asks(None, units, &look::Scope::All));
    for unit in units {
        asks.extend(UnitFileKind::ALL.map(|kind| Ask::File(kind.path(unit))));
        asks.push(Ask::File(layout::current_spec(unit)));
        asks.push(Ask::Tree(layout::unit(unit)));
    }
    Query { asks }
}

fn read(units: &[String], observation: Observation) -> Option<(Refs, Vec<Leaving>)> {
    let facts = observation.facts;
    let is_mac = facts.os == "Darwin";
    let mut answers = observation.answers.into_iter();
    let (Answer::Tree(marks), Answer::Folder(logs)) = (answers.next()?, answers.next()?) else { return None };
    let refs = Refs::read(marks.keys().map(Utf8PathBuf::as_path));
    let told = Snapshot::read(&mut answers)?;
    let mut leaving = Vec::with_capacity(units.len());
    for unit in units {
        let mut files = Vec::new();
        for definition in UnitFileKind::ALL {
            let Answer::File(file) = answers.next()? else { return None };
            files.extend(file.map(|file| (definition, file)));
        }
        let (Answer::File(record), Answer::Tree(tree)) = (answers.next()?, answers.next()?) else { return None };
        let record = record.and_then(|file| Record::parse(&file.content));
        let (releases, known_by) = (!tree.is_empty(), told.known_by(unit));
        let foreign_job = told.foreign_job(unit, &facts);
        let is_log = |name: &&String| {
            let rest = name.strip_prefix(unit.as_str()).and_then(|rest| rest.strip_prefix(".log"));
            is_mac && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let job_logs = logs.keys().filter(is_log).cloned().collect();
        leaving.push(Leaving { unit: unit.clone(), files, record, releases, known_by, foreign_job, job_logs });
    }
    Some((refs, leaving))
}

/// A unit that somebody else defined is left alone, unless there is one of ours by that name too.
fn refuse_foreign(host: &Arc<dyn Host>, leaving: &[Leaving], facts: &Facts) -> Result<(), ApplyError> {
    let foreign = leaving.iter().filter(|unit| unit.definitions().next().is_none());
    let jobs = foreign.clone().filter_map(|unit| unit.foreign_job.clone());
    let jobs = jobs.map(|(target, path)| Obstacle::ForeignJob { target, path });
    let other = |(unit, definition, file): (&str, UnitFileKind, &FileFound)| {
        launchd::other_owner(unit, definition, file, facts).filter(|_| definition.needs_root()).map(Obstacle::OtherUser)
    };
    let files = leaving
        .iter()
        .flat_map(|leaving| leaving.files.iter().map(|(definition, file)| (&*leaving.unit, *definition, file)));
    let obstacles: Vec<Obstacle> = foreign
        .flat_map(|unit| unit.files.iter().map(|(definition, _)| definition.path(&unit.unit)))
        .filter_map(|path| layout::absolute(&path, facts))
        .map(|path| Obstacle::Foreign { path })
        .chain(jobs)
        .chain(files.filter_map(other))
        .collect();
    if obstacles.is_empty() {
        return Ok(());
    }
    Err(ApplyError::Obstacles { host: host.name().to_owned(), obstacles })
}

/// What is removed, what of that is root's, and the slices that nobody needs any more.
fn removal(leaving: &[Leaving], mut refs: Refs) -> (Batch, Batch, Vec<String>) {
    let (mut batch, mut roots) = (Batch::default(), Batch::default());
    for unit in leaving {
        // What defines it first: without that nothing points to the rest.
        for definition in unit.definitions() {
            let batch = if definition.needs_root() { &mut roots } else { &mut batch };
            batch.removes.push(definition.path(&unit.unit));
        }
        batch.removes.extend([layout::record(&unit.unit), layout::damaged_record(&unit.unit), layout::log(&unit.unit)]);
        batch.removes.push(layout::cgroup_link(&unit.unit));
        batch.removes.extend(unit.job_logs.iter().map(|name| layout::in_logs(name)));
        batch.removes.push(layout::unit(&unit.unit));
        // systemd takes away the link of a unit only as long as that has a file.
        batch.removes.push(layout::wanted_link(&unit.unit));
    }
    let (marks, orphans) = refs.release(|unit, _| leaving.iter().any(|leaving| leaving.unit == unit));
    batch.removes.extend(marks.iter().map(|(target, unit, release)| layout::reference(target, unit, *release)));
    batch.removes.extend(orphans.iter().map(|target| layout::target(target)));
    batch.prune.extend(orphans.iter().map(|target| layout::refs_to(target)));
    batch.prune.push(layout::wanted_links());
    batch.prune.extend(layout::empty_folders());
    let slices = orphans.iter().filter_map(|target| target.strip_suffix(".slice")).map(str::to_owned).collect();
    (batch, roots, slices)
}

async fn prove_gone(
    host: &Arc<dyn Host>,
    supervisors: impl Iterator<Item = &Supervisor>,
    unit: &str,
) -> Result<(), ApplyError> {
    let left =
        |what: &str| ApplyError::NotGone { unit: unit.to_owned(), host: host.name().to_owned(), what: what.to_owned() };
    let mut managers = Vec::new();
    for supervisor in supervisors {
        if !supervisor.is_gone(unit).await? {
            return Err(left("the service manager still knows it"));
        }
        managers.push(supervisor.kind());
    }
    let definitions = UnitFileKind::ALL.into_iter().filter(|kind| managers.contains(&kind.manager()));
    let definitions = definitions.map(|kind| kind.path(unit));
    let asks = definitions.chain([layout::unit(unit)]).map(Ask::Size).collect();
    let found = host.query(&Query { asks }).await?.answers;
    if found.iter().any(|answer| *answer != Answer::Size(None)) {
        return Err(left("its files are still there"));
    }
    Ok(())
}
