//! A command that the user has this machine run, such as a build: for as long as it takes, with all that it says.

#![expect(clippy::disallowed_methods, reason = "programs of this machine are started here")]

use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use camino::Utf8Path;
use tokio::process::Command;

use super::{End, HostError};

/// Ends a process group when we are gone.
const GUARD: &str = include_str!("../../templates/host/guard.sh");

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalOutput {
    /// Its end.
    pub end: End,
    /// What it wrote to standard output and standard error, in this order; of a command that succeeded nothing is read.
    pub said: Vec<u8>,
}

/// Runs a program of this machine in the folder `dir` to its end. It reads nothing, has our environment, and does not
/// outlive us.
pub async fn local_command(program: &str, args: &[&str], dir: &Utf8Path) -> Result<LocalOutput, HostError> {
    let during = || super::shown(&super::Command::new(program).args(args.iter().copied()));
    run(program, args, dir).await.map_err(|source| HostError::Io { host: "localhost".into(), during: during(), source })
}

async fn run(program: &str, args: &[&str], dir: &Utf8Path) -> io::Result<LocalOutput> {
    // One file behind both outputs keeps their order, and a daemon that the command leaves behind keeps nobody waiting.
    let mut said = tempfile::tempfile()?;
    // At a terminal Ctrl-C reaches the whole foreground process group, and only what is in it may ask for a password
    // there. Elsewhere the command gets a group of its own, so that whatever ends us ends that.
    let mut command = if io::stdin().is_terminal() {
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null());
        command
    } else {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", GUARD, "sh", program]).args(args).stdin(Stdio::piped()).process_group(0);
        command
    };
    command.current_dir(dir).stdout(said.try_clone()?).stderr(said.try_clone()?).kill_on_drop(true);
    let end = match command.spawn() {
        Ok(mut child) => {
            // Waiting closes the standard input of the child, which would end what the guard watches.
            let guard = child.stdin.take();
            let status = child.wait().await?;
            drop(guard);
            match (status.code(), status.signal()) {
                (Some(code), _) => End::Exit(code),
                (None, signal) => End::Signal(signal.unwrap_or(0)),
            }
        }
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => End::NotFound,
        Err(fault) => return Err(fault),
    };
    let said = if end == End::Exit(0) { Vec::new() } else { all(&mut said)? };
    Ok(LocalOutput { end, said })
}

fn all(file: &mut File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}
