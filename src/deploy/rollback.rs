//! Puts releases back into effect that the host keeps.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::apply::{Applied, OnFailure};
use super::change::Change;
use super::converge::{Session, look};
use super::desired::Desired;
use super::error::ApplyError;
use super::event::Sink;
use super::journal;
use super::plan::ApplyOptions;
use super::recover::{converge_after, recover};
use super::release::{self, ReleaseFound, read_back};
use super::survey;
use crate::host::{Answer, Ask, Host, Observation, Query};
use crate::service::record::Record;
use crate::supervisor::{Approach, layout};

/// Puts the release `to` of each unit back into effect, or the good one before the one in effect; returns what each unit
/// has now. A release that does not pass its gate gives way to the one that was in effect.
///
/// # Errors
///
/// [`ApplyError::NoRelease`] where there is none to go back to; else those of an apply.
pub async fn rollback(
    host: &Arc<dyn Host>,
    units: &[String],
    to: Option<u32>,
    change: &Change<'_>,
    on_failure: OnFailure,
    events: Sink<'_>,
) -> Result<(Applied, Vec<(String, u32)>), ApplyError> {
    let (lease, observation) = change.lock(host, &query(units), events).await?;
    let session = Session { host, change, lease: &lease, events, recovering: None };
    let unfinished = recover(&session, units, &observation).await?;
    let observation = if unfinished.is_some() { host.query(&query(units)).await? } else { observation };
    let targets = targets(host.as_ref(), units, to, observation)?;
    let desired: Vec<Desired> =
        read_back(host.as_ref(), &targets).await?.into_iter().map(Desired::of_release).collect();
    let observation = host.query(&survey::query(&desired, change.requested)).await?;
    let options = ApplyOptions { take: true, retry: true, ..ApplyOptions::default() };
    let looked = look(host, change, &desired, &options, observation, Approach::default().into(), events).await?;
    Ok((Box::pin(converge_after(&session, unfinished, &desired, looked, on_failure)).await?, targets))
}

fn query(units: &[String]) -> Query {
    let asks = units.iter().flat_map(|unit| [Ask::File(layout::current_spec(unit)), Ask::Tree(layout::unit(unit))]);
    Query { asks: [journal::ask()].into_iter().chain(asks).collect() }
}

/// The release that each unit goes back to.
fn targets(
    host: &dyn Host,
    units: &[String],
    to: Option<u32>,
    observation: Observation,
) -> Result<Vec<(String, u32)>, ApplyError> {
    let mut answers = observation.answers.into_iter().skip(1);
    let mut targets = Vec::with_capacity(units.len());
    for unit in units {
        let (Some(Answer::File(record)), Some(Answer::Tree(tree))) = (answers.next(), answers.next()) else {
            return Err(ApplyError::Garbled { host: host.name().to_owned() });
        };
        let current = record.and_then(|file| Record::parse(&file.content).ok()).map(|record| record.release);
        let releases = release::found(tree);
        let (unit, host) = (unit.clone(), host.name().to_owned());
        let target = match to {
            Some(to) if !releases.contains_key(&to) => {
                return Err(ApplyError::NoSuchRelease { unit, host, release: to });
            }
            Some(to) => to,
            None => match before(&releases, current) {
                Some(release) => release,
                None => return Err(ApplyError::NoRelease { unit, host }),
            },
        };
        targets.push((unit, target));
    }
    Ok(targets)
}

/// The newest good release before the one in effect; where that did not pass its gate, the newest good one of all.
fn before(releases: &BTreeMap<u32, ReleaseFound>, current: Option<u32>) -> Option<u32> {
    let current = current?;
    let good = |(number, release): &(&u32, &ReleaseFound)| **number != current && release.is_good();
    let older = releases.iter().rev().filter(good).find(|(number, _)| **number < current);
    let any = || {
        let is_rejected = releases.get(&current).is_some_and(|release| release.failed);
        releases.iter().rev().find(good).filter(|_| is_rejected)
    };
    older.or_else(any).map(|(number, _)| *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_leads_past_what_failed() {
        let release =
            |healthy, failed| ReleaseFound { set: Some("s".into()), healthy, failed, ..ReleaseFound::default() };
        let releases = BTreeMap::from([
            (1, release(true, false)),
            (2, release(true, false)),
            (3, release(false, true)),
            (4, release(true, false)),
        ]);
        assert_eq!(before(&releases, Some(4)), Some(2));
        assert_eq!(before(&releases, Some(3)), Some(2));
        assert_eq!(before(&releases, Some(2)), Some(1));
        assert_eq!(before(&releases, Some(1)), None);
        assert_eq!(before(&releases, None), None);
    }
}
