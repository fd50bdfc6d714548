//! launchd, the supervisor of a Mac: asked and told by `launchctl`, run on the host.
//!
//! launchd is a state machine, and most of what goes wrong with it is haste. A job is in one domain of several: that of the
//! login at the screen, that of the account without one, that of the system; each verb looks in all of them and works in the
//! one that is chosen anew each time. To end a job is to unload it (`bootout`), which comes back at once; only `print`
//! tells that it is gone, and until then nothing can be loaded by its label. What is started is always loaded anew, so
//! that neither an old definition nor the signature of an old program lives on, and it counts as started when `print`
//! shows its process. `disable` and `enable` say what is loaded at login or boot and nothing else; a job that is disabled
//! is enabled for as long as it takes to load it. The verbs of old (`load`, `list`, `stop`, …) act on whoever calls, and
//! succeed when they fail: they are not used.

mod answer;
mod fault;
mod load;
pub mod log;
pub mod look;
pub mod print;
mod processes;
mod reason;
mod state;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use self::answer::{NO_JOB, NO_PROCESS, Said, gist};
pub use self::fault::Fault;
use self::look::{JobsSnapshot, Loaded, Scope};
use self::processes::Family;
pub use self::state::unit_status;
use super::clock::Clock;
use super::poll::POLL;
use super::restart::{self, Parts, RestartOrder};
use super::{JobResult, Refusal, SupervisorError, UnitFileKind, UnitStatus, Unseen, Whom, layout};
use crate::host::process::Signal;
use crate::host::{Ask, Command, Facts, FileFound, Host, HostError, Output, Query};
use crate::service::spec::Logs;

/// The domain that is root's.
const SYSTEM: &str = "system";

/// How long a call may take that waits for nobody.
const SHORT: Duration = Duration::from_secs(10);

/// How long a job is given to go beyond the time after which launchd itself kills it.
const MARGIN: Duration = Duration::from_secs(10);

/// The least time that a job is given to go.
const LEAST: Duration = Duration::from_secs(15);

/// How long a job may stay that has been killed.
const AFTER_KILL: Duration = Duration::from_secs(5);

/// How often a job is told to go that goes on as if it had not heard.
const AGAIN: Duration = Duration::from_secs(3);

/// Runs what its arguments say, and tells the exit code, which may be one that a shell uses for signals.
const CALL: &str = r#"export LC_ALL=C; words=$("$@" 2>&1); printf '%s %s\n' "$?" "$words""#;

/// The launchd of one account on one host.
#[derive(Debug, Clone)]
pub struct Launchd {
    host: Arc<dyn Host>,
    facts: Box<Facts>,
    clock: Clock,
    /// The processes that units were seen with, by unit: nobody else remembers them once the main process is gone.
    known: Arc<Mutex<BTreeMap<String, Family>>>,
}

/// What one exchange told of some units.
struct Seen {
    facts: Facts,
    look: JobsSnapshot,
    files: Vec<BTreeMap<UnitFileKind, FileFound>>,
}

impl Seen {
    fn file(&self, at: usize) -> Option<(UnitFileKind, &FileFound)> {
        self.files.get(at).and_then(defining)
    }
}

/// Where a job is loaded, and from what.
#[derive(Debug, Clone)]
struct LoadTarget {
    domain: String,
    target: String,
    definition: UnitFileKind,
    path: String,
    /// Whether somebody disabled the unit, which starting it does not change.
    stays_disabled: bool,
}

impl LoadTarget {
    /// What stands before a command of a user that changes something there.
    fn sudo(&self) -> &'static str {
        if self.definition == UnitFileKind::LaunchDaemon { "sudo " } else { "" }
    }

    /// The path of its file as a word of a command.
    fn quoted(&self) -> Cow<'_, str> {
        shlex::try_quote(&self.path).unwrap_or_default()
    }
}

/// The file that counts of those that define a unit: of two, the daemon's, which is there from boot on.
#[must_use]
pub fn defining(files: &BTreeMap<UnitFileKind, FileFound>) -> Option<(UnitFileKind, &FileFound)> {
    let mine = [UnitFileKind::LaunchDaemon, UnitFileKind::LaunchAgent];
    mine.into_iter().find_map(|definition| Some((definition, files.get(&definition)?)))
}

