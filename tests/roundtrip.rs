//! Arguments and variables go through a real user manager, or the runner under each shell, into a process and come out
//! byte for byte.
//!
//! A unit carries hundreds of values at once. When one of them goes wrong, the unit is made smaller until it is the
//! only one, and the value until nothing of it can be left out. `UNITBEE_SEED=NUMBER` repeats a run.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::disallowed_methods, reason = "a test runs programs and reads files itself")]
#![expect(clippy::print_stderr, reason = "the seed must be seen")]

#[path = "support/lab.rs"]
mod lab;
#[path = "support/nasty.rs"]
mod nasty;
#[path = "support/program.rs"]
mod program;
#[path = "support/shells.rs"]
mod shells;
#[path = "support/spec.rs"]
mod spec;
#[path = "support/user.rs"]
mod user;

use std::collections::BTreeMap;
use std::io::Read;

use camino::Utf8Path;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use unitbee::service::name::{EnvName, UnitName};
use unitbee::service::render::{self, Placement, Runner, Systemd, Target, runner};
use unitbee::service::secret::Secret;
use unitbee::service::spec::{Limits, Restart, RestartWhen, UnitSpec};

use self::lab::{LabHost, skip};
use self::user::File;

/// Below the home: what a program, a file of variables and a working directory may be called.
const PROGRAM: &str = "a $HOME ${X} é%h;#~@=/worker";
const DIR: &str = "a $HOME ${X} é%h;#~@='\"/50%";

/// The same for the runner, whose programs have no `=` in their paths and may have quotes.
const RUNNER_PROGRAM: &str = "a $HOME ${X} é%h;#~@'\"\\*/worker";

const UNITS: usize = 25;
const ARGS: usize = 400;
const VARIABLES: usize = 200;
const BIG_UNITS: usize = 4;
const BIG: usize = 4;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Case {
    /// An argument of `ExecStart=`.
    Arg(String),
    /// A value of `Environment=`.
    Env(String),
    /// A value in the file of `EnvironmentFile=`.
    Secret(String),
}

impl Case {
    fn value(&self) -> &str {
        let (Self::Arg(value) | Self::Env(value) | Self::Secret(value)) = self;
        value
    }

    fn with(&self, value: String) -> Self {
        match self {
            Self::Arg(_) => Self::Arg(value),
            Self::Env(_) => Self::Env(value),
            Self::Secret(_) => Self::Secret(value),
        }
    }
}

/// What a process was started with.
struct Dump {
    dir: String,
    args: Vec<String>,
    env: BTreeMap<String, String>,
}

#[test]
fn on_the_oldest_systemd() {
    on("bullseye", 247);
}

#[test]
fn on_the_newest_systemd() {
    on("forky", 262);
}

#[test]
fn on_the_runner_of_dash() {
    in_shell("dash");
}

#[test]
fn on_the_runner_of_bash() {
    in_shell("bash");
}

#[test]
fn on_the_runner_of_busybox() {
    in_shell("busybox");
}

fn on(suite: &str, systemd: u32) {
    let Some(host) = LabHost::up("roundtrip", suite, &[]) else { return };
    assert_eq!(host.systemd(), systemd, "the lab's {suite} is not what this test is about");
    host.put(&[File { path: PROGRAM, mode: 0o755, bytes: &std::fs::read(program::build("worker")).unwrap() }]);
    let user = User { home: host.home(), target: Systemd { version: Some(systemd) }, host };
    all_arrive(&format!("systemd {systemd}"), &|batches| user.run(batches));
}

fn in_shell(name: &'static str) {
    let Some(shell) = shells::Shell::find(name) else { return };
    let nest = Nest { folder: tempfile::tempdir().unwrap(), shell };
    let worker = nest.home().join(RUNNER_PROGRAM);
    std::fs::create_dir_all(worker.parent().unwrap()).unwrap();
    std::fs::copy(program::build("worker"), worker).unwrap();
    std::fs::create_dir_all(nest.home().join(DIR)).unwrap();
    std::fs::write(nest.home().join("runner"), &runner::PROGRAM.text).unwrap();
    all_arrive(&format!("the runner of {name}"), &|batches| nest.run(batches));
}

