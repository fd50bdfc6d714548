//! A release that does not get healthy gives way to the one before, whatever is wrong with it.

mod audit;
mod first;
mod interrupt;
mod kinds;
mod several;
mod verb;

pub(crate) use self::audit::subject as audit;
pub(crate) use self::first::subject as first;
pub(crate) use self::interrupt::subject as interrupt;
pub(crate) use self::kinds::{memory, subject as kinds};
pub(crate) use self::several::subject as several;
pub(crate) use self::verb::subject as verb;

use serde_json::Value;

use super::bench::Bench;
use super::run::Run;
use super::target::Manager;

/// A release of a service, as the manifest has it.
struct Release<'a> {
    service: &'a str,
    program: &'a str,
    port: u16,
    version: &'a str,
    habits: &'a [&'a str],
    /// Seconds that it has to get healthy.
    within: u32,
    healthy_for: &'a str,
    keys: &'a str,
}

impl<'a> Release<'a> {
    /// One of `web` that gets healthy.
    const fn good(version: &'a str) -> Self {
        Self {
            service: "web",
            program: "./daemon",
            port: 8080,
            version,
            habits: &[],
            within: 30,
            healthy_for: "300ms",
            keys: "",
        }
    }

    /// One of `web` with these habits, which do not let it get healthy.
    const fn bad(version: &'a str, habits: &'a [&'a str]) -> Self {
        Self { habits, within: 3, healthy_for: "2s", ..Self::good(version) }
    }

    fn manifest(&self, bench: &Bench) -> String {
        let Self { service, program, port, version, habits, within, healthy_for, keys } = self;
        let address = port.to_string();
        let command = [&[*program, "--port", &address, "--version", version], *habits].concat();
        let within = within * bench.target.patience;
        format!(
            r#"[service.{service}]
command = {command:?}
health = {{ url = "http://127.0.0.1:{port}/health", within = "{within}s", healthy_for = "{healthy_for}" }}
stop = {{ url = "http://127.0.0.1:{port}/v1/shutdown", drain = "1s", term = "2s" }}
{keys}
"#
        )
    }
}

impl Bench {
    /// Has the manifest name these releases.
    fn wants(&self, releases: &[Release<'_>]) {
        let manifest: Vec<String> = releases.iter().map(|release| release.manifest(self)).collect();
        self.project.write("unitbee.toml", manifest.concat());
    }

    /// Asserts that this version of `web` runs, answers, and is what `status` finds healthy.
    #[track_caller]
    fn serves(&self, version: &str) {
        self.serves_at("web-main", 8080, version);
        self.unitbee(&["status"]).exits(0);
    }

    /// Asserts that the main process of a unit answers with this version.
    #[track_caller]
    fn serves_at(&self, unit: &str, port: u16, version: &str) {
        let pid = self.running(unit);
        assert_eq!(self.get(port, "/health").1.trim_end(), format!("ok version={version} pid={pid}"), "{unit}");
    }

    /// The releases of a unit, oldest first, as `history` tells them.
    #[track_caller]
    fn releases(&self, unit: &str) -> Vec<Value> {
        let history = self.unitbee(&["--json", "history", unit]).exits(0).json();
        history[0]["releases"].as_array().unwrap().clone()
    }

    /// The number of the release of a unit that is in effect.
    #[track_caller]
    fn current(&self, unit: &str) -> u64 {
        let releases = self.releases(unit);
        let current: Vec<&Value> = releases.iter().filter(|release| release["current"] == true).collect();
        assert_eq!(current.len(), 1, "{unit}: {releases:#?}");
        current[0]["release"].as_u64().unwrap()
    }

    /// Asserts that nothing of a failed release of a unit is kept but what remembers it.
    #[track_caller]
    fn only_remembers(&self, unit: &str, release: u64) {
        let kept = self.sh(&format!("ls ~/.local/share/unitbee/units/{unit}/{release}"));
        assert_eq!(kept.split_whitespace().collect::<Vec<_>>(), ["failed", "set", "spec.json"]);
        let marks = self.sh(&format!("cd; find ~/.local/share/unitbee/refs -name '{unit}.{release}'"));
        assert_eq!(marks, "", "what the failed release needed is still marked");
    }

    /// Files below `~/.local` that hold this text.
    #[track_caller]
    fn holding(&self, text: &str) -> Vec<String> {
        let found = self.root(&format!("grep -rlF {text} /home/bee/.local || true"));
        found.lines().map(str::to_owned).collect()
    }

    /// Asserts that no change is noted as unfinished.
    #[track_caller]
    fn is_settled(&self) {
        assert_eq!(self.files("/journal").len() + self.holding("begun_usec").len(), 0, "a journal is left");
    }

    /// Has throttles of launchd pass faster.
    fn hurry(&self) {
        if let Manager::Launchd(_) = self.target.manager {
            self.root("mac set speed 10");
        }
    }
}

impl Run {
    /// Asserts that each of these is said, on whichever stream.
    #[track_caller]
    fn says_all(self, texts: &[&str]) -> Self {
        texts.iter().fold(self, |run, text| run.says(text))
    }
}
