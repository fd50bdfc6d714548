//! `systemctl --user`, for hosts whose user bus cannot be reached. Units go by their full names.
//!
//! From systemd 252 on it needs no bus at all. Its messages are never interpreted: what a failure means is read from
//! the unit afterwards.

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
        let command = self.command(verb.word(), ["--", name]).deadline(deadline);
        match self.host.run(&command).await {
            Ok(output) if output.success() => Ok(Outcome::Ended("done".to_owned())),
            Ok(output) => match self.explain(verb, name, &output).await? {
                Refusal::Other => Ok(Outcome::Ended("failed".to_owned())),
                refusal => Err(CallError::Refused { refusal, name: None, words: said(&output) }),
            },
            Err(HostError::Deadline { .. }) => Ok(Outcome::Unseen(Unseen::Deadline)),
            Err(HostError::Lost { .. }) => Ok(Outcome::Unseen(Unseen::ConnectionLost)),
            Err(error) => Err(error.into()),
        }
    }

    /// Finds out what a failed verb ran into.
    async fn explain(&self, verb: Verb, name: &str, output: &Output) -> Result<Refusal, CallError> {
        if output.end == End::NotFound {
            return Err(CallError::Broken("there is no systemctl any more".to_owned()));
        }
        let properties = self.properties_of(name).await?;
        Ok(match properties.text("LoadState") {
            "not-found" => Refusal::NoSuchUnit,
            "masked" => Refusal::Masked,
            "bad-setting" | "error" => Refusal::BadUnitFile,
            _ if verb == Verb::Reload && !properties.flag("CanReload") => Refusal::NotApplicable,
            _ => Refusal::Other,
        })
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

    /// Enables or disables units; tells whether that changed something.
    pub(super) async fn switch(&self, verb: &str, names: &[String]) -> Result<bool, CallError> {
        let args = std::iter::once("--").chain(names.iter().map(String::as_str));
        // It says so for each link that it makes or removes, and says nothing else in these words.
        let said = self.act(verb, args).await?;
        Ok(said.lines().any(|line| line.starts_with("Created symlink") || line.starts_with("Removed ")))
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

    /// Forgets a failure.
    pub(super) async fn reset_failed(&self, name: &str) -> Result<(), CallError> {
        let Err(error) = self.act("reset-failed", ["--", name]).await else { return Ok(()) };
        if self.properties_of(name).await?.text("ActiveState") == "failed" { Err(error) } else { Ok(()) }
    }
}

/// The last line that a failed command printed.
pub(super) fn said(output: &Output) -> String {
    let text = printable(&output.stderr);
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("See "));
    line.map_or_else(|| format!("systemctl ended with {:?}", output.end), str::to_owned)
}
