//! From TOML values to the types of the manifest, every mistake on the way noted and passed over.

use std::borrow::Cow;
use std::time::Duration;

use schemars::json_schema;
use toml::Spanned;
use toml::de::{DeInteger, DeString, DeTable, DeValue};

use super::problem::{Problems, Span};
use super::quantity::{self, Wrong};
use super::template::Text;
use crate::service::escape::check_text;

/// A value and the place to point at when it is wrong: the literal, or the key of a table or list.
#[derive(Debug, Clone)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Span,
}

/// What is written for a key, or in one place of a list.
#[derive(Debug, Default)]
pub(super) enum Entry<T> {
    /// Nothing.
    #[default]
    Absent,
    /// Something that is no `T`; it has been complained about.
    Unreadable,
    /// A value.
    Given(At<T>),
}

impl<T> Entry<T> {
    /// Returns the value with its place.
    pub(super) fn at(&self) -> Option<&At<T>> {
        if let Self::Given(at) = self { Some(at) } else { None }
    }

    /// Returns the value.
    pub(super) fn value(&self) -> Option<&T> {
        self.at().map(|at| &at.value)
    }

    /// Tells whether nothing is written.
    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

/// A type of value that a manifest holds.
pub(super) trait Read: Sized {
    /// What it is called in a complaint: `a string`.
    const WANTED: &'static str;

    /// How one is written.
    const EXAMPLE: &'static str;

    /// Reads a value; `None`, and a note in `problems`, where it is none of this type.
    fn read(value: &DeValue<'_>, span: &Span, problems: &mut Problems<'_>) -> Option<Self>;

    /// Notes that the value is of another type.
    fn mistyped(value: &DeValue<'_>, span: &Span, problems: &mut Problems<'_>) -> Option<Self> {
        let article = if value.is_integer() || value.is_array() { "an" } else { "a" };
        let message = format!("expected {}, found {article} {}", Self::WANTED, value.type_str());
        problems.add(span, message, format!("write {}", Self::EXAMPLE));
        None
    }
}

/// Reads one value; `key` is pointed at where the value spans lines.
pub(super) fn entry<T: Read>(key: &Span, value: &Spanned<DeValue<'_>>, problems: &mut Problems<'_>) -> Entry<T> {
    let whole = value.get_ref().is_table() || value.get_ref().is_array();
    let span = if whole { key.clone() } else { value.span() };
    match T::read(value.get_ref(), &span, problems) {
        Some(value) => Entry::Given(At { value, span }),
        None => Entry::Unreadable,
    }
}

/// Returns the entries of a table in the order of the text.
pub(super) fn in_order<'t, 'i>(table: &'t DeTable<'i>) -> Vec<(&'t Spanned<DeString<'i>>, &'t Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// Notes a key that means nothing here.
pub(super) fn unknown_key(key: &Spanned<DeString<'_>>, known: &[&str], problems: &mut Problems<'_>) {
    let name = key.get_ref().as_ref();
    let help = match closest(name, known.iter().copied()) {
        Some(close) => format!("did you mean `{close}`?"),
        None => format!("known here: {}", known.join(", ")),
    };
    problems.add(&key.span(), format!("unknown key `{name}`"), help);
}

/// Returns the name that was most likely meant.
pub(crate) fn closest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let name = name.to_ascii_lowercase();
    let likeness = |known: &str| {
        let known = known.to_ascii_lowercase();
        let likeness = strsim::jaro_winkler(&name, &known);
        // With one wrong letter of three it is less than 0.8; with another first letter it is another word.
        let is_slip = || {
            let is_alike = name.chars().next() == known.chars().next() && known.chars().count() >= 3;
            is_alike && strsim::osa_distance(&name, &known) == 1
        };
        (likeness > 0.8 || is_slip()).then_some(likeness)
    };
    known
        .into_iter()
        .filter_map(|known| Some((likeness(known)?, known)))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

/// Writes a key, in quotes where it needs them.
pub(super) fn toml_key(name: &str) -> Cow<'_, str> {
    let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    if bare { name.into() } else { toml::Value::from(name).to_string().into() }
}

/// Says how a type that is not derived looks in the schema.
macro_rules! schema {
    ($type:ty $(where $param:ident)?, $generator:pat => $schema:expr) => {
        impl$(<$param: schemars::JsonSchema>)? schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema($generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $schema
            }
        }
    };
}
pub(super) use schema;

schema!(Entry<T> where T, generator => generator.subschema_for::<T>());

/// A list.
#[derive(Debug)]
pub(super) struct List<T>(pub(super) Vec<Entry<T>>);

impl<T> List<T> {
    /// Iterates over what could be read.
    pub(super) fn iter(&self) -> impl Iterator<Item = &At<T>> {
        self.0.iter().filter_map(Entry::at)
    }
}

impl<T: Read> Read for List<T> {
    const WANTED: &'static str = "a list";
    const EXAMPLE: &'static str = "it in brackets: [\"…\", \"…\"]";

    fn read(value: &DeValue<'_>, span: &Span, problems: &mut Problems<'_>) -> Option<Self> {
        let Some(list) = value.as_array() else { return Self::mistyped(value, span, problems) };
        Some(Self(list.iter().map(|value| entry(&value.span(), value, problems)).collect()))
    }
}

schema!(List<T> where T, generator => json_schema!({ "type": "array", "items": generator.subschema_for::<T>() }));

/// A table whose keys are the user's, in the order of the text.
#[derive(Debug)]
pub(super) struct Map<T>(pub(super) Vec<(At<String>, Entry<T>)>);

