//! One run of unitbee: what it said and how it ended.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use serde_json::Value;

/// No run takes as long as this; one that does hangs.
const PATIENCE: Duration = Duration::from_mins(3);

/// How many times longer it may take on a slow host at most: a hang is to be told of while somebody still waits.
const SLOWER: u32 = 4;

/// A run that ended.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    line: String,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Run {
    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "exit code of:\n{self}");
        self
    }

    /// Asserts that `text` is said, on whichever stream.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stdout.contains(text) || self.stderr.contains(text), "{text:?} is not said:\n{self}");
        self
    }

    /// Asserts that `text` is not said.
    #[track_caller]
    pub(crate) fn hides(self, text: &str) -> Self {
        assert!(!self.stdout.contains(text) && !self.stderr.contains(text), "{text:?} is said:\n{self}");
        self
    }

    /// Reads standard output as one JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON ({error}):\n{self}"))
    }

    /// Reads standard output as one JSON object a line, and returns that of the last.
    #[track_caller]
    pub(crate) fn last_json(&self) -> Value {
        let line = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("no JSON ({error}):\n{self}"))
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "$ {}", self.line)?;
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            text.lines().try_for_each(|line| writeln!(f, "  {name}: {line}"))?;
        }
        writeln!(f, "  exit {:?} after {:.1} s", self.code, self.took.as_secs_f64())
    }
}

/// A run that is under way.
#[derive(Debug)]
pub(crate) struct Running {
    line: String,
    child: Child,
    begun: Instant,
    patience: Duration,
}

impl Running {
    /// Starts `command`.
    pub(crate) fn of(mut command: Command) -> Self {
        let line = command.get_args().map(|arg| arg.to_string_lossy()).collect::<Vec<_>>().join(" ");
        let line = format!("{} {line}", command.get_program().to_string_lossy());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap_or_else(|error| panic!("{line}: {error}"));
        Self { line, child, begun: Instant::now(), patience: PATIENCE }
    }

    /// Lets it take so many times longer.
    pub(crate) fn patient(self, times: u32) -> Self {
        Self { patience: PATIENCE * times.min(SLOWER), ..self }
    }

    /// Kills the process, as a power cut would.
    pub(crate) fn kill(mut self) -> Run {
        self.child.kill().unwrap();
        self.end()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Tells whether the process has ended.
    pub(crate) fn is_over(&self) -> bool {
        let pid = Pid::from_child(&self.child);
        // It stays to be waited for.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(pid), options).unwrap().is_some()
    }

    /// Takes standard output, line by line; the run that ends has none then.
    pub(crate) fn lines(&mut self) -> Lines {
        let (sender, lines) = mpsc::channel();
        let stdout = BufReader::new(self.child.stdout.take().unwrap());
        std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)).ok();
        });
        Lines(lines, self.patience)
    }

    /// Waits for the end.
    pub(crate) fn end(self) -> Run {
        let pid = Pid::from_child(&self.child);
        let (sender, receiver) = mpsc::channel();
        let child = self.child;
        std::thread::spawn(move || sender.send(child.wait_with_output()));
        let output = receiver.recv_timeout(self.patience).unwrap_or_else(|_| {
            kill_process(pid, Signal::KILL).ok();
            panic!("still running after {:?}: {}", self.patience, self.line)
        });
        let output = output.unwrap();
        Run {
            line: self.line,
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            took: self.begun.elapsed(),
        }
    }
}

/// Lines as a run writes them, and how long one may take.
pub(crate) struct Lines(mpsc::Receiver<String>, Duration);

impl Lines {
    /// Awaits a line that holds `text`.
    #[track_caller]
    pub(crate) fn until(&self, text: &str) -> String {
        self.upto(text).pop().unwrap()
    }

    /// Awaits a line that holds `text`; gives all lines up to that.
    #[track_caller]
    pub(crate) fn upto(&self, text: &str) -> Vec<String> {
        self.upto_one(&format!("{text:?}"), |line| line.contains(text))
    }

    /// The same for a line that is looked for by more than a text; `what` is what it is called.
    #[track_caller]
    pub(crate) fn upto_one(&self, what: &str, mut is_it: impl FnMut(&str) -> bool) -> Vec<String> {
        let deadline = Instant::now() + self.1;
        let mut seen = Vec::new();
        loop {
            match self.0.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    seen.push(line);
                    if seen.last().is_some_and(|line| is_it(line)) {
                        return seen;
                    }
                }
                Err(error) => panic!("no line with {what} ({error}), but {seen:#?}"),
            }
        }
    }

    /// Awaits the end; gives all lines up to that.
    #[track_caller]
    pub(crate) fn rest(&self) -> Vec<String> {
        let deadline = Instant::now() + self.1;
        let mut seen = Vec::new();
        loop {
            match self.0.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => seen.push(line),
                Err(mpsc::RecvTimeoutError::Disconnected) => return seen,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("no end, but {seen:#?}"),
            }
        }
    }
}
