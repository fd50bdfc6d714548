//! Questions to a host and their answers: many in one exchange.

use std::collections::BTreeMap;
use std::net::IpAddr;

use camino::{Utf8Component, Utf8PathBuf};

/// How much of a file an [`Ask::File`] takes.
pub(super) const FILE_LIMIT: usize = 1 << 20;

/// How many levels of folders an [`Ask::Tree`] goes down.
pub(super) const TREE_DEPTH: usize = 2;

/// Where a [`HostPath`] begins; the host itself resolves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Base {
    /// `/`.
    Root,
    /// The user's home.
    Home,
    /// `$XDG_CONFIG_HOME` as the user's service manager has it, else `~/.config`.
    Config,
    /// Likewise `$XDG_DATA_HOME`, else `~/.local/share`.
    Data,
    /// Likewise `$XDG_STATE_HOME`, else `~/.local/state`.
    State,
    /// `/run/user/<uid>`.
    Runtime,
    /// The cgroup v2 folder of the user's service manager (`…/user@<uid>.service`).
    Cgroup,
}

/// A path on a host, relative to a base that only the host knows. `rel` never holds `..` or a NUL.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostPath {
    /// Where it begins.
    pub base: Base,
    /// The rest, without a leading `/`.
    pub rel: Utf8PathBuf,
}

impl HostPath {
    /// Joins a base and the rest of a path.
    pub fn new(base: Base, rel: impl Into<Utf8PathBuf>) -> Self {
        Self { base, rel: rel.into() }
    }
}

impl HostPath {
    /// Says why no host may be asked for this path.
    pub(super) fn fault(&self) -> Option<&'static str> {
        let rel = self.rel.as_str();
        if rel.chars().any(char::is_control) {
            Some("the path holds a control character")
        } else if rel.starts_with('/') || rel.split('/').any(|part| part == "..") {
            Some("the path leads out of its folder")
        } else {
            None
        }
    }

    /// Says why nothing may be put there or removed: what names nothing below its base would be the base itself.
    pub(super) fn fault_of_change(&self) -> Option<&'static str> {
        let named = self.rel.components().any(|part| matches!(part, Utf8Component::Normal(_)));
        self.fault().or(if named { None } else { Some("the path names no file") })
    }

    /// Whether the folders on the way to it are this tool's own, for nobody else to look into.
    pub(super) fn is_private(&self) -> bool {
        matches!(self.base, Base::Data | Base::State) && self.rel.starts_with("unitbee")
    }
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// What does this file hold? Answered by [`Answer::File`].
    File(HostPath),
    /// Is something there, and how large is it? [`Answer::Size`].
    Size(HostPath),
    /// Which files are under this folder, at most two levels down, and what are their digests? Those that a change is
    /// just writing do not count. [`Answer::Tree`].
    Tree(HostPath),
    /// Where is the program of this bare name? [`Answer::Program`].
    Program(String),
    /// What do the control files of this cgroup say, and which processes are in it? [`Answer::Cgroup`].
    Cgroup(HostPath),
    /// On which TCP ports do the processes of this cgroup listen? [`Answer::Listeners`].
    Listeners(HostPath),
    /// On which TCP ports do these processes listen? [`Answer::Listeners`].
    Sockets(Vec<u32>),
    /// What is in this folder, and what do its `.json` files say? [`Answer::Folder`].
    Folder(HostPath),
    /// Which processes are there? They are many: only looked at where something is at the path, or on a Linux whose init is
    /// not systemd. [`Answer::Processes`].
    Processes(HostPath),
    /// What does the user's crontab(5) say? Only looked at where [`Ask::Processes`] is too. [`Answer::Crontab`].
    Crontab(HostPath),
    /// Which C library are the programs of a Linux linked with? [`Answer::Libc`].
    Libc,
    /// Does anybody listen on this TCP port of the host's loopback? [`Answer::Listening`].
    Listening(u16),
    /// What does this script for sh(1) print? Only run where `uname -s` is `system`; a query has at most one.
    /// [`Answer::Script`].
    Script {
        /// The system that it is for.
        system: &'static str,
        /// The script.
        text: &'static str,
        /// Its arguments, none of them empty or with a line break in it.
        args: Vec<String>,
    },
    /// Who holds the lock of this name on the host? [`Answer::Locked`].
    Locked(String),
}

