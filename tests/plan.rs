//! Plans: pure, complete, and empty once they were carried out.

#![expect(clippy::unwrap_used, reason = "a test may panic where its own premise does not hold")]

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use unitbee::deploy::desired::{DefinitionSource, EnvSource, ProgramSource};
use unitbee::deploy::loader::Loader;
use unitbee::deploy::machine::Machine;
use unitbee::deploy::plan::plan;
use unitbee::deploy::program::{Requirements, ScriptFault};
use unitbee::deploy::release;
use unitbee::deploy::step::{Action, Step};
use unitbee::deploy::survey::{Observed, ProgramFound, Refs, UnitObserved};
use unitbee::deploy::{ApplyOptions, Desired, Obstacle, Payload, Plan, Project};
use unitbee::host::{Base, Batch, Content, Facts, FileFound, HostPath};
use unitbee::service::manifest;
use unitbee::service::record::Record;
use unitbee::service::render::{Systemd, Target, header};
use unitbee::service::secret::Secret;
use unitbee::service::spec::EnvName;
use unitbee::supervisor::snapshot::Snapshot;
use unitbee::supervisor::systemd::drop_in::Unkept;
use unitbee::supervisor::{State, SupervisorKind, UnitStatus};

const NOW_USEC: u64 = 1_800_000_000_000_000;

/// All that is done here happens within one second.
const A_MOMENT_USEC: u64 = 20_000;

/// A host that carries out plans: files in a map, units that run as soon as they are started.
struct World {
    files: BTreeMap<HostPath, Vec<u8>>,
    status: BTreeMap<String, UnitStatus>,
    now_usec: u64,
    /// `uname -s` and `uname -m`.
    machine: [&'static str; 2],
}

impl World {
    fn new() -> Self {
        Self { files: BTreeMap::new(), status: BTreeMap::new(), now_usec: NOW_USEC, machine: ["Linux", "x86_64"] }
    }

    /// What stands in the way of a program that begins like this.
    fn obstacle(&self, head: &[u8]) -> Obstacle {
        let mut wanted = wanted("", "1", "s");
        wanted.truncate(1);
        let payload = Payload { machine: Machine::of(head), ..wanted[0].payload().unwrap().clone() };
        wanted[0].program = ProgramSource::Ship(payload.into());
        self.plan(&wanted, false).unwrap_err().remove(0)
    }

    fn facts(&self) -> Facts {
        Facts {
            os: self.machine[0].into(),
            arch: self.machine[1].into(),
            node: "h".into(),
            user: "bee".into(),
            uid: 1000,
            home: "/home/bee".into(),
            config: "/home/bee/.config".into(),
            data: "/home/bee/.local/share".into(),
            state: "/home/bee/.local/state".into(),
            cgroup: None,
            boot_id: "b".into(),
            now_usec: self.now_usec,
            uptime_usec: 100_000_000,
            ticks: 100,
            bus: true,
            systemd: true,
            linger: true,
        }
    }

    fn observed(&self, wanted: &[Desired]) -> Observed {
        let below = |folder: &str| {
            let folder = Utf8PathBuf::from(folder);
            let inside = |(path, content): (&HostPath, &Vec<u8>)| {
                Some((path.rel.strip_prefix(&folder).ok()?.to_owned(), sha256(content)))
            };
            let data = self.files.iter().filter(|(path, _)| path.base == Base::Data);
            data.filter_map(inside).collect::<BTreeMap<_, _>>()
        };
        let file = |path: &HostPath| {
            self.files.get(path).map(|content| FileFound { content: content.clone(), mode: 0o644, link: None })
        };
        let unit = |wanted: &Desired| {
            let name = wanted.unit();
            let record = file(&HostPath::new(Base::Data, format!("unitbee/units/{name}/spec.json")));
            let payload = wanted.payload().unwrap();
            let store = format!("unitbee/store/{}/{}", payload.sha256, payload.name);
            UnitObserved {
                file: file(&HostPath::new(Base::Config, format!("systemd/user/{name}.service"))),
                record: record.and_then(|file| Record::parse(&file.content).ok()),
                releases: release::found(below(&format!("unitbee/units/{name}"))),
                program: ProgramFound::Store(self.files.contains_key(&HostPath::new(Base::Data, store))),
                status: Some(self.status.get(name).cloned().unwrap_or_else(|| UnitStatus::unknown(name))),
                ..UnitObserved::default()
            }
        };
        let slices = wanted
            .iter()
            .map(|wanted| {
                let path = HostPath::new(Base::Config, format!("systemd/user/{}.slice", wanted.spec.slice));
                (wanted.spec.slice.clone(), file(&path))
            })
            .collect();
        let marks = below("unitbee/refs");
        Observed {
            facts: self.facts(),
            choice: SupervisorKind::choose(&self.facts(), None),
            target: Target::Systemd(Systemd { version: Some(257) }),
            told: Snapshot::default(),
            has_runner: false,
            slices,
            loader: Loader::default(),
            refs: Refs::read(marks.keys().map(Utf8PathBuf::as_path)),
            journal: None,
            units: wanted.iter().map(unit).collect(),
        }
    }

