//! demo: the whole job on a daemon that is unitbee itself, and no trace of it afterwards.
//!
//! Each step is the verb that a user would type, with its own output.

mod daemon;

use std::time::Duration;

use anyhow::{Context, Result, bail};
use camino::Utf8PathBuf;

use super::super::args::{Changing, Confirm, Global, Locking, Logs, ScopeName, Services, Uninstall};
use super::super::exit::Exit;
use super::super::fault::{BadManifest, Usage};
use super::super::output::Output;
use super::super::work::{self, Job};
use super::apply::{self, Choices};
use super::{lifecycle, logs, status, uninstall};
use crate::deploy::{ApplyOptions, OnFailure};
use crate::host::{Answer, Ask, Query};
use crate::service::manifest::{Flags, from_flags};
use crate::supervisor::{UnitFileKind, layout};

pub use self::daemon::serve;

/// Name of the service, and of its only unit.
const SERVICE: &str = "unitbee-demo";
const UNIT: &str = "unitbee-demo-main";

/// How long to wait for another unitbee that is at work on the host.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// `demo`.
pub async fn demo(global: &Global, scope: Option<ScopeName>, output: Output) -> Result<Exit> {
    if global.hosts.len() > 1 {
        let message = "the demo is for one host at a time".to_owned();
        return Err(Usage { message, hint: "name one host with `-H`".into() }.into());
    }
    let flags = flags(scope)?;
    let manifest = from_flags(&flags).map_err(BadManifest)?;
    let jobs = work::jobs(global, manifest.select(&[], &global.hosts)?);
    let host = global.hosts.first().map_or_else(String::new, |host| format!(" -H {host}"));
    let demo = Demo { jobs, host, install: typed(&flags), output };
    let shown = tokio::select! {
        shown = demo.show() => shown,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    // Whatever came of it, nothing of it stays.
    let removed = demo.remove().await;
    shown.and(removed).map(|()| Exit::Done)
}

fn flags(scope: Option<ScopeName>) -> Result<Flags> {
    let program = std::env::current_exe().context("find this program")?;
    let program = Utf8PathBuf::try_from(program).context("find this program")?;
    let (Some(dir), Some(name)) = (program.parent(), program.file_name()) else { bail!("{program} is no program") };
    // Above the ports of well-known services and below those that the kernel gives out.
    let port = 20_000 + std::process::id() % 10_000;
    let url = |path: &str| Some(format!("http://127.0.0.1:{port}/{path}"));
    Ok(Flags {
        service: SERVICE.into(),
        command: vec![format!("./{name}"), "demo".into(), "--serve".into(), port.to_string()],
        dir: dir.to_owned(),
        check: vec!["--version".into()],
        description: Some("a tiny daemon for a demonstration of unitbee".into()),
        cpu: Some("50%".into()),
        memory: Some("64M".into()),
        tasks: Some(32),
        scope: scope.map(|scope| scope.key().to_owned()),
        health_url: url("health"),
        within: Some("10s".into()),
        healthy_for: Some("1s".into()),
        stop_url: url("shutdown"),
        ..Flags::default()
    })
}

/// What a user would type to get the same.
fn typed(flags: &Flags) -> String {
    let mut options = vec![
        ("--cpu", &flags.cpu),
        ("--memory", &flags.memory),
        ("--health", &flags.health_url),
        ("--within", &flags.within),
        ("--stop", &flags.stop_url),
    ];
    options.extend(flags.scope.is_some().then_some(("--scope", &flags.scope)));
    let mut words = vec![SERVICE];
    words.extend(flags.check.iter().flat_map(|arg| ["--check", arg]));
    words.extend(options.iter().flat_map(|(option, value)| [*option, value.as_deref().unwrap_or_default()]));
    words.push("--");
    words.extend(flags.command.iter().map(String::as_str));
    words.join(" ")
}

struct Demo {
    jobs: Vec<Job>,
    /// The option that names the host.
    host: String,
    install: String,
    output: Output,
}

impl Demo {
    async fn show(&self) -> Result<()> {
        self.say("a copy of unitbee becomes a service with limits, and gets healthy", "install-unit", &self.install)?;
        let choices = Choices {
            options: ApplyOptions { transient: true, ..ApplyOptions::default() },
            on_failure: OnFailure::default(),
            prune: false,
            lock_timeout: LOCK_TIMEOUT,
            strict_limits: false,
        };
        done(apply::carry_out(apply::prepared(self.jobs.clone()).await?, &choices, self.output).await?)?;

        self.say("how it is", "status", UNIT)?;
        done(status::show(self.jobs.clone(), self.output).await?)?;

        self.say("what it said", "logs", UNIT)?;
        let args =
            Logs { services: Services { services: Vec::new() }, file: None, follow: false, lines: 10, raw: false };
        done(logs::show(&self.jobs, &args, self.output).await?)?;

        self.say("it is asked to end, by its shutdown URL", "stop", UNIT)?;
        done(lifecycle::on_hosts(self.jobs.clone(), lifecycle::Verb::Stop, LOCK_TIMEOUT, self.output).await?)
    }

    async fn remove(&self) -> Result<()> {
        self.say("it goes", "uninstall", UNIT)?;
        let changing =
            Changing { services: Services { services: Vec::new() }, locking: Locking { lock_wait: LOCK_TIMEOUT } };
        let args = Uninstall { changing, confirm: Confirm { yes: true }, take: false };
        done(uninstall::remove_all(self.jobs.clone(), &args, self.output).await?)?;
        for job in &self.jobs {
            let left = left(job).await?;
            if !left.is_empty() {
                bail!("{} still has {}", job.host.name(), left.join(", "));
            }
        }
        if !self.output.json {
            self.output.text("\nNothing is left: no unit, no file, no process.\n")?;
        }
        Ok(())
    }

    fn say(&self, what: &str, verb: &str, words: &str) -> Result<()> {
        if !self.output.json {
            self.output.text(&format!("\n# {what}\n$ unitbee {verb}{} {words}\n", self.host))?;
        }
        Ok(())
    }
}

fn done(exit: Exit) -> Result<()> {
    match exit {
        Exit::Done => Ok(()),
        _ => bail!("the demo ends here"),
    }
}

/// What is left of the unit on its host.
async fn left(job: &Job) -> Result<Vec<String>> {
    let definitions = UnitFileKind::ALL.map(|kind| kind.path(UNIT));
    let paths: Vec<_> = definitions.into_iter().chain([layout::unit(UNIT), layout::record(UNIT)]).collect();
    let asks = paths.iter().cloned().map(Ask::Size).chain([Ask::Tree(layout::refs())]).collect();
    let answers = job.host.query(&Query { asks }).await?.answers;
    let files = paths.iter().zip(&answers).filter(|(_, answer)| **answer != Answer::Size(None));
    let mut left: Vec<String> = files.map(|(path, _)| path.rel.to_string()).collect();
    if let Some(Answer::Tree(marks)) = answers.last() {
        left.extend(marks.keys().filter(|mark| mark.as_str().contains(UNIT)).map(ToString::to_string));
    }
    Ok(left)
}
