//! The verbs, one function each.

pub mod apply;
pub mod build;
mod confirm;
pub mod demo;
pub mod files;
pub mod lifecycle;
pub mod logs;
pub mod plan;
pub mod releases;
pub mod status;
pub mod uninstall;

use std::sync::Arc;

use anyhow::Result;
use serde_json::{Value, json};

use super::exit::Exit;
use super::fault;
use super::output::{Output, progress::note};
use crate::host::{Host, printable};

/// How one host fared.
type HostResult<T> = (Arc<dyn Host>, Result<T>);

/// Prints the errors of hosts that failed, and finds the exit.
fn report<T>(output: Output, fates: &[HostResult<T>]) -> Exit {
    let failed = fates.iter().filter(|(_, fate)| fate.is_err()).count();
    let exits: Vec<Exit> = fates.iter().map(|(_, fate)| fate.as_ref().err().map_or(Exit::Done, fault::exit)).collect();
    if !output.json {
        for (host, fate) in fates {
            if let Err(error) = fate {
                let color = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
                note(&format!("{}: {}", printable(host.name().as_bytes()), fault::text(error, color).trim_end()));
            }
        }
        if failed > 0 && fates.len() > 1 {
            note(&format!("{failed} of {} hosts failed", fates.len()));
        }
    }
    if output.verbose > 0 {
        for (host, _) in fates {
            exchanges(host.as_ref());
        }
    }
    Exit::of_hosts(&exits)
}

/// Tells how often a host was asked, for `-v`.
fn exchanges(host: &dyn Host) {
    let count = super::output::plural(host.exchanges() as usize, "exchange");
    note(&format!("{}: {count}", printable(host.name().as_bytes())));
}

/// What a host that failed looks like to machines.
fn failure(host: &dyn Host, error: &anyhow::Error) -> Value {
    let mut value = fault::value(error);
    if let Value::Object(fields) = &mut value {
        fields.insert("host".to_owned(), json!(host.name()));
        fields.insert("outcome".to_owned(), json!("failed"));
    }
    value
}
