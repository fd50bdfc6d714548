//! Which of the three managers a host's services are for.

use std::fmt;

use serde::Serialize;

use super::{Missing, SupervisorError, UnitFileKind};
use crate::host::{Answer, Ask, Facts, FileFound};

/// A kind of service manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SupervisorKind {
    /// systemd's user manager.
    Systemd,
    /// launchd of macOS.
    Launchd,
    /// The runner that unitbee brings along.
    Runner,
}

/// A manager, and why it is this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// Which.
    pub manager: SupervisorKind,
    /// Why.
    pub why: &'static str,
}

/// The reasons for it and what it lacks: `because the host has no service manager; it has no sandbox`.
impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "because {}", self.why)?;
        match self.manager.lacks() {
            [] => Ok(()),
            lacks => write!(f, "; it has {}", lacks.join(", ")),
        }
    }
}

impl SupervisorKind {
    /// All that there are.
    pub const ALL: [Self; 3] = [Self::Systemd, Self::Launchd, Self::Runner];

    /// Decides for a host: what is requested, else systemd where it is the init or the user has its bus, launchd on macOS, the
    /// runner everywhere else.
    #[must_use]
    pub fn choose(facts: &Facts, requested: Option<Self>) -> Choice {
        let (manager, why) = match requested {
            Some(manager) => (manager, "it was requested"),
            None if facts.systemd => (Self::Systemd, "systemd is the host's init"),
            None if facts.bus => (Self::Systemd, "the user has a bus"),
            None if facts.os == "Darwin" => (Self::Launchd, "the host runs macOS"),
            None => (Self::Runner, "the host has no service manager"),
        };
        Choice { manager, why }
    }

    /// Makes sure that a host is of the kind that this manager, asked for or found, can be on.
    pub fn check(self, host: &str, facts: &Facts) -> Result<(), SupervisorError> {
        let missing = match self {
            Self::Launchd if facts.os != "Darwin" => Missing::Launchd,
            Self::Runner if facts.os != "Linux" => Missing::Proc,
            Self::Systemd | Self::Launchd | Self::Runner => return Ok(()),
        };
        Err(SupervisorError::Missing { host: host.to_owned(), user: facts.user.clone(), missing })
    }

    /// The manager that units are under: the chosen one, unless all of them that are installed are under another.
    /// `installed` are the managers under which some unit has a definition.
    #[must_use]
    pub fn of_installed(chosen: Choice, requested: Option<Self>, installed: &[Self]) -> Choice {
        match installed.first() {
            Some(other) if requested.is_none() && !installed.contains(&chosen.manager) => {
                Choice { manager: *other, why: "the service is installed there" }
            }
            _ => chosen,
        }
    }

    /// Asks under which managers units are installed.
    #[must_use]
    pub fn ask_installed(units: &[String]) -> Vec<Ask> {
        units.iter().flat_map(|unit| UnitFileKind::ALL.map(|kind| Ask::Size(kind.path(unit)))).collect()
    }

    /// The same, with the files that define them.
    #[must_use]
    pub fn ask_files(units: &[String]) -> Vec<Ask> {
        units.iter().flat_map(|unit| UnitFileKind::ALL.map(|kind| Ask::File(kind.path(unit)))).collect()
    }

    /// Finds the manager of units from the answers to [`ask_installed`](Self::ask_installed).
    pub fn read_installed(
        facts: &Facts,
        requested: Option<Self>,
        units: usize,
        answers: &mut impl Iterator<Item = Answer>,
    ) -> Choice {
        let answers = answers.take(units * UnitFileKind::ALL.len());
        let is_there =
            |(kind, answer): (UnitFileKind, Answer)| matches!(answer, Answer::Size(Some(_))).then(|| kind.manager());
        let installed: Vec<Self> = UnitFileKind::ALL.into_iter().cycle().zip(answers).filter_map(is_there).collect();
        Self::of_installed(Self::choose(facts, requested), requested, &installed)
    }

    /// Finds the manager of units, and the file by which it knows each of them, from the answers to
    /// [`ask_files`](Self::ask_files).
    pub fn read_files(
        facts: &Facts,
        requested: Option<Self>,
        units: usize,
        answers: &mut impl Iterator<Item = Answer>,
    ) -> (Choice, Vec<Option<(UnitFileKind, FileFound)>>) {
        let mut found: Vec<Vec<(UnitFileKind, FileFound)>> = Vec::with_capacity(units);
        for _ in 0..units {
            let of_unit = UnitFileKind::ALL.into_iter().zip(answers.by_ref());
            let file = |(kind, answer)| if let Answer::File(Some(file)) = answer { Some((kind, file)) } else { None };
            found.push(of_unit.filter_map(file).collect());
        }
        let installed: Vec<Self> = found.iter().flatten().map(|(kind, _)| kind.manager()).collect();
        let choice = Self::of_installed(Self::choose(facts, requested), requested, &installed);
        // Of two files for launchd the daemon's counts, which comes later.
        let of_manager = |files: Vec<(UnitFileKind, FileFound)>| {
            files.into_iter().rfind(|(kind, _)| kind.manager() == choice.manager)
        };
        (choice, found.into_iter().map(of_manager).collect())
    }

    /// The name that tables and JSON show.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::Launchd => "launchd",
            Self::Runner => "runner",
        }
    }

    /// What it cannot promise on any host, in words.
    #[must_use]
    pub fn lacks(self) -> &'static [&'static str] {
        match self {
            Self::Systemd => &[],
            Self::Launchd => &[
                "no cap on processor time or pooled memory",
                "logs that are rotated only when a service is started, restarted or ensured",
                "a start at login only, unless it is `scope = \"system\"`",
                "restarts without end and at one pace",
                "no way to find a process that left its group and its parent unseen",
            ],
            Self::Runner => &[
                "no sandbox",
                "limits only in a cgroup that the user may write",
                "a start at boot only where cron runs",
                "a process that leaves session, group and environment behind is not found without a cgroup",
            ],
        }
    }
}

impl fmt::Display for SupervisorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