/// Why a unit with this file is left alone: as a daemon of another account.
#[must_use]
pub fn other_owner(unit: &str, definition: UnitFileKind, file: &FileFound, facts: &Facts) -> Option<Fault> {
    let user = look::user_of(&file.content).filter(|user| *user != facts.user)?;
    let path = layout::absolute(&definition.path(unit), facts).unwrap_or_default().into_string();
    Some(Fault::OtherUser { path, user })
}

/// Says where a unit is to be loaded: an agent in the domain of the login at the screen, else in that of its account.
pub(super) fn domain(look: &JobsSnapshot, facts: &Facts, definition: UnitFileKind) -> Result<String, Fault> {
    if definition == UnitFileKind::LaunchDaemon {
        return Ok(SYSTEM.to_owned());
    }
    let (uid, user) = (facts.uid, facts.user.clone());
    if uid == 0 {
        return Err(Fault::RootsAgent);
    }
    let domains = [format!("gui/{uid}"), format!("user/{uid}")];
    let said = look.domain(&domains[0]).err().unwrap_or_default();
    domains.into_iter().find(|domain| look.domain(domain).is_ok()).ok_or(Fault::NoDomain { user, said })
}

impl Launchd {
    pub(super) fn on(host: Arc<dyn Host>, facts: &Facts) -> Self {
        Self { host, facts: Box::new(facts.clone()), clock: Clock::of(facts), known: Arc::default() }
    }

    pub(super) fn now(&self) -> i64 {
        self.clock.now()
    }

    pub(super) async fn status(&self, units: &[String]) -> Result<Vec<UnitStatus>, SupervisorError> {
        let seen = self.look(units, &Scope::All).await?;
        let status =
            |(at, unit): (usize, &String)| seen.look.status(self.host.name(), &seen.facts, unit, seen.file(at));
        units.iter().enumerate().map(status).collect()
    }

    pub(super) async fn status_of(&self, unit: &str) -> Result<UnitStatus, SupervisorError> {
        let seen = self.look(&[unit.to_owned()], &Scope::All).await?;
        seen.look.status(self.host.name(), &seen.facts, unit, seen.file(0))
    }

    pub(super) async fn start(&self, unit: &str, deadline: Duration) -> Result<JobResult, SupervisorError> {
        let until = Instant::now() + deadline;
        let seen = self.look(&[unit.to_owned()], &Scope::All).await?;
        let Some((definition, file)) = seen.file(0) else {
            let detail = "it has no property list".to_owned();
            return Err(self.refused("start", unit, Refusal::NoSuchUnit, detail));
        };
        self.check_owner("start", unit, &seen)?;
        let place = self.place("start", unit, definition, &seen.look)?;
        let loaded = seen.look.loaded(unit);
        let is_up = |one: &Loaded| {
            let is_same = one.job.definition == look::definition_of(&file.content);
            one.domain == place.domain && !one.is_leaving() && one.job.pid.is_some() && is_same
        };
        if matches!(&loaded[..], [only] if is_up(only)) {
            return Ok(JobResult::Done);
        }
        self.check_content(unit, &place, &file.content)?;
        self.clear("start", unit, loaded).await?;
        let end = self.load(unit, &place, until).await;
        if place.stays_disabled && end.is_err() {
            // Where that fails too, there is the note; why it was not loaded is what matters.
            self.disable_again(unit, &place).await.ok();
        }
        end
    }

    /// Looks whether a unit could be started, before what runs of it is ended.
    pub(super) async fn prepare_start(&self, unit: &str) -> Result<(), SupervisorError> {
        let seen = self.look(&[unit.to_owned()], &Scope::All).await?;
        let file = seen.file(0);
        self.check_owner("start", unit, &seen)?;
        let definition = file.map_or(UnitFileKind::LaunchAgent, |(definition, _)| definition);
        let place = self.place("start", unit, definition, &seen.look)?;
        self.check_loadable(unit, &place, file.map(|(_, file)| &file.content[..])).await
    }

