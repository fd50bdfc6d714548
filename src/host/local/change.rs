//! A batch of files put in place on this machine.
//!
//! Each file is made under a temporary name in its own folder, gets its mode, then its content, and is synced; only
//! when all are there does the first rename happen. Until then, dropping what was staged removes every trace; of a
//! process that was killed meanwhile, [`sweep`] does.

#![expect(clippy::disallowed_methods, reason = "this machine is changed here")]

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};

use camino::{Utf8Path, Utf8PathBuf};
use tempfile::NamedTempFile;

use super::super::{
    Batch, Changed, Content, HostError, HostPath, Put, copy_digesting, fault_of_line, xdg_dirs::XdgDirs,
};
use super::{sweep, words};

/// From how many bytes on a file is put aside before a line is appended.
const LARGE: u64 = 1 << 20;

/// Carries out `batch`; `sent` is told how many bytes of content were written so far.
pub(super) fn carry_out(host: &str, batch: &Batch, sent: &mut dyn FnMut(u64)) -> Result<Changed, HostError> {
    let places = XdgDirs::here();
    let failed =
        |step: String| move |fault: io::Error| HostError::Change { host: host.into(), step, detail: words(&fault) };
    let resolve = |path: &HostPath, verb: &str| {
        let at = places.resolve(path).ok_or_else(|| io::Error::other("there is no such place on this host"));
        let sound = path.fault_of_change().map_or(Ok(()), |fault| Err(io::Error::other(fault)));
        sound.and(at).map_err(failed(format!("{verb} {}", path.rel)))
    };

    let removes = batch.removes.iter().map(|path| resolve(path, "remove")).collect::<Result<Vec<_>, _>>()?;
    let prune = batch.prune.iter().map(|path| resolve(path, "remove")).collect::<Result<Vec<_>, _>>()?;
    let mut appends = Vec::with_capacity(batch.appends.len());
    for added in &batch.appends {
        let path = resolve(&added.path, "append to")?;
        let fault = fault_of_line(&added.line).map_or(Ok(()), |fault| Err(io::Error::other(fault)));
        fault.map_err(failed(format!("append to {path}")))?;
        appends.push((path, &added.line));
    }
    let guard = || match &batch.fence {
        Some(fence) if !fence.path().exists() => Err(HostError::LockLost { host: host.into() }),
        _ => Ok(()),
    };
    guard()?;
    if batch.fence.is_some() {
        sweep::everything(&places);
    }

    let mut made = Made::default();
    let mut staged = Vec::with_capacity(batch.puts.len());
    let mut swept = BTreeSet::new();
    let mut total = 0;
    for put in &batch.puts {
        let path = resolve(&put.path, "write")?;
        let folder = path.parent().unwrap_or(&path);
        made.folders(folder, put.path.is_private()).map_err(failed(format!("make folder {folder}")))?;
        if swept.insert(folder.to_owned()) {
            sweep::of_the_dead(folder);
        }
        let mut report = |bytes| {
            total += bytes;
            sent(total);
        };
        let file = stage(put, &path, folder, &mut report).map_err(failed(format!("write {path}")))?;
        staged.push((path, file));
    }

    guard()?;
    let mut folders = BTreeSet::new();
    for (path, file) in staged {
        file.persist(&path).map_err(|fault| fault.error).map_err(failed(format!("write {path}")))?;
        folders.extend(path.parent().map(Utf8Path::to_owned));
    }
    for folder in folders {
        File::open(&folder).and_then(|it| it.sync_all()).map_err(failed(format!("sync {folder}")))?;
    }
    for path in removes {
        remove(&path).map_err(failed(format!("remove {path}")))?;
    }
    let mut notes = Vec::new();
    for (path, line) in appends {
        // What cannot be noted has happened all the same.
        notes.extend(append(&path, line).err().map(|fault| format!("append to {path}: {}", words(&fault))));
    }
    for folder in prune {
        remove_empty(&folder).map_err(failed(format!("remove {folder}")))?;
    }
    Ok(Changed { notes })
}

/// Writes the content of `put` under a temporary name beside its place, synced, with its final mode.
fn stage(put: &Put, path: &Utf8Path, folder: &Utf8Path, sent: &mut dyn FnMut(u64)) -> io::Result<NamedTempFile> {
    if path.is_dir() {
        return Err(io::Error::other("a folder is there"));
    }
    let mut file = tempfile::Builder::new().prefix(&sweep::prefix()).tempfile_in(folder)?;
    file.as_file().set_permissions(Permissions::from_mode(put.mode))?;
    match &put.content {
        Content::Bytes(bytes) => {
            file.write_all(bytes)?;
            sent(bytes.len() as u64);
        }
        Content::File { path, len, sha256 } => {
            let source = Counted { inner: File::open(path)?.take(len.saturating_add(1)), sent };
            let (arrived, _) = copy_digesting(source, &mut file)?;
            if arrived != *sha256 {
                return Err(io::Error::other(format!("{path} changed while it was shipped")));
            }
        }
    }
    file.as_file().sync_all()?;
    Ok(file)
}

/// Adds a line to a file; one that was cut short, when the disk was full, is ended first.
fn append(path: &Utf8Path, line: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    if fs::metadata(path).is_ok_and(|found| found.len() > LARGE) {
        fs::rename(path, format!("{path}.1"))?;
    }
    let mut file = File::options().read(true).append(true).create(true).mode(0o600).open(path)?;
    let mut text = Vec::with_capacity(line.len() + 2);
    if file.seek(SeekFrom::End(-1)).is_ok() {
        let mut last = [0];
        file.read_exact(&mut last)?;
        text.extend((last != *b"\n").then_some(b'\n'));
    }
    text.extend(line);
    text.push(b'\n');
    file.write_all(&text)
}

/// Tells how many bytes pass.
struct Counted<'a, R> {
    inner: R,
    sent: &'a mut dyn FnMut(u64),
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        (self.sent)(read as u64);
        Ok(read)
    }
}

/// Folders that were made on the way; they go again unless a file came to lie in them.
#[derive(Default)]
struct Made(Vec<Utf8PathBuf>);

impl Made {
    /// Makes `folder` and what is missing above it: 0755 less the umask, 0700 where it is ours alone.
    fn folders(&mut self, folder: &Utf8Path, private: bool) -> io::Result<()> {
        let missing: Vec<_> = folder.ancestors().take_while(|folder| !folder.is_dir()).collect();
        for folder in missing.into_iter().rev() {
            let ours = private && folder.components().any(|part| part.as_str() == "unitbee");
            match DirBuilder::new().mode(if ours { 0o700 } else { 0o755 }).create(folder) {
                Ok(()) => self.0.push(folder.to_owned()),
                Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for folder in self.0.iter().rev() {
            // Somebody else's file may lie in it by now: then it stays.
            fs::remove_dir(folder).ok();
        }
    }
}

fn remove(path: &Utf8Path) -> io::Result<()> {
    let gone = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(fault) => Err(fault),
    };
    match gone {
        Err(fault) if matches!(fault.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(()),
        other => other,
    }
}

fn remove_empty(folder: &Utf8Path) -> io::Result<()> {
    use io::ErrorKind::{DirectoryNotEmpty, NotADirectory, NotFound};
    match fs::remove_dir(folder) {
        Err(fault) if matches!(fault.kind(), DirectoryNotEmpty | NotADirectory | NotFound) => Ok(()),
        other => other,
    }
}
