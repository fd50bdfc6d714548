//! uninstall.

use anyhow::Result;
use serde_json::{Value, json};

use super::super::args::{Global, Uninstall};
use super::super::exit::Exit;
use super::super::output::Output;
use super::super::output::progress::Progress;
use super::super::work::{self, Job, Who};
use super::{HostResult, confirm, failure, report};
use crate::deploy::uninstall::uninstall;
use crate::deploy::{Event, rollout};
use crate::observe::UnitRef;

/// `uninstall`.
pub async fn uninstall_all(global: &Global, args: &Uninstall, output: Output) -> Result<Exit> {
    let jobs = work::of_installed(global, &args.changing.services).await?;
    if confirm::is_confirmed("uninstall", &jobs, &args.changing.services, args.confirm) {
        remove_all(jobs, args, output).await
    } else {
        Ok(Exit::Failed)
    }
}

/// Removes the units of `jobs`.
pub(super) async fn remove_all(jobs: Vec<Job>, args: &Uninstall, output: Output) -> Result<Exit> {
    let progress = Progress::new(output);
    let who = Who::here();
    let results: Vec<HostResult<()>> = rollout::each(jobs, |job| {
        let (progress, who) = (&progress, &who);
        async move {
            let units = job.units();
            let done = remove(&job, who, args, progress).await;
            match &done {
                Ok(gone) => progress.done(job.host.name(), &removed(&units, gone), &removal(&job, gone)),
                Err(error) => progress.failed(job.host.name(), &failure(job.host.as_ref(), error)),
            }
            (job.host, done.map(drop))
        }
    })
    .await;
    Ok(report(output, &results))
}

async fn remove(job: &Job, who: &Who, args: &Uninstall, progress: &Progress) -> Result<Vec<String>> {
    let sink = |event: Event| progress.event(job.host.name(), &event);
    let project = job.project.as_ref().map(|project| project.name.as_str()).filter(|_| !args.take);
    let change = who.change("uninstall", args.changing.locking.lock_wait, job);
    Ok(uninstall(&job.host, &job.units(), project, &change, &sink).await?)
}

fn removed(units: &[String], gone: &[String]) -> String {
    let missing: Vec<&str> = units.iter().filter(|unit| !gone.contains(unit)).map(String::as_str).collect();
    match (gone.is_empty(), missing.is_empty()) {
        (false, true) => format!("removed {}", gone.join(", ")),
        (false, false) => format!("removed {}; {} not installed", gone.join(", "), missing.join(", ")),
        (true, _) => format!("{} not installed", missing.join(", ")),
    }
}

fn removal(job: &Job, gone: &[String]) -> Value {
    let subject = |subject: &UnitRef| json!({ "unit": subject.unit, "removed": gone.contains(&subject.unit) });
    json!({
        "host": job.host.name(),
        "outcome": if gone.is_empty() { "unchanged" } else { "changed" },
        "units": job.subjects.iter().map(subject).collect::<Vec<_>>(),
    })
}
