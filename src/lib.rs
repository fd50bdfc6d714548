//! unitbee: one manifest; each machine's own supervisor.
//!
//! ```text
//! manifest ─► spec ─► render ─► plan ─► apply ─► supervisor ─► status
//!  (TOML)    (valid)  (bytes)  (diff)  (host)    (D-Bus …)    (state + flags)
//! ```
//!
//! # How it works
//!
//! A *service* on a *host* is run by a *supervisor*; it has a *lifecycle*, is *deployed* and *observed*; the *cli* shows it.
//! Each of these words is a module, and each uses only those below it:
//!
//! ```text
//! cli
//! deploy
//! lifecycle   observe
//! supervisor
//! service     host
//! ```
//!
//! - [`service`] is pure: a manifest becomes valid specs or a list of every mistake in it, a spec becomes bytes.
//! - [`host`] is the only place that starts programs, touches files and opens sockets, here or over SSH.
//! - [`supervisor`] is the only place that knows systemd, launchd, and the runner for hosts without either. It is asked and told; a
//!   process is never known by a number alone.
//! - [`lifecycle`] starts a service until the *new* process is healthy, and ends one until nothing of it is left.
//! - [`deploy`] compares what is desired with what is there. The difference is a plan, a list of steps: what `plan` prints
//!   is what `apply` does. One executor carries steps out, forward and back.
//! - [`observe`] tells how services are, and what about them is odd.
//!
//! # Guarantees
//!
//! - What runs gets the arguments and the environment that the manifest names, byte for byte, or the manifest is refused.
//! - Nothing on a host is ever half-written: programs and releases are new files, and the unit file, renamed into place,
//!   is the switch.
//! - A release counts when it has passed its gate. One that does not gives way to the release before, by the same steps.
//! - Whatever ends a change in the middle, the old or the new release runs whole, and the next change finishes the rest.
//! - Whatever becomes of unitbee or the network while a service is replaced, the host finishes alone, and the service runs.
//! - A file that unitbee did not write is never changed or removed.
//! - An apply that changes nothing writes nothing, reloads nothing, restarts nothing.
//! - Secrets are in one file of mode 0600 for each release that is kept and in the environment of the process, and nowhere
//!   else.
//!
//! # Use as a library
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use unitbee::host::{self, Query};
//! use unitbee::supervisor::Supervisor;
//!
//! let host = host::open("gpu1", "bee@gpu1", &host::Options::default());
//! let facts = host.query(&Query::default()).await?.facts;
//! let supervisor = Supervisor::connect(host.clone(), &facts).await?;
//! let status = supervisor.status_of("llm-8080").await?;
//! assert!(status.installed, "{:?}", status.state);
//! # Ok(())
//! # }
//! ```

pub mod cli;
pub mod deploy;
pub mod host;
pub mod lifecycle;
pub mod observe;
pub mod service;
pub mod supervisor;
