//! Changes of the simulated host's files: see `templates/host/change.sh`.
//!
//! What dead changes left is swept first. Then a change is staged as a whole, then its files are renamed in order, then it
//! removes, then it appends, then it prunes. The far side of it can die after any of these steps, and then leaves what it
//! has staged.

use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use unitbee::host::{Base, Batch, Changed, Content, Fence, HostError, HostPath};
use unitbee::supervisor::layout;

use super::tree::Bytes;
use super::world::{NODE, World};

const FULL: &str = "No space left on device";

/// How many steps a change has. The first of them is that everything was staged.
pub(crate) fn steps(batch: &Batch) -> usize {
    1 + batch.puts.len() + batch.removes.len() + batch.appends.len() + batch.prune.len()
}

/// What a change has made that is not at its place yet.
#[derive(Default)]
struct Staged {
    /// The folder where it arrived.
    folder: Option<Utf8PathBuf>,
    /// Folders that were made on the way.
    made: Vec<Utf8PathBuf>,
    /// Files under their temporary names, with their places.
    temps: Vec<(Utf8PathBuf, Utf8PathBuf)>,
}

impl World {
    /// Whether the lock that something is done under is still held.
    pub(crate) fn guard(&self, host: &str, fence: Option<&Fence>) -> Result<(), HostError> {
        match fence {
            Some(fence) if !self.tree.exists(&self.must_resolve(fence.token())) => {
                Err(HostError::LockLost { host: host.to_owned() })
            }
            _ => Ok(()),
        }
    }

    /// Carries out a change, or the first `until` steps of it.
    pub(crate) fn change(&mut self, host: &str, batch: &Batch, until: usize) -> Result<Changed, HostError> {
        self.guard(host, batch.fence.as_ref())?;
        if batch.fence.is_some() {
            self.sweep();
        }
        let mut staged = Staged::default();
        if !self
            .stage(batch, until, &mut staged)
            .inspect_err(|_| self.clean(&staged))
            .map_err(|(step, detail)| HostError::Change { host: host.to_owned(), step, detail: detail.to_owned() })?
        {
            return Ok(Changed::default());
        }
        let mut left = until;
        let mut goes_on = || {
            let on = left > 0;
            left = left.saturating_sub(1);
            on
        };
        if !goes_on() {
            return Ok(Changed::default());
        }
        for (temp, path) in &staged.temps {
            if !goes_on() {
                return Ok(Changed::default());
            }
            self.tree.rename(temp, path);
        }
        staged.temps.clear();
        for path in &batch.removes {
            if !goes_on() {
                return Ok(Changed::default());
            }
            let path = self.must_resolve(path);
            self.tree.remove(&path);
        }
        let mut notes = Vec::new();
        for append in &batch.appends {
            if !goes_on() {
                return Ok(Changed::default());
            }
            let path = self.must_resolve(&append.path);
            assert!(!append.line.is_empty() && !append.line.contains(&b'\n'), "{append:?} is no line");
            notes.extend(self.append(&path, &append.line).err());
        }
        self.clean(&staged);
        for path in &batch.prune {
            if !goes_on() {
                return Ok(Changed { notes });
            }
            let path = self.must_resolve(path);
            self.tree.remove_empty(&path);
        }
        Ok(Changed { notes })
    }

