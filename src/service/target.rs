//! What the definition of a service is written for, and what that can carry.
//!
//! The limits of systemd were found by running each version; where only a range is known the careful end of it is taken.

use camino::Utf8PathBuf;

/// What a definition is written for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The user's systemd.
    Systemd(Systemd),
    /// The runner.
    Runner(Runner),
    /// launchd.
    Launchd(Launchd),
}

/// The runner of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runner {
    /// Its program, absolute.
    pub program: Utf8PathBuf,
    /// Where it keeps the records, absolute.
    pub registry: Utf8PathBuf,
    /// Where it is said who supervises what, absolute.
    pub claims: Utf8PathBuf,
    /// Where it keeps the logs, absolute.
    pub logs: Utf8PathBuf,
}

/// The account of a Mac whose services launchd runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launchd {
    /// Its name.
    pub user: String,
    /// Its home, absolute.
    pub home: Utf8PathBuf,
    /// Where the logs are, absolute. Each service has a file there; launchd makes no folder that can be relied on.
    pub logs: Utf8PathBuf,
}

/// The systemd that a unit is written for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Systemd {
    /// Its version; `None` stands for the newest known.
    pub version: Option<u32>,
}

impl Systemd {
    /// Bytes that one argument may have: what execve(2) takes, except where systemd passes arguments through a
    /// buffer made for paths (249, 250, mended within both: systemd#22957).
    #[must_use]
    pub fn argument_max(self) -> usize {
        match self.version {
            Some(249 | 250) => 4095,
            _ => 131_071,
        }
    }

    /// Tells whether variables may hold control characters other than tab and newline; before 247 such a variable
    /// is dropped without a word.
    #[must_use]
    pub fn carries_control_in_env(self) -> bool {
        self.known() >= 247
    }

    /// Tells whether the path of a program may hold `*`, `?`, `[`; 262 refuses them, 257 does not.
    #[must_use]
    pub fn carries_wildcards_in_path(self) -> bool {
        self.known() <= 257
    }

    /// Tells whether a directory whose mount unit would have too long a name fails the whole unit: seen on 247, where
    /// 249 is known to be better.
    #[must_use]
    pub fn needs_short_mount_names(self) -> bool {
        matches!(self.version, Some(247 | 248))
    }

    /// Tells whether the pause between restarts can grow (`RestartSteps=`, since 254).
    #[must_use]
    pub fn grows_restart_delay(self) -> bool {
        self.known() >= 254
    }

    /// Tells whether `user@.service` delegates the cpu controller by itself (since 252).
    #[must_use]
    pub fn delegates_cpu(self) -> bool {
        self.known() >= 252
    }

    fn known(self) -> u32 {
        self.version.unwrap_or(u32::MAX)
    }
}
