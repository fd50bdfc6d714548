//! How systemd reads its files, modelled from its documentation and observed behaviour (systemd.syntax(7),
//! systemd.service(5) "Command lines", conf-parser.c, extract-word.c, specifier.c, env-file.c).
//!
//! It shares no code with what it checks and is stricter than systemd: whatever systemd would warn about, expand or
//! repair is an error here.

use std::iter::Peekable;
use std::str::Chars;

/// One `key=value` of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) section: String,
    pub(crate) key: String,
    pub(crate) value: String,
}

const BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];
const LONG_LINE_MAX: usize = 1 << 20;

/// Reads the lines of a unit.
pub(crate) fn entries(file: &[u8]) -> Result<Vec<Entry>, String> {
    let mut entries = Vec::new();
    let mut section = None;
    let mut pending = String::new();
    for line in file.split(|byte| b"\n\r\0".contains(byte)) {
        let line = std::str::from_utf8(line).map_err(|_| "not UTF-8")?;
        if line.starts_with('\u{feff}') {
            return Err("byte order mark".to_owned());
        }
        if line.trim_start_matches(BLANKS).starts_with(['#', ';']) {
            continue;
        }
        pending.push_str(line);
        if pending.len() >= LONG_LINE_MAX {
            return Err("line too long".to_owned());
        }
        let backslashes = pending.chars().rev().take_while(|c| *c == '\\').count();
        if backslashes % 2 == 1 {
            pending.pop();
            pending.push(' ');
            continue;
        }
        let line = std::mem::take(&mut pending);
        entry(line.trim_matches(BLANKS), &mut section, &mut entries)?;
    }
    Ok(entries)
}

fn entry(line: &str, section: &mut Option<String>, entries: &mut Vec<Entry>) -> Result<(), String> {
    if line.is_empty() {
        return Ok(());
    }
    if let Some(bad) = line.chars().find(|c| is_noncharacter(*c)) {
        return Err(format!("noncharacter {bad:?}: the whole unit is refused"));
    }
    if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        *section = Some(name.to_owned());
        return Ok(());
    }
    let (key, value) = line.split_once('=').ok_or_else(|| format!("no '=' in {line:?}"))?;
    entries.push(Entry {
        section: section.clone().ok_or("assignment outside of a section")?,
        key: key.trim_matches(BLANKS).to_owned(),
        value: value.trim_matches(BLANKS).to_owned(),
    });
    Ok(())
}

/// Reads `ExecStart=`: the path and the arguments behind it.
pub(crate) fn command(value: &str) -> Result<(String, Vec<String>), String> {
    let mut words = words(value)?.into_iter();
    let first = words.next().ok_or("no program")?;
    let path = first.trim_start_matches(['@', '-', ':', '+', '!', '|']);
    let prefix = &first[..first.len() - path.len()];
    if prefix != ":" {
        return Err(format!("prefix {prefix:?}: variables would be expanded"));
    }
    if !path.starts_with('/') || path.ends_with('/') {
        return Err(format!("path {path:?}"));
    }
    if let Some(bad) = path.chars().find(|c| c.is_control() && c.is_ascii() || "\"'\\*?[".contains(*c)) {
        return Err(format!("path holds {bad:?}"));
    }
    Ok((path.to_owned(), words.collect()))
}

