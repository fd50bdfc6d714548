//! What is done when a change does not come through: units whose release did not pass its gate go back to the previous
//! one, by the same steps and the same gate; what never took effect is removed.

use std::collections::{BTreeMap, BTreeSet};

use super::apply::{First, OnFailure};
use super::converge::{Route, Session, look, names};
use super::desired::Desired;
use super::error::{ApplyError, Failure, Now};
use super::event::Event;
use super::execute::{Ended, Executor, Rejected};
use super::plan::{self, ApplyOptions, Plan, WayBack};
use super::release::{StoredRelease, read_back};
use super::step::{Action, Step, StepId};
use super::survey::{self, Refs};
use super::uninstall;
use super::unkeep::{self, Unkept};
use crate::host::{Answer, Ask, Batch, Query};
use crate::observe::logs::{Line, LogQuery, recent};
use crate::service::record::Record;
use crate::service::render::header;
use crate::supervisor::{Approach, SupervisorKind, UnitFileKind, layout};

/// How many lines of a log are shown of what failed.
const LINES: u32 = 20;

/// A change that did not come through.
pub(super) struct Retreat<'a, 's> {
    session: &'s Session<'a>,
    executor: Executor<'a>,
    plan: &'s Plan,
    on_failure: OnFailure,
    /// Unix time in microseconds by the host's clock: what logs say before it is of another release.
    since_usec: u64,
}

/// A unit that goes back.
struct Going {
    failure: Failure,
    way_back: WayBack,
    /// Whether its release is remembered as a bad one: it did not pass, and never has.
    failed: bool,
}

impl Going {
    /// Whether its release is remembered as one that failed: not where something else was at fault.
    fn is_rejected(&self) -> bool {
        self.failed && self.failure.error.is_a_verdict()
    }
}

impl<'a, 's> Retreat<'a, 's> {
    pub(super) fn new(session: &'s Session<'a>, executor: Executor<'a>, plan: &'s Plan, on_failure: OnFailure) -> Self {
        let since_usec = executor.facts.now_usec;
        Self { session, executor, plan, on_failure, since_usec }
    }

    /// Goes back, and says what came of it.
    pub(super) async fn go_back(mut self, ended: Result<Ended, ApplyError>) -> ApplyError {
        let done = match ended {
            Ok(Ended::Rejected(rejected)) => self.reject(rejected).await,
            Ok(Ended::Whole | Ended::Interrupted) => self.interrupted().await,
            Err(error) => match self.switched().await {
                Err(error) => Err(error),
                // Nothing has taken effect yet.
                Ok(units) if units.is_empty() => {
                    // Why it failed is worth more than why this does; whoever comes next finds the journal.
                    self.abandon().await.ok();
                    Ok(error)
                }
                Ok(units) => {
                    let mut error = Some(error);
                    let rejected = units.into_iter().map(|(unit, release)| {
                        let error = error.take().unwrap_or_else(|| ApplyError::TakenBack { unit: unit.clone() });
                        Rejected { unit, release, error }
                    });
                    let rejected = rejected.collect();
                    self.reject(rejected).await
                }
            },
        };
        done.unwrap_or_else(|error| error)
    }

    /// The units of waves that were begun and that have not passed. One whose files are as they were, as where they did not
    /// fit on the disk, was not begun.
    async fn switched(&mut self) -> Result<Vec<(String, u32)>, ApplyError> {
        let up = names(&self.executor.outcome.up);
        let begun = &mut self.executor.outcome.begun;
        let mut switched: Vec<(String, u32)> = begun.iter().filter(|(unit, _)| !up.contains(unit)).cloned().collect();
        let ask = |(unit, _): &(String, u32)| {
            let files = UnitFileKind::ALL.map(|kind| Ask::File(kind.path(unit)));
            files.into_iter().chain([Ask::File(layout::current_spec(unit))])
        };
        let asks = switched.iter().flat_map(ask).collect();
        let answers = self.session.host.query(&Query { asks }).await?.answers;
        let has = |answer: &Answer, release: u32| {
            let Answer::File(Some(file)) = answer else { return false };
            let in_header = header::parse(&file.content).map(|header| header.release);
            in_header.or_else(|| Some(Record::parse(&file.content).ok()?.release)) == Some(release)
        };
        let mut answers = answers.chunks(UnitFileKind::ALL.len() + 1);
        switched.retain(|(_, release)| answers.next().into_iter().flatten().any(|answer| has(answer, *release)));
        begun.retain(|one| up.contains(&one.0) || switched.contains(one));
        Ok(switched)
    }

