//! What is escaped comes out again byte for byte, read by a model of systemd's parsers, or is refused.
//!
//! `roundtrip.rs` asks systemd itself.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/nasty.rs"]
mod nasty;
#[path = "support/unit_text.rs"]
mod unit_text;

use camino::Utf8Path;
use proptest::prelude::*;
use unitbee::service::escape::{self, EscapeError};
use unitbee::service::name::EnvName;
use unitbee::service::target::Systemd;

const NEWEST: Systemd = Systemd { version: None };

fn systemd(version: u32) -> Systemd {
    Systemd { version: Some(version) }
}

fn name() -> EnvName {
    EnvName::new("NAME").unwrap()
}

/// Reads an argument back as part of a whole unit.
fn read_arg(written: &str) -> Result<String, String> {
    let unit = format!("[Service]\nExecStart=\":/bin/x\" {written}\nType=exec\n");
    let entries = unit_text::entries(unit.as_bytes())?;
    let [exec, kind] = <[unit_text::Entry; 2]>::try_from(entries).map_err(|entries| format!("{entries:?}"))?;
    if kind.value != "exec" {
        return Err(format!("the next line became {kind:?}"));
    }
    let (_, mut args) = unit_text::command(&exec.value)?;
    if args.len() != 1 {
        return Err(format!("{args:?}"));
    }
    args.pop().ok_or_else(String::new)
}

fn read_line(key: &str, written: &str) -> Result<String, String> {
    let unit = format!("[Service]\n{key}={written}\nType=exec\n");
    let entries = unit_text::entries(unit.as_bytes())?;
    let [line, kind] = <[unit_text::Entry; 2]>::try_from(entries).map_err(|entries| format!("{entries:?}"))?;
    if (line.key.as_str(), line.section.as_str(), kind.value.as_str()) == (key, "Service", "exec") {
        Ok(line.value)
    } else {
        Err(format!("{line:?} {kind:?}"))
    }
}

