//! logs.

use std::io::Write;

use anyhow::Result;
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::super::args::{Global, Logs};
use super::super::exit::Exit;
use super::super::fault::Usage;
use super::super::output::Output;
use super::super::output::progress::note;
use super::super::work::{self, Job};
use super::{HostResult, report};
use crate::deploy::rollout;
use crate::host::{Facts, Query, printable};
use crate::observe::logs::{Follower, Line, LogQuery, Source, recent};
use crate::supervisor::SupervisorKind;

/// How many lines may wait to be printed before hosts are made to wait.
const AHEAD: usize = 1024;

/// `logs`.
pub async fn logs(global: &Global, args: &Logs, output: Output) -> Result<Exit> {
    if args.raw && output.json {
        let message = "JSON holds no bytes as they were written".to_owned();
        return Err(Usage { message, hint: "leave out `--raw` or `--json`".into() }.into());
    }
    let global = Global { file: args.file.clone().or_else(|| global.file.clone()), ..global.clone() };
    show(&work::of_installed(&global, &args.services).await?, args, output).await
}

/// Shows what the units of `jobs` said.
pub(super) async fn show(jobs: &[Job], args: &Logs, output: Output) -> Result<Exit> {
    let many = jobs.len() > 1 || jobs.iter().any(|job| job.subjects.len() > 1);
    let printer = Printer { output, raw: args.raw, many };
    // Where lines are followed, one of them is enough to find the journal that can be read.
    let first = if args.follow { 1 } else { args.lines };
    let fates = rollout::each(jobs, |job| async move { (job.host.clone(), newest(job, first).await) }).await;
    for (host, fate) in &fates {
        if let Ok(Newest { source: Source::SystemJournal, .. }) = fate {
            let name = printable(host.name().as_bytes());
            note(&format!("{name}: no user journal can be read; these lines are from the system's"));
        }
    }
    if args.follow {
        follow(jobs, &fates, args.lines, printer).await?;
        return Ok(report(output, &fates));
    }
    let mut lines: Vec<&Line> =
        fates.iter().filter_map(|(_, fate)| fate.as_ref().ok()).flat_map(|newest| &newest.lines).collect();
    lines.sort_by_key(|line| line.time);
    let surplus = lines.len().saturating_sub(args.lines as usize);
    for line in &lines[surplus..] {
        printer.print(line)?;
    }
    Ok(report(output, &fates))
}

/// What was found on one host.
struct Newest {
    facts: Facts,
    lines: Vec<Line>,
    source: Source,
}

async fn newest(job: &Job, lines: u32) -> Result<Newest> {
    let units = job.units();
    let observation = job.host.query(&Query { asks: SupervisorKind::ask_installed(&units) }).await?;
    let facts = observation.facts;
    let mut answers = observation.answers.into_iter();
    let manager = SupervisorKind::read_installed(&facts, job.supervisor, units.len(), &mut answers).manager;
    let (lines, source) = recent(job.host.as_ref(), &facts, manager, &LogQuery { units: &units, lines }).await?;
    Ok(Newest { facts, lines, source })
}

/// Prints lines of all hosts as they come, until every host has ended its stream or somebody interrupts.
async fn follow(jobs: &[Job], fates: &[HostResult<Newest>], newest: u32, printer: Printer) -> Result<()> {
    let (sender, mut lines) = mpsc::channel(AHEAD);
    let mut tasks = tokio::task::JoinSet::new();
    for (job, (_, fate)) in jobs.iter().zip(fates) {
        let Ok(Newest { facts, source, .. }) = fate else { continue };
        let (host, units, sender) = (job.host.clone(), job.units(), sender.clone());
        for mut follower in Follower::start(&host, facts, &LogQuery { units: &units, lines: newest }, *source).await? {
            let sender = sender.clone();
            tasks.spawn(async move {
                while let Some(line) = follower.next().await? {
                    if sender.send(line).await.is_err() {
                        break;
                    }
                }
                anyhow::Ok(())
            });
        }
    }
    drop(sender);
    loop {
        tokio::select! {
            line = lines.recv() => match line {
                Some(line) => printer.print(&line)?,
                None => break,
            },
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    tasks.abort_all();
    while let Some(ended) = tasks.join_next().await {
        if let Ok(Err(error)) = ended {
            note(super::super::fault::text(&error, false).trim_end());
        }
    }
    Ok(())
}

#[derive(Debug, Clone, Copy)]
struct Printer {
    output: Output,
    raw: bool,
    many: bool,
}

impl Printer {
    fn print(self, line: &Line) -> std::io::Result<()> {
        if self.output.json {
            return self.output.line(line);
        }
        if self.raw {
            let mut out = std::io::stdout().lock();
            out.write_all(&line.message)?;
            return out.write_all(b"\n");
        }
        let time = line.time.and_then(|time| Timestamp::from_microsecond(i64::try_from(time).ok()?).ok());
        let time = time.map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ ").to_string()).unwrap_or_default();
        let from = if self.many {
            format!("{} {} ", printable(line.host.as_bytes()), printable(line.unit.as_bytes()))
        } else {
            String::new()
        };
        self.output.text(&format!("{time}{from}{}\n", printable(&line.message)))
    }
}
