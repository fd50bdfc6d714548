//! The manager's methods, as far as unitbee calls them (org.freedesktop.systemd1(5), "The Manager Object"). Units go by
//! their full names.

use super::bus::Bus;
use super::call::CallError;
use crate::host::process::Signal;
use crate::supervisor::{Refusal, Whom};

/// A change to the links between unit files: what was done, the link, what it points to.
type Change = (String, String, String);

impl Bus {
    /// Enables units for good, replacing links that are in the way; tells whether that changed something.
    pub(super) async fn enable(&self, names: &[String]) -> Result<bool, CallError> {
        let answer = self.manager("EnableUnitFiles", &(names, false, true)).await?;
        let (_carries_install_info, changes): (bool, Vec<Change>) = answer.body().deserialize()?;
        Ok(!changes.is_empty())
    }

    /// Disables a unit for good; tells whether that changed something. One without a file is not enabled, and a mask
    /// is left alone: the method would take it for a link to be removed.
    pub(super) async fn disable(&self, name: &str) -> Result<bool, CallError> {
        let state = match self.manager("GetUnitFileState", &name).await {
            Err(error) if error.is_no_such_unit() => return Ok(false),
            answer => answer?,
        };
        if state.body().deserialize::<&str>()?.starts_with("masked") {
            return Ok(false);
        }
        let answer = self.manager("DisableUnitFiles", &(&[name][..], false)).await?;
        let changes: Vec<Change> = answer.body().deserialize()?;
        Ok(!changes.is_empty())
    }

    /// Sends a signal to processes of a unit, if there are any.
    pub(super) async fn kill(&self, name: &str, whom: Whom, signal: Signal) -> Result<(), CallError> {
        let whom = match whom {
            Whom::Main => "main",
            Whom::All => "all",
        };
        match self.manager("KillUnit", &(name, whom, signal.number())).await {
            Ok(_) | Err(CallError::Refused { refusal: Refusal::NoSuchUnit | Refusal::NoSuchProcess, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Sets a property to what it is, which has the manager write what it knows of the unit into its cgroup. Markers
    /// (systemd 248) are no setting, so that no drop-in comes of it.
    pub(super) async fn realize(&self, name: &str) -> Result<(), CallError> {
        let markers = [("Markers", zbus::Variant::from(Vec::<&str>::new()))];
        self.manager("SetUnitProperties", &(name, true, &markers[..])).await.map(drop)
    }

    /// Forgets that a unit failed; one that is not loaded has nothing to forget.
    pub(super) async fn reset_failed(&self, name: &str) -> Result<(), CallError> {
        match self.manager("ResetFailedUnit", &name).await {
            Err(error) if !error.is_no_such_unit() => Err(error),
            _ => Ok(()),
        }
    }

    /// Lists the processes of a unit and of the cgroups below it; a unit that is not loaded has none.
    pub(super) async fn processes(&self, name: &str) -> Result<Vec<u32>, CallError> {
        let answer = match self.manager("GetUnitProcesses", &name).await {
            Err(error) if error.is_no_such_unit() => return Ok(Vec::new()),
            answer => answer?,
        };
        let found: Vec<(String, u32, String)> = answer.body().deserialize()?;
        Ok(found.into_iter().map(|(_cgroup, pid, _command_line)| pid).collect())
    }
}
