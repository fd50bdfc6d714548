//! From the tables of a manifest to its units: defaults, placeholders, and every rule that concerns meaning.
//!
//! A mistake never ends the work: it is noted, something harmless stands in, and the rest is looked at too.

mod filled;
mod shared;

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;

use self::filled::Filled;
use self::shared::Shared;
use super::clash::{self, Claim};
use super::problem::{Problems, Span};
use super::read::{At, Entry, Map};
use super::template;
use super::written::{self, Instances, Scalar, Written};
use super::{HostEntry, Manifest, Placed, hosts, project};
use crate::service::name::{NameError, check_part};
use crate::service::spec::{HttpUrl, KEEP, PARALLEL, SliceName, UnitName, UnitSpec};

/// Placeholders that every unit has.
pub(super) const BUILT_IN: [&str; 3] = ["service", "instance", "unit"];

/// Makes a manifest of what is written; `None` only with a note in `problems`.
pub(super) fn manifest(written: &Written, dir: &Utf8Path, problems: &mut Problems<'_>) -> Option<Manifest> {
    let hosts = hosts::table(&written.host, problems);
    let slice = slice(&written.slice, problems);
    let project = project::name(&written.project, dir, problems);
    let keep = shared::at_least_one(&written.keep, "`keep` includes the release that runs", problems).unwrap_or(KEEP);
    let mut units = Vec::new();
    let mut claims = Vec::new();
    if written.service.value().is_none_or(|services| services.0.is_empty()) {
        problems.absence(&(0..0), "the manifest names no service", "add [service.NAME] with a `command`");
    }
    for (name, service) in written.service.value().into_iter().flat_map(Map::iter) {
        let service = Service::new(name, service, dir, &hosts, problems);
        for instance in service.instances(problems) {
            claims.push(service.claim(&instance, problems));
            units.push(service.unit(&instance, slice.as_ref(), project.as_deref(), keep, problems));
        }
    }
    clash::check(&claims, problems);
    let units = units.into_iter().collect::<Option<Vec<_>>>()?;
    Some(Manifest { project: project?, dir: dir.to_owned(), slice: slice?, units, hosts })
}

fn slice(written: &Entry<String>, problems: &mut Problems<'_>) -> Option<SliceName> {
    let Some(at) = written.at() else { return SliceName::new("rbee").ok() };
    let help = match SliceName::new(&at.value) {
        Ok(slice) => return Some(slice),
        Err(NameError::Char('-')) => "a `-` would make it part of another slice; leave it out",
        Err(NameError::Taken) => "the system uses this slice; choose another name",
        Err(NameError::TooLong { .. }) => "choose a shorter name",
        Err(_) => "use letters, digits, `_`, `.` and `:`",
    };
    problems.add(&at.span, format!("{:?} is no name for a slice", at.value), help);
    None
}

/// A service on its way to become units.
struct Service<'a> {
    name: &'a At<String>,
    written: &'a written::Service,
    dir: &'a Utf8Path,
    placed: Vec<String>,
    /// Destination and name of the hosts that it is placed on.
    machines: BTreeMap<String, String>,
    shared: Shared,
    /// Keys that at least one instance has.
    keys: BTreeSet<&'a str>,
}

/// One instance of a service.
struct Instance<'a> {
    name: String,
    unit: String,
    span: Span,
    keys: Option<&'a Map<Scalar>>,
    values: BTreeMap<&'a str, String>,
}

impl<'a> Service<'a> {
    fn new(
        name: &'a At<String>,
        written: &'a At<written::Service>,
        dir: &'a Utf8Path,
        hosts: &BTreeMap<String, HostEntry>,
        problems: &mut Problems<'_>,
    ) -> Self {
        check_name(name, "a service", problems);
        let written = &written.value;
        if written.command.is_absent() {
            let message = format!("the service `{}` has no command", name.value);
            problems.absence(&name.span, message, "add command = [\"program\", \"argument\"]");
        }
        let placed = hosts::place(&written.hosts, hosts, problems);
        let destination = |name: &String| hosts.get(name).map_or(name, |host| &host.ssh).clone();
        let machines = placed.iter().map(|name| (destination(name), name.clone())).collect();
        let keys = match written.instances.value() {
            Some(Instances::Named(named)) => {
                named.iter().flat_map(|(_, keys)| keys.value.keys()).map(|key| key.value.as_str()).collect()
            }
            _ => BTreeSet::new(),
        };
        let shared = Shared::new(written, problems);
        Self { name, written, dir, placed, machines, shared, keys }
    }

