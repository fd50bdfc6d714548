//! Finishes or reverts a change that was left half-done, before the host is changed again.

use super::apply::OnFailure;
use super::converge::{Session, look};
use super::desired::Desired;
use super::error::ApplyError;
use super::event::Event;
use super::journal::{self, Journal};
use super::plan::ApplyOptions;
use super::release::{StoredError, StoredRelease, read_back};
use super::{survey, uninstall};
use crate::host::{Answer, Ask, Batch, FileFound, Observation, Query};
use crate::service::record::Record;
use crate::service::render::header;
use crate::supervisor::{Approach, UnitFileKind, layout};

/// Finishes or reverts what the journal among the answers speaks of, but for `units`, which the change in hand is about
/// anyway. Tells whether anything was done.
pub(super) async fn recover(
    session: &Session<'_>,
    units: &[String],
    observation: &Observation,
) -> Result<bool, ApplyError> {
    let Some(journal) = find(observation)? else { return Ok(false) };
    (session.events)(Event::Unfinished { change: journal.to_string() });
    let others = journal.units.iter().filter(|entry| !units.contains(&entry.unit));
    let others: Vec<String> = others.map(|entry| entry.unit.clone()).collect();
    finish(session, &others).await?;
    Ok(!others.is_empty())
}

/// The journal of this machine among answers of any kind.
fn find(observation: &Observation) -> Result<Option<Journal>, ApplyError> {
    for answer in &observation.answers {
        if let Some(journal) = journal::find(answer, &observation.facts)? {
            return Ok(Some(journal));
        }
    }
    Ok(None)
}

/// Finishes or reverts whatever the journal of this machine speaks of, for a verb that is about `units`.
///
/// # Errors
///
/// Where the host cannot be looked at, or what is half-done can be neither finished nor reverted.
pub(super) async fn before(session: &Session<'_>, observation: &Observation) -> Result<(), ApplyError> {
    if recover(session, &[], observation).await? {
        return Ok(());
    }
    // A journal without units is left by nobody but one that died while it closed it.
    if find(observation)?.is_some() {
        let batch = Batch {
            fence: Some(session.lease.fence().clone()),
            removes: vec![journal::path(&observation.facts)],
            prune: layout::journal_folders().into(),
            ..Batch::default()
        };
        session.host.change(&batch, &|_| ()).await?;
    }
    Ok(())
}

/// Makes units whole again: one that has a unit file runs what that says, or goes back to the release before; one that
/// has none leaves nothing behind.
async fn finish(session: &Session<'_>, units: &[String]) -> Result<(), ApplyError> {
    if units.is_empty() {
        return Ok(());
    }
    let host = session.host;
    let (installed, gone) = installed(session, units).await?;
    if !installed.is_empty() {
        let desired: Vec<Desired> = installed.into_iter().map(Desired::of_release).collect();
        let observation = host.query(&survey::query(&desired, session.change.requested)).await?;
        let options = ApplyOptions { take: true, retry: true, ..ApplyOptions::default() };
        let route = Approach::default().into();
        let looked = look(host, session.change, &desired, &options, observation, route, session.events).await?;
        match session.converge(&desired, looked, OnFailure::default()).await {
            // What it went back to is what there was before the change that died.
            Ok(_) | Err(ApplyError::Rejected { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    if !gone.is_empty() {
        uninstall::remove(session, &gone, None).await?;
    }
    Ok(())
}

/// What is installed of units, as releases, and the units that have no unit file of ours.
async fn installed(session: &Session<'_>, units: &[String]) -> Result<(Vec<StoredRelease>, Vec<String>), ApplyError> {
    let asks = units.iter().flat_map(|unit| {
        let files = UnitFileKind::ALL.map(|kind| Ask::File(kind.path(unit)));
        files.into_iter().chain([Ask::File(layout::current_spec(unit))])
    });
    let answers = session.host.query(&Query { asks: asks.collect() }).await?.answers;
    let (mut found, mut gone, mut torn) = (Vec::new(), Vec::new(), Vec::new());
    for (unit, answers) in units.iter().zip(answers.chunks(UnitFileKind::ALL.len() + 1)) {
        let file = |answer: &Answer| if let Answer::File(Some(file)) = answer { Some(file.clone()) } else { None };
        let Some((record, files)) = answers.split_last() else { continue };
        let record = file(record).and_then(|file| Record::parse(&file.content).ok());
        let ours = |file: FileFound| header::parse(&file.content).map(|header| (header.release, file.content));
        match (record, files.iter().filter_map(file).find_map(ours)) {
            (_, None) => gone.push(unit.clone()),
            (Some(record), Some((release, definition))) if record.release == release => {
                found.push(StoredRelease { record, definition });
            }
            // The record is renamed before the unit file: the host died between the two.
            (_, Some((release, _))) => torn.push((unit.clone(), release)),
        }
    }
    for release in torn {
        match read_back(session.host.as_ref(), std::slice::from_ref(&release)).await {
            Ok(stored) => found.extend(stored),
            // Ours, but the host does not keep how it was: the next apply writes it anew.
            Err(StoredError::Missing { .. } | StoredError::Record { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok((found, gone))
}
