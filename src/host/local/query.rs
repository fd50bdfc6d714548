//! Answers of this machine, read with system calls alone: nothing is started but scripts that were asked for, what names
//! the libc and, where there is no `/proc`, netstat(1) and lsof(8).

#![expect(clippy::disallowed_methods, reason = "this machine is read here")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use camino::{Utf8Path, Utf8PathBuf};

use super::super::query::{
    Answer, Ask, Cgroup, Crontab, Entry, FILE_LIMIT, Facts, FileFound, Holder, HostPath, Libc, Listener, Observation,
    Process, Query, TREE_DEPTH, Table,
};
use super::super::{HostError, bsd, copy_digesting, proc, xdg_dirs::XdgDirs};
use super::lock;
use super::sweep::TEMPORARY;

/// Where programs are looked for beside `$PATH`, which cron and non-login shells leave short.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Answers every question of `query` with what is true of this machine now.
pub(super) fn observe(host: &str, query: &Query) -> Result<Observation, HostError> {
    let places = XdgDirs::here();
    let reader = Reader { host, places: &places };
    let answers = query.asks.iter().map(|ask| reader.answer(ask)).collect::<Result<_, _>>()?;
    Ok(Observation { facts: facts(&places), answers })
}

fn facts(places: &XdgDirs) -> Facts {
    let (os, arch) = system().clone();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    Facts {
        os,
        arch,
        node: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        user: places.user.clone(),
        uid: places.uid,
        home: places.home.clone(),
        config: places.config.clone(),
        data: places.data.clone(),
        state: places.state.clone(),
        cgroup: places.cgroup.clone(),
        boot_id: boot_id(),
        now_usec: u64::try_from(now).unwrap_or(u64::MAX),
        uptime_usec: fs::read("/proc/uptime").ok().and_then(|text| proc::uptime_usec(&text)).unwrap_or(0),
        ticks: rustix::param::clock_ticks_per_second(),
        bus: fs::metadata(places.runtime().join("bus")).is_ok_and(|found| found.file_type().is_socket()),
        systemd: Path::new("/run/systemd/system").is_dir(),
        linger: Path::new("/var/lib/systemd/linger").join(&places.user).exists(),
    }
}

/// Unix time in seconds.
pub(super) fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    i64::try_from(now).unwrap_or(i64::MAX)
}

/// Returns the names of the system and of its processor: whatever depends on them asks here, and so gets the same answer.
fn system() -> &'static (String, String) {
    static SYSTEM: LazyLock<(String, String)> = LazyLock::new(|| {
        let told = if bsd::has_proc() { None } else { bsd::system() };
        told.unwrap_or_else(|| {
            let system = rustix::system::uname();
            (system.sysname().to_string_lossy().into_owned(), system.machine().to_string_lossy().into_owned())
        })
    });
    &SYSTEM
}

/// Returns what tells this boot from every other; empty where the kernel does not say.
pub(super) fn boot_id() -> String {
    static BOOT: LazyLock<String> = LazyLock::new(|| {
        let read = fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|text| text.trim().to_owned());
        read.ok().or_else(bsd::boot_id).unwrap_or_default()
    });
    BOOT.clone()
}

struct Reader<'a> {
    host: &'a str,
    places: &'a XdgDirs,
}

impl Reader<'_> {
    fn answer(&self, ask: &Ask) -> Result<Answer, HostError> {
        Ok(match ask {
            Ask::File(path) => Answer::File(self.read(path, file)?.flatten()),
            Ask::Size(path) => Answer::Size(self.read(path, size)?.flatten()),
            Ask::Tree(path) => Answer::Tree(self.read(path, tree)?.unwrap_or_default()),
            Ask::Program(name) => Answer::Program(program(name)),
            Ask::Cgroup(path) => Answer::Cgroup(self.read(path, |folder| Ok(cgroup(folder)))?.flatten()),
            Ask::Listening(port) => Answer::Listening(proc::is_listening(&tcp_table(), *port)),
            Ask::Listeners(path) => {
                Answer::Listeners(self.read(path, |folder| Ok(listeners(folder)))?.unwrap_or_default())
            }
            Ask::Sockets(pids) => Answer::Listeners(listening(&pids.iter().copied().collect())),
            Ask::Folder(path) => Answer::Folder(self.read(path, contents)?.unwrap_or_default()),
            Ask::Processes(path) => Answer::Processes(self.read(path, processes)?.unwrap_or_default()),
            Ask::Crontab(path) => Answer::Crontab(self.read(path, crontab)?.flatten()),
            Ask::Locked(name) => Answer::Locked(self.locked(name)?),
            Ask::Libc => Answer::Libc(libc()),
            Ask::Script { system, text, args } => Answer::Script(script(system, text, args)),
        })
    }

    /// Reads what lies at `path`; `None` where its base does not exist here.
    fn read<T>(&self, path: &HostPath, read: impl FnOnce(&Utf8Path) -> io::Result<T>) -> Result<Option<T>, HostError> {
        if let Some(fault) = path.fault() {
            return Err(self.failed(&path.rel, fault));
        }
        let Some(path) = self.places.resolve(path) else { return Ok(None) };
        match read(&path) {
            Ok(found) => Ok(Some(found)),
            Err(fault) if fault.kind() == io::ErrorKind::FileTooLarge => {
                Err(HostError::TooMuch { host: self.host.into(), during: format!("read {path}"), limit: FILE_LIMIT })
            }
            Err(fault) => Err(self.failed(&path, &super::words(&fault))),
        }
    }

    fn locked(&self, name: &str) -> Result<Option<Holder>, HostError> {
        super::super::check_lock_name(self.host, name)?;
        lock::holder_of(name).map_err(|fault| self.failed(name.into(), &super::words(&fault)))
    }

    fn failed(&self, path: &Utf8Path, detail: &str) -> HostError {
        HostError::Change { host: self.host.into(), step: format!("read {path}"), detail: detail.into() }
    }
}

