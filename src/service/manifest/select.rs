//! Which units, on which hosts: what the user's words on the command line mean.

use std::collections::BTreeMap;

use super::hosts::{destination, is_destination, named};
use super::read::closest;
use super::{Manifest, Placed, THIS_MACHINE};
use crate::service::spec::UnitSpec;

/// What is to be done on one machine.
#[derive(Debug, Clone, PartialEq)]
pub struct HostWork {
    /// Name of the host: that of the inventory, else the destination.
    pub name: String,
    /// Destination as ssh(1) takes it; [`THIS_MACHINE`] for this one.
    pub destination: String,
    /// A host or tag of the manifest that resembles the name, where the manifest does not know it.
    pub resembles: Option<String>,
    /// The units, in the order of the manifest.
    pub units: Vec<UnitSpec>,
}

/// Most names that a hint lists.
const LISTED: usize = 10;

/// What systemd adds to the name of a unit.
const SUFFIX: &str = ".service";

/// Why words of the command line select nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// No service, unit or glob matches.
    #[error("no service or unit of the manifest matches `{wanted}`")]
    NoService {
        /// What was asked for.
        wanted: String,
        /// A service or unit that resembles it.
        close: Option<String>,
        /// Units that there are.
        units: Vec<String>,
    },
    /// It is neither a host nor a tag, nor can ssh connect to it.
    #[error("{wanted:?} is no host")]
    NoHost {
        /// What was asked for.
        wanted: String,
        /// A host or tag that resembles it.
        close: Option<String>,
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
            Self::NoService { close, units: there, .. } | Self::NoHost { close, hosts: there, .. } => {
                let meant = close.as_ref().map_or_else(String::new, |close| format!("did you mean `{close}`? "));
                format!("{meant}there are {}", listed(there))
            }
            Self::NothingThere { hosts, .. } => format!("it is placed on {}", hosts.join(", ")),
        }
    }
}

fn listed(names: &[String]) -> String {
    match names.len().checked_sub(LISTED) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..LISTED].join(", ")),
    }
}

/// Returns the name of a unit without the suffix that systemd gives it.
#[must_use]
pub fn without_suffix(unit: &str) -> &str {
    unit.strip_suffix(SUFFIX).filter(|name| !name.is_empty()).unwrap_or(unit)
}

impl Manifest {
    /// Selects units by service, unit (with or without `.service`) or glob, and hosts by name, tag or destination; none of them means all.
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
        let is_there = |wanted: &str| self.units.iter().any(|unit| matches(wanted, unit));
        let mut words = Vec::with_capacity(wanted.len());
        for wanted in wanted {
            // A name may end like that in the manifest, too.
            let forms = [wanted.as_str(), without_suffix(wanted)];
            words.push(forms.into_iter().find(|word| is_there(word)).ok_or_else(|| self.no_service(wanted))?);
        }
        let asked = |unit: &&Placed| words.is_empty() || words.iter().any(|wanted| matches(wanted, unit));
        Ok(self.units.iter().filter(asked).collect())
    }

    fn no_service(&self, wanted: &str) -> SelectError {
        let units = self.units.iter().map(|unit| unit.spec.unit.as_str());
        let services = self.units.iter().map(|unit| unit.spec.service.as_str());
        let close = closest(without_suffix(wanted), units.clone().chain(services)).map(str::to_owned);
        SelectError::NoService { wanted: wanted.to_owned(), close, units: units.map(str::to_owned).collect() }
    }

    /// Pairs units with the hosts that one word means.
    fn on<'m>(&self, wanted: &str, units: &[&'m Placed]) -> Result<Vec<(String, &'m Placed)>, SelectError> {
        let known = self.known(wanted);
        if known.is_empty() {
            if !is_destination(wanted) {
                return Err(self.no_host(wanted));
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
    pub(super) fn known(&self, wanted: &str) -> Vec<String> {
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

    /// A word that is neither a host nor a tag.
    pub(super) fn no_host(&self, wanted: &str) -> SelectError {
        let (close, hosts) = (self.resembling(wanted), self.host_words());
        SelectError::NoHost { wanted: wanted.to_owned(), close, hosts }
    }

    /// The host or tag that was most likely meant by a name that is neither.
    fn resembling(&self, name: &str) -> Option<String> {
        let words = self.host_words();
        closest(name, words.iter().map(String::as_str)).filter(|close| *close != name).map(str::to_owned)
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

    pub(super) fn destination<'m>(&'m self, host: &'m str) -> &'m str {
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
                let is_known = self.hosts.contains_key(&name) || name == THIS_MACHINE;
                let resembles = if is_known { None } else { self.resembling(&name) };
                HostWork { name, destination, resembles, units: units.into_iter().cloned().collect() }
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
pub(crate) fn glob(pattern: &[u8], name: &[u8]) -> bool {
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
