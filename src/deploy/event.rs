//! What happens on a host while steps are carried out: the only thing that progress and `--json` ever see.

use std::time::Duration;

use serde::Serialize;

use crate::lifecycle::stop::StoppedBy;

/// One thing that happens.
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
    /// Another unitbee changes the host; it is waited for.
    Waiting {
        /// Who that is.
        owner: String,
    },
    /// A change that was left unfinished is finished or reverted first.
    Unfinished {
        /// Whose change it is, and how far it came.
        change: String,
    },
    /// A step begins.
    StepBegan {
        /// Its stable id: `replace:web`.
        step: String,
        /// Unit.
        #[serde(skip_serializing_if = "Option::is_none")]
        unit: Option<String>,
    },
    /// A step ended.
    StepEnded {
        /// Its stable id.
        step: String,
        /// Unit.
        #[serde(skip_serializing_if = "Option::is_none")]
        unit: Option<String>,
        /// Whether it was carried out.
        ok: bool,
    },
    /// What a service that is waited for does meanwhile.
    Seen {
        /// Unit.
        unit: String,
        /// `http://127.0.0.1:8080/health answered 503`.
        what: String,
        /// Since the wait began.
        #[serde(rename = "after_ms", serialize_with = "millis")]
        after: Duration,
        /// How long it may take.
        #[serde(rename = "within_ms", serialize_with = "millis")]
        within: Duration,
    },
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
    /// A unit was stopped.
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
    /// A release did not pass its gate.
    Failed {
        /// Unit.
        unit: String,
        /// Its release.
        release: u32,
        /// Why.
        why: String,
    },
    /// The previous release of a unit is back in place; its gate comes next.
    RollingBack {
        /// Unit.
        unit: String,
        /// The release that it goes back to.
        to: u32,
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
