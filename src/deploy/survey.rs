//! What is on a host already: one query for everything that a plan looks at, and its answers by name.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use super::desired::{Desired, ProgramSource};
use super::journal::{self, Journal, NewerJournal};
use super::loader::{self, Loader};
use super::release::{self, ReleaseFound};
use crate::host::{Answer, Ask, Base, Facts, FileFound, HostPath, Observation, Query};
use crate::service::record::{Record, RecordError};
use crate::service::render::header;
use crate::service::render::{Systemd, Target};
use crate::service::spec::{Program, Scope, SliceName};
use crate::supervisor::launchd::look;
use crate::supervisor::snapshot::{self, Snapshot};
use crate::supervisor::{Choice, SupervisorKind, UnitFileKind, UnitStatus, layout};

/// What was found on a host.
#[derive(Debug, Clone)]
pub struct Observed {
    /// The host itself.
    pub facts: Facts,
    /// The manager that its services are for.
    pub choice: Choice,
    /// What that reads; of systemd the version is known once it was asked.
    pub target: Target,
    /// What the managers told without being asked by themselves.
    pub told: Snapshot,
    /// Whether the program of the runner is there.
    pub has_runner: bool,
    /// Slice files by name.
    pub slices: BTreeMap<SliceName, Option<FileFound>>,
    /// Who needs which program or slice, and which project has which unit.
    pub refs: Refs,
    /// What it has to run shipped files.
    pub loader: Loader,
    /// The change that was left unfinished on this machine, or is under way.
    pub journal: Option<Journal>,
    /// One for each unit that was asked for, in that order.
    pub units: Vec<UnitObserved>,
}

impl Observed {
    /// Tells whether a systemd answered for this user.
    #[must_use]
    pub fn has_answered(&self) -> bool {
        matches!(self.target, Target::Systemd(Systemd { version: Some(_) }))
    }
}

/// What was found of one unit.
#[derive(Debug, Clone, Default)]
pub struct UnitObserved {
    /// What defines it for the host's manager.
    pub file: Option<FileFound>,
    /// The other definitions of ours that it has.
    pub elsewhere: Vec<UnitFileKind>,
    /// The record of the release in effect, where it is legible.
    pub record: Option<Record>,
    /// The format of that record, where a newer unitbee wrote it.
    pub newer: Option<u32>,
    /// Its releases.
    pub releases: BTreeMap<u32, ReleaseFound>,
    /// The unit file of the release in effect as it was written, where it was edited since and is kept.
    pub original: Option<Vec<u8>>,
    /// The drop-in that holds earlier edits, where the unit file was edited again.
    pub kept: Option<FileFound>,
    /// Drop-ins that the manager has read, with their content, where they were looked into.
    pub drop_ins: Vec<(Utf8PathBuf, Vec<u8>)>,
    /// Its program.
    pub program: ProgramFound,
    /// What the manager says of it; `None` while there is no manager.
    pub status: Option<UnitStatus>,
}

/// Whether the program of a unit is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ProgramFound {
    /// It is to be shipped, and the store has it already or not.
    Store(bool),
    /// The host has it here.
    At(Utf8PathBuf),
    /// The host has no such program.
    #[default]
    Missing,
}

/// Marks of who needs what: target (digest, slice file or project) to units with release.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refs(BTreeMap<String, BTreeSet<(String, u32)>>);

