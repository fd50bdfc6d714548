//! What a system without `/proc`, macOS or a BSD, tells of itself through its programs.
//!
//! They are those of the system, whatever else of the same name comes first in `$PATH`.

use std::process::{Command, Stdio};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use tokio::runtime::Handle;
use tokio::time::timeout;

/// Where a system has its own programs.
const SYSTEM_PATH: &str = "/usr/bin:/bin:/usr/sbin:/sbin";

/// How long a program may look at all the files of a process: one of a server that is gone keeps it waiting for ever.
const LOOK: Duration = Duration::from_secs(20);

/// Whether there is a `/proc` to read instead.
pub(super) fn has_proc() -> bool {
    Utf8Path::new("/proc/self").exists()
}

/// The names of the system and of its processor, as a distant host tells them too.
pub(super) fn system() -> Option<(String, String)> {
    let said = said("uname", &["-sm"])?;
    let (system, arch) = said.trim().split_once(' ')?;
    Some((system.to_owned(), arch.to_owned()))
}

/// What tells this boot from every other: macOS makes a `kern.bootsessionuuid` at each. The time of boot that sysctl(8)
/// knows is no such thing, for it moves when the clock is set.
pub(super) fn boot_id() -> Option<String> {
    said("sysctl", &["-n", "kern.bootsessionuuid"]).map(|said| said.trim().to_owned())
}

/// Tells one process from another that had or gets its number, as `templates/host/lock.sh` does.
pub(super) fn start_of(pid: u32) -> Option<u64> {
    start(&said("ps", &["-o", "stat=", "-o", "lstart=", "-p", &pid.to_string()])?)
}

/// The digits of a line such as `S+   Sat Nov 21 01:05:09 2026`; `None` for a process that has ended and only waits for
/// its parent to notice.
pub(super) fn start(line: &str) -> Option<u64> {
    if line.trim_start().starts_with('Z') {
        return None;
    }
    line.chars().filter(char::is_ascii_digit).collect::<String>().parse().ok()
}

/// The name and home of a user that only the directory service of a Mac knows.
pub(super) fn account(uid: u32) -> Option<(String, Utf8PathBuf)> {
    let uid = uid.to_string();
    entry(&said("id", &["-P", &uid])?, &uid)
}

/// Reads `bee:********:501:20::0:0:Bee:/Users/bee:/bin/zsh`: passwd(5) of the BSDs has three fields more.
fn entry(line: &str, uid: &str) -> Option<(String, Utf8PathBuf)> {
    let fields: Vec<&str> = line.trim().split(':').collect();
    match fields[..] {
        [user, _, number, _, _, _, _, _, home, _] if number == uid => Some((user.to_owned(), home.into())),
        _ => None,
    }
}

/// The listening sockets of processes, in the words of lsof(8). Only for a thread of the runtime that may block.
pub(super) fn listening(pids: &str) -> Vec<u8> {
    printed("lsof", &["-nP", "-a", "-p", pids, "-iTCP", "-sTCP:LISTEN", "-Fn"])
}

/// All sockets, in the words of netstat(1). Only for a thread of the runtime that may block.
pub(super) fn sockets() -> Vec<u8> {
    printed("netstat", &["-an"])
}

/// What a program prints within its time: lsof(8) also fails where one of several processes is gone.
fn printed(program: &str, args: &[&str]) -> Vec<u8> {
    #[expect(clippy::disallowed_methods, reason = "this machine is asked here")]
    let mut command = tokio::process::Command::from(Command::new(program));
    command.args(args).env("PATH", SYSTEM_PATH).env("LC_ALL", "C").stdin(Stdio::null()).kill_on_drop(true);
    let output = Handle::current().block_on(async { timeout(LOOK, command.output()).await });
    output.ok().and_then(Result::ok).map(|output| output.stdout).unwrap_or_default()
}

/// What a program says that succeeds. Times are in UTC, for whoever asks is not always in the same zone.
fn said(program: &str, args: &[&str]) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "this machine is asked here")]
    let mut command = Command::new(program);
    command.args(args).env("PATH", SYSTEM_PATH).env("LC_ALL", "C").env("TZ", "UTC0").stdin(Stdio::null());
    let output = command.output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok().filter(|said| !said.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_another_of_its_number() {
        assert_eq!(start("S+   Sat Nov 21 01:05:09 2026\n"), Some(210_105_092_026));
        assert_eq!(start("Ss   Sun Nov  1 00:00:00 2026\n"), Some(10_000_002_026));
        assert_eq!(start("Z    Sat Nov 21 01:05:09 2026\n"), None);
        assert_eq!(start("\n"), None);
        // Linux' ps(1) takes the same options.
        let own = std::process::id();
        assert!(start_of(own) > Some(2000) && start_of(own) == start_of(own));
        assert_eq!(start_of(u32::MAX), None);
    }

    #[test]
    fn an_account_of_the_directory_service_is_read() {
        let line = "bee:********:501:20::0:0:Bee Maja:/Users/bee:/bin/zsh\n";
        assert_eq!(entry(line, "501"), Some(("bee".into(), "/Users/bee".into())));
        assert_eq!(entry(line, "50"), None);
        assert_eq!(entry("bee:x:501:20:Bee:/home/bee:/bin/sh", "501"), None);
    }

    #[test]
    fn a_system_names_itself() {
        let seen = rustix::system::uname();
        let names = (seen.sysname().to_string_lossy().into_owned(), seen.machine().to_string_lossy().into_owned());
        assert_eq!(system(), Some(names));
    }
}
