//! Takes units off a host.

use std::sync::Arc;

use camino::Utf8PathBuf;

use super::change::Change;
use super::converge::Session;
use super::error::ApplyError;
use super::event::Sink;
use super::execute::Executor;
use super::plan::{Leaving, Obstacle, plan_removal};
use super::recover::{self, close, recover};
use super::survey::Refs;
use crate::host::{Answer, Ask, Batch, Facts, FileFound, Host, Observation, Query};
use crate::service::record::{Record, RecordError};
use crate::supervisor::launchd::look;
use crate::supervisor::snapshot::{self, Snapshot};
use crate::supervisor::{SupervisorKind, UnitFileKind, launchd, layout};

/// Removes `units` from `host`; returns those that were there. Units of other projects than `project` are refused.
///
/// # Errors
///
/// Where one is not ours to remove, does not stop, or leaves something behind.
pub async fn uninstall(
    host: &Arc<dyn Host>,
    units: &[String],
    project: Option<&str>,
    change: &Change<'_>,
    events: Sink<'_>,
) -> Result<Vec<String>, ApplyError> {
    let (lease, observation) = change.lock(host, &query(units), events).await?;
    let session = Session { host, change, lease: &lease, events, recovering: None };
    let unfinished = recover(&session, units, &observation).await?;
    let removed = remove(&session, units, project).await?;
    if let Some(journal) = unfinished.filter(|_| removed.is_empty()) {
        close(&session, &journal, &observation.facts).await?;
    }
    Ok(removed)
}

/// The same under a lock that is held.
pub(super) async fn remove(
    session: &Session<'_>,
    units: &[String],
    project: Option<&str>,
) -> Result<Vec<String>, ApplyError> {
    let observation = session.host.query(&query(units)).await?;
    let manager = SupervisorKind::choose(&observation.facts, session.change.requested).manager;
    let mut executor = session.executor(&observation.facts, manager);
    let removed = take_off_seen(session, &mut executor, units, project, observation).await?;
    executor.flush().await?;
    if removed.is_empty() && session.recovering.is_none() {
        // A change that died may have left files that are no unit's yet: every change of a host begins with removing them.
        let mut batch = Batch { fence: Some(session.lease.fence().clone()), ..Batch::default() };
        if !executor.keeps_audit {
            batch.removes.extend(layout::last_files());
        }
        batch.prune.extend(layout::empty_folders());
        session.host.change(&batch, &|_| ()).await?;
    }
    Ok(removed)
}

/// The same by an executor that is at work.
pub(super) async fn take_off(
    session: &Session<'_>,
    executor: &mut Executor<'_>,
    units: &[String],
    project: Option<&str>,
) -> Result<Vec<String>, ApplyError> {
    let observation = session.host.query(&query(units)).await?;
    take_off_seen(session, executor, units, project, observation).await
}

async fn take_off_seen(
    session: &Session<'_>,
    executor: &mut Executor<'_>,
    units: &[String],
    project: Option<&str>,
    observation: Observation,
) -> Result<Vec<String>, ApplyError> {
    let host = session.host;
    let garbled = || ApplyError::Garbled { host: host.name().to_owned() };
    let facts = observation.facts.clone();
    let unfinished = recover::find(&observation)?;
    let own = SupervisorKind::choose(&facts, session.change.requested).manager;
    let (mut refs, leaving) = read(units, observation).ok_or_else(garbled)?;
    refuse(host, &leaving, project, &facts)?;
    // Whoever died while it removed them may have removed their files and no more.
    let is_going = |unit: &Leaving| unfinished.as_ref().is_some_and(|journal| journal.removes(&unit.unit));
    let leaving: Vec<Leaving> = leaving.into_iter().filter(|unit| unit.is_there() || is_going(unit)).collect();
    let plan = plan_removal(host.name(), &leaving, &mut refs, own);
    executor.keeps_audit &= !refs.is_empty();
    if leaving.is_empty() {
        return Ok(Vec::new());
    }
    executor.spares_journal = true;
    executor.run(&plan).await?;
    Ok(leaving.into_iter().map(|unit| unit.unit).collect())
}

