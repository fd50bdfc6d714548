//! What a unit said: from the user's journal, else from the system's, always saying which; under the runner and launchd
//! from files.
//!
//! A user may read the user journal only where journald keeps one file for each user (persistent storage, uid 1000 or
//! above); else a member of `systemd-journal` may read the system's. An empty answer is therefore no proof of silence.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

use crate::host::{Command, Facts, Host, HostError, Pipe};
use crate::supervisor::{SupervisorKind, launchd, layout};

/// Longest line that is taken; journald itself cuts at 48 KiB.
const LINE: u64 = 1 << 20;

/// One line of a unit's output, or of what its manager says of it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Line {
    /// Host.
    pub host: String,
    /// Unit name without suffix.
    pub unit: String,
    /// Unix time in microseconds; a file does not tell any.
    pub time: Option<u64>,
    /// Process that wrote it.
    pub pid: Option<u32>,
    /// The text, as it was written.
    #[serde(serialize_with = "text")]
    pub message: Vec<u8>,
}

fn text<S: serde::Serializer>(message: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(message))
}

/// Where lines come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The user's own journal.
    UserJournal,
    /// The system's journal, filtered by unit and user.
    SystemJournal,
    /// The files of the runner.
    Files,
    /// The file that launchd has opened for the program, and the old ones beside it.
    JobLog,
}

/// Why there are no lines.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LogsError {
    /// The host did not do its part.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The host keeps a journal that this user may not read.
    #[error("{host} lets {user} read no journal: {detail}")]
    NotReadable {
        /// Host.
        host: String,
        /// Login name.
        user: String,
        /// journalctl's own words.
        detail: String,
    },
    /// The stream broke.
    #[error("read the journal of {host}")]
    Broken {
        /// Host.
        host: String,
        /// Cause.
        source: std::io::Error,
    },
}

impl LogsError {
    /// One command or one sentence that helps.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Host(error) => error.hint(),
            Self::NotReadable { user, .. } => {
                Some(format!("`sudo usermod -aG systemd-journal {user}` on the host lets it"))
            }
            Self::Broken { .. } => None,
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct LogQuery<'a> {
    /// Units without suffix.
    pub units: &'a [String],
    /// Newest lines that are shown first.
    pub lines: u32,
}

/// The newest lines of the units in the order of time, and where they come from. Lines of files have no time; there they
/// are in the order of the units.
pub async fn recent(
    host: &dyn Host,
    facts: &Facts,
    manager: SupervisorKind,
    wish: &LogQuery<'_>,
) -> Result<(Vec<Line>, Source), LogsError> {
    if let Some(source) = Source::of_files(manager) {
        let mut lines = Vec::new();
        for unit in wish.units {
            let mut output = host.run(&source.read(facts, unit, wish.lines, false)).await?.stdout;
            output.pop_if(|last| *last == b'\n');
            let text = output.split(|byte| *byte == b'\n').filter(|_| !output.is_empty());
            lines.extend(text.map(|text| plain(host.name(), unit, text)));
        }
        return Ok((lines, source));
    }
    match from_journal(host, facts, wish).await {
        // Who has joined the group that the hint names has it only in a login that is made afterwards.
        Err(LogsError::NotReadable { .. }) if host.renew().await? => from_journal(host, facts, wish).await,
        found => found,
    }
}

async fn from_journal(host: &dyn Host, facts: &Facts, wish: &LogQuery<'_>) -> Result<(Vec<Line>, Source), LogsError> {
    let mut detail = String::new();
    for source in [Source::UserJournal, Source::SystemJournal] {
        let output = host.run(&journalctl(source, facts, wish, false)).await?;
        let lines: Vec<Line> =
            output.stdout.split(|byte| *byte == b'\n').filter_map(|line| parse(host.name(), line)).collect();
        // "-- No entries --" goes to standard output and is no JSON; a journal that may not be read is told on standard error.
        if !lines.is_empty() || (output.success() && output.stderr.is_empty() && source == Source::UserJournal) {
            return Ok((lines, source));
        }
        detail = output.last_words().unwrap_or_else(|| "no entries".to_owned());
    }
    Err(LogsError::NotReadable { host: host.name().to_owned(), user: facts.user.clone(), detail })
}

