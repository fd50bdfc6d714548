//! What is kept on a host of each release.

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::spec::UnitSpec;

/// What is kept on the host of each release, without secrets: enough to say what runs, and to put it back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Format of this record: [`Record::VERSION`], or an older one that was read.
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
    /// Digest of everything that makes the release what it is: two releases with the same one are the same. Empty in
    /// records of format 1.
    #[serde(default)]
    pub set: String,
    /// Who made the release, and with what. Absent in records of format 1.
    #[serde(default)]
    pub origin: Option<Origin>,
}

/// Where a release comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Unix time in microseconds by the host's clock.
    pub usec: u64,
    /// `alice@laptop`.
    pub by: String,
    /// The manifest, as an absolute path on the machine of `by`; absent where there was none.
    pub manifest: Option<String>,
    /// Version of unitbee.
    pub unitbee: String,
}

/// Why a record cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A newer unitbee wrote it.
    #[error("format {version} is newer than {}, the newest that this unitbee reads", Record::VERSION)]
    Newer {
        /// Its format.
        version: u32,
    },
    /// It is damaged.
    #[error("the record is damaged")]
    Damaged,
}

/// What every format of a record says.
#[derive(Deserialize)]
struct Format {
    version: u32,
}

impl Record {
    /// The format that this version writes. It reads all older ones.
    pub const VERSION: u32 = 2;

    /// The bytes that are kept.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // A record holds nothing that JSON cannot carry: maps have string keys, numbers are finite.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Whether a process that was started at `started_usec` runs something older than this release. A record from
    /// the future is that of a clock that was wrong, and says nothing.
    #[must_use]
    pub fn outdates(&self, started_usec: u64, now_usec: u64) -> bool {
        self.starts_after_usec <= now_usec && started_usec < self.starts_after_usec
    }

    /// Reads a record of this or an older format.
    ///
    /// # Errors
    ///
    /// [`RecordError::Newer`] where a newer unitbee wrote it, [`RecordError::Damaged`] where it is no record.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        match serde_json::from_slice(bytes) {
            Ok(Format { version }) if version > Self::VERSION => Err(RecordError::Newer { version }),
            Ok(_) => serde_json::from_slice(bytes).map_err(|_| RecordError::Damaged),
            Err(_) => Err(RecordError::Damaged),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_record_is_refused_by_its_format() {
        let newer = br#"{ "version": 3, "release": "a word now" }"#;
        assert_eq!(Record::parse(newer), Err(RecordError::Newer { version: 3 }));
        assert_eq!(Record::parse(b"{ \"version\": 2 }"), Err(RecordError::Damaged));
        assert_eq!(Record::parse(b""), Err(RecordError::Damaged));
    }
}
