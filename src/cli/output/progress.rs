//! Progress of many hosts: a bar for each on a terminal, plain lines elsewhere, NDJSON for machines.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::sync::Mutex;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::{Output, plural};
use crate::deploy::Event;
use crate::host::printable;
use crate::lifecycle::StoppedBy;

/// A host that does something.
const WORKS: &str = "{spinner} {prefix:.bold} {msg} ({elapsed})";

/// A host that is sent files.
const SENDS: &str = "{spinner} {prefix:.bold} [{bar:24}] {msg} ({elapsed})";

/// Shows what happens on each host.
#[derive(Debug)]
pub struct Progress {
    output: Output,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Json,
    Lines,
    Bars { all: MultiProgress, hosts: Mutex<BTreeMap<String, ProgressBar>> },
}

impl Progress {
    /// Chooses the form: JSON where it is asked for, bars where somebody looks.
    #[must_use]
    pub fn new(output: Output) -> Self {
        let form = if output.json {
            Form::Json
        } else if std::io::stderr().is_terminal() {
            Form::Bars { all: MultiProgress::new(), hosts: Mutex::default() }
        } else {
            Form::Lines
        };
        Self { output, form }
    }

    /// Shows one event of a host.
    pub fn event(&self, host: &str, event: &Event) {
        match (&self.form, event) {
            (Form::Json, _) => {
                let mut object = serde_json::to_value(event).unwrap_or(Value::Null);
                if let Value::Object(fields) = &mut object {
                    fields.insert("host".to_owned(), json!(host));
                }
                if !matches!(event, Event::Sent { .. }) {
                    self.json(&object);
                }
            }
            // What is no step on the way stays on the screen.
            (Form::Lines, _) | (Form::Bars { .. }, Event::Unrotated { .. }) => {
                if let Some(text) = self.words(event) {
                    self.say(host, &text);
                }
            }
            (Form::Bars { all, hosts }, _) => {
                let Ok(mut hosts) = hosts.lock() else { return };
                let bar = hosts.entry(host.to_owned()).or_insert_with(|| spinner(all, host));
                if let Event::Sent { bytes, total } = event {
                    bar.set_style(style(SENDS));
                    bar.set_length(*total);
                    bar.set_position(*bytes);
                    bar.set_message(format!("{} of {}", super::table::size(*bytes), super::table::size(*total)));
                } else if let Some(text) = self.words(event) {
                    bar.set_style(style(WORKS));
                    bar.set_message(text);
                }
            }
        }
    }

    /// Shows that something is at work, where somebody looks; machines are given `event`.
    pub fn begin(&self, name: &str, words: &str, event: &Value) {
        match &self.form {
            Form::Json => self.json(event),
            Form::Lines => {}
            Form::Bars { all, hosts } => {
                let Ok(mut hosts) = hosts.lock() else { return };
                let bar = hosts.entry(name.to_owned()).or_insert_with(|| spinner(all, name));
                bar.set_message(printable(words.as_bytes()));
            }
        }
    }

    /// Shows how a host ended, in one line, and forgets it.
    pub fn done(&self, host: &str, line: &str, result: &Value) {
        self.clear(host);
        match self.form {
            Form::Json => self.json(result),
            Form::Lines | Form::Bars { .. } => self.say(host, line),
        }
    }

    /// Tells people a line about a host, past the bars where there are some.
    fn say(&self, host: &str, line: &str) {
        let say = || note(&format!("{}: {line}", printable(host.as_bytes())));
        match &self.form {
            Form::Bars { all, .. } => all.suspend(say),
            Form::Json | Form::Lines => say(),
        }
    }

    /// Forgets a host that failed; people are told why when all hosts are done, machines at once.
    pub fn failed(&self, host: &str, result: &Value) {
        self.clear(host);
        if let Form::Json = self.form {
            self.json(result);
        }
    }

    fn clear(&self, host: &str) {
        if let Form::Bars { hosts, .. } = &self.form
            && let Some(bar) = hosts.lock().ok().and_then(|mut hosts| hosts.remove(host))
        {
            bar.finish_and_clear();
        }
    }

    /// A pipe that is closed is noticed where results are written; progress just falls silent.
    fn json(&self, value: &Value) {
        self.output.line(value).ok();
    }

    fn words(&self, event: &Event) -> Option<String> {
        Some(match event {
            Event::Connected { manager, transport } if self.output.verbose > 0 => format!("{manager} over {transport}"),
            // What was removed is what the last line says.
            Event::Connected { .. }
            | Event::Sent { .. }
            | Event::Removed { .. }
            | Event::StepBegan { .. }
            | Event::StepEnded { .. }
            | Event::Seen { .. } => return None,
            Event::Waiting { owner } => format!("waiting for {} to finish", printable(owner.as_bytes())),
            Event::Unfinished { change } => format!("a change was left unfinished: {}", printable(change.as_bytes())),
            Event::Failed { unit, release, why } => {
                format!("release {release} of {unit} failed: {}", printable(why.as_bytes()))
            }
            Event::RollingBack { unit, to } => format!("rolling {unit} back to release {to}"),
            Event::Checked { unit, said } if said.is_empty() => format!("the program of {unit} runs"),
            Event::Checked { unit, said } => format!("the program of {unit} runs: {}", printable(said.as_bytes())),
            Event::Written { files } => format!("wrote {}", plural(*files, "file")),
            Event::LingerEnabled => "switched linger on".to_owned(),
            Event::Reloaded => "daemon-reload".to_owned(),
            Event::Enabled { unit } => format!("enabled {unit}"),
            Event::Stopped { unit, by } => format!("stopped {unit} {}", ended_by(*by)),
            Event::Started { unit, pid: Some(pid) } => format!("started {unit} as process {pid}"),
            Event::Started { unit, pid: None } => format!("started {unit}"),
            Event::Unrotated { unit, why } => format!("the log of {unit} is longer than it may be: {why}"),
            Event::Healthy { unit, after } => format!("{unit} is healthy after {:.1} s", after.as_secs_f64()),
        })
    }
}

/// What ended a service, as an end of a sentence.
#[must_use]
pub fn ended_by(by: StoppedBy) -> &'static str {
    match by {
        StoppedBy::Already => "(it did not run)",
        StoppedBy::Url => "by its shutdown URL",
        StoppedBy::Term => "by TERM",
        StoppedBy::Kill => "by KILL",
    }
}

/// Writes a line to standard error.
pub fn note(line: &str) {
    writeln!(anstream::stderr(), "{line}").ok();
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
    style.progress_chars("=> ")
}

fn spinner(all: &MultiProgress, host: &str) -> ProgressBar {
    let bar = all.add(ProgressBar::new_spinner());
    bar.set_style(style(WORKS));
    bar.set_prefix(printable(host.as_bytes()));
    bar.enable_steady_tick(std::time::Duration::from_millis(120));
    bar
}
