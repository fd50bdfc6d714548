//! `build` and `rebuild`: the commands of a manifest are run here, once each, and end when unitbee does.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::disallowed_methods, reason = "a test runs programs and reads files itself")]

#[path = "support/skip.rs"]
mod skip;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;

const UNITBEE: &str = env!("CARGO_BIN_EXE_unitbee");

/// Long enough for a machine that does something else, too.
const PATIENCE: Duration = Duration::from_secs(30);

fn folder(manifest: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("unitbee.toml"), manifest).unwrap();
    folder
}

fn command(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", folder).stdin(Stdio::null());
    command
}

fn unitbee(folder: &tempfile::TempDir, words: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command(UNITBEE, folder.path()).args(words).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn read(folder: &tempfile::TempDir, name: &str) -> String {
    fs::read_to_string(folder.path().join(name)).unwrap_or_default()
}

const THREE: &str = r#"
[service.web]
command = ["./web"]
build = "echo loud; pwd >>ran; echo shared >>ran"

[service.worker]
command = ["./worker"]
build = "echo loud; pwd >>ran; echo shared >>ran"
instances = 2

[service.other]
command = ["./other"]
build = ["/bin/sh", "-c", 'echo "$0 $1" >>ran', "$HOME", "a b"]

[service.ready]
command = ["sleep", "1"]
"#;

#[test]
fn each_command_runs_once_in_the_folder_of_the_manifest() {
    let folder = folder("");
    fs::create_dir(folder.path().join("deploy")).unwrap();
    fs::write(folder.path().join("deploy/unitbee.toml"), THREE).unwrap();
    let (code, stdout, stderr) = unitbee(&folder, &["-f", "deploy/unitbee.toml", "build"]);
    assert_eq!((code, stdout.as_str()), (Some(0), ""), "{stderr}");
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{stderr}");
    assert!(lines[0].starts_with("web, worker: built in ") && lines[0].ends_with(" s"), "{stderr}");
    assert!(lines[1].starts_with("other: built in "), "{stderr}");
    let place = folder.path().join("deploy").canonicalize().unwrap();
    assert_eq!(read(&folder, "deploy/ran"), format!("{}\nshared\n$HOME a b\n", place.display()));
}

#[test]
fn only_what_is_selected_is_built() {
    let folder = folder(THREE);
    assert_eq!(unitbee(&folder, &["build", "other"]).0, Some(0));
    assert_eq!(read(&folder, "ran"), "$HOME a b\n");
    let (code, stdout, stderr) = unitbee(&folder, &["build", "ready"]);
    assert_eq!((code, stdout.as_str()), (Some(0), ""));
    assert_eq!(stderr, "nothing to build: no selected service has a `build` command\n");
    assert_eq!(unitbee(&folder, &["build", "nobody"]).0, Some(64));
}

const FAILS: &str = r#"
[service.web]
command = ["./web"]
build = "for i in 1 2 3; do echo out $i; echo err $i >&2; done; printf end; exit 3"

[service.later]
command = ["./later"]
build = "touch later"
"#;

#[test]
fn a_command_that_fails_shows_all_that_it_said_in_order() {
    let folder = folder(FAILS);
    for verb in ["build", "rebuild"] {
        let (code, stdout, stderr) = unitbee(&folder, &[verb]);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
        let said = "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\nend\nerror: build web: `for i in 1 2 3; ";
        assert!(stderr.starts_with(said) && stderr.trim_end().ends_with("` exited with 3"), "{stderr}");
        assert!(!folder.path().join("later").exists(), "nothing is run after a failure");
    }
}

#[test]
fn machines_are_told_by_events() {
    let folder = folder(FAILS);
    let (code, stdout, stderr) = unitbee(&folder, &["--json", "build", "later", "web"]);
    assert_eq!((code, stderr.as_str()), (Some(1), ""));
    let events: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&Value> = events.iter().map(|event| &event["event"]).collect();
    assert_eq!(names, ["building", "build-failed"], "in the order of the manifest");
    assert_eq!(events[1]["output"], "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\nend");
    assert_eq!(events[1]["services"], serde_json::json!(["web"]));

    let (_, stdout, _) = unitbee(&folder, &["--json", "build", "later"]);
    let built: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&built["event"], &built["command"]), (&"built".into(), &"touch later".into()));
    assert!(built["after_ms"].is_u64(), "{built}");
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let folder = folder("[service.web]\ncommand = ['./web']\nbuild = ['no-such-program', 'x']\n");
    let (code, _, stderr) = unitbee(&folder, &["build"]);
    assert_eq!(code, Some(1));
    assert!(
        stderr.contains("no-such-program: not found") || stderr.contains("no-such-program: command not found"),
        "{stderr}"
    );
    assert!(stderr.contains("error: build web: `no-such-program x` exited with 127"), "{stderr}");
}

