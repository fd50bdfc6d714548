//! The runner's program, driven by each shell that a host may have, without a host.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::disallowed_methods, reason = "a test runs programs and reads files itself")]

#[path = "support/shells.rs"]
mod shells;
#[path = "support/skip.rs"]
mod skip;
#[path = "support/spec.rs"]
mod spec;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;
use unitbee::service::name::UnitName;
use unitbee::service::render::{Placement, Runner, runner};
use unitbee::service::spec::{Limits, Logs, Restart, RestartWhen, Stop, UnitSpec};

const SOON: Duration = Duration::from_secs(20);

/// A unit `web` of a shell script, in a folder of its own.
struct Nest {
    folder: tempfile::TempDir,
    shell: shells::Shell,
    name: &'static str,
}

/// Runs a test under every shell.
fn everywhere(test: impl Fn(&Nest)) {
    for name in ["dash", "bash", "busybox"] {
        let Some(shell) = shells::Shell::find(name) else { continue };
        let nest = Nest { folder: tempfile::tempdir().unwrap(), shell, name };
        fs::write(nest.at("runner"), &runner::PROGRAM.text).unwrap();
        test(&nest);
    }
}

fn again(delay: u64, give_up_after: u32) -> Restart {
    Restart {
        when: RestartWhen::OnFailure,
        delay: Duration::from_millis(delay),
        max_delay: Duration::from_millis(delay * 4),
        give_up_after,
    }
}

fn never() -> Restart {
    Restart { when: RestartWhen::No, ..Restart::default() }
}

impl Nest {
    fn home(&self) -> &Utf8Path {
        self.folder.path().try_into().unwrap()
    }

    fn at(&self, rel: &str) -> Utf8PathBuf {
        self.home().join(rel)
    }

    /// Writes the definition of a service that is this script.
    fn define(&self, script: &str, restart: Restart, logs: Logs) {
        let spec = UnitSpec {
            unit: UnitName::new("web").unwrap(),
            // Where there are cgroups, each nest has one of its own.
            instance: self.home().file_name().unwrap().to_owned(),
            args: vec!["-c".to_owned(), script.to_owned()],
            restart,
            logs,
            limits: Limits::default(),
            stop: Stop { url: None, drain: Duration::ZERO, term: Duration::ZERO },
            secrets: [].into(),
            env: BTreeMap::new(),
            systemd: BTreeMap::new(),
            working_dir: Some(self.home().to_owned()),
            ..spec::full()
        };
        let placement = Placement { program: "/bin/sh".into(), env_file: None, release: 3 };
        let target = Runner {
            program: self.at("runner"),
            registry: self.at("registry"),
            claims: self.at("claims"),
            logs: self.at("log"),
        };
        let definition = runner::definition(&spec, &placement, &target).unwrap();
        fs::write(self.at("web.sh"), definition.bytes).unwrap();
    }

    /// Starts a runner, and tells what it answers; it is the child of this process, so that its end can be awaited.
    fn start(&self) -> (Child, String) {
        let mut command = self.shell.command();
        command.arg(self.at("web.sh")).arg("supervise").stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap();
        let mut answer = String::new();
        child.stdout.take().unwrap().read_to_string(&mut answer).unwrap();
        (child, answer.trim().to_owned())
    }

