//! Removes releases that are not needed any more, or only their secrets.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::change::Change;
use super::converge::Session;
use super::error::ApplyError;
use super::event::Sink;
use super::journal::{self, Entry};
use super::plan;
use super::recover;
use super::release;
use super::survey::Refs;
use crate::host::{Answer, Ask, Batch, Host, Query};
use crate::service::record::Record;
use crate::supervisor::layout;

/// What was removed of one unit.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Pruned {
    /// Unit.
    pub unit: String,
    /// Releases that were removed.
    pub releases: Vec<u32>,
    /// Releases whose secrets were removed: there is no way back to them.
    pub secrets: Vec<u32>,
}

/// Removes the releases of `units` beyond those that each keeps; with `secrets`, also the secrets of all releases that are
/// not in effect, and with them the way back to these.
///
/// # Errors
///
/// Where the host does not do its part.
pub async fn prune(
    host: &Arc<dyn Host>,
    units: &[String],
    secrets: bool,
    change: &Change<'_>,
    events: Sink<'_>,
) -> Result<Vec<Pruned>, ApplyError> {
    let asks = units.iter().flat_map(|unit| [Ask::File(layout::current_spec(unit)), Ask::Tree(layout::unit(unit))]);
    let query = Query { asks: [journal::ask(), Ask::Tree(layout::refs())].into_iter().chain(asks).collect() };
    let (lease, observation) = change.lock(host, &query, events).await?;
    let session = Session { host, change, lease: &lease, events, recovering: None };
    recover::before(&session, &observation).await?;
    let facts = observation.facts.clone();
    let garbled = || ApplyError::Garbled { host: host.name().to_owned() };
    let mut answers = host.query(&query).await?.answers.into_iter().skip(1);
    let Some(Answer::Tree(marks)) = answers.next() else { return Err(garbled()) };
    let mut refs = Refs::read(marks.keys().map(camino::Utf8PathBuf::as_path));
    let (mut pruned, mut entries) = (Vec::new(), Vec::new());
    let mut batch = Batch::default();
    for unit in units {
        let (Some(Answer::File(record)), Some(Answer::Tree(tree))) = (answers.next(), answers.next()) else {
            return Err(garbled());
        };
        let Some(record) = record.and_then(|file| Record::parse(&file.content).ok()) else { continue };
        let found = release::found(tree);
        let current = record.release;
        let mut releases: BTreeSet<u32> = plan::outdated(record.spec.keep, &found, current).into_iter().collect();
        releases.extend(plan::abandoned(&found, &refs, unit, current));
        let spent = plan::spent(&found, Some(current)).into_iter().filter(|number| !releases.contains(number));
        let spent: Vec<(String, u32)> = spent.map(|number| (unit.clone(), number)).collect();
        plan::strip(&mut batch, &spent, &mut refs);
        let old = found.iter().filter(|(number, release)| {
            let goes = releases.contains(number) || spent.iter().any(|(_, spent)| spent == *number);
            secrets && **number != current && release.env.is_some() && !goes
        });
        let secrets: Vec<u32> = old.map(|(number, _)| *number).collect();
        batch.removes.extend(releases.iter().map(|number| layout::release(unit, *number)));
        for number in &secrets {
            // Without its secrets there is no way back to it, so nothing else of it is of use.
            batch.removes.push(layout::release(unit, *number));
        }
        let gone =
            |other: &str, number: u32| other == unit && (releases.contains(&number) || secrets.contains(&number));
        plan::unmark(&mut batch, &mut refs, gone);
        if !releases.is_empty() || !secrets.is_empty() || !spent.is_empty() {
            entries.push(Entry { unit: unit.clone(), from: Some(current), to: Some(current) });
            pruned.push(Pruned { unit: unit.clone(), releases: releases.into_iter().collect(), secrets });
        }
    }
    if !pruned.is_empty() {
        let mut executor = session.executor(&facts, crate::supervisor::SupervisorKind::choose(&facts, None).manager);
        for unit in &pruned {
            executor.audit(&unit.unit, None, "pruned");
        }
        executor.remove(batch, &entries).await?;
    }
    Ok(pruned)
}
