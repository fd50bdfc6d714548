//! A batch of files put in place on this machine.
//!
//! Each file is made under a temporary name in its own folder, gets its mode, then its content, and is synced; only
//! when all are there does the first rename happen. Until then, dropping what was staged removes every trace; of a
//! process that was killed meanwhile, the next one that writes to the same folder does.

#![expect(clippy::disallowed_methods, reason = "this machine is changed here")]

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use tempfile::NamedTempFile;

use super::super::{Batch, Content, HostError, HostPath, Put, copy_digesting, xdg_dirs::XdgDirs};
use super::query::boot_id;
use super::{lock, words};

/// Begins the names of temporary files; the process that writes them follows.
pub(super) const TEMPORARY: &str = ".unitbee.";
const A_DAY: Duration = Duration::from_hours(24);

/// Carries out `batch`; `sent` is told how many bytes of content were written so far.
pub(super) fn carry_out(host: &str, batch: &Batch, sent: &mut dyn FnMut(u64)) -> Result<(), HostError> {
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

    let mut made = Made::default();
    let mut staged = Vec::with_capacity(batch.puts.len());
    let mut swept = BTreeSet::new();
    let mut total = 0;
    for put in &batch.puts {
        let path = resolve(&put.path, "write")?;
        let folder = path.parent().unwrap_or(&path);
        made.folders(folder, put.path.is_private()).map_err(failed(format!("make folder {folder}")))?;
        if swept.insert(folder.to_owned()) {
            sweep(folder);
        }
        let mut report = |bytes| {
            total += bytes;
            sent(total);
        };
        let file = stage(put, &path, folder, &mut report).map_err(failed(format!("write {path}")))?;
        staged.push((path, file));
    }

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
    for folder in prune {
        remove_empty(&folder).map_err(failed(format!("remove {folder}")))?;
    }
    Ok(())
}

/// Writes the content of `put` under a temporary name beside its place, synced, with its final mode.
fn stage(put: &Put, path: &Utf8Path, folder: &Utf8Path, sent: &mut dyn FnMut(u64)) -> io::Result<NamedTempFile> {
    if path.is_dir() {
        return Err(io::Error::other("a folder is there"));
    }
    let prefix = format!("{TEMPORARY}{}.", lock::holder());
    let mut file = tempfile::Builder::new().prefix(&prefix).tempfile_in(folder)?;
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

/// Removes what processes left in `folder` that were killed while they wrote there. What cannot be removed harms nobody.
fn sweep(folder: &Utf8Path) {
    let this_boot = boot_id();
    for entry in folder.read_dir_utf8().into_iter().flatten().flatten() {
        let Some(writer) = entry.file_name().strip_prefix(TEMPORARY) else { continue };
        // One of another boot may be alive on another machine that shares the folder, for as long as a change can take.
        let of_this_boot = writer.split('.').nth(2) == Some(&this_boot);
        if lock::is_dead(writer) && (of_this_boot || is_older_than(entry.path(), A_DAY)) {
            fs::remove_file(entry.path()).ok();
        }
    }
}

fn is_older_than(path: &Utf8Path, age: Duration) -> bool {
    fs::metadata(path).and_then(|found| found.modified()).is_ok_and(|time| time.elapsed().is_ok_and(|past| past > age))
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

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn what_the_dead_left_goes_and_what_may_be_alive_stays() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let (pid, boot) = (std::process::id(), boot_id());
        let names = [
            (format!("{TEMPORARY}{pid}.1.{boot}.x"), false),
            (format!("{TEMPORARY}{}.x", lock::holder()), true),
            (format!("{TEMPORARY}{pid}.1.elsewhere.x"), true),
            (format!("{TEMPORARY}{pid}.1.long-ago.x"), false),
            ("x.service".to_owned(), true),
        ];
        for (name, _) in &names {
            fs::write(folder.join(name), "").unwrap();
        }
        let old = File::options().write(true).open(folder.join(&names[3].0)).unwrap();
        old.set_modified(SystemTime::now() - 2 * A_DAY).unwrap();
        sweep(folder);
        for (name, stays) in names {
            assert_eq!(folder.join(&name).exists(), stays, "{name}");
        }
    }
}
