//! plan, apply, install-unit, uninstall.

use std::time::Duration;

use anyhow::Result;
use camino::Utf8PathBuf;
use serde_json::{Value, json};

use super::super::args::{Apply, Changing, Converge, Global, InstallUnit, Services};
use super::super::exit::Exit;
use super::super::fault::{BadManifest, Unprepared, Usage};
use super::super::output::Output;
use super::super::output::progress::{Progress, note};
use super::super::work::{self, Job};
use super::{HostResult, confirm, failure, report};
use crate::deploy::apply::{Applied, Order, Outcome, apply, preview};
use crate::deploy::plan::Notes;
use crate::deploy::uninstall::uninstall;
use crate::deploy::{Choices, Event, Wanted, prepare, rollout};
use crate::host::{Host, printable};
use crate::observe::{UnitRef, UnitReport, status};
use crate::service::manifest::{Flags, from_flags};
use crate::supervisor::{Flag, FlagKind};

/// What `apply` and `install-unit` have in common.
pub(super) struct Wish {
    pub(super) choices: Choices,
    pub(super) patience: Duration,
    pub(super) strict_limits: bool,
}

/// `plan`.
pub async fn plan(global: &Global, args: &Converge, output: Output) -> Result<Exit> {
    let jobs = prepared(work::of_manifest(global, &args.services).await?).await?;
    let owner = work::owner();
    let choices = Choices { take: args.take, ..Choices::default() };
    let fates = rollout::each(jobs, |(job, wanted)| {
        let owner = owner.as_str();
        async move {
            let order = Order { wanted: &wanted, choices, owner, patience: Duration::ZERO, supervisor: job.supervisor };
            let plan = preview(&job.host, &order, &|_| ()).await.map_err(anyhow::Error::from);
            (job.host, plan)
        }
    })
    .await;
    let pending = fates.iter().any(|(_, plan)| plan.as_ref().is_ok_and(|plan| !plan.is_empty()));
    if output.json {
        let values: Vec<Value> = fates
            .iter()
            .map(|(host, plan)| match plan {
                Ok(plan) => json!(plan),
                Err(error) => failure(host.as_ref(), error),
            })
            .collect();
        output.document(&values)?;
    } else {
        for (host, plan) in &fates {
            let Ok(plan) = plan else { continue };
            let name = printable(host.name().as_bytes());
            let text = if plan.is_empty() {
                format!("{name}: nothing to do\n")
            } else {
                format!("{name}: would change\n{}", indented(&printable(plan.to_string().as_bytes())))
            };
            output.text(&text)?;
        }
    }
    Ok(match report(output, &fates) {
        Exit::Done if pending => Exit::Pending,
        exit => exit,
    })
}

fn indented(text: &str) -> String {
    text.lines().fold(String::new(), |text, line| text + "  " + line + "\n")
}

