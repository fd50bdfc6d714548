//! How a plan comes about: unit by unit, what is desired beside what was found.

mod edit;
mod unit;
mod waves;

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use self::edit::Edit;
use self::waves::UnitPlan;
use super::super::check::Check;
use super::super::desired::{DefinitionSource, Desired, EnvSource, ProgramSource};
use super::super::diff::Difference;
use super::super::journal::Entry;
use super::super::release::{ReleaseFound, set_digest, sha256};
use super::super::step::{Action, FileChange, Step, StepId};
use super::super::survey::{Observed, ProgramFound, Refs, UnitObserved};
use super::{ApplyOptions, Notes, Obstacle, Plan};
use crate::host::{Batch, Content, FileFound, HostPath, Put};
use crate::service::record::{Origin, Record};
use crate::service::render::runner::PROGRAM;
use crate::service::render::{self, Placement, RenderError, header};
use crate::service::spec::Scope;
use crate::supervisor::launchd::other_owner;
use crate::supervisor::{SupervisorKind, UnitFileKind, layout};

/// Compares what is desired with what was found. Nothing is left to be decided afterwards; a host with any obstacle gets
/// nothing done.
///
/// # Errors
///
/// Everything that stands in the way.
pub fn plan(
    host: &str,
    desired: &[Desired],
    observed: &Observed,
    by: &str,
    options: &ApplyOptions,
) -> Result<Plan, Vec<Obstacle>> {
    let mut planner = Planner {
        observed,
        options,
        by,
        ships: BTreeMap::new(),
        checks: Vec::new(),
        releases: Vec::new(),
        staged: Vec::new(),
        refs: observed.refs.clone(),
        reload: false,
        outdated: BTreeMap::new(),
        spent: Vec::new(),
        abandoned: Vec::new(),
        drifts: Vec::new(),
        obstacles: Vec::new(),
        notes: Notes::default(),
        entries: Vec::new(),
    };
    let mut units = Vec::new();
    for (desired, found) in desired.iter().zip(&observed.units) {
        units.extend(planner.unit(desired, found));
    }
    let slices = if observed.choice.manager == SupervisorKind::Systemd { planner.slices() } else { Vec::new() };
    planner.finish(host, desired, units, slices)
}

struct Planner<'a> {
    observed: &'a Observed,
    options: &'a ApplyOptions,
    by: &'a str,
    /// Programs that are shipped, by path there.
    ships: BTreeMap<HostPath, Step>,
    checks: Vec<Check>,
    /// What makes up new releases.
    releases: Vec<Step>,
    /// Files of root's that are brought along.
    staged: Vec<Step>,
    refs: Refs,
    /// Whether a manager has to read its unit files again.
    reload: bool,
    /// Releases that go, by unit.
    outdated: BTreeMap<String, BTreeSet<u32>>,
    /// Failed releases that a change which died did not tidy up.
    spent: Vec<(String, u32)>,
    /// Releases that changes which died brought there.
    abandoned: Vec<(String, u32)>,
    drifts: Vec<Obstacle>,
    obstacles: Vec<Obstacle>,
    notes: Notes,
    entries: Vec<Entry>,
}

/// A unit as it would be written with some number of release.
struct Draft {
    rendered: render::Rendered,
    record: Record,
    env: Option<Vec<u8>>,
}

/// What is installed of a unit.
enum Existing<'a> {
    /// Nothing.
    Nothing,
    /// This.
    Ours(Installed<'a>),
    /// Something that stands in the way, which is noted.
    Obstacle,
}

/// What the files of a unit, if they are ours, say of it.
struct Installed<'a> {
    header: header::Header,
    file: &'a FileFound,
    /// What was edited by hand, where it is to be kept.
    edit: Option<Edit>,
}

