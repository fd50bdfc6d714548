//! What services said: the newest lines, of several units in the order of time, as they are written, fit for a terminal.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::bench::Bench;
use super::target::Manager;

/// Says what it is told through a pipe of its own name.
const ECHO: &str = r#"#!/bin/sh
rm -f ~/"$1" && mkfifo ~/"$1" && exec 3<>~/"$1"
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
    shows_last_words(bench);
}

/// The journal does not know the unit of some lines of a process that exits at once.
fn shows_last_words(bench: &Bench) {
    const RUNS: usize = 21;
    if bench.target.manager != Manager::Systemd {
        return;
    }
    bench.project.write("brief.sh", "#!/bin/sh\necho last words of $$\nexit 7\n");
    fs::set_permissions(bench.project.work().join("brief.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    let restart = format!("restart = {{ delay = \"100ms\", max_delay = \"100ms\", give_up_after = {} }}", RUNS - 1);
    bench.project.write("unitbee.toml", format!("[service.brief]\ncommand = [\"./brief.sh\"]\n{restart}\n"));
    bench.unitbee(&["apply", "--no-rollback"]).exits(1);
    let failed = "systemctl --user is-failed brief-main.service || true";
    bench.until("it is given up", Duration::from_mins(1), |bench| bench.sh(failed) == "failed\n");
    bench.root("journalctl --sync");
    let run = bench.unitbee(&["logs", "-n", "1000", "brief"]).exits(0);
    assert_eq!(run.stdout.lines().filter(|line| line.contains("last words of ")).count(), RUNS, "{run}");
}

/// Has a service say something, and waits until it is in its log.
fn say(bench: &Bench, service: &str, word: &str) {
    bench.sh(&format!("printf '%s\\n' '{word}' >~/{service}"));
    let end = word.rsplit(' ').next().unwrap_or(word);
    bench.until(&format!("{service} said {word}"), Duration::from_secs(10), |bench| {
        bench.said(&format!("{service}-main")).lines().last().is_some_and(|line| line.contains(end))
    });
}

/// The lines without the time before each, which files do not have.
fn texts(bench: &Bench, stdout: &str) -> Vec<String> {
    let has_time = bench.target.manager == Manager::Systemd;
    let text = |line: &str| if has_time { line.split_once("Z ").unwrap().1.to_owned() } else { line.to_owned() };
    stdout.lines().map(text).collect()
}

fn shows_the_newest(bench: &Bench) {
    for word in ["one", "two", "three", "four"] {
        say(bench, "left", word);
    }
    let run = bench.unitbee(&["logs", "-n", "3", "left"]).exits(0);
    assert_eq!(texts(bench, &run.stdout), ["left: two", "left: three", "left: four"], "{run}");
    let run = bench.unitbee(&["logs", "-n", "0", "left"]).exits(0);
    assert_eq!(run.stdout, "", "{run}");
    bench.unitbee(&["logs"]).exits(0).says("left: one").says("left: four");
}

fn merges_units(bench: &Bench) {
    for (service, word) in [("right", "five"), ("left", "six"), ("right", "seven")] {
        say(bench, service, word);
    }
    let three = match bench.target.manager {
        Manager::Systemd => ["right-main right: five", "left-main left: six", "right-main right: seven"],
        // Lines of files have no time: they are in the order of the units. launchd itself says nothing there.
        Manager::Launchd(_) => ["left-main left: six", "right-main right: five", "right-main right: seven"],
        Manager::Runner => {
            ["right-main unitbee: right-main runs as process", "right-main right: five", "right-main right: seven"]
        }
    };
    let run = bench.unitbee(&["logs", "-n", "3"]).exits(0);
    let shown = texts(bench, &run.stdout);
    let is_so = |(shown, text): (&String, &str)| shown.split_once(' ').unwrap().1.starts_with(text);
    assert!(shown.len() == 3 && shown.iter().zip(three).all(is_so), "{run}");
    bench.unitbee(&["logs", "left"]).exits(0).hides("right: ");

    let run = bench.unitbee(&["logs", "-n", "1", "right", "--json"]).exits(0);
    let line = run.json();
    assert_eq!((&line["unit"], &line["message"]), (&"right-main".into(), &"right: seven".into()), "{run}");
    let is_told = bench.target.manager == Manager::Systemd;
    assert!(line["time"].is_u64() == is_told && line["pid"].is_u64() == is_told, "{run}");
}

fn follows(bench: &Bench) {
    let mut running = bench.start(&[], &["logs", "-f", "-n", "1", "left", "right"]);
    let lines = running.lines();
    lines.until("right: seven");
    for (service, word) in [("left", "eight"), ("right", "nine"), ("left", "ten")] {
        bench.sh(&format!("echo {word} >~/{service}"));
        assert!(lines.until(word).contains(&format!("{service}-main {service}: {word}")));
    }
    bench.interrupt(running).exits(0);
    // dropbear does not let a program know that nobody listens: there it ends with the connection.
    bench.project.log_out();
    bench.until("nothing follows any more", Duration::from_secs(10), |bench| bench.followers().is_empty());
}

fn escapes_what_a_terminal_would_obey(bench: &Bench) {
    say(bench, "left", r"\033]0;owned\007 \302\233A \342\200\256 end");
    let newest = |more: &[&str]| bench.unitbee(&[&["logs", "-n", "1", "left"], more].concat()).exits(0);
    let run = newest(&[]);
    assert_eq!(texts(bench, &run.stdout), [r"left: \u{1b}]0;owned\u{7} \u{9b}A \u{202e} end"], "{run}");
    let told = "left: \u{1b}]0;owned\u{7} \u{9b}A \u{202e} end";
    assert_eq!(newest(&["--raw"]).stdout, format!("{told}\n"));
    assert_eq!(newest(&["--json"]).json()["message"], told);
    assert!(!newest(&["--json"]).stdout.contains('\u{1b}'));
}
