//! systemd's user manager on real hosts: every verb over every way to reach it, and what is said where there is none.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::disallowed_methods, reason = "a test runs programs and reads files itself")]

mod here;
#[path = "../support/lab.rs"]
mod lab;
mod manager;
mod persistence;
mod site;
mod trouble;
#[path = "../support/user.rs"]
mod user;
mod verbs;
