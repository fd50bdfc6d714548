//! What the words of the command line mean: which manifest, which units, on which hosts.

use std::sync::Arc;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::args::{Global, Services};
use super::fault::{BadManifest, Usage};
use crate::host::{self, Host, Options};
use crate::observe::UnitRef;
use crate::service::manifest::{self, HostWork, Manifest, THIS_MACHINE};
use crate::service::spec::{UnitName, UnitSpec};
use crate::supervisor::SupervisorKind;

/// The manifest that is read when none is named.
pub const MANIFEST: &str = "unitbee.toml";

/// Slice of units that no manifest tells of.
const SLICE: &str = "rbee";

/// What is to be done on one host.
#[derive(Debug, Clone)]
pub struct Job {
    /// Host.
    pub host: Arc<dyn Host>,
    /// Units that are looked at or worked on.
    pub subjects: Vec<UnitRef>,
    /// The service manager that was asked for.
    pub supervisor: Option<SupervisorKind>,
}

impl Job {
    /// Specs of the units; those that no manifest tells of have none.
    #[must_use]
    pub fn specs(&self) -> Vec<UnitSpec> {
        self.subjects.iter().filter_map(|subject| subject.spec.clone()).collect()
    }

    /// Names of the units.
    #[must_use]
    pub fn units(&self) -> Vec<String> {
        self.subjects.iter().map(|subject| subject.unit.clone()).collect()
    }
}

/// Reads the manifest that the command line names; there must be one.
pub async fn manifest(global: &Global) -> Result<Manifest> {
    let name = global.file.clone().unwrap_or_else(|| Utf8PathBuf::from(MANIFEST));
    let found = read(&name).await?;
    found.ok_or_else(|| {
        let message = format!("there is no manifest {name}");
        Usage { message, hint: "`unitbee init` writes one, `-f FILE` names another".into() }.into()
    })
}

async fn read(name: &Utf8Path) -> Result<Option<Manifest>> {
    let Some(content) = host::read_local(name).await.context("read the manifest")? else { return Ok(None) };
    let text = manifest::text(&content, name.as_str()).map_err(BadManifest)?;
    let dir = camino::absolute_utf8(name).context("find the folder of the manifest")?;
    let dir = dir.parent().unwrap_or(Utf8Path::new("/"));
    Ok(Some(manifest::read(text, name.as_str(), dir).map_err(BadManifest)?))
}

/// Jobs for units of the manifest.
pub async fn of_manifest(global: &Global, services: &Services) -> Result<Vec<Job>> {
    let manifest = manifest(global).await?;
    Ok(jobs(global, manifest.select(&services.services, &global.hosts)?))
}

/// Jobs of work that was selected.
#[must_use]
pub fn jobs(global: &Global, work: Vec<HostWork>) -> Vec<Job> {
    let job = |work: HostWork| Job {
        host: host::open(
            &work.name,
            &work.destination,
            &Options { alternative: work.resembles.clone(), ..options(global) },
        ),
        subjects: work.units.into_iter().map(subject).collect(),
        supervisor: global.supervisor.map(SupervisorKind::from),
    };
    work.into_iter().map(job).collect()
}

/// Jobs for units that are installed: those of the manifest where there is one, else those named on the command line.
pub async fn of_installed(global: &Global, services: &Services) -> Result<Vec<Job>> {
    if global.file.is_some() || read(Utf8Path::new(MANIFEST)).await?.is_some() {
        return of_manifest(global, services).await;
    }
    if services.services.is_empty() {
        let message = format!("there is no manifest {MANIFEST}, and no unit is named");
        return Err(Usage { message, hint: "name units, or a manifest with `-f FILE`".into() }.into());
    }
    let mut subjects = Vec::new();
    for name in &services.services {
        let unit = UnitName::new(manifest::without_suffix(name)).map_err(|error| Usage {
            message: format!("{name:?} is no unit: {error}"),
            hint: format!("without a manifest {MANIFEST} units are named in full, such as llm-8080"),
        })?;
        subjects.push(UnitRef { unit: unit.to_string(), slice: SLICE.to_owned(), spec: None });
    }
    let hosts = if global.hosts.is_empty() { vec![THIS_MACHINE.to_owned()] } else { global.hosts.clone() };
    let job = |name: &String| Job {
        host: host::open(name, name, &options(global)),
        subjects: subjects.clone(),
        supervisor: global.supervisor.map(SupervisorKind::from),
    };
    Ok(hosts.iter().map(job).collect())
}

fn subject(spec: UnitSpec) -> UnitRef {
    UnitRef { unit: spec.unit.to_string(), slice: spec.slice.to_string(), spec: Some(spec) }
}

/// How hosts are reached.
#[must_use]
pub fn options(global: &Global) -> Options {
    Options { ssh_config: global.ssh_config.clone(), connect_timeout: global.connect_timeout, ..Options::default() }
}

/// Who is at work, for others who find a host locked: `alice@laptop, process 4711`.
#[must_use]
pub fn owner() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "somebody".to_owned());
    let machine = rustix::system::uname();
    format!("{user}@{}, process {}", machine.nodename().to_string_lossy(), std::process::id())
}
