//! What goes to the screen: tables that people can read, JSON that machines can.

pub mod progress;
pub mod table;

use std::io::{self, Write};

use serde::Serialize;

/// Where results go, and in which form.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// JSON instead of text.
    pub json: bool,
    /// How much is said beside the results.
    pub verbose: u8,
}

impl Output {
    /// Writes text to standard output; styles are stripped where nobody wants them.
    pub fn text(self, text: &str) -> io::Result<()> {
        let mut out = anstream::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Writes one JSON document, indented, and a newline.
    pub fn document(self, value: &impl Serialize) -> io::Result<()> {
        let mut text = serde_json::to_string_pretty(value)?;
        text.push('\n');
        self.text(&text)
    }

    /// Writes one JSON object on a line of its own.
    pub fn line(self, value: &impl Serialize) -> io::Result<()> {
        let mut text = serde_json::to_string(value)?;
        text.push('\n');
        self.text(&text)
    }
}

/// A number and its noun: `1 file`, `2 files`.
#[must_use]
pub fn plural(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
