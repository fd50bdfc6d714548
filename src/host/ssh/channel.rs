//! One script on the far side: started, spoken to, listened to, and never left behind.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use openssh::{Child, ChildStderr, ChildStdin, ChildStdout, Session, Stdio};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinHandle;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::super::{Guard, printable};
use super::frame::Framed;
use super::script::Sendable;

/// How much beside an answer is listened to: what a login shell prints, and what goes to standard error.
const NOISE: usize = 64 << 10;

/// How long one output is waited for when the other has ended.
const GRACE: Duration = Duration::from_secs(1);

/// How long a script that was told to end keeps its place among the sessions of the connection.
const LINGER: Duration = Duration::from_secs(5);

/// A running script. Dropping it ends its standard input, which is how the far side knows that we are gone.
#[derive(Debug)]
pub(super) struct Channel {
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    stderr: ChildStderr,
    nonce: String,
    // Dropped after the streams: the far side ends because they do.
    ending: Ending,
}

/// Keeps the place of a script among the sessions of a connection until the script has ended.
#[derive(Debug)]
struct Ending {
    child: Option<Child<Arc<Session>>>,
    slot: Option<OwnedSemaphorePermit>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let (Some(child), slot) = (self.child.take(), self.slot.take()) else { return };
        // Where the runtime is going down there is nobody who would want the place.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                timeout(LINGER, child.wait()).await.ok();
                drop(slot);
            });
        }
    }
}

/// A program whose streams were handed out; dropping it ends the program.
#[derive(Debug)]
pub(super) struct Running {
    answering: JoinHandle<io::Result<u64>>,
    _ending: Ending,
}

impl Guard for Running {}

impl Drop for Running {
    fn drop(&mut self) {
        self.answering.abort();
    }
}

/// Why a script gave no answer.
#[derive(Debug)]
pub(super) enum Silence {
    /// It said more than was asked for.
    TooMuch,
    /// The stream ended before the answer did; what was said instead.
    BrokeOff(String),
    /// The stream ended when the script had begun: something killed it.
    Died,
    /// Reading failed on this side.
    Io(io::Error),
}

/// What a script answered.
#[derive(Debug)]
pub(super) struct Spoken {
    pub(super) status: String,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

/// What a script says of the program that it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begun {
    /// It runs.
    Running,
    /// There is no such program.
    NotFound,
    /// It was not started, for the lock that it needs is lost.
    WithoutLock,
}

/// Whether the standard error of a script is part of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stderr {
    Answer,
    Noise,
}

