//! What each systemd of the lab makes of a rendered unit: it complains of nothing, holds what was written, and gives up
//! when it should.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::disallowed_methods, reason = "a test runs programs and reads files itself")]

#[path = "support/lab.rs"]
mod lab;
#[path = "support/program.rs"]
mod program;
#[path = "support/spec.rs"]
mod spec;
#[path = "support/user.rs"]
mod user;

use std::collections::BTreeMap;
use std::time::Duration;

use unitbee::service::render::{self, Placement, Rendered, Systemd};
use unitbee::service::spec::{Restart, RestartWhen, UnitSpec};

use self::lab::LabHost;
use self::user::File;

const UNITS: &str = ".config/systemd/user";

#[test]
fn on_bullseye() {
    on("bullseye");
}

#[test]
fn on_bookworm() {
    on("bookworm");
}

#[test]
fn on_trixie() {
    on("trixie");
}

#[test]
fn on_forky() {
    on("forky");
}

fn on(suite: &str) {
    let Some(host) = LabHost::up("units", suite, &[]) else { return };
    let user = User { home: host.home(), target: Systemd { version: Some(host.systemd()) }, host };
    user.host.put(&[File { path: "worker", mode: 0o755, bytes: &std::fs::read(program::build("worker")).unwrap() }]);
    user.complains_of_nothing();
    user.holds_what_was_written();
    user.gives_up_after_as_many_restarts_as_wished();
    user.restarts_after_a_failure_only();
}

struct User {
    host: LabHost,
    home: String,
    target: Systemd,
}

impl User {
    fn render(&self, spec: &UnitSpec) -> Rendered {
        let placement = Placement {
            program: format!("{}/worker", self.home).into(),
            env_file: Some(format!("{}/env", self.home).into()),
            release: 1,
        };
        render::service(spec, &placement, self.target).unwrap()
    }

    /// Writes a unit and its slice, and has the manager read them.
    fn install(&self, spec: &UnitSpec) {
        let [service, slice] = [self.render(spec), render::slice(&spec.slice).unwrap()];
        let paths = [&service, &slice].map(|file| format!("{UNITS}/{}", file.name));
        self.host.put(&[
            File { path: &paths[0], mode: service.mode, bytes: &service.bytes },
            File { path: &paths[1], mode: slice.mode, bytes: &slice.bytes },
            File { path: "env", mode: 0o600, bytes: b"HF_TOKEN='x'\n" },
        ]);
        self.host.sh("systemctl --user daemon-reload", b"");
    }

    fn show(&self, unit: &str) -> BTreeMap<String, String> {
        let output = self.host.sh(&format!("systemctl --user show {unit}"), b"");
        let output = String::from_utf8(output).unwrap();
        output.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    }

    fn complains_of_nothing(&self) {
        let spec = spec::full();
        self.install(&spec);
        let verify = format!("systemd-analyze --user --man=no verify {UNITS}/{}.service 2>&1", spec.unit);
        assert_eq!(String::from_utf8_lossy(&self.host.sh(&verify, b"")), "");
    }

