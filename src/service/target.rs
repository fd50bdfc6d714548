//! What the supervisor of a host can carry, by its version.
//!
//! The limits were found by running each version; where only a range is known the careful end of it is taken.

/// The systemd that a unit is written for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Target {
    /// Its version; `None` stands for the newest known.
    pub systemd: Option<u32>,
}

impl Target {
    /// Bytes that one argument may have: what execve(2) takes, except where systemd passes arguments through a
    /// buffer made for paths (249, 250, mended within both: systemd#22957).
    #[must_use]
    pub fn argument_max(self) -> usize {
        match self.systemd {
            Some(249 | 250) => 4095,
            _ => 131_071,
        }
    }

    /// Tells whether variables may hold control characters other than tab and newline; before 247 such a variable
    /// is dropped without a word.
    #[must_use]
    pub fn carries_control_in_env(self) -> bool {
        self.version() >= 247
    }

    /// Tells whether the path of a program may hold `*`, `?`, `[`; 262 refuses them, 257 does not.
    #[must_use]
    pub fn carries_wildcards_in_path(self) -> bool {
        self.version() <= 257
    }

    /// Tells whether a directory whose mount unit would have too long a name fails the whole unit: seen on 247, where
    /// 249 is known to be better.
    #[must_use]
    pub fn needs_short_mount_names(self) -> bool {
        matches!(self.systemd, Some(247 | 248))
    }

    /// Tells whether the pause between restarts can grow (`RestartSteps=`, since 254).
    #[must_use]
    pub fn grows_restart_delay(self) -> bool {
        self.version() >= 254
    }

    /// Tells whether `user@.service` delegates the cpu controller by itself (since 252).
    #[must_use]
    pub fn delegates_cpu(self) -> bool {
        self.version() >= 252
    }

    fn version(self) -> u32 {
        self.systemd.unwrap_or(u32::MAX)
    }
}
