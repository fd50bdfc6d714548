//! Programs that are run on the host: the verbs of the runner (`templates/runner/verbs.sh`) and the check of a program.
//!
//! What has to wait does so step by step, as the scripts do. Whoever lets go of it ends it there, as a host ends a
//! program whose other side has gone; what it has begun by then is begun.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use camino::Utf8Path;
use serde_json::Value;
use unitbee::host::{Command, End, Output};

use super::behaviour::Behaviour;
use super::definition::Definition;
use super::life::Refused;
use super::tree::Bytes;
use super::world::World;

/// How long a shell takes to do what it is asked for.
const TO_RUN: Duration = Duration::from_millis(15);
const TENTH: Duration = Duration::from_millis(100);

/// The host, as long as nobody else looks at it.
pub(crate) fn locked(world: &Mutex<World>) -> MutexGuard<'_, World> {
    let mut world = world.lock().unwrap_or_else(PoisonError::into_inner);
    world.settle();
    world
}

/// Runs what unitbee asks for.
pub(crate) async fn run(world: &Mutex<World>, command: &Command) -> Output {
    assert_eq!(command.program, "sh", "{command:?}");
    let args: Vec<&str> = command.args.iter().map(String::as_str).collect();
    tokio::time::sleep(TO_RUN).await;
    let done = match args[..] {
        [definition, "start"] => start(world, Utf8Path::new(definition)).await,
        ["-s", "stop", .., unit, seconds] => stop(world, unit, seconds.parse().expect("seconds")).await,
        ["-s", "ready", _, _, unit, definition] => ready(&mut locked(world), unit, Utf8Path::new(definition)),
        ["-s", "list", .., unit] => Ok(lines(&list(&locked(world), unit))),
        ["-s", "send", _, _, unit, whom, signal] => {
            send(&mut locked(world), unit, whom, signal);
            Ok(String::new())
        }
        ["-s", "enable", .., line] => enable(&mut locked(world), line),
        ["-s", "disable", .., line] => Ok(disable(&mut locked(world), line)),
        ["-s", "refresh", .., folder] => refresh(world, Utf8Path::new(folder)).await,
        // Nothing that is simulated says anything.
        ["-c", _, "sh", folder, _, ""] if folder.contains("/log/") => Ok(String::new()),
        ["-c", .., "sh", program] | ["-c", .., "sh", program, "--version"] => {
            check(&locked(world), Utf8Path::new(program))
        }
        _ => panic!("the simulated host does not know {command:?}"),
    };
    match done {
        Ok(stdout) => Output { end: End::Exit(0), stdout: stdout.into_bytes(), stderr: Vec::new() },
        Err((code, words)) => Output { end: End::Exit(code), stdout: Vec::new(), stderr: format!("{words}\n").into() },
    }
}

/// What it printed; or the code that it exited with, and its last words.
pub(crate) type Done = Result<String, (i32, String)>;

/// Whether a unit could be started by its definition.
fn ready(world: &mut World, unit: &str, definition: &Utf8Path) -> Done {
    let said = |word: &str| (1, word.to_owned());
    let bytes = world.tree.read(definition).ok_or_else(|| said("absent"))?;
    let settings = Definition::parse(bytes).ok_or_else(|| said("it cannot be read"))?;
    let program = settings.path("program").expect("it is set");
    if world.tree.file(&program).is_none_or(|(mode, _)| mode & 0o111 == 0) {
        return Err((1, format!("its program {program} is not there")));
    }
    world.reserve(unit);
    if world.record(unit).is_some() && !world.has_room(unit) {
        return Err((1, "No space left on device".to_owned()));
    }
    Ok("ready\n".to_owned())
}

pub(crate) async fn start(world: &Mutex<World>, definition: &Utf8Path) -> Done {
    let Some(settings) = locked(world).tree.read(definition).and_then(Definition::parse) else {
        return Err((127, format!("sh: 0: cannot open {definition}: No such file")));
    };
    let (unit, patience) = (settings.text("unit"), settings.number("stop_timeout") * 10 + 100);
    for _ in 0..patience {
        {
            let mut world = locked(world);
            match world.supervise(definition) {
                Ok(()) => return Ok(String::new()),
                Err(Refused::Failed(words)) => return Err((1, words)),
                Err(Refused::Held(runner)) => {
                    let record = world.record(unit);
                    let state = record.as_ref().and_then(|record| record["state"].as_str()).unwrap_or_default();
                    let main = record.as_ref().and_then(|record| record["pid"].as_u64());
                    let lives = main.is_some_and(|pid| world.mains.keys().any(|main| u64::from(*main) == pid));
                    if record.is_none() || (state == "running" && !lives) {
                        world.take_over(runner);
                    }
                    if matches!(state, "running" | "starting" | "backoff") {
                        return Ok(String::new());
                    }
                }
            }
        }
        tokio::time::sleep(TENTH).await;
    }
    Err((1, "the runner ended without a word".to_owned()))
}

