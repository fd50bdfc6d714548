//! From a spec to the property list of a launchd job: a `LaunchAgent`, or for `scope = "system"` a `LaunchDaemon` that
//! runs as the account.
//!
//! What the template decides, and why (launchd.plist(5), and what public bug reports say of the releases 12 to 27):
//!
//! - A property list says everything that launchd would otherwise choose by release: `ExitTimeOut` (5 s on every release
//!   that was seen, 20 s in the manual), the directory (`/`), `HOME` and `LANG`. `PATH` is launchd's own, as it is
//!   systemd's in a unit.
//! - `LimitLoadToSessionType` lets one file be loaded with and without somebody logged in at the screen.
//! - `ProcessType=Interactive`: every other type has its CPU and disk throttled, and a worker is mysteriously slow.
//!   The manifest's `launchd` table may say otherwise.
//! - `AbandonProcessGroup` is left out, so that launchd ends what the program leaves behind in its group.
//! - launchd keeps starts apart, measured from start to start, by one interval that never grows, and never gives up.
//!   The interval is launchd's own default where `delay` and `max_delay` leave room for it.
//! - launchd reads no file of variables, and anybody on the machine may read a job. Secrets are read by a shell, which
//!   then becomes the program.
//! - The digest of it all is in the environment, where launchctl shows it: launchd goes on with what it has loaded, whatever
//!   becomes of the file, and tells nobody that the two differ.
//! - There is no cap on CPU or pooled memory, and `NumberOfProcesses` would count all that the account runs: these limits
//!   are told in the notes and not written.

use std::collections::BTreeMap;
use std::time::Duration;

use askama::Template;
use sha2::{Digest, Sha256};

use super::error::{RenderError, SpecField};
use super::{Placement, Rendered, check_limits, check_total, header, privacy, stop_timeout, whole_seconds};
use crate::service::escape::{EscapeError, sh, xml};
use crate::service::spec::{Restart, RestartWhen, Scope, UnitSpec};
use crate::service::target::Launchd;

/// What arguments and environment may have together: `ARG_MAX` of macOS, less what launchd adds.
const EXEC_MAX: usize = (1 << 20) - (64 << 10);

/// Longest time that is written; nobody has seen what launchd makes of more bits.
const LONGEST: u64 = i32::MAX.unsigned_abs() as u64;

/// `PATH` of a job whose definition sets none: the `default environment` of every transcript of launchctl-print.
pub const PATH: &str = "/usr/bin:/bin:/usr/sbin:/sbin";

/// Launchd's own `ThrottleInterval`.
const THROTTLE: Duration = Duration::from_secs(10);

/// Hexadecimal digits of a digest that are enough to tell two definitions of one unit apart.
const DIGITS: usize = 16;

/// Sets the variables of the file that is its first argument and becomes the command that the others are.
const WITH_SECRETS: &str = r#"set -a && . "$1" && set +a && shift && exec "$@""#;

#[derive(Template)]
#[template(path = "job.plist")]
struct Job<'a> {
    label: &'a str,
    user: Option<&'a str>,
    words: Vec<&'a str>,
    working_dir: &'a str,
    environment: BTreeMap<&'a str, &'a str>,
    restart: RestartWhen,
    throttle: Option<u64>,
    stop_timeout: u64,
    log: &'a str,
    nofile: Option<u64>,
    properties: Vec<Property<'a>>,
}

struct Property<'a> {
    key: &'a str,
    element: String,
}

/// The label of a unit's job, which is also the name of its file without `.plist`: `com.rbee.llm-8080`. It is made of the
/// name of the unit alone, because that is what a unit is called by whoever has no manifest.
#[must_use]
pub fn label(unit: &str) -> String {
    format!("com.rbee.{unit}")
}

/// The variable by which the job that launchd has loaded is known from the one that its file describes: a digest of
/// everything else that the file says.
pub const DEFINITION: &str = "UNITBEE_DEFINITION";