/// Reads one `Environment=`: name and value of its only assignment.
pub(crate) fn assignment(value: &str) -> Result<(String, String), String> {
    let [word] = <[String; 1]>::try_from(words(value)?).map_err(|words| format!("{} words", words.len()))?;
    let (name, value) = word.split_once('=').ok_or("no '='")?;
    check_name(name)?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Reads a value that has no quotes.
pub(crate) fn raw(value: &str) -> Result<String, String> {
    expand(value)
}

/// Splits into words, unquotes each and expands its `%`.
fn words(value: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = value.chars().peekable();
    loop {
        while rest.next_if(|c| BLANKS.contains(c)).is_some() {}
        if rest.peek().is_none() {
            return Ok(words);
        }
        let bytes = word(&mut rest)?;
        let word = String::from_utf8(bytes).map_err(|_| "a word is not UTF-8: the manager leaves its bus")?;
        words.push(expand(&word)?);
    }
}

fn word(rest: &mut Peekable<Chars<'_>>) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut quote = None;
    let mut quoted = false;
    while let Some(c) = rest.peek().copied() {
        if quote.is_none() && BLANKS.contains(&c) {
            break;
        }
        rest.next();
        match (quote, c) {
            (_, '\\') => escape(rest, &mut bytes)?,
            (Some(open), close) if open == close => quote = None,
            (None, '"' | '\'') => (quote, quoted) = (Some(c), true),
            _ => bytes.extend(c.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
    if quote.is_some() {
        return Err("unbalanced quote".to_owned());
    }
    if !quoted && bytes == b";" {
        return Err("';' starts another command".to_owned());
    }
    Ok(bytes)
}

fn escape(rest: &mut Peekable<Chars<'_>>, bytes: &mut Vec<u8>) -> Result<(), String> {
    let c = rest.next().ok_or("backslash at the end")?;
    let simple = match c {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        's' => b' ',
        '\\' | '"' | '\'' => c as u8,
        'x' => u8::try_from(digits(rest, 2, 16)?).map_err(|_| "\\x out of range")?,
        'u' | 'U' => {
            let code = digits(rest, if c == 'u' { 4 } else { 8 }, 16)?;
            let character = char::from_u32(code).filter(|c| *c != '\0').ok_or("no such character")?;
            bytes.extend(character.encode_utf8(&mut [0; 4]).bytes());
            return Ok(());
        }
        '0'..='3' => {
            let high = c.to_digit(8).unwrap_or_default() * 64;
            u8::try_from(high + digits(rest, 2, 8)?).map_err(|_| "octal out of range")?
        }
        other => return Err(format!("unknown escape {other:?}")),
    };
    if simple == 0 {
        return Err("an escaped NUL is not decoded".to_owned());
    }
    bytes.push(simple);
    Ok(())
}

fn digits(rest: &mut Peekable<Chars<'_>>, count: usize, radix: u32) -> Result<u32, String> {
    let mut value = 0;
    for _ in 0..count {
        let digit = rest.next().and_then(|c| c.to_digit(radix)).ok_or("too few digits in an escape")?;
        value = value * radix + digit;
    }
    Ok(value)
}

/// Expands specifiers: only `%%` is none of them.
fn expand(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c == '%' && rest.next() != Some('%') {
            return Err("a single '%' is a specifier or close to one".to_owned());
        }
        out.push(c);
    }
    Ok(out)
}

/// Reads a file of `EnvironmentFile=`.
pub(crate) fn env_file(file: &str) -> Result<Vec<(String, String)>, String> {
    let mut variables = Vec::new();
    let mut rest = file.chars().peekable();
    loop {
        while rest.next_if(|c| BLANKS.contains(c)).is_some() {}
        if rest.peek().is_none() {
            return Ok(variables);
        }
        let mut name = String::new();
        loop {
            match rest.next().ok_or("no '='")? {
                '=' => break,
                c => name.push(c),
            }
        }
        check_name(&name)?;
        variables.push((name, env_value(&mut rest)?));
    }
}

fn env_value(rest: &mut Peekable<Chars<'_>>) -> Result<String, String> {
    let mut value = String::new();
    loop {
        match rest.next() {
            None | Some('\n' | '\r') => return Ok(value),
            Some('\'') => value.push_str(&until(rest, '\'')?),
            Some('"') => {
                let part = until(rest, '"')?;
                if part.contains('\\') {
                    return Err("versions differ in what a backslash means in double quotes".to_owned());
                }
                value.push_str(&part);
            }
            Some(other) => return Err(format!("{other:?} outside of quotes")),
        }
    }
}

fn until(rest: &mut Peekable<Chars<'_>>, quote: char) -> Result<String, String> {
    let mut text = String::new();
    loop {
        match rest.next().ok_or("unbalanced quote")? {
            c if c == quote => return Ok(text),
            c if is_noncharacter(c) => return Err(format!("noncharacter {c:?}: the variable is dropped")),
            '\0' => return Err("NUL".to_owned()),
            c => text.push(c),
        }
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let fits = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if fits { Ok(()) } else { Err(format!("{name:?} is no name of a variable")) }
}

fn is_noncharacter(c: char) -> bool {
    matches!(u32::from(c), 0xfdd0..=0xfdef) || u32::from(c) % 0x1_0000 >= 0xfffe
}
