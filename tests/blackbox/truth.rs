//! What is true on a host, found without unitbee: from its supervisor, its files, its processes, and by HTTP.
//!
//! Units are named without suffix. What a question means for another supervisor than systemd is to be said here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::bench::Bench;

/// What is known of a file without reading it: anything that writes it changes this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) mode: String,
    pub(crate) is_folder: bool,
    inode: String,
    changed: String,
}

impl Bench {
    /// A property of a unit as the user's manager has it.
    #[track_caller]
    pub(crate) fn property(&self, unit: &str, name: &str) -> String {
        let unit = if unit.contains('.') { unit.to_owned() } else { format!("{unit}.service") };
        self.sh(&format!("systemctl --user show --value --property={name} {unit}")).trim().to_owned()
    }

    /// Main process of a unit that runs.
    #[track_caller]
    pub(crate) fn pid(&self, unit: &str) -> Option<u32> {
        let state = self.property(unit, "ActiveState,SubState,MainPID");
        let words: BTreeSet<&str> = state.split_whitespace().collect();
        let pid = words.iter().find_map(|word| word.parse().ok());
        pid.filter(|_| words.contains("active") && words.contains("running"))
    }

    /// Main process of a unit that must run.
    #[track_caller]
    pub(crate) fn running(&self, unit: &str) -> u32 {
        self.pid(unit).unwrap_or_else(|| panic!("{unit} does not run: {}", self.property(unit, "ActiveState,SubState")))
    }

    /// Tells whether the supervisor starts it at boot.
    #[track_caller]
    pub(crate) fn is_enabled(&self, unit: &str) -> bool {
        self.sh(&format!("systemctl --user is-enabled {unit}.service 2>&1 || true")).trim() == "enabled"
    }

    /// Processes in the unit's cgroup and below.
    #[track_caller]
    pub(crate) fn processes(&self, unit: &str) -> Vec<u32> {
        let pids = self.root(&format!(
            "find /sys/fs/cgroup -path '*/{unit}.service/*' -name cgroup.procs -exec cat {{}} + 2>/dev/null || true"
        ));
        pids.lines().filter_map(|pid| pid.parse().ok()).collect()
    }

    /// Sends a request from inside the host to a service of the bench's daemon; answers with status and body.
    #[track_caller]
    pub(crate) fn get(&self, port: u16, path: &str) -> (u16, String) {
        let curl = format!("curl -s --max-time 5 -w '\\n%{{http_code}}' http://127.0.0.1:{port}{path} || true");
        let answer = self.sh(&curl);
        let (body, status) = answer.trim_end().rsplit_once('\n').unwrap_or(("", "0"));
        (status.parse().unwrap_or(0), body.to_owned())
    }

    /// Asserts that the service answers, and that it is this process which does.
    #[track_caller]
    pub(crate) fn assert_healthy(&self, pid: u32) {
        let (status, body) = self.get(8080, "/health");
        assert!(status == 200 && body.trim_end().ends_with(&format!(" pid={pid}")), "process {pid}: {status} {body:?}");
    }

    /// File that a process runs.
    #[track_caller]
    pub(crate) fn program(&self, pid: u32) -> String {
        self.root(&format!("readlink /proc/{pid}/exe")).trim().to_owned()
    }

    /// Everything in the user's home, by path.
    #[track_caller]
    pub(crate) fn home(&self) -> BTreeMap<String, Stamp> {
        let found = self.root("find /home/bee -mindepth 1 -printf '%p\\t%m\\t%y\\t%i\\t%T@\\n'");
        let entry = |line: &str| {
            let mut fields = line.split('\t').map(str::to_owned);
            let (path, mode, is_folder) = (fields.next()?, fields.next()?, fields.next()? == "d");
            Some((path, Stamp { mode, is_folder, inode: fields.next()?, changed: fields.next()? }))
        };
        found.lines().filter_map(entry).collect()
    }

    /// Files in the home whose path ends so.
    #[track_caller]
    pub(crate) fn files(&self, end: &str) -> Vec<String> {
        self.home().into_keys().filter(|path| path.ends_with(end)).collect()
    }

    /// How often the user's manager has read its unit files again.
    #[track_caller]
    pub(crate) fn reloads(&self) -> usize {
        self.root("journalctl --sync; journalctl --quiet --output=cat _UID=1000")
            .lines()
            .filter(|line| line.starts_with("Reloading."))
            .count()
    }

    /// What the user's manager has loaded of ours.
    #[track_caller]
    pub(crate) fn units(&self) -> Vec<String> {
        let units = self.sh("systemctl --user list-units --all --full --plain --no-legend 'web-*' rbee.slice");
        units.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
    }

    /// Asks until the answer is yes.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, within: Duration, is_so: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + within;
        while !is_so(self) {
            assert!(Instant::now() < deadline, "not within {within:?}: {what}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}
