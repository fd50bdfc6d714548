//! What a unit cannot carry, and where in the spec it stands.

use std::fmt;

use crate::service::escape::{self, EscapeError};
use crate::service::name::EnvName;

/// Bytes that arguments and environment may have together: a quarter of the usual stack limit of 8 MiB (execve(2)),
/// less what the manager adds.
pub(super) const EXEC_MAX: usize = (2 << 20) - (128 << 10);

/// Why a spec has no file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// A value is something that a unit cannot carry.
    #[error("{place} cannot be written to a unit")]
    Value {
        /// Which.
        place: SpecField,
        /// Why.
        source: EscapeError,
    },
    /// A line is longer than systemd reads; this spoils the whole unit.
    #[error("the line {key}= of the unit has {length} bytes, {} are possible", escape::LINE_MAX)]
    Line {
        /// What stands in front of its `=`.
        key: String,
        /// Bytes that it has.
        length: usize,
    },
    /// The kernel takes only so much at the start of a program.
    #[error("arguments and environment have {length} bytes together, {max} are possible")]
    Total {
        /// Bytes that they have.
        length: usize,
        /// Bytes that they may have.
        max: usize,
    },
    /// A limit that systemd would ignore.
    #[error("{key}={value} is no limit")]
    Limit {
        /// Which.
        key: &'static str,
        /// Its value.
        value: u64,
    },
    /// A section or key of the manifest's own `systemd` table is not spelt like one.
    #[error("{name:?} is no name of a section or setting")]
    Setting {
        /// Which.
        name: String,
    },
    /// The spec has secrets, and no file was made for them.
    #[error("there are secrets and no file for them")]
    NoEnvFile,
    /// A value of the manifest's own `launchd` table is of a kind that the manifest cannot even write.
    #[error("launchd.{key} is neither text, number, truth, list nor table")]
    Property {
        /// Which.
        key: String,
    },
    /// A value reached a template that its escaper refuses; the checks before it should have seen that.
    #[error("the template of the unit cannot be filled")]
    Template(#[from] askama::Error),
}

impl RenderError {
    /// Returns what the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Value {
                source: EscapeError::TooLong { .. },
                place: SpecField::Argument(_) | SpecField::Variable(_),
            }
            | Self::Line { .. }
            | Self::Total { .. } => Some("put the value into a file and pass the file's name".to_owned()),
            Self::Value { source: EscapeError::OldEnvironment { .. }, .. } => {
                Some("encode the value, or put it into a file and pass the file's name".to_owned())
            }
            _ => None,
        }
    }
}

/// Which part of a spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpecField {
    /// The path of the program.
    Program,
    /// An argument, counted from 1.
    Argument(usize),
    /// A variable of the environment.
    Variable(EnvName),
    /// The description.
    Description,
    /// The working directory.
    WorkingDir,
    /// The path of the file with the secrets.
    EnvFile,
    /// The path of the log files.
    Logs,
    /// The label of a launchd job.
    Label,
    /// The home of the account that it runs as.
    Home,
    /// The name of the account that it runs as.
    Account,
    /// A key of the manifest's own `launchd` table, behind those that it is in: `Sockets.Listener`.
    Property(String),
    /// A line of the manifest's own `systemd` table.
    Setting {
        /// `Service`, `Unit`, …
        section: String,
        /// `Nice`, …
        key: String,
    },
}

impl fmt::Display for SpecField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program => f.write_str("the path of the program"),
            Self::Argument(number) => write!(f, "argument {number}"),
            Self::Variable(name) => write!(f, "the variable {name}"),
            Self::Description => f.write_str("the description"),
            Self::WorkingDir => f.write_str("the working directory"),
            Self::EnvFile => f.write_str("the path of the file with the secrets"),
            Self::Logs => f.write_str("the path of the log files"),
            Self::Label => f.write_str("the launchd label"),
            Self::Home => f.write_str("the path of the home"),
            Self::Account => f.write_str("the name of the account"),
            Self::Property(key) => write!(f, "launchd.{key}"),
            Self::Setting { section, key } => write!(f, "systemd.{section}.{key}"),
        }
    }
}

impl SpecField {
    /// Makes the error of a value in this place.
    pub(super) fn refuse(self) -> impl FnOnce(EscapeError) -> RenderError {
        move |source| RenderError::Value { place: self, source }
    }
}
