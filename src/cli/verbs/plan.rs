//! plan.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::super::args::{Converge, Global};
use super::super::exit::Exit;
use super::super::output::Output;
use super::super::work;
use super::{HostResult, apply, failure, report};
use crate::deploy::apply::preview;
use crate::deploy::{ApplyOptions, Plan, rollout};
use crate::host::printable;

/// `plan`.
pub async fn plan(global: &Global, args: &Converge, output: Output) -> Result<Exit> {
    let jobs = apply::prepared(work::of_manifest(global, &args.services).await?).await?;
    let who = work::Who::here();
    let plans: Vec<HostResult<Plan>> = rollout::each(jobs, |(job, desired)| {
        let who = &who;
        async move {
            let options = ApplyOptions { take: args.take, keep: args.keep, preview: true, ..ApplyOptions::default() };
            let request = apply::request(&job, &desired, &options, who.change("plan", Duration::ZERO, &job));
            let plan = preview(&job.host, &request, &|_| ()).await.map_err(anyhow::Error::from);
            (job.host, plan)
        }
    })
    .await;
    let is_pending = |plan: &Plan| !plan.is_empty() || !plan.drifts.is_empty() || !plan.orphans.is_empty();
    let pending = plans.iter().any(|(_, plan)| plan.as_ref().is_ok_and(is_pending));
    if output.json {
        let values: Vec<Value> = plans
            .iter()
            .map(|(host, plan)| match plan {
                Ok(plan) => json!(plan),
                Err(error) => failure(host.as_ref(), error),
            })
            .collect();
        output.document(&values)?;
    } else {
        for (host, plan) in &plans {
            let Ok(plan) = plan else { continue };
            let name = printable(host.name().as_bytes());
            let text = if is_pending(plan) {
                format!("{name}: would change\n{}", indented(&printable(plan.to_string().as_bytes())))
            } else {
                let drop_ins = plan.drop_ins.iter().fold(String::new(), |text, one| format!("{text}{one}\n"));
                format!("{name}: nothing to do\n{}", indented(&printable(drop_ins.as_bytes())))
            };
            output.text(&text)?;
        }
    }
    Ok(match report(output, &plans) {
        Exit::Done if pending => Exit::Pending,
        exit => exit,
    })
}

fn indented(text: &str) -> String {
    text.lines().fold(String::new(), |text, line| text + "  " + line + "\n")
}