/// The answer to the [`Ask`] of the same place in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The file, or `None` where there is none.
    File(Option<FileFound>),
    /// Its size in bytes, or `None` where there is nothing.
    Size(Option<u64>),
    /// Paths relative to the folder, each with the SHA-256 of its content in hexadecimal; empty where there is no folder.
    Tree(BTreeMap<Utf8PathBuf, String>),
    /// Its absolute path.
    Program(Option<Utf8PathBuf>),
    /// The cgroup, or `None` where there is none.
    Cgroup(Option<Cgroup>),
    /// What its processes listen on.
    Listeners(Vec<Listener>),
    /// Everything in the folder by name; without content what is no `.json` file that can be read as text. Empty where
    /// there is no folder.
    Folder(BTreeMap<String, Option<Vec<u8>>>),
    /// All processes of the host.
    Processes(Table),
    /// The crontab; `None` where the user can have none, or nobody looked.
    Crontab(Option<Crontab>),
    /// The C library.
    Libc(Libc),
    /// Whether somebody does.
    Listening(bool),
    /// What it printed; `None` where it was not run, as on a host of another system.
    Script(Option<Vec<u8>>),
    /// Its holder; `None` where the lock is free.
    Locked(Option<Holder>),
}

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Who it is, by its own words.
    pub owner: String,
    /// The name of its token, which no other holder has.
    pub token: String,
    /// Whether its process is alive; the lock of a dead one goes to whoever asks for it next.
    pub alive: bool,
    /// Unix time in seconds, by the clock of the host, when it took the lock; `None` where an older version did.
    pub since: Option<i64>,
}

/// A file as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFound {
    /// Its content; at most 1 MiB is taken, more is an error of the query.
    pub content: Vec<u8>,
    /// Permission bits, behind a link those of what it points to.
    pub mode: u32,
    /// Where it points, for a symbolic link; one that leads nowhere, or to `/dev/null`, has no content.
    pub link: Option<Utf8PathBuf>,
}

/// A cgroup v2 folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cgroup {
    /// Control files by name, as bytes: `cpu.max`, `memory.max`, `memory.swap.max`, `memory.current`,
    /// `memory.peak`, `memory.events`, `pids.max`, `pids.current`, `cpu.stat`, `cgroup.events`, `cgroup.controllers`;
    /// one that is empty is left out.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Its processes, those of cgroups below it too.
    pub processes: Vec<Process>,
}

/// A process as `/proc` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Where `/proc/<pid>/exe` points; ends in ` (deleted)` when the file is gone.
    pub exe: Option<String>,
    /// Start time in clock ticks since boot (field 22 of `/proc/<pid>/stat`).
    pub start: Option<u64>,
}

/// All processes of a host at one moment, but for those that have ended and wait for their parents to notice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    /// The processes by their numbers.
    pub entries: BTreeMap<u32, Entry>,
}

/// A process of a [`Table`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// What it calls itself.
    pub name: String,
    /// Number of its parent.
    pub parent: u32,
    /// Its process group.
    pub group: u32,
    /// Its session.
    pub session: u32,
    /// Processor time used so far, in clock ticks.
    pub used: u64,
    /// Its threads.
    pub threads: u64,
    /// Start time in clock ticks since boot.
    pub start: u64,
    /// Resident memory in bytes; 0 for a thread of the kernel's.
    pub resident: u64,
    /// Where `/proc/<pid>/exe` points, where that may be seen.
    pub exe: Option<String>,
}

/// What cron(8) has of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Crontab {
    /// The user's lines; empty where there are none yet.
    Lines(Vec<u8>),
    /// That of busybox, where no line can ask for a start at boot: most are built without, and crond of 1.37 ends with a
    /// segmentation fault when it reads one.
    Busybox,
}

/// The C library of a host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Libc {
    /// glibc; major and minor number of its version.
    Glibc(u32, u32),
    /// musl.
    Musl,
    /// Another one, or none that could be found.
    #[default]
    Unknown,
}

