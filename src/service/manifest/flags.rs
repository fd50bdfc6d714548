//! One service from the command line instead of from a file.

use camino::Utf8PathBuf;
use toml::{Table, Value};

use super::template::escape;
use super::{Diagnostics, Manifest, read};

/// What `install-unit` is told: the keys of a manifest, as text.
///
/// An absent flag is an absent key. Braces are themselves: there are no placeholders.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// Name of the service.
    pub service: String,
    /// Its only instance; `main` where absent.
    pub instance: Option<String>,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Folder that a relative path of the program starts from; absolute.
    pub dir: Utf8PathBuf,
    /// `check`
    pub check: Vec<String>,
    /// `slice`
    pub slice: Option<String>,
    /// `description`
    pub description: Option<String>,
    /// `env`; of two values for one name the last counts.
    pub env: Vec<(String, String)>,
    /// `secrets`
    pub secrets: Vec<String>,
    /// `working_dir`
    pub working_dir: Option<String>,
    /// `limits.cpu`
    pub cpu: Option<String>,
    /// `limits.memory`
    pub memory: Option<String>,
    /// `limits.tasks`
    pub tasks: Option<u64>,
    /// `limits.nofile`
    pub nofile: Option<u64>,
    /// `scope`
    pub scope: Option<String>,
    /// `restart.when`
    pub restart: Option<String>,
    /// `restart.delay`
    pub restart_delay: Option<String>,
    /// `restart.max_delay`
    pub restart_max_delay: Option<String>,
    /// `restart.give_up_after`
    pub give_up_after: Option<u64>,
    /// `health.url`
    pub health_url: Option<String>,
    /// `health.expect`
    pub expect: Option<String>,
    /// `health.within`
    pub within: Option<String>,
    /// `health.healthy_for`
    pub healthy_for: Option<String>,
    /// `stop.url`
    pub stop_url: Option<String>,
    /// `stop.drain`
    pub drain: Option<String>,
    /// `stop.term`
    pub term: Option<String>,
}

/// Makes a manifest of flags, by the rules of [`read`]; complaints are about "command line". Its unit belongs to no project.
pub fn from_flags(flags: &Flags) -> Result<Manifest, Diagnostics> {
    let mut manifest = read(&flags.manifest().to_string(), "command line", &flags.dir)?;
    manifest.project.clear();
    manifest.units.iter_mut().for_each(|unit| unit.spec.project.clear());
    Ok(manifest)
}

impl Flags {
    fn manifest(&self) -> Table {
        let services = table([(self.service.as_str(), Some(self.service().into()))]);
        table([("slice", string(self.slice.as_deref())), ("service", Some(services.into()))])
    }

    fn service(&self) -> Table {
        let instance = self.instance.as_deref().map(|name| table([(name, Some(Table::new().into()))]).into());
        let env = self.env.iter().map(|(name, value)| (name.as_str(), filled(Some(value))));
        table([
            ("command", Some(words(&self.command))),
            ("check", (!self.check.is_empty()).then(|| words(&self.check))),
            ("instances", instance),
            ("description", filled(self.description.as_deref())),
            ("env", some(table(env))),
            ("secrets", (!self.secrets.is_empty()).then(|| self.secrets.clone().into())),
            ("working_dir", filled(self.working_dir.as_deref())),
            ("limits", some(self.limits())),
            ("scope", string(self.scope.as_deref())),
            ("restart", some(self.restart())),
            ("health", some(self.health())),
            ("stop", some(self.stop())),
        ])
    }

    fn limits(&self) -> Table {
        table([
            ("cpu", string(self.cpu.as_deref())),
            ("memory", string(self.memory.as_deref())),
            ("tasks", number(self.tasks)),
            ("nofile", number(self.nofile)),
        ])
    }

    fn restart(&self) -> Table {
        table([
            ("when", string(self.restart.as_deref())),
            ("delay", string(self.restart_delay.as_deref())),
            ("max_delay", string(self.restart_max_delay.as_deref())),
            ("give_up_after", number(self.give_up_after)),
        ])
    }

    fn health(&self) -> Table {
        table([
            ("url", filled(self.health_url.as_deref())),
            ("expect", filled(self.expect.as_deref())),
            ("within", string(self.within.as_deref())),
            ("healthy_for", string(self.healthy_for.as_deref())),
        ])
    }

    fn stop(&self) -> Table {
        table([
            ("url", filled(self.stop_url.as_deref())),
            ("drain", string(self.drain.as_deref())),
            ("term", string(self.term.as_deref())),
        ])
    }
}

/// Makes a table of the keys that have a value.
fn table<'k>(keys: impl IntoIterator<Item = (&'k str, Option<Value>)>) -> Table {
    keys.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

fn some(table: Table) -> Option<Value> {
    (!table.is_empty()).then(|| table.into())
}

fn string(text: Option<&str>) -> Option<Value> {
    text.map(Value::from)
}

/// Writes strings in which [`read`] would fill in placeholders.
fn words(words: &[String]) -> Value {
    words.iter().map(|word| escape(word)).collect::<Vec<_>>().into()
}

/// Writes a string in which [`read`] would fill in placeholders.
fn filled(text: Option<&str>) -> Option<Value> {
    text.map(|text| escape(text).into())
}

fn number(number: Option<u64>) -> Option<Value> {
    // TOML's integers end where a limit has long lost its meaning.
    number.map(|number| i64::try_from(number).unwrap_or(i64::MAX).into())
}
