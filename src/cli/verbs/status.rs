//! status.

use anyhow::Result;
use serde_json::{Value, json};

use super::super::args::{Global, Services};
use super::super::exit::Exit;
use super::super::output::progress::note;
use super::super::output::{Output, table};
use super::super::work::{self, Job};
use super::{failure, report};
use crate::deploy::rollout;
use crate::host::printable;
use crate::observe::{self, UnitReport};
use crate::supervisor::Choice;

/// `status`.
pub async fn status(global: &Global, args: &Services, output: Output) -> Result<Exit> {
    show(work::of_all_installed(global, args).await?, output).await
}

/// Shows how the units of `jobs` are.
pub(super) async fn show(jobs: Vec<Job>, output: Output) -> Result<Exit> {
    let fates = rollout::each(jobs, |job| async move {
        let rows = observe::status(&job.host, &job.subjects, job.supervisor).await.map_err(anyhow::Error::from);
        (job.host, rows)
    })
    .await;
    let rows: Vec<&UnitReport> = fates.iter().filter_map(|(_, rows)| rows.as_ref().ok()).flatten().collect();
    if output.json {
        let mut values: Vec<Value> = rows.iter().map(|row| json!(row)).collect();
        for (host, fate) in &fates {
            values.extend(fate.as_ref().err().map(|error| failure(host.as_ref(), error)));
        }
        output.document(&values)?;
    } else if !rows.is_empty() {
        output.text(&table::status(&rows, width()))?;
    }
    if output.verbose > 0 {
        let mut last = None;
        for row in &rows {
            let (Some(manager), Some(transport)) = (row.manager, row.transport) else { continue };
            if last.replace(&row.host) == Some(&row.host) {
                continue;
            }
            let choice = Choice { manager, why: row.because };
            note(&format!("{}: {manager} over {transport}, {choice}", printable(row.host.as_bytes())));
        }
    }
    let all_good = rows.iter().all(|row| row.is_good());
    Ok(match report(output, &fates) {
        Exit::Done if !all_good => Exit::NotRunning,
        exit => exit,
    })
}

/// Columns of the terminal; a pipe has no end to its lines.
fn width() -> Option<u16> {
    use std::io::IsTerminal;
    if !std::io::stdout().is_terminal() {
        return None;
    }
    console_width()
}

fn console_width() -> Option<u16> {
    rustix::termios::tcgetwinsize(std::io::stdout()).ok().map(|size| size.ws_col).filter(|columns| *columns > 0)
}
