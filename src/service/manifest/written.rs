//! The manifest as it is written: its tables and keys, which are also the JSON schema's.

use schemars::{JsonSchema, json_schema};
use toml::de::DeValue;

use super::overrides;
use super::problem::{Problems, Span};
use super::project;
use super::read::{At, Entry, List, Map, Percent, Read, Size, TimeSpan, entry, in_order, schema, unknown_key, whole};
use super::template::Text;
use crate::service::build::Build;
use crate::service::name::TAKEN_SLICES;
use crate::service::spec::{RestartWhen, Scope};

/// Most instances that can be asked for by number.
const MOST_INSTANCES: u64 = 1000;

const PART: &str = "^[A-Za-z0-9_:][A-Za-z0-9_:.-]*$";
const ENV: &str = "^[A-Za-z_][A-Za-z0-9_]*$";
const URL: &str = r"^([Hh][Tt][Tt][Pp][Ss]?://[^ ]+|.*\{.*)$";

/// Declares a table of the manifest: a struct of entries, how it is read, and its schema.
macro_rules! table {
    ($($(#[$meta:meta])* struct $name:ident { $($(#[$key_meta:meta])* $key:ident: $type:ty,)* })*) => { $(
        #[derive(Debug, Default, JsonSchema)]
        #[schemars(deny_unknown_fields, default)]
        $(#[$meta])*
        pub(super) struct $name {
            $($(#[$key_meta])* pub(super) $key: Entry<$type>,)*
        }

        impl Read for $name {
            const WANTED: &'static str = "a table";
            const EXAMPLE: &'static str = "a table: { key = value }";

            fn read(value: &DeValue<'_>, span: &Span, problems: &mut Problems<'_>) -> Option<Self> {
                let Some(table) = value.as_table() else { return Self::mistyped(value, span, problems) };
                let mut read = Self::default();
                for (key, value) in in_order(table) {
                    match key.get_ref().as_ref() {
                        $(stringify!($key) => read.$key = entry(&key.span(), value, problems),)*
                        _ => unknown_key(key, &[$(stringify!($key)),*], problems),
                    }
                }
                Some(read)
            }
        }
    )* };
}

table! {
    /// What should run, and where.
    #[schemars(title = "unitbee manifest", extend("required" = ["service"]))]
    struct Written {
        /// Name of the project: letters, digits, `-`, `_` and `.`. A unit of another project is not replaced. Default: the
        /// name of the manifest's folder.
        #[schemars(extend("pattern" = project::NAME, "maxLength" = project::LONGEST))]
        project: String,
        /// Slice that all units are put into, without `.slice`. Default: rbee.
        #[schemars(extend("pattern" = "^[A-Za-z0-9_:][A-Za-z0-9_:.]*$", "not" = { "enum": TAKEN_SLICES }))]
        slice: String,
        /// Releases of each unit that are kept on its host, for the services that do not say. Default: 3.
        #[schemars(extend("minimum" = 1, "maximum" = u32::MAX))]
        keep: u32,
        /// The services, by name.
        #[schemars(extend("propertyNames" = { "pattern": PART }, "minProperties" = 1))]
        service: Map<Service>,
        /// The hosts, by name.
        host: Map<Host>,
    }

    /// A service: one program that runs once or in several instances.
    #[schemars(extend("required" = ["command"]))]
    struct Service {
        /// Program and arguments. A relative path with a `/` is a file here, which is shipped; an absolute path
        /// or a bare name is looked up on the host. No shell is involved. Takes {placeholders}.
        #[schemars(extend("minItems" = 1))]
        command: List<Text>,
        /// One line for people. Takes {placeholders}.
        description: Text,
        /// Command that builds the program here, in the folder of the manifest: a line for `sh -c`, or a list of a
        /// program and its arguments. `unitbee build` runs it.
        build: Build,
        /// Arguments for a short run of the program on the host, such as `["--version"]`, before a new release of the
        /// service takes the place of the old one. It must exit with 0 within 30 s, else nothing is changed. It gets `env`,
        /// without the secrets. Takes {placeholders}.
        #[schemars(extend("minItems" = 1))]
        check: List<Text>,
        /// Instances by name, each with its own keys to be used as {placeholders}; or how many there are, named
        /// from 1. Default: one, named main.
        instances: Instances,
        /// Environment, readable by anybody. Takes {placeholders}.
        #[schemars(extend("propertyNames" = { "pattern": ENV }))]
        env: Map<Text>,
        /// Names of variables that are taken from this shell's environment and kept in a file that only the
        /// service's user can read.
        #[schemars(extend("items" = { "type": "string", "pattern": ENV }))]
        secrets: List<String>,
        /// Absolute path on the host. Default: the home directory. Takes {placeholders}.
        working_dir: Text,
        /// Caps.
        limits: Limits,
        /// What happens when it ends by itself.
        restart: Restart,
        /// When it counts as healthy.
        health: Health,
        /// How it is ended: by URL, then TERM, then KILL.
        stop: Stop,
        /// Log files, where the supervisor writes files.
        logs: Logs,
        /// Releases of each unit that are kept on its host. Default: the `keep` of the manifest, else 3.
        #[schemars(extend("minimum" = 1, "maximum" = u32::MAX))]
        keep: u32,
        /// How many of its running instances on a host are replaced at a time: a number, or "all". Default: 1.
        parallel: Parallel,
        /// Whose supervisor runs it. Default: user.
        scope: Scope,
        /// Host names or tags. Default: this machine.
        #[schemars(extend("minItems" = 1))]
        hosts: List<String>,
        /// Further settings for systemd by section and key; those that unitbee itself decides are refused.
        systemd: Sections,
        /// Further keys of the launchd property list; those that unitbee itself decides are refused.
        #[schemars(extend("propertyNames" = { "not": { "enum": overrides::launchd_keys() } }))]
        launchd: Map<Property>,
    }

    /// A machine.
    struct Host {
        /// Destination as ssh takes it; `localhost` is this machine. Default: the host's name.
        #[schemars(extend("minLength" = 1))]
        ssh: String,
        /// Names for groups of hosts.
        tags: List<String>,
    }

    /// Caps.
    struct Limits {
        /// Share of processors, such as `200%` for two cores.
        cpu: Percent,
        /// Memory of the whole unit, swap included, such as `4G`.
        memory: Size,
        /// Processes and threads.
        #[schemars(extend("minimum" = 1))]
        tasks: u64,
        /// Open files of each process.
        #[schemars(extend("minimum" = 1))]
        nofile: u64,
    }

    /// What happens when it ends by itself.
    struct Restart {
        /// After which ends. Default: on-failure.
        when: RestartWhen,
        /// Pause before the first restart. Default: 1s.
        delay: TimeSpan,
        /// Longest pause, reached by growing. Default: 1min.
        max_delay: TimeSpan,
        /// Restarts in a row after which it stays down; 0 means never give up. Default: 10.
        #[schemars(extend("maximum" = u32::MAX))]
        give_up_after: u32,
    }

    /// When it counts as healthy: its URL answers, or without one, it runs.
    #[schemars(extend("dependentRequired" = { "expect": ["url"] }))]
    struct Health {
        /// Answered with 2xx by a healthy service, as its host sees it. Takes {placeholders}.
        #[schemars(extend("pattern" = URL))]
        url: Text,
        /// Text that the answer must hold. Takes {placeholders}.
        #[schemars(extend("minLength" = 1))]
        expect: Text,
        /// How long it may take from the start until it is healthy; without a URL, until it runs. Default: 1min.
        within: TimeSpan,
        /// How long it must then stay so, as the same process. Default: 2s; without a URL 1.5s.
        healthy_for: TimeSpan,
    }

    /// How it is ended: by URL, then TERM, then KILL.
    #[schemars(extend("dependentRequired" = { "drain": ["url"] }))]
    struct Stop {
        /// Gets a POST first, as the service's host sees it. Takes {placeholders}.
        #[schemars(extend("pattern" = URL))]
        url: Text,
        /// How long it may take to end after the POST. Default: 10s.
        drain: TimeSpan,
        /// How long it may take to end after TERM. Default: 10s.
        term: TimeSpan,
    }

    /// Log files, where the supervisor writes files.
    struct Logs {
        /// A file is rotated beyond this size. Default: 10M.
        max_size: Size,
        /// Rotated files that are kept. Default: 3.
        #[schemars(extend("maximum" = u32::MAX))]
        keep: u32,
    }

    /// Sections of a unit file.
    #[expect(non_snake_case, reason = "the sections have systemd's names")]
    struct Sections {
        /// Keys of `[Unit]`.
        #[schemars(extend("propertyNames" = overrides::key_schema("Unit")))]
        Unit: Map<Setting>,
        /// Keys of `[Service]`.
        #[schemars(extend("propertyNames" = overrides::key_schema("Service")))]
        Service: Map<Setting>,
        /// Keys of `[Install]`.
        #[schemars(extend("propertyNames" = overrides::key_schema("Install")))]
        Install: Map<Setting>,
    }
}

/// The instances of a service.
#[derive(Debug)]
pub(super) enum Instances {
    /// So many, named from 1.
    Count(u64),
    /// Named ones, with their own keys.
    Named(Map<Map<Scalar>>),
}

impl Read for Instances {
    const WANTED: &'static str = "a table or a number";
    const EXAMPLE: &'static str = "{ 8080 = { port = 8080 } }, or how many there are";

    fn read(value: &DeValue<'_>, span: &Span, problems: &mut Problems<'_>) -> Option<Self> {
        match value {
            DeValue::Table(_) => Map::read(value, span, problems).map(Self::Named),
            DeValue::Integer(_) => {
                let count = u64::read(value, span, problems)?;
                let allowed = (1..=MOST_INSTANCES).contains(&count);
                if !allowed {
                    let message = format!("{count} is no number of instances");
                    problems.add(span, message, format!("write 1 to {MOST_INSTANCES}"));
                }
                allowed.then_some(Self::Count(count))
            }
            _ => Self::mistyped(value, span, problems),
        }
    }
}

schema!(Instances, generator => {
    let mut keys = generator.subschema_for::<Map<Scalar>>();
    keys.insert(
        "propertyNames".into(),
        serde_json::json!({
            "pattern": ENV, "not": { "enum": super::expand::BUILT_IN }
        }),
    );
    json_schema!({ "oneOf": [
        { "type": "integer", "minimum": 1, "maximum": MOST_INSTANCES },
        { "type": "object", "minProperties": 1, "propertyNames": { "pattern": PART }, "additionalProperties": keys },
    ] })
});

/// How many instances are replaced at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parallel(pub(super) u32);

impl Read for Parallel {
    const WANTED: &'static str = "a whole number or \"all\"";
    const EXAMPLE: &'static str = "a whole number from 1 up without quotes, or \"all\"";

    fn read(value: &DeValue<'_>, span: &Span, problems: &mut Problems<'_>) -> Option<Self> {
        match value {
            DeValue::Integer(_) => u32::read(value, span, problems).map(Self),
            DeValue::String(_) => word(&[("all", Self(u32::MAX))], value, span, problems),
            _ => Self::mistyped(value, span, problems),
        }
    }
}

schema!(Parallel, _ => json_schema!({ "oneOf": [
    { "type": "integer", "minimum": 1, "maximum": u32::MAX },
    { "const": "all" },
] }));

/// A string, number or truth value, as the text that it is filled in as.
#[derive(Debug)]
pub(super) struct Scalar(pub(super) String);

impl Read for Scalar {
    const WANTED: &'static str = "a string, a whole number, true or false";
    const EXAMPLE: &'static str = "it in quotes";

    fn read(value: &DeValue<'_>, span: &Span, problems: &mut Problems<'_>) -> Option<Self> {
        match value {
            DeValue::String(_) => String::read(value, span, problems).map(Self),
            DeValue::Boolean(truth) => Some(Self(truth.to_string())),
            DeValue::Integer(number) => {
                let read = whole(number);
                if read.is_none() {
                    problems.add(span, "the number is too large", "write it in quotes");
                }
                read.map(|number| Self(number.to_string()))
            }
            _ => Self::mistyped(value, span, problems),
        }
    }
}

schema!(Scalar, _ => json_schema!({ "type": ["string", "integer", "boolean"] }));

/// What a key of systemd is set to, once or several times.
#[derive(Debug)]
pub(super) struct Setting(pub(super) List<Scalar>);

impl Read for Setting {
    const WANTED: &'static str = Scalar::WANTED;
    const EXAMPLE: &'static str = Scalar::EXAMPLE;

    fn read(value: &DeValue<'_>, span: &Span, problems: &mut Problems<'_>) -> Option<Self> {
        if value.is_array() {
            return List::read(value, span, problems).map(Self);
        }
        let value = Scalar::read(value, span, problems)?;
        Some(Self(List(vec![Entry::Given(At { value, span: span.clone() })])))
    }
}

schema!(Setting, generator => {
    let (one, many) = (generator.subschema_for::<Scalar>(), generator.subschema_for::<List<Scalar>>());
    json_schema!({ "anyOf": [one, many] })
});

/// A value of a property list.
#[derive(Debug)]
pub(super) struct Property(pub(super) plist::Value);

impl Read for Property {
    const WANTED: &'static str = "a value that a property list can hold";
    const EXAMPLE: &'static str = "a string, number, true, false, list or table";

    fn read(value: &DeValue<'_>, span: &Span, problems: &mut Problems<'_>) -> Option<Self> {
        let property = match value {
            DeValue::String(_) => plist::Value::String(String::read(value, span, problems)?),
            DeValue::Integer(number) => {
                Scalar::read(value, span, problems)?;
                plist::Value::Integer(whole(number)?.into())
            }
            DeValue::Float(number) => match number.as_str().parse::<f64>() {
                Ok(number) if number.is_finite() => plist::Value::Real(number),
                _ => return Self::mistyped(value, span, problems),
            },
            DeValue::Boolean(truth) => plist::Value::Boolean(*truth),
            DeValue::Datetime(_) => return Self::mistyped(value, span, problems),
            DeValue::Array(_) => {
                let list = List::<Self>::read(value, span, problems)?;
                plist::Value::Array(list.iter().map(|item| item.value.0.clone()).collect())
            }
            DeValue::Table(_) => {
                let table = Map::<Self>::read(value, span, problems)?;
                plist::Value::Dictionary(table.iter().map(|(k, v)| (k.value.clone(), v.value.0.clone())).collect())
            }
        };
        Some(Self(property))
    }
}

schema!(Property, _ => json_schema!({ "type": ["string", "number", "boolean", "array", "object"] }));

/// Reads one of a closed set of words.
fn word<T: Copy>(words: &[(&str, T)], value: &DeValue<'_>, span: &Span, problems: &mut Problems<'_>) -> Option<T> {
    let text = String::read(value, span, problems)?;
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
    if found.is_none() {
        let all: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        problems.add(span, format!("{text:?} is not known here"), format!("write one of {}", all.join(", ")));
    }
    found
}

impl Read for RestartWhen {
    const WANTED: &'static str = String::WANTED;
    const EXAMPLE: &'static str = String::EXAMPLE;

    fn read(value: &DeValue<'_>, span: &Span, problems: &mut Problems<'_>) -> Option<Self> {
        let words = [("on-failure", Self::OnFailure), ("always", Self::Always), ("no", Self::No)];
        word(&words, value, span, problems)
    }
}

impl Read for Scope {
    const WANTED: &'static str = String::WANTED;
    const EXAMPLE: &'static str = String::EXAMPLE;

    fn read(value: &DeValue<'_>, span: &Span, problems: &mut Problems<'_>) -> Option<Self> {
        word(&[("user", Self::User), ("system", Self::System)], value, span, problems)
    }
}

/// Reads a whole manifest.
pub(super) fn read(text: toml::Spanned<toml::de::DeTable<'_>>, problems: &mut Problems<'_>) -> Written {
    let table = DeValue::Table(text.into_inner());
    Written::read(&table, &(0..0), problems).unwrap_or_default()
}