impl Channel {
    /// Starts a script, which prints marks with `nonce`; `slot` is given back when it has ended.
    pub(super) async fn start(
        session: &Arc<Session>,
        script: &Sendable,
        nonce: String,
        slot: OwnedSemaphorePermit,
    ) -> Result<Self, openssh::Error> {
        let mut command = Arc::clone(session).arc_raw_command(&script.line);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().await?;
        let (stdin, stdout, stderr) = (child.stdin().take(), child.stdout().take(), child.stderr().take());
        let (Some(mut stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
            return Err(openssh::Error::Disconnected);
        };
        // Where it cannot be written, what the far side has said, or that it has said nothing, tells more.
        let stdin = stdin.write_all(script.rest.as_bytes()).await.is_ok().then_some(stdin);
        Ok(Self { stdin, stdout, stderr, nonce, ending: Ending { child: Some(child), slot: Some(slot) } })
    }

    /// The nonce of its marks.
    pub(super) fn nonce(&self) -> &str {
        &self.nonce
    }

    /// Sends `input` and takes the answer, at most `limit` bytes of each output. Standard input stays open.
    pub(super) async fn converse(&mut self, input: &[&[u8]], limit: usize, errors: Stderr) -> Result<Spoken, Silence> {
        let mut stdin = self.stdin.take();
        let feed = async {
            if let Some(stdin) = &mut stdin {
                for bytes in input {
                    // A script that has heard enough is none the worse for it.
                    if stdin.write_all(bytes).await.is_err() {
                        break;
                    }
                }
            }
        };
        let spoken = listen(&mut self.stdout, &mut self.stderr, &self.nonce, limit, errors, feed).await;
        self.stdin = stdin;
        spoken
    }

    /// Says that we are here; fails where nobody hears it.
    pub(super) async fn beat(&mut self) -> io::Result<()> {
        let stdin = self.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        stdin.write_all(b"\n").await
    }

    /// Waits until the script has ended; what it still says is for nobody.
    pub(super) async fn ended(&mut self) {
        let mut buffer = [0; 256];
        while self.stdout.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    }

    /// Sends chunks until there are no more or the script takes no more; fails where it takes nothing for `stall`.
    pub(super) async fn send(
        &mut self,
        chunks: &mut Receiver<Vec<u8>>,
        stall: Duration,
        report: &(dyn Fn() + Sync),
    ) -> Result<(), Elapsed> {
        while let (Some(stdin), Some(chunk)) = (&mut self.stdin, chunks.recv().await) {
            match timeout(stall, stdin.write_all(&chunk)).await? {
                Ok(()) => report(),
                // It has failed and says why.
                Err(_) => self.stdin = None,
            }
        }
        self.stdin = None;
        Ok(())
    }

    /// Sends `input`, then waits until the script has begun or says why it does not.
    ///
    /// What comes out of it afterwards is the program's alone; it comes by standard error, see `pipe.sh`.
    pub(super) async fn begin(&mut self, input: &[&[u8]]) -> Result<Begun, Silence> {
        if let Some(stdin) = &mut self.stdin {
            for bytes in input {
                stdin.write_all(bytes).await.map_err(Silence::Io)?;
            }
        }
        let mark = format!("\n@{} ", self.nonce);
        let mut said = Vec::new();
        // A byte at a time: what comes after the line of the mark is not ours to take.
        let mut byte = [0];
        while said.len() < NOISE {
            if self.stderr.read(&mut byte).await.map_err(Silence::Io)? == 0 {
                drain(&mut self.stdout, &mut said).await;
                return Err(Silence::BrokeOff(last_words(&said)));
            }
            said.extend(byte);
            if byte == *b"\n"
                && let Some(head) = said.windows(mark.len()).position(|window| window == mark.as_bytes())
            {
                return Ok(match &said[head + mark.len()..] {
                    b"begin\n" => Begun::Running,
                    b"lost\n" => Begun::WithoutLock,
                    _ => Begun::NotFound,
                });
            }
        }
        Err(Silence::TooMuch)
    }

    /// Sends `input` and nothing more. Returns all that was said, unless the script has begun, or there was no end to it.
    pub(super) async fn overhear(mut self, input: &[u8]) -> Option<Vec<u8>> {
        if let Some(mut stdin) = self.stdin.take() {
            // Who does not read says something, or nothing, all the same.
            stdin.write_all(input).await.ok();
        }
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let (mut stdout, mut stderr) = (self.stdout.take(NOISE as u64), self.stderr.take(NOISE as u64));
        tokio::join!(stdout.read_to_end(&mut out), stderr.read_to_end(&mut err)).0.ok();
        let mut framed = Framed::new(&self.nonce);
        framed.push(&out);
        let is_noise = out.len().max(err.len()) == NOISE;
        (!framed.has_begun() && !is_noise).then(|| [out, err].concat())
    }

    /// Splits into the streams of a program and what keeps it alive.
    pub(super) fn into_streams(self) -> Option<(ChildStdin, ChildStderr, Running)> {
        let Self { ending, stdin, mut stdout, stderr, nonce: _ } = self;
        // The script asks now and then whether we are there: taking it is the answer.
        let answering = tokio::spawn(async move { tokio::io::copy(&mut stdout, &mut tokio::io::sink()).await });
        Some((stdin?, stderr, Running { answering, _ending: ending }))
    }

    /// Tells whether the connection was lost, or only the script ended too early.
    pub(super) async fn is_lost(&mut self) -> bool {
        use openssh::Error::{Disconnected, RemoteProcessTerminated};
        let Some(child) = self.ending.child.take() else { return true };
        let session = child.session();
        self.stdin = None;
        match timeout(LINGER, child.wait()).await {
            Ok(Err(Disconnected | RemoteProcessTerminated)) | Err(_) => {
                !matches!(timeout(LINGER, session.check()).await, Ok(Ok(())))
            }
            Ok(_) => false,
        }
    }
}

/// Takes both outputs until the answer has ended, while `feed` goes on.
async fn listen(
    stdout: &mut ChildStdout,
    stderr: &mut ChildStderr,
    nonce: &str,
    limit: usize,
    errors: Stderr,
    feed: impl Future<Output = ()>,
) -> Result<Spoken, Silence> {
    let (mut out, mut err) = (Framed::new(nonce), Framed::new(nonce));
    let (mut out_open, mut err_open) = (true, true);
    let (mut out_buffer, mut err_buffer) = (vec![0; 32 << 10], vec![0; 8 << 10]);
    let mut feeding = true;
    tokio::pin!(feed);
    while out.status().is_none() || (errors == Stderr::Answer && err.status().is_none() && err_open) {
        tokio::select! {
            () = &mut feed, if feeding => feeding = false,
            read = stdout.read(&mut out_buffer), if out_open => {
                let read = read.map_err(Silence::Io)?;
                out_open = read > 0;
                out.push(&out_buffer[..read]);
            }
            read = stderr.read(&mut err_buffer), if err_open => {
                let read = read.map_err(Silence::Io)?;
                err_open = read > 0;
                if errors == Stderr::Answer || err.len() < NOISE {
                    err.push(&err_buffer[..read]);
                }
            }
        }
        if out.len().max(err.len()) > limit + NOISE {
            return Err(Silence::TooMuch);
        }
        if !out_open && out.status().is_none() {
            if out.has_begun() {
                return Err(Silence::Died);
            }
            let mut said = [out.everything(), err.everything()].concat();
            drain(stderr, &mut said).await;
            return Err(Silence::BrokeOff(last_words(&said)));
        }
    }
    let status = out.status().unwrap_or_default().to_owned();
    let (stdout, stderr) = (out.into_answer(), err.into_answer());
    if stdout.len().max(stderr.len()) > limit { Err(Silence::TooMuch) } else { Ok(Spoken { status, stdout, stderr }) }
}

/// Takes what else is there to be read, within reason.
async fn drain(from: impl AsyncRead + Unpin, said: &mut Vec<u8>) {
    timeout(GRACE, from.take(NOISE as u64).read_to_end(said)).await.ok();
}

/// Says what came in place of a script, whose standard input began with `echo <token> $SHELL`.
pub(super) fn instead(heard: &[u8], token: &str) -> String {
    let text = String::from_utf8_lossy(heard);
    let has_token = |line: &&str| line.contains(token);
    if let Some(shell) = text.lines().find_map(|line| line.strip_prefix(token)?.strip_prefix(" /")) {
        let shell = printable(shell.as_bytes());
        return format!("a startup file of its login shell /{shell} starts another shell in its place");
    }
    let rest = text.lines().filter(|line| !has_token(line)).collect::<Vec<_>>().join("\n");
    match last_words(rest.as_bytes()).as_str() {
        "" => "it said nothing".into(),
        words => format!("it said: {words}"),
    }
}

/// The last line that says something, for a message; empty where there is none.
fn last_words(said: &[u8]) -> String {
    let end = &said[said.len().saturating_sub(1000)..];
    let text = printable(end);
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('@'));
    line.map_or_else(String::new, |line| line.chars().take(200).collect())
}