    /// Gives the host the order to load the unit again when we go away meanwhile: what launchd refuses is told only by
    /// looking and trying, which is done here for as long as we are there.
    pub(super) async fn order_restart(&self, unit: &str) -> Result<RestartOrder, SupervisorError> {
        let seen = self.look(&[unit.to_owned()], &Scope::All).await?;
        let definition = seen.file(0).map_or(UnitFileKind::LaunchAgent, |(definition, _)| definition);
        let place = self.place("start", unit, definition, &seen.look)?;
        let note = if place.stays_disabled { self.note(unit) } else { String::new() };
        let label = crate::service::render::launchd::label(unit);
        let load = include_str!("../../../templates/launchd/load.sh").to_owned();
        let log = log::path(&self.facts, unit);
        let targets = seen.look.loaded(unit).into_iter().map(|one| one.target);
        let args = [load, log, place.domain, label, place.path, note].into_iter().chain(targets).collect();
        let term = Duration::ZERO;
        let parts = Parts {
            unit,
            script: &restart::LAUNCHD,
            env: Vec::new(),
            term,
            old: &[],
            args,
            insurance: true,
            explain: str::to_owned,
        };
        RestartOrder::give(self.host.as_ref(), parts).await
    }

    /// Looks whether a unit can be ended, before anything is done to it: a daemon is so by root alone. Mends on the way what
    /// one that was killed has left.
    pub(super) async fn prepare_stop(&self, before: &UnitStatus) -> Result<(), SupervisorError> {
        let unit = before.unit.as_str();
        let is_daemon = before.fragment.as_deref().is_some_and(|path| path.contains("/LaunchDaemons/"));
        if before.enabled && !is_daemon && before.other_domains.is_empty() {
            return Ok(());
        }
        let seen = self.look(&[unit.to_owned()], &Scope::All).await?;
        self.check_owner("stop", unit, &seen)?;
        if let Some(one) = seen.look.loaded(unit).iter().find(|one| one.domain == SYSTEM) {
            let said = self.call(&one.domain, &["print", &one.target], SHORT).await?;
            if said.is_sudos() {
                return Err(self.refused_call("stop", unit, &one.target, &said));
            }
        }
        if seen.look.is_to_disable(unit) {
            let definition = seen.file(0).map_or(UnitFileKind::LaunchAgent, |(definition, _)| definition);
            self.disable_again(unit, &self.place("disable", unit, definition, &seen.look)?).await?;
        }
        Ok(())
    }

    /// Tells a unit to end, without waiting for it.
    pub(super) async fn begin_stop(&self, unit: &str) -> Result<(), SupervisorError> {
        let seen = self.look(&[unit.to_owned()], &Scope::All).await?;
        self.tell_to_go(unit, seen.look.loaded(unit).iter()).await
    }

    pub(super) async fn stop(&self, unit: &str, deadline: Duration) -> Result<JobResult, SupervisorError> {
        let until = Instant::now() + deadline;
        let seen = self.look(&[unit.to_owned()], &Scope::All).await?;
        let left = self.boot_out(unit, seen.look.loaded(unit), until).await?;
        if left.is_empty() && self.dead(unit, until).await?.is_none() {
            return Ok(JobResult::Done);
        }
        let status = Box::new(self.status_of(unit).await?);
        Ok(JobResult::Unseen { cause: Unseen::Deadline, status })
    }

    pub(super) fn reload(&self, unit: &str) -> Result<JobResult, SupervisorError> {
        let detail = "launchd has no way to have a service reload".to_owned();
        Err(self.refused("reload", unit, Refusal::NotApplicable, detail))
    }

    /// `enable` or `disable`; tells whether that is new.
    pub(super) async fn switch(&self, verb: &'static str, units: &[String]) -> Result<bool, SupervisorError> {
        let seen = self.look(units, &Scope::All).await?;
        let mut any = false;
        for (at, unit) in units.iter().enumerate() {
            self.check_owner(verb, unit, &seen)?;
            let definition = seen.file(at).map_or(UnitFileKind::LaunchAgent, |(definition, _)| definition);
            let is_new = seen.look.is_disabled(unit, definition) == (verb == "enable");
            any |= is_new;
            if is_new || seen.look.is_to_disable(unit) {
                self.tell(verb, unit, &self.place(verb, unit, definition, &seen.look)?).await?;
                self.forget_note(unit, &seen.look).await?;
            }
        }
        Ok(any)
    }

