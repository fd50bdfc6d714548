//! The property lists of a spec: their text, what is read back from them, what they refuse and what they say.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::disallowed_methods, reason = "a test runs programs and writes files itself")]

#[path = "support/nasty.rs"]
mod nasty;
#[path = "support/spec.rs"]
mod spec;

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::Duration;

use plist::{Dictionary, Value};
use proptest::strategy::{BoxedStrategy, Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use unitbee::service::escape::EscapeError;
use unitbee::service::name::{EnvName, UnitName};
use unitbee::service::render::{self, Launchd, Placement, RenderError, Rendered, Target, header};
use unitbee::service::secret::Secret;
use unitbee::service::spec::{Limits, Restart, RestartWhen, Scope, Stop, UnitSpec};

const STORE: &str = "/Users/bee/.local/share/unitbee/store/0123abcd/llm & worker";
const ENV_FILE: &str = "/Users/bee/.local/share/unitbee/units/llm-8080/3/env";

fn mac() -> Launchd {
    let home = "/Users/bee".into();
    Launchd { user: "bee".to_owned(), home, logs: "/Users/bee/.local/state/unitbee/log".into() }
}

fn placement() -> Placement {
    Placement { program: STORE.into(), env_file: Some(ENV_FILE.into()), release: 3 }
}

fn full() -> UnitSpec {
    let listener = Dictionary::from_iter([("SockServiceName", Value::from("80<81")), ("SockPassive", true.into())]);
    UnitSpec {
        launchd: BTreeMap::from([
            ("Nice".to_owned(), Value::from(5)),
            ("Sockets".to_owned(), Dictionary::from_iter([("Listener", listener)]).into()),
            ("WatchPaths".to_owned(), Value::Array(vec!["/a".into(), "/b & c".into()])),
            ("X".to_owned(), Value::from(0.5)),
        ]),
        ..spec::full()
    }
}

fn render(spec: &UnitSpec) -> Result<Rendered, RenderError> {
    render::definition(spec, &placement(), &Target::Launchd(mac()))
}

/// Reads the file as launchd would, which sees the mark as a comment.
fn read(rendered: &Rendered) -> Dictionary {
    plist::from_bytes(&rendered.bytes).unwrap()
}

fn job(spec: &UnitSpec) -> Dictionary {
    read(&render(spec).unwrap())
}

fn strings<'a>(texts: impl IntoIterator<Item = &'a str>) -> Value {
    Value::Array(texts.into_iter().map(Value::from).collect())
}

fn body(rendered: &Rendered) -> &str {
    std::str::from_utf8(header::body(&rendered.bytes)).unwrap()
}

