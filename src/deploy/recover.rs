//! Finishes or reverts a change that was left half-done, before the host is changed again.

use camino::Utf8PathBuf;

use super::apply::{Applied, OnFailure};
use super::converge::{Looked, Session, look};
use super::desired::Desired;
use super::error::ApplyError;
use super::event::Event;
use super::execute::is_lock_lost;
use super::journal::{self, Entry, Journal};
use super::plan::{self, ApplyOptions};
use super::release::{self, ReleaseFound, StoredError, StoredRelease, read_back};
use super::step::Action;
use super::survey::Refs;
use super::{survey, uninstall};
use crate::host::{Answer, Ask, Facts, FileFound, Observation, Query};
use crate::service::record::Record;
use crate::service::render::header;
use crate::supervisor::{Approach, UnitFileKind, layout};

/// Finishes or reverts what the journal among the answers speaks of, but for `units`, which the change in hand is about
/// anyway. The journal stays for that change to close, or for [`close`]; it is returned.
pub(super) async fn recover(
    session: &Session<'_>,
    units: &[String],
    observation: &Observation,
) -> Result<Option<Journal>, ApplyError> {
    let Some(journal) = find(observation)? else { return Ok(None) };
    (session.events)(Event::Unfinished { change: journal.to_string() });
    let others = journal.units.iter().filter(|entry| !units.contains(&entry.unit));
    let others: Vec<String> = others.map(|entry| entry.unit.clone()).collect();
    let Session { host, change, lease, events, .. } = *session;
    let inner = Session { host, change, lease, events, recovering: Some(&journal) };
    Box::pin(finish(&inner, &others)).await?;
    Ok(Some(journal))
}

/// The journal of this machine among answers of any kind.
pub(super) fn find(observation: &Observation) -> Result<Option<Journal>, ApplyError> {
    for answer in &observation.answers {
        if let Some(journal) = journal::find(answer, &observation.facts)? {
            return Ok(Some(journal));
        }
    }
    Ok(None)
}

/// Finishes or reverts whatever the journal of this machine speaks of, for a verb that does not say itself what becomes
/// of units.
///
/// # Errors
///
/// Where the host cannot be looked at, or what is half-done can be neither finished nor reverted.
pub(super) async fn before(session: &Session<'_>, observation: &Observation) -> Result<(), ApplyError> {
    match recover(session, &[], observation).await? {
        Some(journal) => close(session, &journal, &observation.facts).await,
        None => Ok(()),
    }
}

/// Carries out a change after one that died and left this journal; what that one brought is gone afterwards, also where the
/// change has nothing to do or does not come through.
pub(super) async fn converge_after(
    session: &Session<'_>,
    unfinished: Option<Journal>,
    desired: &[Desired],
    looked: Looked,
    on_failure: OnFailure,
) -> Result<Applied, ApplyError> {
    let closes = looked.plan.steps().any(|step| matches!(step.action, Action::CloseJournal));
    let facts = looked.observed.facts.clone();
    let converged = Box::pin(session.converge(desired, looked, on_failure)).await;
    let is_left = match &converged {
        Ok(_) => !closes,
        // That has tidied up, but for what may still run.
        Err(ApplyError::Rejected { .. }) => false,
        Err(error) => !error.is_about_the_host() && !is_lock_lost(error),
    };
    if let Some(journal) = unfinished.filter(|_| is_left) {
        let tidied = close(session, &journal, &facts).await;
        // Why the change failed matters more.
        if converged.is_ok() {
            tidied?;
        }
    }
    converged
}

/// Closes the journal of a change that nothing is left to be done about, and removes what it brought and never put into
/// effect.
pub(super) async fn close(session: &Session<'_>, journal: &Journal, facts: &Facts) -> Result<(), ApplyError> {
    let host = session.host;
    let units = journal.units.iter().map(|entry| &entry.unit);
    let asks = units.flat_map(|unit| [Ask::File(layout::current_spec(unit)), Ask::Tree(layout::unit(unit))]);
    let asks = [Ask::Tree(layout::refs())].into_iter().chain(asks).collect();
    let mut answers = host.query(&Query { asks }).await?.answers.into_iter();
    let garbled = || ApplyError::Garbled { host: host.name().to_owned() };
    let Some(Answer::Tree(marks)) = answers.next() else { return Err(garbled()) };
    let mut refs = Refs::read(marks.keys().map(Utf8PathBuf::as_path));
    let (mut staged, mut spent) = (Vec::new(), Vec::new());
    for Entry { unit, to, .. } in &journal.units {
        let (Some(Answer::File(record)), Some(Answer::Tree(tree))) = (answers.next(), answers.next()) else {
            return Err(garbled());
        };
        let current = record.and_then(|file| Record::parse(&file.content).ok()).map(|record| record.release);
        let releases = release::found(tree);
        let brought = to.filter(|to| Some(*to) != current && releases.get(to).is_none_or(ReleaseFound::is_undecided));
        staged.extend(brought.map(|to| (unit.clone(), to)));
        spent.extend(plan::spent(&releases, current).into_iter().map(|number| (unit.clone(), number)));
    }
    let mut batch = plan::forget_staged(&staged, &mut refs);
    plan::strip(&mut batch, &spent, &mut refs);
    batch.fence = Some(session.lease.fence().clone());
    batch.removes.push(journal::path(facts));
    // The folder of the journal has to go before the one that it is in.
    batch.prune.splice(0..0, layout::journal_folders());
    host.change(&batch, &|_| ()).await?;
    Ok(())
}

/// Makes units whole again: one that has a unit file runs what that says, or goes back to the release before; one that
/// has none leaves nothing behind.
pub(super) async fn finish(session: &Session<'_>, units: &[String]) -> Result<(), ApplyError> {
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
        match Box::pin(session.converge(&desired, looked, OnFailure::default())).await {
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
