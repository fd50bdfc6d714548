//! What must be true of the host, whatever was done to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use unitbee::deploy::Desired;
use unitbee::deploy::desired::EnvSource;
use unitbee::host::HostPath;
use unitbee::service::record::Record;
use unitbee::service::render::header;
use unitbee::service::render::runner::RunnerProgram;
use unitbee::supervisor::{UnitFileKind, layout};

use super::behaviour::Behaviour;
use super::definition::Definition;
use super::tree::Bytes;
use super::want::{PROJECT, SECRET};
use super::world::{Main, World};

/// What is wrong.
pub(crate) type Wrongs = Vec<String>;

impl World {
    fn at(&self, path: &HostPath) -> Utf8PathBuf {
        self.resolve(path).expect("this host has it")
    }

    /// The units that have a definition.
    pub(crate) fn defined(&self) -> Vec<String> {
        let folder = self.at(&layout::definitions());
        self.tree.names(&folder).filter_map(|name| Some(name.strip_suffix(".sh")?.to_owned())).collect()
    }

    pub(crate) fn definition_of(&self, unit: &str) -> Utf8PathBuf {
        self.at(&UnitFileKind::RunnerScript.path(unit))
    }

    fn mains_of(&self, unit: &str) -> Vec<&Main> {
        self.mains.values().filter(|main| main.unit == unit).collect()
    }

    /// What is never so, not even in the middle of something.
    pub(crate) fn broken(&self) -> Wrongs {
        let mut wrongs = Vec::new();
        for unit in self.defined() {
            wrongs.extend(self.broken_definition(&unit));
            if self.mains_of(&unit).len() > 1 {
                wrongs.push(format!("{unit} has more than one process"));
            }
        }
        let defined: BTreeSet<String> = self.defined().into_iter().collect();
        for main in self.mains.values().filter(|main| !defined.contains(&main.unit)) {
            wrongs.push(format!("{} runs without a definition", main.unit));
        }
        for (path, _, bytes) in self.below(&layout::root(), "store") {
            let digest = path.parent().and_then(Utf8Path::file_name);
            if !is_temporary(path) && digest != Some(bytes.sha256()) {
                wrongs.push(format!("{path} is not the program of its digest"));
            }
        }
        for (path, mode, bytes) in self.tree.files() {
            // On its way to its place it has its final mode.
            let may = path.file_name() == Some("env") || is_temporary(path);
            if bytes.holds(SECRET) && (mode != 0o600 || !may) {
                wrongs.push(format!("{path}, of mode {mode:o}, holds a secret"));
            }
        }
        if String::from_utf8_lossy(&self.crontab).contains(SECRET) {
            wrongs.push("the crontab holds a secret".to_owned());
        }
        wrongs
    }

    /// What the definition of a unit points to is all there, and of its release.
    fn broken_definition(&self, unit: &str) -> Wrongs {
        let path = self.definition_of(unit);
        let bytes = self.tree.read(&path).unwrap_or_default();
        let Some(definition) = Definition::parse(bytes) else { return vec![format!("{path} is no definition")] };
        let mut wrongs = Vec::new();
        let release = definition.release;
        let program = definition.path("program").unwrap_or_default();
        match self.tree.file(&program) {
            Some((0o755, _)) => {}
            other => wrongs.push(format!("{unit} has no program {program} ({:?})", other.map(|(mode, _)| mode))),
        }
        match definition.path("secrets") {
            Some(env) if env != self.at(&layout::release_env(unit, release)) => {
                wrongs.push(format!("{unit} has the secrets {env} of another release than {release}"));
            }
            Some(env) if self.tree.file(&env).is_none_or(|(mode, _)| mode != 0o600) => {
                wrongs.push(format!("{unit} has no secrets {env} of mode 0600"));
            }
            _ => {}
        }
        if !self.tree.exists(&definition.runner) {
            wrongs.push(format!("{unit} has no runner"));
        }
        let kept = self.tree.read(&self.at(&layout::release_definition(unit, release)));
        if header::parse(bytes).is_some_and(|mark| mark.intact) && kept != Some(bytes) {
            wrongs.push(format!("{unit} has another unit file than its release {release}"));
        }
        match self.record_of_release(unit, release) {
            Some(record) if record.release == release && record.program == program => {
                let project = layout::project_target(PROJECT);
                let runner = definition.runner.parent().and_then(Utf8Path::file_name);
                for target in record.sha256.iter().chain([&project]).map(String::as_str).chain(runner) {
                    if !self.tree.exists(&self.at(&layout::reference(target, unit, release))) {
                        wrongs.push(format!("{unit} has no mark on {target} for release {release}"));
                    }
                }
            }
            other => wrongs.push(format!("{unit} has another record of release {release}: {other:?}")),
        }
        wrongs
    }