    /// Unloads what is left of units that have ended, and takes away the overrides, which would outlive their files.
    pub(super) async fn forget(&self, units: &[String]) -> Result<(), SupervisorError> {
        let seen = self.look(units, &Scope::All).await?;
        for unit in units {
            self.clear("uninstall", unit, seen.look.loaded(unit)).await?;
            for definition in [UnitFileKind::LaunchAgent, UnitFileKind::LaunchDaemon] {
                if seen.look.has_override(unit, definition) {
                    self.tell("enable", unit, &self.place("enable", unit, definition, &seen.look)?).await?;
                }
            }
            self.forget_note(unit, &seen.look).await?;
        }
        Ok(())
    }

    pub(super) async fn kill(&self, unit: &str, whom: Whom, signal: Signal) -> Result<(), SupervisorError> {
        let seen = self.look(&[unit.to_owned()], &Scope::Processes).await?;
        self.check_owner("kill", unit, &seen)?;
        let mut family = self.family(unit);
        for one in seen.look.loaded(unit) {
            let Some(pid) = one.job.pid else { continue };
            let said = self.call(&one.domain, &["kill", signal.name(), &one.target], SHORT).await?;
            if !matches!(said.code, 0 | NO_PROCESS | NO_JOB) {
                return Err(self.refused_call("kill", unit, &one.target, &said));
            }
            family.remove(&pid);
        }
        if whom == Whom::All && !family.is_empty() {
            let words = family.into_iter().flat_map(|(pid, start)| [pid.to_string(), start]);
            let script = include_str!("../../../templates/launchd/signal.sh");
            let command = Command::new("sh").args(["-c", script, "sh", signal.name()]).args(words).deadline(SHORT);
            self.host.run(&command).await?;
        }
        Ok(())
    }

    /// launchd knows what lives; only a job that was read from a file that is gone stays until somebody unloads it.
    pub(super) async fn clean_stale(&self, unit: &str) -> Result<Option<String>, SupervisorError> {
        let seen = self.look(&[unit.to_owned()], &Scope::All).await?;
        let loaded = seen.look.loaded(unit);
        let lives = loaded.iter().any(|one| one.job.pid.is_some());
        let Some(target) = loaded.first().map(|one| one.target.clone()) else { return Ok(None) };
        if lives || seen.file(0).is_some() {
            return Ok(None);
        }
        self.clear("clean up", unit, loaded).await?;
        Ok(Some(format!("the job {target}, of which the property list is gone")))
    }

    pub(super) async fn rotate_log(&self, unit: &str, logs: &Logs) -> Result<(), HostError> {
        log::rotate(self.host.as_ref(), &self.facts, unit, logs).await
    }

    pub(super) async fn processes(&self, unit: &str) -> Result<Vec<u32>, SupervisorError> {
        self.look(&[unit.to_owned()], &Scope::Processes).await?;
        Ok(self.family(unit).into_keys().collect())
    }

    pub(super) async fn is_gone(&self, unit: &str) -> Result<bool, SupervisorError> {
        let seen = self.look(&[unit.to_owned()], &Scope::Processes).await?;
        let is_off = [UnitFileKind::LaunchAgent, UnitFileKind::LaunchDaemon]
            .into_iter()
            .any(|kind| seen.look.is_disabled(unit, kind));
        Ok(!seen.look.has(unit) && seen.file(0).is_none() && !is_off && self.family(unit).is_empty())
    }

    /// Unloads a unit wherever it is loaded, and does not rest before nothing of it is left.
    async fn clear(&self, operation: &'static str, unit: &str, loaded: Vec<Loaded>) -> Result<(), SupervisorError> {
        let Some(first) = loaded.first().map(|one| one.target.clone()) else { return Ok(()) };
        let own = loaded.iter().filter_map(|one| one.job.exit_timeout).max().unwrap_or(0);
        let until = Instant::now() + (Duration::from_secs(own) + MARGIN).max(LEAST);
        let left = self.boot_out(unit, loaded, until).await?;
        for one in &left {
            self.call(&one.domain, &["kill", "SIGKILL", &one.target], SHORT).await?;
        }
        let left = self.boot_out(unit, left, Instant::now() + AFTER_KILL).await?;
        let stuck = |target, state| Err(self.fault(operation, unit, Fault::Stuck { target, state }));
        if let Some(one) = left.first() {
            return stuck(one.target.clone(), one.state().to_owned());
        }
        if self.dead(unit, until).await?.is_none() {
            return Ok(());
        }
        self.kill(unit, Whom::All, Signal::Kill).await?;
        let left = self.dead(unit, Instant::now() + AFTER_KILL).await?;
        left.map_or(Ok(()), |pid| stuck(first, format!("process {pid}")))
    }

