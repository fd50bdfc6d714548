//! apply, install-unit.

use std::time::Duration;

use anyhow::Result;
use camino::Utf8PathBuf;
use serde_json::{Value, json};

use super::super::args::{Apply, Gating, Global, InstallUnit, Locking, Services};
use super::super::exit::Exit;
use super::super::fault::{BadManifest, Unprepared, Usage};
use super::super::output::Output;
use super::super::output::progress::{Progress, note};
use super::super::work::{self, Job, Who};
use super::{failure, report};
use crate::deploy::apply::apply;
use crate::deploy::plan::Notes;
use crate::deploy::{Applied, ApplyOptions, ApplyRequest, Change, Desired, Event, First, OnFailure, prepare, rollout};
use crate::host::{Host, printable};
use crate::observe::{UnitReport, status};
use crate::service::manifest::{Flags, from_flags};
use crate::supervisor::{Flag, FlagKind};

/// What `apply` and `install-unit` have in common.
#[derive(Debug, Clone)]
pub(super) struct Choices {
    pub(super) options: ApplyOptions,
    pub(super) on_failure: OnFailure,
    pub(super) prune: bool,
    pub(super) lock_timeout: Duration,
    pub(super) strict_limits: bool,
}

impl Choices {
    fn new(options: ApplyOptions, gating: Gating, locking: Locking) -> Self {
        let first = if gating.keep_failed { First::Keep } else { First::Remove };
        let on_failure = match gating {
            Gating { no_rollback: true, .. } => OnFailure::Leave,
            Gating { atomic: true, .. } => OnFailure::RollBackAll(first),
            Gating { .. } => OnFailure::RollBack(first),
        };
        Self {
            options: ApplyOptions { retry: gating.retry, ..options },
            on_failure,
            prune: false,
            lock_timeout: locking.lock_wait,
            strict_limits: false,
        }
    }
}

/// What is to be done on the host of a job.
pub(super) fn request<'a>(
    job: &Job,
    desired: &'a [Desired],
    options: &ApplyOptions,
    change: Change<'a>,
) -> ApplyRequest<'a> {
    let options = ApplyOptions { project: job.project.clone(), ..options.clone() };
    ApplyRequest { change, desired, options, on_failure: OnFailure::default(), prune: false }
}

/// `apply`.
pub async fn apply_all(global: &Global, args: &Apply, output: Output) -> Result<Exit> {
    let jobs = prepared(work::of_manifest(global, &args.converge.services).await?).await?;
    let options = ApplyOptions { take: args.converge.take, keep: args.converge.keep, ..ApplyOptions::default() };
    let choices = Choices {
        prune: args.prune,
        strict_limits: args.strict_limits,
        ..Choices::new(options, args.gating, args.locking)
    };
    carry_out(jobs, &choices, output).await
}

/// `install-unit`.
pub async fn install(global: &Global, args: &InstallUnit, output: Output) -> Result<Exit> {
    let jobs = if args.command.is_empty() {
        work::of_manifest(global, &Services { services: vec![args.service.clone()] }).await?
    } else if let Some(file) = &global.file {
        let message = format!("{} is told by a command and by the manifest {file}", args.service);
        return Err(Usage { message, hint: "leave out `-f`, or the command and its flags".into() }.into());
    } else {
        let manifest = from_flags(&flags(args)?).map_err(BadManifest)?;
        work::jobs(global, manifest.select(&[], &global.hosts)?)
    };
    let options = ApplyOptions { take: args.take, keep: args.keep, ..ApplyOptions::default() };
    let choices = Choices { strict_limits: args.strict_limits, ..Choices::new(options, args.gating, args.locking) };
    carry_out(prepared(jobs).await?, &choices, output).await
}

fn flags(args: &InstallUnit) -> Result<Flags> {
    let mut env = Vec::new();
    for pair in &args.env {
        let (name, value) = pair.split_once('=').ok_or_else(|| Usage {
            message: format!("--env {pair:?} has no `=`"),
            hint: "`--env NAME=VALUE` sets a variable, `--secret NAME` takes one from this shell".into(),
        })?;
        env.push((name.to_owned(), value.to_owned()));
    }
    let dir = std::env::current_dir()?;
    let dir = Utf8PathBuf::try_from(dir)?;
    Ok(Flags {
        service: args.service.clone(),
        command: args.command.clone(),
        check: args.check.clone(),
        dir,
        env,
        secrets: args.secret.clone(),
        working_dir: args.working_dir.clone(),
        cpu: args.cpu.clone(),
        memory: args.memory.clone(),
        tasks: args.tasks,
        nofile: args.nofile,
        scope: args.scope.map(|scope| scope.key().to_owned()),
        restart: args.restart.map(|when| when.key().to_owned()),
        health_url: args.health.clone(),
        within: args.within.clone(),
        stop_url: args.stop.clone(),
        ..Flags::default()
    })
}

