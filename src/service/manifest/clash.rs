//! Units that cannot stand beside each other.

use std::collections::BTreeMap;

use super::problem::{Problems, Span};

/// What one unit claims for itself.
#[derive(Debug)]
pub(super) struct Claim {
    /// Name of the unit.
    pub(super) unit: String,
    /// Where the instance is named, or the service that has only one.
    pub(super) span: Span,
    /// The machines that it runs on: destination and name.
    pub(super) machines: BTreeMap<String, String>,
    /// Ports that it listens on, and where they are written.
    pub(super) ports: BTreeMap<u16, Span>,
}

/// Notes every two units that have one name, or one port on one machine.
pub(super) fn check(claims: &[Claim], problems: &mut Problems<'_>) {
    names(claims, problems);
    ports(claims, problems);
}

fn names(claims: &[Claim], problems: &mut Problems<'_>) {
    let mut units: BTreeMap<&str, &Span> = BTreeMap::new();
    for claim in claims {
        let unit = claim.unit.as_str();
        if let Some(first) = units.get(unit) {
            let message = format!("the unit `{unit}` is there twice");
            let help = "the name of a unit is made of service and instance; rename one of them";
            problems.clash(&claim.span, message, help, (first, "first here"));
        }
        units.entry(unit).or_insert(&claim.span);
    }
}

fn ports(claims: &[Claim], problems: &mut Problems<'_>) {
    let mut taken: BTreeMap<(&str, u16), (&Claim, &Span)> = BTreeMap::new();
    for claim in claims {
        let there = |machine| claim.ports.iter().map(move |port| (machine, port));
        for ((destination, machine), (port, span)) in claim.machines.iter().flat_map(there) {
            let Some((first, first_span)) = taken.get(&(destination.as_str(), *port)) else {
                taken.insert((destination, *port), (claim, span));
                continue;
            };
            let (one, other) = (&first.unit, &claim.unit);
            let message = format!("`{one}` and `{other}` both have port {port} on `{machine}`");
            if *first_span == span {
                problems.add(span, message, "give each instance its own `port` and write {port} here");
            } else {
                problems.clash(span, message, "give one of them another port", (first_span, "first here"));
            }
        }
    }
}
