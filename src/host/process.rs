//! A process of a host that nobody supervises: found, told apart from a later one with its number, signalled.

use std::time::Duration;

use super::{Command, End, Host, HostError};

/// A process: its number alone is no identity, since the kernel gives it to another one later.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProcessId {
    /// Process id.
    pub pid: u32,
    /// When it was started, in whatever form the host tells it; equal only for the same process of one boot.
    pub start: String,
}

/// A signal, by its name without `SIG`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Signal {
    /// Asks for an end.
    Term,
    /// Ends it.
    Kill,
    /// Asks for a reload, by custom.
    Hup,
    /// Interrupt from the keyboard.
    Int,
    /// User-defined.
    Usr1,
    /// User-defined.
    Usr2,
    /// Quit with a core dump.
    Quit,
}

impl Signal {
    /// Its name without `SIG`, as kill(1) takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Term => "TERM",
            Self::Kill => "KILL",
            Self::Hup => "HUP",
            Self::Int => "INT",
            Self::Usr1 => "USR1",
            Self::Usr2 => "USR2",
            Self::Quit => "QUIT",
        }
    }

    /// Its number, the same on Linux and macOS but for the user-defined ones.
    #[must_use]
    pub fn number(self) -> i32 {
        match self {
            Self::Hup => 1,
            Self::Int => 2,
            Self::Quit => 3,
            Self::Kill => 9,
            Self::Usr1 => 10,
            Self::Usr2 => 12,
            Self::Term => 15,
        }
    }
}

/// Prints the start time of process `$1`, or exits with 3 where there is none; with `$2 $3` sends signal `$3` to it
/// if its start time is still `$2`. `/proc` where there is one, else ps(1). One script, so that nothing can come
/// between the check and the signal but the few microseconds that the shell needs.
const SCRIPT: &str = r#"
start=
if [ -r "/proc/$1/stat" ]; then
  read -r line <"/proc/$1/stat" || exit 3
  set -- "$1" "${2-}" "${3-}" ${line##*) }
  [ "$4" = Z ] && exit 3
  start=${23}
elif [ ! -d /proc/self ]; then
  start=$(ps -o lstart= -p "$1") || exit 3
fi
[ -n "$start" ] || exit 3
if [ -n "${3-}" ]; then
  [ "$start" = "$2" ] || exit 3
  kill -s "$3" "$1"
else
  echo "$start"
fi
"#;

/// Finds the process with number `pid`; `None` where there is none that lives.
pub async fn find(host: &dyn Host, pid: u32) -> Result<Option<ProcessId>, HostError> {
    let output = host.run(&script().arg(pid.to_string())).await?;
    Ok(match output.end {
        End::Exit(0) => Some(ProcessId { pid, start: String::from_utf8_lossy(&output.stdout).trim().to_owned() }),
        _ => None,
    })
}

/// Sends a signal to exactly this process; `false` where it has ended.
pub async fn signal(host: &dyn Host, process: &ProcessId, signal: Signal) -> Result<bool, HostError> {
    let command = script().arg(process.pid.to_string()).arg(&process.start).arg(signal.name());
    let output = host.run(&command).await?;
    match output.end {
        End::Exit(0) => Ok(true),
        End::Exit(3) => Ok(false),
        _ => Err(HostError::Change {
            host: host.name().to_owned(),
            step: format!("send {} to process {}", signal.name(), process.pid),
            detail: super::printable(&output.stderr).trim().to_owned(),
        }),
    }
}

fn script() -> Command {
    Command::new("sh").args(["-c", SCRIPT, "sh"]).deadline(Duration::from_secs(10))
}