    /// Units whose turn did not come.
    fn untouched(&self) -> Vec<String> {
        let lanes = self.plan.waves.iter().flat_map(|wave| &wave.lanes).map(|lane| lane.spec.unit.to_string());
        lanes.filter(|unit| !self.executor.outcome.has_begun(unit)).collect()
    }

    /// Releases that were brought to the host and never took effect.
    fn staged(&self) -> Vec<(String, u32)> {
        let is_staged = |unit: &str| self.is_brought(unit) && !self.executor.outcome.has_begun(unit);
        let entries = self.plan.entries.iter().filter(|entry| is_staged(&entry.unit));
        entries.filter_map(|entry| Some((entry.unit.clone(), entry.to?))).collect()
    }

    /// Whether the release of a unit came with this change: one that the host had already, as a rollback goes back to, stays.
    fn is_brought(&self, unit: &str) -> bool {
        self.plan.prepare.iter().any(|step| step.id == StepId::new("release", unit))
    }

    /// Whether a release that goes is of no use: nothing is known against it, as where the link was lost or only an edit was
    /// kept with it that did not work, but it never passed a gate either.
    fn is_unjudged(&self, going: &Going) -> bool {
        let Failure { unit, error, .. } = &going.failure;
        let has_passed = matches!(**error, ApplyError::TakenBack { .. });
        !going.is_rejected() && (going.failed || !has_passed && self.is_brought(unit))
    }

    /// The marks on the host, and which releases the unit files in effect are of: those of `units` and of what the plan knows
    /// to be of no use.
    async fn in_effect(&self, units: &[&str]) -> Result<(Refs, BTreeMap<String, u32>), ApplyError> {
        let host = self.session.host;
        let of_plan = self.plan.abandoned.iter().chain(&self.plan.spent).map(|(unit, _)| unit.as_str());
        let units: BTreeSet<&str> = units.iter().copied().chain(of_plan).collect();
        let files = units.iter().flat_map(|unit| UnitFileKind::ALL.map(|kind| Ask::File(kind.path(unit))));
        let query = Query { asks: [Ask::Tree(layout::refs())].into_iter().chain(files).collect() };
        let answers = host.query(&query).await?.answers;
        let Some((Answer::Tree(marks), files)) = answers.split_first() else {
            return Err(ApplyError::Garbled { host: host.name().to_owned() });
        };
        let release = |answer: &Answer| match answer {
            Answer::File(Some(file)) => Some(header::parse(&file.content)?.release),
            _ => None,
        };
        let found = units.iter().zip(files.chunks(UnitFileKind::ALL.len()));
        let found = found.filter_map(|(unit, files)| Some(((*unit).to_owned(), files.iter().find_map(release)?)));
        Ok((Refs::read(marks.keys().map(camino::Utf8PathBuf::as_path)), found.collect()))
    }

    /// Removes what was brought to the host, by this change and by others that died.
    async fn abandon(&mut self) -> Result<(), ApplyError> {
        let (mut refs, in_effect) = self.in_effect(&[]).await?;
        let batch = self.forget(&[], &[], &mut refs, &in_effect);
        self.executor.close(batch).await
    }

    /// What removes all releases that are of no use, but for those in effect and those that may still run; `more` of them are
    /// not known to the plan.
    fn forget(
        &self,
        more: &[(String, u32)],
        may_run: &[(String, u32)],
        refs: &mut Refs,
        in_effect: &BTreeMap<String, u32>,
    ) -> Batch {
        let is_out = |one: &&(String, u32)| in_effect.get(&one.0) != Some(&one.1) && !may_run.contains(one);
        let gone: Vec<_> = self.plan.abandoned.iter().chain(more).filter(is_out).cloned().collect();
        let spent: Vec<_> = self.plan.spent.iter().filter(is_out).cloned().collect();
        let mut batch = plan::forget_staged(&[self.staged(), gone].concat(), refs);
        plan::strip(&mut batch, &spent, refs);
        batch
    }

