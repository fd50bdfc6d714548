//! systemd's user manager: over its bus where that can be reached, else through `systemctl --user`.
//!
//! The manager is asked, never a pid file or a cgroup. Its interface is org.freedesktop.systemd1(5); on the user's own
//! bus no polkit is involved. No property is cached: without a subscription a cached state would stay as it was, and
//! memory or task counts send no signal at all.

mod approach;
mod bus;
mod call;
mod dependents;
pub mod drop_in;
mod job;
mod linger;
mod link;
mod load_state;
mod manager;
mod names;
mod properties;
mod reason;
mod socket;
mod state;
mod systemctl;
mod unit_text;
mod watch;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use camino::Utf8PathBuf;
use futures_util::{StreamExt, TryFutureExt, TryStreamExt, stream};
use tracing::debug;

pub(super) use self::approach::Approach;
use self::call::{CallError, Outcome, Verb};
use self::link::{Account, Found, Link};
use self::properties::Properties;
pub use self::watch::Watch;
use super::clock::Clock;
use super::{JobResult, Persistence, State, SupervisorError, Transport, UnitStatus, Whom};
use crate::host::process::Signal;
use crate::host::{Answer, Ask, Base, Facts, Host, HostPath, Query};

/// How many units are read at a time.
const CONCURRENT_READS: usize = 16;

/// How long a slice without processes may take to stop.
const SLICE_STOPS: Duration = Duration::from_secs(30);

/// systemd's user manager on one host.
#[derive(Debug)]
pub struct Systemd {
    host: Arc<dyn Host>,
    account: Account,
    clock: Clock,
    linger: bool,
    /// The account's folder of configuration.
    config: Utf8PathBuf,
    link: RwLock<Arc<Link>>,
}

pub(super) async fn ensure_persistent(host: &dyn Host, facts: &Facts) -> Result<Persistence, SupervisorError> {
    linger::ensure(host, facts).await
}

impl Systemd {
    pub(super) async fn connect(
        approach: Approach,
        host: Arc<dyn Host>,
        facts: &Facts,
    ) -> Result<Self, SupervisorError> {
        // Before it connects, for that takes its time.
        let clock = Clock::of(facts);
        let account = Account::of(facts);
        let found = Found { bus: facts.bus, systemd: facts.systemd, linger: facts.linger };
        let link = match approach.of(facts.uid) {
            Some(bus) => Link::Bus(bus),
            None => Link::open(&host, &account, found).await?,
        };
        Ok(Self {
            host,
            account,
            clock,
            linger: facts.linger,
            config: facts.config.clone(),
            link: RwLock::new(Arc::new(link)),
        })
    }

    pub(super) fn transport(&self) -> Transport {
        self.link.read().unwrap_or_else(PoisonError::into_inner).transport()
    }

    pub(super) fn now(&self) -> i64 {
        self.clock.now()
    }

    pub(super) async fn version(&self) -> Result<Option<u32>, SupervisorError> {
        self.link().await?.identify(self.host.as_ref(), &self.account).await
    }

    pub(super) async fn status(&self, units: &[String]) -> Result<Vec<UnitStatus>, SupervisorError> {
        let link = self.link().await?;
        let names = units.iter().map(|unit| names::service(unit)).collect::<Vec<_>>();
        let identify = link.identify(self.host.as_ref(), &self.account);
        let (_, all) = tokio::try_join!(identify, self.read(link.as_ref(), &names))?;
        let now = self.clock.now_usec();
        Ok(units.iter().zip(&all).map(|(unit, properties)| state::unit_status(unit, properties, now)).collect())
    }

    /// The properties of units, in the same order.
    async fn read(&self, link: &Link, names: &[String]) -> Result<Vec<Properties>, SupervisorError> {
        match link {
            Link::Bus(bus) => {
                let reads = names.iter().map(|name| bus.service(name).map_err(self.error("status", name)));
                stream::iter(reads).buffered(CONCURRENT_READS).try_collect().await
            }
            Link::Systemctl(systemctl, _) => {
                systemctl.properties(names).await.map_err(|error| error.within(self.host.name(), "status", None))
            }
        }
    }

    pub(super) async fn status_of(&self, unit: &str) -> Result<UnitStatus, SupervisorError> {
        let mut all = self.status(&[unit.to_owned()]).await?;
        all.pop().ok_or_else(|| self.error("status", unit)(CallError::Broken("no answer".to_owned())))
    }

    pub(super) async fn daemon_reload(&self) -> Result<(), SupervisorError> {
        let done = match self.manager().await?.as_ref() {
            Link::Bus(bus) => bus.manager("Reload", &()).await.map(drop),
            Link::Systemctl(systemctl, _) => systemctl.act("daemon-reload", []).await.map(drop),
        };
        done.map_err(|error| error.within(self.host.name(), "daemon-reload", None))
    }