#[test]
fn what_is_not_built_yet_is_said_with_the_command_that_builds_it() {
    let folder = folder("[service.web]\ncommand = ['./web']\nbuild = 'make web'\n");
    let (code, _, stderr) = unitbee(&folder, &["apply"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("hint: `unitbee rebuild web` builds it with `make web` and applies"), "{stderr}");
}

/// Two processes that do not end by themselves, one of them deaf to what asks it to.
const ENDLESS: &str = r#"
[service.web]
command = ["./web"]
build = "sh -c 'trap \"\" TERM INT HUP; echo $$ >deaf; while :; do sleep 1; done' & echo $$ >pid.new; mv pid.new pid; wait"
"#;

#[test]
fn a_build_ends_with_unitbee_whatever_ends_that() {
    let ends = |signal: Signal| {
        let folder = folder(ENDLESS);
        let mut running = command(UNITBEE, folder.path()).arg("build").spawn().unwrap();
        let pids = pids(&folder);
        kill_process(of(&running), signal).unwrap();
        assert!(!running.wait().unwrap().success());
        for pid in pids {
            until_gone(pid, &format!("{signal:?}"));
        }
    };
    std::thread::scope(|scope| {
        for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::KILL] {
            scope.spawn(move || ends(signal));
        }
    });
}

#[test]
fn control_c_at_a_terminal_ends_a_build() {
    let folder = folder(&ENDLESS.replace(" INT ", " "));
    let line = format!("exec {UNITBEE} build");
    let mut script = command("script", folder.path());
    script.args(["-q", "-e", "-c", &line, "/dev/null"]).env("SHELL", "/bin/sh").stdin(Stdio::piped());
    let mut terminal = match script.stdout(Stdio::null()).spawn() {
        Ok(terminal) => terminal,
        Err(error) => return skip::skip("control_c_at_a_terminal_ends_a_build", &format!("script: {error}")),
    };
    let pids = pids(&folder);
    terminal.stdin.as_mut().unwrap().write_all(b"\x03").unwrap();
    assert!(!terminal.wait().unwrap().success());
    for pid in &pids[..1] {
        until_gone(*pid, "Ctrl-C");
    }
    // A shell has what it starts in the background ignore the keyboard.
    kill_process(pids[1], Signal::KILL).unwrap();
}

fn of(child: &Child) -> Pid {
    Pid::from_child(child)
}

/// Waits for the build and returns its processes.
fn pids(folder: &tempfile::TempDir) -> [Pid; 2] {
    let number = |name| read(folder, name).trim().parse().ok().and_then(Pid::from_raw);
    let begun = Instant::now();
    loop {
        if let (Some(pid), Some(deaf)) = (number("pid"), number("deaf")) {
            return [pid, deaf];
        }
        assert!(begun.elapsed() < PATIENCE, "the build does not begin");
        sleep(Duration::from_millis(20));
    }
}

fn until_gone(pid: Pid, what: &str) {
    let begun = Instant::now();
    while test_kill_process(pid).is_ok() {
        assert!(begun.elapsed() < PATIENCE, "{what}: process {pid} is still there");
        sleep(Duration::from_millis(20));
    }
}