    /// Waits until no process of a unit is left, and gives one that is: launchd may forget a job a moment before its process
    /// is gone.
    async fn dead(&self, unit: &str, until: Instant) -> Result<Option<u32>, SupervisorError> {
        loop {
            let left = self.processes(unit).await?.first().copied();
            if left.is_none() || Instant::now() >= until {
                return Ok(left);
            }
            sleep(POLL).await;
        }
    }

    /// Tells the jobs of a unit to go, and waits until they have; gives those that are left.
    async fn boot_out(
        &self,
        unit: &str,
        mut loaded: Vec<Loaded>,
        until: Instant,
    ) -> Result<Vec<Loaded>, SupervisorError> {
        let mut told: Option<Instant> = None;
        while !loaded.is_empty() {
            // What was told and goes on as if it had not heard is told again.
            if told.is_none_or(|at| at.elapsed() > AGAIN) {
                self.tell_to_go(unit, loaded.iter()).await?;
                told = Some(Instant::now());
            }
            if Instant::now() >= until {
                break;
            }
            // Comes back before the job is gone: nothing tells of that but another look.
            let domains = loaded.iter().map(|one| one.domain.clone()).collect();
            loaded = self.look(&[unit.to_owned()], &Scope::Jobs(domains)).await?.look.loaded(unit);
            if !loaded.is_empty() {
                sleep(POLL).await;
            }
        }
        Ok(loaded)
    }

    /// Unloads the jobs of a unit that are not on their way out already.
    async fn tell_to_go(&self, unit: &str, jobs: impl Iterator<Item = &Loaded>) -> Result<(), SupervisorError> {
        for one in jobs.filter(|one| !one.is_leaving()) {
            let said = self.call(&one.domain, &["bootout", &one.target], SHORT).await?;
            if !said.is_end_of_bootout() {
                return Err(self.refused_call("bootout", unit, &one.target, &said));
            }
        }
        Ok(())
    }

    /// Says where a unit is to be loaded: an agent in the domain of the login at the screen, else in that of its account.
    fn place(
        &self,
        operation: &'static str,
        unit: &str,
        definition: UnitFileKind,
        look: &JobsSnapshot,
    ) -> Result<LoadTarget, SupervisorError> {
        let domain = domain(look, &self.facts, definition).map_err(|fault| self.fault(operation, unit, fault))?;
        let path = layout::absolute(&definition.path(unit), &self.facts).unwrap_or_default().into_string();
        let target = format!("{domain}/{}", crate::service::render::launchd::label(unit));
        Ok(LoadTarget { domain, target, definition, path, stays_disabled: look.is_disabled(unit, definition) })
    }

    /// A daemon of another account is left alone.
    fn check_owner(&self, verb: &'static str, unit: &str, seen: &Seen) -> Result<(), SupervisorError> {
        let mut daemons = seen.files.iter().filter_map(|files| files.get(&UnitFileKind::LaunchDaemon));
        let other = daemons.find_map(|file| other_owner(unit, UnitFileKind::LaunchDaemon, file, &self.facts));
        other.map_or(Ok(()), |fault| Err(self.fault(verb, unit, fault)))
    }

    /// Does what one left undone who had enabled a unit to load it.
    async fn disable_again(&self, unit: &str, place: &LoadTarget) -> Result<(), SupervisorError> {
        self.tell("disable", unit, place).await?;
        self.remove_note(unit).await
    }

    async fn forget_note(&self, unit: &str, look: &JobsSnapshot) -> Result<(), SupervisorError> {
        if look.is_to_disable(unit) { self.remove_note(unit).await } else { Ok(()) }
    }

    async fn remove_note(&self, unit: &str) -> Result<(), SupervisorError> {
        let path = self.note(unit);
        self.host.run(&Command::new("rm").args(["-f", &path]).deadline(SHORT)).await?;
        Ok(())
    }

    /// Where it is noted that a unit is to be disabled again.
    fn note(&self, unit: &str) -> String {
        layout::absolute(&layout::to_disable(unit), &self.facts).unwrap_or_default().into_string()
    }

