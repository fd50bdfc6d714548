//! The mark on every file that unitbee writes: whose it is, and whether somebody has changed it since.
//!
//! Two comment lines stand at the very top; everything behind them is the body, and the digest is the body's:
//!
//! ```text
//! # Written by unitbee 0.1.0; changes by hand are shown as drift.
//! # unitbee: unit=llm-8080 release=3 sha256=…
//! ```
//!
//! In a property list the two are XML comments, and above them stand the two lines that every property list begins with.
//!
//! A file without the mark belongs to somebody else and is never overwritten. Two files ask for the same if their
//! [`body`] is the same, whichever release and version wrote them.

use sha2::{Digest, Sha256};

const WRITTEN: &str = "Written by unitbee ";
const WARNING: &str = "; changes by hand are shown as drift.";
const MARK: &str = "unitbee: ";

/// How a format of files writes a comment, and what must stand above it.
struct Format {
    above: &'static str,
    open: &'static str,
    close: &'static str,
}

const FORMATS: [&Format; 2] = [&LINES, &PLIST];
const LINES: Format = Format { above: "", open: "# ", close: "" };
const PLIST: Format = Format {
    above: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">
",
    open: "<!-- ",
    close: " -->",
};

/// What the mark on a file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Version of the unitbee that wrote it.
    pub version: String,
    /// Unit that it belongs to; for a slice, which no unit owns, its name with suffix.
    pub unit: String,
    /// Release of that unit; 0 for a slice.
    pub release: u32,
    /// Whether the body is still what was written.
    pub intact: bool,
}

/// Puts the mark in front of a body.
#[must_use]
pub fn stamp(unit: &str, release: u32, body: &str) -> String {
    LINES.stamp(unit, release, body)
}

/// Puts what a property list begins with and the mark in front of its `<plist>` element.
#[must_use]
pub fn stamp_plist(unit: &str, release: u32, body: &str) -> String {
    // Two hyphens would end the comment; no name holds a percent sign.
    PLIST.stamp(&unit.replace("--", "-%2D"), release, body)
}

/// Reads the mark of a file; `None` means that the file is not ours.
#[must_use]
pub fn parse(file: &[u8]) -> Option<Header> {
    let (header, digest, body) = split(file)?;
    Some(Header { intact: digest == self::digest(body), ..header })
}

/// Returns the digest that the mark of a file tells; `None` means that the file is not ours.
#[must_use]
pub fn digest_of(file: &[u8]) -> Option<&str> {
    split(file).map(|(_, digest, _)| digest)
}

/// Returns what stands behind the mark; the whole file where there is none.
#[must_use]
pub fn body(file: &[u8]) -> &[u8] {
    split(file).map_or(file, |(_, _, body)| body)
}

fn split(file: &[u8]) -> Option<(Header, &str, &[u8])> {
    FORMATS.iter().find_map(|format| format.split(file))
}

impl Format {
    fn stamp(&self, unit: &str, release: u32, body: &str) -> String {
        let Self { above, open, close } = self;
        let version = env!("CARGO_PKG_VERSION");
        let digest = digest(body.as_bytes());
        format!(
            "{above}{open}{WRITTEN}{version}{WARNING}{close}\n\
             {open}{MARK}unit={unit} release={release} sha256={digest}{close}\n{body}"
        )
    }

    fn split<'a>(&self, file: &'a [u8]) -> Option<(Header, &'a str, &'a [u8])> {
        let mut rest = file;
        for expected in self.above.lines() {
            let (found, below) = line(rest)?;
            rest = (found == expected).then_some(below)?;
        }
        let (written, rest) = line(rest)?;
        let (mark, body) = line(rest)?;
        let version = self.comment(written)?.strip_prefix(WRITTEN)?.strip_suffix(WARNING)?;
        let mark = self.comment(mark)?.strip_prefix(MARK)?;
        let field = |name: &str| mark.split(' ').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
        let header = Header {
            version: version.to_owned(),
            unit: field("unit")?.replace("%2D", "-"),
            release: field("release")?.parse().ok()?,
            intact: false,
        };
        Some((header, field("sha256")?, body))
    }

    fn comment<'a>(&self, line: &'a str) -> Option<&'a str> {
        line.strip_prefix(self.open)?.strip_suffix(self.close)
    }
}

/// Takes the first line off; an editor may have left a carriage return at its end, and then the file is still ours.
fn line(text: &[u8]) -> Option<(&str, &[u8])> {
    let end = text.iter().position(|byte| *byte == b'\n')?;
    let line = std::str::from_utf8(&text[..end]).ok()?;
    Some((line.strip_suffix('\r').unwrap_or(line), &text[end + 1..]))
}

fn digest(body: &[u8]) -> String {
    hex::encode(Sha256::digest(body))
}
