//! Units of ours that are found on hosts by their names, whether a manifest names them or not.

use std::collections::BTreeSet;

use anyhow::Result;

use super::args::Global;
use super::fault::{NotFound, Usage};
use super::work::{Job, options};
use crate::deploy::rollout;
use crate::host::{self, Answer, Ask, Query};
use crate::observe::UnitRef;
use crate::service::manifest::{closest, without_suffix};
use crate::service::spec::UnitName;
use crate::supervisor::{SupervisorKind, layout};

/// Slice of units that no manifest knows.
const SLICE: &str = "rbee";

/// Finds units by name on machines, each a name and a destination; `known` are further names that there are.
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
    for name in names {
        UnitName::new(without_suffix(name)).map_err(|error| Usage {
            message: format!("invalid unit name {name:?}: {error}"),
            hint: "units are named in full, such as llm-8080".into(),
        })?;
    }
    let looks = rollout::each(machines, |(name, destination)| async move {
        let host = host::open(&name, &destination, &options(global));
        let query = Query { asks: vec![Ask::Folder(layout::units())] };
        let units = host.query(&query).await.map(|mut seen| match seen.answers.pop() {
            Some(Answer::Folder(units)) => units.into_keys().collect(),
            _ => BTreeSet::new(),
        });
        (host, units)
    })
    .await;
    let mut missing: Vec<String> = names.to_vec();
    let (mut jobs, mut all) = (Vec::new(), known.to_vec());
    let hosts: Vec<String> = looks.iter().map(|(host, _)| host.name().to_owned()).collect();
    for (host, units) in looks {
        let units: BTreeSet<String> = units?;
        let mut here = Vec::new();
        for name in names {
            if let Some(unit) = matching(name, &units) {
                missing.retain(|other| other != name);
                here.push(UnitRef { unit, slice: SLICE.to_owned(), spec: None });
            }
        }
        all.extend(units);
        if !here.is_empty() {
            let supervisor = global.supervisor.map(SupervisorKind::from);
            jobs.push(Job { host, subjects: here, supervisor, project: None });
        }
    }
    if missing.is_empty() {
        return Ok(jobs);
    }
    let similar = missing.first().and_then(|name| closest(name, all.iter().map(String::as_str))).map(str::to_owned);
    Err(NotFound { names: missing, hosts, similar }.into())
}

/// The unit that a name means: of that name, or the only instance of a service of that name.
fn matching(name: &str, units: &BTreeSet<String>) -> Option<String> {
    let name = without_suffix(name);
    let main = format!("{name}-main");
    [name, &main].into_iter().find_map(|name| units.get(name)).cloned()
}