    /// One exchange about units; what they are seen with is kept.
    async fn look(&self, units: &[String], scope: &Scope) -> Result<Seen, SupervisorError> {
        let kinds = [UnitFileKind::LaunchAgent, UnitFileKind::LaunchDaemon];
        let files = units.iter().flat_map(|unit| kinds.map(|kind| Ask::File(kind.path(unit))));
        let asks = [look::ask(units, scope)].into_iter().chain(files).collect();
        let observation = self.host.query(&Query { asks }).await?;
        let mut answers = observation.answers.into_iter();
        let look = answers.next().as_ref().and_then(JobsSnapshot::read).unwrap_or_default();
        look.check(self.host.name(), &units.join(", "))?;
        let mut files = Vec::with_capacity(units.len());
        for unit in units {
            let of_unit = kinds.into_iter().zip(answers.by_ref());
            let found = |(kind, answer)| {
                if let crate::host::Answer::File(Some(file)) = answer { Some((kind, file)) } else { None }
            };
            let found: BTreeMap<_, _> = of_unit.filter_map(found).collect();
            look.check_answers(self.host.name(), unit, found.contains_key(&UnitFileKind::LaunchDaemon))?;
            files.push(found);
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for unit in units {
            let before = known.entry(unit.clone()).or_default();
            if let Some(family) = look.family(unit, before) {
                *before = family;
            }
        }
        Ok(Seen { facts: observation.facts, look, files })
    }

    fn family(&self, unit: &str) -> Family {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(unit).cloned().unwrap_or_default()
    }

    /// Calls a verb that must succeed and says nothing.
    async fn tell(&self, verb: &'static str, unit: &str, place: &LoadTarget) -> Result<(), SupervisorError> {
        let said = self.call(&place.domain, &[verb, &place.target], SHORT).await?;
        if said.code == 0 { Ok(()) } else { Err(self.refused_call(verb, unit, &place.target, &said)) }
    }

    /// Calls launchctl, as root where the domain is root's.
    async fn call(&self, domain: &str, words: &[&str], deadline: Duration) -> Result<Said, SupervisorError> {
        let command = Command::new("sh")
            .args(["-c", CALL, "sh"])
            .args(as_root(domain).iter().copied())
            .arg("/bin/launchctl")
            .args(words.iter().copied())
            .deadline(deadline);
        let output = self.host.run(&command).await.map_err(|error| self.silent(error, words))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let (code, words) = text.split_once(' ').unwrap_or_default();
        let unread = || self.unanswered("call launchctl", &output);
        Ok(Said { code: code.parse().map_err(|_| unread())?, words: words.to_owned() })
    }

    /// A call that hangs, in words of launchctl's.
    fn silent(&self, error: HostError, words: &[&str]) -> SupervisorError {
        let HostError::Deadline { deadline, .. } = error else { return error.into() };
        let target = words.last().copied().unwrap_or_default();
        let unit = target.rsplit_once("/com.rbee.").map_or(target, |(_, unit)| unit);
        let fault = Fault::Silent { call: format!("launchctl {}", words.join(" ")), seconds: deadline.as_secs() };
        self.fault("handle", unit, fault)
    }

    fn refused(&self, operation: &'static str, unit: &str, refusal: Refusal, detail: String) -> SupervisorError {
        SupervisorError::refused(self.host.name(), operation, unit, refusal, detail)
    }

    fn unanswered(&self, operation: &'static str, output: &Output) -> SupervisorError {
        SupervisorError::unanswered(self.host.name(), operation, gist(&String::from_utf8_lossy(&output.stderr)))
    }

    /// What a call came to that launchctl, or sudo before it, refused.
    fn refused_call(&self, verb: &'static str, unit: &str, target: &str, said: &Said) -> SupervisorError {
        let (code, words) = (said.code, gist(&said.words));
        self.fault(
            verb,
            unit,
            if said.is_sudos() {
                Fault::NoRoot { user: self.facts.user.clone(), said: words }
            } else {
                Fault::Refused { verb, target: target.to_owned(), code, said: words }
            },
        )
    }

    fn fault(&self, operation: &'static str, unit: &str, fault: Fault) -> SupervisorError {
        SupervisorError::Launchd { host: self.host.name().to_owned(), operation, unit: unit.to_owned(), fault }
    }
}

/// What stands before a call of launchctl that is about a domain.
fn as_root(domain: &str) -> &'static [&'static str] {
    if domain == SYSTEM { &["sudo", "-n"] } else { &[] }
}
