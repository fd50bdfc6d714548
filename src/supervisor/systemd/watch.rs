//! Looking out for changes of a unit.
//!
//! A signal says only that something may have changed: systemd sends several for one change, the first of them with
//! the old state. And it says so to those alone who can hear it, so a look from time to time makes up for a signal
//! that is lost, or for `systemctl`, which has none.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;
use zbus::message::Type;
use zbus::{MatchRule, MessageStream};

use super::bus::{Bus, PROPERTIES, SYSTEMD};
use super::call::CallError;
use crate::service::escape::object_path;

/// How long to wait for a signal before it is worth a look.
const SIGNAL_MAY_BE_LOST: Duration = Duration::from_secs(2);

/// How often to look where no signals come.
const POLL: Duration = Duration::from_millis(500);

/// Looks out for changes of one unit.
#[derive(Debug)]
pub struct Watch {
    changed: Arc<Notify>,
    look_after: Duration,
    /// Takes the signals as they come: one left lying would hold up all that comes after it on the connection.
    _signals: Option<AbortOnDropHandle<()>>,
}

impl Watch {
    /// Signals of the bus about the unit with this full name.
    pub(super) async fn signals(bus: &Bus, name: &str) -> Result<Self, CallError> {
        let rule = MatchRule::builder()
            .msg_type(Type::Signal)
            .sender(SYSTEMD)
            .path(object_path(name))
            .interface(PROPERTIES)
            .member("PropertiesChanged")
            .build()?;
        let mut signals = MessageStream::for_match_rule(rule, &bus.connection, None).await?;
        bus.subscribe().await?;
        let changed = Arc::new(Notify::new());
        let notify = Arc::clone(&changed);
        let pump = tokio::spawn(async move {
            while let Some(Ok(_)) = signals.next().await {
                notify.notify_one();
            }
        });
        Ok(Self { changed, look_after: SIGNAL_MAY_BE_LOST, _signals: Some(AbortOnDropHandle::new(pump)) })
    }

    /// No signals, only looks.
    pub(super) fn polling() -> Self {
        Self { changed: Arc::new(Notify::new()), look_after: POLL, _signals: None }
    }

    /// Waits until a look at the unit is worth it, at most `deadline`; tells whether a signal said so.
    pub(in crate::supervisor) async fn changed(&mut self, deadline: Duration) -> bool {
        tokio::time::timeout(deadline.min(self.look_after), self.changed.notified()).await.is_ok()
    }
}
