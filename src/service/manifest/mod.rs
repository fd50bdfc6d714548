//! The manifest: which services are wanted, how, and where.
//!
//! [`read`] turns its text into valid specs or into every mistake that it holds, each with its place. It
//! touches neither files nor the environment. Reading has two steps: `written` takes the TOML apart into the
//! tables and keys that exist (they are the JSON schema's as well), `expand` makes units of them.

mod build;
mod clash;
mod expand;
mod flags;
mod hosts;
mod machines;
mod overrides;
mod problem;
mod project;
mod quantity;
mod read;
mod schema;
mod select;
mod starter;
mod template;
mod written;

use std::collections::BTreeMap;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use toml::de::DeTable;

pub use self::flags::{Flags, from_flags};
use self::problem::Problems;
pub use self::problem::{Diagnostic, Diagnostics};
pub(crate) use self::read::closest;
pub use self::schema::schema;
pub(crate) use self::select::glob;
pub use self::select::{HostWork, SelectError, without_suffix};
pub use self::starter::starter;
use super::spec::{SliceName, UnitSpec};

/// Name and destination of the machine that we run on.
pub const THIS_MACHINE: &str = "localhost";

/// A manifest that has been read and found right.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Name of the project.
    pub project: String,
    /// The folder that relative paths start from and that build commands run in.
    pub dir: Utf8PathBuf,
    /// Slice of all units.
    pub slice: SliceName,
    /// The units, in the order of the text.
    pub units: Vec<Placed>,
    /// The hosts that it names.
    pub hosts: BTreeMap<String, HostEntry>,
}

/// A unit and where it belongs.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    /// What is wanted.
    pub spec: UnitSpec,
    /// Names of hosts, each once: of [`Manifest::hosts`], or [`THIS_MACHINE`].
    pub hosts: Vec<String>,
}

/// A host that a manifest names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostEntry {
    /// Destination as ssh(1) takes it; [`THIS_MACHINE`] for every way to write the loopback.
    pub ssh: String,
    /// Groups that it belongs to.
    pub tags: Vec<String>,
}

/// Takes the content of a file as the text of a manifest, which TOML wants to be UTF-8. `name` as for [`read`].
pub fn text<'a>(content: &'a [u8], name: &str) -> Result<&'a str, Diagnostics> {
    std::str::from_utf8(content).map_err(|fault| {
        let readable = String::from_utf8_lossy(content);
        let mut problems = Problems::new(&readable);
        let at = fault.valid_up_to();
        let byte = content.get(at).copied().unwrap_or_default();
        problems.add(&(at..at + 1), format!("the byte 0x{byte:02x} is not UTF-8"), "save the file as UTF-8");
        problems.into_diagnostics(name)
    })
}

/// Reads a manifest.
///
/// `name` is how the file is called in complaints; `dir` is the absolute folder that the paths of programs to
/// be shipped are relative to, and after which the project is named where the text gives it no name.
pub fn read(text: &str, name: &str, dir: &Utf8Path) -> Result<Manifest, Diagnostics> {
    let mut problems = Problems::new(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        problems.syntax(error);
    }
    let written = written::read(table, &mut problems);
    match expand::manifest(&written, dir, &mut problems) {
        Some(manifest) if problems.is_empty() => Ok(manifest),
        _ => Err(problems.into_diagnostics(name)),
    }
}

/// Reads a time span as the manifest has it: `1min 30s`, `500ms`; a bare number is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let span = text.parse().map_or_else(|_| quantity::time_span(text), quantity::seconds);
    span.map_err(|wrong| format!("{}; {}", wrong.message, wrong.help))
}
