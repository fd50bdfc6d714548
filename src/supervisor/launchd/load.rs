//! Loading a job, until its process is seen; and finding out why that does not work, for launchd tells nearly nothing.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::answer::{NO_JOB, NO_PROCESS, Said, gist};
use super::look::{self, Scope};
use super::{Fault, LEAST, Launchd, LoadTarget, SHORT, as_root, log};
use crate::host::{Command, HostError};
use crate::service::render::header;
use crate::service::render::launchd::label;
use crate::supervisor::poll::POLL;
use crate::supervisor::{JobResult, SupervisorError, UnitFileKind};

/// How long a job may be loaded and not started before it is kicked.
const UNSTARTED: Duration = Duration::from_secs(3);

/// What a start may take beyond the time that launchd keeps starts apart.
const MARGIN: Duration = Duration::from_secs(15);

/// launchd's own time between two starts, where it tells none.
const THROTTLE: u64 = 10;

/// How often what is loaded by another definition is unloaded before one gives in.
const CLEARINGS: u32 = 3;

/// Makes sure that the file which is its argument can be written to.
const OPEN: &str = r#"umask 077; mkdir -p "${1%/*}" && true >>"$1""#;

/// What became of a job that was loaded.
enum Spawned {
    /// It was started, and may have ended already.
    Started,
    /// launchd is about to start it, and its time is over; in which state it is, and after how long.
    Late(String, Duration),
    /// launchd does not start it; in which state it is.
    Never(String),
}

impl Launchd {
    /// Loads a unit that is loaded nowhere, and waits until it is started.
    pub(super) async fn load(
        &self,
        unit: &str,
        place: &LoadTarget,
        until: Instant,
    ) -> Result<JobResult, SupervisorError> {
        let mut tried = false;
        loop {
            self.bootstrap(unit, place).await?;
            match self.spawned(unit, place, until).await? {
                Spawned::Started => return Ok(JobResult::Done),
                Spawned::Late(state, after) => {
                    let (target, seconds) = (place.target.clone(), after.as_secs());
                    return Err(self.fault("start", unit, Fault::HeldBack { target, state, seconds }));
                }
                Spawned::Never(state) if tried => {
                    return Err(self.fault("start", unit, Fault::NeverStarts { target: place.target.clone(), state }));
                }
                Spawned::Never(_) => {
                    tried = true;
                    let loaded = self.look(&[unit.to_owned()], &Scope::All).await?.look.loaded(unit);
                    self.clear("start", unit, loaded).await?;
                }
            }
        }
    }

