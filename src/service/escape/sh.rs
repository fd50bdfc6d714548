//! Words of a POSIX shell, for the definitions that the runner reads (POSIX.1-2017, XCU 2.2.2).
//!
//! A value is only ever written between single quotes, where every byte but the quote stands for itself. What dash, bash
//! and busybox ash make of it was tried with whatever a process can be given.

use std::fmt::{self, Write};

use askama::filters::Escaper;

use super::{EscapeError, check_length};
use crate::service::name::EnvName;

/// Bytes that one argument or variable may have: what execve(2) takes.
const WORD_MAX: usize = 131_071;

/// Variables that some shell sets itself, refuses to set, or reads as something else than text. Names that begin with
/// `BASH` are bash's, all of them.
const TAKEN: [&str; 28] = [
    "DIRSTACK",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "EUID",
    "FUNCNAME",
    "GROUPS",
    "HISTCMD",
    "IFS",
    "INVOCATION_ID",
    "LINENO",
    "OLDPWD",
    "OPTARG",
    "OPTERR",
    "OPTIND",
    "PIPESTATUS",
    "POSIXLY_CORRECT",
    "PPID",
    "PS1",
    "PS2",
    "PS4",
    "PWD",
    "RANDOM",
    "SECONDS",
    "SHELLOPTS",
    "SHLVL",
    "SRANDOM",
    "UID",
    "_",
];

/// Writes one word in single quotes; a single quote is written as `'\''`.
///
/// # Errors
///
/// NUL, and more bytes than execve(2) takes in one argument.
pub fn word(text: &str) -> Result<String, EscapeError> {
    if let Some(at) = text.find('\0') {
        return Err(EscapeError::Nul { at });
    }
    check_length(text.len(), WORD_MAX)?;
    Ok(format!("'{}'", text.replace('\'', r"'\''")))
}

/// Writes a variable as one word for env(1): `'NAME=value'`. No shell sets it, so every name will do, but for the one that
/// the runner itself gives to each run.
///
/// # Errors
///
/// As [`word`], name included; the name `INVOCATION_ID`.
pub fn environment(name: &EnvName, value: &str) -> Result<String, EscapeError> {
    if name.as_str() == "INVOCATION_ID" {
        return Err(EscapeError::Taken { name: name.to_string() });
    }
    word(&format!("{name}={value}"))
}

/// Writes one line of a file that a shell reads to set variables, with the newline at its end.
///
/// # Errors
///
/// As [`word`], name included; names that some shell cannot set to any text.
pub fn assignment(name: &EnvName, value: &str) -> Result<String, EscapeError> {
    if TAKEN.contains(&name.as_str()) || name.as_str().starts_with("BASH") {
        return Err(EscapeError::Taken { name: name.to_string() });
    }
    check_length(name.as_str().len() + 1 + value.len(), WORD_MAX)?;
    Ok(format!("{name}={}\n", word(value)?))
}

/// What `{{ value }}` goes through in the templates of definitions: [`word`].
///
/// A value that was already written by another function of this module is marked `|safe`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Word;

impl Escaper for Word {
    fn write_escaped_str<W: Write>(&self, mut dest: W, value: &str) -> fmt::Result {
        dest.write_str(&word(value).map_err(|_| fmt::Error)?)
    }
}
