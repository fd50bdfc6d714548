//! What the services of the lab run: a program that needs nothing of its host.
//!
//! It is one file without dependencies, compiled by `rustc` into a static program (`tests/support/program.rs`), so that
//! the same bytes run on every suite. The first argument is the mode.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

fn main() -> ExitCode {
    let mode = env::args_os().nth(1).unwrap_or_default();
    let done = match mode.as_bytes() {
        b"dump" => dump(),
        b"succeed" => note_time().map(|()| ExitCode::SUCCESS),
        b"fail" => note_time().map(|()| ExitCode::FAILURE),
        _ => Err(io::Error::other("usage: worker dump FILE [ARG…] | succeed FILE | fail FILE")),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("worker: {error}");
            ExitCode::from(2)
        }
    }
}

fn file() -> io::Result<PathBuf> {
    env::args_os().nth(2).map(Into::into).ok_or_else(|| io::Error::other("no FILE"))
}

/// Writes what it was started with into FILE: the number of arguments, the working directory, the arguments, the
/// variables of the environment, each with a NUL behind it.
fn dump() -> io::Result<ExitCode> {
    let args: Vec<_> = env::args_os().collect();
    let mut bytes = format!("{}\0", args.len()).into_bytes();
    bytes.extend(env::current_dir()?.into_os_string().into_vec());
    bytes.push(0);
    for arg in args {
        bytes.extend(arg.into_vec());
        bytes.push(0);
    }
    for (name, value) in env::vars_os() {
        bytes.extend(name.into_vec());
        bytes.push(b'=');
        bytes.extend(value.into_vec());
        bytes.push(0);
    }
    let partial = file()?.with_extension("partial");
    fs::write(&partial, bytes)?;
    fs::rename(partial, file()?)?;
    Ok(ExitCode::SUCCESS)
}

/// Appends the time, in microseconds since 1970, as a line to FILE.
fn note_time() -> io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
    let mut file = fs::OpenOptions::new().append(true).create(true).open(file()?)?;
    writeln!(file, "{}", now.as_micros())
}