    /// Returns the instances in the order of the text.
    fn instances(&self, problems: &mut Problems<'_>) -> Vec<Instance<'a>> {
        match self.written.instances.at() {
            None => vec![self.instance("main", &self.name.span, None)],
            Some(At { value: Instances::Count(count), span }) => {
                (1..=*count).map(|n| self.instance(&n.to_string(), span, None)).collect()
            }
            Some(At { value: Instances::Named(named), span }) => {
                if named.0.is_empty() {
                    problems.add(span, "there is no instance", "leave `instances` out for one, named main");
                }
                for (name, keys) in &named.0 {
                    check_name(name, "an instance", problems);
                    keys.value().into_iter().flat_map(Map::keys).for_each(|key| check_key(key, problems));
                }
                named.0.iter().map(|(name, keys)| self.instance(&name.value, &name.span, keys.value())).collect()
            }
        }
    }

    fn instance(&self, name: &str, span: &Span, keys: Option<&'a Map<Scalar>>) -> Instance<'a> {
        let unit = format!("{}-{name}", self.name.value);
        let own = keys.into_iter().flat_map(Map::iter).map(|(key, value)| (key.value.as_str(), value.value.0.clone()));
        let built_in = BUILT_IN.into_iter().zip([self.name.value.clone(), name.to_owned(), unit.clone()]);
        let values = own.chain(built_in).collect();
        Instance { name: name.to_owned(), unit, span: span.clone(), keys, values }
    }

    fn claim(&self, instance: &Instance<'_>, problems: &mut Problems<'_>) -> Claim {
        let mut ports = BTreeMap::new();
        for (_, port) in instance.keys.into_iter().flat_map(Map::iter).filter(|(key, _)| key.value == "port") {
            match port.value.0.parse::<u16>() {
                Ok(0) => {}
                Ok(number) => drop(ports.insert(number, port.span.clone())),
                Err(_) => problems.add(&port.span, format!("{:?} is no port", port.value.0), "write 1 to 65535"),
            }
        }
        let url = self.written.health.value().and_then(|health| health.url.at());
        let parsed = url.and_then(|url| HttpUrl::parse(&url.value.expand(&instance.values).ok()?).ok());
        if let (Some(at), Some(url)) = (url, parsed.filter(HttpUrl::is_loopback)) {
            ports.entry(url.port()).or_insert_with(|| at.span.clone());
        }
        Claim { unit: instance.unit.clone(), span: instance.span.clone(), machines: self.machines.clone(), ports }
    }

    fn unit(
        &self,
        instance: &Instance<'_>,
        slice: Option<&SliceName>,
        project: Option<&str>,
        keep: u32,
        problems: &mut Problems<'_>,
    ) -> Option<Placed> {
        let unit = unit_name(instance, problems);
        let filled = Filled::new(self, instance, problems);
        let (program, args) = filled.command?;
        let shared = self.shared.clone();
        let spec = UnitSpec {
            unit: unit?,
            service: self.name.value.clone(),
            instance: instance.name.clone(),
            project: project?.to_owned(),
            slice: slice?.clone(),
            description: filled.description,
            program,
            args,
            build: shared.build,
            check: filled.check,
            env: filled.env,
            secrets: shared.secrets,
            working_dir: filled.working_dir,
            limits: shared.limits,
            restart: shared.restart,
            health: filled.health,
            stop: filled.stop,
            logs: shared.logs,
            scope: shared.scope,
            systemd: shared.systemd,
            launchd: shared.launchd,
            keep: shared.keep.unwrap_or(keep),
            parallel: shared.parallel.unwrap_or(PARALLEL),
        };
        Some(Placed { spec, hosts: self.placed.clone() })
    }
}

fn unit_name(instance: &Instance<'_>, problems: &mut Problems<'_>) -> Option<UnitName> {
    match UnitName::new(&instance.unit) {
        Ok(unit) => Some(unit),
        Err(error @ NameError::TooLong { .. }) => {
            let message = format!("the unit of service and instance cannot be named: {error}");
            problems.add(&instance.span, message, "shorten the service's or the instance's name");
            None
        }
        // Any other fault is one of the two parts, which have been checked where they are written.
        Err(_) => None,
    }
}

fn check_name(name: &At<String>, what: &str, problems: &mut Problems<'_>) {
    if check_part(&name.value).is_err() {
        let help = "use letters, digits, `_`, `.`, `:` and `-`, and neither `.` nor `-` first";
        problems.add(&name.span, format!("{:?} is no name for {what}", name.value), help);
    }
}

fn check_key(key: &At<String>, problems: &mut Problems<'_>) {
    let name = &key.value;
    if BUILT_IN.contains(&name.as_str()) {
        let message = format!("`{name}` is a key that every instance has already");
        problems.add(&key.span, message, "give it another name");
    } else if !template::is_name(name) {
        let help = "use letters, digits and `_`, and no digit first, so that it can stand in braces";
        problems.add(&key.span, format!("{name:?} is no name for a placeholder"), help);
    }
}