    fn plan(&self, wanted: &[Desired], take: bool) -> Result<Plan, Vec<Obstacle>> {
        self.plan_with(wanted, &ApplyOptions { take, ..ApplyOptions::default() })
    }

    fn plan_with(&self, wanted: &[Desired], options: &ApplyOptions) -> Result<Plan, Vec<Obstacle>> {
        plan("box", wanted, &self.observed(wanted), "alice@laptop", options)
    }

    /// Writes the files of steps, and nothing else of them.
    fn write<'s>(&mut self, steps: impl Iterator<Item = &'s Step>) {
        for batch in steps.filter_map(files) {
            for put in &batch.puts {
                let bytes = match &put.content {
                    Content::Bytes(bytes) => bytes.clone(),
                    Content::File { len, .. } => vec![0; usize::try_from(*len).unwrap()],
                };
                self.files.insert(put.path.clone(), bytes);
            }
            for gone in &batch.removes {
                self.files.retain(|path, _| path.base != gone.base || !path.rel.starts_with(&gone.rel));
            }
        }
    }

    /// Carries out a plan.
    fn apply(&mut self, plan: &Plan) {
        self.write(plan.steps());
        self.now_usec += A_MOMENT_USEC;
        let since = self.facts().now();
        for step in plan.steps() {
            let unit = step.unit.clone().unwrap_or_default();
            match &step.action {
                Action::Launch { .. } => {
                    let status = self.status.entry(unit.clone()).or_insert_with(|| UnitStatus::unknown(&unit));
                    status.state = State::Running { pid: 1, since };
                    status.started_usec = Some(self.now_usec);
                    status.installed = true;
                }
                Action::Enable => {
                    self.status.entry(unit.clone()).or_insert_with(|| UnitStatus::unknown(&unit)).enabled = true;
                }
                Action::Reload => self.status.values_mut().for_each(|status| status.needs_reload = false),
                _ => {}
            }
        }
        self.now_usec += A_MOMENT_USEC;
    }
}

/// The files of a step.
fn files(step: &Step) -> Option<&Batch> {
    if let Action::Files(batch) = &step.action { Some(batch) } else { None }
}

/// What starts units, in words.
fn launches(plan: &Plan) -> Vec<&str> {
    let is = |step: &&Step| matches!(step.action, Action::Launch { .. });
    plan.steps().filter(is).map(|step| step.does.as_str()).collect()
}

/// The ids of all steps.
fn ids(plan: &Plan) -> Vec<&str> {
    plan.steps().map(|step| step.id.as_str()).collect()
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(bytes))
}

