//! One look at launchd: what it has of some jobs in every domain where it might have them, in one exchange.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use super::Fault;
use super::answer::{NO_DOMAIN, NO_JOB, NO_SESSION, Said, TEARING_DOWN, gist};
use super::print::{self, Job};
use super::processes::{Family, Process, Processes};
use super::state::unit_status;
use crate::host::{Answer, Ask, Facts, FileFound};
use crate::service::render::launchd::{DEFINITION, label};
use crate::supervisor::{SupervisorError, UnitFileKind, UnitStatus, layout};

/// The script that looks, without what only a reader of it wants.
static SCRIPT: LazyLock<String> = LazyLock::new(|| {
    let lines = include_str!("../../../templates/launchd/look.sh").lines().map(str::trim_start);
    lines.filter(|line| !line.starts_with('#') && !line.is_empty()).fold(String::new(), |text, line| text + line + "\n")
});

/// Seconds that a look may take.
const WITHIN: u64 = 20;

/// What a look is to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Everything: the domains, what is disabled in them, the jobs, their processes.
    All,
    /// The same, and whether the account may act as root, for jobs of the system.
    Root,
    /// The same, and the processes of the account even where no job has one.
    Processes,
    /// Nothing but the jobs in these domains.
    Jobs(Vec<String>),
}

/// What was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobsSnapshot {
    /// What `launchctl` said by the name of the question.
    said: BTreeMap<String, Said>,
    /// The processes of the account, where they were told.
    processes: Option<Processes>,
    /// Whether the script was run at all.
    was_asked: bool,
    is_whole: bool,
    /// Labels of jobs that are to be disabled again.
    again: BTreeSet<String>,
    /// The question that was not answered, where the answers end before their time.
    hangs: Option<String>,
}

/// A job in a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Loaded {
    /// `gui/501`
    pub(super) domain: String,
    /// `gui/501/com.rbee.llm-8080`
    pub(super) target: String,
    pub(super) job: Job,
}

impl Loaded {
    /// What state it is in, in launchd's word.
    pub(super) fn state(&self) -> &str {
        self.job.state.as_deref().unwrap_or("no state")
    }

    /// Tells whether launchd is about to forget it.
    pub(super) fn is_leaving(&self) -> bool {
        matches!(self.job.state.as_deref(), Some("SIGTERMed" | "SIGKILLed" | "languishing"))
    }
}

/// What must be asked of a host to know of these units' jobs.
#[must_use]
pub fn ask(units: &[String], scope: &Scope) -> Ask {
    let (also, domains) = match scope {
        Scope::All => ("-", "all".to_owned()),
        Scope::Root => ("root", "all".to_owned()),
        Scope::Processes => ("processes", "all".to_owned()),
        Scope::Jobs(domains) => ("jobs", domains.join(" ")),
    };
    let args = [also.to_owned(), domains, WITHIN.to_string()]
        .into_iter()
        .chain(units.iter().map(|unit| label(unit)))
        .collect();
    Ask::Script { system: "Darwin", text: &SCRIPT, args }
}

impl JobsSnapshot {
    /// Reads the answer to [`ask`]; `None` when it is not of that form.
    #[must_use]
    pub fn read(answer: &Answer) -> Option<Self> {
        let Answer::Script(told) = answer else { return None };
        let mut look = Self { was_asked: told.is_some(), ..Self::default() };
        let mut rest = told.as_deref().unwrap_or_default();
        while let Some((name, said, after)) = record(rest) {
            rest = after;
            match name {
                "processes" => look.processes = Some(Processes::parse(&said.words)),
                "end" => look.is_whole = true,
                _ => match name.strip_prefix("again/") {
                    Some(label) => drop(look.again.insert(label.to_owned())),
                    None => drop(look.said.insert(name.to_owned(), said)),
                },
            }
        }
        look.hangs = std::str::from_utf8(rest).ok().and_then(|rest| rest.strip_suffix(' ')).map(str::to_owned);
        Some(look)
    }

