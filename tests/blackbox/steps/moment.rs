//! The moments of a change, as its events tell them.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};

use serde_json::Value;

use super::super::bench::Bench;
use super::super::run::{Lines, Run};

/// A moment of a change: a step begins or has ended, for the first time or once more, as on the way back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moment {
    /// `step-began` or `step-ended`.
    pub(super) event: String,
    pub(super) step: String,
    /// Which time it is, from 1.
    pub(super) time: usize,
}

impl Moment {
    /// Awaits it.
    #[track_caller]
    pub(super) fn reach(&self, lines: &Lines) -> Vec<String> {
        let mut times = 0;
        lines.upto_one(&format!("{self:?}"), |line| {
            times += usize::from(step(line).is_some_and(|(event, step)| event == self.event && step == self.step));
            times == self.time
        })
    }
}

/// The step that a line tells of, if it does: event and id.
fn step(line: &str) -> Option<(String, String)> {
    let value: Value = serde_json::from_str(line).ok()?;
    let event = value["event"].as_str().filter(|event| event.starts_with("step-"))?;
    Some((event.to_owned(), same(value["step"].as_str()?)))
}

/// The id of a step as it is in every change: a program is another each time.
fn same(id: &str) -> String {
    let is_digest = |text: &str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match id.split_once(':') {
        Some((verb, object)) if is_digest(object) => format!("{verb}:program"),
        _ => id.to_owned(),
    }
}

/// All moments of a change, in their order. Steps that are carried out in one exchange begin and end together.
pub(super) fn all(run: &Run) -> Vec<Vec<Moment>> {
    let mut groups: Vec<Vec<Moment>> = Vec::new();
    let mut seen = Vec::new();
    let mut goes_on = false;
    for line in run.stdout.lines() {
        let Some((event, step)) = step(line) else {
            goes_on = false;
            continue;
        };
        seen.push((event.clone(), step.clone()));
        let time = seen.iter().filter(|(other, id)| *other == event && *id == step).count();
        match groups.last_mut() {
            Some(group) if goes_on && group.last().is_some_and(|last| last.event == event) => {
                group.push(Moment { event, step, time });
            }
            _ => groups.push(vec![Moment { event, step, time }]),
        }
        goes_on = true;
    }
    assert!(!groups.is_empty(), "no steps:\n{run}");
    groups
}

/// The ids of the steps that were carried out.
pub(super) fn ended(run: &Run) -> BTreeSet<String> {
    run.stdout.lines().filter_map(step).filter(|(event, _)| event == "step-ended").map(|(_, step)| step).collect()
}

/// The ids of the steps that failed.
pub(super) fn failed(said: &str) -> BTreeSet<String> {
    let values = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let failed = values.filter(|value| value["event"] == "step-ended" && value["ok"] == false);
    failed.filter_map(|value| Some(same(value["step"].as_str()?))).collect()
}

/// The ids of the steps that a plan has.
#[track_caller]
pub(super) fn planned(bench: &Bench) -> BTreeSet<String> {
    let plan = super::unitbee(bench, &["plan", "--json"]).exits(2).json();
    let steps = plan[0]["steps"].as_array().unwrap();
    steps.iter().map(|step| same(step["id"].as_str().unwrap())).collect()
}

/// Decides between two ways; the same seed decides the same.
pub(super) struct Dice {
    seed: u64,
    all: bool,
}

impl Dice {
    /// Takes the seed that somebody gave, or makes one.
    pub(super) fn new() -> Self {
        let given = std::env::var("UNITBEE_STEPS_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| RandomState::new().hash_one(0));
        Self { seed, all: std::env::var_os("UNITBEE_STEPS_ALL").is_some() }
    }

    /// What to say of a failure, so that it can be repeated.
    pub(super) fn words(&self) -> String {
        format!("UNITBEE_STEPS_SEED={}", self.seed)
    }

    /// The moments at which a change is interrupted. Each step is in one of them, each time that it is carried out: what
    /// begins together ends together, and one of both is taken.
    pub(super) fn pick(&self, groups: &[Vec<Moment>]) -> Vec<Moment> {
        let mut state = self.seed;
        let mut picked = Vec::new();
        let key = |moment: &Moment| (moment.step.clone(), moment.time);
        let mut left: BTreeSet<_> = groups.iter().flatten().map(key).collect();
        for group in groups {
            let ends = group.iter().any(|moment| moment.event == "step-ended");
            let is_last = ends && group.iter().any(|moment| left.contains(&key(moment)));
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if self.all || is_last || (!ends && state >> 63 == 0) {
                picked.extend(group.last().cloned());
                left.retain(|step| !group.iter().any(|moment| key(moment) == *step));
            }
        }
        assert!(left.is_empty(), "never interrupted: {left:?}");
        picked
    }
}