#[test]
fn arguments_in_their_quotes() {
    for (arg, written) in [
        ("", r#""""#),
        ("plain", r#""plain""#),
        ("a b", r#""a b""#),
        ("a\tb\nc\rd", r#""a\tb\nc\rd""#),
        (r"C:\new", r#""C:\\new""#),
        (r#"say "hi""#, r#""say \"hi\"""#),
        ("it's", r#""it's""#),
        ("100% %h", r#""100%% %%h""#),
        ("$HOME ${A} $$", r#""$HOME ${A} $$""#),
        (";", r#"";""#),
        ("\u{1}\u{1b}\u{7f}", r#""\x01\x1b\x7f""#),
        ("é日😀\u{85}\u{2028}", "\"é日😀\u{85}\u{2028}\""),
    ] {
        assert_eq!(escape::exec_arg(arg, NEWEST).as_deref(), Ok(written));
        assert_eq!(read_arg(written).as_deref(), Ok(arg));
    }
}

#[test]
fn arguments_as_long_as_each_systemd_takes_them() {
    let long = "x".repeat(64 << 10);
    for version in [245, 247, 252, 255, 257, 262] {
        assert!(escape::exec_arg(&long, systemd(version)).is_ok(), "{version}");
    }
    for version in [249, 250] {
        assert!(escape::exec_arg(&long[..4095], systemd(version)).is_ok());
        let too_long = EscapeError::TooLong { length: 4096, max: 4095 };
        assert_eq!(escape::exec_arg(&long[..4096], systemd(version)), Err(too_long));
    }
}

#[test]
fn programs_with_the_prefix_inside_the_quotes() {
    let written = escape::exec_path(Utf8Path::new("/opt/a b/$x;%/é"), NEWEST).unwrap();
    assert_eq!(written, r#"":/opt/a b/$x;%%/é""#);
    assert_eq!(unit_text::command(&written), Ok(("/opt/a b/$x;%/é".to_owned(), Vec::new())));
}

#[test]
fn programs_that_cannot_be_named() {
    let refused = |path: &str, target| escape::exec_path(Utf8Path::new(path), target).unwrap_err();
    assert_eq!(refused("worker", NEWEST), EscapeError::Relative);
    assert_eq!(refused("", NEWEST), EscapeError::Relative);
    assert_eq!(refused("/opt/", NEWEST), EscapeError::Directory);
    assert_eq!(refused("/opt/../x", NEWEST), EscapeError::Dots);
    assert_eq!(refused("/opt/x\0", NEWEST), EscapeError::Nul { at: 6 });
    assert_eq!(refused("/opt/\u{ffff}", NEWEST), EscapeError::Noncharacter { character: '\u{ffff}', at: 5 });
    for character in ['\n', '\u{7f}', '"', '\'', '\\'] {
        assert_eq!(refused(&format!("/é/{character}"), systemd(247)), EscapeError::Character { character, at: 4 });
    }
    for character in ['*', '?', '['] {
        let path = format!("/opt/{character}");
        assert_eq!(refused(&path, NEWEST), EscapeError::Character { character, at: 5 });
        assert!(escape::exec_path(Utf8Path::new(&path), systemd(257)).is_ok());
    }
    let component = format!("/{}", "x".repeat(256));
    assert_eq!(refused(&component, NEWEST), EscapeError::TooLong { length: 256, max: 255 });
    let long = "/x".repeat(2048);
    assert_eq!(refused(&long, NEWEST), EscapeError::TooLong { length: 4096, max: 4095 });
}

#[test]
fn variables_with_their_name_count_as_one_string() {
    let longest = "x".repeat(131_071 - "NAME=".len());
    assert!(escape::environment(&name(), &longest, NEWEST).is_ok());
    assert!(escape::env_file_line(&name(), &longest, systemd(249)).is_ok());
    let longer = longest + "x";
    let too_long = EscapeError::TooLong { length: 131_072, max: 131_071 };
    assert_eq!(escape::environment(&name(), &longer, NEWEST), Err(too_long.clone()));
    assert_eq!(escape::env_file_line(&name(), &longer, systemd(249)), Err(too_long));
}

#[test]
fn variables_that_an_old_systemd_would_drop() {
    for character in ['\u{1}', '\r', '\u{7f}'] {
        let value = format!("a{character}");
        let dropped = EscapeError::OldEnvironment { character, at: 1 };
        assert_eq!(escape::environment(&name(), &value, systemd(246)), Err(dropped.clone()));
        assert_eq!(escape::env_file_line(&name(), &value, systemd(246)), Err(dropped));
        assert!(escape::environment(&name(), &value, systemd(247)).is_ok());
    }
    assert!(escape::environment(&name(), "\t\n", systemd(245)).is_ok());
}

#[test]
fn raw_values_keep_to_their_line() {
    assert_eq!(escape::raw_value(r#"50% of "it's" \x"#).as_deref(), Ok(r#"50%% of "it's" \x"#));
    assert_eq!(escape::raw_value(""), Err(EscapeError::Empty));
    assert_eq!(escape::raw_value(" a"), Err(EscapeError::Edge));
    assert_eq!(escape::raw_value("a "), Err(EscapeError::Edge));
    assert_eq!(escape::raw_value("a\\"), Err(EscapeError::Backslash));
    assert_eq!(escape::raw_value("a\\\\"), Err(EscapeError::Backslash));
    assert_eq!(escape::raw_value("a\rb"), Err(EscapeError::Character { character: '\r', at: 1 }));
}

#[test]
fn directories_whose_mount_unit_has_a_name() {
    let deep = Utf8Path::new("/srv").join("a b".repeat(41));
    assert_eq!(escape::working_directory(&deep, NEWEST).as_deref(), Ok(deep.as_str()));
    let length = "srv-".len() + 41 * r"a\x20b".len() + ".mount".len();
    let too_long = EscapeError::TooLong { length, max: 255 };
    assert_eq!(escape::working_directory(&deep, systemd(247)), Err(too_long));
    assert_eq!(escape::working_directory(Utf8Path::new("/"), systemd(247)).as_deref(), Ok("/"));
}

#[test]
fn files_that_would_be_read_as_patterns() {
    for character in ['*', '?', '[', '\\'] {
        let path = format!("/srv/{character}/env");
        let refused = EscapeError::Character { character, at: 5 };
        assert_eq!(escape::environment_file(Utf8Path::new(&path)), Err(refused));
    }
    assert_eq!(escape::environment_file(Utf8Path::new("/a b/%")).as_deref(), Ok("/a b/%%"));
}

#[test]
fn verbatim_values_stay_as_they_are_or_are_refused() {
    for value in ["", "5", "%h/x", r#"/bin/sh -c "a\"b" $X"#, "a\\\\", "a\tb"] {
        assert_eq!(escape::verbatim(value), Ok(value));
    }
    assert_eq!(escape::verbatim("a\\"), Err(EscapeError::Backslash));
    assert_eq!(escape::verbatim("a\\\\\\"), Err(EscapeError::Backslash));
    assert_eq!(escape::verbatim("a\\ \t"), Err(EscapeError::Backslash));
    assert_eq!(escape::verbatim("a\n"), Err(EscapeError::Character { character: '\n', at: 1 }));
}

#[test]
fn names_of_units() {
    for (text, unit) in [
        ("llm-8080", r"llm\x2d8080"),
        (".hidden", r"\x2ehidden"),
        ("a.b:c_d", "a.b:c_d"),
        ("a/b", "a-b"),
        ("é @", r"\xc3\xa9\x20\x40"),
        ("", ""),
    ] {
        assert_eq!(escape::unit_name(text), unit);
    }
    for (path, unit) in [("/", "-"), ("/srv/a b/", r"srv-a\x20b"), ("//srv//.x", "srv-.x"), ("/.x", r"\x2ex")] {
        assert_eq!(escape::unit_name_of_path(Utf8Path::new(path)), unit);
    }
    for (unit, path) in [
        ("rbee-a.slice", "rbee_2da_2eslice"),
        (r"7b@x\x20y.service", "_37b_40x_5cx20y_2eservice"),
        ("", "_"),
        ("é", "_c3_a9"),
    ] {
        assert_eq!(escape::object_path(unit), format!("/org/freedesktop/systemd1/unit/{path}"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_argument_comes_out_as_it_went_in(arg in nasty::text()) {
        prop_assert_eq!(read_arg(&escape::exec_arg(&arg, NEWEST).unwrap()), Ok(arg));
    }

    #[test]
    fn every_variable_comes_out_as_it_went_in(value in nasty::text()) {
        let written = read_line("Environment", &escape::environment(&name(), &value, NEWEST).unwrap()).unwrap();
        prop_assert_eq!(unit_text::assignment(&written), Ok(("NAME".to_owned(), value)));
    }

    #[test]
    fn every_file_of_variables_comes_out_as_it_went_in(values in proptest::collection::vec(nasty::text(), 0..5)) {
        let variables: Vec<(String, String)> =
            values.into_iter().enumerate().map(|(index, value)| (format!("V{index}"), value)).collect();
        let file: String = variables
            .iter()
            .map(|(name, value)| escape::env_file_line(&EnvName::new(name.as_str()).unwrap(), value, NEWEST).unwrap())
            .collect();
        prop_assert_eq!(unit_text::env_file(&file), Ok(variables));
    }

    #[test]
    fn anything_comes_out_as_it_went_in_or_is_refused(text in nasty::anything(), old in any::<bool>()) {
        let target = if old { systemd(245) } else { NEWEST };
        if let Ok(written) = escape::exec_arg(&text, target) {
            prop_assert_eq!(read_arg(&written), Ok(text.clone()));
        }
        if let Ok(written) = escape::environment(&name(), &text, target) {
            let written = read_line("Environment", &written).unwrap();
            prop_assert_eq!(unit_text::assignment(&written), Ok(("NAME".to_owned(), text.clone())));
        }
        if let Ok(written) = escape::env_file_line(&name(), &text, target) {
            prop_assert_eq!(unit_text::env_file(&written), Ok(vec![("NAME".to_owned(), text.clone())]));
        }
        if let Ok(written) = escape::raw_value(&text) {
            prop_assert_eq!(unit_text::raw(&read_line("Description", &written).unwrap()), Ok(text.clone()));
        }
        if let Ok(written) = escape::verbatim(&text) {
            prop_assert!(read_line("Nice", written).is_ok());
        }
        let path = format!("/{text}");
        if let Ok(written) = escape::exec_path(Utf8Path::new(&path), NEWEST) {
            let written = read_line("ExecStart", &written).unwrap();
            prop_assert_eq!(unit_text::command(&written), Ok((path.clone(), Vec::new())));
        }
        for written in [
            escape::working_directory(Utf8Path::new(&path), target),
            escape::environment_file(Utf8Path::new(&path)),
        ].into_iter().flatten() {
            prop_assert_eq!(unit_text::raw(&read_line("Description", &written).unwrap()), Ok(path.clone()));
        }
    }
}
