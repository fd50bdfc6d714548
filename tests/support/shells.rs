//! The shells that a host's `/bin/sh` may be.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use super::skip::skip;

/// A shell under the name of `sh`, by which bash knows what is expected of it.
#[derive(Debug)]
pub(crate) struct Shell {
    folder: tempfile::TempDir,
}

impl Shell {
    /// Finds the shell `name` (`busybox` is its ash); says so where this machine has none.
    pub(crate) fn find(name: &str) -> Option<Self> {
        let found = ["/usr/bin", "/bin", "/usr/local/bin"].map(|folder| PathBuf::from(folder).join(name));
        let Some(path) = found.into_iter().find(|path| path.exists()) else {
            skip(&format!("the runner of {name}"), "this machine has no such shell");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        symlink(path, folder.path().join("sh")).unwrap();
        Some(Self { folder })
    }

    /// Its path.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("sh")
    }

    /// A run of it in an environment with nothing but a path and a home.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(self.path());
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", self.folder.path());
        command
    }
}