impl Libc {
    /// Reads what a host tells: `glibc 2.36` of getconf(1), the path of musl's loader, or the first line of ldd(1), whose last
    /// word is the version of glibc.
    pub(super) fn read(told: &[u8]) -> Self {
        let text = String::from_utf8_lossy(told);
        let line = text.lines().next().unwrap_or_default();
        if line.contains("/ld-musl-") {
            return Self::Musl;
        }
        let is_glibc = line.starts_with("glibc ") || (line.starts_with("ldd (") && !line.contains("musl"));
        let mut parts = line.split_whitespace().next_back().unwrap_or_default().split('.').map(str::parse);
        match (parts.next(), parts.next()) {
            (Some(Ok(major)), Some(Ok(minor))) if is_glibc => Self::Glibc(major, minor),
            _ => Self::Unknown,
        }
    }
}

/// A listening TCP socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Listener {
    /// Address that it is bound to.
    pub addr: IpAddr,
    /// Port.
    pub port: u16,
}

/// Questions for one exchange.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// The questions, answered in this order.
    pub asks: Vec<Ask>,
}

/// What a host answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// What is true of the host itself.
    pub facts: Facts,
    /// One answer for each question, in the same order and of the matching kind.
    pub answers: Vec<Answer>,
}

/// What is true of a host, whatever runs on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// `uname -s`: `Linux`, `Darwin`.
    pub os: String,
    /// `uname -m`: `x86_64`, `aarch64`, `arm64`.
    pub arch: String,
    /// `uname -n`: what the host calls itself, which tells it from others that share the user's home.
    pub node: String,
    /// Login name.
    pub user: String,
    /// User id.
    pub uid: u32,
    /// Home folder.
    pub home: Utf8PathBuf,
    /// [`Base::Config`] as an absolute path.
    pub config: Utf8PathBuf,
    /// [`Base::Data`] as an absolute path.
    pub data: Utf8PathBuf,
    /// [`Base::State`] as an absolute path.
    pub state: Utf8PathBuf,
    /// [`Base::Cgroup`] as an absolute path; `None` where the host has no cgroup v2 tree with this manager in it.
    pub cgroup: Option<Utf8PathBuf>,
    /// `/proc/sys/kernel/random/boot_id`; empty where there is none.
    pub boot_id: String,
    /// Unix time in microseconds when the host answered. Where its `date` knows only seconds, it is Linux' time of boot and
    /// what has passed since: that may be off by a second, by the same for as long as the host is up.
    pub now_usec: u64,
    /// Microseconds since boot at that moment, for process start times.
    pub uptime_usec: u64,
    /// Clock ticks a second (`getconf CLK_TCK`).
    pub ticks: u64,
    /// Whether `/run/user/<uid>/bus` is a socket.
    pub bus: bool,
    /// Whether systemd is the host's init (`/run/systemd/system` is there).
    pub systemd: bool,
    /// Whether logind keeps the user's manager without a session (`/var/lib/systemd/linger/<user>` is there).
    pub linger: bool,
}

impl Facts {
    /// Unix time in seconds when the host answered.
    #[must_use]
    pub fn now(&self) -> i64 {
        i64::try_from(self.now_usec / 1_000_000).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::Libc;

    #[test]
    fn a_libc_is_known_by_what_its_tools_say() {
        for (told, libc) in [
            ("glibc 2.36\n", Libc::Glibc(2, 36)),
            ("ldd (Debian GLIBC 2.31-13+deb11u5) 2.31\nCopyright (C) 2020", Libc::Glibc(2, 31)),
            ("ldd (GNU libc) 2.17\n", Libc::Glibc(2, 17)),
            ("glibc 2.41.9000\n", Libc::Glibc(2, 41)),
            ("/lib/ld-musl-x86_64.so.1\n", Libc::Musl),
            ("musl libc (x86_64)\nVersion 1.2.5\n", Libc::Unknown),
            ("glibc two\n", Libc::Unknown),
            ("undefined\n", Libc::Unknown),
            ("", Libc::Unknown),
        ] {
            assert_eq!(Libc::read(told.as_bytes()), libc, "{told:?}");
        }
    }
}
