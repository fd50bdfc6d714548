//! A host, what is done to it, and what must hold after each step.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::check::Wrongs;
use super::drive::{self, Outcome};
use super::fault::Fault;
use super::host::SimHost;
use super::op::{Change, Op};
use super::random::Random;
use super::tree::Bytes;
use super::want::Want;

/// How long a unit that was started again may take until it counts as running.
const STEADY: Duration = Duration::from_secs(12);

/// How many steps a sequence has, before everything is set right and taken off again.
const LENGTH: usize = 10;

/// A host in the course of a sequence.
#[derive(Debug)]
pub(crate) struct Course {
    pub(crate) host: Arc<SimHost>,
    pub(crate) want: Want,
    /// Everything that was done so far.
    done: Vec<String>,
    /// What the last step itself asked the host for, each with the steps that it had.
    trace: Vec<(String, usize)>,
    /// All that was asked of the host.
    asked: Vec<String>,
    /// What is wanted is what was there after the last step.
    settled: bool,
    /// How many faults came to pass.
    pub(crate) faults: usize,
}

impl Course {
    pub(crate) fn new(urls: bool) -> Self {
        let (host, want) = (SimHost::new(), Want::new(urls));
        Self { host, want, done: Vec::new(), trace: Vec::new(), asked: Vec::new(), settled: false, faults: 0 }
    }

    /// A random sequence; in the end the host must be as it was in the beginning.
    pub(crate) async fn run(seed: u64, urls: bool) -> Result<Self, String> {
        let mut random = Random::new(seed);
        let mut course = Self::new(urls);
        for _ in 0..LENGTH {
            course.step(&Op::of(&mut random, urls)).await?;
        }
        course.step(&Op::Good(Change::Nothing)).await?;
        course.step(&Op::Uninstall).await?;
        Ok(course)
    }

    /// What was done, line by line.
    pub(crate) fn told(&self) -> String {
        self.done.iter().fold(String::new(), |mut told, line| {
            writeln!(told, "  {line}").expect("a string takes all");
            told
        })
    }

    /// What the last step itself asked the host for, each with the steps that it had.
    pub(crate) fn trace(&self) -> &[(String, usize)] {
        &self.trace
    }

    /// All that was done and asked, in virtual time.
    pub(crate) fn report(&self) -> String {
        format!("{}{}\nat {}", self.told(), self.asked.join("\n"), self.host.world().now_usec())
    }

    /// Notes what the operation that has just ended asked the host for.
    fn keep_trace(&mut self) {
        self.trace = self.host.trace();
        self.asked.extend(self.trace.iter().map(|(what, _)| what.clone()));
    }

    /// Does one thing and looks whether what must hold does.
    pub(crate) async fn step(&mut self, op: &Op) -> Result<(), String> {
        self.done.push(op.to_string());
        let wrongs = self.carry_out(op).await;
        let wrongs: Wrongs = wrongs.into_iter().chain(self.host.world().broken()).collect();
        if wrongs.is_empty() {
            return Ok(());
        }
        let trace = self.host.trace();
        Err(format!("{}wrong:\n  {}\nthe last operation did {trace:?}", self.told(), wrongs.join("\n  ")))
    }

    async fn carry_out(&mut self, op: &Op) -> Wrongs {
        match op {
            Op::Good(change) => self.good(*change).await,
            Op::Bad { service, behaviour } => self.bad(*service, behaviour).await,
            Op::Interrupted(op, fault) => self.interrupted(op, *fault).await,
            Op::Uninstall => self.uninstall().await,
            Op::Rollback => self.rollback().await,
            Op::Prune { secrets } => self.prune(*secrets).await,
            Op::Edit(unit) => {
                let mut world = self.host.world();
                let path = world.definition_of(unit);
                if let Some(text) = world.tree.text(&path) {
                    let edited = text.replace("restart=", "# by hand\nrestart=");
                    world.tree.put(&path, 0o644, Bytes::new(edited));
                    self.settled = false;
                }
                Vec::new()
            }
            Op::Reboot => {
                let ran = self.running();
                self.host.world().reboot();
                tokio::time::sleep(STEADY).await;
                self.runs_as_before(&ran)
            }
            Op::Crash(unit) => {
                let ran = self.running();
                {
                    let mut world = self.host.world();
                    let mains: Vec<u32> =
                        world.mains.iter().filter(|(_, main)| main.unit == *unit).map(|(pid, _)| *pid).collect();
                    for pid in mains {
                        world.signal(pid, "KILL");
                    }
                }
                // Its runner may have waited longer and longer already.
                tokio::time::sleep(Duration::from_secs(61) + STEADY).await;
                self.runs_as_before(&ran)
            }
            Op::KillRunner(unit) => {
                self.settled &= !self.host.world().kill_runner(unit);
                Vec::new()
            }
        }
    }