/// Two instances of one service, with a program of this digest and a secret of this value.
fn wanted(keys: &str, program: &str, secret: &str) -> Vec<Desired> {
    let text = format!(
        "[service.w]\ncommand = [\"./w\", \"{{port}}\"]\ninstances = {{ a = {{ port = 1 }}, b = {{ port = 2 }} }}\n\
         secrets = [\"TOKEN\"]\n{keys}"
    );
    let manifest = match manifest::read(&text, "test", Utf8Path::new("/src")) {
        Ok(manifest) => manifest,
        Err(problems) => panic!("{}", problems.render(false)),
    };
    let payload = Payload {
        path: "/src/w".into(),
        name: "w".into(),
        sha256: sha256(program.as_bytes()),
        len: 7,
        machine: None,
        needs: Requirements::Nothing,
    };
    let secret = BTreeMap::from([(EnvName::new("TOKEN").unwrap(), Secret::new(secret.into()))]);
    manifest
        .units
        .into_iter()
        .map(|placed| Desired {
            spec: placed.spec,
            program: ProgramSource::Ship(payload.clone().into()),
            env: EnvSource::New(secret.clone()),
            definition: DefinitionSource::Render,
        })
        .collect()
}

#[test]
fn a_plan_that_was_carried_out_leaves_nothing_to_do() {
    let mut world = World::new();
    for (keys, program, secret) in [
        ("", "1", "s"),
        ("env = { A = \"1\" }\n", "1", "s"),
        ("env = { A = \"1\" }\n", "2", "s"),
        ("env = { A = \"1\" }\n", "2", "t"),
        ("limits = { memory = \"1G\" }\n", "2", "t"),
        ("", "1", "s"),
    ] {
        let wanted = wanted(keys, program, secret);
        let plan = world.plan(&wanted, false).unwrap();
        assert!(!plan.is_empty(), "{keys:?} {program} {secret} changes something");
        world.apply(&plan);
        let again = world.plan(&wanted, false).unwrap();
        assert!(again.is_empty(), "after {keys:?} {program} {secret} there is still to do:\n{again}");
    }
}

#[test]
fn everything_is_there_before_the_first_unit_file_and_units_take_turns() {
    let mut world = World::new();
    let plan = world.plan(&wanted("", "1", "s"), false).unwrap();
    let ship = ids(&plan)[1].to_owned();
    assert!(ship.starts_with("ship:"), "{ship}");
    let new = [
        "journal",
        &ship,
        "release:w-a",
        "release:w-b",
        "slice:rbee.slice",
        "switch:w-a",
        "switch:w-b",
        "enable:w-a",
        "enable:w-b",
        "reload",
        "start:w-a",
        "gate:w-a",
        "accept:w-a",
        "start:w-b",
        "gate:w-b",
        "accept:w-b",
        "close",
    ];
    assert_eq!(ids(&plan), new, "new units all at once");
    world.apply(&plan);
    let plan = world.plan(&wanted("env = { A = \"1\" }\n", "1", "s"), false).unwrap();
    let turns = [
        "journal",
        "release:w-a",
        "release:w-b",
        "switch:w-a",
        "reload",
        "replace:w-a",
        "gate:w-a",
        "accept:w-a",
        "switch:w-b",
        "reload",
        "replace:w-b",
        "gate:w-b",
        "accept:w-b",
        "close",
    ];
    assert_eq!(ids(&plan).into_iter().filter(|id| *id != "limits").collect::<Vec<_>>(), turns, "one after the other");
    let plan = world.plan(&wanted("env = { A = \"1\" }\nparallel = 2\n", "1", "s"), false).unwrap();
    let at_once = [
        "journal",
        "release:w-a",
        "release:w-b",
        "switch:w-a",
        "switch:w-b",
        "reload",
        "replace:w-a",
        "gate:w-a",
        "accept:w-a",
        "replace:w-b",
        "gate:w-b",
        "accept:w-b",
        "close",
    ];
    assert_eq!(ids(&plan), at_once);
}

#[test]
fn one_program_is_shipped_once_for_many_units() {
    let plan = World::new().plan(&wanted("", "1", "s"), false).unwrap();
    assert_eq!(ids(&plan).iter().filter(|id| id.starts_with("ship:")).count(), 1);
}

#[test]
fn one_run_checks_a_program_for_many_units() {
    let world = World::new();
    let checks = |keys: &str| {
        let plan = world.plan(&wanted(keys, "1", "s"), false).unwrap();
        ids(&plan).iter().filter(|id| id.starts_with("check:")).count()
    };
    assert_eq!(checks(""), 0);
    assert_eq!(checks("check = [\"--version\"]\n"), 1);
    assert_eq!(checks("check = [\"--try\", \"{instance}\"]\n"), 2);
}