    /// Puts all content beside its places; `false` where the change ends in the middle of that.
    fn stage(&mut self, batch: &Batch, until: usize, staged: &mut Staged) -> Result<bool, (String, &'static str)> {
        if batch.puts.is_empty() {
            return Ok(true);
        }
        let nonce = self.nonce();
        let root = self.must_resolve(&layout::root());
        let stage = root.join(format!(".new.{NODE}@{nonce}"));
        if self.disk_full {
            return Err((format!("make folder {stage}"), FULL));
        }
        staged.made.extend(self.tree.make_folders(&root, mode_of_folder));
        self.tree.make_folders(&stage, mode_of_folder);
        staged.folder = Some(stage.clone());
        for (count, put) in batch.puts.iter().enumerate() {
            if until == 0 && count == batch.puts.len() / 2 {
                // What is not at its place yet is in the folder where it arrived.
                self.tree.put(&stage.join(count.to_string()), put.mode, self.content(&put.content));
                return Ok(false);
            }
            let path = self.must_resolve(&put.path);
            if self.tree.is_folder(&path) {
                return Err((format!("write {path}"), "a folder is there"));
            }
            let folder = path.parent().expect("it has one");
            let private = matches!(put.path.base, Base::Data | Base::State);
            let fresh = self.tree.make_folders(folder, |folder| if private { mode_of_folder(folder) } else { 0o755 });
            staged.made.extend(fresh);
            let noted: Vec<&str> = staged.made.iter().rev().map(|folder| folder.as_str()).collect();
            self.tree.put(&stage.join("made"), 0o600, Bytes::new(noted.join("\n")));
            let temp = folder.join(format!(".unitbee.{NODE}@{nonce}.{count}"));
            let content = self.content(&put.content);
            if let Content::File { sha256, .. } = &put.content
                && content.sha256() != sha256
            {
                return Err((format!("check what arrived in {stage}"), "1 computed checksum did NOT match"));
            }
            self.tree.put(&temp, put.mode, content);
            staged.temps.push((temp, path));
        }
        Ok(true)
    }

    fn append(&mut self, path: &Utf8Path, line: &[u8]) -> Result<(), String> {
        if self.disk_full {
            return Err(format!("append to {path}: {FULL}"));
        }
        self.tree.make_folders(path.parent().expect("it has one"), mode_of_folder);
        let mut content = self.tree.read(path).unwrap_or_default().to_vec();
        content.extend_from_slice(line);
        content.push(b'\n');
        self.tree.put(path, 0o600, Bytes::new(content));
        Ok(())
    }

    /// Removes what changes left that were killed, and the folders that they made.
    fn sweep(&mut self) {
        let is_left = |path: &&Utf8Path| {
            let name = path.file_name().unwrap_or_default();
            [".new.", ".unitbee."].iter().any(|prefix| name.starts_with(&format!("{prefix}{NODE}@")))
        };
        let left: Vec<Utf8PathBuf> = self.tree.paths().filter(is_left).map(ToOwned::to_owned).collect();
        let mut made = Vec::new();
        for path in left {
            let noted = self.tree.text(&path.join("made")).unwrap_or_default();
            made.extend(noted.lines().map(Utf8PathBuf::from));
            self.tree.remove(&path);
            let is_ours = |folder: &&Utf8Path| folder.iter().any(|part| part == "unitbee");
            made.extend(path.ancestors().skip(1).take_while(is_ours).map(ToOwned::to_owned));
        }
        for folder in made {
            self.tree.remove_empty(&folder);
        }
    }

    /// Removes what was not meant to stay: folders that were made only where they are still empty.
    fn clean(&mut self, staged: &Staged) {
        for (temp, _) in &staged.temps {
            self.tree.remove(temp);
        }
        if let Some(folder) = &staged.folder {
            self.tree.remove(folder);
        }
        for folder in staged.made.iter().rev() {
            self.tree.remove_empty(folder);
        }
    }

    fn must_resolve(&self, path: &HostPath) -> Utf8PathBuf {
        self.resolve(path).unwrap_or_else(|| panic!("{path:?} is not on this host"))
    }

    fn content(&self, content: &Content) -> Arc<Bytes> {
        match content {
            Content::Bytes(bytes) => Bytes::new(bytes.clone()),
            Content::File { path, .. } => {
                self.workstation.get(path).unwrap_or_else(|| panic!("there is no {path} here")).clone()
            }
        }
    }
}

/// Folders of ours are for nobody else.
pub(crate) fn mode_of_folder(folder: &Utf8Path) -> u32 {
    if folder.iter().any(|part| part == "unitbee") { 0o700 } else { 0o755 }
}
