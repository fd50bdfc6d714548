//! Text for the property lists of launchd: XML 1.0 (W3C, sections 2.2, 2.4 and 2.11), as plist(5) has it.
//!
//! XML has no way at all to write most control characters; such a text is refused. A carriage return is written as a
//! reference, because a parser turns a bare one into a newline.

use std::fmt::{self, Write};

use askama::filters::Escaper;
use camino::Utf8Path;

use super::{EscapeError, check_length, check_text, refuse};

/// Bytes of a path on macOS, without the NUL at its end (`PATH_MAX` in sys/syslimits.h).
const PATH_MAX: usize = 1023;

/// Writes text as the content of an element.
///
/// # Errors
///
/// NUL, noncharacters, and control characters other than tab, newline and carriage return.
pub fn text(text: &str) -> Result<String, EscapeError> {
    check_text(text)?;
    refuse(text, |c| c < ' ' && !matches!(c, '\t' | '\n' | '\r'))?;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\r' => out.push_str("&#13;"),
            other => out.push(other),
        }
    }
    Ok(out)
}

/// Checks a path that launchd is to open.
///
/// # Errors
///
/// As [`text`]; a path that is relative, holds `.` or `..`, or is longer than macOS takes it.
pub fn check_path(path: &Utf8Path) -> Result<(), EscapeError> {
    super::check_path(path)?;
    check_length(path.as_str().len(), PATH_MAX)?;
    text(path.as_str()).map(drop)
}

/// What `{{ value }}` goes through in the templates of property lists: [`text`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Xml;

impl Escaper for Xml {
    fn write_escaped_str<W: Write>(&self, mut dest: W, value: &str) -> fmt::Result {
        dest.write_str(&text(value).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_cannot_be_left() {
        assert_eq!(text("a<b> & ]]> \"'\t\r\n").unwrap(), "a&lt;b&gt; &amp; ]]&gt; \"'\t&#13;\n");
    }

    #[test]
    fn what_xml_cannot_carry_is_refused() {
        for (bad, at) in [("\0", 0), ("ab\u{1}", 2), ("é\u{1b}[0m", 2), ("\u{fffe}", 0), ("x\u{ffff}", 1)] {
            let (EscapeError::Nul { at: found }
            | EscapeError::Character { at: found, .. }
            | EscapeError::Noncharacter { at: found, .. }) = text(bad).unwrap_err()
            else {
                panic!("{bad:?} is refused for another reason")
            };
            assert_eq!(found, at, "{bad:?}");
        }
        for good in ["\u{7f}", "\u{85}", "\u{2028}", "\u{feff}", "😀", " ", ""] {
            assert_eq!(text(good).unwrap(), good);
        }
    }

    #[test]
    fn a_path_must_fit_macos() {
        assert_eq!(check_path("/Users/bee/a b & c".into()), Ok(()));
        assert_eq!(check_path("log".into()), Err(EscapeError::Relative));
        let long = "/component".repeat(110);
        assert_eq!(check_path(Utf8Path::new(&long)), Err(EscapeError::TooLong { length: long.len(), max: 1023 }));
    }
}
