//! The way to the manager, and the proof that it is the right one.

use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use tracing::debug;

use super::bus::{Bus, user_bus};
use super::call::CallError;
use super::systemctl::{Systemctl, said};
use crate::host::{Command, End, Facts, Host, HostError, Output, printable};
use crate::supervisor::{Missing, SupervisorError, Transport};

/// The user whose manager it is.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) user: String,
    pub(super) uid: u32,
}

impl Account {
    pub(super) fn of(facts: &Facts) -> Self {
        Self { user: facts.user.clone(), uid: facts.uid }
    }

    /// Where the sockets of the user's manager are; found by uid, since a shell's environment may lack it.
    pub(super) fn runtime_dir(&self) -> Utf8PathBuf {
        format!("/run/user/{}", self.uid).into()
    }

    pub(super) fn bus_socket(&self) -> Utf8PathBuf {
        user_bus(self.uid)
    }

    /// Tells whether the manager of this cgroup is the user's own; the system's has none.
    fn has_manager(&self, cgroup: &str) -> bool {
        Utf8Path::new(cgroup).file_name() == Some(&format!("user@{}.service", self.uid))
    }
}

/// The way to the manager.
#[derive(Debug)]
pub(super) enum Link {
    /// Its bus.
    Bus(Bus),
    /// `systemctl --user`, and the version of systemd.
    Systemctl(Systemctl, Option<u32>),
}

impl Link {
    /// Finds the best way that works.
    pub(super) async fn open(host: &Arc<dyn Host>, account: &Account, facts: Found) -> Result<Self, SupervisorError> {
        if facts.bus
            && let Some(bus) = Bus::open(host.as_ref(), account.uid).await?
        {
            return Ok(Self::Bus(bus));
        }
        let missing =
            |missing| SupervisorError::Missing { host: host.name().to_owned(), user: account.user.clone(), missing };
        if !facts.bus && !facts.systemd {
            return Err(missing(Missing::Systemd));
        }
        let systemctl = Systemctl { host: Arc::clone(host), account: account.clone() };
        match systemctl.manager().await? {
            Ok(properties) => {
                check(host.as_ref(), account, properties.text("ControlGroup"))?;
                let version = parse_version(properties.text("Version"));
                debug!(host = host.name(), version, "systemctl --user answers");
                Ok(Self::Systemctl(systemctl, version))
            }
            Err(output) => {
                debug!(host = host.name(), said = said(&output), "systemctl --user fails");
                match find_missing(host.as_ref(), account, &output).await? {
                    Some(Missing::UserManager) if facts.linger => Err(missing(Missing::StoppedManager)),
                    Some(what) => Err(missing(what)),
                    None => Err(CallError::Broken(said(&output)).within(host.name(), "connect", None)),
                }
            }
        }
    }

    pub(super) fn transport(&self) -> Transport {
        match self {
            Self::Bus(bus) => bus.transport,
            Self::Systemctl(..) => Transport::Systemctl,
        }
    }

    /// Tells whether it has to be opened again.
    pub(super) fn is_lost(&self) -> bool {
        match self {
            Self::Bus(bus) => bus.is_lost(),
            Self::Systemctl(..) => false,
        }
    }

    /// Makes sure, once, that it leads to the user's own manager; gives the version of systemd.
    pub(super) async fn identify(&self, host: &dyn Host, account: &Account) -> Result<Option<u32>, SupervisorError> {
        let bus = match self {
            Self::Systemctl(_, version) => return Ok(*version),
            Self::Bus(bus) => bus,
        };
        bus.identity
            .get_or_try_init(async || {
                let (version, cgroup) = tokio::try_join!(bus.manager_text("Version"), bus.manager_text("ControlGroup"))
                    .map_err(|error| error.within(host.name(), "connect", None))?;
                check(host, account, &cgroup)?;
                Ok(parse_version(&version))
            })
            .await
            .copied()
    }
}

/// What is known of the host beforehand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    /// The user's bus has a socket.
    pub(super) bus: bool,
    /// systemd is the init.
    pub(super) systemd: bool,
    /// Something keeps the user's manager.
    pub(super) linger: bool,
}

fn check(host: &dyn Host, account: &Account, cgroup: &str) -> Result<(), SupervisorError> {
    if account.has_manager(cgroup) {
        return Ok(());
    }
    Err(SupervisorError::WrongManager {
        host: host.name().to_owned(),
        user: account.user.clone(),
        cgroup: printable(cgroup.as_bytes()),
    })
}

/// Finds out why `systemctl --user` failed with `output`; `None` if all that it needs seems to be there.
async fn find_missing(host: &dyn Host, account: &Account, output: &Output) -> Result<Option<Missing>, HostError> {
    if output.end == End::NotFound {
        return Ok(Some(Missing::Systemd));
    }
    // A socket alone proves nothing: it may be left over from a manager that has ended.
    let manager = format!("user@{}.service", account.uid);
    if !host.run(&Command::new("systemctl").args(["is-active", "--quiet", &manager])).await?.success() {
        return Ok(Some(Missing::UserManager));
    }
    let bus = host.run(&Command::new("test").args(["-S", account.bus_socket().as_str()])).await?;
    Ok((!bus.success()).then_some(Missing::SessionBus))
}

/// `252.39-1~deb12u2` is 252.
fn parse_version(version: &str) -> Option<u32> {
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
