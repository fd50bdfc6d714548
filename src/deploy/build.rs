//! The programs of services are built on this machine, by the commands of the manifest.

use std::time::{Duration, Instant};

use camino::Utf8Path;
use serde::Serialize;
use thiserror::Error;

use crate::host::{End, HostError, local_command};
use crate::service::manifest::Manifest;
use crate::service::spec::{Build, UnitName};

/// A command and the services whose programs it builds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BuildStep {
    /// The command.
    pub command: Build,
    /// The services, in the order of the manifest.
    pub services: Vec<String>,
}

/// Why a program was not built.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The command did not succeed.
    #[error("build {}: `{command}` {ended}", services.join(", "))]
    Failed {
        /// The services whose program it builds.
        services: Vec<String>,
        /// The command.
        command: Build,
        /// `exited with 2`.
        ended: String,
        /// All that it wrote, standard output and standard error in their order.
        output: Vec<u8>,
    },
    /// The command could not be run.
    #[error("build {}", services.join(", "))]
    NotRun {
        /// The services whose program it builds.
        services: Vec<String>,
        /// Cause.
        source: HostError,
    },
}

/// Returns what builds the programs of `units`: each command once, in the order of the manifest.
#[must_use]
pub fn steps(manifest: &Manifest, units: &[UnitName]) -> Vec<BuildStep> {
    let mut steps: Vec<BuildStep> = Vec::new();
    for spec in manifest.units.iter().map(|placed| &placed.spec).filter(|spec| units.contains(&spec.unit)) {
        let Some(command) = &spec.build else { continue };
        let at = steps.iter().position(|step| step.command == *command).unwrap_or_else(|| {
            steps.push(BuildStep { command: command.clone(), services: Vec::new() });
            steps.len() - 1
        });
        let services = &mut steps[at].services;
        if !services.contains(&spec.service) {
            services.push(spec.service.clone());
        }
    }
    steps
}

impl BuildStep {
    /// Runs the command in the folder of the manifest; returns how long it took.
    pub async fn run(&self, dir: &Utf8Path) -> Result<Duration, BuildError> {
        let begun = Instant::now();
        let ran = match &self.command {
            Build::Shell(line) => local_command("/bin/sh", &["-c", line], dir).await,
            Build::Program(words) => {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                let (program, args) = words.split_first().unwrap_or((&"", &[]));
                local_command(program, args, dir).await
            }
        };
        let services = self.services.clone();
        let output = ran.map_err(|source| BuildError::NotRun { services: services.clone(), source })?;
        let ended = match output.end {
            End::Exit(0) => return Ok(begun.elapsed()),
            End::Exit(code) => format!("exited with {code}"),
            End::Signal(signal) => format!("was killed by signal {signal}"),
            End::NotFound => "was not found".to_owned(),
        };
        Err(BuildError::Failed { services, command: self.command.clone(), ended, output: output.said })
    }
}
