//! What the services of the lab run: a program that needs nothing of its host.
//!
//! It is one file without dependencies, compiled by `rustc` into a static program (`tests/support/worker.rs`), so that
//! the same bytes run on every suite. The first argument is the mode.

use std::env;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mode = env::args_os().nth(1).unwrap_or_default();
    let done = match mode.as_bytes() {
        b"dump" => dump(),
        b"count" => count(),
        _ => Err(io::Error::other("usage: worker dump FILE [ARG…] | count FILE")),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("worker: {error}");
            ExitCode::from(2)
        }
    }
}

fn file() -> io::Result<std::path::PathBuf> {
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

/// Appends a byte to FILE and fails: how often it was started is the size of FILE.
fn count() -> io::Result<ExitCode> {
    use std::io::Write;
    fs::OpenOptions::new().append(true).create(true).open(file()?)?.write_all(b".")?;
    Ok(ExitCode::FAILURE)
}
