//! The command that builds a program on this machine.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a program is built here, in the folder of the manifest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Build {
    /// A line for `sh -c`.
    Shell(String),
    /// A program and its arguments; no shell is involved.
    Program(Vec<String>),
}

impl fmt::Display for Build {
    /// Writes it as it would be typed into a shell.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shell(line) => f.write_str(line),
            // Words with NUL in them, which are all that cannot be quoted, do not come from a manifest.
            Self::Program(words) => f.write_str(&shlex::try_join(words.iter().map(String::as_str)).unwrap_or_default()),
        }
    }
}
