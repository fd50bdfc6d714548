//! What is kept on a host of each release.

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use super::spec::UnitSpec;

/// What is kept on the host of each release, without secrets: enough to tell what runs, and to put it back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Form of this record; 1.
    pub version: u32,
    /// Number of the release, counted per unit and host.
    pub release: u32,
    /// The spec.
    pub spec: UnitSpec,
    /// The program's path on the host.
    pub program: Utf8PathBuf,
    /// Digest of the program, where it was shipped.
    pub sha256: Option<String>,
    /// Unix time in microseconds by the host's clock: a process that was started before it runs something older than
    /// this release.
    pub starts_after_usec: u64,
}

impl Record {
    /// The form that this version writes and reads.
    pub const VERSION: u32 = 1;

    /// The bytes that are kept.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // A record holds nothing that JSON cannot carry: maps have string keys, numbers are finite.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Tells whether a process that was started at `started_usec` runs something older than this release. A record from
    /// the future is that of a clock that was wrong, and says nothing.
    #[must_use]
    pub fn outdates(&self, started_usec: u64, now_usec: u64) -> bool {
        self.starts_after_usec <= now_usec && started_usec < self.starts_after_usec
    }

    /// Tells whether both describe the same release: how releases are built, replaced and kept, and the name of the
    /// project, may differ.
    #[must_use]
    pub fn is_same_release(&self, other: &Self) -> bool {
        let plain = |record: &Self| Self { spec: record.spec.without_policy(), ..record.clone() };
        plain(self) == plain(other)
    }

    /// Reads a record; `None` for one that is damaged or of another form, which is then no worse than none at all.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|record: &Self| record.version == Self::VERSION)
    }
}
