//! A folder to run unitbee in, with a manifest, a program to ship, and nothing of the real user's.

use std::fs;
use std::os::unix::fs::{FileExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use super::program;
use super::target::Target;

static DAEMON: LazyLock<PathBuf> = LazyLock::new(|| program::build("daemon"));

/// The folder.
#[derive(Debug)]
pub(crate) struct Project {
    folder: tempfile::TempDir,
    /// Whether its services are to be the system's.
    daemons: bool,
}

impl Project {
    /// Makes it with the daemon of `tests/lab/daemon.rs` in it.
    pub(crate) fn new(target: &Target) -> Self {
        let folder = tempfile::Builder::new().prefix("ub.").tempdir_in("/tmp").unwrap();
        let project = Self { folder, daemons: target.domain() == Some("system") };
        for folder in ["home", "run", "work"] {
            fs::create_dir(project.folder.path().join(folder)).unwrap();
        }
        fs::set_permissions(project.folder.path().join("run"), fs::Permissions::from_mode(0o700)).unwrap();
        let daemon = project.work().join("daemon");
        fs::copy(&*DAEMON, &daemon).unwrap();
        if target.domain().is_some() {
            pass_for_a_macs(&daemon);
        }
        project
    }

    /// Where unitbee runs.
    pub(crate) fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// A socket for a connection of the bench itself, which ends with those of unitbee.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("run/bench")
    }

    /// Writes a file there.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let mut content = content.as_ref().to_vec();
        if self.daemons && name == "unitbee.toml" {
            let text = String::from_utf8(content).unwrap();
            let lines = text.lines().map(|line| {
                let scope = if line.starts_with("[service.") { "\nscope = \"system\"" } else { "" };
                format!("{line}{scope}\n")
            });
            content = lines.collect::<String>().into_bytes();
        }
        fs::write(self.work().join(name), content).unwrap();
    }

    /// Ends the connections that are kept for the next run.
    pub(crate) fn log_out(&self) {
        end_connections(&self.folder.path().join("run"));
    }

    /// A program with an environment that has nothing but this.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.work())
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.folder.path().join("home"))
            .env("XDG_RUNTIME_DIR", self.folder.path().join("run"))
            .env("USER", "tester")
            .env("NO_COLOR", "1");
        command
    }
}

/// The Mac of the lab runs Linux' programs: has one not say that it is one (`EI_OSABI`).
pub(crate) fn pass_for_a_macs(program: &Path) {
    fs::OpenOptions::new().write(true).open(program).unwrap().write_at(&[0xff], 7).unwrap();
}

impl Drop for Project {
    fn drop(&mut self) {
        self.log_out();
    }
}

fn end_connections(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            end_connections(&entry.path());
        // `s` is what leads to a socket of the host, who might not answer an ssh at all.
        } else if kind.is_socket() && entry.file_name() != "s" {
            let mut ssh = Command::new("ssh");
            ssh.arg("-S").arg(entry.path()).args(["-O", "exit", "-F", "none", "any"]);
            ssh.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().ok();
        }
    }
}