    fn record_of_release(&self, unit: &str, release: u32) -> Option<Record> {
        Record::parse(self.tree.read(&self.at(&layout::release_spec(unit, release)))?).ok()
    }

    /// Which of the units do not run a release that is whole, or run in a way that nobody looks after.
    pub(crate) fn down(&self, units: &[String]) -> Wrongs {
        let mut wrongs = Vec::new();
        for unit in units {
            let mains = self.mains_of(unit);
            let [main] = mains[..] else {
                wrongs.push(format!("{unit} has {} processes", mains.len()));
                continue;
            };
            let Some(runner) = self.runners.get(&main.runner) else {
                wrongs.push(format!("{unit} has no runner"));
                continue;
            };
            for needed in ["program", "secrets"].into_iter().filter_map(|what| runner.settings.path(what)) {
                if !self.tree.exists(&needed) {
                    wrongs.push(format!("{unit} cannot be started again without {needed}"));
                }
            }
            if self.tree.file(&main.program).is_none_or(|(_, bytes)| bytes.sha256() != main.sha256) {
                wrongs.push(format!("the program of {unit} is gone while it runs"));
            }
            let release = runner.settings.release;
            if !self.is_current(main) && !self.tree.exists(&self.at(&layout::release_spec(unit, release))) {
                wrongs.push(format!("release {release} of {unit} is gone while it runs"));
            }
        }
        wrongs
    }

    /// Whether the definition of a unit is of a release that has not passed its gate.
    pub(crate) fn is_unproven(&self, unit: &str) -> bool {
        let definition = self.tree.read(&self.definition_of(unit)).and_then(Definition::parse);
        definition
            .is_some_and(|definition| !self.tree.exists(&self.at(&layout::release_healthy(unit, definition.release))))
    }

    /// Whether nobody can expect a unit to run that was to have a bad release: that is in effect, or was when the runner
    /// last heard of its definition.
    pub(crate) fn is_in_doubt(&self, unit: &str) -> bool {
        let definition = self.tree.read(&self.definition_of(unit)).and_then(Definition::parse);
        let release = definition.map(|definition| definition.release);
        let runs = self.runners.values().find(|runner| runner.unit == unit).map(|runner| runner.settings.release);
        self.is_unproven(unit) || runs != release
    }

    /// Whether the program of a unit that runs, or that of its definition, ends by itself.
    pub(crate) fn ends_by_itself(&self, unit: &str) -> bool {
        let definition = self.tree.read(&self.definition_of(unit)).and_then(Definition::parse);
        let program = definition.and_then(|definition| definition.path("program"));
        let program = program.and_then(|program| self.tree.file(&program)).map(|(_, bytes)| bytes.as_slice());
        let of_mains = self.mains_of(unit).into_iter().map(|main| main.behaviour);
        of_mains.chain(program.map(Behaviour::of)).any(|behaviour| behaviour.exits.is_some())
    }

    /// Whether a process is what the definition of its unit would start now.
    fn is_current(&self, main: &Main) -> bool {
        let definition = self.tree.read(&self.definition_of(&main.unit)).and_then(Definition::parse);
        definition.is_some_and(|definition| {
            let secrets = definition.path("secrets").map(|env| self.tree.file(&env).map(|(_, bytes)| bytes));
            main.command == definition.text("command") && main.secrets.as_ref().map(Some) == secrets
        })
    }

