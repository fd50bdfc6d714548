//! build, rebuild.

use std::io::Write;

use anyhow::Result;
use serde_json::{Value, json};

use super::super::args::{Apply, Global, Services};
use super::super::exit::Exit;
use super::super::fault;
use super::super::output::Output;
use super::super::output::progress::{Progress, note};
use super::super::work;
use super::apply;
use crate::deploy::build::{BuildError, BuildStep, steps};

/// `build`.
pub async fn build(global: &Global, services: &Services, output: Output) -> Result<Exit> {
    let (exit, built) = all(global, services, output).await?;
    if built == 0 && exit == Exit::Done && !output.json {
        note("nothing to build: no selected service has a `build` command");
    }
    Ok(exit)
}

/// `rebuild`.
pub async fn rebuild(global: &Global, args: &Apply, output: Output) -> Result<Exit> {
    match all(global, &args.converge.services, output).await? {
        (Exit::Done, _) => apply::apply_all(global, args, output).await,
        (exit, _) => Ok(exit),
    }
}

/// Runs the build commands of the selected services, one after the other; returns how many succeeded.
async fn all(global: &Global, services: &Services, output: Output) -> Result<(Exit, usize)> {
    let manifest = work::manifest(global).await?;
    let work = manifest.select(&services.services, &global.hosts)?;
    let units: Vec<_> = work.into_iter().flat_map(|work| work.units).map(|spec| spec.unit).collect();
    let steps = steps(&manifest, &units);
    let progress = Progress::new(output);
    for (done, step) in steps.iter().enumerate() {
        let name = step.services.join(", ");
        progress.begin(&name, &format!("building: {}", step.command), &event(step, "building", json!({})));
        match step.run(&manifest.dir).await {
            Ok(took) => {
                let line = format!("built in {:.1} s", took.as_secs_f64());
                progress.done(&name, &line, &event(step, "built", json!({ "after_ms": took.as_millis() })));
            }
            Err(error) => {
                failed(step, error, &progress, output);
                return Ok((Exit::Failed, done));
            }
        }
    }
    Ok((Exit::Done, steps.len()))
}

/// Shows all that a command said, and then why that was no success.
fn failed(step: &BuildStep, error: BuildError, progress: &Progress, output: Output) {
    let said = match &error {
        BuildError::Failed { output, .. } => output.clone(),
        BuildError::NotRun { .. } => Vec::new(),
    };
    let error = anyhow::Error::from(error);
    let mut told = fault::value(&error);
    if let Value::Object(fields) = &mut told {
        fields.insert("output".to_owned(), json!(String::from_utf8_lossy(&said)));
    }
    progress.failed(&step.services.join(", "), &event(step, "build-failed", told));
    if output.json {
        return;
    }
    let mut stderr = anstream::stderr().lock();
    let end: &[u8] = if said.is_empty() || said.ends_with(b"\n") { b"" } else { b"\n" };
    // Who closed standard error does not want to know.
    stderr.write_all(&said).and_then(|()| stderr.write_all(end)).ok();
    drop(stderr);
    let color = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    note(fault::text(&error, color).trim_end());
}

/// An event of a step, for machines.
fn event(step: &BuildStep, event: &str, mut more: Value) -> Value {
    if let Value::Object(fields) = &mut more {
        fields.insert("event".to_owned(), json!(event));
        fields.insert("services".to_owned(), json!(step.services));
        fields.insert("command".to_owned(), json!(step.command));
    }
    more
}