    async fn good(&mut self, change: Change) -> Wrongs {
        change.make(&mut self.want);
        let desired = self.want.desired(&self.host);
        let mut wrongs = Vec::new();
        if self.is_edited() {
            let before = self.files();
            let is_unfinished = self.host.world().has_journal();
            self.host.begin(None);
            match drive::apply(&self.host, &desired, false).await {
                Outcome::Obstructed(_) => {}
                // What an earlier change left half-done is finished or reverted first, and an edit goes with what it was made to.
                Outcome::Done if is_unfinished => {}
                other => wrongs.push(format!("an edited definition came to {other:?}")),
            }
            if self.files() != before && !is_unfinished {
                wrongs.push("something was changed although a definition is edited".to_owned());
            }
        }
        let is_edited = self.is_edited();
        self.host.begin(None);
        match drive::apply(&self.host, &desired, is_edited).await {
            Outcome::Done => {}
            other => wrongs.push(format!("a good apply came to {other:?}")),
        }
        self.keep_trace();
        if !wrongs.is_empty() {
            return wrongs;
        }
        tokio::time::sleep(STEADY).await;
        self.settled = true;
        wrongs.extend(self.differs_if_settled());
        wrongs.extend(self.leftovers());
        if !wrongs.is_empty() {
            return wrongs;
        }
        let before = self.files();
        self.host.begin(None);
        match drive::apply(&self.host, &desired, false).await {
            Outcome::Done if self.files() == before => {}
            Outcome::Done => wrongs.push("the same apply changed something again".to_owned()),
            other => wrongs.push(format!("the same apply again came to {other:?}")),
        }
        if !self.want.urls && self.host.trace().len() != 1 {
            wrongs.push("an apply that has nothing to do took more than one exchange".to_owned());
        }
        wrongs
    }

    async fn bad(&mut self, service: usize, behaviour: &str) -> Wrongs {
        let ran = self.running();
        Change::Nothing.make(&mut self.want);
        self.want.services[service].renew(behaviour);
        let desired = self.want.desired(&self.host);
        let is_edited = self.is_edited();
        self.settled = false;
        self.host.begin(None);
        let mut wrongs = match drive::apply(&self.host, &desired, is_edited).await {
            Outcome::RolledBack(_) => Vec::new(),
            Outcome::Unchecked(_) if self.want.checks => Vec::new(),
            other => vec![format!("a bad apply came to {other:?}")],
        };
        self.keep_trace();
        tokio::time::sleep(STEADY).await;
        wrongs.extend(self.leftovers());
        wrongs.extend(self.host.world().down(&ran));
        wrongs
    }

    async fn rollback(&mut self) -> Wrongs {
        let (ran, before) = (self.running(), self.files());
        self.host.begin(None);
        let came = drive::rollback(&self.host, &Want::units()).await;
        self.keep_trace();
        let mut wrongs = match came {
            Outcome::Done => self.leftovers(),
            Outcome::NoRelease if self.files() == before => Vec::new(),
            other => vec![format!("a rollback came to {other:?}")],
        };
        self.settled &= self.files() == before;
        tokio::time::sleep(STEADY).await;
        wrongs.extend(self.host.world().down(&ran));
        wrongs
    }

    async fn prune(&mut self, secrets: bool) -> Wrongs {
        let ran = self.running();
        self.host.begin(None);
        let came = drive::prune(&self.host, &Want::units(), secrets).await;
        self.keep_trace();
        let mut wrongs = if came == Outcome::Done { Vec::new() } else { vec![format!("a prune came to {came:?}")] };
        wrongs.extend(self.leftovers());
        let world = self.host.world();
        wrongs.extend(world.down(&ran));
        if secrets {
            wrongs.extend(world.old_secrets());
        }
        wrongs
    }

