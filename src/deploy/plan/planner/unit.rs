//! What happens to one unit whose release changes, or that does not run as it should.

use std::sync::Arc;

use camino::Utf8Path;

use super::super::super::check::Check;
use super::super::super::desired::{DefinitionSource, Desired, EnvSource};
use super::super::super::diff::{self, Difference};
use super::super::super::release::{ReleaseFound, sha256};
use super::super::super::step::{Action, FileChange, Step, StepId};
use super::super::super::survey::{ProgramFound, UnitObserved};
use super::super::{WayBack, retention};
use super::waves::{Launch, UnitPlan};
use super::{Draft, Installed, Planner, files};
use crate::host::{Batch, Content, HostPath, Put};
use crate::service::record::Record;
use crate::service::render::header;
use crate::service::render::runner::PROGRAM;
use crate::supervisor::{State, SupervisorKind, UnitFileKind, layout};

impl<'a> Planner<'a> {
    /// Plans everything that puts a draft into effect.
    pub(super) fn change(
        &mut self,
        desired: &Desired,
        found: &'a UnitObserved,
        installed: Option<&Installed<'_>>,
        keep: Option<Step>,
        mut draft: Draft,
    ) -> UnitPlan {
        let unit = desired.unit();
        let release = draft.record.release;
        let secrets_changed = Self::secrets_change(desired, found, &draft);
        let old = found.file.as_ref().map(|file| header::body(&file.content));
        let new = header::body(&draft.rendered.bytes);
        let manager = self.observed.choice.manager;
        let why = match old {
            None => Some("it is new".to_owned()),
            Some(_) if secrets_changed => Some("its secrets changed".to_owned()),
            // What runs may be as it was written, or as it was edited.
            Some(edited) if keep.is_some() => {
                let written = found.original.as_deref().map_or(edited, header::body);
                let by_edit = || diff::needs_restart(manager, written, edited);
                let why = diff::needs_restart(manager, written, new).map(|key| format!("{key} changed"));
                why.or_else(|| by_edit().map(|key| format!("{key} was edited by hand")))
            }
            Some(old) => diff::needs_restart(manager, old, new).map(|key| format!("{key} changed")),
        };
        if let (None, Some(previous)) = (&why, &found.record) {
            draft.record.starts_after_usec = previous.starts_after_usec;
        }
        if let DefinitionSource::Render = desired.definition {
            self.ship(desired, found, release);
            self.check(desired, &draft.record.program);
            self.release(desired, found, installed, &draft, secrets_changed);
            self.prune(desired, found, release);
        }
        self.tidy(unit, found, release);
        self.note_all(desired, &draft.rendered.notes);
        self.reload |= self.reloads();
        let is_edited = keep.is_some();
        let mut shared = Self::leave(desired, found);
        shared.extend(keep);
        let kind = self.kind(desired);
        let path = kind.path(unit);
        let change = FileChange { path: self.absolute(&path), difference: Difference::between(old, new) };
        let definition = Put { path, mode: 0o644, content: Content::Bytes(std::mem::take(&mut draft.rendered.bytes)) };
        let record = Content::Bytes(draft.record.to_bytes());
        let mut own = vec![Put { path: layout::current_spec(unit), mode: 0o644, content: record }];
        let does = format!("switch {unit} to release {release}");
        if kind.needs_root() {
            let batch = Batch { puts: vec![definition], ..Batch::default() };
            let stage = Action::StagePrivileged(batch.clone());
            self.staged.push(Step::on("stage", unit, format!("bring the unit file of {unit} to the host"), stage));
            shared.push(Step::on("record", unit, format!("record release {release} of {unit}"), files(own)));
            shared.push(Step::on("switch", unit, does, Action::Privileged(batch)).changing(vec![change]));
        } else {
            // The unit file is what switches, so it comes after all that it points to.
            own.push(definition);
            shared.push(Step::on("switch", unit, does, files(own)).changing(vec![change]));
        }
        shared.extend(Self::take_away(unit, found));
        let record = draft.record;
        let planned = self.keep_running(desired, found, &record, why, shared);
        // Where an edit comes into effect too, it may be that and not the release which does not pass.
        UnitPlan { is_proven: planned.is_proven || is_edited, ..planned }
    }

    /// Plans which releases are too many when `release` has passed its gate.
    pub(super) fn prune(&mut self, desired: &Desired, found: &UnitObserved, release: u32) {
        let outdated = retention::outdated(desired.spec.keep, &found.releases, release);
        self.outdated.entry(desired.unit().to_owned()).or_default().extend(outdated);
    }

    /// Plans that what changes of a unit which died have left beside its release `next` goes too.
    pub(super) fn tidy(&mut self, unit: &str, found: &UnitObserved, next: u32) {
        if self.options.keep_abandoned {
            return;
        }
        let abandoned = retention::abandoned(&found.releases, &self.observed.refs, unit, next);
        self.abandoned.extend(abandoned.iter().map(|release| (unit.to_owned(), *release)));
        let outdated = self.outdated.entry(unit.to_owned()).or_default();
        outdated.extend(abandoned);
        let spent = retention::spent(&found.releases, Some(next)).into_iter();
        self.spent.extend(spent.filter(|number| !outdated.contains(number)).map(|number| (unit.to_owned(), number)));
    }

