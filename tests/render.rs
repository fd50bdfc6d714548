//! The units of a spec: their text, what they refuse, what they say about an old systemd.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/spec.rs"]
mod spec;

use std::collections::BTreeMap;
use std::time::Duration;

use unitbee::service::escape::EscapeError;
use unitbee::service::name::{EnvName, SliceName};
use unitbee::service::render::{self, Placement, RenderError, Rendered, Runner, SpecField, Systemd, header};
use unitbee::service::secret::Secret;
use unitbee::service::spec::{Limits, Restart, Stop, UnitSpec};

use self::spec::{full, minimal};

const NEWEST: Systemd = Systemd { version: None };

fn systemd(version: u32) -> Systemd {
    Systemd { version: Some(version) }
}

fn env_name(name: &str) -> EnvName {
    EnvName::new(name).unwrap()
}

fn placement() -> Placement {
    Placement {
        program: "/home/bee/.local/share/unitbee/store/0123abcd/llm-worker".into(),
        env_file: Some("/home/bee/.local/share/unitbee/llm-8080/3/env".into()),
        release: 3,
    }
}

fn body(rendered: &Rendered) -> &str {
    std::str::from_utf8(header::body(&rendered.bytes)).unwrap()
}

fn text(spec: &UnitSpec, target: Systemd) -> String {
    body(&render::service(spec, &placement(), target).unwrap()).to_owned()
}

fn lines_of<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

#[test]
fn a_full_unit_for_the_newest_systemd() {
    let rendered = render::service(&full(), &placement(), NEWEST).unwrap();
    assert_eq!(rendered.name, "llm-8080.service");
    assert_eq!(rendered.mode, 0o644);
    assert!(rendered.notes.is_empty(), "{:?}", rendered.notes);
    insta::assert_snapshot!("full_newest", body(&rendered));
}

