//! start, stop, restart, reload, kill, enable, disable, ensure, wait.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::super::args::{self, Changing, Global, Kill, Services};
use super::super::exit::Exit;
use super::super::output::Output;
use super::super::output::progress::{Progress, ended_by};
use super::super::work::{self, Job, Who};
use super::{HostResult, confirm, failure, report};
use crate::deploy::verb::Held;
use crate::deploy::{Event, rollout};
use crate::host::process::Signal;
use crate::lifecycle::service::Started;
use crate::lifecycle::{DaemonManager, Ensured, Service, Stopped, ensure_daemon_running};
use crate::supervisor::Whom;

/// A verb on one unit.
#[derive(Debug, Clone, Copy)]
pub enum Verb {
    /// `start`.
    Start,
    /// `stop`.
    Stop,
    /// `restart`.
    Restart,
    /// `reload`.
    Reload,
    /// `kill`.
    Kill(Whom, Signal),
    /// `enable`.
    Enable,
    /// `disable`.
    Disable,
    /// `ensure`.
    Ensure,
    /// `wait`.
    Wait,
}

impl Verb {
    /// Its name, where it changes units and so needs the lock of their host.
    fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Reload => "reload",
            Self::Kill(..) => "kill",
            Self::Enable => "enable",
            Self::Disable => "disable",
            Self::Ensure => "ensure",
            Self::Wait => return None,
        })
    }
}

/// `kill`.
pub async fn kill(global: &Global, args: &Kill, output: Output) -> Result<Exit> {
    let whom = if args.all { Whom::All } else { Whom::Main };
    run(global, &args.changing, Verb::Kill(whom, args.signal.into()), output).await
}

/// Does a verb on every unit: hosts at the same time, the units of a host one after the other.
pub async fn run(global: &Global, args: &Changing, verb: Verb, output: Output) -> Result<Exit> {
    on_hosts(work::of_installed(global, &args.services).await?, verb, args.locking.lock_wait, output).await
}

/// `stop`.
pub async fn stop(global: &Global, args: &args::Stop, output: Output) -> Result<Exit> {
    let jobs = work::of_installed(global, &args.changing.services).await?;
    if confirm::is_confirmed("stop", &jobs, &args.changing.services, args.confirm) {
        on_hosts(jobs, Verb::Stop, args.changing.locking.lock_wait, output).await
    } else {
        Ok(Exit::Failed)
    }
}

/// `wait`, which changes nothing.
pub async fn wait(global: &Global, services: &Services, output: Output) -> Result<Exit> {
    on_hosts(work::of_installed(global, services).await?, Verb::Wait, Duration::ZERO, output).await
}

/// The same for jobs that are known.
pub(super) async fn on_hosts(jobs: Vec<Job>, verb: Verb, lock_timeout: Duration, output: Output) -> Result<Exit> {
    let progress = Progress::new(output);
    let who = verb.name().map(|name| (name, Who::here()));
    let results: Vec<HostResult<()>> = rollout::each(jobs, |job| {
        let (progress, who) = (&progress, &who);
        async move {
            let done = match who {
                Some((name, who)) => Box::pin(locked(&job, verb, name, who, lock_timeout, progress)).await,
                None => on_host(&job, verb, None, progress, &mut Vec::new()).await,
            };
            if let Err(error) = &done {
                progress.failed(job.host.name(), &failure(job.host.as_ref(), error));
            }
            (job.host, done)
        }
    })
    .await;
    Ok(report(output, &results))
}

/// Does a verb that changes units, under the lock of their host.
async fn locked(
    job: &Job,
    verb: Verb,
    name: &'static str,
    who: &Who,
    lock_timeout: Duration,
    progress: &Progress,
) -> Result<()> {
    let change = who.change(name, lock_timeout, job);
    let sink = |event: Event| progress.event(job.host.name(), &event);
    let held = Held::take(&job.host, &change, &sink).await?;
    let mut results = Vec::new();
    let done = on_host(job, verb, Some(&held), progress, &mut results).await;
    held.done(&results).await;
    done
}

