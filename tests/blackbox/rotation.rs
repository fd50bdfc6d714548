//! Log files: `keep` of them stay beside the one that is written to, and who reads or follows them loses no line and gets
//! none twice.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::bench::Bench;

const SOON: Duration = Duration::from_secs(30);

/// Says as many numbers as it is told to, from where it left off.
const COUNTER: &str = r#"#!/bin/sh
rm -f ~/more && mkfifo ~/more && exec 3<>~/more
said=0
while read -r more <&3; do
  end=$((said + more))
  while [ "$said" -lt "$end" ]; do
    said=$((said + 1))
    echo "line $said"
  done
done
"#;

/// A file takes what is written at one go, so that it is full before there are 400 lines in it.
const LINES: usize = 3000;

/// In how many parts they are said where no file is rotated before a verb comes by; each is more than a file may have.
const PARTS: usize = 3;

pub(crate) fn subject(bench: &Bench) {
    bench.project.write("counter.sh", COUNTER);
    fs::set_permissions(bench.project.work().join("counter.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    keep(bench, 100);
    let mut running = bench.start(&[], &["logs", "-f", "-n", "0"]);
    let lines = running.lines();
    // What is said before somebody follows is not for them: they are there when they show the first line.
    bench.until("somebody follows", SOON, |bench| !bench.followers().is_empty());
    say(bench, 0, LINES);
    let mut seen = lines.upto(&format!("line {LINES}"));
    say(bench, LINES, LINES);
    seen.extend(lines.upto(&format!("line {}", 2 * LINES)));
    bench.interrupt(running).exits(0);
    // Lines from before it looked are not for who follows; all after the first that it shows are.
    assert_follow_each_other(&seen);
    assert!(seen.len() > LINES && seen.last().is_some_and(|line| *line == format!("line {}", 2 * LINES)));
    let files = files(bench);
    let rotated = if bench.target.rotates_by_itself() { 10 } else { 2 * PARTS };
    assert!(files.len() > rotated, "too little was rotated: {files:?}");

    let newest = shown(bench, 1000);
    assert_eq!(newest, counted(2 * LINES - 1000, 2 * LINES), "the newest thousand, over several files");
    assert_eq!(shown(bench, 100_000), counted(0, 2 * LINES));

    keep(bench, 2);
    say(bench, 0, LINES);
    if bench.target.rotates_by_itself() {
        bench.until("the old ones go", SOON, |bench| has_said(bench, LINES));
    }
    assert_eq!(self::files(bench).len(), 3, "two are kept beside the one that is written to");
    let left = shown(bench, 100_000);
    assert_follow_each_other(&left);
    assert!(left.len() < LINES && left.last().is_some_and(|line| *line == format!("line {LINES}")), "{}", left.len());
    if !bench.target.rotates_by_itself() {
        a_log_that_cannot_be_rotated_is_told(bench);
    }
    bench.unitbee(&["uninstall"]).exits(0);
    assert_eq!((bench.units(), self::files(bench)), (Vec::new(), Vec::new()));
}

/// And it keeps no service from running.
fn a_log_that_cannot_be_rotated_is_told(bench: &Bench) {
    let log = "/home/bee/.local/state/unitbee/log/web-main.log";
    bench.sh(&format!("mkdir {log}.part; yes | head -c 8192 >>{log}"));
    let words = format!("the log of web-main is longer than it may be: rotate {log} on ");
    for verb in [&["ensure"][..], &["restart"], &["apply"]] {
        if verb == ["apply"] {
            keep_in_manifest(bench, 1);
        }
        bench.unitbee(verb).exits(0).says(&words).says(&format!("`: >'{log}'` empties it"));
    }
    bench.sh(&format!("rmdir {log}.part"));
    bench.unitbee(&["ensure"]).exits(0).hides("longer than it may be");
}

/// Asserts that no line is missing, double or torn.
#[track_caller]
fn assert_follow_each_other(lines: &[String]) {
    let number = |line: &String| line.strip_prefix("line ").and_then(|number| number.parse::<usize>().ok());
    for pair in lines.windows(2) {
        assert_eq!(number(&pair[0]).map(|before| before + 1), number(&pair[1]), "{pair:?}");
    }
}

fn keep(bench: &Bench, files: u32) {
    keep_in_manifest(bench, files);
    bench.unitbee(&["apply"]).exits(0);
    bench.until("it listens", SOON, |bench| bench.sh("test ! -p ~/more || echo there") == "there\n");
}

fn keep_in_manifest(bench: &Bench, files: u32) {
    let manifest = format!(
        "[service.web]\ncommand = [\"./counter.sh\"]\nlogs = {{ max_size = \"4K\", keep = {files} }}\nenv = {{ KEEP = \"{files}\" }}\n"
    );
    bench.project.write("unitbee.toml", manifest);
}

/// Has the service say so many more lines than the `before` that it said.
fn say(bench: &Bench, before: usize, lines: usize) {
    if bench.target.rotates_by_itself() {
        bench.sh(&format!("echo {lines} >~/more"));
        return;
    }
    let part = lines / PARTS;
    for said in (1..=PARTS).map(|number| before + number * part) {
        bench.sh(&format!("echo {part} >~/more"));
        bench.until("it is said", SOON, |bench| has_said(bench, said));
        bench.unitbee(&["ensure"]).exits(0).says("runs already");
    }
}

fn has_said(bench: &Bench, lines: usize) -> bool {
    bench.said("web-main").ends_with(&format!("line {lines}\n"))
}

fn counted(after: usize, upto: usize) -> Vec<String> {
    (after + 1..=upto).map(|number| format!("line {number}")).collect()
}

fn shown(bench: &Bench, lines: u32) -> Vec<String> {
    let run = bench.unitbee(&["logs", "-n", &lines.to_string()]).exits(0);
    run.stdout.lines().filter(|line| !line.starts_with("unitbee: ")).map(str::to_owned).collect()
}

fn files(bench: &Bench) -> Vec<String> {
    let files = bench.sh("find ~/.local/state/unitbee -path '*/log/web-main*' -type f 2>/dev/null || true");
    files.lines().map(str::to_owned).collect()
}
