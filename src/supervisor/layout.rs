//! Where unitbee's files are on a host. Nothing else of the crate spells these paths.
//!
//! ```text
//! <config>/systemd/user/<unit>.service, <slice>.slice     what systemd reads
//! <data>/unitbee/store/<sha256>/<name>                    programs, never changed in place
//! <data>/unitbee/units/<unit>/spec.json                   the spec that is in effect
//! <data>/unitbee/units/<unit>/<release>/{spec.json,env}   releases, never changed in place
//! <data>/unitbee/refs/<sha256 or slice>/<unit>.<release>  who still needs a program or a slice
//! <state>/unitbee/log/<unit>.log                          what a unit said, where the supervisor writes files
//! ```

use camino::{Utf8Path, Utf8PathBuf};

use crate::host::{Base, Facts, HostPath};

/// The unit file that systemd reads.
#[must_use]
pub fn unit_file(file: &str) -> HostPath {
    HostPath::new(Base::Config, format!("systemd/user/{file}"))
}

/// Everything of ours below the data folder.
#[must_use]
pub fn root() -> HostPath {
    HostPath::new(Base::Data, "unitbee")
}

/// All releases of a unit.
#[must_use]
pub fn unit(unit: &str) -> HostPath {
    HostPath::new(Base::Data, format!("unitbee/units/{unit}"))
}

/// The spec of the release that is in effect.
#[must_use]
pub fn current_spec(unit: &str) -> HostPath {
    HostPath::new(Base::Data, format!("unitbee/units/{unit}/spec.json"))
}

/// The folder of one release.
#[must_use]
pub fn release(unit: &str, release: u32) -> HostPath {
    HostPath::new(Base::Data, format!("unitbee/units/{unit}/{release}"))
}

/// The spec of one release.
#[must_use]
pub fn release_spec(unit: &str, release: u32) -> HostPath {
    HostPath::new(Base::Data, format!("unitbee/units/{unit}/{release}/spec.json"))
}

/// The secrets of one release.
#[must_use]
pub fn release_env(unit: &str, release: u32) -> HostPath {
    HostPath::new(Base::Data, format!("unitbee/units/{unit}/{release}/env"))
}

/// The log files, where the supervisor writes files.
#[must_use]
pub fn logs() -> HostPath {
    HostPath::new(Base::State, "unitbee/log")
}

/// A program in the store.
#[must_use]
pub fn program(sha256: &str, name: &str) -> HostPath {
    HostPath::new(Base::Data, format!("unitbee/store/{sha256}/{name}"))
}

/// What a reference points to: the file of a slice, or the folder of a program in the store.
#[must_use]
pub fn target(target: &str) -> HostPath {
    if Utf8Path::new(target).extension() == Some("slice") {
        unit_file(target)
    } else {
        HostPath::new(Base::Data, format!("unitbee/store/{target}"))
    }
}

/// All references.
#[must_use]
pub fn refs() -> HostPath {
    HostPath::new(Base::Data, "unitbee/refs")
}

/// The references to one program (its digest) or slice (its file name).
#[must_use]
pub fn refs_to(target: &str) -> HostPath {
    HostPath::new(Base::Data, format!("unitbee/refs/{target}"))
}

/// The mark that a release of a unit needs `target`.
#[must_use]
pub fn reference(target: &str, unit: &str, release: u32) -> HostPath {
    HostPath::new(Base::Data, format!("unitbee/refs/{target}/{unit}.{release}"))
}

/// The cgroup of a unit in its slice.
#[must_use]
pub fn cgroup(slice: &str, unit: &str) -> HostPath {
    HostPath::new(Base::Cgroup, format!("{slice}.slice/{unit}.service"))
}

/// Folders that go when nothing is left in them, innermost first.
#[must_use]
pub fn empty_folders() -> Vec<HostPath> {
    ["unitbee/refs", "unitbee/units", "unitbee/store", "unitbee/tmp", "unitbee"]
        .into_iter()
        .map(|rel| HostPath::new(Base::Data, rel))
        .collect()
}

/// The absolute path of `path` on a host with these facts; `None` for a cgroup where there is no tree.
#[must_use]
pub fn absolute(path: &HostPath, facts: &Facts) -> Option<Utf8PathBuf> {
    let base: &Utf8Path = match path.base {
        Base::Root => Utf8Path::new("/"),
        Base::Home => &facts.home,
        Base::Config => &facts.config,
        Base::Data => &facts.data,
        Base::State => &facts.state,
        Base::Runtime => return Some(Utf8PathBuf::from(format!("/run/user/{}", facts.uid)).join(&path.rel)),
        Base::Cgroup => facts.cgroup.as_deref()?,
    };
    Some(base.join(&path.rel))
}