    /// What unitbee asks of the program without the definition.
    fn ask(&self, verb: &str, args: &[&str]) -> (bool, String) {
        let mut command = self.shell.command();
        command.arg(self.at("runner")).arg(verb).arg(self.at("registry")).arg(self.at("claims")).arg("web").args(args);
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn pids(&self) -> Vec<u32> {
        let (_, said) = self.ask("list", &[]);
        said.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    }

    fn record(&self) -> Value {
        let text = fs::read_to_string(self.at("registry/web.json")).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// All of the log, in its order.
    fn log(&self) -> String {
        let mut files: Vec<(u32, Utf8PathBuf)> = Vec::new();
        for entry in self.at("log/web").read_dir_utf8().into_iter().flatten() {
            let path = entry.unwrap().into_path();
            files.push((path.file_stem().unwrap().parse().unwrap(), path));
        }
        files.sort();
        files.iter().map(|(_, path)| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()).collect()
    }

    #[track_caller]
    fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + SOON;
        while !is_so() {
            assert!(Instant::now() < deadline, "{}: not so: {what}\n{:#}\n{}", self.name, self.record(), self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops the unit, and asserts that nothing is left of it but the record and the log.
    #[track_caller]
    fn stop(&self, mut runner: Child) {
        let pids = self.pids();
        assert!(self.ask("stop", &["5"]).0, "{}: stop", self.name);
        runner.wait().unwrap();
        for pid in pids {
            assert!(!is_alive(pid), "{}: process {pid} is left", self.name);
        }
        assert!(!self.at("claims").exists(), "{}: a claim is left", self.name);
        assert_eq!(self.record()["state"], "stopped", "{}", self.name);
    }
}

fn is_alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn kill(pid: u64, signal: &str) {
    assert!(Command::new("kill").args([format!("-{signal}"), pid.to_string()]).status().unwrap().success());
}

#[test]
fn a_tree_is_found_and_ended_whatever_it_does() {
    everywhere(|nest| {
        let script =
            "trap '' TERM; (setsid sh -c 'setsid sleep 1000 & sleep 1000' &); sleep 1000 & echo up; wait; sleep 1000";
        nest.define(script, never(), Logs::default());
        let (runner, answer) = nest.start();
        assert_eq!(answer, "ok", "{}", nest.name);
        nest.until("all of the tree is found", || nest.pids().len() == 5);
        let record = nest.record();
        assert_eq!((&record["state"], &record["release"]), (&"running".into(), &3.into()), "{}", nest.name);
        nest.stop(runner);
    });
}

#[test]
fn a_service_that_fails_is_started_again_and_at_last_given_up() {
    everywhere(|nest| {
        nest.define("echo one more; exit 3", again(50, 2), Logs::default());
        let (mut runner, _) = nest.start();
        runner.wait().unwrap();
        let record = nest.record();
        let seen = (&record["state"], &record["exit"], &record["restarts"], &record["gave_up"]);
        assert_eq!(seen, (&"failed".into(), &3.into(), &2.into(), &true.into()), "{}", nest.name);
        assert_eq!(nest.log().matches("one more\n").count(), 3, "{}: {}", nest.name, nest.log());
        assert!(nest.log().contains("web ended with 3 and is started again after 50 ms\n"), "{}", nest.log());
        assert!(nest.log().contains("after 100 ms\n"), "the pause grows: {}", nest.log());
        assert!(nest.log().contains("given up, after 2 restarts\n"), "{}", nest.log());
    });
}

#[test]
fn a_clean_end_is_no_failure() {
    everywhere(|nest| {
        nest.define("exit 0", again(50, 2), Logs::default());
        let (mut runner, _) = nest.start();
        runner.wait().unwrap();
        assert_eq!((&nest.record()["state"], &nest.record()["restarts"]), (&"stopped".into(), &0.into()));
    });
}

#[test]
fn a_program_that_cannot_be_run_is_told_at_once() {
    everywhere(|nest| {
        nest.define("", never(), Logs::default());
        let text = fs::read_to_string(nest.at("web.sh")).unwrap();
        fs::write(nest.at("web.sh"), text.replace("'/bin/sh'", "'/no/such'")).unwrap();
        let (mut runner, answer) = nest.start();
        assert_eq!(answer, "failed exited with code 203", "{}", nest.name);
        runner.wait().unwrap();
    });
}

#[test]
fn rotation_loses_doubles_and_tears_nothing() {
    everywhere(|nest| {
        let script = "i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); echo line $i; done";
        nest.define(script, never(), Logs { max_size: 10_000, keep: 1000 });
        let (mut runner, _) = nest.start();
        runner.wait().unwrap();
        let lines: Vec<String> =
            nest.log().lines().filter(|line| !line.starts_with("unitbee: ")).map(str::to_owned).collect();
        let expected: Vec<String> = (1..=20_000).map(|line| format!("line {line}")).collect();
        assert!(lines == expected, "{}: {} lines", nest.name, lines.len());
        let sizes: Vec<u64> =
            fs::read_dir(nest.at("log/web")).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).collect();
        assert!(sizes.len() > 10 && sizes.iter().all(|size| *size < 10_000 + 4096), "{}: {sizes:?}", nest.name);
    });
}

#[test]
fn old_logs_go() {
    everywhere(|nest| {
        let script = "i=0; while [ $i -lt 5000 ]; do i=$((i + 1)); echo line $i; done";
        nest.define(script, never(), Logs { max_size: 5000, keep: 2 });
        let (mut runner, _) = nest.start();
        runner.wait().unwrap();
        assert_eq!(fs::read_dir(nest.at("log/web")).unwrap().count(), 3, "{}", nest.name);
        assert!(nest.log().ends_with("unitbee: web ended with 0\n"), "{}", nest.log());
    });
}

#[test]
fn who_follows_from_within_a_line_gets_all_of_it() {
    everywhere(|nest| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/templates/runner/logs.sh");
        fs::create_dir(nest.at("log")).unwrap();
        // A file is full in the middle of a line as often as not.
        fs::write(nest.at("log/1.log"), "one\ntw").unwrap();
        fs::write(nest.at("log/2.log"), "o a").unwrap();
        let mut follower = nest.shell.command();
        follower.arg(script).arg(nest.at("log")).args(["0", "1"]).stdout(Stdio::piped());
        let mut follower = follower.spawn().unwrap();
        let mut stdout = follower.stdout.take().unwrap();
        let mut said = [0; 5];
        stdout.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"two a", "{}", nest.name);
        fs::write(nest.at("log/2.log"), "o and\nthree\n").unwrap();
        let mut said = [0; 9];
        stdout.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"nd\nthree\n", "{}", nest.name);
        follower.kill().unwrap();
        follower.wait().unwrap();
    });
}