    fn holds_what_was_written(&self) {
        let spec = spec::full();
        self.install(&spec);
        let found = self.show(&format!("{}.service", spec.unit));
        let mut expected = vec![
            ("LoadState", "loaded"),
            ("Description", spec.description.as_str()),
            ("Type", "exec"),
            ("Slice", "rbee.slice"),
            ("WorkingDirectory", spec.working_dir.as_ref().unwrap().as_str()),
            ("CPUQuotaPerSecUSec", "2s"),
            ("MemoryMax", "4294967296"),
            ("MemorySwapMax", "0"),
            ("TasksMax", "512"),
            ("LimitNOFILE", "65536"),
            ("LimitNOFILESoft", "65536"),
            ("OOMPolicy", "kill"),
            ("Restart", "on-failure"),
            ("RestartUSec", "1s"),
            ("SuccessExitStatus", "143"),
            ("KillMode", "mixed"),
            ("TimeoutStopUSec", "25s"),
            ("NoNewPrivileges", "yes"),
            ("LockPersonality", "yes"),
            ("RestrictRealtime", "yes"),
            ("RestrictSUIDSGID", "yes"),
            ("SyslogIdentifier", "llm-8080"),
            ("StartLimitBurst", "11"),
            ("Nice", "5"),
        ];
        if self.target.grows_restart_delay() {
            expected.extend([("RestartSteps", "6"), ("RestartMaxDelayUSec", "1min")]);
            expected.push(("StartLimitIntervalUSec", "27min 52s"));
        } else {
            expected.push(("StartLimitIntervalUSec", "17min 3s"));
        }
        for (key, value) in expected {
            assert_eq!(found.get(key).map(String::as_str), Some(value), "{key} on systemd {:?}", self.target.version);
        }
        assert!(found["EnvironmentFiles"].contains("/env "), "{}", found["EnvironmentFiles"]);
        assert_eq!(self.show("rbee.slice")["LoadState"], "loaded");
        // What it ignored when it loaded the units is in its journal only.
        let loading = format!("journalctl --user --quiet --output=cat | grep -E '{UNITS}/.*:[0-9]+:' || true");
        assert_eq!(String::from_utf8_lossy(&self.host.sh(&loading, b"")), "");
    }

    /// Runs a unit that writes the time into a file and fails, until it stays down, and returns the times.
    fn run_until_down(&self, restart: Restart, mode: &str) -> Vec<Duration> {
        let file = format!("{}/times", self.home);
        let spec = UnitSpec { args: vec![mode.to_owned(), file.clone()], restart, working_dir: None, ..spec::full() };
        self.install(&spec);
        let unit = format!("{}.service", spec.unit);
        // `start --wait` does not do: it takes the moment between an end and the pause before a restart for the end.
        let script = format!(
            "rm -f {file}; systemctl --user reset-failed; systemctl --user start {unit}
            for try in $(seq 300); do
                case $(systemctl --user show --property SubState --value {unit}) in
                    dead | failed) cat {file}; exit ;;
                esac
                sleep 0.1
            done
            systemctl --user status {unit} >&2; exit 1"
        );
        let times = String::from_utf8(self.host.sh(&script, b"")).unwrap();
        times.lines().map(|line| Duration::from_micros(line.parse().unwrap())).collect()
    }

    fn gives_up_after_as_many_restarts_as_wished(&self) {
        let milliseconds = Duration::from_millis;
        let restart = Restart {
            when: RestartWhen::Always,
            delay: milliseconds(100),
            max_delay: milliseconds(800),
            give_up_after: 4,
        };
        let times = self.run_until_down(restart, "fail");
        assert_eq!(times.len(), 1 + 4, "starts on systemd {:?}", self.target.version);
        let found = self.show("llm-8080.service");
        assert_eq!((found["ActiveState"].as_str(), found["SubState"].as_str()), ("failed", "failed"));

        let pauses: Vec<Duration> = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
        let wished = if self.target.grows_restart_delay() { [100, 200, 400, 800] } else { [100; 4] };
        for (pause, wished) in pauses.iter().zip(wished) {
            assert!(*pause >= milliseconds(wished), "pauses {pauses:?} on systemd {:?}", self.target.version);
        }
    }

    fn restarts_after_a_failure_only(&self) {
        let delay = Duration::from_millis(100);
        let restart = Restart { when: RestartWhen::OnFailure, delay, max_delay: delay, give_up_after: 2 };
        assert_eq!(self.run_until_down(restart, "succeed").len(), 1);
        assert_eq!(self.run_until_down(restart, "fail").len(), 1 + 2);
        let never = Restart { when: RestartWhen::No, ..restart };
        assert_eq!(self.run_until_down(never, "fail").len(), 1);
    }
}
