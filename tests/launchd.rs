//! What is rendered for launchd, on a simulated Mac: it is loaded, it runs as it was written, and what launchctl prints of
//! it is read.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::disallowed_methods, reason = "a test runs programs itself")]

#[path = "support/lab.rs"]
mod lab;
#[path = "support/spec.rs"]
mod spec;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use unitbee::service::name::{EnvName, UnitName};
use unitbee::service::render::{self, Launchd, Placement, Target};
use unitbee::service::secret::Secret;
use unitbee::service::spec::{Limits, Restart, RestartWhen, Scope, UnitSpec};
use unitbee::supervisor::launchd::{print, unit_status};
use unitbee::supervisor::{State, UnitStatus};

use self::lab::LabHost;

const HOME: &str = "/home/bee";

fn target() -> Target {
    let logs = format!("{HOME}/.local/state/unitbee/log").into();
    Target::Launchd(Launchd { user: "bee".to_owned(), home: HOME.into(), logs })
}

/// A service that is a script; the secret of `full` is its.
fn script(unit: &str, script: &str) -> UnitSpec {
    UnitSpec {
        unit: UnitName::new(unit).unwrap(),
        service: unit.to_owned(),
        instance: "main".to_owned(),
        args: ["-c", script].map(str::to_owned).into(),
        working_dir: None,
        env: BTreeMap::new(),
        // A container may not have more of its own.
        limits: Limits { nofile: Some(512), ..Limits::default() },
        ..spec::full()
    }
}

struct Mac(LabHost);

impl Mac {
    fn up(name: &str) -> Option<Self> {
        let mac = Self(LabHost::up_with(name, "trixie", &["--kind", "mac"])?);
        mac.as_root(&["mac", "set", "speed", "10"], b"");
        mac.sh("mkdir -p .local/state/unitbee/log Library/LaunchAgents", b"");
        Some(mac)
    }

    fn sh(&self, script: &str, stdin: &[u8]) -> String {
        let mut ssh = Command::new("ssh");
        ssh.arg("-F").arg(&self.0.ssh_config).args(["-o", "BatchMode=yes", &self.0.name, script]);
        run(ssh, stdin)
    }

    fn as_root(&self, words: &[&str], stdin: &[u8]) -> String {
        run(lab::command(&[&["exec", &self.0.name], words].concat()), stdin)
    }

    /// Writes the property list and the secrets, and loads it; returns its label.
    fn load(&self, spec: &UnitSpec) -> String {
        let env_file = format!("{HOME}/{}.env", spec.unit);
        let secrets = BTreeMap::from([(EnvName::new("HF_TOKEN").unwrap(), Secret::new("it's $1".to_owned()))]);
        let secrets = render::secrets_file(&secrets, &target()).unwrap();
        self.sh(&format!("umask 077; cat >{env_file}"), &secrets);
        let placement = Placement { program: "/bin/sh".into(), env_file: Some(env_file.into()), release: 1 };
        let job = render::definition(spec, &placement, &target()).unwrap();
        let label = job.name.strip_suffix(".plist").unwrap();
        if spec.scope == Scope::System {
            let file = format!("/Library/LaunchDaemons/{}", job.name);
            self.as_root(&["sh", "-c", &format!("cat >{file} && launchctl bootstrap system {file}")], &job.bytes);
        } else {
            let file = format!("Library/LaunchAgents/{}", job.name);
            self.sh(&format!("cat >{file} && launchctl bootstrap gui/1000 {file}"), &job.bytes);
        }
        label.to_owned()
    }

    /// Waits until launchctl prints the line of a job, and reads all that it prints.
    fn status(&self, target: &str, line: &str) -> UnitStatus {
        let script = format!(
            "for try in $(seq 200); do
                text=$(launchctl print {target}) || exit
                case $text in *\"\n\t{line}\n\"*) printf '%s\n' \"$text\" && exit ;; esac
                sleep 0.05
            done
            printf '%s\n' \"$text\" >&2; exit 1"
        );
        let job = print::parse(&self.sh(&script, b"")).unwrap();
        assert_eq!(job.target, target);
        unit_status("unit", &job, true, Some(0), u64::MAX)
    }
}

