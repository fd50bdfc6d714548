//! From a spec to the definition that the runner reads, and the program of the runner itself.
//!
//! A definition is a small shell script: settings, one to a line, a function that becomes the service, and last the
//! runner, which is read into the same shell. The public environment goes to the service through env(1) and is never in
//! the runner's own shell, where `IFS`, `PATH` or `RANDOM` mean something; the secrets are read by the last subshell
//! before the program takes its place. Everything that is said is said by the definition, so that renaming it into place
//! is the switch, as it is with a unit of systemd.

use std::sync::LazyLock;
use std::time::Duration;

use askama::Template;
use camino::Utf8Path;
use sha2::{Digest, Sha256};

use super::error::{EXEC_MAX, RenderError, SpecField};
use super::{Placement, Rendered, check_limits, check_total, description, header, stop_timeout, whole_seconds};
use crate::service::escape::{self, EscapeError, sh};
use crate::service::name::EnvName;
use crate::service::secret::Secret;
use crate::service::spec::{Limits, RestartWhen, Scope, UnitSpec};
use crate::service::target::Runner;

/// The runner: one program in POSIX sh for every service, kept in the store of the host like any other.
pub static PROGRAM: LazyLock<RunnerProgram> = LazyLock::new(|| {
    let text = concat!(
        include_str!("../../../templates/runner/begin.sh"),
        include_str!("../../../templates/runner/identity.sh"),
        include_str!("../../../templates/runner/claim.sh"),
        include_str!("../../../templates/runner/record.sh"),
        include_str!("../../../templates/runner/processes.sh"),
        include_str!("../../../templates/runner/cgroup.sh"),
        include_str!("../../../templates/runner/log.sh"),
        include_str!("../../../templates/runner/service.sh"),
        include_str!("../../../templates/runner/supervise.sh"),
        include_str!("../../../templates/runner/boot.sh"),
        include_str!("../../../templates/runner/verbs.sh"),
    );
    // What only shellcheck reads of the parts.
    let told = text.lines().filter(|line| !line.trim_start().starts_with("# shellcheck "));
    let text = told.fold(String::new(), |text, line| text + line + "\n");
    RunnerProgram { sha256: hex::encode(Sha256::digest(&text)), text }
});

/// The program of the runner.
#[derive(Debug)]
pub struct RunnerProgram {
    /// It.
    pub text: String,
    /// Its SHA-256 in lower-case hexadecimal.
    pub sha256: String,
}

impl RunnerProgram {
    /// Its name in the store.
    pub const NAME: &str = "runner";
}

/// Longest pause and patience that shells of 32 bits still count in milliseconds.
const LONGEST: Duration = Duration::from_secs(2_000_000);

#[derive(Template)]
#[template(path = "definition.sh")]
struct Definition<'a> {
    description: &'a str,
    unit: &'a str,
    cgroup: &'a str,
    limits: Limits,
    restart: &'static str,
    delay_ms: u64,
    max_delay_ms: u64,
    give_up_after: u32,
    settled: u64,
    stop_timeout: u64,
    runner: &'a Runner,
    logs: &'a str,
    log_size: u64,
    log_keep: u32,
    secrets: &'a str,
    working_dir: &'a str,
    program: &'a str,
    digest: &'a str,
    words: Vec<String>,
}

