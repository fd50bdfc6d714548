//! What runners noted on a host, and what of it is still true.
//!
//! A record is what a process said of itself; the processes of the host are what is. A process is the one of the record
//! when its number, its start time and the boot are the same; anything else is dead. Nothing here is believed for being
//! written down, and a record that cannot be read is told, not guessed at.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::status::{State, UnitStatus};
use super::{SupervisorKind, UnitFileKind, layout, reason};
use crate::host::{Answer, Ask, Base, Crontab, Facts, FileFound, HostPath, Table, printable};
use crate::service::render::header;

/// How long a unit must stay up after a restart before it counts as running.
const STEADY_USEC: u64 = 10_000_000;

/// The form of record that is read.
const VERSION: u32 = 1;

/// What crond(8) calls itself on the hosts that were looked at.
const CRONS: [&str; 2] = ["cron", "crond"];

/// Everything that is known of the runners of a host.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    records: BTreeMap<String, Result<Record, String>>,
    table: Table,
    crontab: Option<Crontab>,
}

/// A record, see `templates/runner/record.sh`.
#[derive(Debug, Clone, Deserialize)]
struct Record {
    version: u32,
    definition: String,
    node: String,
    boot: String,
    runner: u32,
    runner_start: String,
    state: String,
    pid: u32,
    start: String,
    since: i64,
    invocation: String,
    cgroup: String,
    unlimited: String,
    restarts: u32,
    exit: Option<u32>,
    #[serde(default)]
    oom: bool,
    /// How the last run ended, also while there is another.
    #[serde(default)]
    last_exit: Option<u32>,
}

impl Record {
    /// How the last run ended, in words.
    fn end(&self, status: u32) -> String {
        if self.oom { reason::OUT_OF_MEMORY.to_owned() } else { reason::exit(status) }
    }

    /// How things are by the record of another host that shares the state folder, whose processes nobody here can see.
    fn elsewhere(&self) -> State {
        let node = printable(self.node.as_bytes());
        match (self.state.as_str(), self.exit) {
            ("stopped", _) => State::Stopped,
            ("failed", Some(code)) => State::Failed { reason: format!("{} on {node}", self.end(code)) },
            _ => State::Failed { reason: format!("it is supervised on {node}, which has the same state folder") },
        }
    }
}

/// What must be asked of a host to know of its runners; cheap where there is none, unless they are asked for. The processes
/// come first: a runner that ends meanwhile has then noted why, where it would else seem to have been killed.
#[must_use]
pub fn asks(requested: Option<SupervisorKind>) -> [Ask; 3] {
    // What a first runner will find is worth a look too; the root is always there.
    let there =
        if requested == Some(SupervisorKind::Runner) { HostPath::new(Base::Root, "") } else { layout::registry() };
    [Ask::Processes(there.clone()), Ask::Folder(layout::registry()), Ask::Crontab(there)]
}

impl Registry {
    /// Reads the answers to [`asks`]; `None` when they are not of that form.
    pub fn read(answers: &mut impl Iterator<Item = Answer>) -> Option<Self> {
        let (Answer::Processes(table), Answer::Folder(folder), Answer::Crontab(crontab)) =
            (answers.next()?, answers.next()?, answers.next()?)
        else {
            return None;
        };
        let record = |(name, content): (String, Option<Vec<u8>>)| {
            Some((name.strip_suffix(".json")?.to_owned(), parse(content.as_deref())))
        };
        Some(Self { records: folder.into_iter().filter_map(record).collect(), table, crontab })
    }

    /// Tells whether there is a record of the unit, even one that cannot be read.
    #[must_use]
    pub fn knows(&self, unit: &str) -> bool {
        self.records.contains_key(unit)
    }

    /// What is true of a unit whose definition is this file.
    #[must_use]
    pub fn status(&self, facts: &Facts, unit: &str, definition: Option<&FileFound>) -> UnitStatus {
        let path = layout::absolute(&UnitFileKind::RunnerScript.path(unit), facts);
        let mut status = UnitStatus {
            installed: definition.is_some(),
            enabled: self.starts_at_boot(facts, unit),
            boot_blocker: self.boot_blocker(),
            fragment: definition.and(path).map(String::from),
            ..UnitStatus::unknown(unit)
        };
        match self.records.get(unit) {
            None => {}
            Some(Err(fault)) => {
                let path = layout::absolute(&layout::record(unit), facts).unwrap_or_default();
                status.state = State::Failed { reason: format!("its record {path} {fault}") };
            }
            Some(Ok(record)) => self.believe(facts, record, definition, &mut status),
        }
        status
    }

