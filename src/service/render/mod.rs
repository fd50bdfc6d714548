//! From a spec to the bytes of its files: units for systemd here, definitions for the runner in [`runner`],
//! property lists in [`launchd`].
//!
//! The same spec, placement and target give the same bytes, and every value in them is written in its one canonical
//! form: systemd ignores a value that it cannot read, and a unit with `MemoryMax=4GB` runs without a limit. What a
//! systemd cannot do is written as the nearest thing that it can, and said in [`Rendered::notes`].
//!
//! What the template decides, and why (systemd.service(5), systemd.exec(5), systemd.resource-control(5)):
//!
//! - `Type=exec`: starting a program that is missing or cannot be run is an error of the start.
//! - `KillMode=mixed`: a service stops its own children; what is left of them when it has ended is killed.
//! - `OOMPolicy=kill`: a service over its memory cap ends as a whole and at once with the result `oom-kill`, instead
//!   of living on without one of its processes. `MemorySwapMax=0` makes the cap that of memory and swap together.
//! - `SuccessExitStatus=143`: a program that turns TERM into this exit code has been stopped, it has not failed.
//! - The four hardening lines are those that a user's manager can keep on every version and that interpreters, JIT
//!   compilers and GPU runtimes live with; a service that runs setuid programs turns the first off. Those that need a
//!   mount namespace are dropped silently by some managers and make the service fail under others.
//! - `PATH` is not set. The program is named by its full path; for what it starts itself the manager's `PATH`, which the
//!   host's owner decides (environment.d(5)), is right on hosts that a list made here would not fit. `env` may set it.

mod backoff;
mod error;
pub mod header;
pub mod launchd;
mod privacy;
pub mod runner;

use std::collections::BTreeMap;
use std::time::Duration;

use askama::Template;
use camino::Utf8PathBuf;

use self::backoff::{Backoff, StartLimit, start_limit};
use self::error::EXEC_MAX;
pub use self::error::{RenderError, SpecField};
use super::escape;
use super::name::{EnvName, SliceName, UnitName};
use super::secret::Secret;
use super::spec::{Limits, RestartWhen, Scope, UnitSpec};
pub use super::target::{Launchd, Runner, Systemd, Target};

/// How much later than the end of the ladder the manager's own patience ends.
const STOP_MARGIN: Duration = Duration::from_secs(5);

/// Longest time that is written; systemd counts in 64 bits of microseconds and ignores what does not fit.
const LONGEST: Duration = Duration::from_secs(10_000_000_000);

/// Where the parts of a release are on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The program, absolute.
    pub program: Utf8PathBuf,
    /// The file with the secrets; needed when the spec names any.
    pub env_file: Option<Utf8PathBuf>,
    /// Number of the release.
    pub release: u32,
}

/// A file of a host's, ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// Its name without directory: `llm-8080.service`.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
    /// Its permissions.
    pub mode: u32,
    /// What it does differently from the spec, because this systemd cannot do it.
    pub notes: Vec<String>,
}

#[derive(Template)]
#[template(path = "unit.service")]
struct ServiceFile<'a> {
    unit: &'a UnitName,
    slice: &'a SliceName,
    description: &'a str,
    start_limit: Option<StartLimit>,
    command: String,
    working_dir: Option<String>,
    environment: Vec<String>,
    env_file: Option<String>,
    limits: Limits,
    restart: &'static str,
    delay: Option<String>,
    growth: Option<Growth>,
    stop_timeout: u64,
    unit_settings: Vec<String>,
    service_settings: Vec<String>,
    install_settings: Vec<String>,
    other_sections: Vec<Section<'a>>,
}

struct Growth {
    steps: u32,
    longest: String,
}

struct Section<'a> {
    name: &'a str,
    settings: Vec<String>,
}

#[derive(Template)]
#[template(path = "unit.slice")]
struct SliceFile<'a> {
    description: &'a str,
}

/// Writes what defines a service for `target`.
///
/// # Errors
///
/// Names the first part of the spec that it cannot carry; nothing is cut or replaced.
pub fn definition(spec: &UnitSpec, placement: &Placement, target: &Target) -> Result<Rendered, RenderError> {
    match target {
        Target::Systemd(systemd) => service(spec, placement, *systemd),
        Target::Runner(runner) => runner::definition(spec, placement, runner),
        Target::Launchd(launchd) => launchd::job(spec, placement, launchd),
    }
}