    async fn interrupted(&mut self) -> Result<ApplyError, ApplyError> {
        let (done, left) = (names(&self.executor.outcome.up), self.untouched());
        for unit in &done {
            let release = self.plan.lane(unit).map(|lane| lane.release);
            self.executor.audit(unit, release, "done");
        }
        self.abandon().await?;
        Ok(ApplyError::Interrupted { host: self.session.host.name().to_owned(), done, left })
    }

    /// Takes back what did not pass, and with `atomic` what did.
    async fn reject(&mut self, rejected: Vec<Rejected>) -> Result<ApplyError, ApplyError> {
        let untouched = self.untouched();
        let mut going = Vec::new();
        for Rejected { unit, release, error } in rejected {
            let why = one_line(&error);
            (self.session.events)(Event::Failed { unit: unit.clone(), release, why });
            let log = self.log(&unit).await;
            let way_back = self.plan.lane(&unit).map_or(WayBack::Nothing, |lane| lane.way_back);
            let failure = Failure { unit, release, error: Box::new(error), log, now: Now::Left };
            let failed = !self.plan.lane(&failure.unit).is_some_and(|lane| lane.is_proven);
            going.push(Going { failure, way_back, failed });
        }
        let passed = names(&self.executor.outcome.up);
        if matches!(self.on_failure, OnFailure::RollBackAll(_)) {
            let lanes = self.plan.waves.iter().flat_map(|wave| &wave.lanes);
            for lane in lanes.filter(|lane| passed.iter().any(|unit| unit == lane.spec.unit.as_str())) {
                let unit = lane.spec.unit.to_string();
                let error = Box::new(ApplyError::TakenBack { unit: unit.clone() });
                let failure = Failure { unit, release: lane.release, error, log: Vec::new(), now: Now::Left };
                going.push(Going { failure, way_back: lane.way_back, failed: false });
            }
        } else {
            for unit in &passed {
                let release = self.plan.lane(unit).map(|lane| lane.release);
                self.executor.audit(unit, release, "done");
            }
        }
        for unit in &mut going {
            let stays = unit.way_back == WayBack::Remove && self.keeps_first();
            if stays || self.on_failure == OnFailure::Leave {
                unit.way_back = WayBack::Nothing;
            }
        }
        self.put_back(&mut going).await?;
        self.remove(&mut going).await?;
        self.clean(&going).await?;
        let failures = going.into_iter().map(|going| going.failure).collect();
        Ok(ApplyError::Rejected { failures, untouched })
    }

    /// Whether a unit of which no release was any good is kept for a look.
    fn keeps_first(&self) -> bool {
        matches!(self.on_failure, OnFailure::RollBack(First::Keep) | OnFailure::RollBackAll(First::Keep))
    }

