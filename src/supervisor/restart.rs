//! Ending a unit and starting it again as one order to the host.
//!
//! The order is given before anything is ended. A small program on the host keeps it and carries it out when it hears
//! `go`, when our side goes away, and when our side has been silent for 15 s, so that the unit is up again whatever becomes
//! of us. It is `templates/restart`; what it has to do for each supervisor is a part of its own.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::SupervisorError;
use crate::host::{Command, Guard, Host, printable};

/// How often the program on the host is told that we are still here; it waits for 15 s.
const BEAT: Duration = Duration::from_secs(3);

/// How long the program may take to say that it is there, and to end when it is no longer needed.
const SHORT: Duration = Duration::from_secs(10);

/// The most that it can have to say.
const LONGEST: u64 = 64 << 10;

const DETACH: &str = include_str!("../../templates/restart/detach.sh");

macro_rules! script {
    ($part:literal) => {
        LazyLock::new(|| {
            let text = concat!(
                include_str!("../../templates/runner/identity.sh"),
                include_str!(concat!("../../templates/restart/", $part, ".sh")),
                include_str!("../../templates/restart/order.sh"),
            );
            // Nobody reads comments there.
            let lines = text.lines().map(str::trim_start).filter(|line| !line.starts_with('#') && !line.is_empty());
            lines.fold(String::new(), |text, line| text + line + "\n")
        })
    };
}

pub(super) static SYSTEMD: LazyLock<String> = script!("systemd");
pub(super) static RUNNER: LazyLock<String> = script!("runner");
pub(super) static LAUNCHD: LazyLock<String> = script!("launchd");

/// An order to restart a unit that a host has and has not carried out yet. Dropping it has it carried out at once.
pub struct RestartOrder {
    unit: String,
    host: String,
    insurance: bool,
    explain: fn(&str) -> String,
    words: UnboundedSender<&'static str>,
    answers: BufReader<Box<dyn AsyncRead + Send + Sync + Unpin>>,
    _beats: AbortOnDropHandle<()>,
    _guard: Box<dyn Guard>,
}

/// What an order to restart came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restarted {
    /// Whether something of the old run had to be killed.
    pub killed: bool,
    /// Whether the host did it without us: we were silent for too long, stopped by a signal or cut off. What we have told the
    /// unit since then was heard by its new run.
    pub alone: bool,
    /// Why it was not started, in the supervisor's words.
    pub failure: Option<String>,
}

/// What an order is made of.
pub(super) struct Parts<'a> {
    pub(super) unit: &'a str,
    pub(super) script: &'a str,
    /// Environment of the program.
    pub(super) env: Vec<(&'static str, String)>,
    /// Time between TERM and KILL.
    pub(super) term: Duration,
    /// Processes of the run that ends.
    pub(super) old: &'a [u32],
    /// Arguments of the function `order`.
    pub(super) args: Vec<String>,
    /// Whether it is only for when we go away.
    pub(super) insurance: bool,
    /// Makes words for people of the line in which the supervisor says why it did not start the unit.
    pub(super) explain: fn(&str) -> String,
}

impl RestartOrder {
    /// Gives the host the order. It is given when this returns.
    pub(super) async fn give(host: &dyn Host, parts: Parts<'_>) -> Result<Self, SupervisorError> {
        let mut command = Command::new("sh").args(["-c", DETACH, "sh", parts.script]).env("LC_ALL", "C");
        for (name, value) in parts.env {
            command = command.env(name, value);
        }
        let term = parts.term.as_millis().min(2_000_000_000).to_string();
        let old = parts.old.iter().map(u32::to_string);
        let command = command.arg(term).args(old).arg("--").args(parts.args);
        let pipe = host.pipe(&command).await?;
        let (words, heard) = unbounded_channel();
        let beats = AbortOnDropHandle::new(tokio::spawn(speak(pipe.stdin, heard)));
        let mut order = Self {
            unit: parts.unit.to_owned(),
            host: host.name().to_owned(),
            insurance: parts.insurance,
            explain: parts.explain,
            words,
            answers: BufReader::new(pipe.stdout),
            _beats: beats,
            _guard: pipe.guard,
        };
        match timeout(SHORT, order.line()).await {
            Ok(line) if line == "ready" => Ok(order),
            Ok(line) => Err(order.unanswered(&line)),
            Err(_) => Err(order.unanswered("nothing")),
        }
    }

    /// Whether the order is only for when we go away: else it does everything itself when it is told to.
    #[must_use]
    pub fn is_insurance(&self) -> bool {
        self.insurance
    }

    /// Tells whether the host has not begun to carry it out by itself, as far as we have heard.
    pub async fn is_pending(&mut self) -> bool {
        timeout(Duration::ZERO, self.answers.fill_buf()).await.is_err()
    }

    /// Has the order carried out and waits for it, at most `deadline`. The host goes on after that.
    pub async fn carry_out(mut self, deadline: Duration) -> Result<Restarted, SupervisorError> {
        self.words.send("go\n").ok();
        let Ok(head) = timeout(deadline, self.line()).await else {
            let detail =
                format!("the restart of {} is not done after {deadline:?}; the host goes on with it", self.unit);
            return Err(SupervisorError::unanswered(&self.host, "restart", detail));
        };
        let mut fields = head.split(' ');
        let (Some("end"), Some(code), Some(killed), Some(word)) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(self.unanswered(&head));
        };
        let failed = code != "0";
        let mut said = Vec::new();
        if failed {
            // All of it is there, or on its way.
            timeout(SHORT, (&mut self.answers).take(LONGEST).read_to_end(&mut said)).await.ok();
        }
        let said = printable(&said);
        let line = said.lines().rev().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("See "));
        let failure = failed.then(|| line.map_or_else(|| format!("exit code {code}"), self.explain));
        Ok(Restarted { killed: killed == "1", alone: word != "go", failure })
    }

    /// Takes the order back: all that it was for is done.
    pub async fn withdraw(mut self) {
        self.words.send("done\n").ok();
        // It ends, and with it what it can say. One that does not has gone away, which does no harm.
        timeout(SHORT, (&mut self.answers).take(LONGEST).read_to_end(&mut Vec::new())).await.ok();
    }

    /// The next line that it says; empty where it says nothing more.
    async fn line(&mut self) -> String {
        let mut line = Vec::new();
        (&mut self.answers).take(LONGEST).read_until(b'\n', &mut line).await.ok();
        printable(line.trim_ascii_end())
    }

    fn unanswered(&self, said: &str) -> SupervisorError {
        let what = if said.is_empty() { "nothing" } else { said };
        let detail = format!("the program that is to restart {} said {what:?}", self.unit);
        SupervisorError::unanswered(&self.host, "restart", detail)
    }
}

impl std::fmt::Debug for RestartOrder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RestartOrder").field("unit", &self.unit).field("host", &self.host).finish_non_exhaustive()
    }
}

/// Writes a beat from time to time and the words that are given, until nobody has any more.
async fn speak(mut to: Box<dyn AsyncWrite + Send + Sync + Unpin>, mut words: UnboundedReceiver<&'static str>) {
    loop {
        let word = match timeout(BEAT, words.recv()).await {
            Ok(None) => return,
            Ok(Some(word)) => word,
            Err(_) => "beat\n",
        };
        if to.write_all(word.as_bytes()).await.is_err() || to.flush().await.is_err() {
            return;
        }
    }
}
