//! Who runs a service: the only place that knows systemd, launchd and the runner.
//!
//! [`Supervisor`] is one manager on one host. Its verbs are systemd's, a unit is named without suffix, and a verb
//! that starts or stops something comes back when the manager says that it is done.

mod clock;
mod error;
mod kind;
pub mod launchd;
pub mod layout;
pub mod poll;
mod reason;
pub mod registry;
pub mod restart;
pub mod runner;
pub mod snapshot;
pub mod status;
pub mod systemd;
mod unit_file_kind;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

pub use self::error::{Missing, Refusal, SupervisorError};
pub use self::kind::{Choice, SupervisorKind};
use self::launchd::Launchd;
use self::poll::{Poll, Polled};
pub use self::restart::{RestartOrder, Restarted};
use self::runner::Runner;
pub use self::status::{Flag, FlagKind, State, UnitStatus};
use self::systemd::Systemd;
pub use self::unit_file_kind::UnitFileKind;
use crate::host::process::Signal;
use crate::host::{Facts, Host, HostError, Observation, Query};
use crate::service::spec::Logs;

/// The manager of one user on one host.
#[derive(Debug)]
pub enum Supervisor {
    /// systemd's user manager.
    Systemd(Systemd),
    /// launchd of macOS.
    Launchd(Launchd),
    /// The runner that unitbee brings along.
    Runner(Runner),
}

/// How a supervisor is talked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// The user's bus on this machine.
    Bus,
    /// The user's bus of the host, its socket forwarded to this machine.
    ForwardedBus,
    /// The user's bus through `systemd-stdio-bridge`, run on the host.
    StdioBridge,
    /// `systemctl --user`, run on the host.
    Systemctl,
    /// A shell of the host.
    Shell,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bus => "bus",
            Self::ForwardedBus => "forwarded-bus",
            Self::StdioBridge => "stdio-bridge",
            Self::Systemctl => "systemctl",
            Self::Shell => "shell",
        })
    }
}

/// How a job of the supervisor ended.
///
/// [`JobResult::Done`] is no health: the program was started, or all that is to be said of its end was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobResult {
    /// It was done.
    Done,
    /// It was not done.
    Failed {
        /// The supervisor's word for it: `failed`, `dependency`, `timeout`, `canceled`, …
        result: String,
    },
    /// The supervisor did not say how it ended; this is what the unit is doing now.
    Unseen {
        /// Why the end was not seen.
        cause: Unseen,
        /// The unit, looked at afterwards.
        status: Box<UnitStatus>,
    },
}

/// Why the end of a job was not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unseen {
    /// It goes on beyond the deadline.
    Deadline,
    /// The connection to the supervisor was lost meanwhile.
    ConnectionLost,
}

/// Which processes of a unit a signal is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Whom {
    /// The main process.
    Main,
    /// Every process.
    All,
}

/// Whether the user's services outlive the session and come back after a reboot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Persistence {
    /// They did already.
    Already,
    /// They do now.
    Enabled,
    /// They do not, and the host does not let this user change it.
    Refused {
        /// The command that an administrator can run on the host.
        command: String,
        /// What the host said.
        detail: String,
    },
}

/// Makes the user's services outlive the session and come back after a reboot, as far as the host lets this user.
///
/// `facts` are from before: after [`Persistence::Enabled`] on a host that had no manager for this user, query it
/// again before [`Supervisor::connect`].
pub async fn ensure_persistent(host: &dyn Host, facts: &Facts) -> Result<Persistence, SupervisorError> {
    systemd::ensure_persistent(host, facts).await
}

/// A way to a manager that was gone ahead, before the host said whether it leads anywhere.
#[derive(Debug, Default)]
pub struct Approach(systemd::Approach);

/// Queries `host` and meanwhile goes ahead to its manager, where an earlier exchange told enough for that.
pub async fn query(host: &Arc<dyn Host>, query: &Query) -> Result<(Observation, Approach), HostError> {
    let approach = async { Ok(Approach(systemd::Approach::begin(host.as_ref()).await)) };
    tokio::try_join!(host.query(query), approach)
}

impl Supervisor {
    /// Finds the user's manager on `host` and the best way to talk to it.
    pub async fn connect(host: Arc<dyn Host>, facts: &Facts) -> Result<Self, SupervisorError> {
        Self::connect_by(Approach::default(), host, facts, SupervisorKind::choose(facts, None).manager).await
    }

