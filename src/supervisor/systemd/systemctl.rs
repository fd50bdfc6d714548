//! `systemctl --user`, for hosts whose user bus cannot be reached. Units go by their full names.
//!
//! It needs no bus where it finds the manager's own socket (seen with 247 and later). Its messages are never
//! interpreted: what a failure means is read from the unit afterwards.

use std::sync::Arc;
use std::time::Duration;

use super::call::{CallError, Outcome, Verb};
use super::link::Account;
use super::properties::{Properties, SHOWN, parse_show};
use crate::host::process::Signal;
use crate::host::{Command, End, Host, HostError, Output, printable};
use crate::supervisor::{Refusal, Unseen, Whom};

/// How long it may take where it does not wait for a job.
const ANSWER: Duration = Duration::from_secs(30);

/// `systemctl --user` on one host.
#[derive(Debug)]
pub(super) struct Systemctl {
    pub(super) host: Arc<dyn Host>,
    pub(super) account: Account,
}

impl Systemctl {
    fn command<'a>(&self, verb: &str, args: impl IntoIterator<Item = &'a str>) -> Command {
        Command::new("systemctl")
            .args(["--user", "--no-pager", "--no-ask-password", verb])
            .args(args)
            .env("XDG_RUNTIME_DIR", self.account.runtime_dir())
            .env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", self.account.bus_socket()))
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .env("SYSTEMD_COLORS", "0")
            .deadline(ANSWER)
    }

    /// Runs it to its end, which may be any.
    pub(super) async fn run<'a>(
        &self,
        verb: &str,
        args: impl IntoIterator<Item = &'a str>,
    ) -> Result<Output, HostError> {
        self.host.run(&self.command(verb, args)).await
    }

    /// Reads properties of the manager.
    pub(super) async fn manager(&self) -> Result<Result<Properties, Output>, HostError> {
        let output = self.run("show", ["--property=Version,ControlGroup"]).await?;
        if !output.success() {
            return Ok(Err(output));
        }
        Ok(Ok(parse_show(&String::from_utf8_lossy(&output.stdout)).into_iter().next().unwrap_or_default()))
    }

    /// Reads the properties of units, in the same order.
    pub(super) async fn properties(&self, names: &[String]) -> Result<Vec<Properties>, CallError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let wanted = format!("--property={}", SHOWN.join(","));
        let args = [wanted.as_str(), "--"].into_iter().chain(names.iter().map(String::as_str));
        let output = self.run("show", args).await?;
        if !output.success() {
            return Err(CallError::Broken(said(&output)));
        }
        let shown = parse_show(&String::from_utf8_lossy(&output.stdout));
        if shown.len() == names.len() {
            Ok(shown)
        } else {
            Err(CallError::Broken(format!(
                "systemctl shows {} units where {} were asked for",
                shown.len(),
                names.len()
            )))
        }
    }

    /// Reads the properties of one unit.
    pub(super) async fn properties_of(&self, name: &str) -> Result<Properties, CallError> {
        Ok(self.properties(&[name.to_owned()]).await?.pop().unwrap_or_default())
    }

    /// Runs a job to its end, at most `deadline`.
    pub(super) async fn job(&self, verb: Verb, name: &str, deadline: Duration) -> Result<Outcome, CallError> {
        let command = self.command(verb.as_str(), ["--", name]).deadline(deadline);
        match self.host.run(&command).await {
            Ok(output) if output.success() => Ok(Outcome::Ended("done".to_owned())),
            Ok(output) => match self.refusal(verb.as_str(), &[name.to_owned()]).await? {
                Refusal::Other => Ok(Outcome::Ended("failed".to_owned())),
                refusal => Err(CallError::Refused { refusal, name: None, words: said(&output) }),
            },
            Err(HostError::Deadline { .. }) => Ok(Outcome::Unseen(Unseen::Deadline)),
            Err(HostError::Lost { .. }) => Ok(Outcome::Unseen(Unseen::ConnectionLost)),
            Err(error) => Err(error.into()),
        }
    }

    /// Finds out what a failed verb ran into.
    async fn refusal(&self, verb: &str, names: &[String]) -> Result<Refusal, CallError> {
        let obstacle = |unit: &Properties| match unit.text("LoadState") {
            "not-found" => Some(Refusal::NoSuchUnit),
            "masked" => Some(Refusal::Masked),
            "bad-setting" | "error" => Some(Refusal::BadUnitFile),
            _ if verb == "reload" && !unit.flag("CanReload") => Some(Refusal::NotApplicable),
            _ => None,
        };
        Ok(self.properties(names).await?.iter().find_map(obstacle).unwrap_or(Refusal::Other))
    }

    /// Runs a verb that is done when it ends; gives what it said.
    pub(super) async fn act<'a>(
        &self,
        verb: &str,
        args: impl IntoIterator<Item = &'a str>,
    ) -> Result<String, CallError> {
        let output = self.run(verb, args).await?;
        match output.end {
            End::Exit(0) => Ok(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()),
            _ => Err(CallError::Refused { refusal: Refusal::Other, name: None, words: said(&output) }),
        }
    }

    /// Enables units; tells whether that changed something.
    pub(super) async fn enable(&self, names: &[String]) -> Result<bool, CallError> {
        match self.act("enable", std::iter::once("--").chain(names.iter().map(String::as_str))).await {
            // It says so for each link that it makes, and says nothing else in these words.
            Ok(said) => Ok(said.lines().any(|line| line.starts_with("Created symlink"))),
            Err(CallError::Refused { words, .. }) => {
                Err(CallError::Refused { refusal: self.refusal("enable", names).await?, name: None, words })
            }
            Err(error) => Err(error),
        }
    }

    /// Disables a unit; tells whether that changed something. One without a file is not enabled.
    pub(super) async fn disable(&self, name: &str) -> Result<bool, CallError> {
        match self.act("disable", ["--", name]).await {
            Ok(said) => Ok(said.lines().any(|line| line.starts_with("Removed "))),
            Err(error) => {
                let shown = self.properties_of(name).await?;
                if shown.text("LoadState") == "not-found" { Ok(false) } else { Err(error) }
            }
        }
    }

    /// Sends a signal.
    pub(super) async fn kill(&self, name: &str, whom: Whom, signal: Signal) -> Result<(), CallError> {
        let whom = match whom {
            Whom::Main => "--kill-who=main",
            Whom::All => "--kill-who=all",
        };
        let signal = format!("--signal=SIG{}", signal.name());
        let Err(error) = self.act("kill", [whom, &signal, "--", name]).await else { return Ok(()) };
        let properties = self.properties_of(name).await?;
        let nobody_there = properties.small("MainPID") == 0 || properties.text("LoadState") == "not-found";
        if nobody_there { Ok(()) } else { Err(error) }
    }

    /// Sets a property to what it is.
    pub(super) async fn realize(&self, name: &str) -> Result<(), CallError> {
        self.act("set-property", ["--runtime", "--", name, "Markers="]).await.map(drop)
    }

    /// Forgets a failure.
    pub(super) async fn reset_failed(&self, name: &str) -> Result<(), CallError> {
        let Err(error) = self.act("reset-failed", ["--", name]).await else { return Ok(()) };
        if self.properties_of(name).await?.text("ActiveState") == "failed" { Err(error) } else { Ok(()) }
    }
}

/// What a failed command gave as the reason: its last line, without the repetition of what it was to do.
pub(super) fn said(output: &Output) -> String {
    let text = printable(&output.stderr);
    let Some(line) = text.lines().rev().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("See "))
    else {
        return format!("it ended with {:?}", output.end);
    };
    let reason = line.strip_prefix("Failed to ").and_then(|rest| rest.split_once(": "));
    reason.map_or(line, |(_, reason)| reason).to_owned()
}
