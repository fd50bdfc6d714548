//! What the host told of all files at once: a line of stat(1) for each that is there, then the content of all that are
//! regular and not too large, one after the other.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};

use super::super::super::query::{FILE_LIMIT, FileFound};
use super::{Fault, garbled, path};

/// Type bits of a mode, and those of a regular file (inode(7)).
const TYPE: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;

/// What Linux has for every link.
const LINK_MODE: u32 = 0o777;

/// All that was told, by path.
#[derive(Default)]
pub(super) struct Files<'a> {
    inodes: Vec<Inode<'a>>,
    links: BTreeMap<&'a str, Utf8PathBuf>,
    contents: BTreeMap<&'a str, &'a [u8]>,
    sizes: Vec<Inode<'a>>,
}

/// What stat(1) printed of something; behind a link, of what that leads to.
#[derive(Clone, Copy)]
struct Inode<'a> {
    mode: u32,
    size: u64,
    path: &'a str,
}

impl<'a> Files<'a> {
    /// Takes a record if it is one of these.
    pub(super) fn hear(&mut self, head: &'a str, content: &'a [u8]) -> Result<bool, Fault> {
        match head.split_once(' ').unwrap_or((head, "")) {
            // The host looks again when something went while it looked.
            ("inodes", "") => *self = Self { inodes: inodes(content)?, ..Self::default() },
            ("link", link) => {
                let leads_to = path(content.strip_suffix(b"\n").unwrap_or(content))?;
                self.links.insert(link, leads_to.to_owned());
            }
            ("contents", "") => self.contents = contents(&self.inodes, content)?,
            ("sizes", "") => self.sizes = inodes(content)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    pub(super) fn file(&self, path: &Utf8Path) -> Result<Option<FileFound>, Fault> {
        let link = self.links.get(path.as_str()).cloned();
        let Some(inode) = self.inodes.iter().find(|inode| inode.path == path) else {
            return Ok(link.map(|link| FileFound { content: Vec::new(), mode: LINK_MODE, link: Some(link) }));
        };
        let content = match self.contents.get(path.as_str()) {
            Some(content) => content.to_vec(),
            None if inode.is_too_large() => return Err(Fault::TooLarge(path.to_string())),
            None if link.is_some() => Vec::new(),
            None => return Err(Fault::Failed(format!("read {path}"), "not a regular file".into())),
        };
        Ok(Some(FileFound { content, mode: inode.mode & 0o7777, link }))
    }

    pub(super) fn size(&self, path: &Utf8Path) -> Option<u64> {
        self.sizes.iter().find(|inode| inode.path == path).map(|inode| inode.size)
    }
}

impl Inode<'_> {
    fn is_regular(&self) -> bool {
        self.mode & TYPE == REGULAR
    }

    fn is_too_large(&self) -> bool {
        self.is_regular() && self.size > FILE_LIMIT as u64
    }
}

/// Reads `81a4 1234 /a path`: the mode in hexadecimal, the size, and the name.
fn inodes(lines: &[u8]) -> Result<Vec<Inode<'_>>, Fault> {
    let Ok(lines) = std::str::from_utf8(lines) else { return garbled("a path that is none") };
    let read = |line| {
        let (mode, rest) = str::split_once(line, ' ')?;
        let (size, path) = rest.split_once(' ')?;
        Some(Inode { mode: u32::from_str_radix(mode, 16).ok()?, size: size.parse().ok()?, path })
    };
    let told = lines.lines().filter(|line| !line.is_empty());
    told.map(|line| read(line).map_or_else(|| garbled(format!("{line:?} of stat")), Ok)).collect()
}

/// Cuts what cat(1) printed where the sizes say.
fn contents<'a>(inodes: &[Inode<'a>], mut all: &'a [u8]) -> Result<BTreeMap<&'a str, &'a [u8]>, Fault> {
    let mut contents = BTreeMap::new();
    for inode in inodes.iter().filter(|inode| inode.is_regular() && !inode.is_too_large()) {
        let size = usize::try_from(inode.size).unwrap_or(usize::MAX);
        let Some((content, rest)) = all.split_at_checked(size) else { return Err(Fault::Changed) };
        contents.insert(inode.path, content);
        all = rest;
    }
    if all.is_empty() { Ok(contents) } else { Err(Fault::Changed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told<'a>(inodes: &'a [u8], content: &'a [u8]) -> Result<Files<'a>, Fault> {
        let mut files = Files::default();
        files.hear("inodes", inodes)?;
        files.hear("contents", content)?;
        Ok(files)
    }

    /// As coreutils print them, then stat(1) of a Mac.
    #[test]
    fn contents_are_cut_where_the_sizes_say() {
        for inodes in ["81a4 2 /a b\n41ed 4096 /d\n8180 3 /c\n", "81A4 2 /a b\n41ED 4096 /d\n8180 3 /c\n"] {
            let files = told(inodes.as_bytes(), b"12345").unwrap();
            let file = |content: &[u8], mode| Some(FileFound { content: content.to_vec(), mode, link: None });
            assert_eq!(files.file("/a b".into()).unwrap(), file(b"12", 0o644));
            assert_eq!(files.file("/c".into()).unwrap(), file(b"345", 0o600));
            assert_eq!(files.file("/none".into()).unwrap(), None);
            assert!(matches!(files.file("/d".into()), Err(Fault::Failed(step, _)) if step == "read /d"));
        }
    }

    #[test]
    fn what_was_written_meanwhile_does_not_fit() {
        for content in [&b"1"[..], b"123", b""] {
            assert!(matches!(told(b"81a4 2 /a\n", content), Err(Fault::Changed)));
        }
    }

    #[test]
    fn a_second_look_replaces_the_first() {
        let mut files = told(b"81a4 2 /a\n", b"12").unwrap();
        files.hear("inodes", b"").unwrap();
        assert_eq!(files.file("/a".into()).unwrap(), None);
    }

    #[test]
    fn what_stat_does_not_print_is_garbled() {
        for line in [&b"81a4 x /a"[..], b"81a4 2", b"zz 2 /a", b"81a4 99999999999999999999 /a", b"81a4 2 \xff"] {
            assert!(matches!(told(line, b""), Err(Fault::Garbled(_))), "{line:?}");
        }
        assert!(matches!(told(b"81a4 18446744073709551615 /a", b""), Ok(files) if
            matches!(files.file("/a".into()), Err(Fault::TooLarge(_)))));
    }
}