impl<'a> Planner<'a> {
    fn unit(&mut self, desired: &Desired, found: &'a UnitObserved) -> Option<UnitPlan> {
        let installed = match self.installed(desired, found) {
            Existing::Nothing => None,
            Existing::Ours(installed) => Some(installed),
            Existing::Obstacle => return None,
        };
        let program = self.program(desired, found)?;
        let current = installed.as_ref().map_or(0, |installed| installed.header.release);
        if let Some(same) = installed.as_ref().and_then(|it| self.unchanged(desired, found, &program, it)) {
            let same = same?;
            if found.releases.get(&current).is_some_and(|release| release.failed) && !self.options.retry {
                self.obstacles.push(Obstacle::FailedBefore { unit: desired.unit().to_owned(), release: current });
                return None;
            }
            self.note_all(desired, &same.rendered.notes);
            if self.observed.journal.as_ref().is_some_and(|journal| journal.is_about(desired.unit())) {
                self.prune(desired, found, current);
            }
            self.tidy(desired.unit(), found, current);
            let unit = self.keep_running(desired, found, &same.record, None, Vec::new());
            return (!unit.is_nothing()).then(|| {
                self.entries.push(Entry { unit: desired.unit().into(), from: Some(current), to: Some(current) });
                unit
            });
        }
        let release = match &desired.definition {
            DefinitionSource::Stored(stored) => stored.record.release,
            DefinitionSource::Render => {
                let known = found.releases.keys().copied().chain(self.refs.of_unit(desired.unit()));
                known.max().unwrap_or(0).max(current) + 1
            }
        };
        let draft = self.draft(desired, &program, release, self.observed.facts.now_usec)?;
        if let DefinitionSource::Render = &desired.definition
            && let Some(release) = tried_before(found, &draft.record)
            && !self.options.retry
        {
            self.obstacles.push(Obstacle::FailedBefore { unit: desired.unit().to_owned(), release });
            return None;
        }
        let from = installed.as_ref().map(|installed| installed.header.release);
        self.entries.push(Entry { unit: desired.unit().to_owned(), from, to: Some(release) });
        let keep = installed.as_ref().and_then(|installed| installed.edit.as_ref());
        let keep = keep.map(|edit| self.keep(desired, found, edit, release)).transpose().ok()?;
        Some(self.change(desired, found, installed.as_ref(), keep.flatten(), draft))
    }

