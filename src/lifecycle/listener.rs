//! Whose socket a URL of a unit leads to: what answers there may be somebody else's.

use crate::host::{Answer, Ask, Base, Cgroup, Host, HostError, HostPath, Query};
use crate::service::spec::HttpUrl;
use crate::supervisor::{Supervisor, SupervisorError, UnitStatus};

/// What is known of the socket.
#[derive(Debug)]
pub(super) struct Listener {
    /// Whether it may be the unit's: a process of it listens on the port, or nothing can be proven, as where the URL is not
    /// the host's loopback and a proxy may answer.
    pub(super) may_be_ours: bool,
    /// The unit's cgroup, looked at on the way.
    pub(super) cgroup: Option<Cgroup>,
}

/// Why it is not known.
#[derive(Debug)]
pub(super) enum ListenerFault {
    Host(HostError),
    Supervisor(SupervisorError),
}

impl Listener {
    /// Asks the host who listens, for a unit with this status.
    pub(super) async fn of(
        host: &dyn Host,
        supervisor: &Supervisor,
        status: &UnitStatus,
        url: &HttpUrl,
    ) -> Result<Self, ListenerFault> {
        // Below the manager's own cgroup, wherever the host has mounted the tree: …/user@1000.service/rbee.slice/…
        let below = |path: &str| path.split_once("/user@")?.1.split_once('/').map(|(_, below)| below.to_owned());
        let query = match (status.cgroup.as_deref().and_then(below), supervisor) {
            (Some(path), _) => {
                let path = HostPath::new(Base::Cgroup, path);
                Query { asks: vec![Ask::Cgroup(path.clone()), Ask::Listeners(path)] }
            }
            (None, Supervisor::Launchd(_) | Supervisor::Runner(_)) => {
                let pids = supervisor.processes(&status.unit).await.map_err(ListenerFault::Supervisor)?;
                Query { asks: vec![Ask::Sockets(pids)] }
            }
            (None, Supervisor::Systemd(_)) => return Ok(Self { may_be_ours: true, cgroup: None }),
        };
        let observation = host.query(&query).await.map_err(ListenerFault::Host)?;
        let mut listener = Self { may_be_ours: !url.is_loopback(), cgroup: None };
        for answer in observation.answers {
            match answer {
                Answer::Cgroup(found) => listener.cgroup = found,
                Answer::Listeners(found) => {
                    listener.may_be_ours |= found.iter().any(|socket| socket.port == url.port());
                }
                _ => {}
            }
        }
        Ok(listener)
    }
}