    /// Makes sure that launchd answered all questions about a unit.
    pub(in crate::supervisor) fn check(&self, host: &str, unit: &str) -> Result<(), SupervisorError> {
        if self.is_whole {
            return Ok(());
        }
        if !self.was_asked {
            return Err(fault(host, unit, Fault::NotAsked));
        }
        let call = match self.hangs.as_deref() {
            Some("root") => "sudo -n true".to_owned(),
            Some("processes") => "ps".to_owned(),
            Some(name) => name.strip_prefix("disabled/").map_or_else(
                || format!("launchctl print {name}"),
                |domain| format!("launchctl print-disabled {domain}"),
            ),
            None => "launchctl print".to_owned(),
        };
        Err(fault(host, unit, Fault::Silent { call, seconds: WITHIN }))
    }

    /// Makes sure that what was told of a unit's jobs says whether there are any: who takes an answer that nobody knows for
    /// a job that is gone starts a second one.
    pub(super) fn check_answers(&self, host: &str, unit: &str, is_daemon: bool) -> Result<(), SupervisorError> {
        self.odd_answer(unit, is_daemon).map_or(Ok(()), |odd| Err(fault(host, unit, odd)))
    }

    /// Why the account may not act as root, where that was asked.
    pub(in crate::supervisor) fn why_no_root(&self) -> Option<String> {
        self.said.get("root").filter(|said| said.code != 0).map(|said| gist(&said.words))
    }

    /// Whether there is a domain, and what was said of one that is not.
    pub(super) fn domain(&self, domain: &str) -> Result<(), String> {
        match self.said.get(domain) {
            Some(said) if said.code == 0 => Ok(()),
            Some(said) => Err(gist(&said.words)),
            None => Err("it was not asked for".to_owned()),
        }
    }

    /// Tells whether launchd has a job of the unit.
    pub(in crate::supervisor) fn has(&self, unit: &str) -> bool {
        !self.loaded(unit).is_empty()
    }

    /// A job by the label of a unit that was read from another file than the unit's, there or not: its target and that file.
    pub(in crate::supervisor) fn foreign(&self, unit: &str, facts: &Facts) -> Option<(String, String)> {
        let paths = [UnitFileKind::LaunchAgent, UnitFileKind::LaunchDaemon]
            .map(|kind| layout::absolute(&kind.path(unit), facts));
        // macOS tells some paths by where they lead: `/private/var` for `/var`.
        let is_own = |path: &str| {
            paths
                .iter()
                .flatten()
                .any(|own| path.strip_prefix("/private").unwrap_or(path) == own.as_str() || path == *own)
        };
        let foreign = |one: Loaded| one.job.path.filter(|path| !is_own(path)).map(|path| (one.target, path));
        self.loaded(unit).into_iter().find_map(foreign)
    }

    /// Every job that a unit has, in whichever domain.
    pub(super) fn loaded(&self, unit: &str) -> Vec<Loaded> {
        let end = format!("/{}", label(unit));
        let job = |(name, said): (&String, &Said)| {
            let domain = name.strip_suffix(&end).filter(|domain| !domain.starts_with("disabled/"))?;
            let job = (said.code == 0).then(|| print::parse(&said.words)).flatten()?;
            Some(Loaded { domain: domain.to_owned(), target: name.clone(), job })
        };
        self.said.iter().filter_map(job).collect()
    }

    /// What launchctl answered about a unit that is neither a job nor that there is none, nor that its domain is gone. A
    /// domain that is just torn down may have its job still. What the system has is of no account for an agent: nobody
    /// promises that anybody may look there.
    fn odd_answer(&self, unit: &str, is_daemon: bool) -> Option<Fault> {
        let end = format!("/{}", label(unit));
        let odd = |(name, said): (&String, &Said)| {
            let counts = name.ends_with(&end) && (is_daemon || !name.starts_with("system/"));
            let is_odd = match said.code {
                0 => counts && print::parse(&said.words).is_none(),
                NO_JOB | NO_DOMAIN | NO_SESSION => false,
                TEARING_DOWN => !name.starts_with("system") || is_daemon,
                _ => counts,
            };
            let call = || format!("launchctl print {name}");
            is_odd.then(|| Fault::Unclear { call: call(), code: said.code, said: gist(&said.words) })
        };
        self.said.iter().find_map(odd)
    }

