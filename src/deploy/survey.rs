//! What is on a host already: one query for everything that a plan looks at, and its answers by name.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use super::loader::{self, Loader};
use super::release::Wanted;
use crate::host::{Answer, Ask, Base, Facts, FileFound, HostPath, Observation, Query};
use crate::service::record::Record;
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
    /// Who needs which program or slice.
    pub refs: Refs,
    /// What it has to run the programs that are shipped.
    pub loader: Loader,
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
    /// Its releases, each with the digest of its secrets.
    pub releases: BTreeMap<u32, Option<String>>,
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

/// Marks of who needs what: target (digest or slice file) to units with release.
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

    /// All units that have a mark.
    #[must_use]
    pub fn units(&self) -> BTreeSet<&str> {
        self.0.values().flatten().map(|(unit, _)| unit.as_str()).collect()
    }
}

/// Asks for everything that a plan for `wanted` looks at. `wish` is the manager that was asked for.
#[must_use]
pub fn query(wanted: &[Wanted], wish: Option<SupervisorKind>) -> Query {
    let mut asks = vec![Ask::Tree(layout::refs()), Ask::Size(layout::runner_program())];
    let units: Vec<String> = wanted.iter().map(|unit| unit.spec.unit.to_string()).collect();
    let is_daemon = wanted.iter().any(|unit| unit.spec.scope == Scope::System);
    asks.extend(snapshot::asks(wish, &units, &if is_daemon { look::Scope::Root } else { look::Scope::All }));
    asks.extend(slices(wanted).into_iter().map(|slice| Ask::File(layout::unit_file(&format!("{slice}.slice")))));
    for unit in wanted {
        let name = unit.spec.unit.as_str();
        asks.extend(UnitFileKind::ALL.map(|kind| Ask::File(kind.path(name))));
        asks.push(Ask::File(layout::current_spec(name)));
        asks.push(Ask::Tree(layout::unit(name)));
        asks.push(match (&unit.spec.program, &unit.payload) {
            (Program::Shipped(_), Some(payload)) => Ask::Size(layout::program(&payload.sha256, &payload.name)),
            (Program::Shipped(path) | Program::Path(path), _) => {
                Ask::Size(HostPath::new(Base::Root, path.as_str().trim_start_matches('/')))
            }
            (Program::Name(name), _) => Ask::Program(name.clone()),
        });
    }
    asks.extend(loader::asks(wanted));
    Query { asks }
}

/// Reads the answers to [`query`]; `None` when they are not of its form. `wish` is the manager that was asked for.
#[must_use]
pub fn read(wanted: &[Wanted], observation: Observation, wish: Option<SupervisorKind>) -> Option<Observed> {
    let choice = SupervisorKind::choose(&observation.facts, wish);
    let target = match choice.manager {
        SupervisorKind::Runner => Target::Runner(layout::runner(&observation.facts)),
        SupervisorKind::Launchd => Target::Launchd(layout::launchd(&observation.facts)),
        SupervisorKind::Systemd => Target::Systemd(Systemd::default()),
    };
    let mut answers = observation.answers.into_iter();
    let (Answer::Tree(marks), Answer::Size(runner)) = (answers.next()?, answers.next()?) else { return None };
    let told = Snapshot::read(&mut answers)?;
    let refs = Refs::read(marks.keys().map(Utf8PathBuf::as_path));
    let mut found = BTreeMap::new();
    for slice in slices(wanted) {
        let Answer::File(file) = answers.next()? else { return None };
        found.insert(slice.clone(), file);
    }
    let mut units = Vec::with_capacity(wanted.len());
    for unit in wanted {
        units.push(read_unit(unit, choice.manager, &mut answers)?);
    }
    let loader = Loader::read(wanted, &mut answers)?;
    let has_runner = runner.is_some();
    Some(Observed { facts: observation.facts, choice, target, told, has_runner, slices: found, refs, loader, units })
}

fn read_unit(
    wanted: &Wanted,
    manager: SupervisorKind,
    answers: &mut impl Iterator<Item = Answer>,
) -> Option<UnitObserved> {
    let (mut file, mut elsewhere) = (None, Vec::new());
    let own = UnitFileKind::of(manager, wanted.spec.scope);
    for other in UnitFileKind::ALL {
        let Answer::File(found) = answers.next()? else { return None };
        if other == own {
            file = found;
        } else if found.is_some_and(|file| header::parse(&file.content).is_some()) {
            elsewhere.push(other);
        }
    }
    let (Answer::File(record), Answer::Tree(tree)) = (answers.next()?, answers.next()?) else { return None };
    let program = match (answers.next()?, &wanted.spec.program, &wanted.payload) {
        (Answer::Size(size), Program::Shipped(_), Some(payload)) => ProgramFound::Store(size == Some(payload.len)),
        (Answer::Size(Some(_)), Program::Path(path), _) => ProgramFound::At(path.clone()),
        (Answer::Program(Some(path)), ..) => ProgramFound::At(path),
        (Answer::Size(_) | Answer::Program(_), ..) => ProgramFound::Missing,
        _ => return None,
    };
    let mut releases: BTreeMap<u32, Option<String>> = BTreeMap::new();
    for (path, digest) in tree {
        let mut parts = path.iter();
        if let (Some(Ok(release)), Some(file)) = (parts.next().map(str::parse), parts.next()) {
            let env = releases.entry(release).or_default();
            if file == "env" {
                *env = Some(digest);
            }
        }
    }
    let record = record.and_then(|file| Record::parse(&file.content));
    Some(UnitObserved { file, elsewhere, record, releases, program, status: None })
}

fn slices(wanted: &[Wanted]) -> BTreeSet<&SliceName> {
    wanted.iter().map(|unit| &unit.spec.slice).collect()
}
