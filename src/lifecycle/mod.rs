//! How a service lives: started and proven healthy, ended and proven gone.
//!
//! A start is done when the *new* process answers ([`gate`]); a stop is done when nothing of the service is left
//! ([`stop`]). Neither is a matter of waiting and hoping: each step has a deadline and says which one ended it.

pub mod daemon;
mod ensure;
mod error;
pub mod gate;
pub mod health;
pub mod http;
mod listener;
mod replace;
pub mod service;
pub mod stop;

pub use self::daemon::{DaemonError, DaemonManager, Operation};
pub use self::ensure::{Ensured, ensure_daemon_running};
pub use self::error::LifecycleError;
pub(crate) use self::error::joined;
pub use self::gate::GateError;
pub use self::health::poll_until_healthy;
pub use self::replace::Launch;
pub use self::service::Service;
pub use self::stop::{Stopped, StoppedBy, graceful_shutdown, graceful_shutdown_by_pid};