    /// Has launchd load it. An answer that may pass is never just tried again: what stands in the way is looked at first.
    async fn bootstrap(&self, unit: &str, place: &LoadTarget) -> Result<(), SupervisorError> {
        let begun = Instant::now();
        let mut pause = POLL;
        let mut cleared = 0;
        loop {
            let (step, said) = self.call_bootstrap(unit, place).await?;
            let refused = || self.refused_call("bootstrap", unit, &place.target, &said);
            match (step.as_str(), said.code) {
                ("bootstrap", 0) => return Ok(()),
                ("log", _) => {
                    let path = log::path(&self.facts, unit);
                    return Err(self.fault("start", unit, Fault::Log { path, said: gist(&said.words) }));
                }
                ("note", _) => {
                    let (host, step) = (self.host.name().to_owned(), format!("write {}", self.note(unit)));
                    return Err(HostError::Change { host, step, detail: gist(&said.words) }.into());
                }
                ("enable", _) => return Err(self.refused_call("enable", unit, &place.target, &said)),
                ("disable", _) => return Err(self.refused_call("disable", unit, &place.target, &said)),
                _ if said.is_sudos() => return Err(refused()),
                _ => {}
            }
            let seen = self.look(&[unit.to_owned()], &Scope::All).await?;
            let loaded = seen.look.loaded(unit);
            let wanted = seen.file(0).and_then(|(_, file)| look::definition_of(&file.content));
            let is_it =
                |one: &look::Loaded| one.domain == place.domain && !one.is_leaving() && one.job.definition == wanted;
            if matches!(&loaded[..], [only] if is_it(only)) {
                return Ok(());
            }
            if !loaded.is_empty() {
                // Somebody else loads it as often as it is unloaded.
                if cleared == CLEARINGS {
                    return Err(refused());
                }
                self.clear("start", unit, loaded).await?;
                cleared += 1;
                continue;
            }
            // One that is to stay disabled was disabled again, and is enabled anew by the next try.
            if !place.stays_disabled && seen.look.is_disabled(unit, place.definition) {
                return Err(self.fault("start", unit, Fault::Disabled { target: place.target.clone() }));
            }
            if let Some(wrong) =
                self.what_is_wrong(unit, place, seen.file(0).map(|(_, file)| &file.content[..])).await?
            {
                return Err(self.bad_file(unit, place, wrong, Some(gist(&said.words))));
            }
            if !said.may_pass() || begun.elapsed() > LEAST {
                return Err(refused());
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
    }

    /// Makes sure of its log, enables and loads it; the step that this came to.
    async fn call_bootstrap(&self, unit: &str, place: &LoadTarget) -> Result<(String, Said), SupervisorError> {
        let script = include_str!("../../../templates/launchd/load.sh");
        let label = label(unit);
        let note = if place.stays_disabled { self.note(unit) } else { String::new() };
        let command = Command::new("sh")
            .args(["-c", script, "sh", &log::path(&self.facts, unit), &place.domain, &label, &place.path, &note])
            .args(as_root(&place.domain).iter().copied())
            .deadline(SHORT);
        let output =
            self.host.run(&command).await.map_err(|error| self.silent(error, &["bootstrap", &place.target]))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let told = text.split_once('\n').and_then(|(head, words)| {
            let (step, code) = head.split_once(' ')?;
            Some((step.to_owned(), Said { code: code.parse().ok()?, words: words.to_owned() }))
        });
        told.ok_or_else(|| self.unanswered("load a job", &output))
    }

    /// Looks for all that would keep a unit from being loaded at `place`, without doing anything to it.
    pub(super) async fn check_loadable(
        &self,
        unit: &str,
        place: &LoadTarget,
        content: Option<&[u8]>,
    ) -> Result<(), SupervisorError> {
        if let Some(wrong) = self.what_is_wrong(unit, place, content).await? {
            return Err(self.bad_file(unit, place, wrong, None));
        }
        let log = log::path(&self.facts, unit);
        let command = Command::new("sh").args(["-c", OPEN, "sh", &log]).env("LC_ALL", "C").deadline(SHORT);
        let output = self.host.run(&command).await?;
        if output.success() {
            return Ok(());
        }
        let said = gist(&String::from_utf8_lossy(&output.stderr));
        Err(self.fault("start", unit, Fault::Log { path: log, said }))
    }

    /// Makes sure that what would be loaded from a file is this unit and no other: launchd takes its name from within.
    pub(super) fn check_content(&self, unit: &str, place: &LoadTarget, content: &[u8]) -> Result<(), SupervisorError> {
        bad_content(unit, place, content).map_or(Ok(()), |wrong| Err(self.bad_file(unit, place, wrong, None)))
    }

    fn bad_file(
        &self,
        unit: &str,
        place: &LoadTarget,
        (why, mend): (String, String),
        said: Option<String>,
    ) -> SupervisorError {
        self.fault("start", unit, Fault::File { path: place.path.clone(), why, mend, said })
    }

    /// What launchd may have against a property list, and what mends it: it takes files of root and of the domain's owner
    /// that nobody else may write, well-formed ones, and those that are for the kind of session.
    async fn what_is_wrong(
        &self,
        unit: &str,
        place: &LoadTarget,
        content: Option<&[u8]>,
    ) -> Result<Option<(String, String)>, SupervisorError> {
        let Some(content) = content else {
            return Ok(Some(("it is not there".into(), "`unitbee apply` writes it".into())));
        };
        let list = Command::new("ls").args(["-ldn", &place.path]).env("LC_ALL", "C").deadline(SHORT);
        let line = String::from_utf8_lossy(&self.host.run(&list).await?.stdout).into_owned();
        let owner = if place.definition == UnitFileKind::LaunchDaemon { 0 } else { self.facts.uid };
        Ok(bad_access(&line, place, owner).or_else(|| bad_content(unit, place, content)))
    }

    /// Waits until launchd has started what it has loaded; a job that it just leaves alone is kicked, once.
    async fn spawned(&self, unit: &str, place: &LoadTarget, until: Instant) -> Result<Spawned, SupervisorError> {
        let begun = Instant::now();
        let mut kicked: Option<Instant> = None;
        loop {
            let scope = Scope::Jobs(vec![place.domain.clone()]);
            let loaded = self.look(&[unit.to_owned()], &scope).await?.look.loaded(unit);
            let Some(one) = loaded.into_iter().find(|one| one.domain == place.domain) else {
                return Err(self.fault("start", unit, Fault::Vanished { target: place.target.clone() }));
            };
            let throttle = Duration::from_secs(one.job.throttle.unwrap_or(THROTTLE));
            let ran = one.job.runs.is_some_and(|runs| runs > 0);
            match (one.state(), one.job.pid) {
                ("running", Some(_)) => return Ok(Spawned::Started),
                ("not running" | "exited" | "spawn scheduled", None) if ran => return Ok(Spawned::Started),
                ("not running", None) if kicked.unwrap_or(begun).elapsed() > UNSTARTED => {
                    if kicked.is_some()
                        || !self.kick(unit, place, until.min(Instant::now() + throttle + UNSTARTED)).await?
                    {
                        return Ok(Spawned::Never(one.state().to_owned()));
                    }
                    kicked = Some(Instant::now());
                }
                _ => {}
            }
            if Instant::now() >= until.min(begun + throttle + MARGIN) {
                return Ok(Spawned::Late(one.state().to_owned(), begun.elapsed()));
            }
            sleep(POLL).await;
        }
    }

    /// Asks launchd to start what it has loaded; whether it came back.
    async fn kick(&self, unit: &str, place: &LoadTarget, until: Instant) -> Result<bool, SupervisorError> {
        let deadline = until.saturating_duration_since(Instant::now()).max(UNSTARTED);
        match self.call(&place.domain, &["kickstart", &place.target], deadline).await {
            // One that runs by now, or is gone, is shown by the next look.
            Ok(said) if matches!(said.code, 0 | NO_PROCESS | NO_JOB) || said.may_pass() => Ok(true),
            Ok(said) => Err(self.refused_call("kickstart", unit, &place.target, &said)),
            Err(SupervisorError::Launchd { fault: Fault::Silent { .. }, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// What of a property list's content keeps launchd from loading it as this unit, and what mends it.
fn bad_content(unit: &str, place: &LoadTarget, content: &[u8]) -> Option<(String, String)> {
    let mend = || {
        let way = match header::parse(content) {
            Some(_) => "`unitbee apply --take` writes it anew".to_owned(),
            None => aside(place),
        };
        format!("{way}; `plutil -lint {}` on the host tells more", place.quoted())
    };
    let Ok(plist) = plist::from_bytes::<plist::Dictionary>(content) else {
        return Some(("it is no property list".into(), mend()));
    };
    let wanted = label(unit);
    if plist.get("Label").and_then(plist::Value::as_string) != Some(&wanted) {
        return Some((format!("its Label is not {wanted}"), mend()));
    }
    let words = plist.get("ProgramArguments").and_then(plist::Value::as_array);
    if !plist.contains_key("Program") && words.is_none_or(Vec::is_empty) {
        return Some(("it names no program".into(), mend()));
    }
    let session = if place.domain.starts_with("gui/") { "Aqua" } else { "Background" };
    (place.definition == UnitFileKind::LaunchAgent && !is_for(&plist, session))
        .then(|| (format!("it is not for sessions of type {session}"), mend()))
}

/// Tells whether a property list is for sessions of a type: one, several, or by default those at the screen
/// (launchd.plist(5), `LimitLoadToSessionType`).
fn is_for(plist: &plist::Dictionary, session: &str) -> bool {
    match plist.get("LimitLoadToSessionType") {
        None => session == "Aqua",
        Some(plist::Value::Array(all)) => all.iter().any(|one| one.as_string() == Some(session)),
        Some(one) => one.as_string() == Some(session),
    }
}

/// How a file that is not ours, or no longer to be known as such, makes room for one that is.
fn aside(place: &LoadTarget) -> String {
    let (sudo, path) = (place.sudo(), place.quoted());
    format!("`{sudo}mv {path} {path}.old` on the host, then `unitbee apply` writes it anew")
}

/// Reads a line of `ls -ldn`: `-rw-r--r--  1 501  20  812 Nov 21 01:05 /…`.
fn bad_access(line: &str, place: &LoadTarget, owner: u32) -> Option<(String, String)> {
    let mut words = line.split_whitespace();
    let (mode, uid) = (words.next()?, words.nth(1)?.parse::<u32>().ok()?);
    let (sudo, path) = (place.sudo(), place.quoted());
    let may_write = |at: usize| mode.as_bytes().get(at) == Some(&b'w');
    if !mode.starts_with('-') {
        return Some(("it is no regular file".into(), aside(place)));
    }
    if may_write(5) || may_write(8) {
        return Some(("others may write it".into(), format!("`{sudo}chmod 644 {path}` on the host")));
    }
    (uid != 0 && uid != owner)
        .then(|| (format!("it belongs to user {uid}"), format!("`sudo chown {owner} {path}` on the host")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> LoadTarget {
        LoadTarget {
            domain: "gui/501".to_owned(),
            target: "gui/501/com.rbee.a".to_owned(),
            definition: UnitFileKind::LaunchAgent,
            path: "/Users/a b/x.plist".to_owned(),
            stays_disabled: false,
        }
    }

    #[test]
    fn a_file_that_others_may_write_is_told() {
        let wrong = |line: &str| bad_access(line, &place(), 501).map(|(why, _)| why);
        let writable = Some("others may write it".to_owned());
        assert_eq!(wrong("-rw-r--r--  1 501  20  812 Nov 21 01:05 /x.plist\n"), None);
        assert_eq!(wrong("-rw-r--r--@ 1 0  0  812 Nov 21 01:05 /x.plist\n"), None);
        assert_eq!(wrong("-rw-rw-r--  1 501  20  812 Nov 21 01:05 /x.plist\n"), writable);
        assert_eq!(wrong("-rw-r--rw-  1 501  20  812 Nov 21 01:05 /x.plist\n"), writable);
        assert_eq!(
            wrong("lrwxr-xr-x  1 501  20  5 Nov 21 01:05 /x.plist -> y\n").as_deref(),
            Some("it is no regular file")
        );
        assert_eq!(
            wrong("-rw-r--r--  1 502  20  812 Nov 21 01:05 /x.plist\n").as_deref(),
            Some("it belongs to user 502")
        );
        assert_eq!(wrong(""), None);
    }

    #[test]
    fn what_mends_it_is_a_command_for_its_path_and_its_owner() {
        let mend = |line: &str, place: &LoadTarget| bad_access(line, place, 0).unwrap().1;
        let daemon = LoadTarget { definition: UnitFileKind::LaunchDaemon, ..place() };
        let writable = "-rw-rw-rw-  1 0  0  812 Nov 21 01:05 /x.plist\n";
        assert_eq!(mend(writable, &place()), "`chmod 644 '/Users/a b/x.plist'` on the host");
        assert_eq!(mend(writable, &daemon), "`sudo chmod 644 '/Users/a b/x.plist'` on the host");
        let moved =
            "`sudo mv '/Users/a b/x.plist' '/Users/a b/x.plist'.old` on the host, then `unitbee apply` writes it anew";
        assert_eq!(mend("drwxr-xr-x  2 0  0  64 Nov 21 01:05 /x.plist\n", &daemon), moved);
    }

    #[test]
    fn sessions_are_one_or_several_or_those_at_the_screen() {
        let plist = |sessions: &str| {
            let text = format!(
                "<plist version=\"1.0\"><dict><key>Label</key><string>com.rbee.a</string>\
                 <key>Program</key><string>/bin/x</string>{sessions}</dict></plist>"
            );
            bad_content("a", &place(), text.as_bytes()).map(|(why, _)| why)
        };
        let of = |value: &str| plist(&format!("<key>LimitLoadToSessionType</key>{value}"));
        assert_eq!(plist(""), None);
        assert_eq!(of("<string>Aqua</string>"), None);
        assert_eq!(of("<array><string>Background</string><string>Aqua</string></array>"), None);
        let wrong = Some("it is not for sessions of type Aqua".to_owned());
        assert_eq!((of("<string>Background</string>"), of("<array/>")), (wrong.clone(), wrong));
    }
}
