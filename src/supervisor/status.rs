//! What a supervisor says of a unit: a state with its reason, and what is odd about it.

use std::fmt;

use serde::Serialize;

use crate::host::Cgroup;

/// What a unit is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum State {
    /// Not installed, or installed and not running because nobody wants it to.
    Stopped,
    /// Started, and not yet up.
    Starting,
    /// Up.
    Running {
        /// Main process.
        pid: u32,
        /// Unix time in seconds since when it is up.
        since: i64,
    },
    /// On its way down.
    Stopping,
    /// It exited by itself, and stays down.
    Failed {
        /// Why, in words that follow the unit's name: `exited with code 3`, `was killed by SIGSEGV`.
        reason: String,
    },
    /// It exited by itself, and is started again after a pause.
    Backoff {
        /// Why it exited.
        reason: String,
        /// Restarts so far.
        restarts: u32,
    },
}

impl State {
    /// The one word that tables and JSON show.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Running { .. } => "running",
            Self::Stopping => "stopping",
            Self::Failed { .. } => "failed",
            Self::Backoff { .. } => "backoff",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { reason } | Self::Backoff { reason, .. } => write!(f, "{} ({reason})", self.as_str()),
            _ => f.write_str(self.as_str()),
        }
    }
}

/// Something odd about a unit, with what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Flag {
    /// Which oddity.
    pub kind: FlagKind,
    /// What was seen, in a sentence.
    pub reason: String,
    /// The command that mends it.
    pub mend: Option<String>,
}

/// The oddities that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlagKind {
    /// It restarts again and again, or gave up doing so.
    CrashLooping,
    /// The process runs another file than the unit names.
    OldBinary,
    /// The unit was changed after the process was started.
    UnitChanged,
    /// The manager has not read the unit file as it is on disk.
    NeedsReload,
    /// A cap of the manifest does not hold.
    LimitNotEffective,
    /// It ends at logout or does not come back after a reboot.
    NotPersistent,
    /// Its supervisor died: nothing starts it again when it ends.
    Unsupervised,
    /// The unit file was edited by hand.
    Drift,
    /// It runs and does not answer its health URL.
    Unhealthy,
    /// It runs, and the host has no way to ask how it is.
    HealthUnknown,
    /// Another supervisor or domain runs it too.
    Duplicate,
    /// A change of it was left unfinished.
    UnfinishedChange,
}

impl fmt::Display for FlagKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CrashLooping => "crash-looping",
            Self::OldBinary => "old-binary",
            Self::UnitChanged => "unit-changed",
            Self::NeedsReload => "needs-reload",
            Self::LimitNotEffective => "limit-not-effective",
            Self::NotPersistent => "not-persistent",
            Self::Unsupervised => "unsupervised",
            Self::Drift => "drift",
            Self::Unhealthy => "unhealthy",
            Self::HealthUnknown => "health-unknown",
            Self::Duplicate => "duplicate",
            Self::UnfinishedChange => "unfinished-change",
        })
    }
}

/// What a supervisor knows of one unit, without what only the host's files tell.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitStatus {
    /// Unit name without suffix.
    pub unit: String,
    /// Whether the supervisor has a definition of it.
    pub installed: bool,
    /// Whether it is started at boot.
    pub enabled: bool,
    /// Why nothing on this host can start it at boot.
    pub boot_blocker: Option<&'static str>,
    /// What it is doing.
    pub state: State,
    /// Main process, also while it is starting or stopping.
    pub pid: Option<u32>,
    /// Unix time in microseconds when the main process was started.
    pub started_usec: Option<u64>,
    /// Restarts by the supervisor since the last start by hand.
    pub restarts: u32,
    /// Bytes of memory; `None` where the supervisor cannot tell.
    pub memory: Option<u64>,
    /// CPU time used so far in nanoseconds.
    pub cpu_nsec: Option<u64>,
    /// Processes and threads.
    pub tasks: Option<u64>,
    /// cgroup of the unit, relative to the mount (`/user.slice/…`); `None` where there is none.
    pub cgroup: Option<String>,
    /// Why it has no cgroup that could be limited, where the supervisor tells.
    pub no_limits_reason: Option<String>,
    /// File that the main process runs, where the supervisor tells.
    pub exe: Option<String>,
    /// Whether it runs although its supervisor has died.
    pub unsupervised: bool,
    /// Whether the manager says that the file on disk differs from what it has read.
    pub needs_reload: bool,
    /// File that the definition was read from.
    pub fragment: Option<String>,
    /// Drop-ins in effect.
    pub drop_ins: Vec<String>,
    /// Where else it is loaded: launchd may have one job in several domains, each with a process.
    pub other_domains: Vec<String>,
    /// Identifies this run of the unit: changes with every start.
    pub invocation: Option<String>,
    /// How the last process ended, in words that follow the unit's name: `exited with code 3`, `was killed by SIGSEGV`.
    /// `None` where none has ended, or the supervisor has forgotten it.
    pub ended: Option<String>,
}

impl UnitStatus {
    /// Takes from the unit's cgroup what only that counts in full: what has ended and what got away from its parents too.
    pub fn count_in(&mut self, cgroup: &Cgroup) {
        let text =
            |file: &str| String::from_utf8_lossy(cgroup.files.get(file).map_or(&[][..], Vec::as_slice)).into_owned();
        let number = |text: String| text.trim().parse::<u64>().ok();
        let used = text("cpu.stat").lines().find_map(|line| number(line.strip_prefix("usage_usec ")?.to_owned()));
        self.memory = number(text("memory.current")).or(self.memory);
        self.tasks = number(text("pids.current")).or(self.tasks);
        self.cpu_nsec = used.and_then(|usec| usec.checked_mul(1000)).or(self.cpu_nsec);
    }

    /// A unit of which nothing is known: not installed, and stopped.
    #[must_use]
    pub fn unknown(unit: &str) -> Self {
        Self {
            unit: unit.to_owned(),
            installed: false,
            enabled: false,
            boot_blocker: None,
            state: State::Stopped,
            pid: None,
            started_usec: None,
            restarts: 0,
            memory: None,
            cpu_nsec: None,
            tasks: None,
            cgroup: None,
            no_limits_reason: None,
            exe: None,
            needs_reload: false,
            unsupervised: false,
            fragment: None,
            drop_ins: Vec::new(),
            other_domains: Vec::new(),
            invocation: None,
            ended: None,
        }
    }
}