#[test]
fn the_death_of_the_logger_is_mended() {
    everywhere(|nest| {
        let script = "i=0; while :; do i=$((i + 1)); echo line $i; sleep 0.05; done";
        nest.define(script, never(), Logs::default());
        let (runner, _) = nest.start();
        for _ in 0..3 {
            let lines = nest.log().len();
            nest.until("there is more in the log", || nest.log().len() > lines + 20);
            // Everything of the runner that is not the service: the keeper of the log and its dd.
            let ours = descendants(runner.id(), u32::try_from(nest.record()["pid"].as_u64().unwrap()).unwrap());
            assert!(ours.len() >= 2, "{}: {ours:?}", nest.name);
            for pid in ours {
                Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap();
            }
        }
        let lines = nest.log().len();
        nest.until("there is more in the log", || nest.log().len() > lines + 20);
        assert_eq!((&nest.record()["state"], &nest.record()["restarts"]), (&"running".into(), &0.into()));
        nest.stop(runner);
    });
}

fn descendants(of: u32, but: u32) -> Vec<u32> {
    let output = Command::new("ps").args(["-A", "-o", "pid=,ppid="]).output().unwrap();
    let table: Vec<Vec<u32>> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| line.split_whitespace().map(|number| number.parse().unwrap()).collect())
        .collect();
    let mut found = vec![of];
    while let Some(row) = table.iter().find(|row| found.contains(&row[1]) && !found.contains(&row[0]) && row[0] != but)
    {
        found.push(row[0]);
    }
    found.split_off(1)
}

#[test]
fn a_service_without_a_runner_is_found_and_replaced() {
    everywhere(|nest| {
        nest.define("setsid sleep 1000 & sleep 1000", again(50, 2), Logs::default());
        let (mut runner, _) = nest.start();
        nest.until("it is up", || nest.pids().len() == 3);
        let old = nest.pids();
        runner.kill().unwrap();
        runner.wait().unwrap();
        assert_eq!(nest.pids(), old, "{}", nest.name);
        let (runner, answer) = nest.start();
        assert_eq!(answer, "ok", "{}", nest.name);
        assert!(old.iter().all(|pid| !is_alive(*pid)), "{}: the old copy is left", nest.name);
        nest.stop(runner);

        let (mut runner, _) = nest.start();
        nest.until("it is up", || nest.pids().len() == 3);
        runner.kill().unwrap();
        runner.wait().unwrap();
        nest.stop(runner);
    });
}