#[test]
fn what_the_manager_applies_by_itself_restarts_nothing() {
    let mut world = World::new();
    world.apply(&world.plan(&wanted("", "1", "s"), false).unwrap());
    let plan = world.plan(&wanted("limits = { memory = \"1G\", cpu = \"50%\" }\n", "1", "s"), false).unwrap();
    assert!(ids(&plan).contains(&"reload") && ids(&plan).contains(&"limits"), "{plan}");
    assert_eq!(launches(&plan), Vec::<&str>::new());
    assert!(ids(&plan).contains(&"gate:w-a"), "it has to be healthy all the same: {plan}");
    let plan = world.plan(&wanted("env = { A = \"1\" }\n", "1", "s"), false).unwrap();
    assert_eq!(launches(&plan), ["restart w-a: Environment changed", "restart w-b: Environment changed"]);
}

#[test]
fn a_crash_between_the_files_and_the_restart_is_made_good() {
    let mut world = World::new();
    world.apply(&world.plan(&wanted("", "1", "s"), false).unwrap());
    let next = wanted("env = { A = \"1\" }\n", "1", "s");
    let plan = world.plan(&next, false).unwrap();
    // Up to the first unit that is replaced.
    let upto = plan.steps().position(|step| matches!(step.action, Action::Launch { .. })).unwrap();
    world.write(plan.steps().take(upto));
    world.now_usec += A_MOMENT_USEC;
    let plan = world.plan(&next, false).unwrap();
    assert_eq!(launches(&plan), ["restart w-a: it runs an older release", "restart w-b: Environment changed"]);
    world.apply(&plan);
    assert!(world.plan(&next, false).unwrap().is_empty());
}

#[test]
fn a_release_that_was_never_proven_has_to_pass_its_gate() {
    let mut world = World::new();
    let wanted = wanted("", "1", "s");
    let plan = world.plan(&wanted, false).unwrap();
    world.apply(&plan);
    world.files.retain(|path, _| !path.rel.ends_with("healthy"));
    let plan = world.plan(&wanted, false).unwrap();
    assert_eq!(ids(&plan), ["journal", "gate:w-a", "accept:w-a", "gate:w-b", "accept:w-b", "close"]);
    world.apply(&plan);
    assert!(world.plan(&wanted, false).unwrap().is_empty());
}

#[test]
fn a_release_that_failed_is_not_tried_again_unasked() {
    let mut world = World::new();
    world.apply(&world.plan(&wanted("", "1", "s"), false).unwrap());
    let bad = wanted("env = { A = \"1\" }\n", "1", "s");
    let plan = world.plan(&bad, false).unwrap();
    let release = plan.steps().find(|step| step.id.as_str() == "release:w-a").unwrap();
    world.write([release].into_iter());
    let mark = |release: u32| HostPath::new(Base::Data, format!("unitbee/units/w-a/{release}/failed"));
    world.files.insert(mark(2), b"why\n".to_vec());
    assert_eq!(world.plan(&bad, false).unwrap_err(), [Obstacle::FailedBefore { unit: "w-a".into(), release: 2 }]);
    let retry = ApplyOptions { retry: true, ..ApplyOptions::default() };
    assert!(ids(&world.plan_with(&bad, &retry).unwrap()).contains(&"switch:w-a"));
    // Another release is another matter.
    assert!(world.plan(&wanted("env = { A = \"2\" }\n", "1", "s"), false).is_ok());
}

