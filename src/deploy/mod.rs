//! How a service gets to a host: what is there is compared with what is wanted, the difference is carried over in one
//! change, and the unit file, renamed into place last, is the switch.

pub mod apply;
pub mod build;
pub mod check;
pub mod diff;
pub mod event;
pub mod loader;
pub mod machine;
pub mod plan;
pub mod program;
pub mod release;
pub mod rollout;
pub mod survey;
pub mod uninstall;

pub use self::apply::{Applied, ApplyError, Outcome};
pub use self::build::{BuildError, BuildStep};
pub use self::check::CheckError;
pub use self::event::{Event, Sink};
pub use self::plan::{Choices, Obstacle, Plan};
pub use self::release::{Payload, PrepareError, Wanted, prepare};
