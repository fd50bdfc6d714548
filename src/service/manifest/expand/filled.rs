//! What differs between the instances of a service: the keys whose placeholders have to be filled in.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};

use super::super::problem::{Problems, Span};
use super::super::read::{At, Entry, List, closest};
use super::super::template::{Text, Unresolved};
use super::super::written;
use super::shared::env_name;
use super::{Instance, Service};
use crate::service::escape::{self, EscapeError};
use crate::service::spec::{EnvName, Health, HttpUrl, Program, Stop};
use crate::service::target::Systemd;
use crate::service::url::UrlError;

/// The parts of a unit that depend on its instance.
#[derive(Debug)]
pub(super) struct Filled {
    /// Absent only with a note of the reason.
    pub(super) command: Option<(Program, Vec<String>)>,
    pub(super) check: Option<Vec<String>>,
    pub(super) description: String,
    pub(super) env: BTreeMap<EnvName, String>,
    pub(super) working_dir: Option<Utf8PathBuf>,
    pub(super) health: Option<Health>,
    pub(super) stop: Stop,
}

impl Filled {
    pub(super) fn new(service: &Service<'_>, instance: &Instance<'_>, problems: &mut Problems<'_>) -> Self {
        let written = service.written;
        let mut fill = Fill { service, instance, problems };
        Self {
            command: fill.command(),
            check: fill.check(&written.check),
            description: fill.description(&written.description),
            env: fill.env(),
            working_dir: fill.working_dir(&written.working_dir),
            health: fill.health(&written.health),
            stop: fill.stop(&written.stop),
        }
    }
}

struct Fill<'f, 's, 'p> {
    service: &'f Service<'s>,
    instance: &'f Instance<'s>,
    problems: &'f mut Problems<'p>,
}

