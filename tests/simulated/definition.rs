//! A definition of the runner's as the shell reads it: settings, one to a line, and the words of the service.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use unitbee::service::render::header;

/// What a definition says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Definition {
    pub(crate) release: u32,
    /// Digest of the body, as the mark tells it.
    pub(crate) digest: String,
    settings: BTreeMap<String, String>,
    /// Public environment, program and arguments.
    words: Vec<String>,
    /// The program that the last line reads.
    pub(crate) runner: Utf8PathBuf,
}

impl Definition {
    /// Reads a definition; `None` for what the shell could make nothing of.
    pub(crate) fn parse(file: &[u8]) -> Option<Self> {
        let mark = header::parse(file)?;
        let text = std::str::from_utf8(file).ok()?;
        let (settings, rest) = text.split_once("service() {\n")?;
        let (service, end) = rest.split_once("\n}\n")?;
        let settings = settings.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
        let settings = settings.map(|(name, value)| (name.to_owned(), unquoted(value))).collect();
        let words = shlex::split(&service.replace("\\\n", " "))?;
        let runner = unquoted(end.lines().find_map(|line| line.strip_prefix(". "))?);
        Some(Self {
            release: mark.release,
            digest: header::digest_of(file)?.to_owned(),
            settings,
            // Behind `exec "$@"`.
            words: words.into_iter().skip(2).collect(),
            runner: runner.into(),
        })
    }

    pub(crate) fn text(&self, setting: &str) -> &str {
        self.settings.get(setting).unwrap_or_else(|| panic!("no definition without {setting}"))
    }

    pub(crate) fn number(&self, setting: &str) -> u64 {
        self.text(setting).parse().unwrap_or_else(|_| panic!("{setting} is a number"))
    }

    pub(crate) fn path(&self, setting: &str) -> Option<Utf8PathBuf> {
        Some(self.text(setting)).filter(|path| !path.is_empty()).map(Utf8PathBuf::from)
    }

    /// The port that the arguments name.
    pub(crate) fn port(&self) -> Option<u16> {
        let at = self.words.iter().position(|word| word == "--port")?;
        self.words.get(at + 1)?.parse().ok()
    }
}

/// A value as the shell takes it.
fn unquoted(value: &str) -> String {
    if value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte)) {
        return value.to_owned();
    }
    shlex::split(value).and_then(|words| words.into_iter().next()).unwrap_or_default()
}