/// Writes the property list of a service: `com.rbee.llm-8080.plist`.
///
/// # Errors
///
/// Names the first part of the spec that a property list cannot carry; nothing is cut or replaced.
pub fn job(spec: &UnitSpec, placement: &Placement, launchd: &Launchd) -> Result<Rendered, RenderError> {
    check_limits(&spec.limits)?;
    check_total(spec, placement, EXEC_MAX)?;
    check_text(spec, launchd)?;
    let label = label(spec.unit.as_str());
    check_label(&label).map_err(SpecField::Label.refuse())?;
    let log = launchd.logs.join(format!("{}.log", spec.unit));
    xml::check_path(&log).map_err(SpecField::Logs.refuse())?;
    let mut job = Job {
        label: &label,
        user: (spec.scope == Scope::System).then_some(launchd.user.as_str()),
        words: words(spec, placement)?,
        working_dir: spec.working_dir.as_ref().unwrap_or(&launchd.home).as_str(),
        environment: environment(spec, launchd),
        restart: spec.restart.when,
        throttle: (spec.restart.when != RestartWhen::No).then(|| throttle(&spec.restart)),
        stop_timeout: stop_timeout(spec).min(LONGEST),
        log: log.as_str(),
        nofile: spec.limits.nofile,
        properties: properties(spec)?,
    };
    let digest = hex::encode(Sha256::digest(job.render()?));
    job.environment.entry(DEFINITION).or_insert(&digest[..DIGITS]);
    let body = job.render()?;
    Ok(Rendered {
        name: format!("{label}.plist"),
        bytes: header::stamp_plist(spec.unit.as_str(), placement.release, &body).into_bytes(),
        mode: 0o644,
        notes: [notes(spec), privacy::notes(spec, &placement.program, &log, &launchd.home)].concat(),
    })
}

/// Labels and what launchctl takes as a target share an alphabet that no release is known to trip over.
fn check_label(label: &str) -> Result<(), EscapeError> {
    let unfit = |c: char| !c.is_ascii_alphanumeric() && !"._-".contains(c);
    let found = label.char_indices().find(|(_, c)| unfit(*c));
    found.map_or(Ok(()), |(at, character)| Err(EscapeError::Character { character, at }))
}

/// Checks all that the template will escape, while it is still known what it is.
fn check_text(spec: &UnitSpec, launchd: &Launchd) -> Result<(), RenderError> {
    xml::check_path(&launchd.home).map_err(SpecField::Home.refuse())?;
    xml::text(&launchd.user).map_err(SpecField::Account.refuse())?;
    if let Some(dir) = &spec.working_dir {
        xml::check_path(dir).map_err(SpecField::WorkingDir.refuse())?;
    }
    for (index, arg) in spec.args.iter().enumerate() {
        xml::text(arg).map_err(SpecField::Argument(index + 1).refuse())?;
    }
    for (name, value) in &spec.env {
        xml::text(value).map_err(SpecField::Variable(name.clone()).refuse())?;
    }
    Ok(())
}

fn words<'a>(spec: &'a UnitSpec, placement: &'a Placement) -> Result<Vec<&'a str>, RenderError> {
    xml::check_path(&placement.program).map_err(SpecField::Program.refuse())?;
    let mut words = Vec::with_capacity(spec.args.len() + 6);
    if !spec.secrets.is_empty() {
        let file = placement.env_file.as_deref().ok_or(RenderError::NoEnvFile)?;
        xml::check_path(file).map_err(SpecField::EnvFile.refuse())?;
        // All of them pass through the shell, so it must leave all of them alone.
        for name in spec.secrets.iter().chain(spec.env.keys()) {
            sh::assignment(name, "").map_err(SpecField::Variable(name.clone()).refuse())?;
        }
        words.extend(["/bin/sh", "-c", WITH_SECRETS, spec.unit.as_str(), file.as_str()]);
    }
    words.push(placement.program.as_str());
    words.extend(spec.args.iter().map(String::as_str));
    Ok(words)
}