    /// Puts earlier releases back into effect.
    async fn put_back(&mut self, going: &mut [Going]) -> Result<(), ApplyError> {
        let target = |going: &Going| match going.way_back {
            WayBack::Release(release) | WayBack::Unproven(release) => Some((going.failure.unit.clone(), release)),
            WayBack::Remove | WayBack::Nothing => None,
        };
        let targets: Vec<(String, u32)> = going.iter().filter_map(target).collect();
        if targets.is_empty() {
            return Ok(());
        }
        let host = self.session.host;
        let stored = match read_back(host.as_ref(), &targets).await {
            Ok(stored) => stored,
            Err(error) => {
                let error = ApplyError::from(error);
                if error.is_about_the_host() {
                    return Err(error);
                }
                not_back(going, &targets, error);
                return Ok(());
            }
        };
        for (unit, to) in &targets {
            (self.session.events)(Event::RollingBack { unit: unit.clone(), to: *to });
        }
        let unkept = self.unkept(&targets, going).await?;
        for unkept in &unkept {
            if let Some(going) = going.iter_mut().find(|going| going.failure.unit == unkept.unit) {
                going.failure.log.push(unkept.note.clone());
            }
        }
        let ended = self.back_to(stored, going, &unkept).await;
        let rejected = match ended {
            Ok(Ended::Rejected(rejected)) => rejected,
            Ok(Ended::Whole | Ended::Interrupted) => Vec::new(),
            Err(error) if error.is_about_the_host() => return Err(error),
            Err(error) => {
                not_back(going, &targets, error);
                return Ok(());
            }
        };
        let mut rejected: BTreeMap<String, ApplyError> =
            rejected.into_iter().map(|rejected| (rejected.unit, rejected.error)).collect();
        for (unit, to) in targets {
            let Some(going) = going.iter_mut().find(|going| going.failure.unit == unit) else { continue };
            going.failure.now = match rejected.remove(&unit) {
                None => {
                    let up = self.executor.outcome.up.iter().rev().find(|up| up.spec.unit.as_str() == unit);
                    Now::RolledBack { to, pid: up.and_then(|up| up.pid) }
                }
                Some(error) => {
                    if matches!(going.way_back, WayBack::Unproven(_)) && !self.keeps_first() {
                        going.way_back = WayBack::Remove;
                    }
                    Now::Unhealthy { to, error: Box::new(error), log: self.log(&unit).await }
                }
            };
        }
        Ok(())
    }

    /// What was kept of edits with the releases that go.
    async fn unkept(&self, targets: &[(String, u32)], going: &[Going]) -> Result<Vec<Unkept>, ApplyError> {
        let manager = self.executor.connected().map(|supervisor| supervisor.kind());
        if manager != Some(SupervisorKind::Systemd) {
            return Ok(Vec::new());
        }
        let goes = |going: &&Going| targets.iter().any(|(unit, _)| *unit == going.failure.unit);
        let gone = going.iter().filter(goes).map(|going| (going.failure.unit.clone(), going.failure.release));
        let gone: Vec<(String, u32)> = gone.collect();
        unkeep::find(self.session.host.as_ref(), &self.executor.facts, &gone).await
    }

    /// Plans and carries out the way back to these releases.
    async fn back_to(
        &mut self,
        stored: Vec<StoredRelease>,
        going: &[Going],
        unkept: &[Unkept],
    ) -> Result<Ended, ApplyError> {
        let Session { host, change, events, .. } = *self.session;
        let desired: Vec<Desired> = stored.into_iter().map(Desired::of_release).collect();
        let observation = host.query(&survey::query(&desired, change.requested)).await?;
        self.since_usec = observation.facts.now_usec;
        let options = ApplyOptions { take: true, retry: true, keep_abandoned: true, ..ApplyOptions::default() };
        let route =
            self.executor.connected().cloned().map_or_else(|| Route::Approach(Approach::default()), Route::Supervisor);
        let mut looked = look(host, change, &desired, &options, observation, route, events).await?;
        unkeep::add(&mut looked.plan, unkept);
        // Whatever becomes of the way back, the failure is remembered.
        let marks = going.iter().filter(|going| going.is_rejected()).map(|going| {
            let Failure { unit, release, error, .. } = &going.failure;
            let mark = plan::failed(unit, *release, &one_line(error), &mut Refs::default(), true);
            Step::on("fail", unit, format!("remember that release {release} of {unit} failed"), Action::Files(mark))
        });
        let at = usize::from(!looked.plan.prepare.is_empty());
        let _ = looked.plan.prepare.splice(at..at, marks).count();
        // The journal stays open until everything is tidied up.
        looked.plan.finish.retain(|step| !matches!(step.action, Action::CloseJournal));
        self.executor.run(&looked.plan).await
    }

