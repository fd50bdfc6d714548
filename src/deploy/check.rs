//! One short run of a program on the host, before a release that needs it takes effect.
//!
//! A program may be right to the last byte and not run: for want of a library, of a newer system, of a signature that a
//! Mac accepts. Found out here, what ran before goes on running.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;
use thiserror::Error;

use super::desired::Desired;
use super::error::ApplyError;
use super::machine::Machine;
use crate::host::{Command, End, Host, HostError, Output, printable};
use crate::service::render::launchd;
use crate::service::spec::EnvName;
use crate::supervisor::SupervisorKind;

/// How long the run may take. macOS looks a program over when it is run for the first time.
const DEADLINE: Duration = Duration::from_secs(30);

/// `SIGKILL`.
const KILL: i32 = 9;

/// What [`IN_FOLDER`] exits with where there is no way into the folder: the code that systemd has for it.
const NO_FOLDER: i32 = 200;

/// Goes to the folder that is the first argument and becomes the rest, in an environment that has nothing of who calls:
/// here that would be a shell with secrets in it.
const IN_FOLDER: &str = r#"cd "$1" || exit 200; shift && exec env -i HOME="$HOME" USER="$(id -un)" PATH="$PATH" "$@""#;

/// Becomes its arguments; for the sake of programs that have a `=` in their path, which env(1) would set.
const BECOME: &str = r#"exec "$@""#;

const ENDS_BY_ITSELF: &str =
    "`check` is for arguments with which the program says something short and ends by itself: `--version`, say";

const CHANGED_AFTER_SIGNING: &str =
    "macOS kills a program that was changed after it was signed: sign it last, `codesign --force --sign - FILE`";

/// A program that is tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The first unit that needs it.
    pub unit: String,
    /// The program's path on the host.
    pub program: Utf8PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// The folder on the host that it runs in.
    #[serde(skip)]
    dir: Utf8PathBuf,
    /// What is set in its environment; no secrets.
    #[serde(skip)]
    env: BTreeMap<EnvName, String>,
    /// `PATH` where `env` sets none and it is not that of who calls.
    #[serde(skip)]
    path: Option<&'static str>,
    /// What the program is for, where it is shipped and we know it.
    #[serde(skip)]
    machine: Option<Machine>,
}

/// Why a check was not passed. Nothing on the host was changed.
#[derive(Debug, Error)]
#[error("{unit}: the check `{command}` on {host} {ended}; nothing was changed")]
pub struct CheckError {
    /// Unit.
    pub unit: String,
    /// What was run.
    pub command: String,
    /// Host.
    pub host: String,
    /// `exited with 1: no such option`.
    pub ended: String,
    hint: Option<String>,
}

impl Check {
    /// The check of a unit whose program is at `program`, run in the home where the unit names no folder; `None` where its
    /// manifest wants none.
    pub(super) fn of(desired: &Desired, program: &Utf8Path, home: &Utf8Path, manager: SupervisorKind) -> Option<Self> {
        let spec = &desired.spec;
        Some(Self {
            unit: spec.unit.to_string(),
            program: program.to_owned(),
            args: spec.check.clone()?,
            dir: spec.working_dir.as_deref().unwrap_or(home).to_owned(),
            env: spec.env.clone(),
            path: (manager == SupervisorKind::Launchd).then_some(launchd::PATH),
            machine: desired.payload().and_then(|payload| payload.machine.clone()),
        })
    }

    /// Tells whether both come to the same run, for whichever unit.
    pub(super) fn is_same_run(&self, other: &Self) -> bool {
        (&self.program, &self.args, &self.dir, &self.env) == (&other.program, &other.args, &other.dir, &other.env)
    }

    /// Runs it; the first line that the program writes.
    pub(super) async fn run(&self, host: &dyn Host) -> Result<String, ApplyError> {
        let path = self.path.map(|path| format!("PATH={path}"));
        let set = path.into_iter().chain(self.env.iter().map(|(name, value)| format!("{name}={value}")));
        let command = Command::new("sh").args(["-c", IN_FOLDER, "sh", self.dir.as_str()]).args(set);
        // env(1) looks for what it becomes in the `PATH` that it has just set, which need not lead to a shell.
        let command =
            command.args(["/bin/sh", "-c", BECOME, "sh", self.program.as_str()]).args(&self.args).deadline(DEADLINE);
        let (ended, hint) = match host.run(&command).await {
            Ok(output) if output.success() => {
                let first = output.stdout.split(|byte| *byte == b'\n').next().unwrap_or_default();
                return Ok(printable(first.trim_ascii()));
            }
            Ok(output) => self.failed(&output),
            Err(HostError::Deadline { .. }) => {
                (format!("did not end within {} s", DEADLINE.as_secs()), Some(ENDS_BY_ITSELF.to_owned()))
            }
            Err(HostError::TooMuch { limit, .. }) => {
                (format!("wrote more than {} MiB", limit >> 20), Some(ENDS_BY_ITSELF.to_owned()))
            }
            Err(error) => return Err(error.into()),
        };
        let (unit, command) = (self.unit.clone(), printable(self.to_string().as_bytes()));
        Err(CheckError { unit, command, host: host.name().to_owned(), ended, hint }.into())
    }

    /// How a run ended that did not succeed, and what helps.
    fn failed(&self, output: &Output) -> (String, Option<String>) {
        let words = output.last_words();
        let said = words.as_ref().map_or_else(String::new, |words| format!(": {words}"));
        match output.end {
            End::Exit(NO_FOLDER) if words.is_some_and(|words| words.contains(self.dir.as_str())) => {
                let dir = shlex::try_quote(self.dir.as_str()).unwrap_or_default();
                let hint =
                    format!("the service runs in `working_dir`, which must be there: `mkdir -p {dir}` on the host");
                (format!("did not get into {}{said}", self.dir), Some(hint))
            }
            End::Exit(code) => (format!("exited with {code}{said}"), None),
            End::Signal(signal) => {
                let is_mac = self.machine.as_ref().is_some_and(Machine::is_for_mac);
                let hint = (is_mac && signal == KILL).then(|| CHANGED_AFTER_SIGNING.to_owned());
                (format!("was ended by signal {signal}{said}"), hint)
            }
            End::NotFound => (format!("found no sh{said}"), None),
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.program.as_str())?;
        self.args.iter().try_for_each(|arg| write!(f, " {}", shlex::try_quote(arg).unwrap_or_default()))
    }
}

impl CheckError {
    /// One command or one sentence that helps.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}
