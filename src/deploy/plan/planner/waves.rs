//! Puts what happens to each unit together: which units change at the same time, and which steps come when.

use std::sync::Arc;

use super::super::super::desired::Desired;
use super::super::super::step::{Action, Step, StepId};
use super::super::{Lane, Obstacle, Plan, Wave, WayBack, is_empty, retention};
use super::Planner;
use crate::service::spec::{Stop, UnitSpec};
use crate::supervisor::SupervisorKind;

/// What happens to one unit, before it is known with which others.
pub(super) struct UnitPlan {
    pub(super) spec: Arc<UnitSpec>,
    pub(super) release: u32,
    /// Steps before it is started.
    pub(super) shared: Vec<Step>,
    pub(super) enable: bool,
    pub(super) launch: Option<Launch>,
    /// Whether its release has to pass the gate although nothing is started.
    pub(super) unproven: bool,
    pub(super) way_back: WayBack,
    /// Whether its release passed a gate before.
    pub(super) is_proven: bool,
}

/// How a unit is started.
pub(super) struct Launch {
    /// How what runs now is stopped; absent where nothing is to be stopped.
    pub(super) replaces: Option<Stop>,
    pub(super) why: String,
}

impl Planner<'_> {
    /// Puts the units together into waves, and everything into its order.
    pub(super) fn finish(
        mut self,
        host: &str,
        desired: &[Desired],
        units: Vec<UnitPlan>,
        slices: Vec<Step>,
    ) -> Result<Plan, Vec<Obstacle>> {
        let (observed, options) = (self.observed, self.options);
        let manager = observed.choice.manager;
        let changes: Vec<String> = units.iter().map(|unit| unit.spec.unit.to_string()).collect();
        let stays =
            |desired: &&Desired| !units.iter().any(|unit| unit.launch.is_some() && unit.spec.unit == desired.spec.unit);
        let stay: Vec<Arc<UnitSpec>> = desired.iter().filter(stays).map(|it| Arc::new(it.spec.clone())).collect();
        let mut waves: Vec<Wave> = in_waves(units).into_iter().map(|units| self.wave(units)).collect();
        if self.reload && waves.is_empty() {
            waves.push(Wave::default());
        }
        if let Some(wave) = waves.first_mut()
            && self.reload
        {
            // What was read is held to what runs; a slice counts for all of its units.
            wave.shared.extend(Self::reload_step(&wave.shared));
            if manager == SupervisorKind::Systemd && !stay.is_empty() {
                let does = "hold what runs to its limits";
                wave.shared.push(Step::new(StepId::only("limits"), does, Action::HoldLimits(stay)));
            }
        }
        let linger = manager == SupervisorKind::Systemd
            && observed.facts.systemd
            && !observed.facts.linger
            && !(options.transient && observed.has_answered());
        let ships = std::mem::take(&mut self.ships).into_values();
        let checks = std::mem::take(&mut self.checks).into_iter().map(|check| {
            let unit = check.unit.clone();
            Step::on("check", &unit, format!("check {unit}: `{check}`"), Action::Check(Box::new(check)))
        });
        let mut prepare: Vec<Step> = ships.chain(checks).collect();
        prepare.append(&mut self.releases);
        prepare.extend(slices);
        prepare.append(&mut self.staged);
        if linger {
            let does = "switch linger on, so that services outlive the last session and start at boot";
            prepare.push(Step::new(StepId::only("linger"), does, Action::Linger));
        }
        let mut finish: Vec<Step> = Vec::new();
        let (pruned, what) = retention::prune(&self.outdated, &self.spent, &mut self.refs);
        if !is_empty(&pruned) {
            finish.push(Step::new(StepId::only("prune"), what, Action::Files(pruned)));
        }
        let mut plan = Plan {
            host: host.to_owned(),
            manager: Some(manager),
            because: observed.choice.why,
            prepare,
            waves,
            finish,
            drop_ins: self.drop_ins(desired),
            orphans: self.orphans(),
            drifts: std::mem::take(&mut self.drifts),
            abandoned: std::mem::take(&mut self.abandoned),
            spent: std::mem::take(&mut self.spent),
            entries: std::mem::take(&mut self.entries),
            notes: Vec::new(),
        };
        self.check_root(desired, &plan);
        self.check_places(desired, &plan);
        plan.notes = self.notes.lines();
        // What only changes the manager's own settings leaves nothing that could be half-done.
        if !changes.is_empty() || plan.prepare.iter().any(|step| matches!(step.action, Action::Files(_))) {
            let open = Step::new(StepId::only("journal"), "open the journal", Action::OpenJournal);
            plan.prepare.insert(0, open);
            plan.finish.push(Step::new(StepId::only("close"), "close the journal", Action::CloseJournal));
        }
        if self.obstacles.is_empty() { Ok(plan) } else { Err(self.obstacles) }
    }

    /// One wave of units that change together.
    fn wave(&self, units: Vec<UnitPlan>) -> Wave {
        let mut wave = Wave::default();
        let mut enable = Vec::new();
        for unit in units {
            let name = unit.spec.unit.as_str();
            wave.shared.extend(unit.shared);
            if unit.enable {
                enable.push(Step::on("enable", name, format!("enable {name}"), Action::Enable));
            }
            let mut steps = Vec::new();
            if let Some(launch) = unit.launch {
                let verb = if launch.replaces.is_some() { "replace" } else { "start" };
                let word = if launch.replaces.is_some() { "restart" } else { "start" };
                let does = format!("{word} {name}: {}", launch.why);
                steps.push(Step::on(verb, name, does, Action::Launch { replaces: launch.replaces }));
            } else if !unit.unproven {
                continue;
            }
            steps.push(Step::on("gate", name, gate_words(&unit.spec), Action::Gate));
            let accept = retention::accept(name, unit.release, self.observed.facts.now_usec);
            let accept = Step::on("accept", name, format!("accept release {} of {name}", unit.release), accept);
            wave.lanes.push(Lane {
                release: unit.release,
                way_back: unit.way_back,
                is_proven: unit.is_proven,
                steps,
                accept,
                spec: unit.spec,
            });
        }
        let has_enabled = !enable.is_empty() && self.reloads();
        wave.shared.extend(enable);
        if has_enabled || wave.shared.iter().any(|step| is_switch(step) && self.reloads() || is_take(step)) {
            wave.shared.extend(Self::reload_step(&wave.shared));
        }
        wave
    }

    /// The step by which managers read their unit files again, unless the steps so far end with it.
    fn reload_step(so_far: &[Step]) -> Option<Step> {
        let is_last = so_far.last().is_some_and(|step| matches!(step.action, Action::Reload));
        let step = || Step::new(StepId::only("reload"), "have the manager read its unit files again", Action::Reload);
        (!is_last).then(step)
    }
}