impl Refs {
    /// Reads the names of the marks: `<target>/<unit>.<release>`. Anything else there is not ours and not looked at.
    pub fn read<'a>(paths: impl Iterator<Item = &'a Utf8Path>) -> Self {
        let mut refs = Self::default();
        for path in paths {
            let (Some(target), Some(mark)) = (path.parent(), path.file_name()) else { continue };
            if let Some((unit, Ok(release))) = mark.rsplit_once('.').map(|(unit, release)| (unit, release.parse())) {
                refs.add(target.as_str(), unit, release);
            }
        }
        refs
    }

    /// Notes that a release needs `target`.
    pub fn add(&mut self, target: &str, unit: &str, release: u32) {
        self.0.entry(target.to_owned()).or_default().insert((unit.to_owned(), release));
    }

    /// Tells whether the mark is there.
    #[must_use]
    pub fn has(&self, target: &str, unit: &str, release: u32) -> bool {
        self.0.get(target).is_some_and(|marks| marks.contains(&(unit.to_owned(), release)))
    }

    /// Tells whether any release needs `target`.
    #[must_use]
    pub fn needs(&self, target: &str) -> bool {
        self.0.get(target).is_some_and(|marks| !marks.is_empty())
    }

    /// Takes away the marks that `gone` picks; answers with those marks, and with the targets that nobody needs any more.
    pub fn release(&mut self, gone: impl Fn(&str, u32) -> bool) -> (Vec<(String, String, u32)>, Vec<String>) {
        let mut marks = Vec::new();
        let mut orphans = Vec::new();
        self.0.retain(|target, needed| {
            let before = needed.len();
            needed.retain(|(unit, release)| {
                let keep = !gone(unit, *release);
                if !keep {
                    marks.push((target.clone(), unit.clone(), *release));
                }
                keep
            });
            if needed.is_empty() && before > 0 {
                orphans.push(target.clone());
            }
            !needed.is_empty()
        });
        (marks, orphans)
    }

    /// The releases of a unit that have a mark.
    pub fn of_unit<'a>(&'a self, unit: &'a str) -> impl Iterator<Item = u32> + 'a {
        self.0.values().flatten().filter(move |(marked, _)| marked == unit).map(|(_, release)| *release)
    }

    /// Whether anything at all has a mark.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The units that `project` has: those whose newest release is the project's.
    #[must_use]
    pub fn units_of_project(&self, project: &str) -> BTreeSet<&str> {
        let Some(marks) = self.0.get(&layout::project_target(project)) else { return BTreeSet::new() };
        let is_newest = |(unit, release): &&(String, u32)| self.of_unit(unit).max() == Some(*release);
        marks.iter().filter(is_newest).map(|(unit, _)| unit.as_str()).collect()
    }
}

/// Asks for everything that a plan for `desired` looks at. `requested` is the manager that was asked for.
#[must_use]
pub fn query(desired: &[Desired], requested: Option<SupervisorKind>) -> Query {
    let mut asks = vec![Ask::Tree(layout::refs()), Ask::Size(layout::runner_program()), journal::ask()];
    let units: Vec<String> = desired.iter().map(|desired| desired.unit().to_owned()).collect();
    let is_daemon = desired.iter().any(|desired| desired.spec.scope == Scope::System);
    asks.extend(snapshot::asks(requested, &units, &if is_daemon { look::Scope::Root } else { look::Scope::All }));
    asks.extend(slices(desired).into_iter().map(|slice| Ask::File(layout::unit_file(&format!("{slice}.slice")))));
    for desired in desired {
        let name = desired.unit();
        asks.extend(UnitFileKind::ALL.map(|kind| Ask::File(kind.path(name))));
        asks.push(Ask::File(layout::current_spec(name)));
        asks.push(Ask::Tree(layout::unit(name)));
        asks.push(match (&desired.program, &desired.spec.program) {
            (ProgramSource::Ship(payload), _) => Ask::Size(layout::program(&payload.sha256, &payload.name)),
            (ProgramSource::InStore { path, .. }, _) | (_, Program::Shipped(path) | Program::Path(path)) => {
                Ask::Size(HostPath::new(Base::Root, path.as_str().trim_start_matches('/')))
            }
            (ProgramSource::OnHost, Program::Name(name)) => Ask::Program(name.clone()),
        });
    }
    asks.extend(loader::asks(desired));
    Query { asks }
}

/// Why the answers of a host are of no use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unusable {
    /// They are not of the form of the questions.
    Garbled,
    /// A newer unitbee left a change unfinished.
    Newer(NewerJournal),
}

