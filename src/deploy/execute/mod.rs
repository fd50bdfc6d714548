//! The one executor of steps: for apply, rollback, uninstall, and moves between supervisors.
//!
//! Neighbouring steps that only write files go to the host in one exchange; so do neighbouring units that are enabled.
//! Each step is told when it begins and when it ends.

mod lane;
mod removal;

use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) use self::lane::{Passed, Rejected};
use super::audit::AuditLine;
use super::change::Change;
use super::converge::Session;
use super::error::ApplyError;
use super::event::{Event, Sink};
use super::journal::{self, Entry, Journal};
use super::plan::{Plan, is_empty};
use super::step::{Action, Step, StepId};
use crate::host::{self, Batch, Facts, Host, HostError, Lease, Query};
use crate::lifecycle::graceful_shutdown;
use crate::lifecycle::stop::is_outside;
use crate::service::spec::Stop;
use crate::supervisor::{self, Approach, Persistence, Supervisor, SupervisorError, SupervisorKind};

/// Carries out the steps of plans on one host, under its lock.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Executor<'a> {
    pub(super) host: &'a Arc<dyn Host>,
    pub(super) lease: &'a Lease,
    pub(super) events: Sink<'a>,
    /// Who makes the change.
    change: &'a Change<'a>,
    pub(super) facts: Facts,
    /// The manager that the host's services are for.
    manager: SupervisorKind,
    supervisors: BTreeMap<SupervisorKind, Arc<Supervisor>>,
    journal: Journal,
    is_open: bool,
    /// Whether the journal stays when this is done: it says more than what is done here.
    keeps_journal: bool,
    /// Steps that go along with the next files.
    deferred: Vec<Step>,
    /// What the audit log gets when the journal is closed.
    audit: Vec<AuditLine>,
    /// Whether the host keeps an audit log: it goes with the last unit.
    pub(super) keeps_audit: bool,
    /// Whether the journal may be done without: what fills the disk can be removed without a free byte.
    pub(super) spares_journal: bool,
    /// Managers that have to hear that definitions are gone.
    left: Vec<SupervisorKind>,
    sent: u64,
    total: u64,
    pub(super) outcome: Outcome,
}

/// What carrying out a plan came to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Whether anything but the host's own settings was changed.
    pub(super) changed: bool,
    /// Set where the services end with the session: the command that fixes it, and what the host said.
    pub(super) not_persistent: Option<(String, String)>,
    /// Units that passed, and those that go on running under new limits.
    pub(super) up: Vec<Passed>,
    /// Releases that took effect or were about to, of the units of waves that were begun.
    pub(super) begun: Vec<(String, u32)>,
}

impl Outcome {
    /// Whether the turn of a unit has come.
    pub(super) fn has_begun(&self, unit: &str) -> bool {
        self.begun.iter().any(|(begun, _)| begun == unit)
    }
}

/// How a plan ended that was carried out without an error of the host's.
pub(super) enum Ended {
    /// Every gate was passed.
    Whole,
    /// Some did not pass; nothing after their wave was begun.
    Rejected(Vec<Rejected>),
    /// Somebody asked for the end between two waves.
    Interrupted,
}

impl<'a> Executor<'a> {
    pub(super) fn new(session: &Session<'a>, facts: Facts, manager: SupervisorKind, journal: Journal) -> Self {
        Self {
            host: session.host,
            lease: session.lease,
            events: session.events,
            change: session.change,
            facts,
            manager,
            supervisors: BTreeMap::new(),
            journal,
            is_open: false,
            keeps_journal: session.recovering.is_some(),
            deferred: Vec::new(),
            audit: Vec::new(),
            keeps_audit: true,
            spares_journal: false,
            left: Vec::new(),
            sent: 0,
            total: 0,
            outcome: Outcome::default(),
        }
    }

    /// Takes over a connection that is there already.
    pub(super) fn with(mut self, supervisor: Option<Arc<Supervisor>>) -> Self {
        self.supervisors.extend(supervisor.map(|supervisor| (supervisor.kind(), supervisor)));
        self
    }