    /// A reload only reads limits: systemd writes them into the cgroup of a unit that runs when something of its slice
    /// is started, or when a property of the unit is set. One that cannot (systemd 247) is told apart by its cgroup.
    pub(super) async fn realize_limits(&self, unit: &str) -> Result<(), SupervisorError> {
        let name = names::service(unit);
        let done = match self.manager().await?.as_ref() {
            Link::Bus(bus) => bus.realize(&name).await,
            Link::Systemctl(systemctl, _) => systemctl.realize(&name).await,
        };
        match done {
            Err(CallError::Refused { words, .. }) => {
                debug!(host = self.host.name(), unit, words, "limits are not written into the cgroup");
                Ok(())
            }
            done => done.map_err(self.error("set the limits of", unit)),
        }
    }

    pub(super) async fn start(&self, unit: &str, deadline: Duration) -> Result<JobResult, SupervisorError> {
        self.run_job(Verb::Start, unit, deadline).await
    }

    pub(super) async fn stop(&self, unit: &str, deadline: Duration) -> Result<JobResult, SupervisorError> {
        match self.run_job(Verb::Stop, unit, deadline).await {
            // What is not loaded does not run.
            Err(error) if error.is_no_such_unit() => Ok(JobResult::Done),
            end => end,
        }
    }

    pub(super) async fn reload(&self, unit: &str, deadline: Duration) -> Result<JobResult, SupervisorError> {
        self.run_job(Verb::Reload, unit, deadline).await
    }

    pub(super) async fn stop_slice(&self, slice: &str) -> Result<(), SupervisorError> {
        let name = names::slice(slice);
        // To stop a slice is to stop all that is in it, also what waits for its next restart.
        if self.has_active_members(&name).await? {
            return Ok(());
        }
        let outcome = match self.manager().await?.as_ref() {
            Link::Bus(bus) => job::run(bus, Verb::Stop, &name, SLICE_STOPS).await,
            Link::Systemctl(systemctl, _) => systemctl.job(Verb::Stop, &name, SLICE_STOPS).await,
        };
        match outcome {
            Err(error) if !error.is_no_such_unit() => Err(self.error("stop", &name)(error)),
            _ => Ok(()),
        }
    }

    async fn has_active_members(&self, slice: &str) -> Result<bool, SupervisorError> {
        let link = self.manager().await?;
        let members = self.units(&link, &[slice.to_owned()]).await?.pop().unwrap_or_default().list("RequiredBy");
        Ok(self.units(&link, &members).await?.iter().any(dependents::is_active))
    }

    /// What is told of units of any kind, in the same order.
    async fn units(&self, link: &Link, names: &[String]) -> Result<Vec<Properties>, SupervisorError> {
        let look = match link {
            Link::Bus(bus) => {
                let reads = names.iter().map(|name| bus.unit(name));
                stream::iter(reads).buffered(CONCURRENT_READS).try_collect().await
            }
            Link::Systemctl(systemctl, _) => systemctl.properties(names).await,
        };
        look.map_err(self.error("look into", &names.join(" ")))
    }

    async fn run_job(&self, verb: Verb, unit: &str, deadline: Duration) -> Result<JobResult, SupervisorError> {
        let name = names::service(unit);
        let outcome = match self.manager().await?.as_ref() {
            Link::Bus(bus) => job::run(bus, verb, &name, deadline).await,
            Link::Systemctl(systemctl, _) => systemctl.job(verb, &name, deadline).await,
        };
        Ok(match outcome.map_err(self.error(verb.as_str(), unit))? {
            Outcome::Ended(result) if result == "done" => JobResult::Done,
            Outcome::Ended(result) => JobResult::Failed { result },
            Outcome::Unseen(cause) => JobResult::Unseen { cause, status: Box::new(self.status_of(unit).await?) },
        })
    }

    pub(super) async fn enable(&self, units: &[String]) -> Result<bool, SupervisorError> {
        let names: Vec<String> = units.iter().map(|unit| names::service(unit)).collect();
        let changed = match self.manager().await?.as_ref() {
            Link::Bus(bus) => bus.enable(&names).await,
            Link::Systemctl(systemctl, _) => systemctl.enable(&names).await,
        };
        changed.map_err(self.error("enable", &units.join(" ")))
    }

    pub(super) async fn disable(&self, units: &[String]) -> Result<bool, SupervisorError> {
        let link = self.manager().await?;
        let mut any = false;
        for unit in units {
            let name = names::service(unit);
            let changed = match link.as_ref() {
                Link::Bus(bus) => bus.disable(&name).await,
                Link::Systemctl(systemctl, _) => systemctl.disable(&name).await,
            };
            any |= changed.map_err(self.error("disable", unit))?;
        }
        Ok(any)
    }

