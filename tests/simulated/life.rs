//! The life of a runner and of its service: what `templates/runner/supervise.sh` does, event by event.

use camino::{Utf8Path, Utf8PathBuf};
use std::time::Duration;

use super::behaviour::Behaviour;
use super::definition::Definition;
use super::tree::Bytes;
use super::world::{Main, World};

/// How long a program takes to end after TERM.
const TO_END: Duration = Duration::from_millis(20);

/// How a shell tells an end by TERM and by KILL.
pub(crate) const BY_TERM: u32 = 143;
pub(crate) const BY_KILL: u32 = 137;

/// What a program exits with that cannot have its port.
const NO_PORT: u32 = 1;

/// One runner.
#[derive(Debug, Clone)]
pub(crate) struct Runner {
    pub(crate) unit: String,
    pub(crate) start: u64,
    /// Where its definition is.
    script: Utf8PathBuf,
    pub(crate) settings: Definition,
    pub(crate) state: &'static str,
    pub(crate) main: Option<u32>,
    main_start: u64,
    /// When the run was started, and its mark.
    since_usec: u64,
    invocation: String,
    restarts: u32,
    streak: u64,
    pause_ms: u64,
    ended: Option<u32>,
    last_exit: Option<u32>,
    gave_up: bool,
    generation: u64,
    pub(crate) stopping: bool,
    /// When the pause before the next start is over.
    wake: Option<u64>,
    /// When what does not hear TERM is killed.
    late: Option<u64>,
}

/// Why no runner was started.
#[derive(Debug)]
pub(crate) enum Refused {
    /// This one is there already.
    Held(u32),
    /// It cannot, or the program cannot be run.
    Failed(String),
}

enum Due {
    End(u32, u32),
    Wake(u32),
    Late(u32),
}

impl World {
    /// Carries out what was due until now.
    pub(crate) fn settle(&mut self) {
        let now = self.now_usec();
        loop {
            let ends =
                self.mains.iter().filter_map(|(pid, main)| main.end.map(|(at, code)| (at, Due::End(*pid, code))));
            let wakes = self.runners.iter().filter_map(|(pid, runner)| Some((runner.wake?, Due::Wake(*pid))));
            let lates = self.runners.iter().filter_map(|(pid, runner)| Some((runner.late?, Due::Late(*pid))));
            let due = ends.chain(wakes).chain(lates).filter(|(at, _)| *at <= now).min_by_key(|(at, _)| *at);
            match due {
                None => return,
                Some((at, Due::End(pid, code))) => self.end(pid, code, at),
                Some((at, Due::Wake(pid))) => self.wake(pid, at),
                Some((at, Due::Late(pid))) => {
                    let runner = self.runners.get_mut(&pid).expect("it is due");
                    runner.late = None;
                    if let Some(main) = runner.main {
                        self.end(main, BY_KILL, at);
                    }
                }
            }
        }
    }

    /// `sh <definition> supervise`: a new runner, which starts the service.
    pub(crate) fn supervise(&mut self, script: &Utf8Path) -> Result<(), Refused> {
        let now = self.now_usec();
        let failed = |words: String| Err(Refused::Failed(words));
        let Some(settings) = self.tree.read(script).and_then(Definition::parse) else {
            return failed(format!("sh: 0: cannot open {script}: No such file"));
        };
        if !self.tree.exists(&settings.runner) {
            return failed(format!("{script}: .: cannot open {}: No such file", settings.runner));
        }
        let unit = settings.text("unit").to_owned();
        if let Some((pid, _)) = self.runners.iter().find(|(_, runner)| runner.unit == unit) {
            return Err(Refused::Held(*pid));
        }
        if !self.has_room(&unit) {
            return failed(format!("cannot write below {}: No space left on device", settings.text("claims")));
        }
        let (pid, start) = self.next_process(now);
        let runner = Runner {
            unit: unit.clone(),
            start,
            script: script.to_owned(),
            state: "starting",
            main: None,
            main_start: 0,
            since_usec: now,
            invocation: String::new(),
            restarts: 0,
            streak: 0,
            pause_ms: settings.number("delay_ms"),
            ended: None,
            last_exit: None,
            gave_up: false,
            generation: self.record(&unit).map_or(0, |record| record["generation"].as_u64().unwrap_or(0)),
            stopping: false,
            wake: None,
            late: None,
            settings,
        };
        for folder in ["registry", "logs", "claims"] {
            let folder = runner.settings.path(folder).expect("it is set");
            self.tree.make_folders(&folder, |_| 0o700);
        }
        let claim = self.claim_of(&unit);
        self.tree.remove(&claim);
        self.tree.make_folders(&claim, |_| 0o700);
        let name = format!("{pid}.{start}.{}.sim", self.boot_id());
        self.tree.put(&claim.join(name), 0o600, Bytes::new([]));
        self.end_orphans(&unit, now);
        let log = runner.settings.path("logs").expect("it is set").join("1.log");
        if !self.tree.exists(&log) {
            self.tree.put(&log, 0o600, Bytes::new([]));
        }
        self.runners.insert(pid, runner);
        self.note(pid, "starting");
        match self.launch(pid, now) {
            Some(code @ (126 | 127 | 203)) => failed(format!("its program cannot be run ({code})")),
            Some(code @ (200 | 205 | 219 | 222)) => failed(format!("its start ended with {code}")),
            _ => Ok(()),
        }
    }