/// Turns "there is no such thing" into `None`.
fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(fault) if matches!(fault.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// A link counts as found even when it leads nowhere or to `/dev/null`, as that of a masked unit does.
fn file(path: &Utf8Path) -> io::Result<Option<FileFound>> {
    let Some(named) = found(fs::symlink_metadata(path))? else { return Ok(None) };
    let link = if named.is_symlink() { Some(utf8(fs::read_link(path)?)?) } else { None };
    let Some(behind) = found(fs::metadata(path))? else {
        return Ok(Some(FileFound { content: Vec::new(), mode: named.permissions().mode() & 0o7777, link }));
    };
    let mode = behind.permissions().mode() & 0o7777;
    if link.is_some() && !behind.is_file() {
        return Ok(Some(FileFound { content: Vec::new(), mode, link }));
    }
    if !behind.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut content = Vec::new();
    let Some(opened) = found(File::open(path))? else { return Ok(None) };
    opened.take(FILE_LIMIT as u64 + 1).read_to_end(&mut content)?;
    if content.len() > FILE_LIMIT {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(Some(FileFound { content, mode, link }))
}

fn size(path: &Utf8Path) -> io::Result<Option<u64>> {
    Ok(found(fs::metadata(path))?.map(|found| found.len()))
}

fn tree(folder: &Utf8Path) -> io::Result<BTreeMap<Utf8PathBuf, String>> {
    let mut files = BTreeMap::new();
    grow(folder, Utf8Path::new(""), &mut files)?;
    Ok(files)
}

fn grow(folder: &Utf8Path, below: &Utf8Path, files: &mut BTreeMap<Utf8PathBuf, String>) -> io::Result<()> {
    for entry in found(fs::read_dir(folder.join(below)))?.into_iter().flatten() {
        // A name that is not text or holds a control character is nobody's unit, release or drop-in, and what a change is
        // just writing is nothing yet.
        let Ok(name) = entry?.file_name().into_string() else { continue };
        if name.starts_with(TEMPORARY) || name.chars().any(char::is_control) {
            continue;
        }
        let rel = below.join(name);
        match found(fs::metadata(folder.join(&rel)))? {
            Some(entry) if entry.is_dir() && rel.components().count() < TREE_DEPTH => grow(folder, &rel, files)?,
            Some(entry) if entry.is_file() => {
                if let Some(file) = found(File::open(folder.join(&rel)))? {
                    files.insert(rel, copy_digesting(file, io::sink())?.0);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn program(name: &str) -> Option<Utf8PathBuf> {
    if name.is_empty() || name.contains('/') {
        return None;
    }
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':').chain(USUAL_PATH.split(':')).filter(|folder| folder.starts_with('/')).find_map(|folder| {
        let candidate = Utf8Path::new(folder).join(name);
        let runs = fs::metadata(&candidate).is_ok_and(|found| found.is_file())
            && rustix::fs::access(candidate.as_str(), rustix::fs::Access::EXEC_OK).is_ok();
        runs.then_some(candidate)
    })
}

fn cgroup(folder: &Utf8Path) -> Option<Cgroup> {
    if !folder.join("cgroup.procs").exists() {
        return None;
    }
    let processes = members(folder).into_iter().filter_map(process).collect();
    Some(Cgroup { files: control_files(folder), processes })
}

fn control_files(folder: &Utf8Path) -> BTreeMap<String, Vec<u8>> {
    let read = |name: &str| {
        let said = fs::read(folder.join(name)).ok().filter(|said| !said.is_empty())?;
        Some((name.to_owned(), said))
    };
    proc::CONTROL_FILES.into_iter().filter_map(read).collect()
}

/// Returns the ids of the processes in a cgroup and in those below it. What ends while we look is left out.
fn members(folder: &Utf8Path) -> BTreeSet<u32> {
    let procs = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    let mut pids: BTreeSet<u32> = procs.lines().filter_map(|pid| pid.parse().ok()).collect();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir())
            && let Ok(below) = Utf8PathBuf::from_path_buf(entry.path())
        {
            pids.extend(members(&below));
        }
    }
    pids
}

fn process(pid: u32) -> Option<Process> {
    let start = proc::start_time(&fs::read(format!("/proc/{pid}/stat")).ok()?);
    let exe = fs::read_link(format!("/proc/{pid}/exe")).ok().map(|exe| exe.to_string_lossy().into_owned());
    Some(Process { pid, exe, start })
}

/// What is in a folder, with what its `.json` files say where that is text.
fn contents(folder: &Utf8Path) -> io::Result<BTreeMap<String, Option<Vec<u8>>>> {
    let mut all = BTreeMap::new();
    for entry in found(fs::read_dir(folder))?.into_iter().flatten() {
        let Ok(name) = entry?.file_name().into_string() else { continue };
        if name.starts_with('.') {
            continue;
        }
        let content =
            if Utf8Path::new(&name).extension() == Some("json") { fs::read(folder.join(&name)).ok() } else { None };
        all.insert(name, content.filter(|content| content.len() <= FILE_LIMIT && !content.contains(&0)));
    }
    Ok(all)
}

/// Tells whether runners may be at work here, or will be.
fn is_for_runners(there: &Utf8Path) -> bool {
    there.exists() || (system().0 == "Linux" && !Path::new("/run/systemd/system").is_dir())
}

fn processes(there: &Utf8Path) -> io::Result<Table> {
    if !is_for_runners(there) {
        return Ok(Table::default());
    }
    let mut entries = BTreeMap::new();
    for entry in found(fs::read_dir("/proc"))?.into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let stat = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
        if let Some(entry) = proc::entry(&stat) {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let resident = status.lines().find_map(proc::resident).unwrap_or(0);
            let exe = fs::read_link(format!("/proc/{pid}/exe")).ok().map(|exe| exe.to_string_lossy().into_owned());
            entries.insert(pid, Entry { resident, exe, ..entry });
        }
    }
    Ok(Table { entries })
}

/// Only crontab(1) knows where the crontab of a user is.
fn crontab(there: &Utf8Path) -> io::Result<Option<Crontab>> {
    let Some(path) = program("crontab").filter(|_| is_for_runners(there)) else { return Ok(None) };
    let ask = |word| Command::new(&path).arg(word).stdin(Stdio::null()).output();
    let help = ask("--help")?;
    if [help.stdout, help.stderr].iter().any(|said| said.starts_with(b"BusyBox")) {
        return Ok(Some(Crontab::Busybox));
    }
    let told = ask("-l")?;
    // Who has none yet is told so, and who may have none in other words.
    let has_none = || String::from_utf8_lossy(&told.stderr).contains("no crontab");
    Ok((told.status.success() || has_none()).then_some(Crontab::Lines(told.stdout)))
}

/// Names the C library, in the ways of `templates/host/answers.sh`.
fn libc() -> Libc {
    if system().0 != "Linux" {
        return Libc::Unknown;
    }
    let said = |program: &str, arg: &str| {
        let told = Command::new(program).arg(arg).stdin(Stdio::null()).output().ok()?;
        told.status.success().then_some(told.stdout)
    };
    let musl = || {
        let entries = fs::read_dir("/lib").ok()?.flatten();
        let mut names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.find(|name| name.starts_with("ld-musl-")).map(|name| format!("/lib/{name}").into_bytes())
    };
    let told = said("getconf", "GNU_LIBC_VERSION").or_else(musl).or_else(|| said("ldd", "--version"));
    Libc::read(&told.unwrap_or_default())
}

fn script(of: &str, text: &str, args: &[String]) -> Option<Vec<u8>> {
    if system().0 != of {
        return None;
    }
    let told = Command::new("sh").args(["-c", text, "sh"]).args(args).stdin(Stdio::null()).output();
    told.ok().map(|told| told.stdout)
}

fn listeners(folder: &Utf8Path) -> Vec<Listener> {
    listening(&members(folder))
}

fn listening(pids: &BTreeSet<u32>) -> Vec<Listener> {
    if pids.is_empty() {
        return Vec::new();
    }
    if !bsd::has_proc() {
        let pids = pids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        return proc::lsof_listeners(&bsd::listening(&pids));
    }
    let inodes = pids.iter().flat_map(|pid| sockets(*pid)).collect();
    let mut listening = BTreeSet::new();
    // Of the service's own network namespace, which need not be ours.
    for table in pids.first().into_iter().flat_map(|pid| ["tcp", "tcp6"].map(|name| format!("/proc/{pid}/net/{name}")))
    {
        proc::listeners(&fs::read(table).unwrap_or_default(), &inodes, &mut listening);
    }
    listening.into_iter().collect()
}

/// Everything that listens on TCP, in the words of `/proc` or of netstat(1).
fn tcp_table() -> Vec<u8> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(fs::read);
    if tables.iter().any(Result::is_ok) {
        return tables.into_iter().flatten().flatten().collect();
    }
    bsd::sockets()
}

fn sockets(pid: u32) -> impl Iterator<Item = u64> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    descriptors.filter_map(|entry| proc::socket_inode(fs::read_link(entry.path()).ok()?.to_str()?))
}

fn utf8(path: std::path::PathBuf) -> io::Result<Utf8PathBuf> {
    Utf8PathBuf::from_path_buf(path).map_err(|_| io::Error::other("a link to a name that is not UTF-8"))
}