fn environment<'a>(spec: &'a UnitSpec, launchd: &'a Launchd) -> BTreeMap<&'a str, &'a str> {
    let mut variables = BTreeMap::from([("HOME", launchd.home.as_str()), ("LANG", "en_US.UTF-8")]);
    variables.extend(spec.env.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    variables
}

/// Seconds from one start to the next; launchd ignores 0.
fn throttle(restart: &Restart) -> u64 {
    let Restart { delay, max_delay, .. } = *restart;
    whole_seconds(THROTTLE.min(max_delay).max(delay)).clamp(1, LONGEST)
}

fn properties(spec: &UnitSpec) -> Result<Vec<Property<'_>>, RenderError> {
    let mut properties = Vec::with_capacity(spec.launchd.len() + 1);
    if !spec.launchd.contains_key("ProcessType") {
        properties.push(Property { key: "ProcessType", element: "<string>Interactive</string>".to_owned() });
    }
    for (key, value) in &spec.launchd {
        text(key, key)?;
        properties.push(Property { key, element: element(key, value)? });
    }
    Ok(properties)
}

/// Writes a value of the manifest's `launchd` table, which stands at `place` there.
fn element(place: &str, value: &plist::Value) -> Result<String, RenderError> {
    Ok(match value {
        plist::Value::String(value) => format!("<string>{}</string>", text(place, value)?),
        plist::Value::Integer(number) => format!("<integer>{number}</integer>"),
        plist::Value::Real(number) => format!("<real>{number}</real>"),
        plist::Value::Boolean(true) => "<true/>".to_owned(),
        plist::Value::Boolean(false) => "<false/>".to_owned(),
        plist::Value::Array(items) => {
            let items: Result<String, RenderError> = items.iter().map(|item| element(place, item)).collect();
            format!("<array>{}</array>", items?)
        }
        plist::Value::Dictionary(entries) => {
            let entry = |(key, value): (&String, &plist::Value)| {
                let place = format!("{place}.{key}");
                Ok(format!("<key>{}</key>{}", text(&place, key)?, element(&place, value)?))
            };
            let entries: Result<String, RenderError> = entries.iter().map(entry).collect();
            format!("<dict>{}</dict>", entries?)
        }
        _ => return Err(RenderError::Property { key: place.to_owned() }),
    })
}

fn text(place: &str, text: &str) -> Result<String, RenderError> {
    xml::text(text).map_err(SpecField::Property(place.to_owned()).refuse())
}

fn notes(spec: &UnitSpec) -> Vec<String> {
    let mut notes = Vec::new();
    let limits = &spec.limits;
    if limits.cpu_percent.is_some() {
        notes.push("launchd has no cap on CPU: `limits.cpu` does not hold".to_owned());
    }
    if limits.memory.is_some() {
        notes.push("launchd has no cap on the memory of a service: `limits.memory` does not hold".to_owned());
    }
    if limits.tasks.is_some() {
        notes.push(
            "launchd counts the processes of an account, not of a service: `limits.tasks` does not hold".to_owned(),
        );
    }
    if spec.restart.when != RestartWhen::No {
        notes.push(restart_note(&spec.restart));
    }
    if !spec.secrets.is_empty() {
        notes.push(
            "secrets are read by /bin/sh before the program starts: Login Items shows the service as sh".to_owned(),
        );
    }
    if !spec.systemd.is_empty() {
        notes.push("what the `systemd` table says is for systemd, and is not done by launchd".to_owned());
    }
    notes
}

fn restart_note(restart: &Restart) -> String {
    let gives_up = if restart.give_up_after == 0 { "" } else { ": `restart.give_up_after` does not hold" };
    format!("launchd starts it again for ever, at most once in {} s{gives_up}", throttle(restart))
}