#[test]
fn a_full_agent() {
    let rendered = render(&full()).unwrap();
    assert_eq!((rendered.name.as_str(), rendered.mode), ("com.rbee.llm-8080.plist", 0o644));
    insta::assert_snapshot!("agent_full", body(&rendered));
    insta::assert_snapshot!(rendered.notes.join("\n"), @r"
    launchd has no cap on CPU: `limits.cpu` does not hold
    launchd has no cap on the memory of a service: `limits.memory` does not hold
    launchd counts the processes of an account, not of a service: `limits.tasks` does not hold
    launchd starts it again for ever, at most once in 10 s: `restart.give_up_after` does not hold
    secrets are read by /bin/sh before the program starts: Login Items shows the service as sh
    what the `systemd` table says is for systemd, and is not done by launchd
    ");
}

#[test]
fn a_minimal_agent() {
    let rendered = render(&spec::minimal()).unwrap();
    insta::assert_snapshot!("agent_minimal", body(&rendered));
    assert!(rendered.notes.is_empty(), "{:?}", rendered.notes);
}

#[test]
fn what_macos_keeps_from_a_service_is_told() {
    let mut spec = spec::minimal();
    spec.working_dir = Some("/Users/bee/Documents/llm".into());
    spec.args = ["--models=/Volumes/Stick/models", "--peer", "http://192.168.1.5:8080"].map(str::to_owned).into();
    insta::assert_snapshot!(render(&spec).unwrap().notes.join("\n"), @r#"
    its working directory lies in /Users/bee/Documents, which macOS guards: until the program is allowed to see it (Privacy & Security, Full Disk Access), it ends with 78 or is told "Operation not permitted", though the same works over SSH
    argument 1 lies in /Volumes, which macOS guards: until the program is allowed to see it (Privacy & Security, Full Disk Access), it ends with 78 or is told "Operation not permitted", though the same works over SSH
    argument 3 names 192.168.1.5: since macOS 15 an agent connects to the local network only when that was allowed at the screen (Privacy & Security, Local Network), and a new program may be asked about again; a service with `scope = "system"` needs no leave
    "#);
    spec.scope = Scope::System;
    spec.working_dir = None;
    spec.args.remove(0);
    insta::assert_snapshot!(render(&spec).unwrap().notes.join("\n"), @"where FileVault is on, nothing starts after a reboot until somebody unlocks the disk");
}

#[test]
fn every_key_is_read_back() {
    let spec = full();
    let mut job = job(&spec);
    let shell = r#"set -a && . "$1" && set +a && shift && exec "$@""#;
    let words = ["/bin/sh", "-c", shell, "llm-8080", ENV_FILE, STORE];
    let words = words.into_iter().chain(spec.args.iter().map(String::as_str));
    let environment = spec.env.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let environment = environment.chain([("HOME", "/Users/bee"), ("LANG", "en_US.UTF-8")]);
    let files = || Value::from(Dictionary::from_iter([("NumberOfFiles", Value::from(65536))]));
    for (key, value) in [
        ("Label", Value::from("com.rbee.llm-8080")),
        ("LimitLoadToSessionType", strings(["Aqua", "Background"])),
        ("ProgramArguments", strings(words)),
        ("WorkingDirectory", "/srv/models 100%".into()),
        ("RunAtLoad", true.into()),
        ("KeepAlive", Dictionary::from_iter([("SuccessfulExit", Value::from(false))]).into()),
        ("ThrottleInterval", 10.into()),
        ("ExitTimeOut", 25.into()),
        ("StandardOutPath", "/Users/bee/.local/state/unitbee/log/llm-8080.log".into()),
        ("StandardErrorPath", "/Users/bee/.local/state/unitbee/log/llm-8080.log".into()),
        ("SoftResourceLimits", files()),
        ("HardResourceLimits", files()),
        ("ProcessType", "Interactive".into()),
    ] {
        assert_eq!(job.remove(key), Some(value), "{key}");
    }
    let read = job.remove("EnvironmentVariables").unwrap().into_dictionary().unwrap();
    let mut read: BTreeMap<&str, &str> =
        read.iter().map(|(name, value)| (name.as_str(), value.as_string().unwrap())).collect();
    let digest = read.remove("UNITBEE_DEFINITION").unwrap();
    assert!(digest.len() == 16 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()), "{digest}");
    assert_eq!(read, environment.collect());
    for (key, value) in spec.launchd {
        assert_eq!(job.remove(&key), Some(value), "{key}");
    }
    assert!(job.is_empty(), "nobody asked for {job:?}");
}

#[test]
fn secrets_and_arguments_reach_the_program_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let env_file = folder.path().join("it's env");
    let token = "it's \"$HOME\" `id`\n\\n \u{1}\u{7f}";
    let secrets = BTreeMap::from([(EnvName::new("HF_TOKEN").unwrap(), Secret::new(token.to_owned()))]);
    fs::write(&env_file, render::secrets_file(&secrets, &Target::Launchd(mac())).unwrap()).unwrap();
    let spec = UnitSpec {
        args: ["-c", r#"printf '%s\0' "$HF_TOKEN" "$@""#, "sh", "", "a  b", "$HF_TOKEN"].map(str::to_owned).into(),
        secrets: secrets.into_keys().collect(),
        ..spec::minimal()
    };
    let placement =
        Placement { program: "/bin/sh".into(), env_file: Some(env_file.to_str().unwrap().into()), release: 1 };
    let job = read(&render::definition(&spec, &placement, &Target::Launchd(mac())).unwrap());
    let words = job.get("ProgramArguments").unwrap().as_array().unwrap();
    let words: Vec<&str> = words.iter().map(|word| word.as_string().unwrap()).collect();
    let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
    let found = String::from_utf8(output.stdout).unwrap();
    assert_eq!(found.split_terminator('\0').collect::<Vec<_>>(), [token, "", "a  b", "$HF_TOKEN"]);
    assert!(words.iter().all(|word| !word.contains("id`")), "the secret is in the property list");
}

#[test]
fn a_service_of_the_machine_runs_as_the_account() {
    let job = job(&UnitSpec { scope: Scope::System, ..spec::minimal() });
    assert_eq!(job.get("UserName"), Some(&"bee".into()));
    assert!(!job.contains_key("LimitLoadToSessionType"));
    assert_eq!(job.get("WorkingDirectory"), Some(&"/Users/bee".into()));
}

#[test]
fn restarts_and_times_are_what_launchd_can_do() {
    let seconds = Duration::from_secs;
    let with = |when, delay, max_delay| {
        job(&UnitSpec { restart: Restart { when, delay, max_delay, ..Restart::default() }, ..spec::minimal() })
    };
    for (delay, max_delay, throttle) in [
        (seconds(1), seconds(60), 10),
        (seconds(0), seconds(0), 1),
        (Duration::from_millis(1500), seconds(3), 3),
        (seconds(30), seconds(60), 30),
        (seconds(5), seconds(2), 5),
        (Duration::MAX, Duration::MAX, i64::from(i32::MAX)),
    ] {
        let job = with(RestartWhen::Always, delay, max_delay);
        assert_eq!(job.get("ThrottleInterval"), Some(&throttle.into()), "{delay:?} up to {max_delay:?}");
        assert_eq!(job.get("KeepAlive"), Some(&true.into()));
    }
    let never = with(RestartWhen::No, seconds(1), seconds(60));
    assert_eq!((never.get("KeepAlive"), never.get("ThrottleInterval")), (Some(&false.into()), None));
    assert_eq!(never.get("RunAtLoad"), Some(&true.into()));
    let patient = Stop { drain: Duration::MAX, term: Duration::MAX, ..Stop::default() };
    let patient = job(&UnitSpec { stop: patient, ..spec::minimal() });
    assert_eq!(patient.get("ExitTimeOut"), Some(&i32::MAX.into()));
}

#[test]
fn the_manifest_may_choose_another_process_type() {
    let launchd = BTreeMap::from([("ProcessType".to_owned(), Value::from("Background"))]);
    let job = job(&UnitSpec { launchd, ..spec::minimal() });
    assert_eq!(job.get("ProcessType"), Some(&"Background".into()));
}

#[test]
fn what_a_property_list_cannot_carry_is_refused_by_name() {
    let refused = |change: fn(&mut UnitSpec)| {
        let mut spec = full();
        change(&mut spec);
        match render(&spec) {
            Err(RenderError::Value { place, source }) => (place.to_string(), source),
            other => panic!("not refused: {:?}", other.map(|rendered| rendered.name)),
        }
    };
    let character = |character, at| EscapeError::Character { character, at };
    for (change, place, source) in [
        ((|spec| spec.args.push("a\u{1b}[0m".into())) as fn(&mut UnitSpec), "argument 5", character('\u{1b}', 1)),
        (|spec| spec.args[0] = "\0".into(), "argument 1", EscapeError::Nul { at: 0 }),
        (
            |spec| drop(spec.env.insert(EnvName::new("A").unwrap(), "\u{1}".into())),
            "the variable A",
            character('\u{1}', 0),
        ),
        (
            |spec| spec.secrets.extend(EnvName::new("UID")),
            "the variable UID",
            EscapeError::Taken { name: "UID".into() },
        ),
        (|spec| spec.working_dir = Some("srv".into()), "the working directory", EscapeError::Relative),
        (|spec| spec.unit = UnitName::new("a:b").unwrap(), "the launchd label", character(':', 10)),
        (
            |spec| drop(spec.launchd.insert("WatchPaths".into(), Value::Array(vec!["/\u{2}".into()]))),
            "launchd.WatchPaths",
            character('\u{2}', 1),
        ),
        (
            |spec| {
                let table = Dictionary::from_iter([("a", Dictionary::from_iter([("b\u{3}", true)]))]);
                drop(spec.launchd.insert("X".into(), table.into()));
            },
            "launchd.X.a.b\u{3}",
            character('\u{3}', 1),
        ),
    ] {
        assert_eq!(refused(change), (place.to_owned(), source));
    }
    let placement = Placement { env_file: None, ..placement() };
    let nowhere = render::definition(&full(), &placement, &Target::Launchd(mac()));
    assert!(matches!(nowhere, Err(RenderError::NoEnvFile)), "{nowhere:?}");
    let endless = UnitSpec { args: vec!["x".repeat(100_000); 10], ..spec::minimal() };
    assert!(matches!(render(&endless), Err(RenderError::Total { .. })));
    let data = BTreeMap::from([("X".to_owned(), Value::Data(vec![1]))]);
    let data = render(&UnitSpec { launchd: data, ..spec::minimal() });
    assert!(matches!(data, Err(RenderError::Property { .. })), "{data:?}");
    let none = UnitSpec { limits: Limits { nofile: Some(0), ..Limits::default() }, ..spec::minimal() };
    assert!(matches!(render(&none), Err(RenderError::Limit { .. })));
}

#[test]
fn the_mark_tells_ours_from_theirs_and_changed_from_written() {
    let file = render(&full()).unwrap().bytes;
    let header = header::parse(&file).unwrap();
    assert_eq!((header.unit.as_str(), header.release, header.intact), ("llm-8080", 3, true));
    assert!(body(&render(&full()).unwrap()).starts_with("<plist version=\"1.0\">\n"));

    let changed = String::from_utf8(file.clone()).unwrap().replace("<true/>", "<false/>");
    assert!(!header::parse(changed.as_bytes()).unwrap().intact);

    let next = Placement { release: 4, ..placement() };
    let next = render::definition(&full(), &next, &Target::Launchd(mac())).unwrap().bytes;
    assert_ne!(next, file);
    assert_eq!(header::body(&next), header::body(&file));

    // What an editor of property lists writes has no comments.
    let mut theirs = Vec::new();
    plist::to_writer_xml(&mut theirs, &job(&full())).unwrap();
    assert_eq!(header::parse(&theirs), None);
}

#[test]
fn no_name_ends_the_comment_that_it_is_in() {
    for unit in ["a--b", "a---b----", "x--"] {
        let unit = UnitName::new(unit).unwrap();
        let file = header::stamp_plist(unit.as_str(), 1, "<plist version=\"1.0\"><dict/></plist>\n");
        for comment in file.lines().filter_map(|line| line.strip_prefix("<!-- ")) {
            assert_eq!(comment.find("--"), Some(comment.len() - 3), "{comment}");
        }
        assert_eq!(header::parse(file.as_bytes()).unwrap().unit, unit.as_str());
    }
}

/// Every value is read back byte for byte, or it is one that XML has no way to write.
#[test]
fn ten_thousand_values_come_out_as_they_went_in() {
    const JOBS: usize = 50;
    const EACH: usize = 100;
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[4; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut generate = |text: BoxedStrategy<String>| -> Vec<String> {
        (0..EACH).map(|_| text.new_tree(&mut runner).unwrap().current()).collect()
    };
    let (mut carried, mut refused) = (0, 0);
    while carried < 2 * JOBS * EACH {
        let mut args = generate(nasty::text().boxed());
        let mut env = generate(nasty::anything().boxed());
        for values in [&mut args, &mut env] {
            values.retain(|value| {
                let fits = !value.chars().any(unfit);
                let spec = UnitSpec { args: vec![value.clone()], ..spec::minimal() };
                assert_eq!(render(&spec).is_ok(), fits, "{value:?}");
                refused += usize::from(!fits);
                fits
            });
        }
        carried += args.len() + env.len();
        let env: BTreeMap<EnvName, String> =
            env.into_iter().enumerate().map(|(at, value)| (EnvName::new(format!("V{at}")).unwrap(), value)).collect();
        let job = job(&UnitSpec { args: args.clone(), env: env.clone(), ..spec::minimal() });
        let words = job.get("ProgramArguments").unwrap().as_array().unwrap();
        let words: Vec<&str> = words[1..].iter().map(|word| word.as_string().unwrap()).collect();
        assert_eq!(words, args);
        let variables = job.get("EnvironmentVariables").unwrap().as_dictionary().unwrap();
        for (name, value) in &env {
            assert_eq!(variables.get(name.as_str()).unwrap().as_string(), Some(value.as_str()), "{name}");
        }
    }
    assert!(refused > 100, "only {refused} values were ones that XML cannot carry");
}

fn unfit(c: char) -> bool {
    (c < ' ' && !"\t\n\r".contains(c)) || nasty::is_noncharacter(c)
}
