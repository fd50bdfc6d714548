//! Takes back what a change kept of edits, where the release that they were kept with gives way to the one before: that
//! one ran without them.

use super::error::ApplyError;
use super::plan::Plan;
use super::step::{Action, Step};
use crate::host::{Answer, Ask, Batch, Content, Facts, Host, HostPath, Put, Query};
use crate::service::record::Record;
use crate::supervisor::layout;
use crate::supervisor::systemd::drop_in;

/// An edit that is taken back.
pub(super) struct Unkept {
    pub(super) unit: String,
    /// What takes it out of the drop-in, and puts it where no manager reads it.
    pub(super) step: Step,
    /// What is to be said of it.
    pub(super) note: String,
}

/// Finds what was kept with these releases.
pub(super) async fn find(
    host: &dyn Host,
    facts: &Facts,
    releases: &[(String, u32)],
) -> Result<Vec<Unkept>, ApplyError> {
    let ask = |(unit, release): &(String, u32)| {
        [layout::kept_drop_in(unit), layout::release_spec(unit, *release)].map(Ask::File)
    };
    let answers = host.query(&Query { asks: releases.iter().flat_map(ask).collect() }).await?.answers;
    let unkept = |((unit, release), answers): (&(String, u32), &[Answer])| {
        let [Answer::File(Some(file)), Answer::File(Some(record))] = answers else { return None };
        let made_usec = Record::parse(&record.content).ok()?.origin?.usec;
        let kept_at = drop_in::kept_at(*release, made_usec);
        let (rest, taken) = drop_in::without(std::str::from_utf8(&file.content).ok()?, &kept_at)?;
        let put = |path, text: &str| Put { path, mode: 0o644, content: Content::Bytes(text.as_bytes().to_vec()) };
        let (path, aside) = (layout::kept_drop_in(unit), layout::failed_drop_in(unit));
        let note = format!("unitbee: what was kept of the edit is now in {}", absolute(&aside, facts));
        let mut batch = Batch { puts: vec![put(aside, taken)], ..Batch::default() };
        if rest.is_empty() {
            batch.removes.push(path);
        } else {
            batch.puts.push(put(path, rest));
        }
        let does = format!("take back what was edited in the unit file of {unit}");
        Some(Unkept { unit: unit.clone(), step: Step::on("unkeep", unit, does, Action::Files(batch)), note })
    };
    Ok(releases.iter().zip(answers.chunks(2)).filter_map(unkept).collect())
}

/// Adds to a plan that goes back what takes these edits back. Their units are started anew: what runs has them.
pub(super) fn add(plan: &mut Plan, unkept: &[Unkept]) {
    let at = usize::from(!plan.prepare.is_empty());
    let _ = plan.prepare.splice(at..at, unkept.iter().map(|unkept| unkept.step.clone())).count();
    for lane in plan.waves.iter_mut().flat_map(|wave| &mut wave.lanes) {
        let unit = lane.spec.unit.as_str();
        let is_launched = lane.steps.iter().any(|step| matches!(step.action, Action::Launch { .. }));
        if !is_launched && unkept.iter().any(|unkept| unkept.unit == unit) {
            let replaces = Some(lane.spec.stop.clone());
            let does = format!("restart {unit}: what was edited is taken back");
            lane.steps.insert(0, Step::on("replace", unit, does, Action::Launch { replaces }));
        }
    }
}

fn absolute(path: &HostPath, facts: &Facts) -> String {
    layout::absolute(path, facts).unwrap_or_else(|| path.rel.clone()).into_string()
}