    /// Whether a unit is disabled, be it that it is enabled for as long as it takes to load it.
    pub(super) fn is_disabled(&self, unit: &str, definition: UnitFileKind) -> bool {
        self.is_to_disable(unit) || self.has_override(unit, definition)
    }

    /// Whether somebody who enabled a unit to load it did not come to disable it again.
    pub(super) fn is_to_disable(&self, unit: &str) -> bool {
        self.again.contains(&label(unit))
    }

    /// Whether an override keeps launchd from loading a unit: since macOS 13 in words, before as truth of being disabled.
    pub(super) fn has_override(&self, unit: &str, definition: UnitFileKind) -> bool {
        let system = |name: &&String| name.as_str() == "disabled/system";
        let of = |name: &String| {
            name.starts_with("disabled/") && system(&name) == (definition == UnitFileKind::LaunchDaemon)
        };
        let key = format!("\"{}\" => ", label(unit));
        let answers = self.said.iter().filter(|(name, _)| of(name));
        let mut lines = answers.flat_map(|(_, said)| said.words.lines());
        lines.any(|line| line.trim().strip_prefix(&key).is_some_and(|value| matches!(value, "disabled" | "true")))
    }

    /// What lives of a unit; `None` where the processes were not told.
    pub(super) fn family(&self, unit: &str, known: &Family) -> Option<Family> {
        let processes = self.processes.as_ref()?;
        let mains = self.loaded(unit).into_iter().filter_map(|loaded| loaded.job.pid);
        let known = processes.family(None, known);
        Some(mains.fold(known, |known, main| processes.family(Some(main), &known)))
    }

    /// What is true of a unit that this file defines.
    pub(in crate::supervisor) fn status(
        &self,
        host: &str,
        facts: &Facts,
        unit: &str,
        file: Option<(UnitFileKind, &FileFound)>,
    ) -> Result<UnitStatus, SupervisorError> {
        let is_daemon = file.is_some_and(|(definition, _)| definition == UnitFileKind::LaunchDaemon);
        self.check_answers(host, unit, is_daemon)?;
        let now_usec = facts.now_usec;
        let mut loaded = self.loaded(unit);
        // The one that its definition is for comes first.
        loaded.sort_by_key(|loaded| (loaded.domain == "system") != is_daemon);
        let kind = file.map_or(UnitFileKind::LaunchAgent, |(definition, _)| definition);
        let enabled = file.is_some() && !self.is_disabled(unit, kind);
        let boot_blocker = (kind == UnitFileKind::LaunchAgent && self.is_headless())
            .then_some("launchd loads it when its user logs in at the screen, where nobody is now");
        let path = file.and_then(|(definition, _)| layout::absolute(&definition.path(unit), facts)).map(String::from);
        let none = Processes::default();
        let processes = self.processes.as_ref().unwrap_or(&none);
        for one in &mut loaded {
            // It has ended since launchd told of it.
            one.job.pid = one.job.pid.filter(|pid| processes.get(*pid).is_some());
        }
        let Some(main) = loaded.first() else {
            let installed = file.is_some();
            return Ok(UnitStatus { installed, enabled, boot_blocker, fragment: path, ..UnitStatus::unknown(unit) });
        };
        let process = main.job.pid.and_then(|pid| processes.get(pid));
        // ps(1) tells whole seconds: what was started within one counts from its end, so that nothing seems older than it is.
        let started = process.and_then(Process::started).and_then(|seconds| u64::try_from(seconds).ok());
        let started = started.map(|seconds| (seconds * 1_000_000 + 999_999).min(now_usec));
        let family = processes.family(main.job.pid, &Family::new());
        let of_all = |what: fn(&Process) -> u64| {
            process.map(|_| family.keys().filter_map(|pid| processes.get(*pid)).map(what).sum())
        };
        let wanted = file.and_then(|(_, file)| definition_of(&file.content));
        Ok(UnitStatus {
            boot_blocker,
            memory: of_all(|process| process.resident),
            cpu_nsec: of_all(|process| process.used),
            exe: process.map(|process| process.program.clone()).filter(|program| program.starts_with('/')),
            needs_reload: wanted.is_some() && wanted != main.job.definition,
            other_domains: loaded[1..].iter().map(|loaded| loaded.target.clone()).collect(),
            ..unit_status(unit, &main.job, enabled, started, now_usec)
        })
    }