    /// What differs from what is wanted.
    pub(crate) fn differs(&self, desired: &[Desired]) -> Wrongs {
        let units: Vec<String> = desired.iter().map(|desired| desired.spec.unit.to_string()).collect();
        let mut wrongs = self.down(&units);
        if !wrongs.is_empty() {
            return wrongs;
        }
        if self.defined() != units.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>() {
            wrongs.push(format!("defined are {:?}", self.defined()));
        }
        for wanted in desired {
            let EnvSource::New(secrets) = &wanted.env else { continue };
            let unit = wanted.spec.unit.as_str();
            let bytes = self.tree.read(&self.definition_of(unit)).unwrap_or_default();
            let Some(definition) = Definition::parse(bytes) else { continue };
            let main = self.mains_of(unit)[0];
            let runner = &self.runners[&main.runner];
            let sha256 = wanted.payload().map(|payload| payload.sha256.clone());
            let current =
                self.tree.read(&self.at(&layout::current_spec(unit))).and_then(|bytes| Record::parse(bytes).ok());
            let is_current = |record: &Record| {
                record.release == definition.release && record.spec == wanted.spec && record.sha256 == sha256
            };
            let env = definition.path("secrets").and_then(|path| self.tree.file(&path)).map(|(_, bytes)| bytes);
            let holds = |secret: &str| env.is_some_and(|env| String::from_utf8_lossy(env.as_slice()).contains(secret));
            let boot = layout::boot_line(unit, &self.facts()).expect("a line");
            let truths = [
                (header::parse(bytes).is_some_and(|mark| mark.intact), "its definition is edited"),
                (current.as_ref().is_some_and(is_current), "its record is of something else"),
                (!self.is_unproven(unit), "its release has not passed a gate"),
                (Some(&main.sha256) == sha256.as_ref(), "its process runs another program"),
                (main.command == definition.text("command"), "its process has other arguments"),
                (main.secrets.as_ref() == env, "its process has other secrets"),
                (secrets.values().all(|secret| holds(secret.reveal())), "its secrets are others"),
                (secrets.is_empty() == env.is_none(), "it has secrets or none"),
                (runner.settings.digest == definition.digest, "its runner has another definition"),
                (String::from_utf8_lossy(&self.crontab).lines().any(|line| line == boot), "it does not start at boot"),
            ];
            wrongs.extend(truths.iter().filter(|(is, _)| !is).map(|(_, what)| format!("{unit}: {what}")));
        }
        wrongs
    }

    /// The journals of changes that were left unfinished.
    fn journals(&self) -> Vec<String> {
        let folder = self.at(&layout::journals());
        self.tree.names(&folder).filter(|name| !name.starts_with('.')).map(ToOwned::to_owned).collect()
    }

    /// Whether a change was left unfinished.
    pub(crate) fn has_journal(&self) -> bool {
        !self.journals().is_empty()
    }

    /// What is there and should not be, once nobody is at work.
    pub(crate) fn leftovers(&self) -> Wrongs {
        let mut wrongs: Wrongs =
            self.holder("apply").map(|token| format!("{token} holds the lock")).into_iter().collect();
        wrongs.extend(self.journals().iter().map(|name| format!("the journal {name} is left over")));
        let defined: BTreeSet<String> = self.defined().into_iter().collect();
        for runner in self.runners.values().filter(|runner| !defined.contains(&runner.unit)) {
            wrongs.push(format!("{} has a runner without a definition", runner.unit));
        }
        let mut releases: BTreeMap<(String, u32), Option<Record>> = BTreeMap::new();
        let units = self.at(&layout::root()).join("units");
        for unit in self.tree.names(&units) {
            if !defined.contains(unit) {
                wrongs.push(format!("{unit} has releases without a definition"));
            }
            for release in self.tree.names(&units.join(unit)).filter_map(|name| name.parse().ok()) {
                releases.insert((unit.to_owned(), release), self.record_of_release(unit, release));
                wrongs.extend(self.odd_release(unit, release));
            }
        }
        wrongs.extend(self.stray_marks(&releases));
        for folder in [layout::registry(), layout::logs(), layout::claims()] {
            let folder = self.at(&folder);
            for name in self.tree.names(&folder) {
                if !defined.contains(name.split('.').next().unwrap_or_default()) {
                    wrongs.push(format!("{folder} has {name} without a definition"));
                }
            }
        }
        wrongs
    }

    /// What changes left that died; it goes with the next change.
    pub(crate) fn temporary(&self) -> Wrongs {
        self.tree.paths().filter(|path| is_temporary(path)).map(|path| format!("{path} is left over")).collect()
    }

