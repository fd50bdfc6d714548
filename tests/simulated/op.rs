//! What can be done to a host, and random sequences of it.

use std::fmt;

use super::fault::{Cut, Fault, Kind};
use super::random::Random;
use super::want::Want;

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Op {
    /// An apply of what can get healthy.
    Good(Change),
    /// An apply in which a service has a new program that behaves like this.
    Bad { service: usize, behaviour: &'static str },
    /// One of the others, and something goes wrong meanwhile.
    Interrupted(Box<Op>, Fault),
    /// Somebody edits a definition.
    Edit(String),
    /// Every unit is taken off the host.
    Uninstall,
    /// Every unit goes back to the release before.
    Rollback,
    /// Old releases are removed, or all with old secrets.
    Prune { secrets: bool },
    /// The power goes and comes back.
    Reboot,
    /// The process of a unit is killed.
    Crash(String),
    /// The runner of a unit is killed, and its service goes on.
    KillRunner(String),
}

/// What is new in an apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Nothing,
    /// A new program.
    Program(usize),
    /// A new program that does not end at TERM.
    Stubborn(usize),
    Env(usize),
    /// Another secret.
    Secret(usize),
    /// A secret, or none any more.
    SecretOrNone(usize),
    /// A limit, which what runs is held to without a restart.
    Limit(usize),
    /// Whether programs are tried first.
    Checks,
}

/// What no gate lets through that only looks at processes.
const DEAD: [&str; 3] = ["exits 3 after 0ms", "exits 1 after 300ms", "exits 0 after 0ms"];

/// What only a gate sees that asks.
const SICK: [&str; 4] = ["answers 500", "never listens", "healthy for 1000ms then 500", "exits 1 after 1000ms"];

impl Change {
    pub(crate) fn of(random: &mut Random) -> Self {
        let service = random.below(2);
        random.one_of(&[
            Self::Nothing,
            Self::Program(service),
            Self::Program(service),
            Self::Stubborn(service),
            Self::Env(service),
            Self::Secret(service),
            Self::SecretOrNone(service),
            Self::Limit(service),
            Self::Checks,
        ])
    }

    /// Makes it so; what could not get healthy gets a program that can.
    pub(crate) fn make(self, want: &mut Want) {
        for service in &mut want.services {
            if !service.is_good() {
                service.renew("healthy");
            }
        }
        match self {
            Self::Nothing => {}
            Self::Program(service) => want.services[service].renew("healthy"),
            Self::Stubborn(service) => want.services[service].renew("healthy, ignores TERM"),
            Self::Env(service) => want.services[service].env += 1,
            Self::Secret(service) => {
                want.services[service].secret = Some(want.services[service].secret.map_or(0, |number| number + 1));
            }
            Self::SecretOrNone(service) => {
                let secret = &mut want.services[service].secret;
                *secret = if secret.is_none() { Some(0) } else { None };
            }
            Self::Limit(service) => want.services[service].tasks += 1,
            Self::Checks => want.checks = !want.checks,
        }
    }
}

impl Op {
    /// One at random, for a host whose services have URLs or not.
    pub(crate) fn of(random: &mut Random, urls: bool) -> Self {
        let unit = random.one_of(&Want::units());
        match random.below(23) {
            0..7 => Self::Good(Change::of(random)),
            7..10 => Self::bad(random, urls),
            10..15 => {
                let op = match random.below(7) {
                    0..3 => Self::Good(Change::of(random)),
                    3 => Self::bad(random, urls),
                    4 => Self::Rollback,
                    5 => Self::Prune { secrets: random.below(2) == 0 },
                    _ => Self::Uninstall,
                };
                Self::Interrupted(Box::new(op), fault(random))
            }
            15 => Self::Edit(unit),
            16 => Self::Uninstall,
            17 => Self::Reboot,
            18 => Self::Crash(unit),
            19..21 => Self::Rollback,
            21 => Self::Prune { secrets: random.below(2) == 0 },
            _ => Self::KillRunner(unit),
        }
    }

    fn bad(random: &mut Random, urls: bool) -> Self {
        let behaviour = if urls && random.below(2) == 0 { random.one_of(&SICK) } else { random.one_of(&DEAD) };
        Self::Bad { service: random.below(2), behaviour }
    }
}

fn fault(random: &mut Random) -> Fault {
    let cut = match random.below(3) {
        0 => Cut::Before,
        1 => Cut::Step(random.below(25)),
        _ => Cut::After,
    };
    Fault { at: 1 + random.below(40), cut, kind: random.one_of(&Kind::ALL) }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted(op, fault) => write!(f, "{op} with {fault}"),
            other => write!(f, "{other:?}"),
        }
    }
}