    /// Carries out a plan: its preparations, its waves until one does not pass, and what finishes it if all do.
    pub(super) async fn run(&mut self, plan: &Plan) -> Result<Ended, ApplyError> {
        self.total = plan.bytes();
        self.sent = 0;
        self.remember(&plan.entries);
        self.outcome.changed |= !plan.only_lingers();
        // Each is looked at again when it is stopped, but then files are changed already.
        if let Ok(supervisor) = self.supervisor(self.manager).await {
            let replaces = |step: &&Step| matches!(&step.action, Action::Launch { replaces: Some(_) });
            for step in plan.steps().filter(replaces) {
                is_outside(self.host.as_ref(), &supervisor, step.unit.as_deref().unwrap_or_default()).await?;
            }
        }
        self.steps(&plan.prepare).await?;
        for wave in &plan.waves {
            if self.change.interrupt.is_cancelled() {
                return Ok(Ended::Interrupted);
            }
            self.outcome.begun.extend(wave.lanes.iter().map(|lane| (lane.spec.unit.to_string(), lane.release)));
            self.steps(&wave.shared).await?;
            let rejected = self.lanes(wave).await?;
            if !rejected.is_empty() {
                self.flush().await?;
                return Ok(Ended::Rejected(rejected));
            }
        }
        for Entry { unit, to, .. } in &plan.entries {
            self.audit(unit, *to, if to.is_some() { "done" } else { "removed" });
        }
        self.steps(&plan.finish).await?;
        self.flush().await?;
        Ok(Ended::Whole)
    }

    /// Writes what was put off, and closes the journal if it is open.
    pub(super) async fn close(&mut self, batch: Batch) -> Result<(), ApplyError> {
        let mut steps = Vec::new();
        if !is_empty(&batch) {
            let does = "remove what was left of the change";
            steps.push(Step::new(StepId::only("clean"), does, Action::Files(batch)));
        }
        if self.is_open {
            steps.push(Step::new(StepId::only("close"), "close the journal", Action::CloseJournal));
        }
        self.steps(&steps).await?;
        self.flush().await
    }

    /// Removes files of these units, with nothing else to be done. The journal comes and goes with that, in one exchange; on a
    /// full disk, which this may be for, it is done without.
    pub(super) async fn remove(&mut self, batch: Batch, entries: &[Entry]) -> Result<(), ApplyError> {
        self.remember(entries);
        let mut batch = Batch {
            fence: Some(self.lease.fence().clone()),
            appends: self.audit.drain(..).map(|line| line.append()).collect(),
            ..batch
        };
        let bare = batch.clone();
        batch.puts.push(journal::put(&self.journal, &self.facts));
        batch.removes.push(journal::path(&self.facts));
        batch.prune.extend(supervisor::layout::journal_folders());
        match self.host.change(&batch, &|_| ()).await {
            Err(HostError::Change { .. }) => self.host.change(&bare, &|_| ()).await?,
            done => done?,
        };
        Ok(())
    }

    /// Notes how the change of a unit ended, for the audit log.
    pub(super) fn audit(&mut self, unit: &str, release: Option<u32>, result: &str) {
        let Change { by, verb, .. } = *self.change;
        self.audit.retain(|line| line.unit != unit);
        self.audit.push(AuditLine {
            usec: self.facts.now_usec,
            by: by.to_owned(),
            verb: verb.to_owned(),
            unit: unit.to_owned(),
            release,
            result: result.to_owned(),
        });
    }

