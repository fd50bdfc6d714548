//! systemd's user manager.
#![expect(clippy::unused_async, reason = "signatures first")]

use std::sync::Arc;
use std::time::Duration;

use super::{JobEnd, Persistence, SupervisorError, Transport, UnitStatus, Whom};
use crate::host::process::Signal;
use crate::host::{Facts, Host};

/// systemd's user manager on one host.
#[derive(Debug)]
pub struct Systemd {}

macro_rules! later {
    ($($name:ident($($arg:ident: $type:ty),*) -> $ret:ty;)*) => {
        impl Systemd { $(pub(super) async fn $name(&self, $($arg: $type),*) -> Result<$ret, SupervisorError> { $(let _ = $arg;)* todo!() })* }
    };
}

later! {
    version() -> Option<u32>;
    status(units: &[String]) -> Vec<UnitStatus>;
    status_of(unit: &str) -> UnitStatus;
    daemon_reload() -> ();
    start(unit: &str, deadline: Duration) -> JobEnd;
    stop(unit: &str, deadline: Duration) -> JobEnd;
    restart(unit: &str, deadline: Duration) -> JobEnd;
    reload(unit: &str, deadline: Duration) -> JobEnd;
    enable(units: &[String]) -> bool;
    disable(units: &[String]) -> bool;
    kill(unit: &str, whom: Whom, signal: Signal) -> ();
    reset_failed(unit: &str) -> ();
    processes(unit: &str) -> Vec<u32>;
    is_gone(unit: &str) -> bool;
    watch(unit: &str) -> Watch;
    stop_slice(slice: &str) -> ();
}

impl Systemd {
    pub(super) async fn connect(_host: Arc<dyn Host>, _facts: &Facts) -> Result<Self, SupervisorError> {
        todo!()
    }

    pub(super) fn transport(&self) -> Transport {
        todo!()
    }
}

pub(super) async fn ensure_persistent(_host: &dyn Host, _facts: &Facts) -> Result<Persistence, SupervisorError> {
    todo!()
}

/// Looks out for changes of one unit.
#[derive(Debug)]
pub struct Watch {}

impl Watch {
    pub(super) async fn changed(&mut self, _deadline: Duration) -> bool {
        todo!()
    }
}