    /// The same for this manager after [`query`], by the way that was gone ahead if it turns out to be the right one.
    pub async fn connect_by(
        approach: Approach,
        host: Arc<dyn Host>,
        facts: &Facts,
        manager: SupervisorKind,
    ) -> Result<Self, SupervisorError> {
        manager.check(host.name(), facts)?;
        match manager {
            SupervisorKind::Runner => Ok(Self::Runner(Runner::on(host, facts))),
            SupervisorKind::Launchd => Ok(Self::Launchd(Launchd::on(host, facts))),
            SupervisorKind::Systemd => Systemd::connect(approach.0, host, facts).await.map(Self::Systemd),
        }
    }

    /// The name that tables and JSON show.
    #[must_use]
    pub fn manager(&self) -> &'static str {
        self.kind().name()
    }

    /// Which kind of manager it is.
    #[must_use]
    pub fn kind(&self) -> SupervisorKind {
        match self {
            Self::Systemd(_) => SupervisorKind::Systemd,
            Self::Launchd(_) => SupervisorKind::Launchd,
            Self::Runner(_) => SupervisorKind::Runner,
        }
    }

    /// How it is talked to.
    #[must_use]
    pub fn transport(&self) -> Transport {
        match self {
            Self::Systemd(systemd) => systemd.transport(),
            Self::Launchd(_) | Self::Runner(_) => Transport::Shell,
        }
    }

    /// Its version; `None` where it tells none that can be read.
    pub async fn version(&self) -> Result<Option<u32>, SupervisorError> {
        match self {
            Self::Systemd(systemd) => systemd.version().await,
            Self::Launchd(_) | Self::Runner(_) => Ok(None),
        }
    }

    /// Unix time in seconds by the host's clock, which is the one that states tell times by.
    #[must_use]
    pub fn now(&self) -> i64 {
        match self {
            Self::Systemd(systemd) => systemd.now(),
            Self::Launchd(launchd) => launchd.now(),
            Self::Runner(runner) => runner.now(),
        }
    }

    /// What it knows of each unit, in the same order. A unit that it does not know is not installed and stopped.
    pub async fn status(&self, units: &[String]) -> Result<Vec<UnitStatus>, SupervisorError> {
        match self {
            Self::Systemd(systemd) => systemd.status(units).await,
            Self::Launchd(launchd) => launchd.status(units).await,
            Self::Runner(runner) => runner.status(units).await,
        }
    }

    /// What it knows of one unit.
    pub async fn status_of(&self, unit: &str) -> Result<UnitStatus, SupervisorError> {
        match self {
            Self::Systemd(systemd) => systemd.status_of(unit).await,
            Self::Launchd(launchd) => launchd.status_of(unit).await,
            Self::Runner(runner) => runner.status_of(unit).await,
        }
    }

    /// Has it read all unit files again.
    pub async fn daemon_reload(&self) -> Result<(), SupervisorError> {
        match self {
            Self::Systemd(systemd) => systemd.daemon_reload().await,
            // It reads a file when it loads it, and not again.
            Self::Launchd(_) => Ok(()),
            Self::Runner(runner) => runner.daemon_reload().await,
        }
    }

    /// Has the kernel hold a unit that runs to the limits which [`daemon_reload`](Self::daemon_reload) has read.
    pub async fn realize_limits(&self, unit: &str) -> Result<(), SupervisorError> {
        match self {
            Self::Systemd(systemd) => systemd.realize_limits(unit).await,
            // Its runner has done that when it took over the definition; launchd has none that a job could be held to.
            Self::Launchd(_) | Self::Runner(_) => Ok(()),
        }
    }

    /// Starts a unit and waits until that is done, at most `deadline`.
    pub async fn start(&self, unit: &str, deadline: Duration) -> Result<JobResult, SupervisorError> {
        match self {
            Self::Systemd(systemd) => systemd.start(unit, deadline).await,
            Self::Launchd(launchd) => launchd.start(unit, deadline).await,
            Self::Runner(runner) => runner.start(unit, deadline).await,
        }
    }

    /// Stops a unit, also one that waits for its next restart, and waits until that is done, at most `deadline`.
    pub async fn stop(&self, unit: &str, deadline: Duration) -> Result<JobResult, SupervisorError> {
        match self {
            Self::Systemd(systemd) => systemd.stop(unit, deadline).await,
            Self::Launchd(launchd) => launchd.stop(unit, deadline).await,
            Self::Runner(runner) => runner.stop(unit, deadline).await,
        }
    }

    /// Makes sure, as far as that can be known, that a unit could be started, before what runs of it is ended.
    pub async fn prepare_start(&self, unit: &str) -> Result<(), SupervisorError> {
        match self {
            Self::Systemd(systemd) => systemd.prepare_start(unit).await,
            Self::Launchd(launchd) => launchd.prepare_start(unit).await,
            Self::Runner(runner) => runner.prepare_start(unit).await,
        }
    }

    /// The active units that the manager stops and restarts with a unit, by the names that it has for them: those that
    /// require it, are bound to it or are a part of it, directly or through others.
    pub async fn dependents(&self, unit: &str) -> Result<Vec<String>, SupervisorError> {
        match self {
            Self::Systemd(systemd) => systemd.dependents(unit).await,
            Self::Launchd(_) | Self::Runner(_) => Ok(Vec::new()),
        }
    }

    /// Those of [`dependents`](Self::dependents) that are not active now.
    pub async fn inactive(&self, dependents: &[String]) -> Result<Vec<String>, SupervisorError> {
        match self {
            Self::Systemd(systemd) => systemd.inactive(dependents).await,
            Self::Launchd(_) | Self::Runner(_) => Ok(Vec::new()),
        }
    }

    /// Starts those of [`dependents`](Self::dependents) that are not active, and waits until that is done; each for at most
    /// `deadline`.
    pub async fn start_dependents(&self, dependents: &[String], deadline: Duration) -> Result<(), SupervisorError> {
        match self {
            Self::Systemd(systemd) => systemd.start_dependents(dependents, deadline).await,
            Self::Launchd(_) | Self::Runner(_) => Ok(()),
        }
    }

    /// Gives the host the order to restart a unit whose processes are `old`, with KILL `term` after TERM, and to have
    /// `dependents` active afterwards. What becomes of the order is told at [`RestartOrder`].
    pub async fn order_restart(
        &self,
        unit: &str,
        old: &[u32],
        term: Duration,
        dependents: &[String],
    ) -> Result<RestartOrder, SupervisorError> {
        match self {
            Self::Systemd(systemd) => systemd.order_restart(unit, old, term, dependents).await,
            Self::Launchd(launchd) => launchd.order_restart(unit).await,
            Self::Runner(runner) => runner.order_restart(unit, old, term).await,
        }
    }

    /// Makes sure that a unit of this status can be ended at all before anything is done to it.
    pub async fn prepare_stop(&self, before: &UnitStatus) -> Result<(), SupervisorError> {
        match self {
            Self::Launchd(launchd) => launchd.prepare_stop(before).await,
            Self::Systemd(_) | Self::Runner(_) => Ok(()),
        }
    }

    /// Tells a unit to end, where that is an act of its own: [`stop`](Self::stop) then only waits for it.
    pub async fn begin_stop(&self, unit: &str) -> Result<(), SupervisorError> {
        match self {
            Self::Launchd(launchd) => launchd.begin_stop(unit).await,
            // They are told and awaited at one stroke.
            Self::Systemd(_) | Self::Runner(_) => Ok(()),
        }
    }

    /// Stops a slice that is empty, so that nothing of it stays.
    pub async fn stop_slice(&self, slice: &str) -> Result<(), SupervisorError> {
        match self {
            Self::Systemd(systemd) => systemd.stop_slice(slice).await,
            Self::Launchd(_) | Self::Runner(_) => Ok(()),
        }
    }

    /// Has a unit read its configuration again, without a new process; waits at most `deadline`.
    pub async fn reload(&self, unit: &str, deadline: Duration) -> Result<JobResult, SupervisorError> {
        match self {
            Self::Systemd(systemd) => systemd.reload(unit, deadline).await,
            Self::Launchd(launchd) => launchd.reload(unit),
            Self::Runner(runner) => runner.reload(unit),
        }
    }

    /// Has units started at boot; tells whether that is new. Seen by [`status`](Self::status) after
    /// [`daemon_reload`](Self::daemon_reload).
    pub async fn enable(&self, units: &[String]) -> Result<bool, SupervisorError> {
        match self {
            Self::Systemd(systemd) => systemd.enable(units).await,
            Self::Launchd(launchd) => launchd.switch("enable", units).await,
            Self::Runner(runner) => runner.switch("enable", units).await,
        }
    }

    /// Has units no longer started at boot; tells whether that is new. Seen by [`status`](Self::status) after
    /// [`daemon_reload`](Self::daemon_reload).
    pub async fn disable(&self, units: &[String]) -> Result<bool, SupervisorError> {
        match self {
            Self::Systemd(systemd) => systemd.disable(units).await,
            Self::Launchd(launchd) => launchd.switch("disable", units).await,
            Self::Runner(runner) => runner.switch("disable", units).await,
        }
    }

    /// Takes away what would start units at boot, and what the supervisor keeps of them although they have ended: they are
    /// about to lose their definitions.
    pub async fn forget(&self, units: &[String]) -> Result<(), SupervisorError> {
        match self {
            Self::Systemd(systemd) => systemd.disable(units).await.map(drop),
            Self::Launchd(launchd) => launchd.forget(units).await,
            Self::Runner(runner) => runner.switch("disable", units).await.map(drop),
        }
    }

    /// Sends a signal to processes of a unit. To none is no error: they may have ended just now.
    pub async fn kill(&self, unit: &str, whom: Whom, signal: Signal) -> Result<(), SupervisorError> {
        match self {
            Self::Systemd(systemd) => systemd.kill(unit, whom, signal).await,
            Self::Launchd(launchd) => launchd.kill(unit, whom, signal).await,
            Self::Runner(runner) => runner.kill(unit, whom, signal).await,
        }
    }

    /// Forgets that a unit failed, and how often it was restarted.
    pub async fn reset_failed(&self, unit: &str) -> Result<(), SupervisorError> {
        match self {
            Self::Systemd(systemd) => systemd.reset_failed(unit).await,
            // A start begins to count anew.
            Self::Launchd(_) | Self::Runner(_) => Ok(()),
        }
    }

    /// Forgets what a run of a unit left behind that ended without a word; returns what that was. Of a unit that has a
    /// process nothing is forgotten.
    pub async fn clean_stale(&self, unit: &str) -> Result<Option<String>, SupervisorError> {
        match self {
            Self::Systemd(systemd) => systemd.clean_stale(unit).await,
            Self::Launchd(launchd) => launchd.clean_stale(unit).await,
            Self::Runner(runner) => runner.clean_stale(unit).await,
        }
    }

    /// Rotates the log of a unit where nobody else does: under launchd. The others keep theirs within limits by themselves.
    pub async fn rotate_log(&self, unit: &str, logs: &Logs) -> Result<(), HostError> {
        match self {
            Self::Systemd(_) | Self::Runner(_) => Ok(()),
            Self::Launchd(launchd) => launchd.rotate_log(unit, logs).await,
        }
    }

    /// The processes of a unit, those below it too; empty where the unit is not known.
    pub async fn processes(&self, unit: &str) -> Result<Vec<u32>, SupervisorError> {
        match self {
            Self::Systemd(systemd) => systemd.processes(unit).await,
            Self::Launchd(launchd) => launchd.processes(unit).await,
            Self::Runner(runner) => runner.processes(unit).await,
        }
    }

    /// Tells whether nothing is left of a unit: no process, no file that defines it, no trace in the manager.
    pub async fn is_gone(&self, unit: &str) -> Result<bool, SupervisorError> {
        match self {
            Self::Systemd(systemd) => systemd.is_gone(unit).await,
            Self::Launchd(launchd) => launchd.is_gone(unit).await,
            Self::Runner(runner) => runner.is_gone(unit).await,
        }
    }

    /// Begins to look out for changes of a unit: those after this call end the next [`Watch::changed`].
    pub async fn watch(&self, unit: &str) -> Result<Watch, SupervisorError> {
        match self {
            Self::Systemd(systemd) => systemd.watch(unit).await.map(Watch::Systemd),
            Self::Launchd(launchd) => Ok(Watch::Poll(Box::new(Poll::of(Polled::Launchd(launchd.clone()), unit)))),
            Self::Runner(runner) => Ok(Watch::Poll(Box::new(Poll::of(Polled::Runner(runner.clone()), unit)))),
        }
    }
}

/// Looks out for changes of one unit. What has changed is for [`Supervisor::status_of`] to say.
#[derive(Debug)]
pub enum Watch {
    /// Told by systemd.
    Systemd(systemd::Watch),
    /// By looking again and again.
    Poll(Box<Poll>),
}

impl Watch {
    /// Waits until a look at the unit is worth it, at most `deadline` and often less; tells whether the supervisor
    /// spoke of a change since the last call.
    pub async fn changed(&mut self, deadline: Duration) -> bool {
        match self {
            Self::Systemd(watch) => watch.changed(deadline).await,
            Self::Poll(poll) => poll.changed(deadline).await,
        }
    }
}