    /// Ends what is left of a service whose runner died.
    pub(crate) fn end_orphans(&mut self, unit: &str, at: u64) {
        let orphans: Vec<u32> = self.orphans(unit).collect();
        for pid in orphans {
            self.end(pid, BY_KILL, at);
        }
    }

    pub(crate) fn orphans(&self, unit: &str) -> impl Iterator<Item = u32> {
        let orphan = move |(pid, main): (&u32, &Main)| {
            (main.unit == unit && !self.runners.contains_key(&main.runner)).then_some(*pid)
        };
        self.mains.iter().filter_map(orphan)
    }

    /// Starts the service; gives the code of one that ended before it came up.
    fn launch(&mut self, runner: u32, at: u64) -> Option<u32> {
        let (pid, start) = self.next_process(at);
        let invocation = self.nonce();
        let settings = {
            let runner = self.runners.get_mut(&runner).expect("it lives");
            (runner.main, runner.main_start, runner.since_usec) = (Some(pid), start, at);
            (runner.ended, runner.wake) = (None, None);
            runner.invocation.clone_from(&invocation);
            runner.settings.clone()
        };
        let program = settings.path("program").expect("it is set");
        let secrets = settings.path("secrets").map(|path| self.tree.file(&path).map(|(_, bytes)| bytes.clone()));
        let (behaviour, code) = match (self.tree.file(&program), &secrets) {
            (Some((mode, bytes)), Some(Some(_)) | None) if mode & 0o111 != 0 => {
                let behaviour = Behaviour::of(bytes.as_slice());
                let is_taken = || settings.port().is_some_and(|port| self.listener(port).is_some());
                let code = if behaviour.listens && is_taken() { Some((0, NO_PORT)) } else { None };
                let exits = behaviour.exits.map(|(code, after)| (micros(after), code));
                (behaviour, code.or(exits))
            }
            (Some(_), Some(None)) => (Behaviour::HEALTHY, Some((0, 222))),
            _ => (Behaviour::HEALTHY, Some((0, 203))),
        };
        let main = Main {
            unit: settings.text("unit").to_owned(),
            runner,
            start,
            started_usec: at,
            invocation,
            sha256: self.tree.file(&program).map_or_else(String::new, |(_, bytes)| bytes.sha256().to_owned()),
            program,
            release: settings.release,
            command: settings.text("command").to_owned(),
            secrets: secrets.flatten(),
            port: settings.port().filter(|_| behaviour.listens && code.is_none_or(|(after, _)| after > 0)),
            behaviour,
            end: code.map(|(after, code)| (at + after, code)),
        };
        self.mains.insert(pid, main);
        if let Some((0, code)) = code {
            self.end(pid, code, at);
            return Some(code);
        }
        self.note(runner, "running");
        None
    }

    /// A main process ends, and its runner does what is to be done then.
    fn end(&mut self, pid: u32, code: u32, at: u64) {
        let main = self.mains.remove(&pid).expect("it lives");
        let Some(runner) = self.runners.get_mut(&main.runner) else { return };
        (runner.ended, runner.last_exit) = (Some(code), Some(code));
        (runner.main, runner.main_start, runner.late) = (None, 0, None);
        let is_clean = matches!(code, 0 | 129 | 130 | 141 | 143);
        let settled = (at - runner.since_usec) / 1_000_000 >= runner.settings.number("settled");
        if runner.stopping || (is_clean && runner.settings.text("restart") != "always") {
            return self.leave(main.runner, "stopped");
        }
        if runner.settings.text("restart") == "no" {
            return self.leave(main.runner, "failed");
        }
        if settled {
            (runner.streak, runner.pause_ms) = (0, runner.settings.number("delay_ms"));
        }
        runner.streak += 1;
        let give_up_after = runner.settings.number("give_up_after");
        if give_up_after > 0 && runner.streak > give_up_after {
            runner.gave_up = true;
            return self.leave(main.runner, "failed");
        }
        runner.wake = Some(at + runner.pause_ms * 1000);
        self.note(main.runner, "backoff");
    }

    /// The pause is over.
    fn wake(&mut self, pid: u32, at: u64) {
        let runner = self.runners.get_mut(&pid).expect("it lives");
        let (least, most) = (runner.settings.number("delay_ms"), runner.settings.number("max_delay_ms"));
        runner.pause_ms = (runner.pause_ms * 2).min(most).max(least);
        runner.restarts += 1;
        self.launch(pid, at);
    }

