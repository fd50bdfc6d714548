//! Going ahead to the manager while the host is still answering: over a connection that is kept, both take about the
//! same time.

use super::bus::Bus;
use crate::host::Host;

/// The bus of the user that we were on the host when it was asked last.
#[derive(Debug, Default)]
pub(in crate::supervisor) struct Approach(Option<(u32, Bus)>);

impl Approach {
    /// Opens the bus where that takes no question; what fails here is tried again, and told, by [`Systemd::connect`](super::Systemd::connect).
    pub(in crate::supervisor) async fn begin(host: &dyn Host) -> Self {
        let Some(uid) = host.known_uid().await else { return Self::default() };
        Self(Bus::open_ahead(host, uid).await.map(|bus| (uid, bus)))
    }

    pub(super) fn of(self, uid: u32) -> Option<Bus> {
        self.0.filter(|(known, bus)| *known == uid && !bus.is_lost()).map(|(_, bus)| bus)
    }
}
