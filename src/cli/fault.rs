//! Errors as people read them: what failed, what it was caused by, and one thing to do about it.

use std::error::Error;
use std::fmt;

use serde_json::{Value, json};

use super::exit::Exit;
use crate::deploy::{ApplyError, Failure, Now, Obstacle, PrepareError};
use crate::host::{HostError, printable};
use crate::lifecycle::{LifecycleError, joined};
use crate::observe::ObserveError;
use crate::observe::logs::LogsError;
use crate::service::manifest::{Diagnostics, SelectError};
use crate::service::render::RenderError;
use crate::supervisor::SupervisorError;

/// The manifest is invalid.
#[derive(Debug)]
pub struct BadManifest(pub Diagnostics);

impl fmt::Display for BadManifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the manifest has {}", super::output::plural(self.0.len(), "mistake"))
    }
}

impl Error for BadManifest {}

/// Things that are missing on this machine, all of them.
#[derive(Debug)]
pub struct Unprepared(pub Vec<PrepareError>);

impl fmt::Display for Unprepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("something is missing on this machine")
    }
}

impl Error for Unprepared {}

/// The command line asks for something that does not go together.
#[derive(Debug)]
pub struct Usage {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Usage {}

/// Names that are found on no host.
#[derive(Debug)]
pub struct NotFound {
    /// What was asked for.
    pub names: Vec<String>,
    /// The hosts.
    pub hosts: Vec<String>,
    /// What comes closest.
    pub similar: Option<String>,
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no unit {} on {}", self.names.join(", "), self.hosts.join(", "))
    }
}

impl Error for NotFound {}

impl NotFound {
    fn hint(&self) -> String {
        match &self.similar {
            Some(similar) => format!("did you mean `{similar}`?"),
            None => "`unitbee status` shows the units that there are".to_owned(),
        }
    }
}

/// The exit code of an error on one host.
#[must_use]
pub fn exit(error: &anyhow::Error) -> Exit {
    let Some(ApplyError::Rejected { failures, .. }) = error.downcast_ref() else { return Exit::Failed };
    let is = |what: fn(&Now) -> bool| failures.iter().any(|failure| what(&failure.now));
    if is(|now| matches!(now, Now::Unhealthy { .. })) {
        Exit::RolledBackUnhealthy
    } else if is(|now| matches!(now, Now::RolledBack { .. })) {
        Exit::RolledBack
    } else {
        Exit::Failed
    }
}

/// One complaint of several, with its hint.
struct Item {
    message: String,
    hint: Option<String>,
}

/// What an error comes to on the screen.
#[must_use]
pub fn text(error: &anyhow::Error, color: bool) -> String {
    if let Some(BadManifest(diagnostics)) = error.downcast_ref() {
        return diagnostics.render(color);
    }
    let (mark, plain) = if color { ("\u{1b}[1;31m", "\u{1b}[0m") } else { ("", "") };
    let (head, causes) = told(error);
    let mut lines = vec![format!("{mark}error{plain}: {head}")];
    lines.extend(causes.into_iter().map(|cause| format!("  caused by: {cause}")));
    for item in items(error) {
        lines.push(format!("  - {}", item.message));
        lines.extend(item.hint.map(|hint| format!("    hint: {hint}")));
    }
    if let Some(ApplyError::Rejected { failures, untouched }) = error.downcast_ref() {
        lines.extend(rejected(failures, untouched));
    }
    lines.extend(hint(error).map(|hint| format!("  hint: {hint}")));
    lines.push(String::new());
    lines.join("\n")
}

/// The same for machines.
#[must_use]
pub fn value(error: &anyhow::Error) -> Value {
    if let Some(BadManifest(diagnostics)) = error.downcast_ref() {
        return json!({ "error": error.to_string(), "diagnostics": diagnostics.iter().collect::<Vec<_>>() });
    }
    let items: Vec<Value> =
        items(error).into_iter().map(|item| json!({ "error": item.message, "hint": item.hint })).collect();
    let (head, causes) = told(error);
    let mut value = json!({ "error": head, "causes": causes, "details": items, "hint": hint(error) });
    if let (Some(ApplyError::Rejected { failures, untouched }), Value::Object(fields)) =
        (error.downcast_ref(), &mut value)
    {
        fields.insert("failures".to_owned(), failures.iter().map(failed).collect());
        fields.insert("untouched".to_owned(), json!(untouched));
    }
    value
}