    pub(super) async fn kill(&self, unit: &str, whom: Whom, signal: Signal) -> Result<(), SupervisorError> {
        let done = match self.manager().await?.as_ref() {
            Link::Bus(bus) => bus.kill(&names::service(unit), whom, signal).await,
            Link::Systemctl(systemctl, _) => systemctl.kill(&names::service(unit), whom, signal).await,
        };
        done.map_err(self.error("kill", unit))
    }

    pub(super) async fn reset_failed(&self, unit: &str) -> Result<(), SupervisorError> {
        let done = match self.manager().await?.as_ref() {
            Link::Bus(bus) => bus.reset_failed(&names::service(unit)).await,
            Link::Systemctl(systemctl, _) => systemctl.reset_failed(&names::service(unit)).await,
        };
        done.map_err(self.error("reset-failed", unit))
    }

    /// systemd knows what lives; only the failure of a unit whose file is gone stays until somebody resets it.
    pub(super) async fn clean_stale(&self, unit: &str) -> Result<Option<String>, SupervisorError> {
        let status = self.status_of(unit).await?;
        let State::Failed { reason } = status.state else { return Ok(None) };
        if status.installed {
            return Ok(None);
        }
        self.reset_failed(unit).await?;
        Ok(Some(format!("the failure of a unit that is not installed ({reason})")))
    }

    pub(super) async fn processes(&self, unit: &str) -> Result<Vec<u32>, SupervisorError> {
        self.processes_of(&names::service(unit)).await
    }

    async fn processes_of(&self, name: &str) -> Result<Vec<u32>, SupervisorError> {
        match self.manager().await?.as_ref() {
            Link::Bus(bus) => bus.processes(name).await.map_err(self.error("list the processes of", name)),
            Link::Systemctl(systemctl, _) => {
                let shown = systemctl.properties_of(name).await.map_err(self.error("list the processes of", name))?;
                self.cgroup_processes(shown.cgroup("ControlGroup")).await
            }
        }
    }

    /// The processes of a cgroup as the kernel lists them.
    async fn cgroup_processes(&self, cgroup: Option<&str>) -> Result<Vec<u32>, SupervisorError> {
        let below = format!("/user@{}.service/", self.account.uid);
        let Some((_, rel)) = cgroup.and_then(|path| path.split_once(&below)) else { return Ok(Vec::new()) };
        let query = Query { asks: vec![Ask::Cgroup(HostPath::new(Base::Cgroup, rel))] };
        Ok(match self.host.query(&query).await?.answers.pop() {
            Some(Answer::Cgroup(Some(found))) => found.processes.into_iter().map(|process| process.pid).collect(),
            _ => Vec::new(),
        })
    }

    pub(super) async fn is_gone(&self, unit: &str) -> Result<bool, SupervisorError> {
        let name = names::service(unit);
        let link = self.manager().await?;
        let shown = self.read(link.as_ref(), std::slice::from_ref(&name)).await?.pop().unwrap_or_default();
        let is_known = shown.text("LoadState") != "not-found"
            || shown.text("ActiveState") != "inactive"
            || !shown.text("FragmentPath").is_empty();
        Ok(!is_known && self.processes_of(&name).await?.is_empty())
    }

    pub(super) async fn watch(&self, unit: &str) -> Result<Watch, SupervisorError> {
        match self.manager().await?.as_ref() {
            Link::Bus(bus) => Watch::signals(bus, &names::service(unit)).await.map_err(self.error("watch", unit)),
            Link::Systemctl(..) => Ok(Watch::polling()),
        }
    }

    /// The way to the manager, opened again if it broke.
    async fn link(&self) -> Result<Arc<Link>, SupervisorError> {
        let link = Arc::clone(&self.link.read().unwrap_or_else(PoisonError::into_inner));
        if !link.is_lost() {
            return Ok(link);
        }
        let link = Arc::new(
            Link::open(&self.host, &self.account, Found { bus: true, systemd: true, linger: self.linger }).await?,
        );
        *self.link.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&link);
        Ok(link)
    }

    /// The same, known to lead to the right manager.
    async fn manager(&self) -> Result<Arc<Link>, SupervisorError> {
        let link = self.link().await?;
        link.identify(self.host.as_ref(), &self.account).await?;
        Ok(link)
    }

    fn error(&self, operation: &'static str, unit: &str) -> impl FnOnce(CallError) -> SupervisorError {
        move |error| error.within(self.host.name(), operation, Some(unit))
    }
}