/// Runs one unit for each batch and tells which of them got something else than was written for it.
type Run<'a> = &'a dyn Fn(&[Vec<Case>]) -> Vec<Result<(), String>>;

fn all_arrive(what: &str, run: Run<'_>) {
    let seed = seed();
    let batches = generate(seed);
    let count: usize = batches.iter().map(Vec::len).sum();
    eprintln!("roundtrip on {what}: {count} values, UNITBEE_SEED={seed}");
    assert!(count >= 10_000, "{count} values are too few");
    for (batch, result) in batches.iter().zip(run(&batches)) {
        if let Err(fault) = result {
            let mut fails = |cases: &[Case]| run(&[cases.to_vec()]).iter().any(Result::is_err);
            let smallest = minimise_case(minimise(batch, &mut fails), &mut fails);
            panic!("{what}, UNITBEE_SEED={seed}: {fault}\nsmallest that fails: {smallest:?}");
        }
    }
}

fn seed() -> u64 {
    std::env::var("UNITBEE_SEED").map_or(2, |seed| seed.parse().unwrap())
}

/// Makes the values of all units; the last units carry few words of 64 KiB, made of the short ones.
fn generate(seed: u64) -> Vec<Vec<Case>> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let text = nasty::text();
    let short: Vec<String> =
        (0..UNITS * (ARGS + 2 * VARIABLES)).map(|_| text.new_tree(&mut runner).unwrap().current()).collect();
    let long: Vec<String> = (0..BIG_UNITS * 3 * BIG).map(|word| long_word(&short[word * 97..])).collect();
    [units(&short, ARGS, VARIABLES), units(&long, BIG, BIG), vec![longest()]].concat()
}

/// The most bytes that each can have, in the characters that grow most when they are escaped.
fn longest() -> Vec<Case> {
    let bytes = |count: usize| "\u{1}".repeat(count);
    let value = bytes(131_071 - "ROUNDTRIP_0=".len());
    vec![Case::Arg(bytes(131_071)), Case::Env(value.clone()), Case::Secret(value)]
}

fn units(values: &[String], args: usize, variables: usize) -> Vec<Vec<Case>> {
    let case = |(place, value): (usize, &String)| match place {
        place if place < args => Case::Arg(value.clone()),
        place if place < args + variables => Case::Env(value.clone()),
        _ => Case::Secret(value.clone()),
    };
    values.chunks(args + 2 * variables).map(|unit| unit.iter().enumerate().map(case).collect()).collect()
}

fn long_word(short: &[String]) -> String {
    let mut word = short.concat();
    word.truncate(word.floor_char_boundary(64 << 10));
    assert!(word.len() > (64 << 10) - 4, "the short words do not last for a long one");
    word
}

struct User {
    host: LabHost,
    home: String,
    target: Systemd,
}

impl User {
    fn run(&self, batches: &[Vec<Case>]) -> Vec<Result<(), String>> {
        let mut files = Vec::new();
        for (index, cases) in batches.iter().enumerate() {
            files.extend(self.files(index, cases));
        }
        let files: Vec<File<'_>> = files.iter().map(|(path, mode, bytes)| File { path, mode: *mode, bytes }).collect();
        self.host.sh("rm -rf out .config/systemd/user && mkdir out", b"");
        self.host.put(&files);
        let script = "systemctl --user daemon-reload
            for unit in .config/systemd/user/roundtrip-*.service; do systemctl --user start --wait \"${unit##*/}\"; done
            systemctl --user reset-failed
            tar -C out -cf - .";
        let dumps = self.host.sh(script, b"");
        let mut dumps: BTreeMap<usize, Dump> = read_dumps(&dumps);
        let checked = |(index, cases): (usize, &Vec<Case>)| match dumps.remove(&index) {
            None => Err("it did not start".to_owned()),
            Some(dump) => check(&self.home, PROGRAM, index, cases, &dump),
        };
        batches.iter().enumerate().map(checked).collect()
    }