    /// Removes units that were not there before.
    async fn remove(&mut self, going: &mut [Going]) -> Result<(), ApplyError> {
        let gone = |going: &&mut Going| going.way_back == WayBack::Remove;
        let units: Vec<String> = going.iter_mut().filter(gone).map(|going| going.failure.unit.clone()).collect();
        if units.is_empty() {
            return Ok(());
        }
        let result = uninstall::take_off(self.session, &mut self.executor, &units, None).await;
        for going in going.iter_mut().filter(|going| going.way_back == WayBack::Remove) {
            match &result {
                Ok(_) => going.failure.now = Now::Removed,
                Err(error) => going.failure.log.push(format!("unitbee: it could not be removed: {}", one_line(error))),
            }
        }
        match result {
            Err(error) if error.is_about_the_host() => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes what is of no use any more, and closes the journal.
    async fn clean(&mut self, going: &[Going]) -> Result<(), ApplyError> {
        let units: Vec<&str> = going.iter().map(|going| going.failure.unit.as_str()).collect();
        let (mut refs, in_effect) = self.in_effect(&units).await?;
        let unjudged = going.iter().filter(|going| self.is_unjudged(going));
        let unjudged: Vec<(String, u32)> =
            unjudged.map(|going| (going.failure.unit.clone(), going.failure.release)).collect();
        // Of a unit that did not come back it is not known whether it was restarted at all.
        let lost = going.iter().filter(|going| !matches!(going.failure.now, Now::RolledBack { .. } | Now::Removed));
        let may_run: Vec<(String, u32)> = lost
            .filter_map(|going| self.plan.entries.iter().find(|entry| entry.unit == going.failure.unit))
            .filter_map(|entry| Some((entry.unit.clone(), entry.from?)))
            .collect();
        let mut batch = self.forget(&unjudged, &may_run, &mut refs, &in_effect);
        for going in going {
            let Failure { unit, release, error, now, .. } = &going.failure;
            let result = match now {
                Now::RolledBack { to, .. } => format!("rolled back to {to}"),
                Now::Unhealthy { to, .. } => format!("rolled back to {to}, which is not healthy"),
                Now::Removed => "removed".to_owned(),
                Now::Left => "failed".to_owned(),
            };
            self.executor.audit(unit, Some(*release), &result);
            let current = in_effect.get(unit);
            if going.is_rejected() && (going.way_back != WayBack::Remove || current.is_some()) {
                let is_in_effect = current == Some(release);
                let mark = plan::failed(unit, *release, &one_line(error), &mut refs, is_in_effect);
                batch.puts.extend(mark.puts);
                batch.removes.extend(mark.removes);
                batch.prune.extend(mark.prune);
            }
        }
        self.executor.close(batch).await
    }

    /// The end of the log of a unit; empty where it cannot be read, for the failure is what matters.
    async fn log(&mut self, unit: &str) -> Vec<String> {
        let manager = self.executor.connected().map(|supervisor| supervisor.kind());
        let Some(manager) = manager else { return Vec::new() };
        let units = [unit.to_owned()];
        let query = LogQuery { units: &units, lines: LINES };
        let lines = recent(self.session.host.as_ref(), &self.executor.facts, manager, &query).await;
        let is_its = |line: &Line| line.time.is_none_or(|time| time >= self.since_usec);
        let text = |line: Line| String::from_utf8_lossy(&line.message).into_owned();
        lines.map(|(lines, _)| lines.into_iter().filter(is_its).map(text).collect()).unwrap_or_default()
    }
}

/// Notes that units could not be put back.
fn not_back(going: &mut [Going], targets: &[(String, u32)], error: ApplyError) {
    let mut error = Some(error);
    for (unit, to) in targets {
        let Some(going) = going.iter_mut().find(|going| going.failure.unit == *unit) else { continue };
        let error = error.take().unwrap_or_else(|| ApplyError::TakenBack { unit: unit.clone() });
        going.failure.now = Now::Unhealthy { to: *to, error: Box::new(error), log: Vec::new() };
    }
}

/// An error with its causes in one line.
pub(super) fn one_line(error: &ApplyError) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes
        .map(ToString::to_string)
        .fold(error.to_string(), |line, cause| if line.contains(&cause) { line } else { format!("{line}: {cause}") })
}
