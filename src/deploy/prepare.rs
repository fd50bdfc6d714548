//! What units need from this machine, before the first host is touched: the bytes of programs, the values of secrets.

use std::collections::BTreeMap;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use thiserror::Error;

use super::desired::{DefinitionSource, Desired, EnvSource, ProgramSource};
use super::machine::Machine;
use super::program::{self, Requirements};
use crate::host::{self, HostError};
use crate::service::secret::Secret;
use crate::service::spec::{Build, Program, UnitSpec};

/// A program of this machine, read once however many hosts get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// Its path here.
    pub path: Utf8PathBuf,
    /// Its file name, which it keeps.
    pub name: String,
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: String,
    /// Bytes.
    pub len: u64,
    /// What it runs on; `None` for a script and for what we cannot tell.
    pub machine: Option<Machine>,
    /// What it needs of a host.
    pub needs: Requirements,
}

/// Why a release cannot be put together here.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// The program is not there.
    #[error("{unit}: there is no file {path}")]
    NoProgram {
        /// Unit.
        unit: String,
        /// Path here.
        path: Utf8PathBuf,
        /// Service and the command that builds its program, if the manifest names one.
        build: Option<(String, Build)>,
    },
    /// The program is there and cannot be shipped.
    #[error("{unit}: {path} is {what}")]
    BadProgram {
        /// Unit.
        unit: String,
        /// Path here.
        path: Utf8PathBuf,
        /// `not executable`, `a folder`.
        what: &'static str,
    },
    /// The program cannot be read.
    #[error("{unit}: read {path}")]
    Unreadable {
        /// Unit.
        unit: String,
        /// Path here.
        path: Utf8PathBuf,
        /// Cause.
        source: HostError,
    },
    /// A secret has no value.
    #[error("{unit}: secret {name} is not set in this shell's environment")]
    NoSecret {
        /// Unit.
        unit: String,
        /// Variable.
        name: String,
    },
}

impl PrepareError {
    /// One command or one sentence that helps.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoProgram { build: Some((service, build)), .. } => {
                Some(format!("`unitbee rebuild {service}` builds it with `{build}` and applies"))
            }
            Self::NoProgram { .. } => {
                Some("build it first, or name it by a bare name or absolute path of the host".into())
            }
            Self::BadProgram { path, .. } => Some(format!("`chmod +x {path}`")),
            Self::NoSecret { name, .. } => Some(format!("`export {name}=…`")),
            Self::Unreadable { .. } => None,
        }
    }
}

/// Puts together what the units need from this machine; every problem is reported, not only the first.
pub async fn prepare(
    units: &[UnitSpec],
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Vec<Desired>, Vec<PrepareError>> {
    let mut payloads: BTreeMap<Utf8PathBuf, Arc<Payload>> = BTreeMap::new();
    let mut desired = Vec::with_capacity(units.len());
    let mut errors = Vec::new();
    for spec in units {
        let mut payload = None;
        if let Program::Shipped(path) = &spec.program {
            match payloads.get(path) {
                Some(known) => payload = Some(Arc::clone(known)),
                None => match load(spec, path).await {
                    Ok(loaded) => payload = Some(Arc::clone(payloads.entry(path.clone()).or_insert(Arc::new(loaded)))),
                    Err(error) => errors.push(error),
                },
            }
        }
        let mut secrets = BTreeMap::new();
        for name in &spec.secrets {
            match variable(name.as_str()) {
                Some(value) => drop(secrets.insert(name.clone(), Secret::new(value))),
                None => errors.push(PrepareError::NoSecret { unit: spec.unit.to_string(), name: name.to_string() }),
            }
        }
        desired.push(Desired {
            spec: spec.clone(),
            program: payload.map_or(ProgramSource::OnHost, ProgramSource::Ship),
            env: EnvSource::New(secrets),
            definition: DefinitionSource::Render,
        });
    }
    if errors.is_empty() { Ok(desired) } else { Err(errors) }
}

async fn load(spec: &UnitSpec, path: &Utf8Path) -> Result<Payload, PrepareError> {
    let unit = || spec.unit.to_string();
    let file = match host::local_file(path).await {
        Ok(Some(file)) => file,
        Ok(None) => {
            let build = spec.build.clone().map(|build| (spec.service.clone(), build));
            return Err(PrepareError::NoProgram { unit: unit(), path: path.to_owned(), build });
        }
        Err(source) => return Err(PrepareError::Unreadable { unit: unit(), path: path.to_owned(), source }),
    };
    if !file.executable {
        return Err(PrepareError::BadProgram { unit: unit(), path: path.to_owned(), what: "not executable" });
    }
    let head = file.head.clone();
    let needs = host::inspect_local(path, move |file| program::requirements(&head, file)).await;
    let needs = needs.map_err(|source| PrepareError::Unreadable { unit: unit(), path: path.to_owned(), source })?;
    Ok(Payload {
        needs,
        path: path.to_owned(),
        name: path.file_name().unwrap_or("program").to_owned(),
        sha256: file.sha256,
        len: file.len,
        machine: Machine::of(&file.head),
    })
}
