//! How a service gets to a host: what is there is compared with what is desired, and the difference is a list of steps.
//! One executor carries them out, for apply, rollback and uninstall alike; the unit file, renamed into place, is the
//! switch.

pub mod apply;
pub mod audit;
pub mod build;
pub mod change;
pub mod check;
mod converge;
pub mod desired;
pub mod diff;
pub mod error;
pub mod event;
mod execute;
pub mod history;
pub mod journal;
mod limits;
pub mod loader;
pub mod machine;
pub mod plan;
pub mod prepare;
pub mod program;
pub mod prune;
mod recover;
pub mod release;
mod retreat;
pub mod rollback;
pub mod rollout;
pub mod step;
pub mod survey;
pub mod uninstall;
mod unkeep;
pub mod verb;

pub use self::apply::{Applied, ApplyRequest, First, OnFailure};
pub use self::build::{BuildError, BuildStep};
pub use self::change::Change;
pub use self::check::CheckError;
pub use self::desired::Desired;
pub use self::error::{ApplyError, Failure, Now};
pub use self::event::{Event, Sink};
pub use self::plan::{ApplyOptions, DropIn, Obstacle, Plan, Project};
pub use self::prepare::{Payload, PrepareError, prepare};
