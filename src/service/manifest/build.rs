//! How the command that builds a program is written: a line for a shell, or a list of a program and its arguments.

use schemars::json_schema;
use toml::de::DeValue;

use super::problem::{Problems, Span};
use super::read::{Entry, List, Read, schema};
use crate::service::build::Build;

impl Read for Build {
    const WANTED: &'static str = "a string or a list";
    const EXAMPLE: &'static str = "a shell command in quotes, or a list of a program and its arguments";

    fn read(value: &DeValue<'_>, span: &Span, problems: &mut Problems<'_>) -> Option<Self> {
        match value {
            DeValue::String(_) => String::read(value, span, problems).map(Self::Shell),
            DeValue::Array(_) => {
                let list = List::<String>::read(value, span, problems)?;
                Some(Self::Program(list.iter().map(|word| word.value.clone()).collect()))
            }
            _ => Self::mistyped(value, span, problems),
        }
    }
}

schema!(Build, _ => json_schema!({ "oneOf": [
    { "type": "string" },
    { "type": "array", "minItems": 1, "items": { "type": "string" } },
] }));

/// Returns a command that has something to run; `None` where none is written.
pub(super) fn checked(build: &Entry<Build>, problems: &mut Problems<'_>) -> Option<Build> {
    let at = build.at()?;
    let first = match &at.value {
        Build::Shell(line) => Some(line),
        Build::Program(words) => words.first(),
    };
    if first.is_none_or(|first| first.trim().is_empty()) {
        problems.add(&at.span, "the build command is empty", "leave `build` out where nothing is built");
    }
    Some(at.value.clone())
}
