//! The units that go down and up with another one (systemd.unit(5): `Requires=`, `BindsTo=`, `PartOf=`).
//!
//! systemd restarts them with the unit, but only as far as it was the one that stopped them: one that is bound to a unit
//! which ended by itself, at its stop URL say, stays down. So they are looked up before, and started again afterwards.

use std::collections::BTreeSet;
use std::time::Duration;

use super::call::Verb;
use super::properties::Properties;
use super::{Link, Systemd, job, names};
use crate::supervisor::SupervisorError;
use crate::supervisor::restart::{self, Parts, RestartOrder};

/// The properties by which systemd tells who depends on a unit in this way.
const DEPENDENTS: [&str; 3] = ["RequiredBy", "BoundBy", "ConsistsOf"];

/// Tells whether a unit is up, or about to be.
pub(super) fn is_active(unit: &Properties) -> bool {
    !matches!(unit.text("ActiveState"), "inactive" | "failed")
}

impl Systemd {
    /// The full names of all that depend on a unit and are active.
    pub(in crate::supervisor) async fn dependents(&self, unit: &str) -> Result<Vec<String>, SupervisorError> {
        let link = self.manager().await?;
        let (mut seen, mut next) = (BTreeSet::new(), vec![names::service(unit)]);
        let mut active = Vec::new();
        while !next.is_empty() {
            let found = self.units(&link, &next).await?;
            active.extend(next.iter().zip(&found).filter(|(_, unit)| is_active(unit)).map(|(name, _)| name.clone()));
            seen.extend(std::mem::take(&mut next));
            let all: BTreeSet<String> = found
                .iter()
                .flat_map(|unit| DEPENDENTS.iter().flat_map(|property| unit.list(property)))
                .filter(|name| !seen.contains(name))
                .collect();
            next.extend(all);
        }
        let own = names::service(unit);
        active.retain(|name| *name != own);
        Ok(active)
    }

    pub(in crate::supervisor) async fn inactive(&self, names: &[String]) -> Result<Vec<String>, SupervisorError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.units(self.manager().await?.as_ref(), names).await?;
        let down = names.iter().zip(&found).filter(|(_, unit)| !is_active(unit)).map(|(name, _)| name.clone());
        Ok(down.collect())
    }

    pub(in crate::supervisor) async fn start_dependents(
        &self,
        names: &[String],
        deadline: Duration,
    ) -> Result<(), SupervisorError> {
        for name in self.inactive(names).await? {
            let outcome = match self.manager().await?.as_ref() {
                Link::Bus(bus) => job::run(bus, Verb::Start, &name, deadline).await,
                Link::Systemctl(systemctl, _) => systemctl.job(Verb::Start, &name, deadline).await,
            };
            outcome.map_err(self.error("start", &name))?;
        }
        Ok(())
    }

    pub(in crate::supervisor) async fn order_restart(
        &self,
        unit: &str,
        old: &[u32],
        term: Duration,
        dependents: &[String],
    ) -> Result<RestartOrder, SupervisorError> {
        // systemctl(1) needs no bus where it finds the manager's own socket, and is where systemd is.
        let env = vec![
            ("XDG_RUNTIME_DIR", self.account.runtime_dir().into_string()),
            ("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", self.account.bus_socket())),
            ("SYSTEMD_COLORS", "0".to_owned()),
        ];
        let args = [names::service(unit)].into_iter().chain(dependents.iter().cloned()).collect();
        let parts =
            Parts { unit, script: &restart::SYSTEMD, env, term, old, args, insurance: false, explain: str::to_owned };
        RestartOrder::give(self.host.as_ref(), parts).await
    }
}
