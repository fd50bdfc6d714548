//! launchd, the supervisor of a Mac: what its `launchctl` says of a job.

pub mod log;
pub mod print;
mod reason;
mod state;

pub use self::state::unit_status;
