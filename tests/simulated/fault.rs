//! What can go wrong, and where.

use std::fmt;

/// Something that goes wrong once in the course of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    /// At which primitive of the operation, from 1.
    pub(crate) at: usize,
    /// How far that one gets.
    pub(crate) cut: Cut,
    pub(crate) kind: Kind,
}

/// How far a primitive gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The host does not hear of it.
    Before,
    /// The host does so many steps of it; only a change has any.
    Step(usize),
    /// The host does all of it, and its answer is not heard.
    After,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// This side is killed: nothing of it is heard any more, its lock is free. A change that has arrived on the host as a
    /// whole is carried out there, and a runner that was started goes on; a program that is still waiting is ended.
    ControllerDies,
    /// The connection is lost and does not come back. The host's side ends as above.
    LinkCut,
    /// What works for us on the host is killed: a change stops where it is. The next primitive works again.
    FarSideDies,
    /// From here on the host's disk is full.
    DiskFull,
    /// The host refuses this one primitive.
    Refused,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] =
        [Self::ControllerDies, Self::LinkCut, Self::FarSideDies, Self::DiskFull, Self::Refused];
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at primitive {} ({:?})", self.kind, self.at, self.cut)
    }
}
