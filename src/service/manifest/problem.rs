//! What is wrong with a manifest, and where: collected while reading, shown together.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::{Serialize, Serializer};

/// Bytes of the text.
pub(super) type Span = Range<usize>;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// File as it was named by the caller.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong: one sentence without a full stop.
    pub message: String,
    /// What to do about it: one line.
    pub help: String,
    #[serde(skip)]
    span: Span,
    #[serde(skip)]
    related: Option<(Span, String)>,
}

/// Every mistake of one manifest, in the order of the text; there is at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics {
    source: String,
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Returns how many mistakes there are.
    #[expect(clippy::len_without_is_empty, reason = "there is always one")]
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Iterates over the mistakes in the order of the text.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }

    /// Shows every mistake with its line and a help line, a blank line between them.
    ///
    /// Control characters of the text are shown as pictures, never as themselves.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mut shown = self.list.iter().map(|d| d.render(&self.source, &renderer)).collect::<Vec<_>>().join("\n\n");
        shown.push('\n');
        shown
    }
}

impl Diagnostic {
    fn render(&self, source: &str, renderer: &Renderer) -> String {
        let primary = AnnotationKind::Primary.span(self.span.clone());
        let snippet = match &self.related {
            None => {
                let line = line_around(source, self.span.start);
                let here = self.span.start - line.start..self.span.end - line.start;
                Snippet::source(&source[line]).line_start(self.line).annotation(AnnotationKind::Primary.span(here))
            }
            Some((span, label)) => Snippet::source(source)
                .annotation(primary)
                .annotation(AnnotationKind::Context.span(span.clone()).label(label)),
        };
        renderer.render(&[Level::ERROR
            .primary_title(&*self.message)
            .element(snippet.path(&*self.file))
            .element(Level::HELP.message(&*self.help))])
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Serialize for Diagnostics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.list.serialize(serializer)
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.list.first().map_or("", |d| d.file.as_str());
        match self.len() {
            1 => write!(f, "1 mistake in {file}"),
            n => write!(f, "{n} mistakes in {file}"),
        }
    }
}

impl std::error::Error for Diagnostics {}

/// The mistakes found so far.
pub(super) struct Problems<'a> {
    /// The text that is read.
    pub(super) source: &'a str,
    list: Vec<Problem>,
    syntax: BTreeSet<usize>,
}

struct Problem {
    span: Span,
    message: String,
    help: String,
    related: Option<(Span, String)>,
    absence: bool,
}

impl<'a> Problems<'a> {
    pub(super) fn new(source: &'a str) -> Self {
        Self { source, list: Vec::new(), syntax: BTreeSet::new() }
    }

    /// Notes a mistake.
    pub(super) fn add(&mut self, span: &Span, message: impl Into<String>, help: impl Into<String>) {
        self.push(span, message.into(), help.into(), None, false);
    }

    /// Notes that something is not there; untold where the text could not be read in full.
    pub(super) fn absence(&mut self, span: &Span, message: impl Into<String>, help: impl Into<String>) {
        self.push(span, message.into(), help.into(), None, true);
    }

    /// Notes that two places contradict each other.
    pub(super) fn clash(
        &mut self,
        span: &Span,
        message: impl Into<String>,
        help: impl Into<String>,
        related: (&Span, &str),
    ) {
        let related = (self.in_line(related.0), related.1.to_owned());
        self.push(span, message.into(), help.into(), Some(related), false);
    }

    /// Notes that the text is no TOML; of several such errors in one line the first is the true one.
    pub(super) fn syntax(&mut self, error: &toml::de::Error) {
        let span = self.in_line(&error.span().unwrap_or_default());
        if self.syntax.insert(line_around(self.source, span.start).start) {
            self.push(&span, error.message().to_owned(), syntax_help(error.message()).to_owned(), None, false);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    fn push(&mut self, span: &Span, message: String, help: String, related: Option<(Span, String)>, absence: bool) {
        let span = self.in_line(span);
        // A mistake in a service is found again in each of its instances, maybe in other words.
        if !self.list.iter().any(|p| p.span == span && p.help == help) {
            self.list.push(Problem { span, message, help, related, absence });
        }
    }

    /// Cuts a span at the end of its first line, and to what the text has.
    fn in_line(&self, span: &Span) -> Span {
        let start = floor(self.source, span.start);
        let line = line_around(self.source, start);
        start..floor(self.source, span.end).clamp(start, line.end.max(start))
    }

    /// Gives all mistakes, as found in `file`, in the order of the text.
    pub(super) fn into_diagnostics(mut self, file: &str) -> Diagnostics {
        if !self.syntax.is_empty() {
            // What follows from a line that could not be read says nothing about the manifest.
            let (source, unread) = (self.source, &self.syntax);
            let mut told = BTreeSet::new();
            self.list.retain(|p| {
                let line = line_around(source, p.span.start).start;
                !p.absence && (!unread.contains(&line) || told.insert(line))
            });
        }
        self.list.sort_by_key(|p| (p.span.start, p.span.end));
        let source = self.source;
        let list = self.list.into_iter().map(|p| locate(p, source, file)).collect();
        Diagnostics { source: source.to_owned(), list }
    }
}

fn syntax_help(message: &str) -> &'static str {
    let helps = [
        ("duplicate key", "a key or [header] can be there once; remove one of them"),
        ("must be quoted", "write it in quotes"),
        ("missing comma", "put commas between the items, and a `]` behind the last"),
        ("unclosed", "close it on the same line; only lists and \"\"\"texts\"\"\" go over several"),
        ("key with no value", "write it as key = value"),
    ];
    let known = helps.iter().find(|(part, _)| message.contains(part)).map(|(_, help)| *help);
    known.unwrap_or("strings stand in quotes, lists in [ ], tables in { } or under a [header]")
}

fn locate(problem: Problem, source: &str, file: &str) -> Diagnostic {
    let start = problem.span.start;
    let line = line_around(source, start);
    Diagnostic {
        file: file.to_owned(),
        line: source[..line.start].bytes().filter(|&b| b == b'\n').count() + 1,
        column: source[line.start..start].chars().count() + 1,
        message: printable(&problem.message),
        help: printable(&problem.help),
        span: problem.span,
        related: problem.related,
    }
}

/// Shows control characters as escapes; annotate-snippets does so in excerpts and titles only.
fn printable(text: &str) -> String {
    let shown = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(shown).collect()
}

/// Returns the line that holds `at`, without its end.
fn line_around(source: &str, at: usize) -> Span {
    let start = source[..at].rfind('\n').map_or(0, |i| i + 1);
    let end = source[at..].find('\n').map_or(source.len(), |i| at + i);
    let end = if source[start..end].ends_with('\r') { end - 1 } else { end };
    start..end.max(at)
}

/// Returns the start of the character that holds `at`, or the end of the text.
fn floor(source: &str, at: usize) -> usize {
    source.floor_char_boundary(at)
}