impl UnitPlan {
    /// Whether nothing happens to the unit.
    pub(super) fn is_nothing(&self) -> bool {
        self.shared.is_empty() && !self.enable && self.launch.is_none() && !self.unproven
    }

    /// Whether others wait until it is up again: so they go on serving.
    fn takes_turns(&self) -> bool {
        self.launch.as_ref().is_some_and(|launch| launch.replaces.is_some())
            || self.shared.iter().any(|step| matches!(step.action, Action::Leave { .. }))
    }
}

/// Units that change together: those that replace nothing all at once and first, then those that do, so many of a service
/// at a time as it allows.
fn in_waves(units: Vec<UnitPlan>) -> Vec<Vec<UnitPlan>> {
    let (turns, first): (Vec<_>, Vec<_>) = units.into_iter().partition(UnitPlan::takes_turns);
    let mut waves: Vec<Vec<UnitPlan>> = if first.is_empty() { Vec::new() } else { vec![first] };
    let fixed = waves.len();
    for unit in turns {
        let at_once = usize::try_from(unit.spec.parallel).unwrap_or(usize::MAX);
        let fits = |wave: &&mut Vec<UnitPlan>| {
            wave.len() < at_once && wave.first().is_some_and(|other| other.spec.service == unit.spec.service)
        };
        match waves.get_mut(fixed..).and_then(<[_]>::last_mut).filter(fits) {
            Some(wave) => wave.push(unit),
            None => waves.push(vec![unit]),
        }
    }
    waves
}

fn gate_words(spec: &UnitSpec) -> String {
    let unit = &spec.unit;
    match spec.health.as_ref().and_then(|health| Some((health.url.as_ref()?, health.within))) {
        Some((url, within)) => format!("wait until {unit} is healthy: {url} within {within:?}"),
        None => format!("wait until {unit} runs and stays up"),
    }
}

fn is_switch(step: &Step) -> bool {
    step.id.verb() == "switch"
}

fn is_take(step: &Step) -> bool {
    step.id.verb() == "take"
}
