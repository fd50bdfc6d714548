//! Quoting for everything that a unit is made of: one function for each grammar.
//!
//! systemd reads its files with several grammars (systemd.syntax(7), systemd.service(5) "Command lines",
//! systemd.exec(5); conf-parser.c, extract-word.c, specifier.c, env-file.c). A value goes through the function of its
//! grammar and comes out on the other side byte for byte, on every systemd since 245, or it is refused here: nothing
//! is left out, replaced or cut. What some version cannot carry is refused for that version only ([`Systemd`]).
//!
//! Text that systemd holds must also pass through D-Bus, which takes UTF-8 only and no Unicode noncharacters: one such
//! character in a unit makes the manager drop off its bus. They are refused everywhere.
//!
//! [`sh`] is for the definitions of the runner, [`xml`] for the property lists of launchd.

pub mod sh;
pub mod xml;

use std::fmt::{self, Write};

use askama::filters::Escaper;
use camino::Utf8Path;

use super::name::EnvName;
use super::target::Systemd;

/// Bytes that a line of a unit may have without the newline at its end (`LONG_LINE_MAX`); a longer one spoils the whole
/// unit. Functions here write parts of lines, so who puts a line together has to look.
pub const LINE_MAX: usize = (1 << 20) - 1;

/// Bytes of a path, without the NUL at its end.
const PATH_MAX: usize = 4095;

/// Bytes of one component of a path, and of the name of a unit.
const NAME_MAX: usize = 255;

/// Why a value cannot be written; positions are bytes from the start of the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EscapeError {
    /// NUL ends every text of the kernel's.
    #[error("it holds a NUL at byte {at}")]
    Nul {
        /// Where.
        at: usize,
    },
    /// Unicode keeps the character out of text, and so does D-Bus.
    #[error("it holds the noncharacter U+{:04X} at byte {at}", u32::from(*character))]
    Noncharacter {
        /// Which.
        character: char,
        /// Where.
        at: usize,
    },
    /// The grammar has no way to write the character.
    #[error("it holds {character:?} at byte {at}")]
    Character {
        /// Which.
        character: char,
        /// Where.
        at: usize,
    },
    /// This systemd drops a variable that holds the character.
    #[error("it holds {character:?} at byte {at}, and systemd before 247 drops such a variable")]
    OldEnvironment {
        /// Which.
        character: char,
        /// Where.
        at: usize,
    },
    /// It is longer than systemd or the kernel takes it.
    #[error("it has {length} bytes, {max} are possible")]
    TooLong {
        /// Bytes that it has.
        length: usize,
        /// Bytes that it may have.
        max: usize,
    },
    /// There is nothing, and nothing means "the default" there.
    #[error("it is empty")]
    Empty,
    /// It starts or ends with a blank, which is cut off there.
    #[error("it starts or ends with a blank")]
    Edge,
    /// It ends with a backslash, which takes in the next line.
    #[error("it ends with a backslash")]
    Backslash,
    /// It is a path that does not start with `/`.
    #[error("the path is not absolute")]
    Relative,
    /// It is a path with a component `.` or `..`.
    #[error("the path holds '.' or '..'")]
    Dots,
    /// No shell can set the variable, or the runner sets it.
    #[error("{name} belongs to the shell")]
    Taken {
        /// Which.
        name: String,
    },
    /// It is the path of a program and ends with `/`.
    #[error("the path ends with '/'")]
    Directory,
}

/// Writes one argument of `ExecStart=` behind a program from [`exec_path`], in double quotes.
///
/// `$` stays as it is: the prefix `:` that [`exec_path`] writes turns variables off for the whole line.
///
/// # Errors
///
/// NUL, noncharacters, and more bytes than [`Systemd::argument_max`].
pub fn exec_arg(arg: &str, target: Systemd) -> Result<String, EscapeError> {
    check_length(arg.len(), target.argument_max())?;
    quoted("", arg)
}

/// Writes the program of `ExecStart=` in double quotes with the prefix `:`, which turns off variables in the arguments.
///
/// Paths have a smaller alphabet than arguments, on every version.
///
/// # Errors
///
/// Control characters, quotes and backslashes, from 258 also `*?[`; a path that is relative, ends with `/`, holds `.`
/// or `..`, or is longer than the kernel takes it.
pub fn exec_path(path: &Utf8Path, target: Systemd) -> Result<String, EscapeError> {
    check_path(path)?;
    if path.as_str().ends_with('/') {
        return Err(EscapeError::Directory);
    }
    check_path_characters(path, |c| "\"'\\".contains(c) || ("*?[".contains(c) && !target.carries_wildcards_in_path()))?;
    quoted(":", path.as_str())
}

