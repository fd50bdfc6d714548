//! `{placeholders}` in the strings of a manifest.
//!
//! Only `{name}`, with a name of letters, digits and `_` that starts with no digit, is a placeholder, and
//! `{{name}}` is the text `{name}`. Every other brace is itself, so that JSON and shell-like text need no
//! escaping: `--json={"a":{"b":1}}` reaches the program as it is written.

use std::collections::BTreeMap;

use super::problem::Span;

/// A string in which placeholders are filled in.
#[derive(Debug, Clone, Default)]
pub(super) struct Text {
    text: String,
    /// Where its first byte stands in the manifest, if it is written there byte for byte.
    start: Option<usize>,
}

/// A placeholder that has no value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unresolved {
    /// Its name.
    pub(super) name: String,
    /// Whether a `$` stands before it, as for a variable of a shell.
    pub(super) dollar: bool,
    /// Where it is written, if that is known.
    pub(super) span: Option<Span>,
}

impl Text {
    /// Takes a string whose literal stands at `span` of `source`.
    pub(super) fn new(text: &str, source: &str, span: &Span) -> Self {
        let literal = source.get(span.clone()).unwrap_or_default();
        let start = ["\"\"\"", "'''", "\"", "'"]
            .iter()
            .find(|quote| literal.strip_prefix(**quote).and_then(|l| l.strip_suffix(**quote)) == Some(text))
            .map(|quote| span.start + quote.len());
        Self { text: text.to_owned(), start }
    }

    /// Fills in the placeholders.
    pub(super) fn expand(&self, values: &BTreeMap<&str, String>) -> Result<String, Vec<Unresolved>> {
        let mut out = String::with_capacity(self.text.len());
        let mut unresolved = Vec::new();
        for piece in pieces(&self.text) {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Placeholder { name, at } => match values.get(name) {
                    Some(value) => out.push_str(value),
                    None => unresolved.push(Unresolved {
                        name: name.to_owned(),
                        dollar: self.text[..at].ends_with('$'),
                        span: self.start.map(|start| start + at..start + at + name.len() + 2),
                    }),
                },
            }
        }
        if unresolved.is_empty() { Ok(out) } else { Err(unresolved) }
    }
}

/// Writes a text so that it stays what it is when placeholders are filled in.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let taken = placeholder(from).map_or(1, |name| name.len() + 2);
        let (brace, after) = from.split_at(taken);
        if taken > 1 {
            out.extend(["{", brace, "}"]);
        } else {
            out.push_str(brace);
        }
        rest = after;
    }
    out + rest
}

/// Tells whether a name can stand in braces.
pub(super) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

enum Piece<'a> {
    Literal(&'a str),
    Placeholder { name: &'a str, at: usize },
}

fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = &text[at..];
        let (piece, taken) = match rest.find('{') {
            None if rest.is_empty() => return None,
            None => (Piece::Literal(rest), rest.len()),
            Some(0) => brace(rest, at),
            Some(next) => (Piece::Literal(&rest[..next]), next),
        };
        at += taken;
        Some(piece)
    })
}

/// Reads what starts with a brace: a placeholder, an escaped one, or just the brace.
fn brace(rest: &str, at: usize) -> (Piece<'_>, usize) {
    if let Some(name) = placeholder(&rest[1..]).filter(|name| rest[name.len() + 3..].starts_with('}')) {
        return (Piece::Literal(&rest[1..name.len() + 3]), name.len() + 4);
    }
    match placeholder(rest) {
        Some(name) => (Piece::Placeholder { name, at }, name.len() + 2),
        None => (Piece::Literal(&rest[..1]), 1),
    }
}

/// Returns the name of the placeholder that a text starts with.
fn placeholder(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('{')?;
    let name = &inner[..inner.find('}')?];
    is_name(name).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str) -> Result<String, Vec<String>> {
        let values = BTreeMap::from([("port", "8080".to_owned()), ("_x", "{port}".to_owned())]);
        let text = Text { text: text.to_owned(), start: None };
        text.expand(&values).map_err(|all| all.into_iter().map(|u| u.name).collect())
    }

    #[test]
    fn only_names_in_braces_are_filled_in() {
        for (text, expected) in [
            ("--port={port}", "--port=8080"),
            ("{port}{port}", "80808080"),
            ("{_x}", "{port}"),
            ("{{port}}", "{port}"),
            ("{{{port}}}", "{{port}}"),
            ("{{port}", "{8080"),
            (r#"{"p":{port}}"#, r#"{"p":8080}"#),
            (r#"--json={"a":{"b":1}}"#, r#"--json={"a":{"b":1}}"#),
            ("{{.Name}}", "{{.Name}}"),
            ("{a,b} {} {1} { port } {", "{a,b} {} {1} { port } {"),
            ("}{é}", "}{é}"),
            ("", ""),
        ] {
            assert_eq!(expand(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn every_name_without_value_is_told() {
        assert_eq!(expand("{a}{port}${HOME}"), Err(vec!["a".to_owned(), "HOME".to_owned()]));
    }

    #[test]
    fn its_place_is_known_where_the_literal_is_verbatim() {
        let source = r#"a = "x{y}""#;
        let text = Text::new("x{y}", source, &(4..10));
        let found = text.expand(&BTreeMap::new()).unwrap_err();
        assert_eq!(found, [Unresolved { name: "y".to_owned(), dollar: false, span: Some(6..9) }]);
        let escaped = Text::new("\n{y}", r#"a = "\n{y}""#, &(4..11));
        assert_eq!(escaped.expand(&BTreeMap::new()).unwrap_err()[0].span, None);
    }

    proptest::proptest! {
        #[test]
        fn escaped_text_stays_what_it_is(text in "[{}a$ é]{0,24}") {
            proptest::prop_assert_eq!(expand(&escape(&text)), Ok(text));
        }
    }
}