impl<T> Map<T> {
    /// Iterates over what could be read.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&At<String>, &At<T>)> {
        self.0.iter().filter_map(|(key, value)| Some((key, value.at()?)))
    }

    /// Iterates over all keys.
    pub(super) fn keys(&self) -> impl Iterator<Item = &At<String>> {
        self.0.iter().map(|(key, _)| key)
    }
}

impl<T: Read> Read for Map<T> {
    const WANTED: &'static str = "a table";
    const EXAMPLE: &'static str = "a table: { name = … }";

    fn read(value: &DeValue<'_>, span: &Span, problems: &mut Problems<'_>) -> Option<Self> {
        let Some(table) = value.as_table() else { return Self::mistyped(value, span, problems) };
        let entries = in_order(table).into_iter().map(|(key, value)| {
            let span = key.span();
            if let Err(error) = check_text(key.get_ref()) {
                problems.add(&span, format!("the key cannot be used: {error}"), "leave it out");
            }
            let value = entry(&span, value, problems);
            (At { value: key.get_ref().clone().into_owned(), span }, value)
        });
        Some(Self(entries.collect()))
    }
}

schema!(Map<T> where T, generator => json_schema!({ "type": "object", "additionalProperties": generator.subschema_for::<T>() }));

impl Read for String {
    const WANTED: &'static str = "a string";
    const EXAMPLE: &'static str = "it in quotes";

    fn read(value: &DeValue<'_>, span: &Span, problems: &mut Problems<'_>) -> Option<Self> {
        match value.as_str() {
            Some(text) => {
                if let Err(error) = check_text(text) {
                    let help = "leave it out; no supervisor hands it on";
                    problems.add(span, format!("the string cannot be used: {error}"), help);
                    return None;
                }
                Some(text.to_owned())
            }
            None => Self::mistyped(value, span, problems),
        }
    }
}

impl Read for Text {
    const WANTED: &'static str = String::WANTED;
    const EXAMPLE: &'static str = String::EXAMPLE;

    fn read(value: &DeValue<'_>, span: &Span, problems: &mut Problems<'_>) -> Option<Self> {
        String::read(value, span, problems).map(|text| Self::new(&text, problems.source, span))
    }
}

schema!(Text, _ => json_schema!({ "type": "string" }));

/// Reads a whole number in any notation of TOML, whose numbers are those of an `i64`.
pub(super) fn whole(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

impl Read for u64 {
    const WANTED: &'static str = "a whole number";
    const EXAMPLE: &'static str = "a whole number without quotes";

    fn read(value: &DeValue<'_>, span: &Span, problems: &mut Problems<'_>) -> Option<Self> {
        let Some(number) = value.as_integer() else { return Self::mistyped(value, span, problems) };
        let read = whole(number).and_then(|number| Self::try_from(number).ok());
        if read.is_none() {
            problems.add(span, "the number is negative or too large", "write a whole number from 0 up");
        }
        read
    }
}

impl Read for u32 {
    const WANTED: &'static str = u64::WANTED;
    const EXAMPLE: &'static str = u64::EXAMPLE;

    fn read(value: &DeValue<'_>, span: &Span, problems: &mut Problems<'_>) -> Option<Self> {
        let number = u64::read(value, span, problems)?;
        let read = Self::try_from(number).ok();
        if read.is_none() {
            problems.add(span, "the number is too large", format!("write at most {}", Self::MAX));
        }
        read
    }
}

/// Notes what is wrong with a quantity.
fn noted<T>(read: Result<T, Wrong>, span: &Span, problems: &mut Problems<'_>) -> Option<T> {
    read.map_err(|wrong| problems.add(span, wrong.message, wrong.help)).ok()
}

/// Bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size(pub(super) u64);

impl Read for Size {
    const WANTED: &'static str = "a size";
    const EXAMPLE: &'static str = "a size in quotes, such as \"4G\" or \"512M\"";

    fn read(value: &DeValue<'_>, span: &Span, problems: &mut Problems<'_>) -> Option<Self> {
        let Some(text) = value.as_str() else { return Self::mistyped(value, span, problems) };
        noted(quantity::size(text), span, problems).map(Self)
    }
}

schema!(Size, _ => json_schema!({ "type": "string", "pattern": quantity::SIZE }));

/// Hundredths of a core.
#[derive(Debug, Clone, Copy)]
pub(super) struct Percent(pub(super) u32);

impl Read for Percent {
    const WANTED: &'static str = "a percentage";
    const EXAMPLE: &'static str = "a percentage in quotes, such as \"200%\" for two cores";

    fn read(value: &DeValue<'_>, span: &Span, problems: &mut Problems<'_>) -> Option<Self> {
        match value {
            DeValue::String(text) => noted(quantity::percent(text), span, problems).map(Self),
            DeValue::Float(number) => noted(quantity::percent(number.as_str()), span, problems).map(Self),
            _ => Self::mistyped(value, span, problems),
        }
    }
}

schema!(Percent, _ => json_schema!({ "type": "string", "pattern": quantity::PERCENT }));

/// A time span.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeSpan(pub(super) Duration);

impl Read for TimeSpan {
    const WANTED: &'static str = "a time span";
    const EXAMPLE: &'static str = "a time span in quotes, such as \"500ms\" or \"1min 30s\", or whole seconds";

    fn read(value: &DeValue<'_>, span: &Span, problems: &mut Problems<'_>) -> Option<Self> {
        let read = match value {
            DeValue::String(text) => quantity::time_span(text),
            DeValue::Integer(_) => quantity::seconds(u64::read(value, span, problems)?),
            _ => return Self::mistyped(value, span, problems),
        };
        noted(read, span, problems).map(Self)
    }
}

schema!(TimeSpan, _ => json_schema!({ "type": ["string", "integer"], "pattern": quantity::TIME_SPAN, "minimum": 0 }));
