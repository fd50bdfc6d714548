//! How services are: what the supervisor says, checked against what the host's files and cgroups say.

pub mod flags;
pub mod logs;
pub mod status;

pub use self::status::{ObserveError, UnitRef, UnitReport, status};