pub(super) fn query(units: &[String]) -> Query {
    let mut asks = vec![super::journal::ask(), Ask::Tree(layout::refs()), Ask::Folder(layout::logs())];
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
    let mut answers = observation.answers.into_iter().skip(1);
    let (Answer::Tree(marks), Answer::Folder(logs)) = (answers.next()?, answers.next()?) else { return None };
    let refs = Refs::read(marks.keys().map(Utf8PathBuf::as_path));
    let told = Snapshot::read(&mut answers)?;
    let mut leaving = Vec::with_capacity(units.len());
    for unit in units {
        let mut files = Vec::new();
        for kind in UnitFileKind::ALL {
            let Answer::File(file) = answers.next()? else { return None };
            files.extend(file.map(|file| (kind, file)));
        }
        let (Answer::File(record), Answer::Tree(tree)) = (answers.next()?, answers.next()?) else { return None };
        let (record, newer) = match record.map(|file| Record::parse(&file.content)) {
            Some(Ok(record)) => (Some(record), None),
            Some(Err(RecordError::Newer { version })) => (None, Some(version)),
            Some(Err(RecordError::Damaged)) | None => (None, None),
        };
        let releases = !tree.is_empty() || refs.of_unit(unit).next().is_some();
        let known_by = told.known_by(unit);
        let foreign_job = told.foreign_job(unit, &facts);
        let is_log = |name: &&String| {
            let rest = name.strip_prefix(unit.as_str()).and_then(|rest| rest.strip_prefix(".log"));
            is_mac && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let job_logs = logs.keys().filter(is_log).cloned().collect();
        leaving.push(Leaving { unit: unit.clone(), files, record, newer, releases, known_by, foreign_job, job_logs });
    }
    Some((refs, leaving))
}

/// A unit that somebody else defined is left alone, unless there is one of ours by that name too; so is one of another
/// project, and one that a newer unitbee installed.
fn refuse(host: &Arc<dyn Host>, leaving: &[Leaving], project: Option<&str>, facts: &Facts) -> Result<(), ApplyError> {
    let foreign = leaving.iter().filter(|unit| unit.definitions().next().is_none());
    let jobs = foreign.clone().filter_map(|unit| unit.foreign_job.clone());
    let jobs = jobs.map(|(target, path)| Obstacle::ForeignJob { target, path });
    let other = |(unit, kind, file): (&str, UnitFileKind, &FileFound)| {
        launchd::other_owner(unit, kind, file, facts).filter(|_| kind.needs_root()).map(Obstacle::OtherUser)
    };
    let files =
        leaving.iter().flat_map(|leaving| leaving.files.iter().map(|(kind, file)| (&*leaving.unit, *kind, file)));
    let newer = leaving.iter().filter_map(|unit| Some((unit.unit.clone(), unit.newer?)));
    let others = leaving.iter().filter_map(|unit| {
        let record = unit.record.as_ref()?;
        let theirs = &record.spec.project;
        let is_other = project.is_some_and(|ours| !theirs.is_empty() && theirs != ours);
        is_other.then(|| Obstacle::of_other_project(&unit.unit, record))
    });
    let obstacles: Vec<Obstacle> = foreign
        .flat_map(|unit| unit.files.iter().map(|(kind, _)| kind.path(&unit.unit)))
        .filter_map(|path| layout::absolute(&path, facts))
        .map(|path| Obstacle::Foreign { path })
        .chain(jobs)
        .chain(files.filter_map(other))
        .chain(newer.map(|(unit, version)| Obstacle::NewerRecord { unit, version }))
        .chain(others)
        .collect();
    if obstacles.is_empty() {
        return Ok(());
    }
    Err(ApplyError::Obstacles { host: host.name().to_owned(), obstacles })
}
