//! The releases of units, and who changed what.

use std::collections::BTreeMap;

use serde::Serialize;

use super::audit::AuditLine;
use super::error::ApplyError;
use super::release::{self, ReleaseFound};
use crate::host::{Answer, Ask, Host, Query};
use crate::service::record::Record;
use crate::supervisor::layout;

/// What a host keeps of a unit, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct History {
    /// Host.
    pub host: String,
    /// Unit.
    pub unit: String,
    /// Its releases.
    pub releases: Vec<Release>,
    /// What was done to it.
    pub changes: Vec<AuditLine>,
}

/// A release of a unit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Release {
    /// Its number.
    pub release: u32,
    /// Whether it is in effect.
    pub current: bool,
    /// `healthy`: it passed its gate; `failed`; `unproven`: it has not yet; `kept`: made before that was recorded.
    pub state: &'static str,
    /// Why it did not pass its gate.
    pub reason: Option<String>,
    /// Unix time in microseconds by the host's clock, when it was made.
    pub usec: Option<u64>,
    /// Who made it.
    pub by: Option<String>,
    /// The manifest that it was made from.
    pub manifest: Option<String>,
    /// Digest of its program, where that was shipped.
    pub program: Option<String>,
    /// Version of the unitbee that made it.
    pub unitbee: Option<String>,
    /// Whether there is a way back to it.
    pub usable: bool,
}

/// Reads what `host` keeps of `units`; those that it does not know have no releases.
///
/// # Errors
///
/// Where the host does not answer.
pub async fn history(host: &dyn Host, units: &[String]) -> Result<Vec<History>, ApplyError> {
    let garbled = || ApplyError::Garbled { host: host.name().to_owned() };
    let asks = units.iter().flat_map(|unit| [Ask::File(layout::current_spec(unit)), Ask::Tree(layout::unit(unit))]);
    let logs = [layout::rotated_audit_log(), layout::audit_log()].map(Ask::File);
    let mut answers = host.query(&Query { asks: logs.into_iter().chain(asks).collect() }).await?.answers.into_iter();
    let mut changes = Vec::new();
    for _ in 0..2 {
        let Some(Answer::File(log)) = answers.next() else { return Err(garbled()) };
        changes.extend(log.map(|log| AuditLine::read(&log.content)).unwrap_or_default());
    }
    let mut found = Vec::with_capacity(units.len());
    for _ in units {
        let (Some(Answer::File(record)), Some(Answer::Tree(tree))) = (answers.next(), answers.next()) else {
            return Err(garbled());
        };
        let current = record.and_then(|file| Record::parse(&file.content).ok()).map(|record| record.release);
        found.push((current, release::found(tree)));
    }
    let details = details(host, units, &found).await?;
    let history = |(unit, (current, releases)): (&String, &(Option<u32>, BTreeMap<u32, ReleaseFound>))| History {
        host: host.name().to_owned(),
        unit: unit.clone(),
        releases: releases.iter().map(|(number, found)| one(unit, *number, found, *current, &details)).collect(),
        changes: changes.iter().filter(|line| line.unit == *unit).cloned().collect(),
    };
    Ok(units.iter().zip(&found).map(history).collect())
}

/// Record and reason of each release.
type Details = BTreeMap<(String, u32), (Option<Record>, Option<String>)>;

async fn details(
    host: &dyn Host,
    units: &[String],
    found: &[(Option<u32>, BTreeMap<u32, ReleaseFound>)],
) -> Result<Details, ApplyError> {
    let all: Vec<(String, u32)> = units
        .iter()
        .zip(found)
        .flat_map(|(unit, (_, releases))| releases.keys().map(|number| (unit.clone(), *number)))
        .collect();
    if all.is_empty() {
        return Ok(Details::new());
    }
    let asks = all
        .iter()
        .flat_map(|(unit, number)| [layout::release_spec(unit, *number), layout::release_failed(unit, *number)]);
    let answers = host.query(&Query { asks: asks.map(Ask::File).collect() }).await?.answers;
    let file = |answer: Option<&Answer>| match answer {
        Some(Answer::File(Some(file))) => Some(file.content.clone()),
        _ => None,
    };
    let read = |answers: &[Answer]| {
        let record = file(answers.first()).and_then(|bytes| Record::parse(&bytes).ok());
        let reason = file(answers.get(1)).map(|bytes| String::from_utf8_lossy(&bytes).trim_end().to_owned());
        (record, reason)
    };
    Ok(all.into_iter().zip(answers.chunks(2).map(read)).collect())
}

fn one(unit: &str, number: u32, found: &ReleaseFound, current: Option<u32>, details: &Details) -> Release {
    let (record, reason) = details.get(&(unit.to_owned(), number)).cloned().unwrap_or_default();
    let origin = record.as_ref().and_then(|record| record.origin.clone());
    Release {
        release: number,
        current: current == Some(number),
        state: match found {
            ReleaseFound { failed: true, .. } => "failed",
            ReleaseFound { healthy: true, .. } => "healthy",
            ReleaseFound { set: None, .. } => "kept",
            _ => "unproven",
        },
        reason,
        usec: origin.as_ref().map(|origin| origin.usec),
        by: origin.as_ref().map(|origin| origin.by.clone()),
        manifest: origin.as_ref().and_then(|origin| origin.manifest.clone()),
        program: record.and_then(|record| record.sha256),
        unitbee: origin.map(|origin| origin.unitbee),
        usable: found.is_good(),
    }
}
