//! The machines that words of the command line mean, whatever is placed on them.

use super::hosts::{destination, is_destination};
use super::{Manifest, SelectError, THIS_MACHINE};

impl Manifest {
    /// The machines that `words` mean, each as its name and its destination; without words all that the manifest names,
    /// and this one where nothing else is named.
    ///
    /// # Errors
    ///
    /// [`SelectError::NoHost`] for a word that is neither a host nor a tag, and that ssh cannot connect to.
    pub fn machines(&self, words: &[String]) -> Result<Vec<(String, String)>, SelectError> {
        let mut machines: Vec<(String, String)> = Vec::new();
        let mut add = |name: &str, destination: &str| {
            if !machines.iter().any(|(_, known)| known == destination) {
                machines.push((name.to_owned(), destination.to_owned()));
            }
        };
        if words.is_empty() {
            let placed = self.units.iter().flat_map(|unit| &unit.hosts);
            for host in self.hosts.keys().chain(placed) {
                add(host, self.destination(host));
            }
        }
        for word in words {
            let known = self.known(word);
            if known.is_empty() && !is_destination(word) {
                return Err(self.no_host(word));
            }
            if known.is_empty() {
                add(destination(word), destination(word));
            }
            for host in &known {
                add(host, self.destination(host));
            }
        }
        if machines.is_empty() {
            machines.push((THIS_MACHINE.to_owned(), THIS_MACHINE.to_owned()));
        }
        Ok(machines)
    }
}
