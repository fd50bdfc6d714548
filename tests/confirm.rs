//! `stop` and `uninstall` ask before they end all that a manifest names, where somebody sits at a terminal.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::disallowed_methods, reason = "a test runs programs and reads files itself")]

#[path = "support/skip.rs"]
mod skip;

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

const UNITBEE: &str = env!("CARGO_BIN_EXE_unitbee");

const MANIFEST: &str = r#"
[service.web]
command = ["sleep", "1"]
instances = 2
hosts = ["far"]
[host.near]
tags = ["far"]
[host.farther]
tags = ["far"]
"#;

/// Nobody can be reached; who tries has gone on.
const SSH_CONFIG: &str = "Host *\n  ProxyCommand exit 1\n";

/// What was tried after the question.
const WENT_ON: &str = "2 of 2 hosts failed";

/// Runs unitbee, at a terminal where `answer` is typed, else without one; returns all that it shows and its exit code.
fn run(words: &[&str], answer: Option<&str>) -> Option<(String, Option<i32>)> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("unitbee.toml"), MANIFEST).unwrap();
    fs::write(folder.path().join("ssh_config"), SSH_CONFIG).unwrap();
    let line = shlex::try_join([&[UNITBEE, "--ssh-config", "ssh_config"], words].concat()).unwrap();
    let line = format!("exec {line}");
    let mut command = if answer.is_some() {
        let mut script = Command::new("script");
        script.args(["-q", "-e", "-c", &line, "/dev/null"]);
        script
    } else {
        let mut sh = Command::new("sh");
        sh.args(["-c", &format!("{line} 2>&1")]);
        sh
    };
    command.current_dir(folder.path()).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", folder.path());
    command.env("SHELL", "/bin/sh").env("NO_COLOR", "1").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            skip::skip("confirm", &format!("script: {error}"));
            return None;
        }
    };
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(answer.unwrap_or_default().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    Some((String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code()))
}

#[test]
fn everything_is_ended_only_after_a_yes() {
    for verb in ["stop", "uninstall"] {
        let question = format!("{verb} 4 units on 2 hosts? [y/N] ");
        for answer in ["n\n", "\n", "yeah\n", "\x04"] {
            let Some((shown, code)) = run(&[verb], Some(answer)) else { return };
            assert!(shown.contains(&question) && shown.contains("nothing was changed"), "{verb} {answer:?}: {shown}");
            assert!(!shown.contains(WENT_ON) && code == Some(1), "{verb} {answer:?}: {code:?} {shown}");
        }
        for answer in ["y\n", "YES\n"] {
            let Some((shown, _)) = run(&[verb], Some(answer)) else { return };
            assert!(shown.contains(&question) && shown.contains(WENT_ON), "{verb} {answer:?}: {shown}");
        }
    }
    let Some((shown, _)) = run(&["stop", "-H", "near"], Some("n\n")) else { return };
    assert!(shown.contains("stop 2 units on near? [y/N] "), "{shown}");
}

#[test]
fn who_names_units_or_says_yes_is_not_asked() {
    for verb in ["stop", "uninstall"] {
        for words in [&[verb, "--yes"][..], &[verb, "-y"], &[verb, "web"], &[verb, "web-1.service", "web-2"]] {
            let Some((shown, _)) = run(words, Some("")) else { return };
            assert!(!shown.contains("[y/N]") && shown.contains(WENT_ON), "{words:?}: {shown}");
        }
    }
}

#[test]
fn nobody_is_asked_without_a_terminal() {
    for verb in ["stop", "uninstall"] {
        let (shown, code) = run(&[verb], None).unwrap();
        assert!(!shown.contains("[y/N]") && shown.contains(WENT_ON), "{shown}");
        assert_eq!(code, Some(1));
    }
}
