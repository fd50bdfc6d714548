//! Takes units off a host: stopped down the ladder, disabled, removed, and looked at again until nothing is left.

use std::sync::Arc;

use camino::Utf8PathBuf;

use super::apply::{ApplyError, Order, connect_if_any, lock};
use super::event::{Event, Sink};
use super::plan::Obstacle;
use super::survey::Refs;
use crate::host::{Answer, Ask, Batch, FileFound, Host, HostPath, Observation, Query};
use crate::lifecycle::graceful_shutdown;
use crate::service::record::Record;
use crate::service::render::header;
use crate::service::spec::Stop;
use crate::supervisor::layout;
use crate::supervisor::{Approach, Supervisor};

/// What was found of the units that are to go.
struct Leaving {
    unit: String,
    file: Option<FileFound>,
    record: Option<Record>,
    /// Whether releases of it are there.
    releases: bool,
}

impl Leaving {
    fn is_there(&self) -> bool {
        self.file.is_some() || self.releases
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

    let supervisor = connect_if_any(Approach::default(), host, &facts, events).await?;
    if let Some(supervisor) = &supervisor {
        for unit in &leaving {
            let stop = unit.record.as_ref().map_or_else(Stop::default, |record| record.spec.stop.clone());
            let stopped = graceful_shutdown(host.as_ref(), supervisor, &unit.unit, &stop).await?;
            events(Event::Stopped { unit: unit.unit.clone(), by: stopped.by });
        }
        supervisor.disable(&names).await?;
    }
    let (batch, slices) = removal(&leaving, refs);
    host.change(&batch, &|_| ()).await?;
    if let Some(supervisor) = &supervisor {
        for slice in &slices {
            supervisor.stop_slice(slice).await?;
        }
        supervisor.daemon_reload().await?;
        for unit in &names {
            supervisor.reset_failed(unit).await?;
        }
    }
    for unit in &names {
        prove_gone(host, supervisor.as_ref(), unit).await?;
        events(Event::Removed { unit: unit.clone() });
    }
    Ok(names)
}

fn query(units: &[String]) -> Query {
    let mut asks = vec![Ask::Tree(layout::refs())];
    for unit in units {
        asks.push(Ask::File(layout::unit_file(&format!("{unit}.service"))));
        asks.push(Ask::File(layout::current_spec(unit)));
        asks.push(Ask::Tree(layout::unit(unit)));
    }
    Query { asks }
}

fn read(units: &[String], observation: Observation) -> Option<(Refs, Vec<Leaving>)> {
    let mut answers = observation.answers.into_iter();
    let Answer::Tree(marks) = answers.next()? else { return None };
    let refs = Refs::read(marks.keys().map(Utf8PathBuf::as_path));
    let mut leaving = Vec::with_capacity(units.len());
    for unit in units {
        let (Answer::File(file), Answer::File(record), Answer::Tree(tree)) =
            (answers.next()?, answers.next()?, answers.next()?)
        else {
            return None;
        };
        let record = record.and_then(|file| Record::parse(&file.content));
        leaving.push(Leaving { unit: unit.clone(), file, record, releases: !tree.is_empty() });
    }
    Some((refs, leaving))
}

fn refuse_foreign(host: &Arc<dyn Host>, leaving: &[Leaving], facts: &crate::host::Facts) -> Result<(), ApplyError> {
    let is_foreign = |unit: &&Leaving| unit.file.as_ref().is_some_and(|file| header::parse(&file.content).is_none());
    let obstacles: Vec<Obstacle> = leaving
        .iter()
        .filter(is_foreign)
        .filter_map(|unit| layout::absolute(&layout::unit_file(&format!("{}.service", unit.unit)), facts))
        .map(|path| Obstacle::Foreign { path })
        .collect();
    if obstacles.is_empty() {
        return Ok(());
    }
    Err(ApplyError::Obstacles { host: host.name().to_owned(), obstacles })
}

/// What is removed, and the slices that nobody needs any more.
fn removal(leaving: &[Leaving], mut refs: Refs) -> (Batch, Vec<String>) {
    let mut batch = Batch::default();
    for unit in leaving {
        // The unit file first: without it nothing points to the rest.
        batch.removes.push(layout::unit_file(&format!("{}.service", unit.unit)));
        batch.removes.push(layout::unit(&unit.unit));
    }
    let (marks, orphans) = refs.release(|unit, _| leaving.iter().any(|leaving| leaving.unit == unit));
    batch.removes.extend(marks.iter().map(|(target, unit, release)| layout::reference(target, unit, *release)));
    batch.removes.extend(orphans.iter().map(|target| layout::target(target)));
    batch.prune.extend(orphans.iter().map(|target| layout::refs_to(target)));
    batch.prune.extend(layout::empty_folders());
    let slices = orphans.iter().filter_map(|target| target.strip_suffix(".slice")).map(str::to_owned).collect();
    (batch, slices)
}

async fn prove_gone(host: &Arc<dyn Host>, supervisor: Option<&Supervisor>, unit: &str) -> Result<(), ApplyError> {
    let left =
        |what: &str| ApplyError::NotGone { unit: unit.to_owned(), host: host.name().to_owned(), what: what.to_owned() };
    if let Some(supervisor) = supervisor
        && !supervisor.is_gone(unit).await?
    {
        return Err(left("the service manager still knows it"));
    }
    let paths: [HostPath; 2] = [layout::unit_file(&format!("{unit}.service")), layout::unit(unit)];
    let asks = paths.into_iter().map(Ask::Size).collect();
    let found = host.query(&Query { asks }).await?.answers;
    if found.iter().any(|answer| *answer != Answer::Size(None)) {
        return Err(left("its files are still there"));
    }
    Ok(())
}
