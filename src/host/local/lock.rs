//! The lock of one name on this machine, in the form that `templates/host/lock.sh` keeps on a distant one.
//!
//! A lock is a folder with one file, its token, called `free` or after its holder ([`token`]). Taking, taking over from the
//! dead and giving back are each one rename of the token away from a name that only one contender can win; so there are
//! never two owners. For as long as anything of ours is on the machine the folder and its free token stay: a rename needs
//! neither a byte nor an inode, so that what fills the disk can be stopped and removed. On a machine that holds nothing
//! of ours, who gives a lock back also removes the token and all above it that is empty. A home may be shared: the folder is
//! called after the machine too.

#![expect(clippy::disallowed_methods, reason = "this machine is locked here")]

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::sync::LazyLock;

use camino::{Utf8Path, Utf8PathBuf};

use super::super::query::Holder;
use super::super::token::{self, FREE};
use super::super::{Guard, bsd, nonce, proc, xdg_dirs::XdgDirs};
use super::query::boot_id;

/// The start time of a holder that could not find out its own.
const UNKNOWN: u64 = 0;

/// A lock that may be taken.
#[derive(Debug)]
pub(super) struct Lock {
    folder: Utf8PathBuf,
    token: Utf8PathBuf,
    /// What holds something for as long as anything of ours is on this machine.
    ours: Utf8PathBuf,
}

impl Lock {
    /// Names a lock of this user on this machine, for `owner`.
    pub(super) fn of(name: &str, owner: &str) -> Self {
        let dirs = XdgDirs::here();
        let folder = dirs.state.join(format!("unitbee/lock/{name}@{}", node()));
        let token = folder.join(token::name(&holder(), &nonce(), owner));
        Self { folder, token, ours: dirs.data.join("unitbee") }
    }

    /// Where it is.
    pub(super) fn folder(&self) -> &Utf8Path {
        &self.folder
    }

    /// The token, once the lock is held.
    pub(super) fn token(&self) -> &Utf8Path {
        &self.token
    }

    /// Takes the lock, or returns who holds it; nobody has been seen to do so where it was just being taken or given back.
    pub(super) fn attempt(&self) -> io::Result<Result<(), Option<Holder>>> {
        self.prepare()?;
        if !self.rename_from(&self.folder.join(FREE))? {
            let holder = look(&self.folder)?;
            let Some(dead) = holder.as_ref().filter(|holder| !holder.alive) else { return Ok(Err(holder)) };
            if !self.rename_from(&self.folder.join(&dead.token))? {
                return Ok(Err(None));
            }
        }
        self.sweep();
        Ok(Ok(()))
    }

    /// Makes the folder with a free token in it, at one stroke, unless it is there.
    fn prepare(&self) -> io::Result<()> {
        if self.folder.read_dir_utf8().is_ok_and(|mut entries| entries.next().is_some()) {
            return Ok(());
        }
        let fresh = self.beside();
        // What is above it may go while somebody else gives the lock back.
        let create = || fs::DirBuilder::new().recursive(true).mode(0o700).create(&fresh);
        let gone = |made: &io::Result<()>| made.as_ref().is_err_and(|fault| fault.kind() == io::ErrorKind::NotFound);
        let made = (0..10).map(|_| create()).find(|made| !gone(made)).unwrap_or_else(create);
        let made = made.and_then(|()| fs::write(fresh.join(FREE), "")).and_then(|()| fs::rename(&fresh, &self.folder));
        match made {
            Ok(()) => Ok(()),
            Err(fault) => {
                fs::remove_dir_all(&fresh).ok();
                // Somebody else was quicker.
                if self.folder.is_dir() {
                    return Ok(());
                }
                remove_empty(&fresh);
                Err(fault)
            }
        }
    }

    /// Where the folder is made.
    fn beside(&self) -> Utf8PathBuf {
        self.folder.with_file_name(format!(".{}@{}.{}", node(), holder(), nonce()))
    }

    /// Removes what those left who were killed while they made the folder.
    fn sweep(&self) {
        let begin = format!(".{}@", node());
        for entry in self.folder.parent().into_iter().flat_map(Utf8Path::read_dir_utf8).flatten().flatten() {
            if entry.file_name().strip_prefix(&begin).is_some_and(is_dead) {
                fs::remove_dir_all(entry.path()).ok();
            }
        }
    }

    /// Tells whether we were the one who renamed `token` to ours.
    fn rename_from(&self, token: &Utf8Path) -> io::Result<bool> {
        match fs::rename(token, &self.token) {
            Ok(()) => Ok(true),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(fault) => Err(fault),
        }
    }
}

/// Returns who holds the lock `name` of this machine.
pub(super) fn holder_of(name: &str) -> io::Result<Option<Holder>> {
    look(&XdgDirs::here().state.join(format!("unitbee/lock/{name}@{}", node())))
}

fn look(folder: &Utf8Path) -> io::Result<Option<Holder>> {
    let entries = match folder.read_dir_utf8() {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        if let Some(holder) = token::holder(name, &fs::read(entry.path()).unwrap_or_default(), !is_dead(name)) {
            return Ok(Some(holder));
        }
    }
    Ok(None)
}

/// A lock that is held; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Held(pub(super) Lock);

