//! Exit codes. They stay as they are.

use std::process::ExitCode;

/// How unitbee ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// `plan`: something would change.
    Pending = 2,
    /// `status`: something is not running or not healthy.
    NotRunning = 3,
    /// A release failed; the one before runs again and is healthy.
    RolledBack = 4,
    /// A release failed, and the one before is not healthy either.
    RolledBackUnhealthy = 5,
    /// Failed on some hosts, done on others.
    SomeHostsFailed = 6,
    /// The command line cannot be understood.
    Usage = 64,
    /// The manifest is invalid.
    Manifest = 65,
}

impl Exit {
    /// The exit of many hosts, each of which ended so.
    #[must_use]
    pub fn of_hosts(hosts: &[Self]) -> Self {
        let is_done = |exit: &Self| *exit == Self::Done;
        match hosts {
            _ if hosts.iter().all(is_done) => Self::Done,
            // Something is down: nothing matters more.
            _ if hosts.contains(&Self::RolledBackUnhealthy) => Self::RolledBackUnhealthy,
            _ if hosts.iter().any(is_done) => Self::SomeHostsFailed,
            [first, ..] if hosts.iter().all(|exit| exit == first) => *first,
            _ => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::Exit::{self, Done, Failed, RolledBack, RolledBackUnhealthy, SomeHostsFailed};

    #[test]
    fn the_worst_of_many_hosts_counts() {
        for (hosts, exit) in [
            (&[Done, Done][..], Done),
            (&[Done, RolledBack], SomeHostsFailed),
            (&[RolledBack, RolledBack], RolledBack),
            (&[RolledBack, Failed], Failed),
            (&[Done, RolledBackUnhealthy], RolledBackUnhealthy),
        ] {
            assert_eq!(Exit::of_hosts(hosts), exit, "{hosts:?}");
        }
    }
}
