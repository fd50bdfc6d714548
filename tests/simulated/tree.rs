//! The files of a simulated host, by their absolute paths.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use camino::{Utf8Path, Utf8PathBuf};
use sha2::{Digest, Sha256};

/// Something at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    Folder { mode: u32 },
    File { mode: u32, bytes: Arc<Bytes> },
}

/// What a file holds, with its digest once somebody asked for it.
#[derive(Debug)]
pub(crate) struct Bytes {
    content: Vec<u8>,
    sha256: OnceLock<String>,
    holds: OnceLock<bool>,
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        self.content == other.content
    }
}

impl Eq for Bytes {}

impl Bytes {
    pub(crate) fn new(content: impl Into<Vec<u8>>) -> Arc<Self> {
        Arc::new(Self { content: content.into(), sha256: OnceLock::new(), holds: OnceLock::new() })
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.content
    }

    /// Whether it holds this text, which is always the same one.
    pub(crate) fn holds(&self, text: &str) -> bool {
        *self.holds.get_or_init(|| String::from_utf8_lossy(&self.content).contains(text))
    }

    pub(crate) fn sha256(&self) -> &str {
        self.sha256.get_or_init(|| hex::encode(Sha256::digest(&self.content)))
    }
}

/// A tree of files. A folder that has something in it is always there itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tree {
    nodes: BTreeMap<String, Node>,
}

impl Tree {
    pub(crate) fn get(&self, path: &Utf8Path) -> Option<&Node> {
        self.nodes.get(path.as_str())
    }

    pub(crate) fn exists(&self, path: &Utf8Path) -> bool {
        path == "/" || self.nodes.contains_key(path.as_str())
    }

    pub(crate) fn is_folder(&self, path: &Utf8Path) -> bool {
        path == "/" || matches!(self.nodes.get(path.as_str()), Some(Node::Folder { .. }))
    }

    pub(crate) fn file(&self, path: &Utf8Path) -> Option<(u32, &Arc<Bytes>)> {
        match self.nodes.get(path.as_str()) {
            Some(Node::File { mode, bytes }) => Some((*mode, bytes)),
            _ => None,
        }
    }

    pub(crate) fn read(&self, path: &Utf8Path) -> Option<&[u8]> {
        self.file(path).map(|(_, bytes)| bytes.as_slice())
    }

    pub(crate) fn text(&self, path: &Utf8Path) -> Option<&str> {
        std::str::from_utf8(self.read(path)?).ok()
    }

    /// Puts a file in place of whatever file is there; its folder has to be there.
    pub(crate) fn put(&mut self, path: &Utf8Path, mode: u32, bytes: Arc<Bytes>) {
        assert!(path.parent().is_some_and(|folder| self.is_folder(folder)), "{path} has no folder");
        assert!(!self.is_folder(path), "{path} is a folder");
        self.nodes.insert(path.to_string(), Node::File { mode, bytes });
    }

    /// Makes a folder and what is missing above it; answers with those that were made, outermost first.
    pub(crate) fn make_folders(&mut self, path: &Utf8Path, mode: impl Fn(&Utf8Path) -> u32) -> Vec<Utf8PathBuf> {
        let missing: Vec<_> =
            path.ancestors().take_while(|folder| !self.is_folder(folder)).map(ToOwned::to_owned).collect();
        for folder in &missing {
            assert!(!self.exists(folder), "{folder} is a file");
            self.nodes.insert(folder.to_string(), Node::Folder { mode: mode(folder) });
        }
        missing.into_iter().rev().collect()
    }

    /// Moves a file over whatever file is at `to`.
    pub(crate) fn rename(&mut self, from: &Utf8Path, to: &Utf8Path) {
        let node = self.nodes.remove(from.as_str()).unwrap_or_else(|| panic!("{from} is not there"));
        self.nodes.insert(to.to_string(), node);
    }

    /// Removes a file, or a folder with all that it holds; what is not there is no error.
    pub(crate) fn remove(&mut self, path: &Utf8Path) {
        let gone: Vec<_> = self.from(path).map(|(path, _)| path.to_owned()).collect();
        for path in gone {
            self.nodes.remove(path.as_str());
        }
    }

    /// Removes a folder where it is empty; tells whether it did.
    pub(crate) fn remove_empty(&mut self, path: &Utf8Path) -> bool {
        let is_empty = self.is_folder(path) && self.from(path).count() == 1;
        is_empty && self.nodes.remove(path.as_str()).is_some()
    }

    /// The names in a folder.
    pub(crate) fn names<'a>(&'a self, folder: &'a Utf8Path) -> impl Iterator<Item = &'a str> {
        let inside = self.from(folder).filter(move |(path, _)| path.parent() == Some(folder));
        inside.filter_map(|(path, _)| path.file_name())
    }

    /// What is at a path and below it.
    pub(crate) fn from<'a>(&'a self, path: &'a Utf8Path) -> impl Iterator<Item = (&'a Utf8Path, &'a Node)> {
        // No name of a folder and its slash are followed by anything but what is in it; '0' comes after the slash.
        let below = self.nodes.range(format!("{path}/")..format!("{path}0"));
        self.nodes
            .get_key_value(path.as_str())
            .into_iter()
            .chain(below)
            .map(|(path, node)| (path.as_str().into(), node))
    }

    /// Every file.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&Utf8Path, u32, &Arc<Bytes>)> {
        self.nodes.iter().filter_map(|(path, node)| match node {
            Node::File { mode, bytes } => Some((path.as_str().into(), *mode, bytes)),
            Node::Folder { .. } => None,
        })
    }

    /// Everything.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Utf8Path> {
        self.nodes.keys().map(|path| path.as_str().into())
    }
}