/// Writes the definition of a service: `llm-8080.sh`.
///
/// # Errors
///
/// Names the first part of the spec that a definition cannot carry; nothing is cut or replaced.
pub fn definition(spec: &UnitSpec, placement: &Placement, runner: &Runner) -> Result<Rendered, RenderError> {
    check_limits(&spec.limits)?;
    check_total(spec, placement, EXEC_MAX)?;
    if placement.env_file.is_none() && !spec.secrets.is_empty() {
        return Err(RenderError::NoEnvFile);
    }
    for name in &spec.secrets {
        sh::assignment(name, "").map_err(SpecField::Variable(name.clone()).refuse())?;
    }
    let words = words(spec, placement)?;
    let logs = runner.logs.join(spec.unit.as_str());
    let restart = &spec.restart;
    let body = Definition {
        description: description(spec)?,
        unit: spec.unit.as_str(),
        cgroup: &format!("{}.slice/{}/{}", spec.slice, spec.service, spec.instance),
        limits: spec.limits,
        restart: match restart.when {
            RestartWhen::OnFailure => "on-failure",
            RestartWhen::Always => "always",
            RestartWhen::No => "no",
        },
        delay_ms: milliseconds(restart.delay),
        max_delay_ms: milliseconds(restart.max_delay.max(restart.delay)),
        give_up_after: restart.give_up_after,
        settled: whole_seconds(super::backoff::settled(spec).min(LONGEST)),
        stop_timeout: stop_timeout(spec).min(LONGEST.as_secs()),
        runner,
        logs: path(&logs, SpecField::Logs)?,
        log_size: spec.logs.max_size,
        log_keep: spec.logs.keep,
        secrets: placement.env_file.as_deref().map_or(Ok(""), |file| path(file, SpecField::EnvFile))?,
        working_dir: spec.working_dir.as_deref().map_or(Ok(""), |dir| path(dir, SpecField::WorkingDir))?,
        program: path(&placement.program, SpecField::Program)?,
        digest: &hex::encode(Sha256::digest(words.join("\n"))),
        words,
    }
    .render()?;
    Ok(Rendered {
        name: format!("{}.sh", spec.unit),
        bytes: header::stamp(spec.unit.as_str(), placement.release, &body).into_bytes(),
        mode: 0o644,
        notes: notes(spec),
    })
}

/// Writes the file with the secrets; it must be 0600 before it has content.
///
/// # Errors
///
/// Names the first variable that a shell cannot set, never its value.
pub(super) fn env_file<'a>(
    variables: impl IntoIterator<Item = (&'a EnvName, &'a Secret)>,
) -> Result<Vec<u8>, RenderError> {
    let mut file = String::new();
    for (name, value) in variables {
        file.push_str(&sh::assignment(name, value.reveal()).map_err(SpecField::Variable(name.clone()).refuse())?);
    }
    let length = file.len();
    if length > EXEC_MAX { Err(RenderError::Total { length, max: EXEC_MAX }) } else { Ok(file.into_bytes()) }
}

/// What the service is: its public environment, its program and arguments, each as a word of the shell.
fn words(spec: &UnitSpec, placement: &Placement) -> Result<Vec<String>, RenderError> {
    let mut words = Vec::with_capacity(spec.env.len() + 1 + spec.args.len());
    for (name, value) in &spec.env {
        words.push(sh::environment(name, value).map_err(SpecField::Variable(name.clone()).refuse())?);
    }
    let program = placement.program.as_str();
    if let Some(at) = program.find('=') {
        // env(1) would take it for a variable.
        return Err(SpecField::Program.refuse()(EscapeError::Character { character: '=', at }));
    }
    words.push(sh::word(program).map_err(SpecField::Program.refuse())?);
    for (index, arg) in spec.args.iter().enumerate() {
        words.push(sh::word(arg).map_err(SpecField::Argument(index + 1).refuse())?);
    }
    Ok(words)
}

/// Checks a path for a setting, which is one line of the definition.
fn path(path: &Utf8Path, place: SpecField) -> Result<&str, RenderError> {
    escape::plain_path(path).map_err(place.refuse())
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.min(LONGEST).as_millis()).unwrap_or(u64::MAX)
}

fn notes(spec: &UnitSpec) -> Vec<String> {
    let mut notes = Vec::new();
    if !spec.systemd.is_empty() {
        notes.push(format!(
            "{}: what its `systemd` table says is for systemd, and is not done by the runner",
            spec.unit
        ));
    }
    if spec.scope == Scope::System {
        notes.push("scope = \"system\" is for launchd: this is a service of the user's".to_owned());
    }
    notes
}
