//! The runner: a supervisor that unitbee brings along to hosts that have none.
//!
//! One process of `templates/runner` supervises one service; it is started by the service's definition and ends with it.
//! What it noted, and which of that is still true, is read in one exchange for all units ([`registry`]);
//! everything else is asked of the same program, fed to a shell of the host.
//!
//! What a host can lack, and what that costs: without setsid(1) or job control, or where a process clears its environment
//! and leaves session and parents behind, a process can escape from the unit; a cgroup makes that impossible. Without
//! `env --default-signal` (coreutils 8.31) the service begins with INT and QUIT ignored, as whatever a shell starts in
//! the background. Between the look at a process and the signal to it lie the few microseconds that a shell needs.

use std::sync::Arc;
use std::time::Duration;

use super::clock::Clock;
use super::registry::{self, Registry};
use super::restart::{self, Parts, RestartOrder};
use super::{
    JobResult, Refusal, SupervisorError, SupervisorKind, UnitFileKind, UnitStatus, Unseen, Whom, layout, reason,
};
use crate::host::process::Signal;
use crate::host::{Answer, Ask, Command, Facts, FileFound, Host, Output, Query, printable};
use crate::service::render::runner::PROGRAM;

/// How long a verb may take that waits for nobody.
const SHORT: Duration = Duration::from_secs(30);

/// The runners of one user on one host.
#[derive(Debug, Clone)]
pub struct Runner {
    host: Arc<dyn Host>,
    facts: Box<Facts>,
    clock: Clock,
}

impl Runner {
    pub(super) fn on(host: Arc<dyn Host>, facts: &Facts) -> Self {
        Self { host, facts: Box::new(facts.clone()), clock: Clock::of(facts) }
    }

    pub(super) fn now(&self) -> i64 {
        self.clock.now()
    }

    pub(super) async fn status(&self, units: &[String]) -> Result<Vec<UnitStatus>, SupervisorError> {
        let mut asks: Vec<Ask> = registry::asks(Some(SupervisorKind::Runner)).into();
        asks.extend(units.iter().map(|unit| Ask::File(UnitFileKind::RunnerScript.path(unit))));
        let observation = self.host.query(&Query { asks }).await?;
        let mut answers = observation.answers.into_iter();
        let garbled = || self.unanswered("status", "it answered other questions than were asked".to_owned());
        let found = Registry::read(&mut answers).ok_or_else(garbled)?;
        let definitions: Vec<Option<FileFound>> =
            answers.map(|answer| if let Answer::File(file) = answer { file } else { None }).collect();
        let status =
            |(unit, file): (&String, &Option<FileFound>)| found.status(&observation.facts, unit, file.as_ref());
        Ok(units.iter().zip(&definitions).map(status).collect())
    }

    pub(super) async fn status_of(&self, unit: &str) -> Result<UnitStatus, SupervisorError> {
        let mut all = self.status(&[unit.to_owned()]).await?;
        all.pop().ok_or_else(|| self.unanswered("status", "no answer".to_owned()))
    }

    /// Has runners take over definitions that have changed.
    pub(super) async fn daemon_reload(&self) -> Result<(), SupervisorError> {
        let folder = self.path(&layout::definitions());
        self.ask("refresh", "-", &[&folder], SHORT).await.map(drop)
    }

    pub(super) async fn start(&self, unit: &str, deadline: Duration) -> Result<JobResult, SupervisorError> {
        let definition = self.path(&UnitFileKind::RunnerScript.path(unit));
        let command = Command::new("sh").args([definition.as_str(), "start"]).env("LC_ALL", "C").deadline(deadline);
        let output = self.host.run(&command).await?;
        if output.success() {
            return Ok(JobResult::Done);
        }
        let status = self.status_of(unit).await?;
        if !status.installed {
            return Err(self.refused("start", unit, Refusal::NoSuchUnit, "it has no definition".to_owned()));
        }
        Err(self.refused("start", unit, Refusal::Other, start_failure(&said(&output))))
    }

    /// Looks whether a unit could be started: its definition can be read, and its program be executed.
    pub(super) async fn prepare_start(&self, unit: &str) -> Result<(), SupervisorError> {
        let definition = self.path(&UnitFileKind::RunnerScript.path(unit));
        let output = self.run("ready", unit, &[&definition], SHORT).await?;
        let refused = |refusal, detail| Err(self.refused("start", unit, refusal, detail));
        match String::from_utf8_lossy(&output.stdout).trim() {
            "ready" if output.success() => Ok(()),
            "absent" => refused(Refusal::NoSuchUnit, format!("its definition {definition} is not there")),
            "empty" => refused(Refusal::EmptyUnitFile, format!("its definition {definition} is empty")),
            "room" => refused(Refusal::Other, said(&output)),
            "program" => refused(Refusal::NoProgram, said(&output)),
            _ => {
                refused(Refusal::BadUnitFile, format!("its definition {definition} cannot be read: {}", said(&output)))
            }
        }
    }

