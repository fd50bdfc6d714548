//! The folder of control sockets: where it is, that nobody else can look into it, and what has to be removed from it.

#![expect(clippy::disallowed_methods, reason = "the control sockets are on this machine")]

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

/// The longest folder: ssh adds 34 bytes to it while it binds, and macOS takes 103 in all.
const LONGEST_FOLDER: usize = 65;

/// Returns the folder of control sockets, made where it is missing: a socket gives whoever can open it the host.
pub(super) fn control_folder() -> io::Result<Utf8PathBuf> {
    let uid = rustix::process::geteuid().as_raw();
    let from =
        |variable: &str, rest: &str| std::env::var(variable).ok().map(|folder| Utf8PathBuf::from(folder).join(rest));
    let places = [
        // `su` leaves the variable of somebody else behind: then the folder is not ours to make.
        from("XDG_RUNTIME_DIR", "unitbee"),
        Some(format!("/tmp/unitbee-{uid}").into()),
        // In /tmp, somebody else may have been quicker.
        from("HOME", ".cache/unitbee-ssh"),
    ];
    first_private(places.into_iter().flatten(), uid)
}

/// Returns the first of `places` that is ours alone, or why the last one is not.
fn first_private(places: impl IntoIterator<Item = Utf8PathBuf>, uid: u32) -> io::Result<Utf8PathBuf> {
    let mut fault = io::Error::other("set XDG_RUNTIME_DIR to a folder that is yours");
    for folder in places.into_iter().filter(|folder| folder.is_absolute() && folder.as_str().len() <= LONGEST_FOLDER) {
        match private(&folder, uid) {
            Ok(folder) => return Ok(folder),
            Err(why) => fault = io::Error::other(format!("{why}; set XDG_RUNTIME_DIR to a folder that is yours")),
        }
    }
    Err(fault)
}

/// Makes sure that a folder is there, is ours, and is closed to everybody else.
fn private(folder: &Utf8Path, uid: u32) -> io::Result<Utf8PathBuf> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound && folder.parent().is_some_and(is_cache) => {
            DirBuilder::new().mode(0o700).recursive(true).create(folder)?;
        }
        Err(fault) if fault.kind() != io::ErrorKind::AlreadyExists => return Err(fault),
        _ => {}
    }
    let found = fs::symlink_metadata(folder)?;
    if found.is_dir() && found.uid() == uid && found.mode() & 0o777 == 0o700 {
        Ok(folder.to_owned())
    } else {
        Err(io::Error::other(format!("{folder} is not a folder that only this user can look into")))
    }
}

/// Tells whether a folder is one that whoever needs it first makes.
fn is_cache(folder: &Utf8Path) -> bool {
    folder.file_name() == Some(".cache")
}

/// Removes what masters left that were killed: sockets that nobody listens on, logs and locks of yesterday.
///
/// A socket younger than `settled` may be one that ssh is just making.
pub(super) fn sweep(folder: &Utf8Path, settled: Duration) {
    const DAY: Duration = Duration::from_hours(24);
    for entry in folder.read_dir_utf8().into_iter().flatten().flatten() {
        let Ok(found) = fs::symlink_metadata(entry.path()) else { continue };
        let age = found.modified().ok().and_then(|at| at.elapsed().ok()).unwrap_or_default();
        if found.is_dir() {
            // That of a forward, with its socket.
            if age >= settled {
                sweep(entry.path(), settled);
                fs::remove_dir(entry.path()).ok();
            }
            continue;
        }
        let dead = if found.file_type().is_socket() {
            let refused = std::os::unix::net::UnixStream::connect(entry.path()).err();
            age >= settled && refused.is_some_and(|fault| fault.kind() == io::ErrorKind::ConnectionRefused)
        } else {
            found.is_file() && age > DAY
        };
        if dead {
            fs::remove_file(entry.path()).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_a_folder_that_is_ours_alone_is_used() {
        let place = tempfile::tempdir().unwrap();
        let place = Utf8Path::from_path(place.path()).unwrap();
        let uid = rustix::process::geteuid().as_raw();
        let folder = place.join("c");
        assert_eq!(private(&folder, uid).unwrap(), folder);
        assert_eq!(private(&folder, uid).unwrap(), folder);
        assert!(private(&folder, uid + 1).is_err(), "somebody else's");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o750)).unwrap();
        assert!(private(&folder, uid).is_err(), "open to a group");
        std::os::unix::fs::symlink(place, place.join("l")).unwrap();
        assert!(private(&place.join("l"), uid).is_err(), "a link");
    }

    #[test]
    fn where_somebody_else_was_quicker_there_is_another_place() {
        let place = tempfile::tempdir().unwrap();
        let place = Utf8Path::from_path(place.path()).unwrap();
        let uid = rustix::process::geteuid().as_raw();
        fs::write(place.join("file"), "").unwrap();
        let home = place.join("home/.cache/unitbee-ssh");
        fs::create_dir(place.join("home")).unwrap();
        let places = ["relative".into(), place.join("x".repeat(LONGEST_FOLDER)), place.join("file")];
        let all = [&places[..], std::slice::from_ref(&home)].concat();
        assert_eq!(first_private(all.clone(), uid).unwrap(), home);
        assert_eq!(first_private(all, uid).unwrap(), home);
        assert!(first_private(places.clone(), uid).unwrap_err().to_string().contains("XDG_RUNTIME_DIR"));
        assert!(first_private(places[..2].to_vec(), uid).is_err());
    }

    #[test]
    fn dead_sockets_are_swept_and_live_ones_stay() {
        let place = tempfile::tempdir().unwrap();
        let place = Utf8Path::from_path(place.path()).unwrap();
        drop(std::os::unix::net::UnixListener::bind(place.join("dead")).unwrap());
        let _live = std::os::unix::net::UnixListener::bind(place.join("live")).unwrap();
        File::create(place.join("x.lock")).unwrap();
        for (folder, listens) in [("f1", false), ("f2", true)] {
            fs::create_dir(place.join(folder)).unwrap();
            let listener = std::os::unix::net::UnixListener::bind(place.join(folder).join("s")).unwrap();
            if listens {
                std::mem::forget(listener);
            }
        }
        sweep(place, Duration::ZERO);
        let mut left: Vec<_> = place.read_dir_utf8().unwrap().map(|it| it.unwrap().file_name().to_owned()).collect();
        left.sort();
        assert_eq!(left, ["f2", "live", "x.lock"]);
    }
}
