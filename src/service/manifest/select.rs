//! Which units, on which hosts: what the user's words on the command line mean.

use std::collections::BTreeMap;

use super::hosts::{destination, is_destination, named};
use super::{Manifest, Placed, THIS_MACHINE};
use crate::service::spec::UnitSpec;

/// What is to be done on one machine.
#[derive(Debug, Clone, PartialEq)]
pub struct HostWork {
    /// Name of the host: that of the inventory, else the destination.
    pub name: String,
    /// Destination as ssh(1) takes it; [`THIS_MACHINE`] for this one.
    pub destination: String,
    /// The units, in the order of the manifest.
    pub units: Vec<UnitSpec>,
}

/// Why words of the command line select nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// No service, unit or glob matches.
    #[error("no service or unit of the manifest matches `{wanted}`")]
    NoService {
        /// What was asked for.
        wanted: String,
        /// Units that there are.
        units: Vec<String>,
    },
    /// It is neither a host nor a tag, nor can ssh connect to it.
    #[error("{wanted:?} is no host")]
    NoHost {
        /// What was asked for.
        wanted: String,
        /// Hosts and tags that there are.
        hosts: Vec<String>,
    },
    /// The host is known, but nothing that was asked for is placed there.
    #[error("nothing that was asked for is placed on `{wanted}`")]
    NothingThere {
        /// What was asked for.
        wanted: String,
        /// Hosts on which it is placed.
        hosts: Vec<String>,
    },
}

impl SelectError {
    /// Says what there is to select from.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoService { units, .. } => format!("there are {}", units.join(", ")),
            Self::NoHost { hosts, .. } => format!("there are {}", hosts.join(", ")),
            Self::NothingThere { hosts, .. } => format!("it is placed on {}", hosts.join(", ")),
        }
    }
}

impl Manifest {
    /// Selects units by service, unit or glob, and hosts by name, tag or destination; none of them means all.
    ///
    /// A host that the manifest does not know gets every selected unit, wherever the manifest places it. A
    /// machine that has several names comes once, under the first of them by the alphabet, which is also the order of
    /// the hosts.
    pub fn select(&self, services: &[String], hosts: &[String]) -> Result<Vec<HostWork>, SelectError> {
        let units = self.matching(services)?;
        if hosts.is_empty() {
            let all = units.iter().flat_map(|unit| unit.hosts.iter().map(move |host| (host.clone(), *unit)));
            return Ok(self.work(all));
        }
        let mut pairs = Vec::new();
        for wanted in hosts {
            pairs.extend(self.on(wanted, &units)?);
        }
        Ok(self.work(pairs))
    }

    fn matching(&self, wanted: &[String]) -> Result<Vec<&Placed>, SelectError> {
        for wanted in wanted {
            if !self.units.iter().any(|unit| matches(wanted, unit)) {
                let units = self.units.iter().map(|unit| unit.spec.unit.to_string()).collect();
                return Err(SelectError::NoService { wanted: wanted.clone(), units });
            }
        }
        let asked = |unit: &&Placed| wanted.is_empty() || wanted.iter().any(|wanted| matches(wanted, unit));
        Ok(self.units.iter().filter(asked).collect())
    }

    /// Pairs units with the hosts that one word means.
    fn on<'m>(&self, wanted: &str, units: &[&'m Placed]) -> Result<Vec<(String, &'m Placed)>, SelectError> {
        let known = self.known(wanted);
        if known.is_empty() {
            if !is_destination(wanted) {
                return Err(SelectError::NoHost { wanted: wanted.to_owned(), hosts: self.host_words() });
            }
            return Ok(units.iter().map(|unit| (destination(wanted).to_owned(), *unit)).collect());
        }
        let mut pairs = Vec::new();
        for host in known {
            let there = units.iter().filter(|unit| self.places(unit, &host));
            pairs.extend(there.map(|unit| (host.clone(), *unit)));
        }
        if pairs.is_empty() {
            let mut hosts: Vec<_> = units.iter().flat_map(|unit| unit.hosts.iter().cloned()).collect();
            hosts.sort();
            hosts.dedup();
            return Err(SelectError::NothingThere { wanted: wanted.to_owned(), hosts });
        }
        Ok(pairs)
    }

    /// Returns the hosts of the manifest that a word means; this machine counts where something is placed on it.
    fn known(&self, wanted: &str) -> Vec<String> {
        let wanted = destination(wanted);
        let by_name = named(wanted, &self.hosts);
        let here = wanted == THIS_MACHINE && !self.hosts.contains_key(wanted);
        if !by_name.is_empty() && !here {
            return by_name;
        }
        let to = |host: &String| self.destination(host) == wanted;
        let mut hosts: Vec<_> = self.hosts.keys().filter(|host| to(host)).cloned().collect();
        if here && self.units.iter().any(|unit| unit.hosts.iter().any(|host| host == THIS_MACHINE)) {
            hosts.push(THIS_MACHINE.to_owned());
        }
        hosts
    }

    fn host_words(&self) -> Vec<String> {
        let tags = self.hosts.values().flat_map(|host| host.tags.iter());
        let mut words: Vec<_> = self.hosts.keys().chain(tags).cloned().chain([THIS_MACHINE.to_owned()]).collect();
        words.sort();
        words.dedup();
        words
    }

    fn places(&self, unit: &Placed, host: &str) -> bool {
        unit.hosts.iter().any(|placed| self.destination(placed) == self.destination(host))
    }

    fn destination<'m>(&'m self, host: &'m str) -> &'m str {
        self.hosts.get(host).map_or(host, |entry| &entry.ssh)
    }

    /// Gathers what is to be done on each machine.
    fn work<'m>(&self, pairs: impl IntoIterator<Item = (String, &'m Placed)>) -> Vec<HostWork> {
        let mut machines: BTreeMap<String, (String, Vec<&UnitSpec>)> = BTreeMap::new();
        for (name, unit) in pairs {
            let destination = self.destination(&name).to_owned();
            let (first, units) = machines.entry(destination).or_insert_with(|| (name.clone(), Vec::new()));
            if name < *first {
                *first = name;
            }
            if !units.iter().any(|have| have.unit == unit.spec.unit) {
                units.push(&unit.spec);
            }
        }
        let place = |spec: &UnitSpec| self.units.iter().position(|unit| unit.spec.unit == spec.unit);
        let mut work: Vec<_> = machines
            .into_iter()
            .map(|(destination, (name, mut units))| {
                units.sort_by_key(|spec| place(spec));
                HostWork { name, destination, units: units.into_iter().cloned().collect() }
            })
            .collect();
        work.sort_by(|a, b| a.name.cmp(&b.name));
        work
    }
}

fn matches(wanted: &str, unit: &Placed) -> bool {
    glob(wanted.as_bytes(), unit.spec.service.as_bytes()) || glob(wanted.as_bytes(), unit.spec.unit.as_str().as_bytes())
}

/// Tells whether a pattern with `*` and `?` covers a name.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    // On a mismatch only the last star can take more; so this is linear in each star.
    let (mut p, mut n) = (0, 0);
    let mut star = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == b'?' || c == name[n] => (p, n) = (p + 1, n + 1),
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    (p, n) = (at + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}
