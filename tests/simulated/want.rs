//! What is to be on the host: two services, of which one has two instances.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use camino::Utf8PathBuf;
use unitbee::deploy::desired::{DefinitionSource, EnvSource, ProgramSource};
use unitbee::deploy::program::Requirements;
use unitbee::deploy::{Desired, Payload};
use unitbee::service::name::{EnvName, SliceName, UnitName};
use unitbee::service::secret::Secret;
use unitbee::service::spec::{Health, Limits, Logs, Program, Restart, Scope, Stop, UnitSpec};

use super::host::SimHost;
use super::tree::Bytes;

/// Is part of every secret.
pub(crate) const SECRET: &str = "nobody-may-see-this";

/// The project of all of them.
pub(crate) const PROJECT: &str = "hive";

/// The services, each with the ports of its instances.
const SERVICES: [(&str, &[u16]); 2] = [("web", &[8001, 8002]), ("job", &[8003])];

/// What is wanted of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Service {
    /// Another number is another program.
    pub(crate) version: u32,
    pub(crate) behaviour: String,
    pub(crate) env: u32,
    pub(crate) secret: Option<u32>,
    pub(crate) tasks: u64,
}

/// What is wanted of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Want {
    pub(crate) services: [Service; SERVICES.len()],
    /// Whether services have URLs for their health and their end.
    pub(crate) urls: bool,
    /// Whether a program is tried before its release takes effect.
    pub(crate) checks: bool,
}

impl Want {
    pub(crate) fn new(urls: bool) -> Self {
        let service = Service { version: 1, behaviour: "healthy".to_owned(), env: 0, secret: Some(0), tasks: 10 };
        Self { services: [service.clone(), service], urls, checks: false }
    }

    /// The names of all units.
    pub(crate) fn units() -> Vec<String> {
        SERVICES.iter().flat_map(|(name, ports)| ports.iter().map(move |port| format!("{name}-{port}"))).collect()
    }

    /// It as unitbee takes it; the programs are put where they are shipped from.
    pub(crate) fn desired(&self, host: &SimHost) -> Vec<Desired> {
        let mut desired = Vec::new();
        for ((name, ports), service) in SERVICES.iter().zip(&self.services) {
            let payload = service.build(name, host);
            for port in *ports {
                desired.push(self.unit(name, *port, service, &payload));
            }
        }
        desired
    }

    fn unit(&self, name: &str, port: u16, service: &Service, payload: &Arc<Payload>) -> Desired {
        let url = |path: &str| format!("http://127.0.0.1:{port}/{path}").parse().expect("a URL");
        let health = Some(Health {
            url: self.urls.then(|| url("health")),
            expect: None,
            within: Duration::from_secs(5),
            healthy_for: if self.urls { Duration::from_secs(2) } else { Duration::from_millis(500) },
        });
        let stop = Stop { url: self.urls.then(|| url("shutdown")), ..Stop::default() };
        let secret = EnvName::new("TOKEN").expect("a name");
        let spec = UnitSpec {
            unit: UnitName::new(format!("{name}-{port}")).expect("a name"),
            service: name.to_owned(),
            project: PROJECT.to_owned(),
            instance: port.to_string(),
            slice: SliceName::new("bees").expect("a name"),
            description: name.to_owned(),
            program: Program::Shipped(payload.path.clone()),
            args: vec!["--port".to_owned(), port.to_string()],
            build: None,
            check: self.checks.then(|| vec!["--version".to_owned()]),
            env: BTreeMap::from([(EnvName::new("LEVEL").expect("a name"), service.env.to_string())]),
            secrets: service.secret.iter().map(|_| secret.clone()).collect::<BTreeSet<_>>(),
            working_dir: None,
            limits: Limits { tasks: Some(service.tasks), ..Limits::default() },
            restart: Restart::default(),
            health,
            stop,
            logs: Logs::default(),
            scope: Scope::User,
            systemd: BTreeMap::new(),
            launchd: BTreeMap::new(),
            keep: 2,
            parallel: 1,
        };
        let value = |number| Secret::new(format!("{SECRET}-{number}"));
        let secrets = service.secret.iter().map(|number| (secret.clone(), value(number))).collect();
        Desired {
            spec,
            program: ProgramSource::Ship(Arc::clone(payload)),
            env: EnvSource::New(secrets),
            definition: DefinitionSource::Render,
        }
    }
}

impl Service {
    /// Whether it gets healthy and stays so.
    pub(crate) fn is_good(&self) -> bool {
        self.behaviour.starts_with("healthy") && !self.behaviour.contains("then")
    }

    /// Gives it a new program.
    pub(crate) fn renew(&mut self, behaviour: &str) {
        self.version += 1;
        behaviour.clone_into(&mut self.behaviour);
    }

    fn build(&self, name: &str, host: &SimHost) -> Arc<Payload> {
        let path = Utf8PathBuf::from(format!("/build/{name}"));
        let bytes = Bytes::new(format!("{name} {}\nbehave: {}\n", self.version, self.behaviour));
        let (sha256, len) = (bytes.sha256().to_owned(), bytes.as_slice().len() as u64);
        host.world().workstation.insert(path.clone(), bytes);
        Arc::new(Payload { path, name: name.to_owned(), sha256, len, machine: None, needs: Requirements::Nothing })
    }
}
