//! What is to be on a host: one unit, complete but for what only the host knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use camino::Utf8PathBuf;

use super::prepare::Payload;
use super::release::StoredRelease;
use crate::service::secret::Secret;
use crate::service::spec::{EnvName, UnitSpec};

/// One unit as it is to be.
#[derive(Debug, Clone)]
pub struct Desired {
    /// The spec.
    pub spec: UnitSpec,
    /// Where its program comes from.
    pub program: ProgramSource,
    /// Where its secrets come from.
    pub env: EnvSource,
    /// Where its unit file comes from.
    pub definition: DefinitionSource,
}

/// Where the program of a unit comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProgramSource {
    /// From this machine; it is shipped where the host's store does not have it.
    Ship(Arc<Payload>),
    /// The host has it at this path, in its store where there is a digest.
    InStore {
        /// Path there.
        path: Utf8PathBuf,
        /// Its digest, where it was shipped once.
        sha256: Option<String>,
    },
    /// The host has it, as the spec names it.
    OnHost,
}

/// Where the secrets of a unit come from.
#[derive(Debug, Clone)]
pub enum EnvSource {
    /// These values.
    New(BTreeMap<EnvName, Secret>),
    /// Those that this release has on the host, if any.
    Keep(u32),
}

/// Where the unit file of a unit comes from.
#[derive(Debug, Clone)]
pub enum DefinitionSource {
    /// It is rendered from the spec.
    Render,
    /// It is that of a release which the host keeps.
    Stored(Box<StoredRelease>),
}

impl Desired {
    /// A unit with a program of the host and without secrets.
    #[must_use]
    pub fn new(spec: UnitSpec) -> Self {
        Self {
            spec,
            program: ProgramSource::OnHost,
            env: EnvSource::New(BTreeMap::new()),
            definition: DefinitionSource::Render,
        }
    }

    /// A unit as a release has it that the host keeps.
    #[must_use]
    pub fn of_release(stored: StoredRelease) -> Self {
        let record = &stored.record;
        Self {
            spec: record.spec.clone(),
            program: ProgramSource::InStore { path: record.program.clone(), sha256: record.sha256.clone() },
            env: EnvSource::Keep(record.release),
            definition: DefinitionSource::Stored(Box::new(stored)),
        }
    }

    /// The name of the unit.
    #[must_use]
    pub fn unit(&self) -> &str {
        self.spec.unit.as_str()
    }

    /// The program that may have to be shipped.
    #[must_use]
    pub fn payload(&self) -> Option<&Payload> {
        if let ProgramSource::Ship(payload) = &self.program { Some(payload) } else { None }
    }
}
