//! What an older unitbee left on a host is read, replaced, put back and removed.
//!
//! `tests/data/releases/format-1` is what the last unitbee that wrote records of format 1 made of two applies of the
//! manifest below, with the files of systemd and of the runner. In format 1 a release has no unit file and no marks.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::bench::Bench;
use super::target::Manager;
use super::uninstall::files;

/// The samples.
const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/releases/format-1");

/// The folder of the manifest that the samples were made from.
const FOLDER: &str = "/home/me/src";

/// Where files of a sample were on the host.
const PLACES: [(&str, &str); 2] = [("config", ".config"), ("data", ".local/share")];

const PROGRAM: &str = "store/e2d10f93df9b7bbcde2d228076e87e022bf4627a9985a08d41759d0be1e1ec02/tick";

const UNIT: &str = "tick-main";

pub(crate) fn subject(bench: &Bench) {
    let before = files(bench);
    let sample = sample(bench);
    lay_out(bench, &sample);
    std::fs::copy(sample.join("data/unitbee").join(PROGRAM), bench.project.work().join("tick")).unwrap();
    is_read(bench);
    is_gone_back_to(bench);
    is_left_alone(bench);
    bench.unitbee(&["uninstall"]).exits(0).says("removed tick-main");
    assert_eq!(files(bench), before, "files are left behind, or gone");
    assert_eq!(bench.processes(UNIT), Vec::<u32>::new());
}

fn sample(bench: &Bench) -> PathBuf {
    Path::new(SAMPLES).join(if bench.target.manager == Manager::Runner { "runner" } else { "systemd" })
}

/// Puts the files of a sample into the home of the host's user, and starts the unit.
fn lay_out(bench: &Bench, sample: &Path) {
    let mut tar = tar::Builder::new(Vec::new());
    for (from, to) in PLACES {
        add(&mut tar, &sample.join(from), Path::new(to), bench);
    }
    let tar = tar.into_inner().unwrap();
    bench.pour("tar -xf - -C /home/bee; chown -R 1000:1000 /home/bee", &tar);
    match bench.target.manager {
        Manager::Runner => drop(bench.sh("sh ~/.config/unitbee/tick-main.sh start")),
        Manager::Systemd | Manager::Launchd(_) => {
            bench.root("loginctl enable-linger bee");
            bench.until("the user's manager answers", Duration::from_secs(20), |bench| {
                bench.sh("systemctl --user is-active default.target 2>/dev/null || true").trim() == "active"
            });
            bench.sh("systemctl --user daemon-reload; systemctl --user enable --now --quiet tick-main.service");
        }
    }
}

fn add(tar: &mut tar::Builder<Vec<u8>>, from: &Path, to: &Path, bench: &Bench) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            add(tar, &from, &to, bench);
            continue;
        }
        let mode = match to.file_name().unwrap().to_str().unwrap() {
            "env" => 0o600,
            "tick" => 0o755,
            _ => 0o644,
        };
        let content = std::fs::read_to_string(&from).unwrap();
        let content = content.replace(FOLDER, bench.project.work().to_str().unwrap());
        let mut header = tar::Header::new_gnu();
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, to, content.as_bytes()).unwrap();
    }
}

fn wants(bench: &Bench, version: &str) {
    let manifest = format!(
        r#"[service.tick]
command = ["./tick", "{version}"]
secrets = ["TOKEN"]
env = {{ COLOUR = "blue" }}
limits = {{ tasks = 20 }}
stop = {{ term = "2s" }}
"#
    );
    bench.project.write("unitbee.toml", manifest);
}

/// Asserts that this version runs, with this secret; gives its process.
#[track_caller]
fn runs(bench: &Bench, version: &str, token: &str) -> u32 {
    let pid = bench.running(UNIT);
    let env = bench.root(&format!("tr '\\0' '\\n' </proc/{pid}/environ"));
    assert!(env.lines().any(|line| line == format!("TOKEN={token}")), "{env}");
    // The line may come to the log after the process.
    bench.until("it says its version", Duration::from_secs(5), |bench| {
        bench.said(UNIT).lines().rfind(|line| line.starts_with("tick ")) == Some(&format!("tick {version}"))
    });
    pid
}

fn is_read(bench: &Bench) {
    wants(bench, "two");
    runs(bench, "two", "second-token");
    bench.unitbee(&["status"]).exits(0).says("running");
    let releases = releases(bench);
    assert_eq!(releases, [(1, "kept".to_owned(), false), (2, "kept".to_owned(), true)]);
    bench.unitbee_with(&[("TOKEN", "second-token")], &["plan"]).hides("restart tick-main").hides("secrets changed");
}

fn is_gone_back_to(bench: &Bench) {
    wants(bench, "three");
    bench.unitbee_with(&[("TOKEN", "third-token")], &["apply"]).exits(0);
    runs(bench, "three", "third-token");
    bench.unitbee(&["rollback"]).exits(0).says("tick-main is at release 2");
    runs(bench, "two", "second-token");

    // A program that ends at once.
    bench.project.write("tick", "#!/bin/sh\necho \"tick $1\"\nexit 5\n");
    wants(bench, "four");
    let run = bench.unitbee_with(&[("TOKEN", "fourth-token")], &["apply"]).exits(4);
    assert!(run.stderr.contains("rolled back to release 2"), "{run}");
    runs(bench, "two", "second-token");

    // Of the first release there is no unit file, so that there is no way back to it.
    bench.unitbee(&["rollback", "--to", "1"]).exits(1).says("does not keep release 1 of tick-main");
    runs(bench, "two", "second-token");
    assert_eq!(current(bench), 2);
}

/// An apply of the same manifest writes a release of today's format, for the same process.
fn is_left_alone(bench: &Bench) {
    let program = sample(bench).join("data/unitbee").join(PROGRAM);
    std::fs::copy(program, bench.project.work().join("tick")).unwrap();
    wants(bench, "two");
    let token = [("TOKEN", "second-token")];
    let pid = bench.running(UNIT);
    bench.unitbee_with(&token, &["apply"]).exits(0).hides("stopped");
    assert_eq!(bench.running(UNIT), pid, "the same release needs no new process");
    bench.unitbee_with(&token, &["plan"]).exits(0).says("nothing to do");
}

/// Number and state of each release, and whether it is in effect.
#[track_caller]
fn releases(bench: &Bench) -> Vec<(u64, String, bool)> {
    let history = bench.unitbee(&["--json", "history"]).exits(0).json();
    let one = |release: &serde_json::Value| {
        let number = release["release"].as_u64().unwrap();
        (number, release["state"].as_str().unwrap().to_owned(), release["current"] == true)
    };
    history[0]["releases"].as_array().unwrap().iter().map(one).collect()
}

#[track_caller]
fn current(bench: &Bench) -> u64 {
    releases(bench).into_iter().find(|(_, _, current)| *current).unwrap().0
}
