//! What happened on a host while something was carried out: the only thing that progress and `--json` ever see.

use std::time::Duration;

use serde::Serialize;

use crate::lifecycle::stop::StoppedBy;

/// One thing that happened, past tense.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The host answered, and this is how its service manager is talked to.
    Connected {
        /// `systemd`.
        manager: &'static str,
        /// `bus`, `forwarded-bus`, `stdio-bridge`, `systemctl`.
        transport: String,
    },
    /// Another apply is at work on the host, and is waited for.
    Waiting,
    /// Bytes of the change that were sent so far.
    Sent {
        /// So many.
        bytes: u64,
        /// Of so many.
        total: u64,
    },
    /// The program of a unit passed the manifest's check on the host.
    Checked {
        /// Unit.
        unit: String,
        /// The first line that it wrote; often its version.
        said: String,
    },
    /// Files were put in place.
    Written {
        /// How many.
        files: usize,
    },
    /// The manager keeps running without a session from now on.
    LingerEnabled,
    /// The manager read its unit files again.
    Reloaded,
    /// A unit is started at boot from now on.
    Enabled {
        /// Unit.
        unit: String,
    },
    /// A unit was ended.
    Stopped {
        /// Unit.
        unit: String,
        /// The step of the ladder that ended it.
        by: StoppedBy,
    },
    /// A unit was started; it may not be healthy yet.
    Started {
        /// Unit.
        unit: String,
        /// Main process.
        pid: Option<u32>,
    },
    /// A unit answers its health URL, and it is the new process that does.
    Healthy {
        /// Unit.
        unit: String,
        /// Since the start.
        #[serde(rename = "after_ms", serialize_with = "millis")]
        after: Duration,
    },
    /// The log of a unit could not be rotated, and grows.
    Unrotated {
        /// Unit.
        unit: String,
        /// What the host said.
        why: String,
    },
    /// Files, unit and processes of a unit are gone.
    Removed {
        /// Unit.
        unit: String,
    },
}

fn millis<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u128(duration.as_millis())
}

/// Takes the events of one host as they happen.
pub type Sink<'a> = &'a (dyn Fn(Event) + Send + Sync);
