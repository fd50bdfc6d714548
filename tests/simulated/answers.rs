//! What the host answers to questions: see `Reader` in `src/host/local/query.rs` and `templates/host/answers.sh`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use camino::{Utf8Path, Utf8PathBuf};
use unitbee::host::{Answer, Ask, Crontab, Entry, FileFound, Holder, HostPath, Libc, Listener, Table};

use super::tree::{Node, Tree};
use super::world::World;

const TREE_DEPTH: usize = 2;

impl World {
    /// Answers one question.
    pub(crate) fn answer(&self, ask: &Ask) -> Answer {
        let at = |path: &HostPath| self.resolve(path);
        match ask {
            Ask::File(path) => Answer::File(at(path).and_then(|path| file(&self.tree, &path))),
            Ask::Size(path) => Answer::Size(at(path).and_then(|path| size(&self.tree, &path))),
            Ask::Tree(path) => Answer::Tree(at(path).map_or_else(BTreeMap::new, |path| tree(&self.tree, &path))),
            // Nothing is installed there but what every system has.
            Ask::Program(name) => Answer::Program((name == "true").then(|| "/usr/bin/true".into())),
            Ask::Cgroup(_) => Answer::Cgroup(None),
            Ask::Listeners(_) => Answer::Listeners(Vec::new()),
            Ask::Sockets(pids) => Answer::Listeners(self.sockets(pids)),
            Ask::Folder(path) => Answer::Folder(at(path).map_or_else(BTreeMap::new, |path| folder(&self.tree, &path))),
            Ask::Processes(_) => Answer::Processes(self.processes()),
            Ask::Crontab(_) => Answer::Crontab(Some(Crontab::Lines(self.crontab.clone()))),
            Ask::Listening(port) => Answer::Listening(self.listener(*port).is_some()),
            Ask::Libc => Answer::Libc(Libc::Glibc(2, 36)),
            Ask::Locked(name) => {
                let holder = |token| Holder { owner: "bee".to_owned(), token, alive: true, since: None };
                Answer::Locked(self.holder(name).map(holder))
            }
            Ask::Script { system, .. } => {
                assert_ne!(*system, "Linux", "the simulated host has no shell for a script");
                Answer::Script(None)
            }
        }
    }

    fn sockets(&self, pids: &[u32]) -> Vec<Listener> {
        let port = |pid: &u32| self.mains.get(pid)?.port;
        let addr = IpAddr::V4(Ipv4Addr::LOCALHOST);
        pids.iter().filter_map(port).map(|port| Listener { addr, port }).collect()
    }

    fn processes(&self) -> Table {
        let entry = |name: &str, parent, pid, start, exe: &str| Entry {
            name: name.to_owned(),
            parent,
            group: pid,
            session: pid,
            used: 1,
            threads: 1,
            start,
            resident: 1 << 20,
            exe: Some(exe.to_owned()),
        };
        let cron = (World::cron(), entry("cron", 1, World::cron(), 1, "/usr/sbin/cron"));
        let runners =
            self.runners.iter().map(|(pid, runner)| (*pid, entry("sh", 1, *pid, runner.start, "/usr/bin/dash")));
        let mains = self.mains.iter().map(|(pid, main)| {
            let is_there = self.tree.exists(&main.program);
            let exe = if is_there { main.program.to_string() } else { format!("{} (deleted)", main.program) };
            let parent = if self.runners.contains_key(&main.runner) { main.runner } else { 1 };
            (*pid, entry("service", parent, *pid, main.start, &exe))
        });
        Table { entries: runners.chain(mains).chain([cron]).collect() }
    }
}

fn file(tree: &Tree, path: &Utf8Path) -> Option<FileFound> {
    let (mode, bytes) = tree.file(path)?;
    Some(FileFound { content: bytes.as_slice().to_vec(), mode, link: None })
}

fn size(tree: &Tree, path: &Utf8Path) -> Option<u64> {
    match tree.get(path)? {
        Node::Folder { .. } => Some(4096),
        Node::File { bytes, .. } => Some(bytes.as_slice().len() as u64),
    }
}

fn tree(tree: &Tree, folder: &Utf8Path) -> BTreeMap<Utf8PathBuf, String> {
    let digest = |(path, node): (&Utf8Path, &Node)| {
        let Node::File { bytes, .. } = node else { return None };
        let rel = path.strip_prefix(folder).ok()?;
        let counts = rel.components().count() <= TREE_DEPTH && rel.iter().all(|part| !part.starts_with(".unitbee."));
        counts.then(|| (rel.to_owned(), bytes.sha256().to_owned()))
    };
    tree.from(folder).filter_map(digest).collect()
}

fn folder(tree: &Tree, folder: &Utf8Path) -> BTreeMap<String, Option<Vec<u8>>> {
    let names = tree.names(folder).filter(|name| !name.starts_with('.'));
    let content = |name: &str| {
        (Utf8Path::new(name).extension() == Some("json"))
            .then(|| tree.read(&folder.join(name)).map(<[u8]>::to_vec))
            .flatten()
    };
    names.map(|name| (name.to_owned(), content(name))).collect()
}