#[test]
fn a_full_unit_for_an_old_systemd_says_what_it_cannot_do() {
    let rendered = render::service(&full(), &placement(), systemd(247)).unwrap();
    insta::assert_snapshot!("full_247", body(&rendered));
    insta::assert_snapshot!(rendered.notes.join("\n"), @r"
    systemd before 254 cannot let the pause grow to 60s: every restart comes after 1s
    systemd before 252 does not delegate cpu to users by itself: CPUQuota may have no effect
    ");
}

#[test]
fn a_minimal_unit() {
    let placement = Placement { env_file: None, ..placement() };
    let rendered = render::service(&minimal(), &placement, NEWEST).unwrap();
    insta::assert_snapshot!("minimal", body(&rendered));
}

#[test]
fn a_slice_is_the_same_for_all() {
    let rendered = render::slice(&SliceName::new("rbee").unwrap()).unwrap();
    assert_eq!(rendered.name, "rbee.slice");
    insta::assert_snapshot!("slice", body(&rendered));
}

#[test]
fn pauses_and_times_are_canonical() {
    let milliseconds = Duration::from_millis;
    for (delay, max_delay, expected) in [
        (milliseconds(500), milliseconds(500), ["500ms", "", ""]),
        (milliseconds(500), milliseconds(8000), ["500ms", "4", "8"]),
        (Duration::from_nanos(1_000_001), milliseconds(2500), ["2ms", "12", "2500ms"]),
        (milliseconds(0), milliseconds(0), ["0", "", ""]),
        (milliseconds(0), milliseconds(400), ["100ms", "2", "400ms"]),
        (milliseconds(2000), milliseconds(1000), ["2", "", ""]),
        (milliseconds(1), Duration::MAX, ["1ms", "74", "10000000000"]),
    ] {
        let spec = UnitSpec { restart: Restart { delay, max_delay, ..Restart::default() }, ..full() };
        let text = text(&spec, NEWEST);
        let found = ["RestartSec", "RestartSteps", "RestartMaxDelaySec"].map(|key| lines_of(&text, key).join(" "));
        assert_eq!(found, expected, "{delay:?} up to {max_delay:?}");
    }
    let patient = Stop { drain: Duration::MAX, term: Duration::MAX, ..Stop::default() };
    assert_eq!(lines_of(&text(&UnitSpec { stop: patient, ..full() }, NEWEST), "TimeoutStopSec"), ["10000000000"]);
    let hasty = Stop { drain: Duration::ZERO, term: milliseconds(1), ..Stop::default() };
    assert_eq!(lines_of(&text(&UnitSpec { stop: hasty, ..full() }, NEWEST), "TimeoutStopSec"), ["6"]);
}

#[test]
fn never_giving_up_is_no_rate_limit() {
    let spec = UnitSpec { restart: Restart { give_up_after: 0, ..Restart::default() }, ..full() };
    let text = text(&spec, NEWEST);
    assert_eq!(lines_of(&text, "StartLimitIntervalSec"), ["0"]);
    assert!(lines_of(&text, "StartLimitBurst").is_empty());
}

#[test]
fn what_a_unit_cannot_carry_is_refused_by_name() {
    let refused = |change: fn(&mut UnitSpec, &mut Placement), target| {
        let (mut spec, mut placement) = (full(), placement());
        change(&mut spec, &mut placement);
        match render::service(&spec, &placement, target) {
            Err(RenderError::Value { place, source }) => (place, source),
            other => panic!("not refused: {:?}", other.map(|rendered| rendered.name)),
        }
    };
    assert_eq!(
        refused(|spec, _| spec.args.push("a\0".to_owned()), NEWEST),
        (SpecField::Argument(5), EscapeError::Nul { at: 1 })
    );
    assert_eq!(
        refused(|spec, _| spec.args[0] = "x".repeat(131_072), NEWEST),
        (SpecField::Argument(1), EscapeError::TooLong { length: 131_072, max: 131_071 })
    );
    assert_eq!(
        refused(|spec, _| spec.args[1] = "x".repeat(4096), systemd(250)),
        (SpecField::Argument(2), EscapeError::TooLong { length: 4096, max: 4095 })
    );
    assert_eq!(
        refused(|spec, _| drop(spec.env.insert(env_name("A"), "\r".to_owned())), systemd(246)),
        (SpecField::Variable(env_name("A")), EscapeError::OldEnvironment { character: '\r', at: 0 })
    );
    assert_eq!(
        refused(|spec, _| spec.description = "a\nExecStart=/bin/false".to_owned(), NEWEST),
        (SpecField::Description, EscapeError::Character { character: '\n', at: 1 })
    );
    assert_eq!(
        refused(|spec, _| spec.working_dir = Some("srv".into()), NEWEST),
        (SpecField::WorkingDir, EscapeError::Relative)
    );
    assert_eq!(
        refused(|_, placement| placement.program = "/opt/a*".into(), NEWEST),
        (SpecField::Program, EscapeError::Character { character: '*', at: 6 })
    );
    assert_eq!(
        refused(|_, placement| placement.env_file = Some("/srv/[1]/env".into()), NEWEST),
        (SpecField::EnvFile, EscapeError::Character { character: '[', at: 5 })
    );
    assert_eq!(
        refused(
            |spec, _| {
                let lines = spec.systemd.get_mut("Service").unwrap();
                lines.insert("Nice".to_owned(), vec!["5\nExecStartPre=/bin/false".to_owned()]);
            },
            NEWEST
        ),
        (
            SpecField::Setting { section: "Service".to_owned(), key: "Nice".to_owned() },
            EscapeError::Character { character: '\n', at: 1 }
        )
    );
}

#[test]
fn the_error_names_the_place_and_how_to_get_around_it() {
    let spec = UnitSpec { args: vec!["x".repeat(5000)], ..full() };
    let error = render::service(&spec, &placement(), systemd(249)).unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(
        format!("{error}: {source}"),
        "argument 1 cannot be written to a unit: it has 5000 bytes, 4095 are possible"
    );
    assert_eq!(error.hint().as_deref(), Some("put the value into a file and pass the file's name"));
}

#[test]
fn a_line_or_a_whole_that_is_too_long_is_refused() {
    let spec = UnitSpec { args: vec!["x".repeat(131_070); 8], ..full() };
    match render::service(&spec, &placement(), NEWEST) {
        Err(RenderError::Line { key, length }) => assert_eq!((key.as_str(), length > 1 << 20), ("ExecStart", true)),
        other => panic!("not refused: {:?}", other.map(|rendered| rendered.name)),
    }
    let env = (0..16).map(|index| (env_name(&format!("V{index}")), "x".repeat(131_000))).collect();
    let spec = UnitSpec { env, ..full() };
    assert!(matches!(render::service(&spec, &placement(), NEWEST), Err(RenderError::Total { .. })));
}

#[test]
fn limits_that_systemd_would_take_for_none_are_refused() {
    for limits in [
        Limits { cpu_percent: Some(0), ..Limits::default() },
        Limits { cpu_percent: Some(u32::MAX), ..Limits::default() },
        Limits { memory: Some(0), ..Limits::default() },
        Limits { memory: Some(u64::MAX), ..Limits::default() },
        Limits { tasks: Some(0), ..Limits::default() },
        Limits { nofile: Some(0), ..Limits::default() },
    ] {
        let spec = UnitSpec { limits, ..full() };
        let result = render::service(&spec, &placement(), NEWEST);
        assert!(matches!(result, Err(RenderError::Limit { .. })), "{limits:?}: {result:?}");
    }
}

#[test]
fn a_setting_must_be_spelt_like_one() {
    for name in ["", "Nice=5\nUser", "Ni ce", "[Unit]"] {
        let mut spec = full();
        spec.systemd.entry("Service".to_owned()).or_default().insert(name.to_owned(), vec!["1".to_owned()]);
        assert!(matches!(render::service(&spec, &placement(), NEWEST), Err(RenderError::Setting { .. })), "{name:?}");
    }
}

#[test]
fn secrets_need_a_file() {
    let placement = Placement { env_file: None, ..placement() };
    assert!(matches!(render::service(&full(), &placement, NEWEST), Err(RenderError::NoEnvFile)));
}

#[test]
fn the_file_with_the_secrets_keeps_them_out_of_errors() {
    let secrets = |value: &str| BTreeMap::from([(env_name("HF_TOKEN"), Secret::new(value.to_owned()))]);
    let file = render::env_file(&secrets("it's $HOME\n\\n"), NEWEST).unwrap();
    assert_eq!(String::from_utf8(file).unwrap(), "HF_TOKEN='it'\"'\"'s $HOME\n\\n'\n");
    let error = render::env_file(&secrets("hunter2\0"), NEWEST).unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("HF_TOKEN") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn the_header_tells_ours_from_theirs_and_changed_from_written() {
    let written = render::service(&full(), &placement(), NEWEST).unwrap().bytes;
    let header = header::parse(&written).unwrap();
    assert_eq!((header.unit.as_str(), header.release, header.intact), ("llm-8080", 3, true));
    assert_eq!(header.version, env!("CARGO_PKG_VERSION"));

    let changed = [&written[..], b"# mine\n"].concat();
    assert!(!header::parse(&changed).unwrap().intact);

    let dos = String::from_utf8(written.clone()).unwrap().replace('\n', "\r\n");
    assert!(!header::parse(dos.as_bytes()).unwrap().intact);

    let body = header::body(&written);
    assert!(body.starts_with(b"[Unit]\n"));
    assert_eq!(header::parse(body), None);
    assert_eq!(header::body(body), body);

    let next = render::service(&full(), &Placement { release: 4, ..placement() }, NEWEST).unwrap().bytes;
    assert_ne!(next, written);
    assert_eq!(header::body(&next), header::body(&written));
}

mod any_bytes {
    use proptest::prelude::*;
    use unitbee::service::render::header;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn are_no_header_or_one_that_survives(file in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(header::parse(&file), None);
            prop_assert_eq!(header::body(&file), &file[..]);
        }

        #[test]
        fn behind_a_header_are_its_body(body in any::<String>(), unit in "[a-z0-9:._-]{1,40}", release in any::<u32>()) {
            let file = header::stamp(&unit, release, &body);
            let header = header::parse(file.as_bytes()).unwrap();
            prop_assert!(header.intact);
            prop_assert_eq!((header.unit, header.release), (unit, release));
            prop_assert_eq!(header::body(file.as_bytes()), body.as_bytes());
        }

        #[test]
        fn changed_in_a_file_are_noticed(
            body in "[a-z\n=]{1,60}", at in any::<proptest::sample::Index>(), byte in any::<u8>(),
        ) {
            let written = header::stamp("llm-8080", 3, &body).into_bytes();
            let mut file = written.clone();
            let at = at.index(file.len());
            file[at] = byte;
            if let Some(header) = header::parse(&file) {
                let in_body = at >= written.len() - body.len();
                prop_assert!(!(in_body && header.intact) || file == written);
            }
        }
    }
}

#[test]
fn the_runner_gets_a_script() {
    let runner = Runner {
        program: "/home/bee/.local/share/unitbee/store/d1/runner".into(),
        registry: "/home/bee/.local/state/unitbee/registry".into(),
        claims: "/home/bee/.local/state/unitbee/claims".into(),
        logs: "/home/bee/.local/state/unitbee/log".into(),
    };
    let spec = spec::full();
    let placement =
        Placement { program: "/home/bee/it's/worker".into(), env_file: Some("/home/bee/env".into()), release: 3 };
    let rendered = render::runner::definition(&spec, &placement, &runner).unwrap();
    insta::assert_snapshot!(
        "runner",
        String::from_utf8(rendered.bytes).unwrap().replace(env!("CARGO_PKG_VERSION"), "VERSION")
    );

    for name in ["UID", "RANDOM", "IFS", "BASH_ENV", "_", "INVOCATION_ID"] {
        let name = EnvName::new(name).unwrap();
        let secret = UnitSpec { secrets: [name.clone()].into(), ..spec.clone() };
        let error = render::runner::definition(&secret, &placement, &runner).unwrap_err();
        assert!(
            matches!(&error, RenderError::Value { place: SpecField::Variable(found), .. } if *found == name),
            "{error}"
        );
    }
    let public = UnitSpec { env: [(EnvName::new("UID").unwrap(), "7".to_owned())].into(), ..spec };
    assert!(render::runner::definition(&public, &placement, &runner).is_ok(), "no shell sets a public variable");
}