    /// What is wrong with the files of a release, once nobody is at work.
    fn odd_release(&self, unit: &str, release: u32) -> Option<String> {
        let folder = self.at(&layout::release(unit, release));
        let names: Vec<&str> = self.tree.names(&folder).collect();
        let has = |name| names.contains(&name);
        let definition = self.tree.read(&self.definition_of(unit)).and_then(Definition::parse);
        let in_effect = definition.is_some_and(|definition| definition.release == release);
        let is_right = match (has("failed"), has("healthy")) {
            (true, false) => in_effect || names == ["failed", "set", "spec.json"],
            (false, true) => ["definition", "set", "spec.json"].into_iter().all(has),
            (false, false) => in_effect,
            (true, true) => false,
        };
        (!is_right).then(|| format!("release {release} of {unit} has {names:?}"))
    }

    /// Marks without releases, releases without marks, programs without marks.
    fn stray_marks(&self, releases: &BTreeMap<(String, u32), Option<Record>>) -> Wrongs {
        let mut wrongs = Vec::new();
        let root = self.at(&layout::root());
        let mut marks = BTreeSet::new();
        for (path, ..) in self.below(&layout::root(), "refs") {
            let (Some(target), Some(mark)) = (path.parent().and_then(Utf8Path::file_name), path.file_name()) else {
                continue;
            };
            let Some((unit, Ok(release))) = mark.rsplit_once('.').map(|(unit, release)| (unit, release.parse())) else {
                continue;
            };
            marks.insert((target.to_owned(), unit.to_owned(), release));
            let is_of_runner = self.tree.exists(&root.join("store").join(target).join(RunnerProgram::NAME));
            match releases.get(&(unit.to_owned(), release)) {
                None => wrongs.push(format!("there is a mark of release {release} of {unit}, which is not there")),
                Some(Some(record))
                    if !is_of_runner
                        && target != layout::project_target(PROJECT)
                        && record.sha256.as_deref() != Some(target) =>
                {
                    wrongs.push(format!(
                        "there is a mark of release {release} of {unit} on another program than its own"
                    ));
                }
                _ => {}
            }
        }
        for ((unit, release), record) in releases {
            match record {
                None => wrongs.push(format!("release {release} of {unit} has no record")),
                Some(_) if self.tree.exists(&self.at(&layout::release_failed(unit, *release))) => {}
                Some(Record { sha256: Some(target), .. }) => {
                    if !marks.contains(&(target.clone(), unit.clone(), *release)) {
                        wrongs.push(format!("release {release} of {unit} has no mark on its program"));
                    }
                    if !self.tree.exists(&root.join("store").join(target)) {
                        wrongs.push(format!("release {release} of {unit} has no program"));
                    }
                }
                Some(_) => {}
            }
        }
        for target in self.tree.names(&root.join("store")) {
            if !marks.iter().any(|(of, ..)| of == target) {
                wrongs.push(format!("nobody needs the program {target}"));
            }
        }
        wrongs
    }

    /// What is left of us on a host that had nothing of ours.
    pub(crate) fn remains(&self) -> Wrongs {
        let ours = self.tree.paths().filter(|path| path.iter().any(|part| part == "unitbee"));
        let mut wrongs: Wrongs = ours.map(|path| format!("{path} is left")).collect();
        wrongs.extend(self.mains.values().map(|main| format!("{} still runs", main.unit)));
        wrongs.extend(self.runners.values().map(|runner| format!("{} still has a runner", runner.unit)));
        if !self.crontab.is_empty() {
            wrongs.push("the crontab has a line of ours".to_owned());
        }
        wrongs
    }

    /// What releases hold secrets, but for those in effect.
    pub(crate) fn old_secrets(&self) -> Wrongs {
        let in_effect: Vec<Utf8PathBuf> = self
            .defined()
            .iter()
            .filter_map(|unit| Definition::parse(self.tree.read(&self.definition_of(unit))?)?.path("secrets"))
            .collect();
        let root = layout::root();
        let files = self.below(&root, "units").map(|(path, ..)| path);
        let old = files.filter(|path| path.file_name() == Some("env") && !in_effect.iter().any(|env| env == path));
        old.map(|path| format!("{path} holds old secrets")).collect()
    }

    fn below(&self, root: &HostPath, folder: &str) -> impl Iterator<Item = (&Utf8Path, u32, &Arc<Bytes>)> {
        let folder = self.at(root).join(folder);
        self.tree.files().filter(move |(path, ..)| path.starts_with(&folder))
    }
}

/// Whether a path is, or lies in, what a change has staged.
fn is_temporary(path: &Utf8Path) -> bool {
    path.iter().any(|part| part.starts_with(".new.") || part.starts_with(".unitbee."))
}