impl Fill<'_, '_, '_> {
    fn command(&mut self) -> Option<(Program, Vec<String>)> {
        let list = self.service.written.command.at()?;
        if list.value.0.is_empty() {
            let help = "write the program, then its arguments: [\"program\", \"argument\"]";
            self.problems.add(&list.span, "the command is empty", help);
        }
        let mut words: Vec<_> = list.value.0.iter().map(|word| self.word(word.at()?)).collect();
        let (first, rest) = (list.value.0.first()?.at()?, words.split_off(1));
        let program = self.program(words.pop()??, &first.span);
        Some((program?, rest.into_iter().collect::<Option<_>>()?))
    }

    fn check(&mut self, written: &Entry<List<Text>>) -> Option<Vec<String>> {
        let list = written.at()?;
        if list.value.0.is_empty() {
            let help = "write the arguments that only try the program: [\"--version\"]";
            self.problems.add(&list.span, "without an argument the check would be the service itself", help);
        }
        list.value.0.iter().map(|word| self.word(word.at()?)).collect()
    }

    /// Fills in one argument.
    fn word(&mut self, at: &At<Text>) -> Option<String> {
        let word = self.text(at)?;
        self.refused(escape::exec_arg(&word, Systemd::default()), "the argument cannot be passed on", &at.span);
        Some(word)
    }

    /// Notes why a value cannot be written; what only some versions refuse is for the renderer to say.
    fn refused<T>(&mut self, written: Result<T, EscapeError>, message: &str, span: &Span) {
        if let Err(error) = written {
            self.problems.add(span, format!("{message}: {error}"), "no supervisor carries this; use a file instead");
        }
    }

    fn program(&mut self, word: String, span: &Span) -> Option<Program> {
        let path = Utf8Path::new(&word);
        if word.is_empty() {
            self.problems.add(span, "the program has no name", "write a path, or a name to be looked up on the host");
            None
        } else if word.ends_with('/') || matches!(word.as_str(), "." | "..") || word.ends_with("/..") {
            self.problems.add(span, format!("{word:?} is a folder"), "write the path of the program itself");
            None
        } else if path.is_absolute() || word.starts_with('~') {
            self.path_on_host(&word, span).map(Program::Path)
        } else if word.contains('/') {
            Some(Program::Shipped(direct(&self.service.dir.join(path))))
        } else {
            Some(Program::Name(word))
        }
    }

    fn description(&mut self, written: &Entry<Text>) -> String {
        let (service, instance) = (&self.service.name.value, &self.instance.name);
        let Some(at) = written.at() else {
            return if instance == "main" { service.clone() } else { format!("{service} {instance}") };
        };
        let Some(text) = self.text(at) else { return String::new() };
        if let Err(error) = escape::raw_value(text.trim()) {
            let message = format!("the text is no description: {error}");
            self.problems.add(&at.span, message, "write one line of plain text");
        }
        text.trim().to_owned()
    }

    fn env(&mut self) -> BTreeMap<EnvName, String> {
        let mut env = BTreeMap::new();
        for (name, value) in self.service.written.env.value().into_iter().flat_map(|env| env.0.iter()) {
            let name = env_name(name, self.problems);
            let Some((at, text)) = value.at().and_then(|at| Some((at, self.text(at)?))) else { continue };
            let Some(name) = name else { continue };
            let written = escape::environment(&name, &text, Systemd::default());
            self.refused(written, "the variable cannot be passed on", &at.span);
            env.insert(name, text);
        }
        env
    }

    fn working_dir(&mut self, written: &Entry<Text>) -> Option<Utf8PathBuf> {
        let at = written.at()?;
        let text = self.text(at)?;
        self.path_on_host(&text, &at.span)
    }

    /// Reads an absolute path, which nothing will expand.
    fn path_on_host(&mut self, text: &str, span: &Span) -> Option<Utf8PathBuf> {
        let path = direct(Utf8Path::new(text));
        let message = match escape::working_directory(&path, Systemd::default()) {
            Ok(_) => return Some(path),
            Err(EscapeError::Relative) if text.starts_with('~') => "`~` is not expanded".to_owned(),
            Err(error) => format!("{text:?} is no path on a host: {error}"),
        };
        self.problems.add(span, message, "write the absolute path as it is on the host");
        None
    }

    fn health(&mut self, written: &Entry<written::Health>) -> Option<Health> {
        let written = written.value()?;
        if let (Some(expect), true) = (written.expect.at(), written.url.is_absent()) {
            let help = "add url = \"http://127.0.0.1:PORT/health\"";
            self.problems.absence(&expect.span, "`expect` is a text of the answer, but there is no `url`", help);
        }
        let url = self.url(&written.url);
        let expect = written.expect.at().and_then(|at| {
            let text = self.text(at)?;
            if text.is_empty() {
                self.problems.add(&at.span, "every answer holds an empty text", "leave `expect` out");
            }
            Some(text)
        });
        let within = written.within.at();
        if let Some(at) = within.filter(|at| at.value.0.is_zero()) {
            self.problems.add(&at.span, "nothing is healthy within no time", "write a time span such as \"60s\"");
        }
        let usual = if written.url.is_absent() { Health::RUNNING_FOR } else { Health::ANSWERING_FOR };
        Some(Health {
            url,
            expect,
            within: within.map_or(Health::WITHIN, |at| at.value.0),
            healthy_for: written.healthy_for.value().map_or(usual, |span| span.0),
        })
    }

    fn stop(&mut self, written: &Entry<written::Stop>) -> Stop {
        let usual = Stop::default();
        let Some(written) = written.value() else { return usual };
        if let (Some(drain), true) = (written.drain.at(), written.url.is_absent()) {
            let help = "add `url`, or write `term` for the time between TERM and KILL";
            self.problems.absence(&drain.span, "`drain` is the time after the POST, but there is no `url`", help);
        }
        Stop {
            url: self.url(&written.url),
            drain: written.drain.value().map_or(usual.drain, |span| span.0),
            term: written.term.value().map_or(usual.term, |span| span.0),
        }
    }

    fn url(&mut self, written: &Entry<Text>) -> Option<HttpUrl> {
        let at = written.at()?;
        let text = self.text(at)?;
        let error = match HttpUrl::parse(&text) {
            Ok(url) => return Some(url),
            Err(error) => error,
        };
        let (message, help) = match error {
            UrlError::Parse(why) => {
                (format!("the URL cannot be parsed: {why}"), "write it as http://127.0.0.1:8080/health")
            }
            UrlError::Credentials => (error.to_string(), "leave them out; the URL is shown in plans and in status"),
            UrlError::Port => (error.to_string(), "write the port that the service listens on"),
            _ => (error.to_string(), "write it as http://127.0.0.1:8080/health"),
        };
        self.problems.add(&at.span, message, help);
        None
    }

    /// Fills in the placeholders of a text.
    fn text(&mut self, at: &At<Text>) -> Option<String> {
        match at.value.expand(&self.instance.values) {
            Ok(text) => Some(text),
            Err(unresolved) => {
                for one in unresolved {
                    self.unresolved(one, &at.span);
                }
                None
            }
        }
    }

    fn unresolved(&mut self, Unresolved { name, dollar, span }: Unresolved, whole: &Span) {
        let message = if self.service.keys.contains(name.as_str()) {
            format!("`{{{name}}}` has no value in instance `{}`", self.instance.name)
        } else {
            format!("`{{{name}}}` has no value")
        };
        let help = if dollar {
            format!("no shell reads this; the text itself is written ${{{{{name}}}}}")
        } else if let Some(close) = closest(&name, self.instance.values.keys().copied()) {
            format!("did you mean {{{close}}}? the text itself is written {{{{{name}}}}}")
        } else {
            format!("give the instances a key `{name}`; the text itself is written {{{{{name}}}}}")
        };
        self.problems.add(&span.unwrap_or_else(|| whole.clone()), message, help);
    }
}

/// Leaves `.` and doubled slashes out of a path.
fn direct(path: &Utf8Path) -> Utf8PathBuf {
    path.components().collect()
}
