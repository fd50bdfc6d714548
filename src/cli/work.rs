//! What the words of the command line mean: which manifest, which units, on which hosts.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use tokio_util::sync::CancellationToken;

use super::args::{Global, Services};
use super::fault::{BadManifest, Usage};
use super::{installed, interrupt};
use crate::deploy::{Change, Project};
use crate::host::{self, Host, Options};
use crate::observe::UnitRef;
use crate::service::manifest::{self, HostWork, Manifest, THIS_MACHINE};
use crate::service::spec::UnitSpec;
use crate::supervisor::SupervisorKind;

/// The manifest that is read when none is named.
pub const MANIFEST: &str = "unitbee.toml";

/// What is to be done on one host.
#[derive(Debug, Clone)]
pub struct Job {
    /// Host.
    pub host: Arc<dyn Host>,
    /// Units that are looked at or worked on.
    pub subjects: Vec<UnitRef>,
    /// The service manager that was asked for.
    pub supervisor: Option<SupervisorKind>,
    /// The project of the manifest, where there is one.
    pub project: Option<Project>,
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
    let work = manifest.select(&services.services, &global.hosts)?;
    Ok(of_project(global, &manifest, work))
}

/// Jobs of work that was selected from a manifest, which is the project of its units.
fn of_project(global: &Global, manifest: &Manifest, work: Vec<HostWork>) -> Vec<Job> {
    // All that it has on a host, also where less was selected: the rest is no orphan.
    let all = manifest.select(&[], &global.hosts).unwrap_or_default();
    let file = global.file.as_deref().and_then(Utf8Path::file_name).unwrap_or(MANIFEST);
    let mut jobs = jobs(global, work);
    for job in &mut jobs {
        let here = all.iter().filter(|work| work.name == job.host.name());
        job.project = Some(Project {
            name: manifest.project.clone(),
            manifest: manifest.dir.join(file).into_string(),
            units: here.flat_map(|work| &work.units).map(|spec| spec.unit.to_string()).collect(),
        });
    }
    jobs
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
        project: None,
    };
    work.into_iter().map(job).collect()
}

/// The same for verbs that only look: without a manifest and without names, every unit of ours that the hosts have.
pub async fn of_all_installed(global: &Global, services: &Services) -> Result<Vec<Job>> {
    let is_unnamed = services.services.is_empty() && global.file.is_none();
    if is_unnamed && read(Utf8Path::new(MANIFEST)).await?.is_none() {
        return installed::all(global, machines(global)).await;
    }
    of_installed(global, services).await
}

/// The machines that the command line names, or this one.
fn machines(global: &Global) -> Vec<(String, String)> {
    let hosts = if global.hosts.is_empty() { vec![THIS_MACHINE.to_owned()] } else { global.hosts.clone() };
    hosts.into_iter().map(|host| (host.clone(), host)).collect()
}

/// Jobs for units that are installed: those of the manifest where there is one, and whatever else of ours is found on the
/// hosts by the names of the command line.
pub async fn of_installed(global: &Global, services: &Services) -> Result<Vec<Job>> {
    let names = &services.services;
    let found = match &global.file {
        Some(file) => read(file).await?,
        None => read(Utf8Path::new(MANIFEST)).await?,
    };
    if names.is_empty() || (global.file.is_some() && found.is_none()) {
        return match found {
            Some(manifest) => {
                let work = manifest.select(&[], &global.hosts)?;
                Ok(of_project(global, &manifest, work))
            }
            None if global.file.is_some() => of_manifest(global, services).await,
            None => {
                let message = format!("there is no manifest {MANIFEST}, and no unit is named");
                Err(Usage { message, hint: "name units, or a manifest with `-f FILE`".into() }.into())
            }
        };
    }
    let Some(manifest) = found else {
        return installed::find(global, machines(global), names, &[]).await;
    };
    let is_known = |name: &String| manifest.select(std::slice::from_ref(name), &[]).is_ok();
    let (known, unknown): (Vec<String>, Vec<String>) = names.iter().cloned().partition(is_known);
    let mut jobs = if known.is_empty() {
        Vec::new()
    } else {
        let work = manifest.select(&known, &global.hosts)?;
        of_project(global, &manifest, work)
    };
    if !unknown.is_empty() {
        let units = manifest.units.iter().flat_map(|unit| [unit.spec.unit.to_string(), unit.spec.service.clone()]);
        let units: Vec<String> = units.collect();
        let machines = manifest.machines(&global.hosts)?;
        for other in installed::find(global, machines, &unknown, &units).await? {
            match jobs.iter_mut().find(|job| job.host.name() == other.host.name()) {
                Some(job) => job.subjects.extend(other.subjects),
                None => jobs.push(other),
            }
        }
    }
    Ok(jobs)
}

fn subject(spec: UnitSpec) -> UnitRef {
    UnitRef { unit: spec.unit.to_string(), slice: spec.slice.to_string(), spec: Some(spec) }
}

/// How hosts are reached.
#[must_use]
pub fn options(global: &Global) -> Options {
    Options { ssh_config: global.ssh_config.clone(), connect_timeout: global.connect_timeout, ..Options::default() }
}

/// Who changes hosts, for others who find one locked, for the journal and the audit log.
#[derive(Debug)]
pub struct Who {
    /// `alice@laptop`.
    by: String,
    /// `alice@laptop, process 4711`.
    owner: String,
    /// Ends a change after the unit in hand.
    interrupt: CancellationToken,
}

impl Who {
    /// Whoever runs this program, from now on listening to Ctrl-C.
    #[must_use]
    pub fn here() -> Self {
        let user =
            std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "somebody".to_owned());
        let by = format!("{user}@{}", rustix::system::uname().nodename().to_string_lossy());
        let owner = format!("{by}, process {}", std::process::id());
        Self { by, owner, interrupt: interrupt::listen() }
    }

    /// A change of the host of a job.
    #[must_use]
    pub fn change(&self, verb: &'static str, lock_timeout: Duration, job: &Job) -> Change<'_> {
        Change {
            verb,
            by: &self.by,
            owner: &self.owner,
            lock_timeout,
            requested: job.supervisor,
            interrupt: self.interrupt.clone(),
        }
    }
}