    fn believe(&self, facts: &Facts, record: &Record, definition: Option<&FileFound>, status: &mut UnitStatus) {
        status.restarts = record.restarts;
        status.invocation = Some(record.invocation.clone()).filter(|id| !id.is_empty());
        status.ended = record.exit.map(|code| record.end(code)).or(record.last_exit.map(reason::exit));
        if record.node != facts.node {
            status.state = record.elsewhere();
            return;
        }
        let this_boot = record.boot == facts.boot_id;
        let runner = this_boot && self.lives(record.runner, &record.runner_start);
        let main = this_boot && self.lives(record.pid, &record.start);
        let now = facts.now_usec;
        if main {
            let tree = self.tree(record.pid);
            let entries = || tree.iter().filter_map(|pid| self.table.entries.get(pid));
            status.pid = Some(record.pid);
            status.started_usec = self.started_usec(facts, record.pid);
            status.memory = Some(entries().map(|entry| entry.resident).sum());
            status.tasks = Some(entries().map(|entry| entry.threads).sum());
            let used: u64 = entries().map(|entry| entry.used).sum();
            status.cpu_nsec = Some(used.saturating_mul(1_000_000_000) / facts.ticks.max(1));
            status.cgroup = Some(record.cgroup.clone()).filter(|path| !path.is_empty());
            status.no_limits_reason = Some(record.unlimited.clone()).filter(|reason| !reason.is_empty());
            status.exe = self.table.entries.get(&record.pid).and_then(|entry| entry.exe.clone());
        }
        let digest = definition.and_then(|file| header::digest_of(&file.content));
        status.needs_reload = runner && digest.is_some_and(|digest| digest != record.definition);
        let ended = || match (record.exit, record.restarts) {
            (None, _) => "its runner was killed".to_owned(),
            (Some(code), 0) => record.end(code),
            (Some(code), 1) => format!("{} after 1 restart", record.end(code)),
            (Some(code), n) => format!("{} after {n} restarts", record.end(code)),
        };
        // By the clock that its age is told by; that of the record may be off by a second.
        let started = status.started_usec.and_then(|started| i64::try_from(started / 1_000_000).ok());
        let running = || State::Running { pid: record.pid, since: started.unwrap_or(record.since) };
        status.unsupervised = main && !runner;
        let fresh = status.started_usec.is_some_and(|started| started.saturating_add(STEADY_USEC) > now);
        status.state = match record.state.as_str() {
            "stopped" if !main || runner => State::Stopped,
            "failed" if !main || runner => State::Failed { reason: ended() },
            "stopping" if runner => State::Stopping,
            "backoff" if runner => State::Backoff {
                reason: record.exit.map_or_else(|| "exited".to_owned(), |code| record.end(code)),
                restarts: record.restarts,
            },
            "starting" if runner && record.restarts == 0 => State::Starting,
            _ if runner && main && record.restarts > 0 && fresh => {
                let end = record.last_exit.map_or_else(String::new, |code| reason::exit(code) + "; ");
                State::Backoff { reason: format!("{end}up again for less than 10 s"), restarts: record.restarts }
            }
            _ if main => running(),
            _ if runner => {
                let reason = "exited just now, or its runner cannot write its record".to_owned();
                State::Backoff { reason, restarts: record.restarts }
            }
            _ if !this_boot => State::Failed { reason: "it ended with the host's last boot".to_owned() },
            _ => State::Failed { reason: ended() },
        };
    }

    fn lives(&self, pid: u32, start: &str) -> bool {
        pid != 0 && self.table.entries.get(&pid).is_some_and(|entry| entry.start.to_string() == start)
    }

    /// The process, those of its session and group, and what comes of them.
    fn tree(&self, main: u32) -> Vec<u32> {
        let mut tree = vec![main];
        loop {
            let is_new = |(pid, entry): &(&u32, &crate::host::Entry)| {
                let ours = entry.session == main || entry.group == main || tree.contains(&entry.parent);
                ours && !tree.contains(pid)
            };
            let more: Vec<u32> = self.table.entries.iter().filter(is_new).map(|(pid, _)| *pid).collect();
            if more.is_empty() {
                return tree;
            }
            tree.extend(more);
        }
    }

    fn started_usec(&self, facts: &Facts, pid: u32) -> Option<u64> {
        let after_boot = self.table.entries.get(&pid)?.start.checked_mul(1_000_000)? / facts.ticks.max(1);
        Some(facts.now_usec.saturating_sub(facts.uptime_usec).saturating_add(after_boot))
    }

    fn starts_at_boot(&self, facts: &Facts, unit: &str) -> bool {
        let Some(line) = layout::boot_line(unit, facts) else { return false };
        let Some(Crontab::Lines(lines)) = &self.crontab else { return false };
        lines.split(|byte| *byte == b'\n').any(|found| found == line.as_bytes())
    }

    /// Why nothing on the host can start a unit at boot.
    fn boot_blocker(&self) -> Option<&'static str> {
        if self.table.entries.is_empty() {
            return None;
        }
        match self.crontab {
            None => return Some("the host has no crontab for this user"),
            Some(Crontab::Busybox) => return Some("cron is busybox's, which cannot start anything at boot"),
            Some(Crontab::Lines(_)) => {}
        }
        let runs = self.table.entries.values().any(|entry| CRONS.contains(&entry.name.as_str()));
        (!runs).then_some("cron does not run on the host")
    }
}

fn parse(content: Option<&[u8]>) -> Result<Record, String> {
    let content = content.ok_or("is no file that can be read")?;
    let record: Record = serde_json::from_slice(content)
        .map_err(|fault| format!("is damaged ({})", printable(fault.to_string().as_bytes())))?;
    if record.version == VERSION { Ok(record) } else { Err(format!("is of form {}", record.version)) }
}