pub(crate) async fn stop(world: &Mutex<World>, unit: &str, seconds: u64) -> Done {
    let mut met = None;
    let mut tries = seconds * 10 + 150;
    loop {
        {
            let mut world = locked(world);
            let Some(holder) = world.runner_of(unit) else {
                break;
            };
            if *met.get_or_insert(holder) != holder {
                return Ok(String::new());
            }
            if tries == 0 {
                return Err((1, format!("its runner, process {holder} of sim, does not end")));
            }
            tries -= 1;
            world.ask_to_stop(holder);
        }
        tokio::time::sleep(TENTH).await;
    }
    end_orphans(world, unit, seconds).await;
    let mut world = locked(world);
    if let Some(record) = world.record(unit)
        && !matches!(record["state"].as_str(), Some("stopped" | "failed"))
        && world.has_room(unit)
    {
        let path = world.record_of(unit);
        let line = |line: &str| match line.trim_start() {
            line if line.starts_with("\"state\"") => "  \"state\": \"stopped\",\n".to_owned(),
            line if line.starts_with("\"pid\"") => "  \"pid\": 0,\n".to_owned(),
            _ => format!("{line}\n"),
        };
        let text: String = world.tree.text(&path).expect("it is text").lines().map(line).collect();
        world.tree.put(&path, 0o600, Bytes::new(text));
    }
    world.unclaim(unit);
    Ok(String::new())
}

/// TERM to what is left of a run whose runner has died, then KILL.
async fn end_orphans(world: &Mutex<World>, unit: &str, seconds: u64) {
    {
        let mut world = locked(world);
        let orphans: Vec<u32> = world.orphans(unit).collect();
        for pid in orphans {
            world.signal(pid, "TERM");
        }
    }
    for _ in 0..seconds * 10 {
        if locked(world).orphans(unit).next().is_none() {
            return;
        }
        tokio::time::sleep(TENTH).await;
    }
    let mut world = locked(world);
    let now = world.now_usec();
    world.end_orphans(unit, now);
}

/// The processes of the run that the record tells of.
fn list(world: &World, unit: &str) -> Vec<u32> {
    let Some(record) = world.record(unit).filter(|record| record["boot"] == world.boot_id()) else { return Vec::new() };
    let is_of_it = |pid: &u32| record["pid"] == *pid || record["invocation"] == world.mains[pid].invocation;
    world.mains.keys().copied().filter(is_of_it).collect()
}

fn lines(pids: &[u32]) -> String {
    pids.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn send(world: &mut World, unit: &str, whom: &str, signal: &str) {
    let main = world.record(unit).and_then(|record| record["pid"].as_u64());
    for pid in list(world, unit) {
        if whom == "all" || main == Some(u64::from(pid)) {
            world.signal(pid, signal);
        }
    }
}

fn enable(world: &mut World, line: &str) -> Done {
    if has_line(world, line) {
        return Ok(String::new());
    }
    if world.disk_full {
        return Err((1, "crontab: error while writing new crontab: No space left on device".to_owned()));
    }
    world.crontab.extend_from_slice(format!("{line}\n").as_bytes());
    Ok("changed\n".to_owned())
}

fn disable(world: &mut World, line: &str) -> String {
    if !has_line(world, line) {
        return String::new();
    }
    let kept =
        world.crontab.split_inclusive(|byte| *byte == b'\n').filter(|other| other.trim_ascii_end() != line.as_bytes());
    world.crontab = kept.flatten().copied().collect();
    "changed\n".to_owned()
}

fn has_line(world: &World, line: &str) -> bool {
    world.crontab.split(|byte| *byte == b'\n').any(|other| other == line.as_bytes())
}

async fn refresh(world: &Mutex<World>, folder: &Utf8Path) -> Done {
    let runners: Vec<(u32, String)> =
        locked(world).runners.iter().map(|(pid, runner)| (*pid, runner.unit.clone())).collect();
    for (pid, unit) in runners {
        let is_waited_for = {
            let mut world = locked(world);
            let definition = world.tree.read(&folder.join(format!("{unit}.sh"))).and_then(Definition::parse);
            let is_old = |world: &World, definition: &Definition| {
                world.record(&unit).is_some_and(|record| record["definition"] != definition.digest)
            };
            match definition {
                Some(definition) if world.runners.contains_key(&pid) && is_old(&world, &definition) => {
                    world.take_over(pid);
                    is_old(&world, &definition)
                }
                _ => false,
            }
        };
        // A runner that cannot write its record is waited for in vain.
        if is_waited_for {
            tokio::time::sleep(50 * TENTH).await;
        }
    }
    Ok(String::new())
}

/// A short run of a program: of one that is going to exit at once, with its code.
fn check(world: &World, program: &Utf8Path) -> Done {
    let Some((_, bytes)) = world.tree.file(program) else {
        return Err((127, format!("sh: {program}: not found")));
    };
    match Behaviour::of(bytes.as_slice()).exits {
        Some((code, after)) if after.is_zero() && code != 0 => {
            Err((i32::try_from(code).expect("an exit code"), "no such option".to_owned()))
        }
        _ => Ok("1.0\n".to_owned()),
    }
}

impl World {
    /// The runner of a unit.
    pub(crate) fn runner_of(&self, unit: &str) -> Option<u32> {
        self.runners.iter().find(|(_, runner)| runner.unit == unit).map(|(pid, _)| *pid)
    }

    /// What the last runner of a unit noted, where that can be read.
    pub(crate) fn record(&self, unit: &str) -> Option<Value> {
        serde_json::from_slice(self.tree.read(&self.record_of(unit))?).ok()
    }
}
