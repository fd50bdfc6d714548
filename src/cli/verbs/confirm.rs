//! The question before a verb ends everything that a manifest names.

use std::io::{self, BufRead, IsTerminal, Write};

use super::super::args::{Confirm, Services};
use super::super::output::plural;
use super::super::output::progress::note;
use super::super::work::Job;
use crate::host::printable;

/// Tells whether `verb` may go on with `jobs`. Who names units is sure, and where nobody sits at a terminal nobody is asked.
pub(super) fn is_confirmed(verb: &str, jobs: &[Job], services: &Services, confirm: Confirm) -> bool {
    let units = jobs.iter().map(|job| job.subjects.len()).sum();
    let is_asked = services.services.is_empty() && units > 0 && !confirm.yes;
    if !is_asked || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return true;
    }
    let place = match jobs {
        [job] => printable(job.host.name().as_bytes()),
        _ => plural(jobs.len(), "host"),
    };
    write!(anstream::stderr(), "{verb} {} on {place}? [y/N] ", plural(units, "unit")).ok();
    let mut answer = String::new();
    let is_read = io::stdin().lock().read_line(&mut answer).is_ok();
    let is_yes = is_read && ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str());
    if !is_yes {
        note("nothing was changed");
    }
    is_yes
}
