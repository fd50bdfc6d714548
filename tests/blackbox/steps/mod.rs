//! A change that is interrupted at any of its steps: the old or the new release runs whole without any further command,
//! the next apply converges, and nothing is left over.
//!
//! The steps are those of the plan and of one change that nobody interrupts, never a list in a test, so that a new step
//! cannot be forgotten. Each is interrupted as it begins or as it has ended; a seed that is printed decides, and
//! `UNITBEE_STEPS_SEED` repeats it. With `UNITBEE_STEPS_ALL` each is interrupted at both moments.

mod cut;
mod disk;
mod fence;
mod kills;
mod moment;
mod signals;
mod tree;

pub(crate) use self::cut::subject as cut;
pub(crate) use self::disk::subject as disk;
pub(crate) use self::fence::subject as fence;
pub(crate) use self::kills::{back, install, replace, replace_by_term, rollback, uninstall};
pub(crate) use self::signals::subject as signals;

use std::time::Duration;

use super::bench::Bench;
use super::run::{Run, Running};

/// The units of the service, each with its port.
const UNITS: [(&str, u16); 2] = [("web-a", 8081), ("web-b", 8082)];

const ENV: [(&str, &str); 1] = [("TOKEN", "hunter2")];

/// The host has to notice first that nobody speaks to it any more.
const SILENT: Duration = Duration::from_mins(2);

/// What a release does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It is healthy, and ends when its shutdown URL is called.
    ByUrl,
    /// It is healthy, and ends at TERM.
    ByTerm,
    /// It is never healthy.
    Bad,
}

/// A release of the service: a program and arguments that no other version has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Release {
    version: u32,
    kind: Kind,
}

impl Release {
    /// Makes the project ask for it.
    fn write(self, bench: &Bench) {
        let path = bench.project.work().join("daemon");
        let mut program = std::fs::read(&path).unwrap();
        // What follows the last section of a program is nothing to whoever runs it.
        let end = program.windows(MARK.len()).rposition(|window| window == MARK).unwrap_or(program.len());
        program.truncate(end);
        program.extend([MARK, self.version.to_string().as_bytes()].concat());
        std::fs::write(&path, program).unwrap();
        let version = self.version.to_string();
        let mut command = vec!["./daemon", "--port", "{port}", "--version", &version];
        command.extend((self.kind == Kind::Bad).then_some("--unhealthy"));
        let within = if self.kind == Kind::Bad { "1500ms" } else { "20s" };
        let url = "url = \"http://127.0.0.1:{port}/v1/shutdown\", drain = \"2s\", ";
        let url = if self.kind == Kind::ByTerm { "" } else { url };
        bench.project.write(
            "unitbee.toml",
            format!(
                r#"[service.web]
command = {command:?}
instances = {{ a = {{ port = 8081 }}, b = {{ port = 8082 }} }}
secrets = ["TOKEN"]
check = ["--check"]
health = {{ url = "http://127.0.0.1:{{port}}/health", within = "{within}", healthy_for = "200ms" }}
stop = {{ {url}term = "5s" }}
restart = {{ when = "no" }}
"#
            ),
        );
    }

    /// What answers of a unit that runs this.
    fn is_answer(self, status: u16, body: &str) -> bool {
        match self.kind {
            Kind::Bad => status == 503,
            Kind::ByUrl | Kind::ByTerm => status == 200 && body.contains(&format!("version={} ", self.version)),
        }
    }
}

const MARK: &[u8] = b"\nversion of the steps: ";

fn unitbee(bench: &Bench, words: &[&str]) -> Run {
    bench.unitbee_with(&ENV, words)
}

fn start(bench: &Bench, words: &[&str]) -> Running {
    bench.start(&ENV, &[&["--json"], words].concat())
}

/// Awaits that each unit runs one of `releases`, without any command of unitbee's.
#[track_caller]
fn await_any(bench: &Bench, releases: &[Release], within: Duration, what: &str) {
    for (unit, port) in UNITS {
        bench.until(&format!("{unit} runs one of {releases:?}: {what}"), within, |bench| {
            let (status, body) = bench.get(port, "/health");
            releases.iter().any(|release| release.is_answer(status, &body)) && bench.pid(unit).is_some()
        });
    }
}

/// Asserts that each unit runs this release.
#[track_caller]
fn assert_runs(bench: &Bench, release: Release, what: &str) {
    for (unit, port) in UNITS {
        let (status, body) = bench.get(port, "/health");
        assert!(release.is_answer(status, &body), "{unit} does not run {release:?}: {status} {body:?}, {what}");
        assert_eq!(bench.processes(unit).len(), 1, "{unit}: {what}");
    }
}

/// Asserts that everything is as good as `status` can have it.
#[track_caller]
fn assert_good(bench: &Bench, what: &str) {
    let run = unitbee(bench, &["status", "--json"]);
    assert_eq!(run.code, Some(0), "{what}\n{run}");
    assert!(!run.stdout.contains("unfinished-change"), "{what}\n{run}");
}
