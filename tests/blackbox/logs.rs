//! What services said: the newest lines, of several units in the order of time, as they are written, fit for a terminal.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::bench::Bench;

/// Says what it is told through a pipe of its own name.
const ECHO: &str = r#"#!/bin/sh
rm -f "$XDG_RUNTIME_DIR/$1" && mkfifo "$XDG_RUNTIME_DIR/$1" && exec 3<>"$XDG_RUNTIME_DIR/$1"
while read -r line <&3; do printf "$1: %b\n" "$line"; done
"#;

const MANIFEST: &str = r#"
[service.left]
command = ["./echo.sh", "left"]
[service.right]
command = ["./echo.sh", "right"]
"#;

pub(crate) fn subject(bench: &Bench) {
    bench.project.write("echo.sh", ECHO);
    fs::set_permissions(bench.project.work().join("echo.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    bench.project.write("unitbee.toml", MANIFEST);
    bench.unitbee(&["logs"]).exits(0).hides("left: ");
    bench.unitbee(&["apply"]).exits(0);
    shows_the_newest(bench);
    merges_units(bench);
    follows(bench);
    escapes_what_a_terminal_would_obey(bench);
}

/// Has a service say something, and waits until the journal has it.
fn say(bench: &Bench, service: &str, word: &str) {
    bench.sh(&format!("printf '%s\\n' '{word}' >$XDG_RUNTIME_DIR/{service}"));
    let end = word.rsplit(' ').next().unwrap_or(word);
    bench.until(&format!("{service} said {word}"), Duration::from_secs(10), |bench| {
        bench.sh(&format!("journalctl --user --quiet --all --output=cat --unit={service}-main -n 1")).contains(end)
    });
}

/// The lines without the time before each.
fn texts(stdout: &str) -> Vec<&str> {
    stdout.lines().filter_map(|line| Some(line.split_once("Z ")?.1)).collect()
}

fn shows_the_newest(bench: &Bench) {
    for word in ["one", "two", "three", "four"] {
        say(bench, "left", word);
    }
    let run = bench.unitbee(&["logs", "-n", "3", "left"]).exits(0);
    assert_eq!(texts(&run.stdout), ["left: two", "left: three", "left: four"], "{run}");
    let run = bench.unitbee(&["logs", "-n", "0", "left"]).exits(0);
    assert_eq!(run.stdout, "", "{run}");
    bench.unitbee(&["logs"]).exits(0).says("left: one").says("left: four");
}

fn merges_units(bench: &Bench) {
    for (service, word) in [("right", "five"), ("left", "six"), ("right", "seven")] {
        say(bench, service, word);
    }
    let run = bench.unitbee(&["logs", "-n", "3"]).exits(0);
    let shown: Vec<&str> =
        texts(&run.stdout).iter().filter_map(|line| line.split_once(' ')).map(|(_, text)| text).collect();
    assert_eq!(shown, ["right-main right: five", "left-main left: six", "right-main right: seven"], "{run}");
    bench.unitbee(&["logs", "left"]).exits(0).hides("right: ");

    let run = bench.unitbee(&["logs", "-n", "1", "right", "--json"]).exits(0);
    let line = run.json();
    assert_eq!((&line["unit"], &line["message"]), (&"right-main".into(), &"right: seven".into()), "{run}");
    assert!(line["time"].is_u64() && line["pid"].is_u64(), "{run}");
}

fn follows(bench: &Bench) {
    let mut running = bench.start(&[], &["logs", "-f", "-n", "1", "left", "right"]);
    let lines = running.lines();
    lines.until("right: seven");
    for (service, word) in [("left", "eight"), ("right", "nine"), ("left", "ten")] {
        bench.sh(&format!("echo {word} >$XDG_RUNTIME_DIR/{service}"));
        assert!(lines.until(word).contains(&format!("{service}-main {service}: {word}")));
    }
    bench.interrupt(running).exits(0);
    bench.until("nothing follows the journal any more", Duration::from_secs(10), |bench| {
        bench.root("pgrep -u bee -x journalctl || true").is_empty()
    });
}

fn escapes_what_a_terminal_would_obey(bench: &Bench) {
    say(bench, "left", r"\033]0;owned\007 \302\233A \342\200\256 end");
    let newest = |more: &[&str]| bench.unitbee(&[&["logs", "-n", "1", "left"], more].concat()).exits(0);
    let run = newest(&[]);
    assert_eq!(texts(&run.stdout), [r"left: \u{1b}]0;owned\u{7} \u{9b}A \u{202e} end"], "{run}");
    let told = "left: \u{1b}]0;owned\u{7} \u{9b}A \u{202e} end";
    assert_eq!(newest(&["--raw"]).stdout, format!("{told}\n"));
    assert_eq!(newest(&["--json"]).json()["message"], told);
    assert!(!newest(&["--json"]).stdout.contains('\u{1b}'));
}
