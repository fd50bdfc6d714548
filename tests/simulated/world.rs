//! The simulated host itself: its files, its processes, its clock.
//!
//! It is a Linux without systemd and without cgroups that may be written, with a cron that starts things at boot.
//! Nothing happens by itself: whoever looks has [`World::settle`] carry out first what was due until now, in the order of
//! time. The clock is tokio's, which a test can stop.

use std::collections::BTreeMap;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use unitbee::host::{Facts, HostPath};
use unitbee::supervisor::layout;

use super::behaviour::Behaviour;
use super::life::Runner;
use super::tree::{Bytes, Tree};

const START_USEC: u64 = 1_800_000_000_000_000;
const TICKS: u64 = 100;
const CRON: u32 = 300;

/// The name that the host has for itself.
pub(crate) const NODE: &str = "sim";

/// A host.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) tree: Tree,
    /// The files of the machine that unitbee runs on, for what is shipped.
    pub(crate) workstation: BTreeMap<Utf8PathBuf, Arc<Bytes>>,
    pub(crate) crontab: Vec<u8>,
    pub(crate) disk_full: bool,
    /// Programs that go on when their other side has gone.
    pub(crate) orders: Vec<JoinHandle<()>>,
    pub(crate) runners: BTreeMap<u32, Runner>,
    pub(crate) mains: BTreeMap<u32, Main>,
    places: Facts,
    epoch: Instant,
    boots: u64,
    booted_usec: u64,
    last_pid: u32,
    pub(crate) counter: u64,
}

/// The main process of a service.
#[derive(Debug, Clone)]
pub(crate) struct Main {
    pub(crate) unit: String,
    pub(crate) runner: u32,
    /// Clock ticks from boot to its start.
    pub(crate) start: u64,
    pub(crate) started_usec: u64,
    pub(crate) invocation: String,
    pub(crate) program: Utf8PathBuf,
    /// Digest of the program that it was started from.
    pub(crate) sha256: String,
    /// The release of the definition that it was started by.
    pub(crate) release: u32,
    /// Digest of its arguments and its public environment.
    pub(crate) command: String,
    /// The secrets that it was given.
    pub(crate) secrets: Option<Arc<Bytes>>,
    pub(crate) behaviour: Behaviour,
    /// The port that it listens on.
    pub(crate) port: Option<u16>,
    /// When it ends, and with which code, as far as that is known already.
    pub(crate) end: Option<(u64, u32)>,
}

impl World {
    pub(crate) fn new() -> Self {
        let mut world = Self {
            tree: Tree::default(),
            workstation: BTreeMap::new(),
            crontab: Vec::new(),
            orders: Vec::new(),
            disk_full: false,
            runners: BTreeMap::new(),
            mains: BTreeMap::new(),
            places: places(),
            epoch: Instant::now(),
            boots: 1,
            booted_usec: START_USEC - 1_000_000_000,
            last_pid: 1000,
            counter: 0,
        };
        for folder in ["/home/bee/.config", "/home/bee/.local/share", "/home/bee/.local/state"] {
            world.tree.make_folders(Utf8Path::new(folder), |_| 0o755);
        }
        world
    }

    pub(crate) fn now_usec(&self) -> u64 {
        START_USEC + u64::try_from(self.epoch.elapsed().as_micros()).expect("a short time")
    }

    pub(crate) fn facts(&self) -> Facts {
        let now_usec = self.now_usec();
        let uptime_usec = now_usec - self.booted_usec;
        Facts { boot_id: self.boot_id(), now_usec, uptime_usec, ..self.places.clone() }
    }

    pub(crate) fn boot_id(&self) -> String {
        format!("boot-{}", self.boots)
    }

    /// The absolute path; `None` where the base is not on this host.
    pub(crate) fn resolve(&self, path: &HostPath) -> Option<Utf8PathBuf> {
        let at = layout::absolute(path, &self.places)?;
        // A base alone has no slash at its end.
        Some(at.components().collect())
    }

    /// Where the record of a unit's runner is.
    pub(crate) fn record_of(&self, unit: &str) -> Utf8PathBuf {
        self.resolve(&layout::record(unit)).expect("this host has it")
    }

    /// Where it is said who supervises a unit.
    pub(crate) fn claim_of(&self, unit: &str) -> Utf8PathBuf {
        self.resolve(&layout::claims()).expect("this host has it").join(unit)
    }

    /// A number for a process that starts at `at`, and its start in clock ticks.
    pub(crate) fn next_process(&mut self, at: u64) -> (u32, u64) {
        self.last_pid += 1;
        (self.last_pid, (at - self.booted_usec) / (1_000_000 / TICKS))
    }

    /// Hexadecimal digits that were not given out before.
    pub(crate) fn nonce(&mut self) -> String {
        self.counter += 1;
        format!("{:032x}", self.counter)
    }

    /// The number of cron(8), which is always there.
    pub(crate) fn cron() -> u32 {
        CRON
    }

    /// The main process that listens on a port.
    pub(crate) fn listener(&self, port: u16) -> Option<u32> {
        self.mains.iter().find(|(_, main)| main.port == Some(port)).map(|(pid, _)| *pid)
    }

    /// The power goes and comes back: every process dies, and cron starts what the crontab says.
    pub(crate) fn reboot(&mut self) {
        self.settle();
        self.runners.clear();
        self.mains.clear();
        self.give_back_locks();
        self.orders.drain(..).for_each(|order| order.abort());
        self.boots += 1;
        self.booted_usec = self.now_usec();
        let crontab = String::from_utf8_lossy(&self.crontab).into_owned();
        for line in crontab.lines() {
            let words = shlex::split(line).expect("a line of ours");
            if let ["@reboot", "/bin/sh", definition, "start", ..] =
                words.iter().map(String::as_str).collect::<Vec<_>>()[..]
            {
                // Nobody hears how that went.
                self.supervise(Utf8Path::new(definition)).ok();
            }
        }
    }

    /// The runner of a unit dies without a word; its service goes on.
    pub(crate) fn kill_runner(&mut self, unit: &str) -> bool {
        self.settle();
        let before = self.runners.len();
        self.runners.retain(|_, runner| runner.unit != unit);
        self.runners.len() < before
    }
}

/// What is true of the host at any time.
fn places() -> Facts {
    Facts {
        os: "Linux".into(),
        arch: "x86_64".into(),
        node: NODE.into(),
        user: "bee".into(),
        uid: 1000,
        home: "/home/bee".into(),
        config: "/home/bee/.config".into(),
        data: "/home/bee/.local/share".into(),
        state: "/home/bee/.local/state".into(),
        cgroup: None,
        boot_id: String::new(),
        now_usec: 0,
        uptime_usec: 0,
        ticks: TICKS,
        bus: false,
        systemd: false,
        linger: false,
    }
}