#[test]
fn of_many_who_start_at_once_one_does() {
    everywhere(|nest| {
        nest.define("echo up; sleep 1000", again(50, 2), Logs::default());
        let answers: Vec<(Child, String)> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..10).map(|_| scope.spawn(|| nest.start())).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let (mut up, others): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(_, answer)| answer == "ok");
        assert_eq!(up.len(), 1, "{}: {others:?}", nest.name);
        for (mut child, answer) in others {
            assert!(answer.starts_with("held ") || answer == "again", "{}: {answer}", nest.name);
            child.wait().unwrap();
        }
        nest.until("it said so", || nest.log().contains("up\n"));
        assert_eq!(nest.log().matches("up\n").count(), 1, "{}", nest.log());
        nest.stop(up.remove(0).0);
    });
}

/// Whoever gives back the last claim removes the folder around it: a mkdir(1) that meets that fails, and is tried again.
#[test]
fn the_folder_of_claims_may_go_while_it_is_needed() {
    everywhere(|nest| {
        nest.define("sleep 1000", never(), Logs::default());
        let bin = nest.at("bin");
        fs::create_dir(&bin).unwrap();
        let script = "#!/bin/sh\nrm \"$0\"\necho \"mkdir: can't create directory '$2'\" >&2\nexit 1\n";
        fs::write(bin.join("mkdir"), script).unwrap();
        fs::set_permissions(bin.join("mkdir"), fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = nest.shell.command();
        command.env("PATH", format!("{bin}:/usr/local/bin:/usr/bin:/bin")).arg(nest.at("runner")).arg("stop");
        command.arg(nest.at("registry")).arg(nest.at("claims")).args(["web", "5"]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}: {}", nest.name, String::from_utf8_lossy(&output.stderr));
        // That of busybox is a part of its shell.
        assert!(nest.name == "busybox" || !bin.join("mkdir").exists(), "{}: mkdir was not asked", nest.name);
        assert!(!nest.at("claims").exists(), "{}: a claim is left", nest.name);
    });
}

#[test]
fn a_number_alone_is_nobody() {
    everywhere(|nest| {
        nest.define("sleep 1000", never(), Logs::default());
        let (runner, _) = nest.start();
        nest.stop(runner);
        let mut stranger = Command::new("sleep").arg("1000").process_group(0).spawn().unwrap();
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let text = fs::read_to_string(nest.at("registry/web.json")).unwrap();
        let pid = format!("\"pid\": {}", stranger.id());
        // The number is another process's by now; and: all of it is right, but of another boot.
        let recycled = text.replace("\"pid\": 0", &pid).replace("\"stopped\"", "\"running\"");
        let start = fs::read_to_string(format!("/proc/{}/stat", stranger.id())).unwrap();
        let start = format!("\"start\": \"{}\"", start.split_whitespace().nth(21).unwrap());
        let own = recycled.lines().find(|line| line.starts_with("  \"start\": ")).unwrap().trim_end_matches(',').trim();
        let other_boot = recycled.replace(own, &start).replace(boot.trim(), "00000000-0000-0000-0000-000000000000");
        for record in [recycled, other_boot] {
            assert!(record.contains(&pid), "{record}");
            fs::write(nest.at("registry/web.json"), &record).unwrap();
            assert_eq!(nest.pids(), Vec::<u32>::new(), "{}: {record}", nest.name);
            nest.ask("send", &["all", "KILL"]);
            nest.ask("send", &["main", "KILL"]);
            assert!(nest.ask("stop", &["1"]).0, "{}", nest.name);
            let (runner, answer) = nest.start();
            assert_eq!(answer, "ok", "{}", nest.name);
            nest.stop(runner);
            assert!(stranger.try_wait().unwrap().is_none(), "{}: a stranger was killed", nest.name);
        }
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    });
}

#[test]
fn a_record_that_cannot_be_believed_is_put_aside() {
    everywhere(|nest| {
        nest.define("sleep 1000", never(), Logs::default());
        let (runner, _) = nest.start();
        nest.stop(runner);
        let text = fs::read_to_string(nest.at("registry/web.json")).unwrap();
        let record = nest.at("registry/web.json");
        let damaged = nest.at("registry/web.json.damaged");
        for bytes in [
            &text.as_bytes()[..text.len() / 2],
            b"",
            b"\0\xff\n",
            text.replace("\"version\": 1", "\"version\": 9").as_bytes(),
        ] {
            fs::write(&record, bytes).unwrap();
            assert_eq!(nest.pids(), Vec::<u32>::new(), "{}", nest.name);
            let (runner, answer) = nest.start();
            assert_eq!(answer, "ok", "{}", nest.name);
            assert_eq!(fs::read(&damaged).unwrap(), bytes, "{}", nest.name);
            nest.stop(runner);
        }
        fs::remove_file(&record).unwrap();
        fs::create_dir_all(record.join("x")).unwrap();
        let (runner, answer) = nest.start();
        assert_eq!(answer, "ok", "{}", nest.name);
        assert!(damaged.join("x").is_dir(), "{}", nest.name);
        nest.stop(runner);
    });
}

/// A part of the cgroup v2 tree that this test may write, as root of most machines.
fn cgroup_tree() -> Option<&'static str> {
    let is_there = |tree: &&str| fs::write(format!("{tree}/cgroup.procs"), "0").is_ok();
    ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].into_iter().find(is_there)
}