/// Lines as they are written, from the newest `wish.lines` on; ends on the host when dropped.
pub struct Follower {
    host: String,
    /// Whose file it is, where lines do not tell that themselves.
    unit: Option<String>,
    stdout: BufReader<Box<dyn tokio::io::AsyncRead + Send + Sync + Unpin>>,
    _guard: Box<dyn crate::host::Guard>,
}

impl Follower {
    /// Begins to follow the units where [`recent`] found lines of them: in a journal all at once, else each by itself.
    pub async fn start(
        host: &Arc<dyn Host>,
        facts: &Facts,
        wish: &LogQuery<'_>,
        source: Source,
    ) -> Result<Vec<Self>, LogsError> {
        if !matches!(source, Source::Files | Source::JobLog) {
            return Ok(vec![Self::open(host, None, &journalctl(source, facts, wish, true)).await?]);
        }
        let open = async |unit: &String| {
            Self::open(host, Some(unit.clone()), &source.read(facts, unit, wish.lines, true)).await
        };
        futures_util::future::try_join_all(wish.units.iter().map(open)).await
    }

    async fn open(host: &Arc<dyn Host>, unit: Option<String>, command: &Command) -> Result<Self, LogsError> {
        let Pipe { stdout, guard, .. } = host.pipe(command).await?;
        Ok(Self { host: host.name().to_owned(), unit, stdout: BufReader::new(stdout), _guard: guard })
    }

    /// The next line; `None` when the host ends the stream.
    pub async fn next(&mut self) -> Result<Option<Line>, LogsError> {
        let mut line = Vec::new();
        loop {
            line.clear();
            let mut limited = (&mut self.stdout).take(LINE);
            let read = limited.read_until(b'\n', &mut line).await;
            match read.map_err(|source| LogsError::Broken { host: self.host.clone(), source })? {
                0 => return Ok(None),
                _ if let Some(unit) = &self.unit => {
                    line.pop_if(|last| *last == b'\n');
                    return Ok(Some(plain(&self.host, unit, &line)));
                }
                _ => {
                    if let Some(line) = parse(&self.host, &line) {
                        return Ok(Some(line));
                    }
                }
            }
        }
    }
}

impl Source {
    /// The files of a manager that keeps some.
    fn of_files(manager: SupervisorKind) -> Option<Self> {
        match manager {
            SupervisorKind::Systemd => None,
            SupervisorKind::Launchd => Some(Self::JobLog),
            SupervisorKind::Runner => Some(Self::Files),
        }
    }

    /// Reads the files of one unit.
    fn read(self, facts: &Facts, unit: &str, lines: u32, follow: bool) -> Command {
        let mut command = match self {
            Self::JobLog => launchd::log::read(facts, unit, lines, follow),
            _ => runner_files(facts, unit, lines, follow),
        };
        command.limit = 64 << 20;
        command
    }
}

/// Reads the files of the runner: see `templates/runner/logs.sh`.
fn runner_files(facts: &Facts, unit: &str, lines: u32, follow: bool) -> Command {
    let folder = layout::absolute(&layout::log(unit), facts).unwrap_or_default();
    Command::new("sh")
        .args(["-c", include_str!("../../templates/runner/logs.sh"), "sh"])
        .args([folder.into_string(), lines.to_string(), if follow { "1".to_owned() } else { String::new() }])
        .env("LC_ALL", "C")
        .deadline(Duration::from_secs(30))
}

/// A line of a file.
fn plain(host: &str, unit: &str, text: &[u8]) -> Line {
    Line { host: host.to_owned(), unit: unit.to_owned(), time: None, pid: None, message: text.to_vec() }
}