/// Writes the file with the secrets of a service for `target`; it must be 0600 before it has content.
///
/// # Errors
///
/// Names the first variable that the file cannot carry, never its value.
pub fn secrets_file(variables: &BTreeMap<EnvName, Secret>, target: &Target) -> Result<Vec<u8>, RenderError> {
    match target {
        Target::Systemd(systemd) => env_file(variables, *systemd),
        Target::Runner(_) | Target::Launchd(_) => runner::env_file(variables),
    }
}

/// Writes the unit of a service: `llm-8080.service`.
///
/// # Errors
///
/// Names the first part of the spec that a unit cannot carry for this target; nothing is cut or replaced.
pub fn service(spec: &UnitSpec, placement: &Placement, target: Systemd) -> Result<Rendered, RenderError> {
    check_limits(&spec.limits)?;
    check_total(spec, placement, EXEC_MAX)?;
    if placement.env_file.is_none() && !spec.secrets.is_empty() {
        return Err(RenderError::NoEnvFile);
    }
    let backoff = Backoff::new(&spec.restart, target);
    let mut settings = settings(&spec.systemd)?;
    let mut section = |name: &str| settings.remove(name).unwrap_or_default();
    let body = ServiceFile {
        unit: &spec.unit,
        slice: &spec.slice,
        description: description(spec)?,
        start_limit: start_limit(spec, &backoff),
        command: command(spec, placement, target)?,
        working_dir: working_dir(spec, target)?,
        environment: environment(spec, target)?,
        env_file: env_file_path(placement)?,
        limits: spec.limits,
        restart: match spec.restart.when {
            RestartWhen::OnFailure => "on-failure",
            RestartWhen::Always => "always",
            RestartWhen::No => "no",
        },
        delay: (spec.restart.when != RestartWhen::No).then(|| time_span(backoff.first)),
        growth: backoff.growth.map(|growth| Growth { steps: growth.steps, longest: time_span(growth.longest) }),
        stop_timeout: stop_timeout(spec),
        unit_settings: section("Unit"),
        service_settings: section("Service"),
        install_settings: section("Install"),
        other_sections: settings.into_iter().map(|(name, settings)| Section { name, settings }).collect(),
    }
    .render()?;
    check_lines(&body)?;
    let mut notes = backoff.notes;
    notes.extend(limit_notes(spec, target));
    Ok(Rendered {
        name: format!("{}.service", spec.unit),
        bytes: header::stamp(spec.unit.as_str(), placement.release, &body).into_bytes(),
        mode: 0o644,
        notes,
    })
}

/// Writes the unit of a slice: `rbee.slice`. It is the same whichever service is in it.
///
/// # Errors
///
/// None in practice: a name that is valid fits the template.
pub fn slice(name: &SliceName) -> Result<Rendered, RenderError> {
    let body = SliceFile { description: "Services run by unitbee" }.render()?;
    let name = format!("{name}.slice");
    let bytes = header::stamp(&name, 0, &body).into_bytes();
    Ok(Rendered { name, bytes, mode: 0o644, notes: Vec::new() })
}

/// Writes the file that `EnvironmentFile=` names; it holds secrets and must be 0600 before it has content.
///
/// # Errors
///
/// Names the first variable that the file cannot carry for this target, never its value.
pub fn env_file(variables: &BTreeMap<EnvName, Secret>, target: Systemd) -> Result<Vec<u8>, RenderError> {
    let mut file = String::new();
    for (name, value) in variables {
        let line =
            escape::env_file_line(name, value.reveal(), target).map_err(SpecField::Variable(name.clone()).refuse())?;
        file.push_str(&line);
    }
    let length = file.len();
    if length > EXEC_MAX { Err(RenderError::Total { length, max: EXEC_MAX }) } else { Ok(file.into_bytes()) }
}

fn description(spec: &UnitSpec) -> Result<&str, RenderError> {
    let text = if spec.description.is_empty() { spec.unit.as_str() } else { &spec.description };
    escape::raw_value(text).map_err(SpecField::Description.refuse())?;
    Ok(text)
}

fn command(spec: &UnitSpec, placement: &Placement, target: Systemd) -> Result<String, RenderError> {
    let mut line = escape::exec_path(&placement.program, target).map_err(SpecField::Program.refuse())?;
    for (index, arg) in spec.args.iter().enumerate() {
        line.push(' ');
        line.push_str(&escape::exec_arg(arg, target).map_err(SpecField::Argument(index + 1).refuse())?);
    }
    Ok(line)
}

fn working_dir(spec: &UnitSpec, target: Systemd) -> Result<Option<String>, RenderError> {
    spec.working_dir
        .as_deref()
        .map(|path| escape::working_directory(path, target).map_err(SpecField::WorkingDir.refuse()))
        .transpose()
}