/// Puts together what every job needs from this machine, before the first host is touched.
pub(super) async fn prepared(jobs: Vec<Job>) -> Result<Vec<(Job, Vec<Desired>)>> {
    let mut ready = Vec::with_capacity(jobs.len());
    let mut missing = Vec::new();
    // One pass over all hosts reads each program once.
    let specs: Vec<_> = jobs.iter().flat_map(Job::specs).collect();
    match prepare(&specs, |name| std::env::var(name).ok()).await {
        Ok(desired) => {
            let mut desired = desired.into_iter();
            for job in jobs {
                let units = desired.by_ref().take(job.subjects.len()).collect();
                ready.push((job, units));
            }
        }
        Err(errors) => missing = errors,
    }
    if missing.is_empty() { Ok(ready) } else { Err(Unprepared(missing).into()) }
}

pub(super) async fn carry_out(jobs: Vec<(Job, Vec<Desired>)>, choices: &Choices, output: Output) -> Result<Exit> {
    let progress = Progress::new(output);
    let who = Who::here();
    let results = rollout::each(jobs, |(job, desired)| {
        let (progress, who) = (&progress, &who);
        async move {
            let done = Box::pin(converge(&job, &desired, choices, who, progress)).await;
            match &done {
                Ok(applied) => progress.done(job.host.name(), summary(applied), &value(job.host.as_ref(), applied)),
                Err(error) => progress.failed(job.host.name(), &failure(job.host.as_ref(), error)),
            }
            (job.host, done)
        }
    })
    .await;
    let lasting =
        results.iter().all(|(_, done)| done.as_ref().map_or(true, |applied| applied.not_persistent.is_none()));
    for (host, applied) in results.iter().filter_map(|(host, done)| Some((host, done.as_ref().ok()?))) {
        remarks(host.as_ref(), applied, output);
    }
    let exit = report(output, &results);
    Ok(if lasting || exit != Exit::Done { exit } else { Exit::Failed })
}

async fn converge(
    job: &Job,
    desired: &[Desired],
    choices: &Choices,
    who: &Who,
    progress: &Progress,
) -> Result<Applied> {
    let sink = |event: Event| progress.event(job.host.name(), &event);
    let change = who.change("apply", choices.lock_timeout, job);
    let request = request(job, desired, &choices.options, change);
    let request = ApplyRequest { on_failure: choices.on_failure, prune: choices.prune, ..request };
    let mut applied = Box::pin(apply(&job.host, &request, &sink)).await?;
    if choices.strict_limits {
        applied.unenforced = limit_gaps(&status(&job.host, &job.subjects, job.supervisor).await?);
        if let Some((unit, gap)) = applied.unenforced.first() {
            anyhow::bail!("{unit} runs, but a limit does not hold: {gap}");
        }
    }
    let mut gaps = Notes::default();
    for (unit, gap) in &applied.unenforced {
        gaps.add(unit, format!("{}: {gap}", FlagKind::LimitNotEffective));
    }
    applied.notes.extend(gaps.lines());
    Ok(applied)
}

fn limit_gaps(rows: &[UnitReport]) -> Vec<(String, String)> {
    rows.iter()
        .flat_map(|row| row.flags.iter().map(move |flag| (row, flag)))
        .filter(|(_, flag)| flag.kind == FlagKind::LimitNotEffective)
        .map(|(row, flag)| (row.unit.clone(), flag.reason.clone()))
        .collect()
}

fn summary(applied: &Applied) -> &'static str {
    if applied.changed { "changed" } else { "unchanged" }
}

fn value(host: &dyn Host, applied: &Applied) -> Value {
    let lasting = applied.not_persistent.iter();
    let flags: Vec<Flag> = lasting
        .map(|(mend, reason)| (FlagKind::NotPersistent, None, reason, Some(mend.clone())))
        .chain(applied.unenforced.iter().map(|(unit, gap)| (FlagKind::LimitNotEffective, Some(unit), gap, None)))
        .map(|(kind, unit, reason, mend)| {
            let reason = unit.map_or_else(|| reason.clone(), |unit| format!("{unit}: {reason}"));
            Flag { kind, reason, mend }
        })
        .collect();
    json!({
        "host": host.name(),
        "outcome": summary(applied),
        "transport": applied.transport,
        "notes": applied.notes,
        "flags": flags,
        "orphans": applied.orphans,
        "removed": applied.removed,
        "exchanges": host.exchanges(),
    })
}

fn remarks(host: &dyn Host, applied: &Applied, output: Output) {
    if output.json {
        return;
    }
    let name = printable(host.name().as_bytes());
    if applied.changed {
        for text in &applied.notes {
            note(&format!("{name}: note: {}", printable(text.as_bytes())));
        }
    }
    for unit in &applied.orphans {
        note(&format!("{name}: note: {unit} is not in the manifest any more; `unitbee apply --prune` removes it"));
    }
    if let Some((command, detail)) = &applied.not_persistent {
        note(&format!(
            "{name}: not-persistent: services end at logout and do not start at boot ({})\n  hint: run on {name}: {command}",
            printable(detail.as_bytes()),
        ));
    }
}