/// `apply`.
pub async fn apply_all(global: &Global, args: &Apply, output: Output) -> Result<Exit> {
    let jobs = prepared(work::of_manifest(global, &args.converge.services).await?).await?;
    let wish = Wish {
        choices: Choices { take: args.converge.take, ..Choices::default() },
        patience: args.locking.lock_wait,
        strict_limits: args.strict_limits,
    };
    carry_out(jobs, &wish, output).await
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
    let wish = Wish {
        choices: Choices { take: args.take, ..Choices::default() },
        patience: args.locking.lock_wait,
        strict_limits: args.strict_limits,
    };
    carry_out(prepared(jobs).await?, &wish, output).await
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
pub(super) async fn prepared(jobs: Vec<Job>) -> Result<Vec<(Job, Vec<Wanted>)>> {
    let mut ready = Vec::with_capacity(jobs.len());
    let mut missing = Vec::new();
    // One pass over all hosts reads each program once.
    let specs: Vec<_> = jobs.iter().flat_map(Job::specs).collect();
    match prepare(&specs, |name| std::env::var(name).ok()).await {
        Ok(wanted) => {
            let mut wanted = wanted.into_iter();
            for job in jobs {
                let units = wanted.by_ref().take(job.subjects.len()).collect();
                ready.push((job, units));
            }
        }
        Err(errors) => missing = errors,
    }
    if missing.is_empty() { Ok(ready) } else { Err(Unprepared(missing).into()) }
}

pub(super) async fn carry_out(jobs: Vec<(Job, Vec<Wanted>)>, wish: &Wish, output: Output) -> Result<Exit> {
    let progress = Progress::new(output);
    let owner = work::owner();
    let fates = rollout::each(jobs, |(job, wanted)| {
        let (progress, owner) = (&progress, owner.as_str());
        async move {
            let order = Order {
                wanted: &wanted,
                choices: wish.choices,
                owner,
                patience: wish.patience,
                supervisor: job.supervisor,
            };
            let done = converge(&job, &order, wish, progress).await;
            match &done {
                Ok(applied) => progress.done(job.host.name(), &summary(applied), &value(job.host.as_ref(), applied)),
                Err(error) => progress.failed(job.host.name(), &failure(job.host.as_ref(), error)),
            }
            (job.host, done)
        }
    })
    .await;
    let lasting = fates.iter().all(|(_, fate)| fate.as_ref().map_or(true, |applied| applied.not_persistent.is_none()));
    for (host, applied) in fates.iter().filter_map(|(host, fate)| Some((host, fate.as_ref().ok()?))) {
        remarks(host.as_ref(), applied, output);
    }
    let exit = report(output, &fates);
    Ok(if lasting || exit != Exit::Done { exit } else { Exit::Failed })
}

async fn converge(job: &Job, order: &Order<'_>, wish: &Wish, progress: &Progress) -> Result<Applied> {
    let sink = |event: Event| progress.event(job.host.name(), &event);
    let mut applied = apply(&job.host, order, &sink).await?;
    if wish.strict_limits {
        applied.gaps = limit_gaps(&status(&job.host, &job.subjects, job.supervisor).await?);
        if let Some((unit, gap)) = applied.gaps.first() {
            anyhow::bail!("{unit} runs, but a limit does not hold: {gap}");
        }
    }
    let mut gaps = Notes::default();
    for (unit, gap) in &applied.gaps {
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

fn summary(applied: &Applied) -> String {
    match applied.outcome {
        Outcome::Unchanged => "unchanged".to_owned(),
        Outcome::Changed => "changed".to_owned(),
    }
}

fn value(host: &dyn Host, applied: &Applied) -> Value {
    let lasting = applied.not_persistent.iter();
    let flags: Vec<Flag> = lasting
        .map(|(mend, reason)| (FlagKind::NotPersistent, None, reason, Some(mend.clone())))
        .chain(applied.gaps.iter().map(|(unit, gap)| (FlagKind::LimitNotEffective, Some(unit), gap, None)))
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
        "exchanges": host.exchanges(),
    })
}

fn remarks(host: &dyn Host, applied: &Applied, output: Output) {
    if output.json {
        return;
    }
    let name = printable(host.name().as_bytes());
    if applied.outcome == Outcome::Changed {
        for text in &applied.notes {
            note(&format!("{name}: note: {}", printable(text.as_bytes())));
        }
    }
    if let Some((command, detail)) = &applied.not_persistent {
        note(&format!(
            "{name}: not-persistent: services end at logout and do not start at boot ({})\n  hint: run on {name}: {command}",
            printable(detail.as_bytes()),
        ));
    }
}

/// `uninstall`.
pub async fn uninstall_all(global: &Global, args: &Changing, output: Output) -> Result<Exit> {
    let jobs = work::of_installed(global, &args.services).await?;
    if confirm::is_confirmed("uninstall", &jobs, &args.services, args.confirm) {
        remove_all(jobs, args.locking.lock_wait, output).await
    } else {
        Ok(Exit::Failed)
    }
}

/// Removes the units of `jobs`.
pub(super) async fn remove_all(jobs: Vec<Job>, patience: Duration, output: Output) -> Result<Exit> {
    let progress = Progress::new(output);
    let owner = work::owner();
    let fates: Vec<HostResult<()>> = rollout::each(jobs, |job| {
        let (progress, owner) = (&progress, owner.as_str());
        async move {
            let units = job.units();
            let done = remove(&job, owner, patience, progress).await;
            match &done {
                Ok(gone) => progress.done(job.host.name(), &removed(&units, gone), &removal(&job, gone)),
                Err(error) => progress.failed(job.host.name(), &failure(job.host.as_ref(), error)),
            }
            (job.host, done.map(drop))
        }
    })
    .await;
    Ok(report(output, &fates))
}

async fn remove(job: &Job, owner: &str, patience: Duration, progress: &Progress) -> Result<Vec<String>> {
    let order = Order { wanted: &[], choices: Choices::default(), owner, patience, supervisor: job.supervisor };
    let sink = |event: Event| progress.event(job.host.name(), &event);
    Ok(uninstall(&job.host, &job.units(), &order, &sink).await?)
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
