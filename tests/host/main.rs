//! Hosts: this machine, and one behind a real sshd on loopback.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::disallowed_methods, reason = "a test runs programs and reads files itself")]
#![expect(clippy::print_stderr, reason = "what a test says must be seen")]
#![expect(clippy::duration_suboptimal_units, reason = "seconds are easier to compare")]

mod appends;
mod changes;
mod fences;
mod forwarding;
mod hostile;
mod kept;
mod lab;
mod leftovers;
mod locks;
mod mac;
mod programs;
mod questions;
#[path = "../support/skip.rs"]
mod skip;
mod ssh;
mod world;