/// Writes the right side of one `Environment=` line: `"NAME=value"`.
///
/// # Errors
///
/// NUL and noncharacters; before 247 control characters other than tab and newline; more bytes, name included, than
/// [`Systemd::argument_max`]: 249 and 250 are known to cut arguments short and not trusted to spare variables.
pub fn environment(name: &EnvName, value: &str, target: Systemd) -> Result<String, EscapeError> {
    check_variable(name, value, target.argument_max(), target)?;
    quoted(&format!("{name}="), value)
}

/// Writes one line of a file that `EnvironmentFile=` names, with the newline at its end.
///
/// Single quotes, because old versions read double quotes differently; a single quote is written as `'"'"'`.
///
/// # Errors
///
/// As [`environment`], but 249 and 250 carry long values here.
pub fn env_file_line(name: &EnvName, value: &str, target: Systemd) -> Result<String, EscapeError> {
    check_variable(name, value, Systemd::default().argument_max(), target)?;
    Ok(format!("{name}='{}'\n", value.replace('\'', r#"'"'"'"#)))
}

/// Writes a value that is read as it is up to the end of its line: `Description=`, `SyslogIdentifier=`.
///
/// # Errors
///
/// Control characters, noncharacters, a blank at an end, a backslash at the end, and nothing at all.
pub fn raw_value(value: &str) -> Result<String, EscapeError> {
    if value.is_empty() {
        return Err(EscapeError::Empty);
    }
    check_text(value)?;
    refuse(value, |c| c.is_ascii_control())?;
    if value.trim_matches(' ') != value {
        return Err(EscapeError::Edge);
    }
    if value.ends_with('\\') {
        return Err(EscapeError::Backslash);
    }
    Ok(value.replace('%', "%%"))
}

/// Checks a path for `WorkingDirectory=`, which is a [`raw_value`].
///
/// # Errors
///
/// As [`raw_value`]; a path that is relative, holds `.` or `..` or is too long; on 247 and 248 a path whose mount unit
/// would have a name of more than 255 bytes.
pub fn working_directory(path: &Utf8Path, target: Systemd) -> Result<String, EscapeError> {
    check_path(path)?;
    if target.needs_short_mount_names() {
        check_length(unit_name_of_path(path).len() + ".mount".len(), NAME_MAX)?;
    }
    raw_value(path.as_str())
}

/// Checks a path for `EnvironmentFile=`, which is a [`raw_value`] that is then read as a glob(7) pattern.
///
/// # Errors
///
/// As [`raw_value`]; a path that is relative, holds `.` or `..` or is too long; the characters of a pattern.
pub fn environment_file(path: &Utf8Path) -> Result<String, EscapeError> {
    check_path(path)?;
    check_path_characters(path, |c| "*?[\\".contains(c))?;
    raw_value(path.as_str())
}

/// Checks a path that is written on a line of its own, without a grammar.
///
/// # Errors
///
/// Control characters, noncharacters; a path that is relative, holds `.` or `..` or is too long.
pub fn plain_path(path: &Utf8Path) -> Result<&str, EscapeError> {
    check_path(path)?;
    check_path_characters(path, |_| false)?;
    Ok(path.as_str())
}

/// Checks a value that its writer wrote for systemd, quotes, `%` and all, for not reaching beyond its line.
///
/// # Errors
///
/// Control characters other than tab, noncharacters, and a backslash at the end that takes in the next line.
pub fn verbatim(value: &str) -> Result<&str, EscapeError> {
    check_text(value)?;
    refuse(value, |c| c.is_ascii_control() && c != '\t')?;
    // Blanks behind it would be cut off before the line is joined to the next.
    let backslashes = value.trim_end().bytes().rev().take_while(|b| *b == b'\\').count();
    if backslashes % 2 == 1 {
        return Err(EscapeError::Backslash);
    }
    Ok(value)
}

/// Escapes text for use inside the name of a unit, as systemd-escape(1) does.
#[must_use]
pub fn unit_name(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'/' => out.push('-'),
            b'.' if at == 0 => push_hex(&mut out, "\\x", byte),
            b':' | b'_' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => out.push(char::from(byte)),
            _ => push_hex(&mut out, "\\x", byte),
        }
    }
    out
}

/// Escapes a path for use as the name of a unit, as `systemd-escape --path` does: `/srv/a b` is `srv-a\x20b`.
#[must_use]
pub fn unit_name_of_path(path: &Utf8Path) -> String {
    let parts: Vec<&str> = path.as_str().split('/').filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { "-".to_owned() } else { unit_name(&parts.join("/")) }
}

/// Returns the object path under which systemd has a unit: `/org/freedesktop/systemd1/unit/rbee_2eslice`.
#[must_use]
pub fn object_path(unit: &str) -> String {
    let mut out = String::from("/org/freedesktop/systemd1/unit/");
    if unit.is_empty() {
        out.push('_');
    }
    for (at, byte) in unit.bytes().enumerate() {
        if byte.is_ascii_alphabetic() || (byte.is_ascii_digit() && at > 0) {
            out.push(char::from(byte));
        } else {
            push_hex(&mut out, "_", byte);
        }
    }
    out
}

/// What `{{ value }}` goes through in the templates of units: [`raw_value`], so that a value cannot leave its line.
///
/// A value that was already written by another function of this module is marked `|safe`.
#[derive(Debug, Clone, Copy, Default)]
pub struct RawValue;

impl Escaper for RawValue {
    fn write_escaped_str<W: Write>(&self, mut dest: W, value: &str) -> fmt::Result {
        dest.write_str(&raw_value(value).map_err(|_| fmt::Error)?)
    }
}

/// Puts text between double quotes as extract-word.c and then specifier.c read it.
fn quoted(prefix: &str, text: &str) -> Result<String, EscapeError> {
    check_text(text)?;
    let mut out = String::with_capacity(prefix.len() + text.len() + 2);
    out.push('"');
    out.push_str(prefix);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '%' => out.push_str("%%"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control.is_ascii_control() => push_hex(&mut out, "\\x", control as u8),
            other => out.push(other),
        }
    }
    out.push('"');
    Ok(out)
}