    /// TERM to a runner.
    pub(crate) fn ask_to_stop(&mut self, pid: u32) {
        let now = self.now_usec();
        let runner = self.runners.get_mut(&pid).expect("it lives");
        let first = !std::mem::replace(&mut runner.stopping, true);
        let Some(main) = runner.main else { return self.leave(pid, "stopped") };
        if first {
            runner.late = Some(now + runner.settings.number("stop_timeout") * 1_000_000);
            self.note(pid, "stopping");
            self.signal(main, "TERM");
        }
    }

    /// A signal to a main process.
    pub(crate) fn signal(&mut self, pid: u32, signal: &str) {
        let now = self.now_usec();
        let main = self.mains.get_mut(&pid).expect("it lives");
        match signal {
            "KILL" => self.end(pid, BY_KILL, now),
            "TERM" if !main.behaviour.ignores_term => {
                let ends = (now + micros(TO_END), BY_TERM);
                main.end = Some(main.end.filter(|(at, _)| *at < ends.0).unwrap_or(ends));
            }
            "TERM" => {}
            other => panic!("no program of the simulated world knows {other}"),
        }
    }

    /// The shutdown URL of a main process was asked.
    pub(crate) fn shut_down(&mut self, pid: u32) {
        let ends = (self.now_usec() + micros(TO_END), 0);
        let main = self.mains.get_mut(&pid).expect("it lives");
        main.end = Some(main.end.filter(|(at, _)| *at < ends.0).unwrap_or(ends));
    }

    /// HUP to a runner: it takes over its definition.
    pub(crate) fn take_over(&mut self, pid: u32) {
        let runner = self.runners.get_mut(&pid).expect("it lives");
        if let Some(settings) = self.tree.read(&runner.script).and_then(Definition::parse) {
            let state = runner.state;
            runner.settings = settings;
            self.note(pid, state);
        }
    }

    /// The end of a runner.
    fn leave(&mut self, pid: u32, state: &'static str) {
        // At worst the old record has the place that the new one needs.
        self.write_record(pid, state);
        let runner = self.runners.remove(&pid).expect("it lives");
        self.unclaim(&runner.unit);
    }

    /// Gives the claim on a unit back, so that nothing is left of it.
    pub(crate) fn unclaim(&mut self, unit: &str) {
        let claim = self.claim_of(unit);
        self.tree.remove(&claim);
        self.tree.remove_empty(claim.parent().expect("it has one"));
    }

    fn note(&mut self, pid: u32, state: &'static str) {
        let runner = self.runners.get_mut(&pid).expect("it lives");
        runner.state = state;
        let unit = runner.unit.clone();
        if self.has_room(&unit) {
            self.write_record(pid, state);
        }
        self.reserve(&unit);
    }

    fn spare_of(&self, unit: &str) -> Utf8PathBuf {
        self.record_of(unit).with_extension("spare")
    }

    /// Whether there is room for another record of a unit.
    pub(crate) fn has_room(&self, unit: &str) -> bool {
        !self.disk_full || self.tree.exists(&self.spare_of(unit))
    }

    /// Keeps room for another record, where there is one.
    pub(crate) fn reserve(&mut self, unit: &str) {
        if !self.disk_full && self.tree.exists(&self.record_of(unit)) {
            let spare = self.spare_of(unit);
            self.tree.put(&spare, 0o600, Bytes::new([]));
        }
    }

    fn write_record(&mut self, pid: u32, state: &str) {
        let boot = self.boot_id();
        let code = |code: Option<u32>| code.map_or_else(|| "null".to_owned(), |code| code.to_string());
        let runner = self.runners.get_mut(&pid).expect("it lives");
        runner.generation += 1;
        let Runner { unit, settings, start, main, main_start, .. } = &*runner;
        let text = format!(
            r#"{{
  "version": 1,
  "unit": "{unit}",
  "release": {},
  "definition": "{}",
  "generation": {},
  "uid": 1000,
  "node": "sim",
  "boot": "{boot}",
  "runner": {pid},
  "runner_start": "{start}",
  "state": "{state}",
  "pid": {},
  "start": "{}",
  "since": {},
  "invocation": "{}",
  "command": "{}",
  "executable": 1,
  "cgroup": "",
  "unlimited": "the host has no cgroup v2 tree",
  "log": "{unit}",
  "restarts": {},
  "exit": {},
  "last_exit": {},
  "oom": false,
  "gave_up": {}
}}
"#,
            settings.release,
            settings.digest,
            runner.generation,
            main.unwrap_or(0),
            main.map_or_else(String::new, |_| main_start.to_string()),
            runner.since_usec / 1_000_000,
            runner.invocation,
            settings.text("command"),
            runner.restarts,
            code(runner.ended),
            code(runner.last_exit),
            runner.gave_up,
        );
        let path = settings.path("registry").expect("it is set").join(format!("{unit}.json"));
        if path.parent().is_some_and(|folder| self.tree.is_folder(folder)) {
            self.tree.put(&path, 0o600, Bytes::new(text));
        }
    }
}

pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).expect("a short time")
}
