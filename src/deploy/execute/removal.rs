//! The steps by which units go.

use super::super::error::ApplyError;
use super::super::event::Event;
use super::{Executor, is_no_manager};
use crate::host::{Answer, Ask, Query};
use crate::lifecycle::graceful_shutdown;
use crate::service::spec::Stop;
use crate::supervisor::{SupervisorError, SupervisorKind, UnitFileKind, layout};

impl Executor<'_> {
    /// A manager, unless the user has none because nothing keeps it: that one runs nothing.
    async fn if_any(
        &mut self,
        kind: SupervisorKind,
    ) -> Result<Option<std::sync::Arc<crate::supervisor::Supervisor>>, SupervisorError> {
        match self.supervisor(kind).await {
            Ok(supervisor) => Ok(Some(supervisor)),
            Err(error) if is_no_manager(&error, &self.facts) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn stop(&mut self, unit: &str, manager: SupervisorKind, stop: &Stop) -> Result<(), ApplyError> {
        self.lease.check(self.host.as_ref()).await?;
        let Some(supervisor) = self.if_any(manager).await? else { return Ok(()) };
        let stopped = graceful_shutdown(self.host.as_ref(), &supervisor, unit, stop).await?;
        (self.events)(Event::Stopped { unit: unit.to_owned(), by: stopped.by });
        Ok(())
    }

    pub(super) async fn forget(&mut self, manager: SupervisorKind, units: &[String]) -> Result<(), ApplyError> {
        if let Some(supervisor) = self.if_any(manager).await? {
            supervisor.forget(units).await?;
        }
        Ok(())
    }

    pub(super) async fn settle(
        &mut self,
        slices: &[String],
        managers: &[(SupervisorKind, Vec<String>)],
    ) -> Result<(), ApplyError> {
        for (manager, units) in managers {
            let Some(supervisor) = self.if_any(*manager).await? else { continue };
            for slice in slices {
                supervisor.stop_slice(slice).await?;
            }
            supervisor.daemon_reload().await?;
            for unit in units {
                supervisor.reset_failed(unit).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn prove(&mut self, unit: &str, managers: &[SupervisorKind]) -> Result<(), ApplyError> {
        let host = self.host.name().to_owned();
        let left =
            |what: &str| ApplyError::NotGone { unit: unit.to_owned(), host: host.clone(), what: what.to_owned() };
        for manager in managers {
            if let Some(supervisor) = self.if_any(*manager).await?
                && !supervisor.is_gone(unit).await?
            {
                return Err(left("the service manager still knows it"));
            }
        }
        let kinds = UnitFileKind::ALL.into_iter().filter(|kind| managers.contains(&kind.manager()));
        let asks = kinds.map(|kind| kind.path(unit)).chain([layout::unit(unit)]).map(Ask::Size).collect();
        let found = self.host.query(&Query { asks }).await?.answers;
        if found.iter().any(|answer| *answer != Answer::Size(None)) {
            return Err(left("its files are still there"));
        }
        (self.events)(Event::Removed { unit: unit.to_owned() });
        Ok(())
    }
}