fn push_hex(out: &mut String, prefix: &str, byte: u8) {
    out.push_str(prefix);
    out.push_str(&hex::encode([byte]));
}

fn check_variable(name: &EnvName, value: &str, max: usize, target: Systemd) -> Result<(), EscapeError> {
    check_text(value)?;
    // execve(2) gets name and value as one string.
    check_length(name.as_str().len() + 1 + value.len(), max)?;
    if target.carries_control_in_env() {
        return Ok(());
    }
    refuse(value, |c| c.is_ascii_control() && c != '\t' && c != '\n').map_err(|error| match error {
        EscapeError::Character { character, at } => EscapeError::OldEnvironment { character, at },
        other => other,
    })
}

fn check_path(path: &Utf8Path) -> Result<(), EscapeError> {
    let text = path.as_str();
    check_text(text)?;
    if !text.starts_with('/') {
        return Err(EscapeError::Relative);
    }
    check_length(text.len(), PATH_MAX)?;
    for part in text.split('/') {
        if part == "." || part == ".." {
            return Err(EscapeError::Dots);
        }
        check_length(part.len(), NAME_MAX)?;
    }
    Ok(())
}

fn check_path_characters(path: &Utf8Path, unfit: impl Fn(char) -> bool) -> Result<(), EscapeError> {
    refuse(path.as_str(), |c| c.is_ascii_control() || unfit(c))
}

/// Refuses what no text can be that passes through systemd, its bus and execve(2).
pub(super) fn check_text(text: &str) -> Result<(), EscapeError> {
    match text.char_indices().find(|(_, c)| *c == '\0' || is_noncharacter(*c)) {
        None => Ok(()),
        Some((at, '\0')) => Err(EscapeError::Nul { at }),
        Some((at, character)) => Err(EscapeError::Noncharacter { character, at }),
    }
}

fn is_noncharacter(c: char) -> bool {
    let code = u32::from(c);
    (0xfdd0..=0xfdef).contains(&code) || code & 0xfffe == 0xfffe
}

fn refuse(text: &str, unfit: impl Fn(char) -> bool) -> Result<(), EscapeError> {
    match text.char_indices().find(|(_, c)| unfit(*c)) {
        None => Ok(()),
        Some((at, character)) => Err(EscapeError::Character { character, at }),
    }
}

fn check_length(length: usize, max: usize) -> Result<(), EscapeError> {
    if length > max { Err(EscapeError::TooLong { length, max }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use askama::Template;

    #[derive(Template)]
    #[template(source = "Description={{ value }}", ext = "service")]
    struct Unit<'a> {
        value: &'a str,
    }

    #[test]
    fn a_template_cannot_be_left() {
        assert_eq!(Unit { value: "100% \"$HOME\"" }.render().unwrap(), "Description=100%% \"$HOME\"");
        for value in ["a\n[Service]", "a\r[Service]", "a\0", "a\\", " a"] {
            assert!(Unit { value }.render().is_err(), "{value:?}");
        }
    }
}