#[test]
fn nothing_leaves_a_cgroup() {
    let Some(tree) = cgroup_tree() else {
        return skip::skip("nothing_leaves_a_cgroup", "no cgroup v2 tree may be written here");
    };
    everywhere(|nest| {
        // It leaves session, group, environment and parents behind.
        nest.define("(env -i setsid sleep 1000 &); sleep 1000", never(), Logs::default());
        let (runner, answer) = nest.start();
        assert_eq!(answer, "ok", "{}", nest.name);
        let folder = format!("{tree}/rbee.slice/llm/{}", nest.home().file_name().unwrap());
        assert_eq!(nest.record()["cgroup"], folder.as_str(), "{}", nest.name);
        nest.until("all of it is found", || nest.pids().len() == 3);
        nest.stop(runner);
        assert!(!Utf8Path::new(&folder).exists(), "{}: its cgroup is left", nest.name);
    });
}

/// Another home of the same user has a unit of the same name.
#[test]
fn a_cgroup_with_processes_of_somebody_else_is_left_alone() {
    let Some(tree) = cgroup_tree() else {
        return skip::skip(
            "a_cgroup_with_processes_of_somebody_else_is_left_alone",
            "no cgroup v2 tree may be written here",
        );
    };
    everywhere(|nest| {
        let folder = format!("{tree}/rbee.slice/llm/{}", nest.home().file_name().unwrap());
        // Other tests take away what is above it when they find that empty.
        nest.until("its cgroup is there", || fs::create_dir_all(&folder).is_ok());
        let mut other = Command::new("sleep").arg("1000").spawn().unwrap();
        fs::write(format!("{folder}/cgroup.procs"), other.id().to_string()).unwrap();
        nest.define("sleep 1000", never(), Logs::default());
        let (runner, answer) = nest.start();
        assert_eq!(answer, "ok", "{}", nest.name);
        let record = nest.record();
        nest.stop(runner);
        let lives = other.try_wait().unwrap().is_none();
        other.kill().unwrap();
        other.wait().unwrap();
        fs::remove_dir(&folder).unwrap();
        assert!(lives, "{}: it was killed", nest.name);
        assert_eq!(record["cgroup"], "", "{}", nest.name);
        assert!(record["unlimited"].to_string().contains("processes of somebody else"), "{}: {record}", nest.name);
    });
}

#[test]
fn a_changed_definition_is_taken_over() {
    everywhere(|nest| {
        nest.define("sleep 1000", never(), Logs::default());
        let (runner, _) = nest.start();
        let pid = nest.record()["pid"].clone();
        nest.define("sleep 1000", again(50, 2), Logs::default());
        let text = fs::read_to_string(nest.at("web.sh")).unwrap();
        let digest = text.lines().nth(1).unwrap().rsplit_once('=').unwrap().1;
        let folder = nest.home().as_str();
        assert_ne!(nest.record()["definition"], digest, "{}", nest.name);
        assert!(nest.ask("refresh", &[folder]).0, "{}", nest.name);
        assert_eq!((&nest.record()["definition"], &nest.record()["pid"]), (&digest.into(), &pid), "{}", nest.name);
        kill(pid.as_u64().unwrap(), "KILL");
        nest.until("the new policy starts it again", || nest.record()["restarts"] == 1);
        nest.stop(runner);
    });
}