/// Reads the answers to [`query`]. `requested` is the manager that was asked for.
///
/// # Errors
///
/// When the answers are not those to [`query`], or speak of what this version cannot read.
pub fn read(
    desired: &[Desired],
    observation: Observation,
    requested: Option<SupervisorKind>,
) -> Result<Observed, Unusable> {
    let facts = observation.facts;
    let choice = SupervisorKind::choose(&facts, requested);
    let target = match choice.manager {
        SupervisorKind::Runner => Target::Runner(layout::runner(&facts)),
        SupervisorKind::Launchd => Target::Launchd(layout::launchd(&facts)),
        SupervisorKind::Systemd => Target::Systemd(Systemd::default()),
    };
    let mut answers = observation.answers.into_iter();
    let (Some(Answer::Tree(marks)), Some(Answer::Size(runner)), Some(journal)) =
        (answers.next(), answers.next(), answers.next())
    else {
        return Err(Unusable::Garbled);
    };
    let journal = journal::find(&journal, &facts).map_err(Unusable::Newer)?;
    let told = Snapshot::read(&mut answers).ok_or(Unusable::Garbled)?;
    let refs = Refs::read(marks.keys().map(Utf8PathBuf::as_path));
    let mut found = BTreeMap::new();
    for slice in slices(desired) {
        let Some(Answer::File(file)) = answers.next() else { return Err(Unusable::Garbled) };
        found.insert(slice.clone(), file);
    }
    let mut units = Vec::with_capacity(desired.len());
    for desired in desired {
        units.push(read_unit(desired, choice.manager, &mut answers).ok_or(Unusable::Garbled)?);
    }
    let loader = Loader::read(desired, &mut answers).ok_or(Unusable::Garbled)?;
    let has_runner = runner.is_some();
    Ok(Observed { facts, choice, target, told, has_runner, slices: found, refs, loader, journal, units })
}

fn read_unit(
    desired: &Desired,
    manager: SupervisorKind,
    answers: &mut impl Iterator<Item = Answer>,
) -> Option<UnitObserved> {
    let (mut file, mut elsewhere) = (None, Vec::new());
    let own = UnitFileKind::of(manager, desired.spec.scope);
    for other in UnitFileKind::ALL {
        let Answer::File(found) = answers.next()? else { return None };
        if other == own {
            file = found;
        } else if found.is_some_and(|file| header::parse(&file.content).is_some()) {
            elsewhere.push(other);
        }
    }
    let (Answer::File(record), Answer::Tree(tree)) = (answers.next()?, answers.next()?) else { return None };
    let program = match (answers.next()?, &desired.program, &desired.spec.program) {
        (Answer::Size(size), ProgramSource::Ship(payload), _) => ProgramFound::Store(size == Some(payload.len)),
        (Answer::Size(Some(_)), ProgramSource::InStore { path, .. }, _)
        | (Answer::Size(Some(_)), _, Program::Path(path)) => ProgramFound::At(path.clone()),
        (Answer::Program(Some(path)), ..) => ProgramFound::At(path),
        (Answer::Size(_) | Answer::Program(_), ..) => ProgramFound::Missing,
        _ => return None,
    };
    let (record, newer) = match record.map(|file| Record::parse(&file.content)) {
        Some(Ok(record)) => (Some(record), None),
        Some(Err(RecordError::Newer { version })) => (None, Some(version)),
        Some(Err(RecordError::Damaged)) | None => (None, None),
    };
    let releases = release::found(tree);
    Some(UnitObserved {
        file,
        elsewhere,
        record,
        newer,
        releases,
        original: None,
        kept: None,
        drop_ins: Vec::new(),
        program,
        status: None,
    })
}

fn slices(desired: &[Desired]) -> BTreeSet<&SliceName> {
    desired.iter().map(|desired| &desired.spec.slice).collect()
}