/// Waits for a command to succeed, for 10 s.
fn until(command: &str) -> String {
    format!("for try in $(seq 200); do {command} && break; sleep 0.05; done; {command}")
}

fn run(mut command: Command, stdin: &[u8]) -> String {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin).unwrap();
    let output = child.wait_with_output().unwrap();
    lab::expect(&output, &format!("{command:?}"));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_is_rendered_runs_and_is_read_in_both_layouts() {
    let Some(mac) = Mac::up("launchd-runs") else { return };
    let says = r#"printf '%s\n' "$HF_TOKEN" "$HOME" "$LANG" "$PWD" "$(ulimit -n)" done; exec sleep 600"#;
    let agent = mac.load(&script("agent", says));
    let daemon = mac.load(&UnitSpec { scope: Scope::System, ..script("daemon", says) });
    let said = ["it's $1", HOME, "en_US.UTF-8", HOME, "512", "done"];
    for unit in ["agent", "daemon"] {
        let log = format!(".local/state/unitbee/log/{unit}.log");
        let log = mac.sh(&format!("{} && cat {log}", until(&format!("grep -q done {log}"))), b"");
        assert_eq!(log.lines().collect::<Vec<_>>(), said, "{unit}");
    }
    for layout in ["26", "14"] {
        mac.as_root(&["mac", "set", "layout", layout], b"");
        for target in [format!("gui/1000/{agent}"), format!("system/{daemon}")] {
            let status = mac.status(&target, "state = running");
            assert!(matches!(status.state, State::Running { .. }), "{layout}: {status:?}");
            assert_eq!(mac.sh(&format!("ps -o user= -p {}", status.pid.unwrap()), b"").trim(), "bee", "{layout}");
        }
    }
    let printed = mac.sh(&format!("launchctl print gui/1000/{agent}"), b"");
    assert!(!printed.contains("it's $1"), "anybody may read this: {printed}");
}

#[test]
fn what_does_not_run_is_told_with_its_reason() {
    let Some(mac) = Mac::up("launchd-fails") else { return };
    let always = Restart { when: RestartWhen::Always, ..Restart::default() };
    let never = Restart { when: RestartWhen::No, ..Restart::default() };

    let target = mac.load(&UnitSpec { restart: always, ..script("loop", "exit 3") });
    let looping = mac.status(&format!("gui/1000/{target}"), "state = spawn scheduled");
    assert_eq!(looping.state, State::Backoff { reason: "exited with code 3".to_owned(), restarts: looping.restarts });

    let target = mac.load(&UnitSpec { restart: never, ..script("once", "kill -SEGV $$") });
    let once = mac.status(&format!("gui/1000/{target}"), "last terminating signal = Segmentation fault: 11");
    assert_eq!(once.state, State::Failed { reason: "was killed by SIGSEGV".to_owned() });

    mac.sh("rm -r .local/state/unitbee/log", b"");
    let target = mac.load(&UnitSpec { restart: never, ..script("nolog", "exit 0") });
    let no_log = mac.status(&format!("gui/1000/{target}"), "last exit code = 78: EX_CONFIG");
    assert!(no_log.state.to_string().contains("cannot use its program"), "{no_log:?}");

    let stubborn = "trap : TERM; echo up >up; while :; do sleep 0.05; done";
    mac.sh("mkdir -p .local/state/unitbee/log", b"");
    let target = mac.load(&script("stubborn", stubborn));
    mac.sh(&format!("{} && launchctl bootout gui/1000/{target}", until("[ -e up ]")), b"");
    let stopping = mac.status(&format!("gui/1000/{target}"), "state = SIGTERMed");
    assert_eq!((stopping.state, stopping.pid.is_some()), (State::Stopping, true));
}
