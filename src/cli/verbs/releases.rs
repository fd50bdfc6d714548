//! rollback, history, prune.

use anyhow::Result;
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};

use super::super::args::{Global, Prune, Rollback, Services};
use super::super::exit::Exit;
use super::super::output::Output;
use super::super::output::progress::Progress;
use super::super::work::{self, Job, Who};
use super::{HostResult, failure, report};
use crate::deploy::history::{self, History, Release};
use crate::deploy::prune::Pruned;
use crate::deploy::{Event, OnFailure, prune, rollback, rollout};
use crate::host::printable;

/// `rollback`.
pub async fn rollback(global: &Global, args: &Rollback, output: Output) -> Result<Exit> {
    let jobs = work::of_installed(global, &args.services).await?;
    let progress = Progress::new(output);
    let who = Who::here();
    let results: Vec<HostResult<()>> = rollout::each(jobs, |job| {
        let (progress, who) = (&progress, &who);
        async move {
            let done = roll_back(&job, args, who, progress).await;
            match &done {
                Ok(targets) => {
                    let words = targets.iter().map(|(unit, release)| format!("{unit} is at release {release}"));
                    let units: Vec<Value> =
                        targets.iter().map(|(unit, release)| json!({ "unit": unit, "release": release })).collect();
                    let value = json!({ "host": job.host.name(), "outcome": "rolled-back", "units": units });
                    progress.done(job.host.name(), &words.collect::<Vec<_>>().join(", "), &value);
                }
                Err(error) => progress.failed(job.host.name(), &failure(job.host.as_ref(), error)),
            }
            (job.host, done.map(drop))
        }
    })
    .await;
    Ok(report(output, &results))
}

async fn roll_back(job: &Job, args: &Rollback, who: &Who, progress: &Progress) -> Result<Vec<(String, u32)>> {
    let sink = |event: Event| progress.event(job.host.name(), &event);
    let change = who.change("rollback", args.locking.lock_wait, job);
    let on_failure = if args.no_rollback { OnFailure::Leave } else { OnFailure::default() };
    let (_, targets) =
        Box::pin(rollback::rollback(&job.host, &job.units(), args.to, &change, on_failure, &sink)).await?;
    Ok(targets)
}

/// `history`.
pub async fn history(global: &Global, services: &Services, output: Output) -> Result<Exit> {
    let jobs = work::of_all_installed(global, services).await?;
    let results: Vec<HostResult<Vec<History>>> = rollout::each(jobs, |job| async move {
        let done = history::history(job.host.as_ref(), &job.units()).await.map_err(anyhow::Error::from);
        (job.host, done)
    })
    .await;
    if output.json {
        let mut values: Vec<Value> =
            results.iter().filter_map(|(_, done)| done.as_ref().ok()).flatten().map(|history| json!(history)).collect();
        for (host, done) in &results {
            values.extend(done.as_ref().err().map(|error| failure(host.as_ref(), error)));
        }
        output.document(&values)?;
    } else {
        for history in results.iter().filter_map(|(_, done)| done.as_ref().ok()).flatten() {
            output.text(&text(history))?;
        }
    }
    Ok(report(output, &results))
}

/// One unit: its releases, newest first, then who changed what.
fn text(history: &History) -> String {
    let title = format!("{} on {}\n", history.unit, printable(history.host.as_bytes()));
    if history.releases.is_empty() {
        return title + "  not installed\n";
    }
    let mut lines = vec![title];
    for release in history.releases.iter().rev() {
        lines.push(line(release));
    }
    for change in &history.changes {
        let by = printable(change.by.as_bytes());
        let release = change.release.map(|release| format!(" release {release}")).unwrap_or_default();
        let result = printable(change.result.as_bytes());
        lines.push(format!("  {} {by} {}{release}: {result}\n", time(change.usec), change.verb));
    }
    lines.concat()
}

fn line(release: &Release) -> String {
    let mark = if release.current { "*" } else { " " };
    let made = release.usec.map_or_else(|| "-".to_owned(), time);
    let by = release.by.as_ref().map_or_else(|| "-".to_owned(), |by| printable(by.as_bytes()));
    let program = release.program.as_ref().map(|sha256| format!(" program {}", sha256.get(..7).unwrap_or_default()));
    let reason = release.reason.as_ref().map(|reason| format!(": {}", printable(reason.as_bytes())));
    let (program, reason) = (program.unwrap_or_default(), reason.unwrap_or_default());
    format!("{mark} {:>4} {:<8} {made} {by}{program}{reason}\n", release.release, release.state)
}

fn time(usec: u64) -> String {
    let seconds = i64::try_from(usec / 1_000_000).unwrap_or_default();
    let time = Timestamp::from_second(seconds).map(|time| time.to_zoned(TimeZone::system()));
    time.map_or_else(|_| "-".to_owned(), |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// `prune`.
pub async fn prune(global: &Global, args: &Prune, output: Output) -> Result<Exit> {
    let jobs = work::of_installed(global, &args.services).await?;
    let progress = Progress::new(output);
    let who = Who::here();
    let results: Vec<HostResult<()>> = rollout::each(jobs, |job| {
        let (progress, who) = (&progress, &who);
        async move {
            let sink = |event: Event| progress.event(job.host.name(), &event);
            let change = who.change("prune", args.locking.lock_wait, &job);
            let done = Box::pin(prune::prune(&job.host, &job.units(), args.secrets, &change, &sink)).await;
            let done = done.map_err(anyhow::Error::from);
            match &done {
                Ok(pruned) => {
                    let outcome = if pruned.is_empty() { "unchanged" } else { "changed" };
                    let value = json!({ "host": job.host.name(), "outcome": outcome, "units": pruned });
                    progress.done(job.host.name(), &words(pruned), &value);
                }
                Err(error) => progress.failed(job.host.name(), &failure(job.host.as_ref(), error)),
            }
            (job.host, done.map(drop))
        }
    })
    .await;
    Ok(report(output, &results))
}

fn words(pruned: &[Pruned]) -> String {
    if pruned.is_empty() {
        return "nothing to prune".to_owned();
    }
    let list = |releases: &[u32]| releases.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let one = |unit: &Pruned| list(&[&unit.releases[..], &unit.secrets[..]].concat()) + " of " + &unit.unit;
    format!("removed releases {}", pruned.iter().map(one).collect::<Vec<_>>().join("; "))
}