    /// What is installed of a unit.
    fn installed(&mut self, desired: &Desired, found: &'a UnitObserved) -> Existing<'a> {
        let (name, own) = (desired.unit(), self.kind(desired));
        let path = self.absolute(&own.path(name));
        if let Some(fault) = found.file.as_ref().and_then(|file| other_owner(name, own, file, &self.observed.facts)) {
            self.obstacles.push(Obstacle::OtherUser(fault));
            return Existing::Obstacle;
        }
        if let Some(version) = found.newer {
            self.obstacles.push(Obstacle::NewerRecord { unit: name.to_owned(), version });
            return Existing::Obstacle;
        }
        if let Some(record) = &found.record
            && let (Some(ours), theirs) = (&self.options.project, &record.spec.project)
            && !theirs.is_empty()
            && *theirs != ours.name
            && !self.options.take
        {
            self.obstacles.push(Obstacle::of_other_project(name, record));
            return Existing::Obstacle;
        }
        let Some(file) = &found.file else {
            let job = self.observed.told.foreign_job(name, &self.observed.facts);
            if let Some((target, path)) = job.filter(|_| found.elsewhere.is_empty()) {
                self.obstacles.push(Obstacle::ForeignJob { target, path });
                return Existing::Obstacle;
            }
            return Existing::Nothing;
        };
        match header::parse(&file.content) {
            // What a full disk or a power cut leaves of a file of ours.
            None if file.content.is_empty() && file.link.is_none() && found.record.is_some() => Existing::Nothing,
            None => {
                self.obstacles.push(Obstacle::Foreign { path });
                Existing::Obstacle
            }
            Some(header) if !header.intact && self.options.keep => match self.edit(found, file) {
                Ok(edit) => Existing::Ours(Installed { header, file, edit: Some(edit) }),
                Err(why) => {
                    self.obstacles.push(Obstacle::Unkept { path, why });
                    Existing::Obstacle
                }
            },
            Some(header) if !header.intact && !self.options.take => {
                let diff = found.original.as_ref().and_then(|original| {
                    match Difference::between(Some(header::body(original)), header::body(&file.content)) {
                        Difference::Changed(diff) => Some(diff),
                        _ => None,
                    }
                });
                let can_keep = own == UnitFileKind::SystemdUnit;
                let drift = Obstacle::Drift { path, diff, can_keep };
                if !self.options.preview {
                    self.obstacles.push(drift);
                    return Existing::Obstacle;
                }
                self.drifts.push(drift);
                Existing::Ours(Installed { header, file, edit: None })
            }
            Some(header) => Existing::Ours(Installed { header, file, edit: None }),
        }
    }

    /// The unit as it is written already, where that is what is desired.
    #[expect(clippy::option_option, reason = "the inner one is absent where it cannot be rendered, which is told")]
    fn unchanged(
        &mut self,
        desired: &Desired,
        found: &UnitObserved,
        program: &Utf8Path,
        installed: &Installed<'_>,
    ) -> Option<Option<Draft>> {
        let current = installed.header.release;
        let starts_after_usec = found.record.as_ref().map_or(0, |record| record.starts_after_usec);
        let Some(same) = self.draft(desired, program, current, starts_after_usec) else { return Some(None) };
        let (record, release) = (found.record.as_ref()?, found.releases.get(&current)?);
        let has_env = match &desired.env {
            EnvSource::Keep(_) => true,
            EnvSource::New(_) => release.env == same.env.as_deref().map(sha256),
        };
        let has_runner = self.observed.has_runner || self.observed.choice.manager != SupervisorKind::Runner;
        let is_same = installed.header.intact
            && header::body(&installed.file.content) == header::body(&same.rendered.bytes)
            && record.release == current
            && same.record.release == current
            && is_same_set(record, &same.record)
            && has_env
            && found.program != ProgramFound::Store(false)
            && has_runner
            && self.targets(&same.record).iter().all(|target| self.refs.has(target, desired.unit(), current));
        is_same.then_some(Some(same))
    }

    fn note_all(&mut self, desired: &Desired, notes: &[String]) {
        for note in notes {
            self.notes.add(desired.unit(), note);
        }
    }

    /// The program's path on the host, where it can be run.
    fn program(&mut self, desired: &Desired, found: &UnitObserved) -> Option<Utf8PathBuf> {
        let unit = || desired.unit().to_owned();
        if let Some(payload) = desired.payload() {
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
        let program = match &desired.program {
            ProgramSource::InStore { path, .. } => path.to_string(),
            ProgramSource::Ship(_) | ProgramSource::OnHost => desired.spec.program.to_string(),
        };
        self.obstacles.push(Obstacle::NoProgram { unit: unit(), program });
        None
    }

    fn draft(&mut self, desired: &Desired, program: &Utf8Path, release: u32, starts_after_usec: u64) -> Option<Draft> {
        if let DefinitionSource::Stored(stored) = &desired.definition {
            let path = self.kind(desired).path(desired.unit());
            let name = path.rel.file_name().unwrap_or_default().to_owned();
            let bytes = stored.definition.clone();
            let rendered = render::Rendered { name, bytes, mode: 0o644, notes: Vec::new() };
            return Some(Draft { rendered, record: Record { starts_after_usec, ..stored.record.clone() }, env: None });
        }
        let EnvSource::New(secrets) = &desired.env else { return None };
        let (spec, target) = (&desired.spec, &self.observed.target);
        let env = (!secrets.is_empty()).then(|| render::secrets_file(secrets, target)).transpose();
        let placement = |release| Placement {
            program: program.to_owned(),
            env_file: (!secrets.is_empty()).then(|| self.absolute(&layout::release_env(desired.unit(), release))),
            release,
        };
        let render = |release| render::definition(spec, &placement(release), target);
        let drafted = env.and_then(|env| Ok((env, render(release)?, render(0)?)));
        match drafted {
            Ok((env, rendered, normal)) => {
                let sha256 = desired.payload().map(|payload| payload.sha256.clone());
                let record = Record {
                    version: Record::VERSION,
                    release,
                    spec: spec.clone(),
                    program: program.to_owned(),
                    set: set_digest(spec, header::body(&normal.bytes), env.as_deref(), sha256.as_deref()),
                    sha256,
                    starts_after_usec,
                    origin: Some(Origin {
                        usec: self.observed.facts.now_usec,
                        by: self.by.to_owned(),
                        manifest: self.options.project.as_ref().map(|project| project.manifest.clone()),
                        unitbee: env!("CARGO_PKG_VERSION").to_owned(),
                    }),
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

    fn slices(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
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
                    self.notes.add(name.as_str(), format!("{shown} was not written by unitbee and is left alone"));
                    continue;
                }
                found => found.as_ref().map(|file| header::body(&file.content)),
            };
            let new = header::body(&rendered.bytes);
            if old == Some(new) {
                continue;
            }
            let change = FileChange { path: shown, difference: Difference::between(old, new) };
            let put = Put { path, mode: 0o644, content: Content::Bytes(rendered.bytes) };
            let step =
                Step::new(StepId::new("slice", &rendered.name), format!("write {}", rendered.name), files(vec![put]));
            steps.push(step.changing(vec![change]));
            self.reload = true;
        }
        steps
    }

    /// Units of the project that are on the host and that the manifest does not name any more.
    fn orphans(&self) -> Vec<String> {
        let Some(project) = &self.options.project else { return Vec::new() };
        let theirs = self.observed.refs.units_of_project(&project.name);
        theirs.into_iter().filter(|unit| !project.units.iter().any(|known| known == unit)).map(str::to_owned).collect()
    }

    /// What a release needs: its program, its slice unless that is not ours, and its project.
    fn targets(&self, record: &Record) -> Vec<String> {
        let slice = &record.spec.slice;
        let foreign = self.observed.slices.get(slice).and_then(Option::as_ref).is_some_and(is_foreign);
        let extra = match self.observed.choice.manager {
            SupervisorKind::Runner => Some(PROGRAM.sha256.clone()),
            SupervisorKind::Launchd => None,
            SupervisorKind::Systemd => (!foreign).then(|| format!("{slice}.slice")),
        };
        let project = Some(&record.spec.project).filter(|project| !project.is_empty());
        let project = project.map(|project| layout::project_target(project));
        record.sha256.clone().into_iter().chain(extra).chain(project).collect()
    }

    fn kind(&self, desired: &Desired) -> UnitFileKind {
        UnitFileKind::of(self.observed.choice.manager, desired.spec.scope)
    }

    /// Whether the manager takes over what is new of a definition while it runs the unit; launchd never does.
    fn reloads(&self) -> bool {
        self.observed.choice.manager != SupervisorKind::Launchd
    }

    /// Nothing is begun that only root could end.
    fn check_root(&mut self, desired: &[Desired], plan: &Plan) {
        let Some(detail) = self.observed.told.why_no_root() else { return };
        if self.observed.choice.manager != SupervisorKind::Launchd || plan.is_empty() {
            return;
        }
        let mut daemons = desired.iter().filter(|desired| desired.spec.scope == Scope::System);
        if let Some(daemon) = daemons.next() {
            let (unit, user) = (daemon.spec.unit.to_string(), self.observed.facts.user.clone());
            self.obstacles.push(Obstacle::NoRoot { unit, user, detail });
        }
    }

    /// Nothing is begun for an agent that could not be loaded.
    fn check_places(&mut self, desired: &[Desired], plan: &Plan) {
        if self.observed.choice.manager != SupervisorKind::Launchd || plan.is_empty() {
            return;
        }
        let place = |desired: &Desired| self.observed.told.no_place(&self.observed.facts, desired.spec.scope);
        let nowhere = desired.iter().find_map(|desired| Some((desired.spec.unit.to_string(), place(desired)?)));
        self.obstacles.extend(nowhere.map(|(unit, fault)| Obstacle::NoPlace { unit, fault }));
    }

    fn absolute(&self, path: &HostPath) -> Utf8PathBuf {
        layout::absolute(path, &self.observed.facts).unwrap_or_else(|| path.rel.clone())
    }
}

/// The number under which the very same release was tried and failed.
fn tried_before(found: &UnitObserved, record: &Record) -> Option<u32> {
    let set = sha256(record.set.as_bytes());
    let is = |release: &ReleaseFound| release.failed && release.set.as_ref() == Some(&set);
    found.releases.iter().rev().find(|(_, release)| is(release)).map(|(number, _)| *number)
}

/// Whether two records are of the same release, but for its number and what makes no difference to what runs.
fn is_same_set(one: &Record, other: &Record) -> bool {
    one.spec.project == other.spec.project
        && one.spec.without_policy() == other.spec.without_policy()
        && (&one.program, &one.sha256) == (&other.program, &other.sha256)
}

fn files(puts: Vec<Put>) -> Action {
    Action::Files(Batch { puts, ..Batch::default() })
}

fn is_foreign(file: &FileFound) -> bool {
    header::parse(&file.content).is_none()
}

fn chain(error: &RenderError) -> String {
    std::iter::successors(std::error::Error::source(error), |cause| cause.source())
        .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