async fn on_host(
    job: &Job,
    verb: Verb,
    held: Option<&Held<'_>>,
    progress: &Progress,
    results: &mut Vec<(String, String)>,
) -> Result<()> {
    // What runs was installed by the recorded spec; the manifest may have moved on.
    let units: Vec<_> = job.subjects.iter().map(|subject| (subject.unit.clone(), subject.spec.as_ref())).collect();
    for daemon in DaemonManager::open_all(&job.host, &units, job.supervisor).await? {
        if let Some(held) = held {
            held.check().await?;
        }
        let service = match verb {
            // It changes nothing.
            Verb::Wait => daemon.service(),
            _ => daemon.owned().await?,
        };
        let done = one(&service, verb).await;
        results.push((daemon.unit().to_owned(), if done.is_ok() { "done" } else { "failed" }.to_owned()));
        let (words, mut value) = done?;
        if let Value::Object(fields) = &mut value {
            fields.insert("host".to_owned(), json!(job.host.name()));
            fields.insert("unit".to_owned(), json!(daemon.unit()));
        }
        progress.done(job.host.name(), &format!("{} {words}", daemon.unit()), &value);
        // Only now, and not on a stop: a service that runs is worth more than a log that is short.
        if matches!(verb, Verb::Start | Verb::Restart | Verb::Ensure)
            && let Err(error) = daemon.rotate_log().await
        {
            let (unit, why) = (daemon.unit().to_owned(), error.to_string());
            progress.event(job.host.name(), &Event::Unrotated { unit, why });
        }
    }
    Ok(())
}

/// Does the verb; what came of it in words and for machines.
async fn one(service: &Service<'_>, verb: Verb) -> Result<(String, Value)> {
    Ok(match verb {
        Verb::Start => start_words(&service.start().await?),
        Verb::Stop => stop_words(&service.stop().await?),
        Verb::Restart => {
            let (stopped, started) = service.restart().await?;
            let (words, mut value) = start_words(&started);
            if let Value::Object(fields) = &mut value {
                fields.insert("stopped".to_owned(), json!(stopped));
            }
            (format!("{}, {words}", stop_words(&stopped).0), value)
        }
        Verb::Reload => {
            service.reload().await?;
            ("reloaded".to_owned(), json!({ "outcome": "reloaded" }))
        }
        Verb::Kill(whom, signal) => {
            service.kill(whom, signal).await?;
            (format!("got SIG{}", signal.name()), json!({ "outcome": "signalled", "signal": signal }))
        }
        Verb::Enable => switched(service.enable().await?, "enabled"),
        Verb::Disable => switched(service.disable().await?, "disabled"),
        Verb::Ensure => match ensure_daemon_running(service).await? {
            Ensured::Already { pid } => {
                (format!("runs already{}", process(pid)), json!({ "outcome": "unchanged", "pid": pid }))
            }
            Ensured::Started(started) => start_words(&started),
        },
        Verb::Wait => {
            let started = service.wait().await?;
            let health = if started.healthy_after.is_some() { "is healthy" } else { "runs" };
            (format!("{health}{}", process(started.pid)), json!({ "outcome": "unchanged", "pid": started.pid }))
        }
    })
}

fn process(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" as process {pid}")).unwrap_or_default()
}

fn start_words(started: &Started) -> (String, Value) {
    let outcome = if started.already { "unchanged" } else { "started" };
    let after = started.healthy_after.map(|after| after.as_millis());
    let value = json!({ "outcome": outcome, "pid": started.pid, "healthy_after_ms": after });
    let words = match (started.already, started.healthy_after) {
        (true, _) => format!("runs already{}", process(started.pid)),
        (false, None) => format!("started{}", process(started.pid)),
        (false, Some(after)) => {
            format!("started{}, healthy after {:.1} s", process(started.pid), after.as_secs_f64())
        }
    };
    (words, value)
}

fn stop_words(stopped: &Stopped) -> (String, Value) {
    let note = stopped.note.as_ref().map(|note| format!("; {note}")).unwrap_or_default();
    let value =
        json!({ "outcome": "stopped", "by": stopped.by, "took_ms": stopped.elapsed.as_millis(), "note": stopped.note });
    (format!("stopped {}{note}", ended_by(stopped.by)), value)
}

fn switched(changed: bool, word: &str) -> (String, Value) {
    let words = if changed { word.to_owned() } else { format!("was {word} already") };
    (words, json!({ "outcome": if changed { word } else { "unchanged" } }))
}