    /// Whether the secrets of a draft are others than those in effect.
    fn secrets_change(desired: &Desired, found: &UnitObserved, draft: &Draft) -> bool {
        let current = found.record.as_ref().and_then(|record| found.releases.get(&record.release));
        let current = current.and_then(|release| release.env.clone());
        let new = match &desired.env {
            EnvSource::New(_) => draft.env.as_deref().map(sha256),
            EnvSource::Keep(release) => found.releases.get(release).and_then(|release| release.env.clone()),
        };
        current != new
    }

    /// Plans what brings the programs of a release to the host.
    fn ship(&mut self, desired: &Desired, found: &UnitObserved, release: u32) {
        let put_program = |path: HostPath, content, mode, sha256: &str| {
            // The mark first: whatever becomes of the program, it is then found by who tidies up.
            let mark = layout::reference(sha256, desired.unit(), release);
            vec![Put { path: mark, mode: 0o644, content: Content::Bytes(Vec::new()) }, Put { path, mode, content }]
        };
        if let (Some(payload), ProgramFound::Store(false)) = (desired.payload(), &found.program) {
            let path = layout::program(&payload.sha256, &payload.name);
            let (from, to) = (&payload.path, self.absolute(&path));
            let does = format!("ship {from} to {to} ({} bytes)", payload.len);
            let content = Content::File { path: from.clone(), len: payload.len, sha256: payload.sha256.clone() };
            let puts = put_program(path.clone(), content, 0o755, &payload.sha256);
            let id = StepId::new("ship", payload.sha256.get(..12).unwrap_or_default());
            self.ships.entry(path).or_insert_with(|| Step::new(id, does, files(puts)));
        }
        if self.observed.choice.manager == SupervisorKind::Runner && !self.observed.has_runner {
            let path = layout::runner_program();
            let content = Content::Bytes(PROGRAM.text.clone().into_bytes());
            let puts = put_program(path.clone(), content, 0o644, &PROGRAM.sha256);
            let does = format!("ship the runner to {}", self.absolute(&path));
            self.ships.entry(path).or_insert_with(|| Step::new(StepId::new("ship", "runner"), does, files(puts)));
        }
    }

    fn check(&mut self, desired: &Desired, program: &Utf8Path) {
        let (facts, manager) = (&self.observed.facts, self.observed.choice.manager);
        if let Some(check) = Check::of(desired, program, &facts.home, manager)
            && !self.checks.iter().any(|other| other.is_same_run(&check))
        {
            self.checks.push(check);
        }
    }

    /// Plans what a host keeps of a new release.
    fn release(
        &mut self,
        desired: &Desired,
        found: &UnitObserved,
        installed: Option<&Installed<'_>>,
        draft: &Draft,
        secrets_changed: bool,
    ) {
        let (unit, release) = (desired.unit(), draft.record.release);
        let mut puts = Vec::new();
        let mut put = |path, mode, bytes| puts.push(Put { path, mode, content: Content::Bytes(bytes) });
        for target in self.targets(&draft.record) {
            put(layout::reference(&target, unit, release), 0o644, Vec::new());
            self.refs.add(&target, unit, release);
        }
        let mut changes = Vec::new();
        if let Some(env) = &draft.env {
            put(layout::release_env(unit, release), 0o600, env.clone());
        }
        if secrets_changed {
            let path = self.absolute(&layout::release_env(unit, release));
            changes.push(FileChange { path, difference: Difference::Secret });
        }
        put(layout::release_definition(unit, release), 0o644, draft.rendered.bytes.clone());
        put(layout::release_set(unit, release), 0o644, draft.record.set.clone().into_bytes());
        put(layout::release_spec(unit, release), 0o644, draft.record.to_bytes());
        // A release of format 1 kept no unit file: the one in effect is its.
        if let Some(Installed { header, file, .. }) = installed.filter(|installed| installed.header.intact)
            && found.releases.get(&header.release).is_some_and(|release| !release.definition)
        {
            put(layout::release_definition(unit, header.release), 0o644, file.content.clone());
        }
        let does = format!("keep release {release} of {unit}");
        self.releases.push(Step::on("release", unit, does, files(puts)).changing(changes));
    }

    /// Plans what stops a unit under managers that are not the host's.
    fn leave(desired: &Desired, found: &UnitObserved) -> Vec<Step> {
        let unit = desired.unit();
        let stop = found.record.as_ref().map_or(&desired.spec.stop, |record| &record.spec.stop);
        let leave = |kind: &UnitFileKind| {
            let from = kind.manager();
            let does = format!("stop {unit} and take it away from {from}");
            let id = StepId::new("leave", &format!("{unit}:{from}"));
            Step { unit: Some(unit.to_owned()), ..Step::new(id, does, Action::Leave { from, stop: stop.clone() }) }
        };
        found.elsewhere.iter().map(leave).collect()
    }

