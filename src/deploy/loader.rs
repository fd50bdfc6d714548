//! Whether a host has what shipped files need to be run there: their interpreters, and a libc that is new enough.

use std::collections::BTreeSet;
use std::fmt;

use camino::{Utf8Path, Utf8PathBuf};

use super::desired::Desired;
use super::program::{GlibcNeed, Requirements, ScriptFault};
use crate::host::{Answer, Ask, Base, HostPath, Libc};

/// What a host has to run files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loader {
    /// Its C library; unknown where nobody asked.
    pub libc: Libc,
    /// Interpreters that were looked for and are not there.
    pub missing: BTreeSet<Utf8PathBuf>,
}

/// A need of a file that a host does not meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unmet {
    /// The program refers to a newer glibc.
    Glibc {
        /// What it needs.
        needs: GlibcNeed,
        /// Major and minor number of the host's.
        host: (u32, u32),
    },
    /// The program is linked with glibc, and the host has musl.
    Musl,
    /// The host lacks the interpreter of a script or the loader of a program.
    Interpreter {
        /// Absolute path on the host.
        path: Utf8PathBuf,
        /// Whether a script names it.
        script: bool,
    },
    /// No host runs it.
    Script(ScriptFault),
}

/// Asks for all that the shipped files of `desired` need, in the order in which [`Loader::read`] takes the answers.
pub(super) fn asks(desired: &[Desired]) -> Vec<Ask> {
    let libc = needs_libc(desired).then_some(Ask::Libc);
    let size = |path: &Utf8Path| Ask::Size(HostPath::new(Base::Root, path.as_str().trim_start_matches('/')));
    libc.into_iter().chain(interpreters(desired).into_iter().map(size)).collect()
}

impl Loader {
    /// Reads the answers to [`asks`]; `None` when they are not of its form.
    pub(super) fn read(desired: &[Desired], answers: &mut impl Iterator<Item = Answer>) -> Option<Self> {
        let mut loader = Self::default();
        if needs_libc(desired) {
            let Answer::Libc(libc) = answers.next()? else { return None };
            loader.libc = libc;
        }
        for path in interpreters(desired) {
            let Answer::Size(size) = answers.next()? else { return None };
            if size.is_none() {
                loader.missing.insert(path.to_owned());
            }
        }
        Some(loader)
    }

    /// Finds the need that the host does not meet. A host whose libc is unknown is given the benefit of the doubt.
    #[must_use]
    pub fn unmet(&self, needs: &Requirements) -> Option<Unmet> {
        match needs {
            Requirements::Nothing => None,
            Requirements::BadScript(fault) => Some(Unmet::Script(*fault)),
            Requirements::Script { interpreter } => {
                let path = self.missing.get(interpreter)?.clone();
                Some(Unmet::Interpreter { path, script: true })
            }
            Requirements::Dynamic { interpreter, glibc } => match (self.missing.get(interpreter), glibc, self.libc) {
                // With a layer of glibc's names, such as gcompat, musl has the loader too.
                (Some(_), Some(_), Libc::Musl) => Some(Unmet::Musl),
                (Some(path), ..) => Some(Unmet::Interpreter { path: path.clone(), script: false }),
                (None, Some(needs), Libc::Glibc(major, minor))
                    if needs.version > (major, minor) && is_usual(interpreter) =>
                {
                    Some(Unmet::Glibc { needs: needs.clone(), host: (major, minor) })
                }
                _ => None,
            },
        }
    }
}

/// Tells whether a loader is that of the host's own libc, and not of one that was put beside it.
fn is_usual(interpreter: &Utf8Path) -> bool {
    let folder = interpreter.iter().nth(1).unwrap_or_default();
    folder.starts_with("lib") || interpreter.starts_with("/usr/lib")
}

fn needs_libc(desired: &[Desired]) -> bool {
    requirements(desired).any(|needs| matches!(needs, Requirements::Dynamic { glibc: Some(_), .. }))
}

fn interpreters(desired: &[Desired]) -> BTreeSet<&Utf8Path> {
    requirements(desired).filter_map(Requirements::interpreter).collect()
}

fn requirements(desired: &[Desired]) -> impl Iterator<Item = &Requirements> {
    desired.iter().filter_map(Desired::payload).map(|payload| &payload.needs)
}

impl fmt::Display for Unmet {
    /// Continues a sentence that begins with the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Glibc { needs: GlibcNeed { version: (major, minor), symbol }, host } => {
                write!(f, "needs glibc {major}.{minor}")?;
                if let Some(symbol) = symbol {
                    write!(f, " (symbol {symbol})")?;
                }
                write!(f, ", the host has glibc {}.{}", host.0, host.1)
            }
            Self::Musl => f.write_str("is linked with glibc, the host has musl"),
            Self::Interpreter { path, script: true } => {
                write!(f, "is a script for {path}, which is not on the host")
            }
            Self::Interpreter { path, script: false } => {
                write!(f, "is a dynamic program for the loader {path}, which is not on the host")
            }
            Self::Script(fault) => fault.fmt(f),
        }
    }
}

impl Unmet {
    /// One sentence that helps.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Glibc { .. } => "build it on a system that is no newer than the host, or statically (with musl)",
            Self::Musl | Self::Interpreter { script: false, .. } => {
                "build it for the host's system, or statically (with musl)"
            }
            Self::Interpreter { script: true, .. } => "install the interpreter there, or change the `#!` line",
            Self::Script(ScriptFault::Empty) => "build it again: something wrote no content",
            Self::Script(ScriptFault::NoInterpreter) => "begin it with a line such as `#!/bin/sh`",
            Self::Script(ScriptFault::ByteOrderMark) => "save it as UTF-8 without a byte order mark",
            Self::Script(ScriptFault::CarriageReturn) => {
                "save it with the line endings of Unix: `sed -i 's/\\r$//' FILE`"
            }
        }
    }
}
