//! [`Host`] over a simulated [`World`].

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use unitbee::host::{
    Batch, Changed, Command, ConnectFault, Endpoint, Fence, Forward, Guard, Host, HostError, Lease, Observation,
    Output, Pipe, Query,
};

use super::change::steps;
use super::fault::{Cut, Fault, Kind};
use super::http;
use super::order;
use super::verbs;
use super::world::World;

const NAME: &str = "sim";

/// How long an exchange with the host takes.
const LATENCY: Duration = Duration::from_millis(10);

/// The host as one controller after another sees it.
#[derive(Debug)]
pub(crate) struct SimHost {
    world: Arc<Mutex<World>>,
    session: Mutex<Session>,
    death: Notify,
}

/// What one operation has done so far.
#[derive(Debug, Default)]
struct Session {
    /// Every primitive, with the steps that it had.
    trace: Vec<(String, usize)>,
    fault: Option<Fault>,
    is_dead: bool,
    /// Set when the connection is lost.
    cut: CancellationToken,
}

impl SimHost {
    pub(crate) fn new() -> Arc<Self> {
        let world = Arc::new(Mutex::new(World::new()));
        Arc::new(Self { world, session: Mutex::default(), death: Notify::new() })
    }

    /// The world as it is now.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        verbs::locked(&self.world)
    }

    /// A new controller, a link that works, a disk with space on it; and what is to go wrong next.
    pub(crate) fn begin(&self, fault: Option<Fault>) {
        *self.session() = Session { fault, ..Session::default() };
        let mut world = self.world();
        world.disk_full = false;
        world.give_back_locks();
    }

    /// What was asked of the host since [`Self::begin`].
    pub(crate) fn trace(&self) -> Vec<(String, usize)> {
        self.session().trace.clone()
    }

    /// Whether the fault has come to pass.
    pub(crate) fn has_failed(&self) -> bool {
        self.session().fault.is_none()
    }

    /// Does some work as a controller that a fault may kill; `None` where one did.
    pub(crate) async fn until_death<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.death.notified() => None,
        }
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a primitive; gives the fault that is to befall it.
    async fn primitive(&self, what: String, steps: usize) -> Result<Option<Fault>, HostError> {
        tokio::time::sleep(LATENCY).await;
        let (is_dead, fault) = {
            let mut session = self.session();
            if session.cut.is_cancelled() {
                let (fault, detail) = (ConnectFault::Unreachable, "Network is unreachable".to_owned());
                return Err(HostError::Connect { host: NAME.to_owned(), fault, detail, alternative: None });
            }
            session.trace.push((what.clone(), steps));
            let count = session.trace.len();
            (session.is_dead, session.fault.take_if(|fault| fault.at == count))
        };
        if is_dead {
            std::future::pending::<()>().await;
        }
        match fault {
            Some(Fault { kind: Kind::DiskFull, .. }) => {
                self.world().disk_full = true;
                Ok(None)
            }
            Some(fault) if fault.cut == Cut::Before || fault.kind == Kind::Refused => {
                Err(self.befall(fault, what).await)
            }
            other => Ok(other),
        }
    }

    /// What our side gets of a fault.
    async fn befall(&self, fault: Fault, during: String) -> HostError {
        let host = NAME.to_owned();
        match fault.kind {
            Kind::ControllerDies => {
                self.session().is_dead = true;
                self.world().give_back_locks();
                self.death.notify_one();
                std::future::pending().await
            }
            Kind::LinkCut => {
                self.session().cut.cancel();
                self.world().give_back_locks();
                HostError::Lost { host, during }
            }
            Kind::FarSideDies => HostError::Lost { host, during },
            Kind::Refused | Kind::DiskFull => {
                HostError::Change { host, step: during, detail: "Operation not permitted".to_owned() }
            }
        }
    }

    /// The end of a primitive whose work is done: what was answered, or what came of a fault.
    async fn ended<T>(&self, fault: Option<Fault>, during: &str, answer: T) -> Result<T, HostError> {
        match fault {
            None => Ok(answer),
            Some(fault) => Err(self.befall(fault, during.to_owned()).await),
        }
    }
}

#[async_trait]
impl Host for SimHost {
    fn name(&self) -> &str {
        NAME
    }

    fn is_local(&self) -> bool {
        false
    }