    fn files(&self, index: usize, cases: &[Case]) -> [(String, u32, Vec<u8>); 2] {
        let spec = spec(&self.home, index, cases);
        let env_file = format!("{DIR}/{index}.env");
        let placement = Placement {
            program: format!("{}/{PROGRAM}", self.home).into(),
            env_file: Some(format!("{}/{env_file}", self.home).into()),
            release: 1,
        };
        let unit = render::service(&spec, &placement, self.target).unwrap();
        let secrets = secrets(cases);
        [
            (format!(".config/systemd/user/{}", unit.name), unit.mode, unit.bytes),
            (env_file, 0o600, render::env_file(&secrets, self.target).unwrap()),
        ]
    }
}

/// Units under the runner, each started and waited for by a shell of its own.
struct Nest {
    folder: tempfile::TempDir,
    shell: shells::Shell,
}

impl Nest {
    fn home(&self) -> &Utf8Path {
        self.folder.path().try_into().unwrap()
    }

    fn run(&self, batches: &[Vec<Case>]) -> Vec<Result<(), String>> {
        let out = self.home().join("out");
        std::fs::remove_dir_all(&out).ok();
        std::fs::create_dir(&out).unwrap();
        batches.iter().enumerate().map(|(index, cases)| self.run_one(index, cases)).collect()
    }

    fn run_one(&self, index: usize, cases: &[Case]) -> Result<(), String> {
        let home = self.home();
        let state = home.join("state");
        let spec = UnitSpec {
            restart: Restart { when: RestartWhen::No, ..Restart::default() },
            limits: Limits::default(),
            systemd: BTreeMap::new(),
            // The cgroup is named after it, and that of another shell's unit would be the same.
            instance: format!("{}-{index}", home.file_name().unwrap()),
            ..spec(home.as_str(), index, cases)
        };
        let placement =
            Placement { program: home.join(RUNNER_PROGRAM), env_file: Some(home.join(DIR).join("env")), release: 1 };
        let target = Runner {
            program: home.join("runner"),
            registry: state.join("registry"),
            claims: state.join("claims"),
            logs: state.join("log"),
        };
        let definition = render::runner::definition(&spec, &placement, &target).unwrap();
        let path = home.join(&definition.name);
        std::fs::write(&path, definition.bytes).unwrap();
        let secrets = render::secrets_file(&secrets(cases), &Target::Runner(target)).unwrap();
        std::fs::write(home.join(DIR).join("env"), secrets).unwrap();
        let ended = self.shell.command().arg(&path).arg("supervise").output().unwrap();
        let dump = std::fs::read(home.join(format!("out/{index}"))).map_err(|_| {
            let log = std::fs::read_to_string(state.join(format!("log/roundtrip-{index}/1.log"))).unwrap_or_default();
            format!("it did not start: {ended:?}\n{log}")
        })?;
        check(home.as_str(), RUNNER_PROGRAM, index, cases, &read_dump(&String::from_utf8_lossy(&dump)))
    }
}

fn spec(home: &str, index: usize, cases: &[Case]) -> UnitSpec {
    let mut args = vec!["dump".to_owned(), format!("{home}/out/{index}")];
    args.extend(cases.iter().filter(|case| matches!(case, Case::Arg(_))).map(|case| case.value().to_owned()));
    UnitSpec {
        unit: UnitName::new(format!("roundtrip-{index}")).unwrap(),
        args,
        env: variables(cases).filter(|(_, case)| matches!(case, Case::Env(_))).map(named).collect(),
        working_dir: Some(format!("{home}/{DIR}").into()),
        ..spec::full()
    }
}

