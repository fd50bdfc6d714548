//! unitbee: one manifest; each machine's own supervisor.
//!
//! ```text
//! manifest ─► spec ─► render ─► plan ─► apply ─► supervisor ─► status
//!  (TOML)    (valid)  (bytes)  (diff)  (host)    (D-Bus …)    (state + flags)
//! ```

pub mod cli;
pub mod deploy;
pub mod host;
pub mod lifecycle;
pub mod observe;
pub mod service;
pub mod supervisor;