    async fn interrupted(&mut self, op: &Op, fault: Fault) -> Wrongs {
        match op {
            Op::Good(change) => change.make(&mut self.want),
            Op::Bad { service, behaviour } => {
                Change::Nothing.make(&mut self.want);
                self.want.services[*service].renew(behaviour);
            }
            _ => {}
        }
        let desired = self.want.desired(&self.host);
        let ran = self.running();
        let is_edited = self.is_edited();
        self.settled = false;
        self.host.begin(Some(fault));
        let units = Want::units();
        let came = match op {
            Op::Uninstall => self.host.until_death(drive::uninstall(&self.host, &units)).await,
            Op::Rollback => self.host.until_death(drive::rollback(&self.host, &units)).await,
            Op::Prune { secrets } => self.host.until_death(drive::prune(&self.host, &units, *secrets)).await,
            _ => self.host.until_death(drive::apply(&self.host, &desired, is_edited)).await,
        };
        self.keep_trace();
        let has_failed = self.host.has_failed();
        self.done.push(if has_failed {
            format!("… came to {came:?}")
        } else {
            "… was over before that".to_owned()
        });
        self.faults += usize::from(has_failed);
        let mut wrongs = Vec::new();
        if came == Some(Outcome::Done) && matches!(op, Op::Bad { .. }) {
            wrongs.push("a bad apply came to its end".to_owned());
        }
        self.host.begin(None);
        tokio::time::sleep(STEADY).await;
        let world = self.host.world();
        match op {
            Op::Uninstall => {}
            // Where nobody is left who could go back, the bad release is in effect.
            Op::Bad { .. } if !matches!(came, Some(Outcome::RolledBack(_))) => {
                let is_sound = |unit: &&String| !world.is_in_doubt(unit);
                wrongs.extend(world.down(&ran.iter().filter(is_sound).cloned().collect::<Vec<_>>()));
            }
            _ => wrongs.extend(world.down(&ran)),
        }
        drop(world);
        wrongs
    }

    async fn uninstall(&mut self) -> Wrongs {
        self.settled = false;
        self.host.begin(None);
        let came = drive::uninstall(&self.host, &Want::units()).await;
        self.keep_trace();
        if came != Outcome::Done {
            return vec![format!("an uninstall came to {came:?}")];
        }
        self.host.world().remains()
    }

    /// What is left over although somebody has changed something, or just looked.
    fn leftovers(&self) -> Wrongs {
        let world = self.host.world();
        let changed = self.trace.iter().any(|(what, _)| what.starts_with("change"));
        let temporary = if changed { world.temporary() } else { Vec::new() };
        [world.leftovers(), temporary].concat()
    }

    /// What is wrong where nothing was to change.
    fn runs_as_before(&self, ran: &[String]) -> Wrongs {
        let mut wrongs = self.host.world().down(ran);
        wrongs.extend(self.differs_if_settled());
        wrongs
    }

    fn differs_if_settled(&self) -> Wrongs {
        let desired = self.want.desired(&self.host);
        if self.settled { self.host.world().differs(&desired) } else { Vec::new() }
    }

    /// The units that run and whose programs do not end by themselves, neither those that run nor those of their definitions:
    /// a bad release that was left half-done takes effect with the next restart.
    fn running(&self) -> Vec<String> {
        let world = self.host.world();
        let is_sound = |unit: &String| world.down(std::slice::from_ref(unit)).is_empty() && !world.ends_by_itself(unit);
        Want::units().into_iter().filter(is_sound).collect()
    }

    fn is_edited(&self) -> bool {
        let world = self.host.world();
        let is_edited = |unit: String| {
            let text = world.tree.text(&world.definition_of(&unit)).unwrap_or_default();
            text.contains("# by hand")
        };
        world.defined().into_iter().any(is_edited)
    }

    /// The files that unitbee itself writes; those of the runners change with time.
    fn files(&self) -> Vec<(camino::Utf8PathBuf, u32, Arc<Bytes>)> {
        let world = self.host.world();
        let files = world.tree.files().filter(|(path, ..)| !path.starts_with("/home/bee/.local/state"));
        files.map(|(path, mode, bytes)| (path.to_owned(), mode, Arc::clone(bytes))).collect()
    }
}