fn environment(spec: &UnitSpec, target: Systemd) -> Result<Vec<String>, RenderError> {
    let variable = |(name, value): (&EnvName, &String)| {
        escape::environment(name, value, target).map_err(SpecField::Variable(name.clone()).refuse())
    };
    spec.env.iter().map(variable).collect()
}

fn env_file_path(placement: &Placement) -> Result<Option<String>, RenderError> {
    let path = placement.env_file.as_deref();
    path.map(|path| escape::environment_file(path).map_err(SpecField::EnvFile.refuse())).transpose()
}

/// Takes over the lines of the manifest's `systemd` table, by section.
///
/// They stand at the end of their sections, where a later value replaces an earlier one and adds to a list.
fn settings(
    table: &BTreeMap<String, BTreeMap<String, Vec<String>>>,
) -> Result<BTreeMap<&str, Vec<String>>, RenderError> {
    let mut sections = BTreeMap::new();
    for (section, keys) in table {
        check_setting_name(section)?;
        let lines: &mut Vec<String> = sections.entry(section.as_str()).or_default();
        for (key, values) in keys {
            check_setting_name(key)?;
            for value in values {
                let place = SpecField::Setting { section: section.clone(), key: key.clone() };
                lines.push(format!("{key}={}", escape::verbatim(value).map_err(place.refuse())?));
            }
        }
    }
    Ok(sections)
}

fn check_setting_name(name: &str) -> Result<(), RenderError> {
    let fits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if fits { Ok(()) } else { Err(RenderError::Setting { name: name.to_owned() }) }
}

/// Refuses limits that a supervisor would take for none.
fn check_limits(limits: &Limits) -> Result<(), RenderError> {
    let percent_max = i32::MAX.unsigned_abs() / 100;
    let wanted = [
        ("CPUQuota", limits.cpu_percent.map(u64::from), u64::from(percent_max)),
        ("MemoryMax", limits.memory, i64::MAX.unsigned_abs()),
        ("TasksMax", limits.tasks, i64::MAX.unsigned_abs()),
        ("LimitNOFILE", limits.nofile, i64::MAX.unsigned_abs()),
    ];
    for (key, value, max) in wanted {
        if let Some(value) = value.filter(|value| !(1..=max).contains(value)) {
            return Err(RenderError::Limit { key, value });
        }
    }
    Ok(())
}

/// Refuses more than execve(2) takes: each string with its NUL and a pointer to it.
fn check_total(spec: &UnitSpec, placement: &Placement, max: usize) -> Result<(), RenderError> {
    let each = |length: usize| length + 1 + size_of::<usize>();
    let args: usize = spec.args.iter().map(|arg| each(arg.len())).sum();
    let env: usize = spec.env.iter().map(|(name, value)| each(name.as_str().len() + 1 + value.len())).sum();
    let length = each(placement.program.as_str().len()) + args + env;
    if length > max { Err(RenderError::Total { length, max }) } else { Ok(()) }
}

fn check_lines(body: &str) -> Result<(), RenderError> {
    match body.split('\n').find(|line| line.len() > escape::LINE_MAX) {
        None => Ok(()),
        Some(line) => {
            let key = line.split('=').next().unwrap_or_default().to_owned();
            Err(RenderError::Line { key, length: line.len() })
        }
    }
}

fn limit_notes(spec: &UnitSpec, target: Systemd) -> Vec<String> {
    let mut notes = Vec::new();
    if spec.limits.cpu_percent.is_some() && !target.delegates_cpu() {
        notes.push(
            "systemd before 252 does not delegate cpu to users by itself: CPUQuota may have no effect".to_owned(),
        );
    }
    if spec.scope == Scope::System {
        notes.push("scope = \"system\" is for launchd: this is a unit of the user's manager".to_owned());
    }
    notes
}

/// The manager must not kill what the ladder is still waiting for.
fn stop_timeout(spec: &UnitSpec) -> u64 {
    whole_seconds(spec.stop.drain.saturating_add(spec.stop.term).saturating_add(STOP_MARGIN))
}

fn whole_seconds(time: Duration) -> u64 {
    let time = time.min(LONGEST);
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

fn time_span(time: Duration) -> String {
    let time = time.min(LONGEST);
    let milliseconds = time.as_nanos().div_ceil(1_000_000);
    if milliseconds.is_multiple_of(1000) { (milliseconds / 1000).to_string() } else { format!("{milliseconds}ms") }
}