    fn exchanges(&self) -> u32 {
        u32::try_from(self.session().trace.len()).unwrap_or(u32::MAX)
    }

    async fn known_uid(&self) -> Option<u32> {
        None
    }

    async fn renew(&self) -> Result<bool, HostError> {
        Ok(false)
    }

    async fn forward_ahead(&self, _: &Endpoint) -> Option<Forward> {
        None
    }

    async fn query(&self, query: &Query) -> Result<Observation, HostError> {
        let fault = self.primitive("query".to_owned(), 0).await?;
        let observation = observe(&self.world(), query);
        self.ended(fault, "query", observation).await
    }

    async fn lock(&self, name: &str, owner: &str, query: &Query) -> Result<(Lease, Observation), HostError> {
        let fault = self.primitive(format!("lock {name}"), 0).await?;
        let (lease, observation) = {
            let mut world = self.world();
            if let Some(owner) = world.holder(name) {
                return Err(HostError::Busy { host: NAME.to_owned(), owner, held_for: None });
            }
            let failed = |(step, detail): (String, &str)| HostError::Change {
                host: NAME.to_owned(),
                step,
                detail: detail.to_owned(),
            };
            assert!(!owner.is_empty(), "whoever waits is told for whom");
            let fence = world.take_lock(name).map_err(failed)?;
            let held = Held { fence: fence.clone(), world: Arc::clone(&self.world) };
            (Lease::new(fence, Box::new(held)), observe(&world, query))
        };
        self.ended(fault, "lock", (lease, observation)).await
    }

    async fn change(&self, batch: &Batch, progress: &(dyn Fn(u64) + Send + Sync)) -> Result<Changed, HostError> {
        let steps = steps(batch);
        let fault = self.primitive(format!("change {}", summary(batch)), steps).await?;
        progress(0);
        let until = match fault {
            Some(Fault { cut: Cut::Step(step), kind: Kind::FarSideDies, .. }) => step,
            _ => steps,
        };
        let changed = self.world().change(NAME, batch, until)?;
        self.ended(fault, "change", changed).await
    }

    async fn run(&self, command: &Command) -> Result<Output, HostError> {
        let is_word = |arg: &&String| !arg.starts_with(['/', '-', '#']) && !arg.contains('\n');
        let during = command.args.iter().find(is_word).map_or("check", String::as_str);
        let fault = self.primitive(format!("run {during}"), 0).await?;
        self.world().guard(NAME, command.fence.as_ref())?;
        let output = tokio::time::timeout(command.deadline, verbs::run(&self.world, command)).await;
        let late =
            |_| HostError::Deadline { host: NAME.to_owned(), during: during.to_owned(), deadline: command.deadline };
        self.ended(fault, during, output.map_err(late)?).await
    }

    async fn pipe(&self, command: &Command) -> Result<Pipe, HostError> {
        let fault = self.primitive("pipe".to_owned(), 0).await?;
        self.world().guard(NAME, command.fence.as_ref())?;
        let cut = self.session().cut.clone();
        let pipe = order::give(&self.world, command, cut);
        self.ended(fault, "pipe", pipe).await
    }

    async fn forward(&self, to: &Endpoint) -> Result<Forward, HostError> {
        let fault = self.primitive(format!("forward {to:?}"), 0).await?;
        let Endpoint::Tcp { port, .. } = to else { panic!("{to:?} is not on this host") };
        let failed = |source| HostError::Io { host: NAME.to_owned(), during: "forward".to_owned(), source };
        let forward = http::forward(&self.world, *port).map_err(failed)?;
        self.ended(fault, "forward", forward).await
    }
}

fn observe(world: &World, query: &Query) -> Observation {
    Observation { facts: world.facts(), answers: query.asks.iter().map(|ask| world.answer(ask)).collect() }
}

fn summary(batch: &Batch) -> String {
    format!("+{} -{} {}", batch.puts.len(), batch.removes.len(), batch.prune.len())
}

/// The lock, held.
struct Held {
    fence: Fence,
    world: Arc<Mutex<World>>,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lock {:?}", self.fence)
    }
}

impl Guard for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        let mut world = verbs::locked(&self.world);
        if world.guard(NAME, Some(&self.fence)).is_ok() {
            world.give_back_locks();
        }
    }
}
