//! What changes of this machine left that were killed.

#![expect(clippy::disallowed_methods, reason = "this machine is changed here")]

use std::fs;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use super::super::xdg_dirs::XdgDirs;
use super::lock;

/// Begins the names of files that are not in their place yet.
pub(super) const TEMPORARY: &str = ".unitbee.";

/// Begins the names of folders in which a change of a distant host arrives; this machine may be one for somebody else.
const STAGE: &str = ".new.";

/// What is in such a folder beside files: the folders that the change made, the last one first.
const MADE: &str = "made";

/// How far down from its own folders this tool writes.
const DEPTH: usize = 5;

const A_DAY: Duration = Duration::from_hours(24);

/// Begins the name of a temporary file of this process: the machine, then the process.
pub(super) fn prefix() -> String {
    format!("{TEMPORARY}{}@{}.", lock::node(), lock::holder())
}

/// Removes what processes left in `folder` that were killed while they wrote there. What cannot be removed harms nobody.
pub(super) fn of_the_dead(folder: &Utf8Path) {
    for entry in folder.read_dir_utf8().into_iter().flatten().flatten() {
        let Some(rest) = entry.file_name().strip_prefix(TEMPORARY) else { continue };
        if rest.split_once('@').is_some_and(|(node, writer)| node == lock::node() && lock::is_dead(writer)) {
            fs::remove_file(entry.path()).ok();
        }
    }
}

/// Removes all that changes of this machine left in the folders where they write: only for who has the lock. A home may be
/// shared, so what another machine left stays, and what does not say which machine it is from does so for a day.
pub(super) fn everything(dirs: &XdgDirs) {
    let places = [
        dirs.data.join("unitbee"),
        dirs.state.join("unitbee"),
        dirs.config.join("unitbee"),
        dirs.config.join("systemd/user"),
        dirs.home.join("Library/LaunchAgents"),
    ];
    let mut left = Vec::new();
    for place in places {
        find(&place, DEPTH, &mut left);
    }
    let mut made = Vec::new();
    for path in left {
        let noted = fs::read_to_string(path.join(MADE)).unwrap_or_default();
        made.extend(noted.lines().map(Utf8PathBuf::from));
        if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.ok();
        let is_ours = |folder: &&Utf8Path| folder.components().any(|part| part.as_str() == "unitbee");
        made.extend(path.ancestors().skip(1).take_while(is_ours).map(Utf8Path::to_owned));
    }
    // Folders that were made for what did not come; those that hold something stay.
    for folder in made {
        fs::remove_dir(folder).ok();
    }
}

fn find(folder: &Utf8Path, depth: usize, left: &mut Vec<Utf8PathBuf>) {
    for entry in folder.read_dir_utf8().into_iter().flatten().flatten() {
        let kind = entry.file_type();
        let name = entry.file_name();
        if let Some(rest) = name.strip_prefix(TEMPORARY).or_else(|| name.strip_prefix(STAGE)) {
            let goes = match rest.split_once('@') {
                Some((node, _)) => node == lock::node(),
                None => is_older_than(entry.path(), A_DAY),
            };
            if goes {
                left.push(entry.into_path());
            }
        } else if depth > 1 && kind.is_ok_and(|kind| kind.is_dir()) {
            find(entry.path(), depth - 1, left);
        }
    }
}

fn is_older_than(path: &Utf8Path, age: Duration) -> bool {
    let found = fs::symlink_metadata(path).and_then(|found| found.modified());
    found.is_ok_and(|time| time.elapsed().is_ok_and(|past| past > age))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn what_the_dead_left_goes_and_what_may_be_alive_stays() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let (pid, node) = (std::process::id(), lock::node());
        let boot = super::super::query::boot_id();
        let names = [
            (format!("{TEMPORARY}{node}@{pid}.1.{boot}.x"), false),
            (format!("{TEMPORARY}{node}@{pid}.1.long-ago.x"), false),
            (format!("{}x", prefix()), true),
            (format!("{TEMPORARY}another@{pid}.1.{boot}.x"), true),
            (format!("{TEMPORARY}{node}.lan@{pid}.1.{boot}.x"), true),
            ("x.service".to_owned(), true),
        ];
        for (name, _) in &names {
            fs::write(folder.join(name), "").unwrap();
        }
        of_the_dead(folder);
        for (name, stays) in names {
            assert_eq!(folder.join(&name).exists(), stays, "{name}");
        }
    }

    #[test]
    fn who_has_the_lock_removes_all_of_this_machine() {
        let home = tempfile::tempdir().unwrap();
        let home = Utf8Path::from_path(home.path()).unwrap();
        let mut dirs = XdgDirs::here();
        (dirs.home, dirs.data) = (home.to_owned(), home.join("data"));
        (dirs.state, dirs.config) = (home.join("state"), home.join("config"));
        let node = lock::node();
        let files = [
            (format!("data/unitbee/.new.{node}@x/3"), false),
            (format!("data/unitbee/.new.{node}@x/made"), false),
            (format!("data/unitbee/.new.{node}.lan@x/3"), true),
            (format!("data/unitbee/store/abc/.unitbee.{node}@x.0"), false),
            (format!("data/unitbee/units/web/7/.unitbee.{node}@x.1"), false),
            ("data/unitbee/units/web/6/spec.json".to_owned(), true),
            (format!("config/systemd/user/.unitbee.{node}@x.2"), false),
            (format!("Library/LaunchAgents/.unitbee.{node}@x.2"), false),
            (format!("state/unitbee/registry/.unitbee.{node}@x.3"), false),
            ("data/unitbee/.new.fresh/1".to_owned(), true),
            ("data/unitbee/.new.old/1".to_owned(), false),
            ("data/unitbee/.unitbee.old".to_owned(), false),
            (format!("elsewhere/.unitbee.{node}@x.2"), true),
        ];
        for (name, _) in &files {
            fs::create_dir_all(home.join(name).parent().unwrap()).unwrap();
            fs::write(home.join(name), "").unwrap();
        }
        fs::create_dir(home.join("config/systemd/user/web.service.d")).unwrap();
        let made = format!("{home}/config/systemd/user/web.service.d\n{home}/config/systemd/user\n");
        fs::write(home.join(format!("data/unitbee/.new.{node}@x/made")), made).unwrap();
        fs::write(home.join("config/systemd/user/hers.service"), "").unwrap();
        for old in ["data/unitbee/.new.old", "data/unitbee/.unitbee.old"] {
            let opened = fs::File::open(home.join(old)).unwrap();
            opened.set_modified(SystemTime::now() - 2 * A_DAY).unwrap();
        }
        everything(&dirs);
        for (name, stays) in files {
            assert_eq!(home.join(&name).exists(), stays, "{name}");
        }
        for (folder, stays) in [
            ("data/unitbee/store", false),
            ("data/unitbee/units/web/7", false),
            ("config/systemd/user", true),
            ("config/systemd/user/web.service.d", false),
        ] {
            assert_eq!(home.join(folder).exists(), stays, "{folder}");
        }
    }
}
