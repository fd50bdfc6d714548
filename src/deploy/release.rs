//! Releases as a host keeps them: what makes two of them the same, what was found of each, and one read back.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::host::{Answer, Ask, Host, HostError, Query};
use crate::service::record::{Record, RecordError};
use crate::service::spec::UnitSpec;
use crate::supervisor::layout;

/// What was found of a release, without reading it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a file that is there or not")]
pub struct ReleaseFound {
    /// SHA-256 of its secrets, where it has any.
    pub env: Option<String>,
    /// SHA-256 of the file with its digest; absent in releases of format 1.
    pub set: Option<String>,
    /// Whether its record is there, which is written last.
    pub spec: bool,
    /// Whether its unit file is kept.
    pub definition: bool,
    /// Whether it passed its gate.
    pub healthy: bool,
    /// Whether it did not pass its gate.
    pub failed: bool,
}

impl ReleaseFound {
    /// Whether there is a way back to it: it passed its gate once, or is of a time when that was not recorded.
    #[must_use]
    pub fn is_good(&self) -> bool {
        !self.failed && (self.healthy || self.spec && self.set.is_none())
    }

    /// Whether it has neither passed its gate nor failed.
    #[must_use]
    pub fn is_undecided(&self) -> bool {
        !self.failed && !self.is_good()
    }
}

/// Reads the releases of a unit from the files below its folder, each with the SHA-256 of its content.
#[must_use]
pub fn found(tree: BTreeMap<Utf8PathBuf, String>) -> BTreeMap<u32, ReleaseFound> {
    let mut releases: BTreeMap<u32, ReleaseFound> = BTreeMap::new();
    for (path, digest) in tree {
        let mut parts = path.iter();
        let (Some(Ok(number)), Some(file)) = (parts.next().map(str::parse), parts.next()) else { continue };
        let release = releases.entry(number).or_default();
        match file {
            "env" => release.env = Some(digest),
            "spec.json" => release.spec = true,
            "set" => release.set = Some(digest),
            "definition" => release.definition = true,
            "healthy" => release.healthy = true,
            "failed" => release.failed = true,
            _ => {}
        }
    }
    releases
}

/// Digests everything that makes a release what it is. `definition` is the body of its unit file as rendered for
/// release 0, so that the number of the release makes no difference.
#[must_use]
pub fn set_digest(spec: &UnitSpec, definition: &[u8], env: Option<&[u8]>, program: Option<&str>) -> String {
    let mut all = Sha256::new();
    let mut part = |bytes: &[u8]| {
        // The length in front, so that no two lists of parts come to the same bytes.
        all.update((bytes.len() as u64).to_le_bytes());
        all.update(bytes);
    };
    part(definition);
    part(env.map(sha256).unwrap_or_default().as_bytes());
    part(program.unwrap_or_default().as_bytes());
    part(&serde_json::to_vec(&spec.without_policy()).unwrap_or_default());
    hex::encode(all.finalize())
}

/// SHA-256 in lower-case hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// A release that was read back from a host.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRelease {
    /// Its record.
    pub record: Record,
    /// Its unit file.
    pub definition: Vec<u8>,
}

/// Why a release cannot be read back.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoredError {
    /// The host did not do its part.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The host does not keep it, or not all of it.
    #[error("{host} does not keep release {release} of {unit}")]
    Missing {
        /// Host.
        host: String,
        /// Unit.
        unit: String,
        /// Number.
        release: u32,
    },
    /// Its record cannot be read.
    #[error("release {release} of {unit} on {host}")]
    Record {
        /// Host.
        host: String,
        /// Unit.
        unit: String,
        /// Number.
        release: u32,
        /// Cause.
        source: RecordError,
    },
}

/// Reads releases back from `host`, in one exchange.
///
/// # Errors
///
/// For the first that cannot be read back.
pub async fn read_back(host: &dyn Host, releases: &[(String, u32)]) -> Result<Vec<StoredRelease>, StoredError> {
    if releases.is_empty() {
        return Ok(Vec::new());
    }
    let asks = releases
        .iter()
        .flat_map(|(unit, release)| {
            [layout::release_spec(unit, *release), layout::release_definition(unit, *release)].map(Ask::File)
        })
        .collect();
    let mut answers = host.query(&Query { asks }).await?.answers.into_iter();
    let mut read = |unit: &String, release: u32| {
        let name = || host.name().to_owned();
        let (Some(Answer::File(Some(record))), Some(Answer::File(Some(definition)))) = (answers.next(), answers.next())
        else {
            return Err(StoredError::Missing { host: name(), unit: unit.clone(), release });
        };
        let record = Record::parse(&record.content).map_err(|source| StoredError::Record {
            host: name(),
            unit: unit.clone(),
            release,
            source,
        })?;
        Ok(StoredRelease { record, definition: definition.content })
    };
    releases.iter().map(|(unit, release)| read(unit, *release)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marks_of_a_release_are_read_from_its_folder() {
        let tree = |paths: &[&str]| paths.iter().map(|path| ((*path).into(), "d".to_owned())).collect();
        let found = found(tree(&[
            "spec.json",
            "1/spec.json",
            "1/env",
            "2/set",
            "2/failed",
            "3/set",
            "3/healthy",
            "4/env",
            "x/set",
        ]));
        assert_eq!(found.keys().copied().collect::<Vec<_>>(), [1, 2, 3, 4]);
        let good: Vec<bool> = found.values().map(ReleaseFound::is_good).collect();
        assert_eq!(
            good,
            [true, false, true, false],
            "one of format 1 has no marks and counts, one that was begun does not"
        );
    }
}
