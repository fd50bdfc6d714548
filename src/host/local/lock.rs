//! The lock of one name on this machine, in the form that `templates/host/lock.sh` keeps on a distant one.
//!
//! A lock is a folder with one file, its token, called `free` or after its holder: `<pid>.<start>.<boot>.<nonce>`.
//! Taking and taking over from the dead are each one rename of the token away from a name that only one contender can
//! win; so there are never two owners. Giving back is one rename of the folder, which then goes with all above it that
//! is empty: a host that nobody works on holds nothing of a lock. The text in the token says who holds it.

#![expect(clippy::disallowed_methods, reason = "this machine is locked here")]

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::sync::LazyLock;

use camino::{Utf8Path, Utf8PathBuf};

use super::super::{Guard, bsd, nonce, proc, xdg_dirs::XdgDirs};
use super::query::boot_id;

const FREE: &str = "free";

/// The start time of a holder that could not find out its own.
const UNKNOWN: u64 = 0;

/// A lock that may be taken.
#[derive(Debug)]
pub(super) struct Lock {
    folder: Utf8PathBuf,
    token: Utf8PathBuf,
}

impl Lock {
    /// Names a lock of this user on this machine; the state folder may be shared with others over NFS.
    pub(super) fn of(name: &str) -> Self {
        let node = rustix::system::uname().nodename().to_string_lossy().replace('/', "");
        let folder = XdgDirs::here().state.join(format!("unitbee/lock/{name}@{node}"));
        let token = folder.join(format!("{}.{}", holder(), nonce()));
        Self { folder, token }
    }

    /// Where it is.
    pub(super) fn folder(&self) -> &Utf8Path {
        &self.folder
    }

    /// Takes the lock, or returns who holds it.
    pub(super) fn attempt(&self, owner: &str) -> io::Result<Result<(), String>> {
        self.prepare()?;
        if self.rename_from(&self.folder.join(FREE))? {
            return fs::write(&self.token, owner).map(Ok);
        }
        let entries = match self.folder.read_dir_utf8() {
            // It was given back just now.
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(Err(String::new())),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            if is_dead(entry.file_name()) && self.rename_from(entry.path())? {
                return fs::write(&self.token, owner).map(Ok);
            }
            if !entry.file_name().starts_with('.') && entry.file_name() != FREE {
                return Ok(Err(fs::read_to_string(entry.path()).unwrap_or_default()));
            }
        }
        Ok(Err(String::new()))
    }

    /// Makes the folder with a free token in it, at one stroke, unless it is there.
    fn prepare(&self) -> io::Result<()> {
        if self.folder.read_dir_utf8().is_ok_and(|mut entries| entries.next().is_some()) {
            return Ok(());
        }
        let fresh = self.beside("new");
        // What is above it may go while somebody else gives the lock back.
        let create = || fs::DirBuilder::new().recursive(true).mode(0o700).create(&fresh);
        let gone = |made: &io::Result<()>| made.as_ref().is_err_and(|fault| fault.kind() == io::ErrorKind::NotFound);
        (0..10).map(|_| create()).find(|made| !gone(made)).unwrap_or_else(create)?;
        let made = fs::write(fresh.join(FREE), "").and_then(|()| fs::rename(&fresh, &self.folder));
        match made {
            Ok(()) => Ok(()),
            Err(fault) => {
                fs::remove_dir_all(&fresh)?;
                // Somebody else was quicker.
                if self.folder.is_dir() { Ok(()) } else { Err(fault) }
            }
        }
    }

    fn beside(&self, what: &str) -> Utf8PathBuf {
        self.folder.with_file_name(format!(".{what}.{}", nonce()))
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

/// A lock that is held; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Held(pub(super) Lock);

impl Guard for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        // Where this fails, the next one finds a token whose holder is dead.
        let gone = self.0.beside("gone");
        if fs::rename(&self.0.folder, &gone).is_ok() {
            fs::remove_dir_all(&gone).ok();
            let places = gone.ancestors().skip(1).take(2);
            places.take_while(|place| fs::remove_dir(place).is_ok()).for_each(drop);
        }
    }
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
        Lock { folder: folder.join("u/k/l"), token: folder.join("u/k/l").join(token) }
    }

    fn live_token() -> String {
        format!("{}.{}", holder(), nonce())
    }

    #[test]
    fn only_one_holds_it_and_the_other_learns_who() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let (first, second) = (lock(folder, &live_token()), lock(folder, &live_token()));
        assert_eq!(first.attempt("first").unwrap(), Ok(()));
        assert_eq!(second.attempt("second").unwrap(), Err("first".into()));
        drop(Held(first));
        assert_eq!(second.attempt("second").unwrap(), Ok(()));
        drop(Held(second));
        assert!(folder.read_dir_utf8().unwrap().next().is_none(), "a lock that nobody holds leaves nothing behind");
    }

    #[test]
    fn the_dead_and_those_of_another_boot_are_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        for dead in [format!("{}.1.{}.x", std::process::id(), boot_id()), format!("{}.1.other.x", std::process::id())] {
            let holder = lock(folder, &dead);
            assert_eq!(holder.attempt("dead").unwrap(), Ok(()), "{dead}");
            let next = lock(folder, &live_token());
            assert_eq!(next.attempt("next").unwrap(), Ok(()), "{dead}");
            drop(Held(next));
        }
    }

    #[test]
    fn of_many_who_find_it_dead_one_wins() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        assert_eq!(lock(folder, "1.1.other.x").attempt("dead").unwrap(), Ok(()));
        let winners = std::thread::scope(|scope| {
            let contenders: Vec<_> = (0..16)
                .map(|_| scope.spawn(|| lock(folder, &live_token()).attempt("winner").unwrap().is_ok()))
                .collect();
            contenders.into_iter().filter(|_| true).map(|it| it.join().unwrap()).filter(|won| *won).count()
        });
        assert_eq!(winners, 1);
    }
}