    pub(super) async fn order_restart(
        &self,
        unit: &str,
        old: &[u32],
        term: Duration,
    ) -> Result<RestartOrder, SupervisorError> {
        // The runner itself kills what does not end in time, so this has to be longer than its own patience.
        let patience = term.as_secs().saturating_add(10);
        let args = vec![
            PROGRAM.text.clone(),
            self.path(&UnitFileKind::RunnerScript.path(unit)),
            self.path(&layout::registry()),
            self.path(&layout::claims()),
            unit.to_owned(),
            patience.to_string(),
        ];
        let parts = Parts {
            unit,
            script: &restart::RUNNER,
            env: Vec::new(),
            term,
            old,
            args,
            insurance: false,
            explain: start_failure,
        };
        RestartOrder::give(self.host.as_ref(), parts).await
    }

    pub(super) async fn stop(&self, unit: &str, deadline: Duration) -> Result<JobResult, SupervisorError> {
        let patience = deadline.as_secs().max(1).to_string();
        let output = self.run("stop", unit, &[&patience], deadline + SHORT).await?;
        if output.success() {
            return Ok(JobResult::Done);
        }
        let status = self.status_of(unit).await?;
        if status.pid.is_some() {
            return Ok(JobResult::Unseen { cause: Unseen::Deadline, status: Box::new(status) });
        }
        Err(self.refused("stop", unit, Refusal::Other, said(&output)))
    }

    pub(super) fn reload(&self, unit: &str) -> Result<JobResult, SupervisorError> {
        let detail = "a service of the runner has no way to reload".to_owned();
        Err(self.refused("reload", unit, Refusal::NotApplicable, detail))
    }

    /// `enable` or `disable`; tells whether that is new.
    pub(super) async fn switch(&self, verb: &'static str, units: &[String]) -> Result<bool, SupervisorError> {
        let mut any = false;
        for unit in units {
            let Some(line) = layout::boot_line(unit, &self.facts) else { continue };
            let output = self.ask(verb, unit, &[&line], SHORT).await?;
            any |= output.stdout.starts_with(b"changed");
        }
        Ok(any)
    }

    pub(super) async fn kill(&self, unit: &str, whom: Whom, signal: Signal) -> Result<(), SupervisorError> {
        let whom = if whom == Whom::All { "all" } else { "main" };
        self.ask("send", unit, &[whom, signal.name()], SHORT).await.map(drop)
    }

    pub(super) async fn clean_stale(&self, unit: &str) -> Result<Option<String>, SupervisorError> {
        let output = self.ask("clean", unit, &[], SHORT).await?;
        Ok(Some(printable(&output.stdout)).filter(|cleaned| !cleaned.is_empty()))
    }

    pub(super) async fn processes(&self, unit: &str) -> Result<Vec<u32>, SupervisorError> {
        let output = self.ask("list", unit, &[], SHORT).await?;
        Ok(String::from_utf8_lossy(&output.stdout).split_whitespace().filter_map(|pid| pid.parse().ok()).collect())
    }

    pub(super) async fn is_gone(&self, unit: &str) -> Result<bool, SupervisorError> {
        let asks = registry::asks(Some(SupervisorKind::Runner)).into_iter();
        let asks = asks.chain([Ask::File(UnitFileKind::RunnerScript.path(unit))]).collect();
        let observation = self.host.query(&Query { asks }).await?;
        let mut answers = observation.answers.into_iter();
        let found = Registry::read(&mut answers).unwrap_or_default();
        let is_defined = !matches!(answers.next(), Some(Answer::File(None)));
        let is_known = is_defined || found.knows(unit) || found.status(&observation.facts, unit, None).enabled;
        Ok(!is_known && self.processes(unit).await?.is_empty())
    }

    /// Runs a verb of the program that must succeed.
    async fn ask(
        &self,
        verb: &'static str,
        unit: &str,
        args: &[&str],
        deadline: Duration,
    ) -> Result<Output, SupervisorError> {
        let output = self.run(verb, unit, args, deadline).await?;
        if output.success() { Ok(output) } else { Err(self.refused(verb, unit, Refusal::Other, said(&output))) }
    }

    async fn run(
        &self,
        verb: &'static str,
        unit: &str,
        args: &[&str],
        deadline: Duration,
    ) -> Result<Output, SupervisorError> {
        let (registry, claims) = (self.path(&layout::registry()), self.path(&layout::claims()));
        let command = Command::new("sh")
            .args(["-s", verb, &registry, &claims, unit])
            .args(args.iter().copied())
            .env("LC_ALL", "C")
            .stdin(PROGRAM.text.as_bytes())
            .deadline(deadline);
        Ok(self.host.run(&command).await?)
    }

    fn path(&self, path: &crate::host::HostPath) -> String {
        layout::absolute(path, &self.facts).unwrap_or_default().into_string()
    }

    fn refused(&self, operation: &'static str, unit: &str, refusal: Refusal, detail: String) -> SupervisorError {
        SupervisorError::refused(self.host.name(), operation, unit, refusal, detail)
    }

    fn unanswered(&self, operation: &'static str, detail: String) -> SupervisorError {
        SupervisorError::unanswered(self.host.name(), operation, detail)
    }
}

/// The end of what a verb said.
fn said(output: &Output) -> String {
    output.last_words().unwrap_or_else(|| "it gave no reason".to_owned())
}

/// Why a start failed: what the program says, with an exit code in the words that status has for it.
fn start_failure(words: &str) -> String {
    let code = words.strip_prefix("exited with code ").and_then(|code| code.parse().ok());
    code.map_or_else(|| words.to_owned(), reason::exit)
}
