//! How a plan comes about: unit by unit, what is wanted beside what was found.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use sha2::{Digest, Sha256};

use super::super::check::Check;
use super::super::diff::{self, Difference};
use super::super::release::Wanted;
use super::super::survey::{Observed, ProgramFound, Refs, UnitObserved};
use super::{Choices, FileChange, Move, Notes, Obstacle, Plan, Ship, Start};
use crate::host::{Base, Content, FileFound, HostPath, Put};
use crate::service::record::Record;
use crate::service::render::runner::PROGRAM;
use crate::service::render::{self, Placement, RenderError, header};
use crate::service::spec::Scope;
use crate::supervisor::launchd::other_owner;
use crate::supervisor::{State, SupervisorKind, UnitFileKind, layout};

/// Compares what is wanted with what was found. Nothing is left to be decided afterwards; a host with any obstacle gets
/// nothing done.
pub fn plan(host: &str, wanted: &[Wanted], observed: &Observed, choices: Choices) -> Result<Plan, Vec<Obstacle>> {
    let mut planner = Planner {
        observed,
        choices,
        plan: Plan {
            host: host.to_owned(),
            manager: Some(observed.choice.manager),
            because: observed.choice.why,
            linger: observed.choice.manager == SupervisorKind::Systemd
                && observed.facts.systemd
                && !observed.facts.linger
                && !(choices.transient && observed.has_answered()),
            ..Plan::default()
        },
        refs: observed.refs.clone(),
        outdated: BTreeMap::new(),
        obstacles: Vec::new(),
        notes: Notes::default(),
    };
    let mut units = Vec::new();
    for (wanted, found) in wanted.iter().zip(&observed.units) {
        units.extend(planner.unit(wanted, found));
    }
    if observed.choice.manager == SupervisorKind::Systemd {
        planner.slices();
    }
    // The unit file is what switches, so it comes after all that it points to.
    let (roots, own) = units.into_iter().partition(|put: &Put| put.path.base == Base::Root);
    planner.plan.roots.puts = roots;
    planner.plan.batch.puts.extend::<Vec<Put>>(own);
    planner.prune();
    planner.check_root(wanted);
    planner.check_places(wanted);
    planner.plan.notes.extend(planner.notes.lines());
    if planner.obstacles.is_empty() { Ok(planner.plan) } else { Err(planner.obstacles) }
}

struct Planner<'a> {
    observed: &'a Observed,
    choices: Choices,
    plan: Plan,
    refs: Refs,
    /// Releases that go, by unit.
    outdated: BTreeMap<String, Vec<u32>>,
    obstacles: Vec<Obstacle>,
    notes: Notes,
}

/// A unit as it would be written with some number of release.
struct Draft {
    rendered: render::Rendered,
    record: Record,
    env: Option<Vec<u8>>,
}