/// Each release that failed: why, the end of its log, and what runs now.
fn rejected(failures: &[Failure], untouched: &[String]) -> Vec<String> {
    let mut lines = Vec::new();
    let log = |lines: &mut Vec<String>, unit: &str, log: &[String]| {
        if !log.is_empty() {
            lines.push(format!("    the end of the log of {unit}:"));
            lines.extend(log.iter().map(|line| format!("      | {}", shown(line))));
        }
    };
    for failure in failures {
        let Failure { unit, release, error, log: said, now } = failure;
        lines.push(format!("  - release {release} of {unit}: {}", shown(&chain(error))));
        log(&mut lines, unit, said);
        // What it said is here already.
        let hint = error.hint().filter(|hint| !hint.starts_with("`unitbee logs"));
        lines.extend(hint.map(|hint| format!("    hint: {hint}")));
        let process = |pid: &Option<u32>| pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
        match now {
            Now::RolledBack { to, pid } => {
                lines.push(format!("    now: release {to} of {unit} runs{} and is healthy", process(pid)));
            }
            Now::Unhealthy { to, error, log: said } => {
                lines.push(format!(
                    "    now: release {to} of {unit} is in effect and not healthy: {}",
                    shown(&chain(error))
                ));
                log(&mut lines, unit, said);
            }
            Now::Removed => lines.push(format!("    now: {unit} is removed")),
            Now::Left => lines.push(format!("    now: release {release} of {unit} is in effect")),
        }
    }
    if !untouched.is_empty() {
        lines.push(format!("  not changed: {}", untouched.join(", ")));
    }
    lines
}

/// The same for machines.
fn failed(failure: &Failure) -> Value {
    let Failure { unit, release, error, log, now } = failure;
    let now = match now {
        Now::RolledBack { to, pid } => json!({ "state": "rolled-back", "release": to, "pid": pid, "healthy": true }),
        Now::Unhealthy { to, error, log } => json!({
            "state": "rolled-back", "release": to, "healthy": false, "error": shown(&chain(error)), "log": log,
        }),
        Now::Removed => json!({ "state": "removed" }),
        Now::Left => json!({ "state": "left", "release": release }),
    };
    json!({ "unit": unit, "release": release, "error": shown(&chain(error)), "log": log, "now": now })
}

/// An error with its causes in one line.
fn chain(error: &ApplyError) -> String {
    let mut line = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let text = error.to_string();
        if let Some(both) = joined(&line, &text) {
            line = both;
        } else if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
        cause = error.source();
    }
    line
}

fn shown(text: &str) -> String {
    printable(text.as_bytes()).trim_end().replace('\n', "\n    ")
}

/// The error itself and the causes below it: a cause that says no more than the one above it is left out, and one that says
/// the same and more takes its place.
fn told(error: &anyhow::Error) -> (String, Vec<String>) {
    let mut told = vec![error.to_string()];
    let mut said = error.to_string();
    for cause in error.chain().skip(1) {
        let text = cause.to_string();
        let above = told.last_mut().filter(|above| **above == said);
        if let Some((both, above)) = above.and_then(|above| Some((joined(above, &text)?, above))) {
            above.clone_from(&both);
            said = both;
            continue;
        }
        if !said.contains(&text) {
            told.push(text.clone());
        }
        said = text;
    }
    let mut told = told.iter().map(|text| shown(text));
    (told.next().unwrap_or_default(), told.collect())
}

fn items(error: &anyhow::Error) -> Vec<Item> {
    let obstacle = |obstacle: &Obstacle| Item { message: shown(&obstacle.to_string()), hint: obstacle.hint() };
    if let Some(ApplyError::Obstacles { obstacles, .. }) = error.downcast_ref() {
        return obstacles.iter().map(obstacle).collect();
    }
    if let Some(Unprepared(errors)) = error.downcast_ref() {
        let item = |error: &PrepareError| Item { message: shown(&error.to_string()), hint: error.hint() };
        return errors.iter().map(item).collect();
    }
    Vec::new()
}

/// The hint of the outermost error that has one.
fn hint(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        // An error with a list gives the hints in the list.
        None.or_else(|| cause.downcast_ref::<Usage>().map(|error| error.hint.clone()))
            .or_else(|| cause.downcast_ref().and_then(HostError::hint))
            .or_else(|| cause.downcast_ref().and_then(SupervisorError::hint))
            .or_else(|| cause.downcast_ref().and_then(LifecycleError::hint))
            .or_else(|| cause.downcast_ref().and_then(ObserveError::hint))
            .or_else(|| cause.downcast_ref().and_then(LogsError::hint))
            .or_else(|| cause.downcast_ref().and_then(RenderError::hint))
            .or_else(|| cause.downcast_ref().map(SelectError::hint))
            .or_else(|| cause.downcast_ref().map(NotFound::hint))
            .or_else(|| match cause.downcast_ref() {
                Some(ApplyError::Obstacles { .. }) | None => None,
                Some(error) => error.hint(),
            })
    })
}
