//! Programs started on this machine, each the leader of a process group that ends with it.

#![expect(clippy::disallowed_methods, reason = "programs of this machine are started here")]

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};

use futures_util::FutureExt;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command as Process};
use tokio::time::timeout;

use super::super::{Command, End, Guard, HostError, Output, Pipe, printable, shown, signals};
use super::words;

/// Runs a program to its end, to its deadline, or until it has said too much.
pub(super) async fn run(host: &str, command: &Command) -> Result<Output, HostError> {
    let mut child = match spawn(host, command, Stdio::piped())? {
        Ok(child) => child,
        Err(output) => return Ok(output),
    };
    let group = Group::of(&child);
    let during = shown(command);
    match timeout(command.deadline, converse(&mut child, command)).await {
        Err(_) => Err(HostError::Deadline { host: host.into(), during, deadline: command.deadline }),
        Ok(Err(fault)) if fault.kind() == io::ErrorKind::FileTooLarge => {
            Err(HostError::TooMuch { host: host.into(), during, limit: command.limit })
        }
        Ok(Err(source)) => Err(HostError::Io { host: host.into(), during, source }),
        Ok(Ok(output)) => {
            group.release();
            Ok(output)
        }
    }
}

/// Starts a program and hands out its standard input and output.
pub(super) fn pipe(host: &str, command: &Command) -> Result<Pipe, HostError> {
    let unsendable = |detail| HostError::Unsendable { host: host.into(), what: shown(command), detail };
    let mut child = spawn(host, command, Stdio::null())?.map_err(|output| unsendable(reason(&output)))?;
    let group = Group::of(&child);
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(unsendable("it has no standard input or output".into()));
    };
    Ok(Pipe {
        stdin: Box::new(stdin),
        stdout: Box::new(stdout),
        guard: Box::new(Running { _group: group, _child: child }),
    })
}

/// Whether a variable of ours is one that a login has too, and that a program is given. The others may be secrets of services,
/// which a program that outlives us would show to everyone who reads its environment.
fn is_of_login(name: &OsStr) -> bool {
    const PREFIXES: [&str; 2] = ["LC_", "XDG_"];
    const NAMES: [&str; 9] =
        ["HOME", "USER", "LOGNAME", "SHELL", "PATH", "LANG", "TZ", "TMPDIR", "DBUS_SESSION_BUS_ADDRESS"];
    name.to_str().is_some_and(|name| NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
}

/// Starts a program; the inner error is what a shell would have to say of one that cannot be started.
fn spawn(host: &str, command: &Command, stderr: Stdio) -> Result<Result<Child, Output>, HostError> {
    signals::reset();
    if command.fence.as_ref().is_some_and(|fence| !fence.path().exists()) {
        return Err(HostError::LockLost { host: host.into() });
    }
    let mut process = Process::new(&command.program);
    process.args(&command.args).env_clear().envs(std::env::vars_os().filter(|(name, _)| is_of_login(name)));
    process.envs(command.env.iter().map(|(name, value)| (name, value)));
    process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr);
    process.process_group(0).kill_on_drop(true);
    match process.spawn() {
        Ok(child) => Ok(Ok(child)),
        Err(fault) if fault.kind() == io::ErrorKind::InvalidInput => {
            Err(HostError::Unsendable { host: host.into(), what: shown(command), detail: "it holds a NUL byte".into() })
        }
        Err(fault) => {
            let end = if fault.kind() == io::ErrorKind::NotFound { End::NotFound } else { End::Exit(126) };
            let stderr = format!("{}: {}\n", command.program, words(&fault)).into_bytes();
            Ok(Err(Output { end, stdout: Vec::new(), stderr }))
        }
    }
}

fn reason(output: &Output) -> String {
    printable(output.stderr.trim_ascii())
}

/// Feeds the program and takes its output until it has ended.
async fn converse(child: &mut Child, command: &Command) -> io::Result<Output> {
    let (mut stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (mut stdout, mut stderr) = (Taken::new(stdout, command.limit), Taken::new(stderr, command.limit));
    let feed = async {
        if let Some(mut stdin) = stdin.take() {
            // A program that does not read its input to the end is none the worse for it.
            stdin.write_all(&command.stdin).await.ok();
        }
        std::future::pending::<()>().await;
    };
    tokio::pin!(feed);
    let status = loop {
        tokio::select! {
            () = &mut feed => {}
            taken = stdout.take(), if stdout.is_open() => taken?,
            taken = stderr.take(), if stderr.is_open() => taken?,
            status = child.wait() => break status?,
        }
    };
    stdout.rest()?;
    stderr.rest()?;
    Ok(Output { end: end(status), stdout: stdout.bytes, stderr: stderr.bytes })
}

fn end(status: ExitStatus) -> End {
    match (status.code(), status.signal()) {
        (Some(code), _) => End::Exit(code),
        (None, signal) => End::Signal(signal.unwrap_or(0)),
    }
}

/// What was read of one output so far.
struct Taken<R> {
    from: Option<R>,
    bytes: Vec<u8>,
    limit: usize,
}

impl<R: AsyncRead + Unpin> Taken<R> {
    fn new(from: Option<R>, limit: usize) -> Self {
        Self { from, bytes: Vec::new(), limit }
    }

    fn is_open(&self) -> bool {
        self.from.is_some()
    }

    /// Reads what is there next; cancelling it loses nothing.
    async fn take(&mut self) -> io::Result<()> {
        let Some(from) = &mut self.from else { return Ok(()) };
        if from.read_buf(&mut self.bytes).await? == 0 {
            self.from = None;
        }
        if self.bytes.len() > self.limit { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(()) }
    }

    /// Takes what is in the pipe; a descendant of the program that keeps it open is not waited for.
    fn rest(&mut self) -> io::Result<()> {
        while self.is_open()
            && let Some(taken) = self.take().now_or_never()
        {
            taken?;
        }
        Ok(())
    }
}

/// A process group of ours; dropping it kills every process that is still in it.
#[derive(Debug)]
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)))
    }
}

impl Group {
    /// Lets go of a group whose leader has ended: what it left running is a daemon.
    fn release(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // Nobody may be left in it: that is as good.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

#[derive(Debug)]
struct Running {
    _group: Group,
    _child: Child,
}

impl Guard for Running {}
