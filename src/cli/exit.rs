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
    /// Failed on some hosts, done on others.
    SomeHostsFailed = 6,
    /// The command line cannot be understood.
    Usage = 64,
    /// The manifest is invalid.
    Manifest = 65,
}

impl Exit {
    /// The exit of many hosts: `failed` of them failed, of `all`.
    #[must_use]
    pub fn of_hosts(failed: usize, all: usize) -> Self {
        match failed {
            0 => Self::Done,
            _ if failed < all => Self::SomeHostsFailed,
            _ => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