fn journalctl(source: Source, facts: &Facts, wish: &LogQuery<'_>, follow: bool) -> Command {
    let mut command = Command::new("journalctl")
        .args(["--output=json", "--all", "--no-pager", "--quiet", "--lines"])
        .arg(wish.lines.to_string())
        .env("LC_ALL", "C")
        .deadline(Duration::from_secs(30));
    command.limit = 64 << 20;
    if follow {
        command = command.arg("--follow");
    }
    if source != Source::SystemJournal {
        command = command.arg("--user");
    }
    let uid = format!("_UID={}", facts.uid);
    // What the program says, what its manager says of it, and what the journal could not attribute any more: the last words
    // of a process that exits at once often come without its unit (systemd 247 to 262), but with its identifier.
    for unit in wish.units {
        let fields = [
            format!("_SYSTEMD_USER_UNIT={unit}.service"),
            format!("USER_UNIT={unit}.service"),
            format!("SYSLOG_IDENTIFIER={unit}"),
        ];
        for field in fields {
            command = command.args([field, uid.clone(), "+".to_owned()]);
        }
    }
    command.args.pop_if(|last| last == "+");
    command
}

/// The fields of a record that are looked at. A field that is no UTF-8 is an array of its bytes.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "__REALTIME_TIMESTAMP")]
    time: String,
    #[serde(rename = "MESSAGE", default)]
    message: serde_json::Value,
    #[serde(rename = "_PID", default)]
    pid: Option<String>,
    #[serde(rename = "_SYSTEMD_USER_UNIT", default)]
    unit: Option<String>,
    #[serde(rename = "USER_UNIT", default)]
    about: Option<String>,
    #[serde(rename = "SYSLOG_IDENTIFIER", default)]
    identifier: Option<String>,
}

/// Reads one record of `journalctl --output=json`; `None` for anything else.
fn parse(host: &str, line: &[u8]) -> Option<Line> {
    let entry: Entry = serde_json::from_slice(line).ok()?;
    // A line of the manager about the unit names it in USER_UNIT; the manager's own unit is init.scope.
    let unit = entry.about.or(entry.unit).or(entry.identifier)?;
    let message = match entry.message {
        serde_json::Value::String(text) => text.into_bytes(),
        serde_json::Value::Array(bytes) => {
            bytes.iter().filter_map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok())).collect()
        }
        _ => return None,
    };
    Some(Line {
        host: host.to_owned(),
        unit: unit.strip_suffix(".service").unwrap_or(&unit).to_owned(),
        time: Some(entry.time.parse().ok()?),
        pid: entry.pid.and_then(|pid| pid.parse().ok()),
        message,
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_record_becomes_a_line() {
        let line = parse(
            "h",
            br#"{"__REALTIME_TIMESTAMP":"1700000000000001","MESSAGE":"hello","_PID":"7","_SYSTEMD_USER_UNIT":"llm-8080.service","X":null}"#,
        )
        .unwrap();
        assert_eq!((line.unit.as_str(), line.pid, line.time), ("llm-8080", Some(7), Some(1_700_000_000_000_001)));
        assert_eq!(line.message, b"hello");
    }

    #[test]
    fn what_is_no_text_comes_as_bytes() {
        let line = parse(
            "h",
            br#"{"__REALTIME_TIMESTAMP":"1","MESSAGE":[27,91,255],"USER_UNIT":"a.service","_SYSTEMD_USER_UNIT":"init.scope"}"#,
        )
        .unwrap();
        assert_eq!((line.unit.as_str(), line.message.as_slice()), ("a", &[27, 91, 255][..]));
    }

    #[test]
    fn what_is_no_record_is_passed_over() {
        for line in [&b"-- No entries --"[..], b"", b"{}", br#"{"__REALTIME_TIMESTAMP":"x","USER_UNIT":"a.service"}"#] {
            assert_eq!(parse("h", line), None);
        }
    }
}
