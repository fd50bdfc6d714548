//! Who runs a service: the only place that knows systemd, launchd and the runner.

pub mod status;

pub use self::status::{Flag, FlagKind, State, UnitStatus};