    /// Notes further units in the journal.
    fn remember(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.journal.units.retain(|known| known.unit != entry.unit);
            self.journal.units.push(entry.clone());
        }
    }

    /// Carries out steps in their order.
    pub(super) async fn steps(&mut self, steps: &[Step]) -> Result<(), ApplyError> {
        let mut rest = steps;
        while let Some(first) = rest.first() {
            let same = rest.iter().take_while(|step| joins(&first.action, &step.action)).count();
            let (group, after) = rest.split_at(same);
            if is_files(&first.action) {
                self.deferred.extend_from_slice(group);
                // More may come that goes along.
                if !after.is_empty() {
                    self.flush().await?;
                }
            } else {
                self.flush().await?;
                self.begun(group);
                let done = self.carry_out(group).await;
                self.ended(group, done.is_ok());
                done?;
                self.journal.after = group.last().map(|step| step.id.clone());
            }
            rest = after;
        }
        Ok(())
    }

    fn begun(&self, steps: &[Step]) {
        for step in steps {
            (self.events)(Event::StepBegan { step: step.id.to_string(), unit: step.unit.clone() });
        }
    }

    fn ended(&self, steps: &[Step], ok: bool) {
        for step in steps {
            (self.events)(Event::StepEnded { step: step.id.to_string(), unit: step.unit.clone(), ok });
        }
    }

    /// Sends the files that were put off, in one exchange.
    pub(super) async fn flush(&mut self) -> Result<(), ApplyError> {
        let steps = std::mem::take(&mut self.deferred);
        let Some(last) = steps.last() else { return Ok(()) };
        self.journal.after = Some(last.id.clone());
        let mut batch = Batch { fence: Some(self.lease.fence().clone()), ..Batch::default() };
        let closes = steps.iter().any(|step| matches!(step.action, Action::CloseJournal));
        self.is_open |= steps.iter().any(|step| matches!(step.action, Action::OpenJournal));
        if self.is_open && (!closes || self.keeps_journal) {
            batch.puts.push(journal::put(&self.journal, &self.facts));
        }
        for step in &steps {
            if let Action::Files(files) = &step.action {
                batch.puts.extend(files.puts.iter().cloned());
                batch.removes.extend(files.removes.iter().cloned());
                batch.prune.extend(files.prune.iter().cloned());
                batch.appends.extend(files.appends.iter().cloned());
            }
        }
        if closes {
            if !self.keeps_journal {
                batch.removes.push(journal::path(&self.facts));
                batch.prune.extend(supervisor::layout::journal_folders());
            }
            let audit = std::mem::take(&mut self.audit);
            batch.appends.extend(audit.iter().filter(|_| self.keeps_audit).map(AuditLine::append));
        }
        self.begun(&steps);
        let (sent, total, events) = (self.sent, self.total, self.events);
        let done = self.host.change(&batch, &|bytes| events(Event::Sent { bytes: sent + bytes, total })).await;
        self.ended(&steps, done.is_ok());
        if let Err(error) = done.map_err(ApplyError::from) {
            let only_opens = steps.iter().all(|step| matches!(step.action, Action::OpenJournal));
            if !(only_opens && self.spares_journal) || error.is_about_the_host() {
                return Err(error);
            }
            self.is_open = false;
        }
        self.sent += steps.iter().map(Step::bytes).sum::<u64>();
        self.is_open &= !closes;
        // The journal and the marks are nobody's files.
        let files = steps.iter().filter(|step| step.id.verb() != "accept").map(|step| match &step.action {
            Action::Files(files) => files.puts.len(),
            _ => 0,
        });
        match files.sum() {
            0 => {}
            files => events(Event::Written { files }),
        }
        Ok(())
    }

    async fn carry_out(&mut self, group: &[Step]) -> Result<(), ApplyError> {
        let Some(step) = group.first() else { return Ok(()) };
        let unit = step.unit.as_deref().unwrap_or_default();
        match &step.action {
            Action::Check(check) => {
                let said = check.run(self.host.as_ref()).await?;
                (self.events)(Event::Checked { unit: unit.to_owned(), said });
            }
            Action::StagePrivileged(batch) => host::stage_as_root(self.host.as_ref(), batch).await?,
            Action::Privileged(batch) => {
                self.lease.check(self.host.as_ref()).await?;
                host::change_as_root(self.host.as_ref(), batch).await?;
            }
            Action::Leave { from, stop } => self.leave(unit, *from, stop).await?,
            Action::Linger => self.linger().await?,
            Action::Enable => {
                let units: Vec<String> = group.iter().filter_map(|step| step.unit.clone()).collect();
                let supervisor = self.supervisor(self.manager).await?;
                // A host without cron has nothing that could be switched on for the runner.
                if supervisor.enable(&units).await? || supervisor.kind() == SupervisorKind::Systemd {
                    for unit in units {
                        (self.events)(Event::Enabled { unit });
                    }
                }
            }
            Action::Reload => {
                for manager in std::mem::take(&mut self.left) {
                    self.supervisor(manager).await?.daemon_reload().await?;
                }
                self.supervisor(self.manager).await?.daemon_reload().await?;
                (self.events)(Event::Reloaded);
            }
            Action::HoldLimits(specs) => {
                let supervisor = self.supervisor(self.manager).await?;
                let hold = |unit: String| {
                    let supervisor = Arc::clone(&supervisor);
                    async move { supervisor.realize_limits(&unit).await }
                };
                let units = specs.iter().map(|spec| hold(spec.unit.to_string()));
                futures_util::future::try_join_all(units).await?;
                self.outcome.up.extend(specs.iter().map(|spec| Passed {
                    spec: Arc::clone(spec),
                    cgroup: None,
                    pid: None,
                }));
            }
            // Files go by `flush`, and the steps of a lane beside those of others, by `lanes`.
            Action::OpenJournal | Action::Files(_) | Action::CloseJournal | Action::Launch { .. } | Action::Gate => {}
            Action::Stop { manager, stop } => self.stop(unit, *manager, stop).await?,
            Action::Forget { manager, units } => self.forget(*manager, units).await?,
            Action::Settle { slices, managers } => self.settle(slices, managers).await?,
            Action::Prove { managers } => self.prove(unit, managers).await?,
        }
        Ok(())
    }

    async fn leave(&mut self, unit: &str, from: SupervisorKind, stop: &Stop) -> Result<(), ApplyError> {
        self.lease.check(self.host.as_ref()).await?;
        let supervisor = match self.supervisor(from).await {
            Ok(supervisor) => supervisor,
            // A manager that is not there runs nothing.
            Err(SupervisorError::Missing { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let stopped = graceful_shutdown(self.host.as_ref(), &supervisor, unit, stop).await?;
        (self.events)(Event::Stopped { unit: unit.to_owned(), by: stopped.by });
        supervisor.forget(&[unit.to_owned()]).await?;
        if !self.left.contains(&from) {
            self.left.push(from);
        }
        Ok(())
    }

    async fn linger(&mut self) -> Result<(), ApplyError> {
        match supervisor::ensure_persistent(self.host.as_ref(), &self.facts).await? {
            Persistence::Already => {}
            Persistence::Enabled => {
                self.outcome.changed = true;
                (self.events)(Event::LingerEnabled);
                // A manager that was just brought up has a socket that the facts do not know of yet.
                if !self.supervisors.contains_key(&self.manager) {
                    self.facts = self.host.query(&Query::default()).await?.facts;
                }
            }
            Persistence::Refused { command, detail } => self.outcome.not_persistent = Some((command, detail)),
        }
        Ok(())
    }

    /// A manager of the host, connected to when it is needed first.
    pub(super) async fn supervisor(&mut self, kind: SupervisorKind) -> Result<Arc<Supervisor>, SupervisorError> {
        if let Some(supervisor) = self.supervisors.get(&kind) {
            return Ok(Arc::clone(supervisor));
        }
        let connected = Supervisor::connect_by(Approach::default(), Arc::clone(self.host), &self.facts, kind).await?;
        (self.events)(Event::Connected { manager: connected.manager(), transport: connected.transport().to_string() });
        let connected = Arc::new(connected);
        self.supervisors.insert(kind, Arc::clone(&connected));
        Ok(connected)
    }

    /// How the host's manager is talked to, where it is.
    pub(super) fn connected(&self) -> Option<&Arc<Supervisor>> {
        self.supervisors.get(&self.manager)
    }
}

/// Whether a step goes to the host along with others that write files.
fn is_files(action: &Action) -> bool {
    matches!(action, Action::OpenJournal | Action::Files(_) | Action::CloseJournal)
}

/// Whether two neighbouring steps are carried out at once.
fn joins(first: &Action, next: &Action) -> bool {
    std::ptr::eq(first, next)
        || (is_files(first) && is_files(next))
        || matches!((first, next), (Action::Enable, Action::Enable))
}

/// Whether an error says that a user has no manager because nothing keeps it.
pub(super) fn is_no_manager(error: &SupervisorError, facts: &Facts) -> bool {
    matches!(error, SupervisorError::Missing { missing: supervisor::Missing::UserManager, .. }) && !facts.linger
}

/// Whether an error says that the lock of the host was lost.
pub(super) fn is_lock_lost(error: &ApplyError) -> bool {
    matches!(error, ApplyError::Host(HostError::LockLost { .. }))
}