impl Planner<'_> {
    /// Plans one unit and gives its unit file, if that has to be written.
    fn unit(&mut self, wanted: &Wanted, found: &UnitObserved) -> Option<Put> {
        let path = self.definition(wanted);
        let shown = self.absolute(&path);
        let (name, own) = (wanted.spec.unit.as_str(), self.kind(wanted));
        if let Some(fault) = found.file.as_ref().and_then(|file| other_owner(name, own, file, &self.observed.facts)) {
            self.obstacles.push(Obstacle::OtherUser(fault));
            return None;
        }
        let installed = match &found.file {
            None => {
                let job = self.observed.told.foreign_job(wanted.spec.unit.as_str(), &self.observed.facts);
                if let Some((target, path)) = job.filter(|_| found.elsewhere.is_empty()) {
                    self.obstacles.push(Obstacle::ForeignJob { target, path });
                    return None;
                }
                None
            }
            Some(file) => match header::parse(&file.content) {
                None => {
                    self.obstacles.push(Obstacle::Foreign { path: shown });
                    return None;
                }
                Some(header) if !header.intact && !self.choices.take => {
                    self.obstacles.push(Obstacle::Drift { path: shown });
                    return None;
                }
                Some(header) => Some((header, file)),
            },
        };
        let program = self.program(wanted, found)?;
        self.take_from_others(wanted, found);
        let current = installed.as_ref().map_or(0, |(header, _)| header.release);
        if let Some((header, file)) = &installed {
            let starts_after_usec = found.record.as_ref().map_or(0, |record| record.starts_after_usec);
            let same = self.draft(wanted, &program, current, starts_after_usec)?;
            if header.intact
                && header::body(&file.content) == header::body(&same.rendered.bytes)
                && found.record.as_ref().is_some_and(|record| record.is_same_release(&same.record))
                && found.releases.get(&current).cloned().flatten() == same.env.as_deref().map(sha256)
                && found.program != ProgramFound::Store(false)
                && (self.observed.has_runner || self.observed.choice.manager != SupervisorKind::Runner)
                && self
                    .targets(&same.record)
                    .iter()
                    .all(|target| self.refs.has(target, wanted.spec.unit.as_str(), current))
            {
                self.note_all(wanted, &same.rendered.notes);
                self.keep_running(wanted, found, &same.record, None);
                return None;
            }
        }
        let next = found.releases.keys().copied().max().unwrap_or(0).max(current) + 1;
        let draft = self.draft(wanted, &program, next, self.observed.facts.now_usec)?;
        Some(self.write(wanted, found, draft, next))
    }

    fn note_all(&mut self, wanted: &Wanted, notes: &[String]) {
        for note in notes {
            self.notes.add(wanted.spec.unit.as_str(), note);
        }
    }

    /// The program's path on the host, where it can be run.
    fn program(&mut self, wanted: &Wanted, found: &UnitObserved) -> Option<Utf8PathBuf> {
        let unit = || wanted.spec.unit.to_string();
        if let Some(payload) = &wanted.payload {
            let facts = &self.observed.facts;
            if let Some(machine) = &payload.machine {
                let path = payload.path.clone();
                if !machine.runs_on(&facts.os, &facts.arch) {
                    let host = format!("{} {}", facts.os, facts.arch);
                    let machine = machine.to_string();
                    self.obstacles.push(Obstacle::WrongMachine { unit: unit(), path, machine, host });
                    return None;
                }
                if machine.is_unsigned() {
                    self.obstacles.push(Obstacle::Unsigned { unit: unit(), path });
                    return None;
                }
            }
            if let Some(why) = self.observed.loader.unmet(&payload.needs) {
                self.obstacles.push(Obstacle::CannotRun { unit: unit(), path: payload.path.clone(), why });
                return None;
            }
            return Some(self.absolute(&layout::program(&payload.sha256, &payload.name)));
        }
        if let ProgramFound::At(path) = &found.program {
            return Some(path.clone());
        }
        self.obstacles.push(Obstacle::NoProgram { unit: unit(), program: wanted.spec.program.to_string() });
        None
    }

    fn draft(&mut self, wanted: &Wanted, program: &Utf8Path, release: u32, starts_after_usec: u64) -> Option<Draft> {
        let spec = &wanted.spec;
        let target = &self.observed.target;
        let env = (!wanted.secrets.is_empty()).then(|| render::secrets_file(&wanted.secrets, target)).transpose();
        let placement = Placement {
            program: program.to_owned(),
            env_file: (!wanted.secrets.is_empty())
                .then(|| self.absolute(&layout::release_env(spec.unit.as_str(), release))),
            release,
        };
        let drafted = env.and_then(|env| Ok((env, render::definition(spec, &placement, target)?)));
        match drafted {
            Ok((env, rendered)) => {
                let sha256 = wanted.payload.as_ref().map(|payload| payload.sha256.clone());
                let record = Record {
                    version: Record::VERSION,
                    release,
                    spec: spec.clone(),
                    program: program.to_owned(),
                    sha256,
                    starts_after_usec,
                };
                Some(Draft { rendered, record, env })
            }
            Err(error) => {
                let obstacle = Obstacle::Render { unit: spec.unit.to_string(), error: chain(&error) };
                if !self.obstacles.contains(&obstacle) {
                    self.obstacles.push(obstacle);
                }
                None
            }
        }
    }

    /// Plans everything that a new release writes, and gives the unit file, which goes last.
    fn write(&mut self, wanted: &Wanted, found: &UnitObserved, mut draft: Draft, release: u32) -> Put {
        let unit = wanted.spec.unit.as_str();
        if let (Some(payload), ProgramFound::Store(false)) = (&wanted.payload, &found.program) {
            let path = layout::program(&payload.sha256, &payload.name);
            let to = self.absolute(&path);
            if self.plan.ships.iter().all(|ship| ship.to != to) {
                let fresh = !self.refs.needs(&payload.sha256);
                let sha256 = payload.sha256.clone();
                self.plan.ships.push(Ship { from: payload.path.clone(), to, bytes: payload.len, sha256, fresh });
                let content =
                    Content::File { path: payload.path.clone(), len: payload.len, sha256: payload.sha256.clone() };
                self.plan.batch.puts.push(Put { path, mode: 0o755, content });
            }
        }
        let path = self.definition(wanted);
        let runner = layout::runner_program();
        if self.observed.choice.manager == SupervisorKind::Runner
            && !self.observed.has_runner
            && self.plan.batch.puts.iter().all(|put| put.path != runner)
        {
            let content = Content::Bytes(PROGRAM.text.clone().into_bytes());
            self.plan.batch.puts.push(Put { path: runner, mode: 0o644, content });
        }
        let manager = self.observed.choice.manager;
        if let Some(check) = Check::of(wanted, &draft.record.program, &self.observed.facts.home, manager)
            && !self.plan.checks.iter().any(|other| other.is_same_run(&check))
        {
            self.plan.checks.push(check);
        }
        let targets = self.targets(&draft.record);
        let mut put = |path, mode, bytes| {
            self.plan.batch.puts.push(Put { path, mode, content: Content::Bytes(bytes) });
        };
        let secrets_changed =
            found.record.as_ref().and_then(|record| found.releases.get(&record.release).cloned().flatten())
                != draft.env.as_deref().map(sha256);
        for target in targets {
            put(layout::reference(&target, unit, release), 0o644, Vec::new());
            self.refs.add(&target, unit, release);
        }
        if let Some(env) = &draft.env {
            put(layout::release_env(unit, release), 0o600, env.clone());
        }
        let old = found.file.as_ref().map(|file| header::body(&file.content));
        let new = header::body(&draft.rendered.bytes);
        let why = match old {
            None => Some("it is new".to_owned()),
            Some(_) if secrets_changed => Some("its secrets changed".to_owned()),
            Some(old) => {
                diff::needs_restart(self.observed.choice.manager, old, new).map(|key| format!("{key} changed"))
            }
        };
        if let (None, Some(previous)) = (&why, &found.record) {
            draft.record.starts_after_usec = previous.starts_after_usec;
        }
        let record = draft.record.to_bytes();
        put(layout::release_spec(unit, release), 0o644, record.clone());
        put(layout::current_spec(unit), 0o644, record);

        self.plan.files.push(FileChange { path: self.absolute(&path), difference: Difference::between(old, new) });
        if secrets_changed {
            let path = self.absolute(&layout::release_env(unit, release));
            self.plan.files.push(FileChange { path, difference: Difference::Secret });
        }
        self.note_all(wanted, &draft.rendered.notes);
        self.plan.reload |= self.reloads();
        self.outdated.insert(unit.to_owned(), outdated(found, release, wanted.spec.keep));
        self.keep_running(wanted, found, &draft.record, why);
        Put { path, mode: 0o644, content: Content::Bytes(draft.rendered.bytes) }
    }

    /// Sees to it that the unit runs, at boot too, and runs what its files say; `why` is what of them changes.
    fn keep_running(&mut self, wanted: &Wanted, found: &UnitObserved, record: &Record, why: Option<String>) {
        let Some(status) = &found.status else {
            self.start(wanted, found, false, why.unwrap_or_else(|| "no service manager runs yet".into()));
            return;
        };
        self.plan.reload |= status.needs_reload && self.reloads();
        // Of a unit without a file the manager tells what it once was.
        if let Some(reason) = status.boot_blocker {
            self.notes.add(wanted.spec.unit.as_str(), format!("does not start at boot: {reason}"));
        }
        // An override of launchd's is taken away even where a boot alone starts nothing.
        let can_be = status.boot_blocker.is_none() || !self.reloads();
        if can_be && (!status.enabled || found.file.is_none()) {
            self.plan.enable.push(wanted.spec.unit.to_string());
        }
        let is_old =
            || status.started_usec.is_some_and(|started| record.outdates(started, self.observed.facts.now_usec));
        match &status.state {
            State::Stopped | State::Failed { .. } => {
                let why = why.unwrap_or_else(|| format!("it is {}", status.state));
                self.start(wanted, found, false, why);
            }
            State::Backoff { .. } => {
                self.start(wanted, found, true, why.unwrap_or_else(|| format!("it is {}", status.state)));
            }
            State::Running { .. } if status.unsupervised => {
                self.start(wanted, found, true, why.unwrap_or_else(|| "its runner has died".to_owned()));
            }
            State::Running { .. } | State::Starting | State::Stopping => {
                let is_loaded_old = status.needs_reload && !self.reloads();
                let why = why
                    .or_else(|| is_old().then(|| "it runs an older release".to_owned()))
                    .or_else(|| is_loaded_old.then(|| "launchd has loaded another definition".to_owned()))
                    .or_else(|| {
                        status.other_domains.first().map(|other| format!("launchd has it twice, also as {other}"))
                    });
                if let Some(why) = why {
                    self.start(wanted, found, true, why);
                }
            }
        }
    }

    /// Plans what takes a unit away from managers that are not the host's.
    fn take_from_others(&mut self, wanted: &Wanted, found: &UnitObserved) {
        let unit = wanted.spec.unit.as_str();
        for from in &found.elsewhere {
            let stop = found.record.as_ref().map_or(&wanted.spec.stop, |record| &record.spec.stop).clone();
            self.plan.moves.push(Move { unit: unit.to_owned(), from: from.manager(), definition: *from, stop });
            let batch = if from.needs_root() { &mut self.plan.roots } else { &mut self.plan.batch };
            batch.removes.push(from.path(unit));
            if *from == UnitFileKind::RunnerScript {
                batch.removes.extend([layout::record(unit), layout::cgroup_link(unit)]);
            }
        }
    }

    fn start(&mut self, wanted: &Wanted, found: &UnitObserved, restart: bool, why: String) {
        let stop = found.record.as_ref().map_or(&wanted.spec.stop, |record| &record.spec.stop).clone();
        self.plan.starts.push(Start { unit: wanted.spec.unit.to_string(), restart, why, stop });
    }

    fn slices(&mut self) {
        for (name, found) in &self.observed.slices {
            let rendered = match render::slice(name) {
                Ok(rendered) => rendered,
                Err(error) => {
                    self.obstacles.push(Obstacle::Render { unit: name.to_string(), error: chain(&error) });
                    continue;
                }
            };
            let path = layout::unit_file(&rendered.name);
            let shown = self.absolute(&path);
            let old = match found {
                Some(file) if is_foreign(file) => {
                    self.plan.notes.push(format!("{shown} was not written by unitbee and is left alone"));
                    continue;
                }
                found => found.as_ref().map(|file| header::body(&file.content)),
            };
            let new = header::body(&rendered.bytes);
            if old == Some(new) {
                continue;
            }
            self.plan.files.push(FileChange { path: shown, difference: Difference::between(old, new) });
            self.plan.reload = true;
            self.plan.batch.puts.push(Put { path, mode: 0o644, content: Content::Bytes(rendered.bytes) });
        }
    }

    /// Removes the releases beyond the last few, and the programs that only they needed.
    fn prune(&mut self) {
        let outdated = std::mem::take(&mut self.outdated);
        let gone = |unit: &str, release: u32| outdated.get(unit).is_some_and(|all| all.contains(&release));
        let (marks, orphans) = self.refs.release(gone);
        let removes = &mut self.plan.batch.removes;
        for (unit, releases) in &outdated {
            removes.extend(releases.iter().map(|release| layout::release(unit, *release)));
        }
        removes.extend(marks.iter().map(|(target, unit, release)| layout::reference(target, unit, *release)));
        for target in orphans {
            removes.push(layout::target(&target));
            self.plan.batch.prune.push(layout::refs_to(&target));
        }
    }

    /// What a release needs: its program's digest and its slice, unless that slice is not ours.
    fn targets(&self, record: &Record) -> Vec<String> {
        let slice = &record.spec.slice;
        let foreign = self.observed.slices.get(slice).and_then(Option::as_ref).is_some_and(is_foreign);
        let extra = match self.observed.choice.manager {
            SupervisorKind::Runner => Some(PROGRAM.sha256.clone()),
            SupervisorKind::Launchd => None,
            SupervisorKind::Systemd => (!foreign).then(|| format!("{slice}.slice")),
        };
        record.sha256.clone().into_iter().chain(extra).collect()
    }

    /// What defines a unit for the host's manager.
    fn definition(&self, wanted: &Wanted) -> HostPath {
        self.kind(wanted).path(wanted.spec.unit.as_str())
    }

    fn kind(&self, wanted: &Wanted) -> UnitFileKind {
        UnitFileKind::of(self.observed.choice.manager, wanted.spec.scope)
    }

    /// Tells whether the manager takes over what is new of a definition while it runs the unit; launchd never does.
    fn reloads(&self) -> bool {
        self.observed.choice.manager != SupervisorKind::Launchd
    }

    /// Nothing is begun that only root could end.
    fn check_root(&mut self, wanted: &[Wanted]) {
        let Some(detail) = self.observed.told.why_no_root() else { return };
        if self.observed.choice.manager != SupervisorKind::Launchd || self.plan.is_empty() {
            return;
        }
        let mut daemons = wanted.iter().filter(|wanted| wanted.spec.scope == Scope::System);
        if let Some(daemon) = daemons.next() {
            let (unit, user) = (daemon.spec.unit.to_string(), self.observed.facts.user.clone());
            self.obstacles.push(Obstacle::NoRoot { unit, user, detail });
        }
    }

    /// Nothing is begun for an agent that could not be loaded.
    fn check_places(&mut self, wanted: &[Wanted]) {
        if self.observed.choice.manager != SupervisorKind::Launchd || self.plan.is_empty() {
            return;
        }
        let place = |wanted: &Wanted| self.observed.told.no_place(&self.observed.facts, wanted.spec.scope);
        let nowhere = wanted.iter().find_map(|wanted| Some((wanted.spec.unit.to_string(), place(wanted)?)));
        self.obstacles.extend(nowhere.map(|(unit, fault)| Obstacle::NoPlace { unit, fault }));
    }

    fn absolute(&self, path: &HostPath) -> Utf8PathBuf {
        layout::absolute(path, &self.observed.facts).unwrap_or_else(|| path.rel.clone())
    }
}

/// The releases that go when `next` comes: all but the newest `keep`.
fn outdated(found: &UnitObserved, next: u32, keep: u32) -> Vec<u32> {
    let mut releases: Vec<u32> = found.releases.keys().copied().filter(|release| *release != next).collect();
    releases.truncate((releases.len() + 1).saturating_sub(keep as usize));
    releases
}

fn is_foreign(file: &FileFound) -> bool {
    header::parse(&file.content).is_none()
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn chain(error: &RenderError) -> String {
    std::iter::successors(std::error::Error::source(error), |cause| cause.source())
        .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
