//! Units of ours that are found on hosts by their names, whether a manifest names them or not.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Result;

use super::args::Global;
use super::fault::{NotFound, Usage};
use super::work::{Job, options};
use crate::deploy::rollout;
use crate::host::{self, Answer, Ask, Host, HostError, Query};
use crate::observe::UnitRef;
use crate::service::manifest::{closest, glob, without_suffix};
use crate::service::spec::UnitName;
use crate::supervisor::{SupervisorKind, layout};

/// Slice of units that no manifest knows.
const SLICE: &str = "rbee";

/// A machine and the units of ours that it has.
type Look = (Arc<dyn Host>, Result<BTreeSet<String>, HostError>);

/// Looks which units of ours machines have, each a name and a destination.
async fn look(global: &Global, machines: Vec<(String, String)>) -> Vec<Look> {
    rollout::each(machines, |(name, destination)| async move {
        let host = host::open(&name, &destination, &options(global));
        let query = Query { asks: vec![Ask::Folder(layout::units())] };
        let units = host.query(&query).await.map(|mut seen| match seen.answers.pop() {
            Some(Answer::Folder(units)) => units.into_keys().collect(),
            _ => BTreeSet::new(),
        });
        (host, units)
    })
    .await
}

fn job(global: &Global, host: Arc<dyn Host>, units: Vec<String>) -> Job {
    let subject = |unit| UnitRef { unit, slice: SLICE.to_owned(), spec: None };
    let supervisor = global.supervisor.map(SupervisorKind::from);
    Job { host, subjects: units.into_iter().map(subject).collect(), supervisor, project: None }
}

/// Every unit of ours on machines.
///
/// # Errors
///
/// Where one of them cannot be looked at.
pub(super) async fn all(global: &Global, machines: Vec<(String, String)>) -> Result<Vec<Job>> {
    let mut jobs = Vec::new();
    for (host, units) in look(global, machines).await {
        jobs.push(job(global, host, units?.into_iter().collect()));
    }
    Ok(jobs)
}

/// Finds units by name or glob on machines, each a name and a destination; `known` are further names that there are.
///
/// # Errors
///
/// [`NotFound`] where a name is found on none of them.
pub(super) async fn find(
    global: &Global,
    machines: Vec<(String, String)>,
    names: &[String],
    known: &[String],
) -> Result<Vec<Job>> {
    for name in names.iter().filter(|name| !name.contains(['*', '?'])) {
        UnitName::new(without_suffix(name)).map_err(|error| Usage {
            message: format!("invalid unit name {name:?}: {error}"),
            hint: "units are named in full, such as llm-8080".into(),
        })?;
    }
    let mut missing: Vec<String> = names.to_vec();
    let (mut jobs, mut there, mut hosts) = (Vec::new(), known.to_vec(), Vec::new());
    for (host, units) in look(global, machines).await {
        hosts.push(host.name().to_owned());
        let units: BTreeSet<String> = units?;
        let mut here = BTreeSet::new();
        for name in names {
            let found = matching(name, &units);
            if !found.is_empty() {
                missing.retain(|other| other != name);
            }
            here.extend(found);
        }
        there.extend(units);
        if !here.is_empty() {
            jobs.push(job(global, host, here.into_iter().collect()));
        }
    }
    if missing.is_empty() {
        return Ok(jobs);
    }
    let similar = missing
        .first()
        .and_then(|name| closest(without_suffix(name), there.iter().map(String::as_str)))
        .map(str::to_owned);
    Err(NotFound { names: missing, hosts, similar }.into())
}

/// The units that a name means: those that match it, or the only instance of a service of that name.
fn matching(name: &str, units: &BTreeSet<String>) -> Vec<String> {
    let name = without_suffix(name);
    let found: Vec<String> = units.iter().filter(|unit| glob(name.as_bytes(), unit.as_bytes())).cloned().collect();
    if !found.is_empty() {
        return found;
    }
    units.get(&format!("{name}-main")).cloned().into_iter().collect()
}
