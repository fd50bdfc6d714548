//! What is wanted: the manifest as written, and the units that it asks for.
//!
//! Nothing here knows of hosts or supervisors: text and specs go in, specs and bytes come out.

pub mod build;
pub mod escape;
pub mod journal;
pub mod manifest;
pub mod name;
pub mod record;
pub mod render;
pub mod secret;
pub mod spec;
pub mod target;
pub mod url;