impl Guard for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        let Lock { folder, token, ours } = &self.0;
        let is_hidden = |name: &str| name.starts_with('.');
        if ours.read_dir_utf8().into_iter().flatten().flatten().any(|entry| !is_hidden(entry.file_name())) {
            // Where this fails, the next one finds a token whose holder is dead.
            fs::rename(token, folder.join(FREE)).ok();
            return;
        }
        fs::remove_file(token).ok();
        for lock in folder.parent().into_iter().flat_map(Utf8Path::read_dir_utf8).flatten().flatten() {
            fs::remove_file(lock.path().join(FREE)).ok();
            fs::remove_dir(lock.path()).ok();
        }
        remove_empty(folder);
    }
}

/// Removes the folder of all locks, that `lock` is in, and the one above it where they are empty.
fn remove_empty(lock: &Utf8Path) {
    for place in lock.ancestors().skip(1).take(2) {
        fs::remove_dir(place).ok();
    }
}

/// What this machine calls itself.
pub(super) fn node() -> String {
    rustix::system::uname().nodename().to_string_lossy().replace('/', "")
}

/// Names this process so that it is never taken for another: `<pid>.<start>.<boot>`.
pub(super) fn holder() -> String {
    static HOLDER: LazyLock<String> = LazyLock::new(|| {
        let pid = std::process::id();
        format!("{pid}.{}.{}", start_of(pid).unwrap_or(UNKNOWN), boot_id())
    });
    HOLDER.clone()
}

/// Tells whether the process that a token is called after has ended.
pub(super) fn is_dead(token: &str) -> bool {
    let mut parts = token.split('.');
    let (Some(pid), Some(start), Some(boot)) = (parts.next(), parts.next(), parts.next()) else { return false };
    let (Ok(pid), Ok(start)) = (pid.parse::<i32>(), start.parse::<u64>()) else { return false };
    if boot != boot_id() {
        return true;
    }
    match u32::try_from(pid).ok().and_then(start_of) {
        Some(found) => found != start && start != UNKNOWN,
        // Where not even ps(1) can be asked there is only the number to go by.
        None => rustix::process::Pid::from_raw(pid).is_none_or(|pid| {
            rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH) || bsd::has_proc()
        }),
    }
}

/// Returns when a process started, unless it has ended and only waits to be collected.
fn start_of(pid: u32) -> Option<u64> {
    if !bsd::has_proc() {
        return bsd::start_of(pid);
    }
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    proc::start_time(&stat).filter(|_| !proc::is_zombie(&stat))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(folder: &Utf8Path, token: &str) -> Lock {
        Lock { folder: folder.join("u/k/l"), token: folder.join("u/k/l").join(token), ours: folder.join("data") }
    }

    fn live_token(owner: &str) -> String {
        token::name(&holder(), &nonce(), owner)
    }

    #[test]
    fn only_one_holds_it_and_the_other_learns_who() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let (first, second) = (lock(folder, &live_token("first")), lock(folder, &live_token("second")));
        assert_eq!(first.attempt().unwrap(), Ok(()));
        let busy = second.attempt().unwrap().unwrap_err().unwrap();
        assert_eq!((busy.owner.as_str(), busy.alive), ("first", true));
        drop(Held(first));
        assert_eq!(second.attempt().unwrap(), Ok(()));
        drop(Held(second));
        assert!(folder.read_dir_utf8().unwrap().next().is_none(), "a lock that nobody holds leaves nothing behind");
    }

    #[test]
    fn a_lock_stays_where_something_of_ours_is() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let first = lock(folder, &live_token("first"));
        fs::create_dir_all(first.ours.join("store")).unwrap();
        assert_eq!(first.attempt().unwrap(), Ok(()));
        drop(Held(first));
        let names = || -> Vec<_> {
            folder
                .join("u/k/l")
                .read_dir_utf8()
                .into_iter()
                .flatten()
                .map(|entry| entry.unwrap().file_name().to_owned())
                .collect()
        };
        assert_eq!((names(), look(&folder.join("u/k/l")).unwrap()), (vec![FREE.to_owned()], None));
        let second = lock(folder, &live_token("second"));
        assert_eq!(second.attempt().unwrap(), Ok(()));
        assert_eq!(names(), [second.token.file_name().unwrap()]);
        fs::remove_dir(second.ours.join("store")).unwrap();
        drop(Held(second));
        assert!(!folder.join("u").exists());
    }

    #[test]
    fn the_dead_and_those_of_another_boot_are_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        for dead in [format!("{}.1.{}.x", std::process::id(), boot_id()), format!("{}.1.other.x", std::process::id())] {
            assert_eq!(lock(folder, &dead).attempt().unwrap(), Ok(()), "{dead}");
            let left = folder.join("u/k").join(format!(".{}@{dead}", node()));
            fs::create_dir(&left).unwrap();
            let next = lock(folder, &live_token("next"));
            assert_eq!(next.attempt().unwrap(), Ok(()), "{dead}");
            assert!(!left.exists(), "{left}");
            drop(Held(next));
        }
    }

    #[test]
    fn of_many_who_find_it_dead_one_wins() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        assert_eq!(lock(folder, "1.1.other.x").attempt().unwrap(), Ok(()));
        let winners = std::thread::scope(|scope| {
            let contenders: Vec<_> = (0..16)
                .map(|_| scope.spawn(|| lock(folder, &live_token("winner")).attempt().unwrap().is_ok()))
                .collect();
            contenders.into_iter().filter(|_| true).map(|it| it.join().unwrap()).filter(|won| *won).count()
        });
        assert_eq!(winners, 1);
    }
}