    /// Nobody is at the screen: what runs in the background domain is gone after a reboot.
    fn is_headless(&self) -> bool {
        let mut probes =
            self.said.iter().filter(|(name, _)| name.starts_with("gui/") && name.matches('/').count() == 1);
        probes.any(|(_, said)| said.code != 0)
    }
}

/// What the file calls the definition that it is.
pub(super) fn definition_of(file: &[u8]) -> Option<String> {
    let plist: plist::Dictionary = plist::from_bytes(file).ok()?;
    let variables = plist.get("EnvironmentVariables")?.as_dictionary()?;
    Some(variables.get(DEFINITION)?.as_string()?.to_owned())
}

fn fault(host: &str, unit: &str, fault: Fault) -> SupervisorError {
    SupervisorError::Launchd { host: host.to_owned(), operation: "look at", unit: unit.to_owned(), fault }
}

/// The account that the file says the job is to run as; only the file of a daemon does.
pub(super) fn user_of(file: &[u8]) -> Option<String> {
    let plist: plist::Dictionary = plist::from_bytes(file).ok()?;
    Some(plist.get("UserName")?.as_string()?.to_owned())
}

/// Takes `NAME CODE LENGTH`, so many bytes, and the end of the line.
fn record(text: &[u8]) -> Option<(&str, Said, &[u8])> {
    let end = text.iter().position(|byte| *byte == b'\n')?;
    let mut head = std::str::from_utf8(&text[..end]).ok()?.split(' ');
    let (name, code, length) = (head.next()?, head.next()?.parse().ok()?, head.next()?.parse::<usize>().ok()?);
    let (words, rest) = text[end + 1..].split_at_checked(length)?;
    let words = String::from_utf8_lossy(words).into_owned();
    Some((name, Said { code, words }, rest.strip_prefix(b"\n")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(records: &[(&str, i32, &str)]) -> JobsSnapshot {
        let record = |(name, code, words): &(&str, i32, &str)| format!("{name} {code} {}\n{words}\n", words.len());
        JobsSnapshot::read(&Answer::Script(Some(records.iter().map(record).collect::<String>().into_bytes()))).unwrap()
    }

    fn job(domain: &str, argument: &str) -> String {
        format!(
            "{domain}/com.rbee.a = {{\n\tstate = running\n\targuments = {{\n\t\t{argument}\n\t}}\n\tpid = 7\n\truns = 1\n}}"
        )
    }

    #[test]
    fn what_a_job_says_is_taken_for_nothing_else() {
        let text = job("gui/501", "x\nuser/501/com.rbee.a 0 3\nabc\nend 0 0\n");
        let told = look(&[("gui/501/com.rbee.a", 0, &text), ("user/501/com.rbee.a", 113, "Bad request.")]);
        assert!(told.check("host", "a").is_err(), "the end is still to come");
        let targets: Vec<String> = told.loaded("a").into_iter().map(|one| one.target).collect();
        assert_eq!(targets, ["gui/501/com.rbee.a"]);
        assert!(look(&[("end", 0, "")]).check("host", "a").is_ok());
    }

    #[test]
    fn an_answer_that_is_none_is_an_error_where_it_counts() {
        for (name, of_agent, of_daemon) in [
            ("system/com.rbee.a", None, Some("`launchctl print system/com.rbee.a` does not tell: no")),
            (
                "gui/501/com.rbee.a",
                Some("`launchctl print gui/501/com.rbee.a` does not tell: no"),
                Some("`launchctl print gui/501/com.rbee.a` does not tell: no"),
            ),
        ] {
            let told = look(&[(name, 1, "no"), ("end", 0, "")]);
            let odd = |is_daemon| told.odd_answer("a", is_daemon).map(|fault| fault.to_string());
            assert_eq!(odd(false).as_deref(), of_agent);
            assert_eq!(odd(true).as_deref(), of_daemon);
        }
    }

    #[test]
    fn the_question_that_hangs_is_named() {
        for (told, call) in [
            ("user/501 0 0\n\ngui/501/com.rbee.a ", "launchctl print gui/501/com.rbee.a"),
            ("disabled/system ", "launchctl print-disabled system"),
            ("root ", "sudo -n true"),
            ("", "launchctl print"),
        ] {
            let look = JobsSnapshot::read(&Answer::Script(Some(told.into()))).unwrap();
            let error = look.check("mac", "a").unwrap_err().to_string();
            assert_eq!(error, format!("look at a on mac: `{call}` did not come back within 20 s"));
        }
    }

    #[test]
    fn a_look_that_was_not_made_is_none_that_hangs() {
        let error = JobsSnapshot::read(&Answer::Script(None)).unwrap().check("mac", "a").unwrap_err().to_string();
        assert_eq!(error, "look at a on mac: launchd was not asked: the host does not run the script that does it");
    }

    #[test]
    fn overrides_are_read_as_both_families_of_releases_print_them() {
        let told = look(&[
            (
                "disabled/gui/501",
                0,
                "\tdisabled services = {\n\t\t\"com.rbee.a\" => disabled\n\t\t\"com.rbee.b\" => enabled\n\t}",
            ),
            ("disabled/system", 0, "disabled services = {\n\t\"com.rbee.b\" => true\n\t\"com.rbee.c\" => false\n}"),
        ]);
        let off = |kind| ["a", "b", "c"].map(|unit| told.is_disabled(unit, kind));
        assert_eq!(off(UnitFileKind::LaunchAgent), [true, false, false]);
        assert_eq!(off(UnitFileKind::LaunchDaemon), [false, true, false]);

        let told = look(&[("again/com.rbee.b", 0, ""), ("gui/501/com.rbee.b", 113, ""), ("end", 0, "")]);
        assert!(told.is_disabled("b", UnitFileKind::LaunchAgent) && !told.has_override("b", UnitFileKind::LaunchAgent));
        assert!(!told.is_disabled("a", UnitFileKind::LaunchAgent) && told.odd_answer("b", false).is_none());
    }

    fn odd(name: &str, code: i32, words: &str) -> bool {
        let said = format!("{name} {code} {}\n{words}\nend 0 0\n\n", words.len());
        let look = JobsSnapshot::read(&Answer::Script(Some(said.into_bytes()))).unwrap();
        look.check("host", "web-main").unwrap();
        look.check_answers("host", "web-main", false).is_err()
    }

    #[test]
    fn what_nobody_understands_is_not_taken_for_a_job_that_is_gone() {
        let job = format!("gui/501/{}", label("web-main"));
        for (code, words) in [(113, "Bad request."), (112, ""), (125, ""), (0, &*format!("{job} = {{\n\tpid = 1\n}}"))]
        {
            assert!(!odd(&job, code, words), "{code} {words}");
        }
        for (code, words) in [(1, "Operation not permitted"), (5, "Input/output error"), (124, ""), (0, "a new layout")]
        {
            assert!(odd(&job, code, words), "{code} {words}");
        }
        assert!(odd("gui/501", 124, "Domain is tearing down"), "its jobs are not asked for");
        assert!(!odd("gui/501", 125, "") && !odd("gui/501", 1, ""));
        assert!(!odd(&format!("gui/501/{}", label("other")), 5, ""), "another unit's");
    }
}