fn secrets(cases: &[Case]) -> BTreeMap<EnvName, Secret> {
    let secrets = variables(cases).filter(|(_, case)| matches!(case, Case::Secret(_))).map(named);
    secrets.map(|(name, value)| (name, Secret::new(value))).collect()
}

fn check(home: &str, program: &str, index: usize, cases: &[Case], dump: &Dump) -> Result<(), String> {
    same("the program", &format!("{home}/{program}"), &dump.args[0])?;
    same("the directory", &format!("{home}/{DIR}"), &dump.dir)?;
    same("the file", &format!("{home}/out/{index}"), &dump.args[2])?;
    let expected: Vec<&str> = cases.iter().filter(|case| matches!(case, Case::Arg(_))).map(Case::value).collect();
    for (number, (expected, found)) in expected.iter().zip(&dump.args[3..]).enumerate() {
        same(&format!("argument {number}"), expected, found)?;
    }
    same("the number of arguments", &expected.len().to_string(), &dump.args[3..].len().to_string())?;
    for (name, case) in variables(cases) {
        let found = dump.env.get(&name).ok_or(format!("{name} is not set, it should be {case:?}"))?;
        same(&name, case.value(), found)?;
    }
    match dump.env.keys().find(|name| is_ours(name) && !variables(cases).any(|(ours, _)| ours == **name)) {
        None => Ok(()),
        Some(name) => Err(format!("{name} is set")),
    }
}

fn same(what: &str, expected: &str, found: &str) -> Result<(), String> {
    if expected == found { Ok(()) } else { Err(format!("{what} should be {expected:?} and is {found:?}")) }
}

/// Names the variables by their place.
fn variables(cases: &[Case]) -> impl Iterator<Item = (String, &Case)> {
    let variables = cases.iter().filter(|case| !matches!(case, Case::Arg(_)));
    variables.enumerate().map(|(index, case)| (format!("ROUNDTRIP_{index}"), case))
}

fn is_ours(name: &str) -> bool {
    name.starts_with("ROUNDTRIP_")
}

fn named((name, case): (String, &Case)) -> (EnvName, String) {
    (EnvName::new(name).unwrap(), case.value().to_owned())
}

fn read_dumps(tar: &[u8]) -> BTreeMap<usize, Dump> {
    let mut dumps = BTreeMap::new();
    for entry in tar::Archive::new(tar).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().file_name().and_then(|name| name.to_str()?.parse().ok());
        let Some(index) = name else { continue };
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        dumps.insert(index, read_dump(&text));
    }
    dumps
}

fn read_dump(text: &str) -> Dump {
    let mut items = text.split_terminator('\0').map(str::to_owned);
    let count: usize = items.next().unwrap().parse().unwrap();
    let dir = items.next().unwrap();
    let args = items.by_ref().take(count).collect();
    let env = items.filter_map(|item| item.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())));
    Dump { dir, args, env: env.collect() }
}

/// Leaves out what can be left out while it still fails, in ever smaller pieces.
fn minimise<T: Clone>(items: &[T], fails: &mut dyn FnMut(&[T]) -> bool) -> Vec<T> {
    let mut items = items.to_vec();
    let mut piece = items.len().div_ceil(2);
    while piece > 0 {
        let mut at = 0;
        while at < items.len() {
            let end = (at + piece).min(items.len());
            let fewer = [&items[..at], &items[end..]].concat();
            if fails(&fewer) {
                items = fewer;
            } else {
                at = end;
            }
        }
        piece = if piece == 1 { 0 } else { piece.div_ceil(2) };
    }
    items
}

fn minimise_case(cases: Vec<Case>, fails: &mut dyn FnMut(&[Case]) -> bool) -> Vec<Case> {
    let [case] = &cases[..] else { return cases };
    let characters: Vec<char> = case.value().chars().collect();
    let smallest = minimise(&characters, &mut |characters| fails(&[case.with(characters.iter().collect())]));
    vec![case.with(smallest.into_iter().collect())]
}
