//! Where things lie for one user of a host, and who that user is on this machine.
//!
//! The XDG variables that count are those of the user's service manager, for that is who looks for units. Its
//! process is found through its cgroup, whatever our own environment says (`env -i`, cron, `sudo -u`).

use camino::{Utf8Path, Utf8PathBuf};

use super::query::{Base, HostPath};
use super::{bsd, proc};

/// The user that we act as on this machine and where the user's things are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct XdgDirs {
    pub(super) uid: u32,
    pub(super) user: String,
    pub(super) home: Utf8PathBuf,
    pub(super) config: Utf8PathBuf,
    pub(super) data: Utf8PathBuf,
    pub(super) state: Utf8PathBuf,
    /// `user@<uid>.service` in the cgroup v2 tree.
    pub(super) cgroup: Option<Utf8PathBuf>,
}

impl XdgDirs {
    /// Finds them on this machine.
    pub(super) fn here() -> Self {
        let uid = rustix::process::geteuid().as_raw();
        let entry = account(uid);
        let from_env = |name| std::env::var(name).ok();
        let user = match &entry {
            Some((user, _)) => user.clone(),
            None => from_env("USER").unwrap_or_else(|| uid.to_string()),
        };
        let home = from_env("HOME")
            .map(Utf8PathBuf::from)
            .filter(|home| home.is_absolute())
            .or_else(|| entry.map(|(_, home)| home))
            .unwrap_or_else(|| "/".into());
        let manager = format!("user.slice/user-{uid}.slice/user@{uid}.service");
        let environ = manager_environ(&manager).unwrap_or_default();
        let base = |name, below: &str| {
            let set = proc::variable(&environ, name).map(Utf8PathBuf::from).filter(|path| path.is_absolute());
            set.unwrap_or_else(|| home.join(below))
        };
        let cgroup = Some(cgroup_root().join(&manager)).filter(|path| path.is_dir());
        Self {
            config: base("XDG_CONFIG_HOME", ".config"),
            data: base("XDG_DATA_HOME", ".local/share"),
            state: base("XDG_STATE_HOME", ".local/state"),
            uid,
            user,
            home,
            cgroup,
        }
    }

    /// `/run/user/<uid>`.
    pub(super) fn runtime(&self) -> Utf8PathBuf {
        format!("/run/user/{}", self.uid).into()
    }

    /// Makes `path` absolute; `None` where its base does not exist on this machine.
    pub(super) fn resolve(&self, path: &HostPath) -> Option<Utf8PathBuf> {
        let base = match path.base {
            Base::Root => "/".into(),
            Base::Home => self.home.clone(),
            Base::Config => self.config.clone(),
            Base::Data => self.data.clone(),
            Base::State => self.state.clone(),
            Base::Runtime => self.runtime(),
            Base::Cgroup => self.cgroup.clone()?,
        };
        Some(if path.rel.as_str().is_empty() { base } else { base.join(&path.rel) })
    }
}

/// Returns the mount point of the v2 tree: on a host that still has v1 controllers it is beside them.
fn cgroup_root() -> Utf8PathBuf {
    let unified = Utf8Path::new("/sys/fs/cgroup/unified");
    if unified.join("cgroup.procs").exists() { unified.into() } else { "/sys/fs/cgroup".into() }
}

/// Returns the environment that the user's service manager was started with.
#[expect(clippy::disallowed_methods, reason = "this machine is read here")]
fn manager_environ(manager: &str) -> Option<Vec<u8>> {
    // systemd and its (sd-pam) helper both live in init.scope; the environment of the helper cannot be read.
    ["", "/unified", "/systemd"].iter().find_map(|tree| {
        let procs = std::fs::read_to_string(format!("/sys/fs/cgroup{tree}/{manager}/init.scope/cgroup.procs")).ok()?;
        procs.lines().find_map(|pid| std::fs::read(format!("/proc/{pid}/environ")).ok().filter(|text| !text.is_empty()))
    })
}

/// Returns the name and home of `uid`, asking the name service only for users that are not of this machine.
#[expect(clippy::disallowed_methods, reason = "this machine is read here")]
fn account(uid: u32) -> Option<(String, Utf8PathBuf)> {
    let passwd = std::fs::read("/etc/passwd").unwrap_or_default();
    let getent = || {
        let asked = std::process::Command::new("getent").args(["passwd", &uid.to_string()]).output().ok()?;
        proc::passwd_entry(&asked.stdout, uid)
    };
    proc::passwd_entry(&passwd, uid).or_else(getent).or_else(|| bsd::account(uid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_begin_where_their_base_is() {
        let mut places = XdgDirs::here();
        places.data = "/srv/data".into();
        places.cgroup = None;
        assert_eq!(places.resolve(&HostPath::new(Base::Data, "a/b")), Some("/srv/data/a/b".into()));
        assert_eq!(places.resolve(&HostPath::new(Base::Data, "")), Some("/srv/data".into()));
        assert_eq!(places.resolve(&HostPath::new(Base::Root, "etc")), Some("/etc".into()));
        assert_eq!(places.resolve(&HostPath::new(Base::Cgroup, "x")), None);
    }
}