    /// Plans what takes the definitions away that a unit has elsewhere.
    fn take_away(unit: &str, found: &UnitObserved) -> Vec<Step> {
        let take = |kind: &UnitFileKind| {
            let mut batch = Batch { removes: vec![kind.path(unit)], ..Batch::default() };
            if *kind == UnitFileKind::RunnerScript {
                batch.removes.extend([layout::record(unit), layout::spare_record(unit), layout::cgroup_link(unit)]);
            }
            let does = format!("remove the unit file of {unit} for {}", kind.manager());
            let id = StepId::new("take", &format!("{unit}:{}", kind.manager()));
            let action = if kind.needs_root() { Action::Privileged(batch) } else { Action::Files(batch) };
            Step { unit: Some(unit.to_owned()), ..Step::new(id, does, action) }
        };
        found.elsewhere.iter().map(take).collect()
    }

    /// Sees to it that the unit runs, at boot too, and runs what its files say; `why` is what of them changes.
    pub(super) fn keep_running(
        &mut self,
        desired: &Desired,
        found: &UnitObserved,
        record: &Record,
        why: Option<String>,
        shared: Vec<Step>,
    ) -> UnitPlan {
        let is_changed = !shared.is_empty();
        let is_proven = found.releases.get(&record.release).is_some_and(ReleaseFound::is_good);
        let mut unit = UnitPlan {
            spec: Arc::new(desired.spec.clone()),
            release: record.release,
            shared,
            enable: false,
            launch: None,
            unproven: is_changed || !is_proven,
            way_back: way_back(found, record.release),
            is_proven,
        };
        let launch = |replace: bool, why: String| {
            let stop = found.record.as_ref().map_or(&desired.spec.stop, |record| &record.spec.stop);
            Some(Launch { replaces: replace.then(|| stop.clone()), why })
        };
        let Some(status) = &found.status else {
            unit.launch = launch(false, why.unwrap_or_else(|| "no service manager runs yet".into()));
            return unit;
        };
        self.reload |= status.needs_reload && self.reloads();
        // Of a unit without a file the manager tells what it once was.
        if let Some(reason) = status.boot_blocker {
            self.notes.add(desired.unit(), format!("does not start at boot: {reason}"));
        }
        // An override of launchd's is taken away even where a boot alone starts nothing.
        let can_be = status.boot_blocker.is_none() || !self.reloads();
        unit.enable = can_be && (!status.enabled || found.file.is_none());
        let is_old =
            || status.started_usec.is_some_and(|started| record.outdates(started, self.observed.facts.now_usec));
        let is = || format!("it is {}", status.state);
        unit.launch = match &status.state {
            State::Stopped | State::Failed { .. } => launch(false, why.unwrap_or_else(is)),
            // Whoever began to stop it may be gone: nobody else starts it again.
            State::Backoff { .. } | State::Stopping => launch(true, why.unwrap_or_else(is)),
            State::Running { .. } if status.unsupervised => {
                launch(true, why.unwrap_or_else(|| "its runner has died".to_owned()))
            }
            State::Running { .. } | State::Starting => {
                let is_loaded_old = status.needs_reload && !self.reloads();
                let also = || status.other_domains.first();
                // A manager that had not read the new file yet may have started it again by the old one since.
                let is_torn =
                    || !is_proven && self.observed.journal.as_ref().is_some_and(|it| it.is_about(desired.unit()));
                why.or_else(|| is_old().then(|| "it runs an older release".to_owned()))
                    .or_else(|| is_torn().then(|| "a change of it was left unfinished".to_owned()))
                    .or_else(|| is_loaded_old.then(|| "launchd has loaded another definition".to_owned()))
                    .or_else(|| also().map(|other| format!("launchd has it twice, also as {other}")))
                    .and_then(|why| launch(true, why))
            }
        };
        unit
    }
}

/// Where a unit goes back to when `release` does not pass its gate.
fn way_back(found: &UnitObserved, release: u32) -> WayBack {
    let current = found.file.as_ref().and_then(|file| header::parse(&file.content)).map(|header| header.release);
    let current = current.or_else(|| found.record.as_ref().map(|record| record.release));
    let is_good = |number: u32| number != release && found.releases.get(&number).is_some_and(ReleaseFound::is_good);
    match current {
        // Its unit file is kept by then.
        Some(current) if is_good(current) => WayBack::Release(current),
        Some(current) => {
            let kept = |number: &&u32| is_good(**number) && found.releases[*number].definition;
            let good = found.releases.keys().rev().find(kept).copied();
            match (good, found.releases.get(&current)) {
                (Some(good), _) => WayBack::Release(good),
                // Nobody has seen it fail.
                (None, Some(it)) if current != release && !it.failed && it.spec && it.definition => {
                    WayBack::Unproven(current)
                }
                // No release of it was ever any good.
                (None, Some(it)) if current != release && it.failed => WayBack::Remove,
                (None, _) => WayBack::Nothing,
            }
        }
        None if found.elsewhere.is_empty() => WayBack::Remove,
        None => WayBack::Nothing,
    }
}