#[test]
fn another_project_has_its_own_units() {
    let mut world = World::new();
    let mine = wanted("", "1", "s");
    world.apply(&world.plan(&mine, false).unwrap());
    let project = |name: &str, units: &[&str]| ApplyOptions {
        project: Some(Project {
            name: name.into(),
            manifest: "/other/unitbee.toml".into(),
            units: units.iter().map(|unit| (*unit).to_owned()).collect(),
        }),
        ..ApplyOptions::default()
    };
    let obstacles = world.plan_with(&mine, &project("other", &["w-a", "w-b"])).unwrap_err();
    assert!(matches!(&obstacles[0], Obstacle::OtherProject { project, .. } if project == "src"), "{obstacles:?}");
    let plan = world.plan_with(&mine[..1], &project("src", &["w-a"])).unwrap();
    assert_eq!(plan.orphans, ["w-b"], "it left the manifest");
    assert!(world.plan_with(&mine[..1], &project("src", &["w-a", "w-b"])).unwrap().orphans.is_empty());
}

#[test]
fn secrets_are_compared_and_never_shown() {
    let mut world = World::new();
    world.apply(&world.plan(&wanted("", "1", "hunter2"), false).unwrap());
    let plan = world.plan(&wanted("", "1", "correct horse"), false).unwrap();
    assert_eq!(launches(&plan), ["restart w-a: its secrets changed", "restart w-b: its secrets changed"]);
    let shown = format!("{plan} {plan:?} {}", serde_json::to_string(&plan).unwrap());
    for secret in ["hunter2", "correct horse"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let puts = plan.steps().filter_map(files).flat_map(|batch| &batch.puts);
    let env: Vec<u32> = puts.filter(|put| put.path.rel.ends_with("env")).map(|put| put.mode).collect();
    assert_eq!(env, [0o600, 0o600]);
}

#[test]
fn only_the_last_releases_stay() {
    let mut world = World::new();
    for program in 0..6 {
        let plan = world.plan(&wanted("", &program.to_string(), "s"), false).unwrap();
        world.apply(&plan);
    }
    let has = |text: &str| world.files.keys().filter(|path| path.rel.as_str().contains(text)).count();
    assert_eq!(has("units/w-a/6/spec.json") + has("units/w-a/5/spec.json") + has("units/w-a/4/spec.json"), 3);
    assert_eq!(has("units/w-a/3/"), 0, "{:#?}", world.files.keys());
    assert_eq!(has("unitbee/store/"), 3, "programs that nobody needs are gone: {:#?}", world.files.keys());
    assert_eq!(has("unitbee/refs/rbee.slice/w-b."), 3);
}

#[test]
fn what_changes_that_died_left_goes_with_the_next() {
    let mut world = World::new();
    world.apply(&world.plan(&wanted("", "1", "s"), false).unwrap());
    // One died when its program was there, the other on its way back, before the failed release was tidied up.
    let plan = world.plan(&wanted("", "2", "s"), false).unwrap();
    world.write(plan.steps().filter(|step| step.id.verb() == "ship"));
    let plan = world.plan(&wanted("", "3", "s"), false).unwrap();
    world.write(plan.steps().filter(|step| ["ship", "release"].contains(&step.id.verb())));
    let failed = world.files.keys().find(|path| path.rel.as_str().contains("units/w-b/2/")).unwrap().rel.clone();
    world.files.insert(HostPath::new(Base::Data, failed.with_file_name("failed")), b"why\n".to_vec());
    world.apply(&world.plan(&wanted("", "4", "s"), false).unwrap());
    let names = |text: &str| -> Vec<&str> {
        let names = world.files.keys().filter(|path| path.rel.as_str().contains(text));
        names.filter_map(|path| path.rel.file_name()).collect()
    };
    assert_eq!(names("units/w-b/2/"), ["failed", "set", "spec.json"]);
    assert_eq!(names("units/w-a/2/"), [""; 0]);
    assert_eq!(names("unitbee/store/").len(), 2, "{:#?}", world.files.keys());
    assert_eq!(names("unitbee/refs/rbee.slice/"), ["w-a.1", "w-a.4", "w-b.1", "w-b.3"]);
    assert!(world.plan(&wanted("", "4", "s"), false).unwrap().is_empty());
}

#[test]
fn as_many_releases_stay_as_the_manifest_says() {
    let mut world = World::new();
    for program in 0..4 {
        world.apply(&world.plan(&wanted("keep = 1\n", &program.to_string(), "s"), false).unwrap());
    }
    let records =
        world.files.keys().filter(|path| path.rel.as_str().contains("units/w-a/") && path.rel.ends_with("4/spec.json"));
    assert_eq!(records.count(), 1);
    assert!(!world.files.keys().any(|path| path.rel.as_str().contains("units/w-a/3/")), "{:#?}", world.files.keys());
}

#[test]
fn how_releases_are_built_replaced_and_kept_makes_no_new_one() {
    let mut world = World::new();
    world.apply(&world.plan(&wanted("", "1", "s"), false).unwrap());
    let plan = world.plan(&wanted("build = ['make']\nkeep = 7\nparallel = 'all'\n", "1", "s"), false).unwrap();
    assert!(plan.is_empty(), "{plan}");
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let mut world = World::new();
    let path = HostPath::new(Base::Config, "systemd/user/w-a.service");
    world.files.insert(path, b"[Service]\nExecStart=/bin/true\n".to_vec());
    let obstacles = world.plan(&wanted("", "1", "s"), true).unwrap_err();
    assert_eq!(obstacles, [Obstacle::Foreign { path: "/home/bee/.config/systemd/user/w-a.service".into() }]);
}

#[test]
fn an_edit_by_hand_needs_a_choice() {
    let mut world = World::new();
    let wanted = wanted("", "1", "s");
    world.apply(&world.plan(&wanted, false).unwrap());
    let path = HostPath::new(Base::Config, "systemd/user/w-a.service");
    world.files.get_mut(&path).unwrap().extend(b"Nice=5\n");
    let obstacles = world.plan(&wanted, false).unwrap_err();
    let path = Utf8PathBuf::from("/home/bee/.config/systemd/user/w-a.service");
    assert_eq!(obstacles, [Obstacle::Drift { path: path.clone(), diff: None, can_keep: true }]);
    let preview = world.plan_with(&wanted, &ApplyOptions { preview: true, ..ApplyOptions::default() }).unwrap();
    assert_eq!(preview.drifts, [Obstacle::Drift { path, diff: None, can_keep: true }]);
    let plan = world.plan(&wanted, true).unwrap();
    assert!(plan.to_string().contains("-Nice=5"), "{plan}");
    world.apply(&plan);
    assert!(world.plan(&wanted, false).unwrap().is_empty());
}

#[test]
fn an_edit_that_is_kept_is_in_place_before_the_unit_file_is_written_anew() {
    let mut world = World::new();
    let wanted = wanted("", "1", "s");
    world.apply(&world.plan(&wanted, false).unwrap());
    let unit = HostPath::new(Base::Config, "systemd/user/w-a.service");
    let drop_in = HostPath::new(Base::Config, "systemd/user/w-a.service.d/00-kept.conf");
    let edited = String::from_utf8(world.files[&unit].clone()).unwrap().replace("[Service]\n", "[Service]\nNice=5\n");
    let original = world.files.insert(unit.clone(), edited.into_bytes());
    let keep = ApplyOptions { keep: true, ..ApplyOptions::default() };
    let keep = |world: &World, original: &Option<Vec<u8>>| {
        let mut observed = world.observed(&wanted);
        observed.units[0].original.clone_from(original);
        let content = world.files.get(&drop_in).cloned();
        observed.units[0].kept = content.map(|content| FileFound { content, mode: 0o644, link: None });
        plan("box", &wanted, &observed, "alice@laptop", &keep)
    };
    let refused = keep(&world, &None).unwrap_err();
    assert!(matches!(&refused[..], [Obstacle::Unkept { why: Unkept::NoOriginal, .. }]), "{refused:?}");

    world.files.insert(drop_in.clone(), b"[Service]\nNice=1\n".to_vec());
    let refused = keep(&world, &original).unwrap_err();
    assert_eq!(refused, [Obstacle::Foreign { path: format!("/home/bee/.config/{}", drop_in.rel).into() }]);
    world.files.remove(&drop_in);

    let plan = keep(&world, &original).unwrap();
    assert_eq!(launches(&plan), ["restart w-a: Nice was edited by hand"]);
    let verbs: Vec<_> = plan.steps().map(|step| step.id.verb()).collect();
    let at = |verb: &str| verbs.iter().position(|other| *other == verb);
    assert!(at("keep") < at("switch") && at("switch") < at("reload"), "{verbs:?}");
    world.apply(&plan);
    // The file with the secrets is the new release's.
    let body = |file: &[u8]| String::from_utf8_lossy(header::body(file)).replace("/w-a/2/env", "/w-a/1/env");
    assert_eq!(body(&world.files[&unit]), body(&original.unwrap()));
    assert!(world.files[&drop_in].ends_with(b"\n[Service]\nNice=5\n"));
    assert!(keep(&world, &None).unwrap().is_empty());
}

#[test]
fn a_program_for_another_machine_is_not_shipped() {
    let mut head = vec![0x7f, b'E', b'L', b'F', 2, 1, 1];
    head.resize(18, 0);
    head.extend(183_u16.to_le_bytes());
    head.resize(64, 0);
    let obstacle = World::new().obstacle(&head);
    assert_eq!(obstacle.to_string(), "w-a: /src/w is for Linux aarch64, the host is Linux x86_64");
}

#[test]
fn a_program_that_the_host_cannot_start_is_not_shipped() {
    let world = World::new();
    let mut wanted = wanted("", "1", "s");
    let needs = Requirements::BadScript(ScriptFault::CarriageReturn);
    let payload = Payload { needs, ..wanted[0].payload().unwrap().clone() };
    wanted[0].program = ProgramSource::Ship(payload.into());
    let obstacles = world.plan(&wanted, false).unwrap_err();
    assert_eq!(obstacles.len(), 1);
    assert!(obstacles[0].to_string().starts_with("w-a: /src/w has a carriage return"), "{obstacles:?}");
    assert!(obstacles[0].hint().unwrap().contains("line endings"), "{obstacles:?}");
}

#[test]
fn what_apple_silicon_would_kill_is_not_shipped() {
    // The header of a program for ARM and nothing of what may come after it.
    let head = [0xfeed_facf_u32, 0x0100_000c, 0, 2, 0, 0, 0, 0].map(u32::to_le_bytes).concat();
    let obstacle = World { machine: ["Darwin", "arm64"], ..World::new() }.obstacle(&head);
    assert!(obstacle.to_string().starts_with("w-a: /src/w has no code signature"), "{obstacle}");
    assert_eq!(obstacle.hint().as_deref(), Some("sign it on a Mac: `codesign --sign - /src/w`"));
}

#[test]
fn a_unit_that_is_down_is_started_and_one_that_loops_is_replaced() {
    let mut world = World::new();
    let wanted = wanted("", "1", "s");
    world.apply(&world.plan(&wanted, false).unwrap());
    world.status.get_mut("w-a").unwrap().state = State::Failed { reason: "exit code 3".into() };
    world.status.get_mut("w-b").unwrap().state = State::Backoff { reason: "exit code 4".into(), restarts: 7 };
    let plan = world.plan(&wanted, false).unwrap();
    assert_eq!(launches(&plan), ["start w-a: it is failed (exit code 3)", "restart w-b: it is backoff (exit code 4)"]);
}

#[test]
fn a_unit_that_is_being_stopped_does_not_count_as_running() {
    let mut world = World::new();
    let wanted = wanted("", "1", "s");
    world.apply(&world.plan(&wanted, false).unwrap());
    world.status.get_mut("w-a").unwrap().state = State::Stopping;
    assert_eq!(launches(&world.plan(&wanted, false).unwrap()), ["restart w-a: it is stopping"]);
}

#[test]
fn what_the_manager_remembers_of_a_unit_without_a_file_does_not_count() {
    let mut world = World::new();
    let wanted = wanted("", "1", "s");
    world.status.insert("w-a".into(), UnitStatus { enabled: true, ..UnitStatus::unknown("w-a") });
    let plan = world.plan(&wanted, false).unwrap();
    let enables: Vec<&str> = ids(&plan).into_iter().filter(|id| id.starts_with("enable:")).collect();
    assert_eq!(enables, ["enable:w-a", "enable:w-b"]);
}
