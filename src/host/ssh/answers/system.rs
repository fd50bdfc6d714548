//! What the host told of all cgroups and their processes at once.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;

use super::super::super::proc;
use super::super::super::query::{Cgroup, Entry, Listener, Process, Table};

/// All that was told, by the paths of `/proc` and of the cgroup tree.
#[derive(Default)]
pub(super) struct System<'a> {
    /// Control files by their path.
    control: BTreeMap<&'a str, Vec<u8>>,
    /// Processes, each with the cgroup that it is in.
    procs: Vec<(&'a str, u32)>,
    stat: BTreeMap<&'a str, Vec<u8>>,
    exe: BTreeMap<u32, &'a str>,
    sockets: BTreeMap<u32, Vec<u64>>,
    net: &'a [u8],
}

impl<'a> System<'a> {
    /// Takes a record if it is one of these.
    pub(super) fn hear(&mut self, head: &str, content: &'a [u8]) -> bool {
        match head {
            "control" => {
                self.control = by_file(content);
                self.procs = lines(content).filter_map(member).collect();
            }
            "stat" => self.stat = by_file(content),
            "exe" => self.exe = lines(content).filter_map(executable).collect(),
            "fds" => self.sockets = sockets(content),
            "net" => self.net = content,
            _ => return false,
        }
        true
    }

    pub(super) fn cgroup(&self, folder: &Utf8Path) -> Cgroup {
        Cgroup {
            files: self.control_files(folder),
            processes: self.members(folder).into_iter().filter_map(|pid| self.process(pid)).collect(),
        }
    }

    fn control_files(&self, folder: &Utf8Path) -> BTreeMap<String, Vec<u8>> {
        let read = |name: &str| Some((name.to_owned(), self.control.get(folder.join(name).as_str())?.clone()));
        proc::CONTROL_FILES.into_iter().filter_map(read).collect()
    }

    fn members(&self, folder: &Utf8Path) -> BTreeSet<u32> {
        self.procs.iter().filter(|(within, _)| Utf8Path::new(within).starts_with(folder)).map(|(_, pid)| *pid).collect()
    }

    fn process(&self, pid: u32) -> Option<Process> {
        let start = proc::start_time(self.stat.get(format!("/proc/{pid}/stat").as_str())?);
        Some(Process { pid, exe: self.exe.get(&pid).map(|exe| (*exe).to_owned()), start })
    }

    pub(super) fn listeners(&self, folder: &Utf8Path) -> Vec<Listener> {
        let pids = self.members(folder);
        let inodes = pids.iter().filter_map(|pid| self.sockets.get(pid)).flatten().copied().collect();
        let mut found = BTreeSet::new();
        proc::listeners(self.net, &inodes, &mut found);
        found.into_iter().collect()
    }
}

/// Puts together what processes listen on, from the listings of their descriptors and the tables of sockets.
pub(super) fn listeners(descriptors: &[u8], tables: &[u8]) -> Vec<Listener> {
    let inodes = sockets(descriptors).into_values().flatten().collect();
    let mut found = BTreeSet::new();
    proc::listeners(tables, &inodes, &mut found);
    found.into_iter().collect()
}

/// Puts together a folder from the names of what is in it and what `grep -H ''` printed of its files.
pub(super) fn folder(names: &[u8], lines_of: &[u8]) -> BTreeMap<String, Option<Vec<u8>>> {
    let contents = by_file(lines_of);
    let entry = |path: &str| {
        let name = path.rsplit('/').next().filter(|name| !name.is_empty())?;
        Some((name.to_owned(), contents.get(path).cloned()))
    };
    lines(names).filter_map(entry).collect()
}

/// Puts together the processes: a line of each stat, where their programs are, and how large they are.
pub(super) fn table(stats: &[u8], programs: &[u8], resident: &[u8]) -> Table {
    let pid_of = |path: &str, end: &str| path.strip_prefix("/proc/")?.strip_suffix(end)?.parse::<u32>().ok();
    let mut entries: BTreeMap<u32, Entry> =
        by_file(stats).iter().filter_map(|(path, stat)| Some((pid_of(path, "/stat")?, proc::entry(stat)?))).collect();
    for (pid, exe) in lines(programs).filter_map(executable) {
        if let Some(entry) = entries.get_mut(&pid) {
            entry.exe = Some(exe.to_owned());
        }
    }
    for line in lines(resident) {
        let told =
            line.split_once(':').and_then(|(path, text)| Some((pid_of(path, "/status")?, proc::resident(text)?)));
        if let Some((entry, bytes)) = told.and_then(|(pid, bytes)| Some((entries.get_mut(&pid)?, bytes))) {
            entry.resident = bytes;
        }
    }
    Table { entries }
}

fn lines(text: &[u8]) -> impl Iterator<Item = &str> {
    text.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok())
}

/// Puts the lines that `grep -H ''` printed back into their files: `/sys/fs/cgroup/x/cpu.max:max 100000`.
fn by_file(text: &[u8]) -> BTreeMap<&str, Vec<u8>> {
    let mut files: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    for line in text.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let Ok(file) = std::str::from_utf8(&line[..colon]) else { continue };
        let content = files.entry(file).or_default();
        content.extend_from_slice(&line[colon + 1..]);
        content.push(b'\n');
    }
    files
}

/// Reads `/sys/fs/cgroup/x/cgroup.procs:4711`.
fn member(line: &str) -> Option<(&str, u32)> {
    let (file, pid) = line.rsplit_once(':')?;
    Some((file.strip_suffix("/cgroup.procs")?, pid.parse().ok()?))
}

/// Reads `lrwxrwxrwx 1 bee bee 0 Nov 20 18:42 /proc/4711/exe -> /usr/bin/sleep`.
fn executable(line: &str) -> Option<(u32, &str)> {
    let (_, rest) = line.split_once(" /proc/")?;
    let (pid, exe) = rest.split_once("/exe -> ")?;
    Some((pid.parse().ok()?, exe))
}

/// Reads what `ls -ln` prints of folders: `/proc/4711/fd:`, then lines that end in `3 -> socket:[99]`.
fn sockets(text: &[u8]) -> BTreeMap<u32, Vec<u64>> {
    let mut found: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    let mut of = None;
    for line in lines(text) {
        if let Some(pid) = line.strip_prefix("/proc/").and_then(|rest| rest.strip_suffix("/fd:")) {
            of = pid.parse().ok();
        } else if let (Some(pid), Some((_, link))) = (of, line.rsplit_once(" -> ")) {
            found.entry(pid).or_default().extend(proc::socket_inode(link));
        }
    }
    found
}
