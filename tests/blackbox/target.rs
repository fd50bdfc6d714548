//! What the suite runs against: a supervisor on a kind of host, reached in some way. Subjects ask these for what they
//! need and name no supervisor and no suite themselves.

/// One target.
#[derive(Debug)]
pub(crate) struct Target {
    /// First part of the names of its trials.
    pub(crate) name: &'static str,
    /// Base of its hosts.
    pub(crate) base: &'static str,
    /// Options of `lab up`.
    pub(crate) options: &'static [&'static str],
    /// Where unitbee runs.
    pub(crate) reach: Reach,
    /// Whether limits hold there: the containers of the lab have no controllers.
    pub(crate) limits_hold: bool,
}

/// Where unitbee runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// On the host itself, in a session of its user.
    Here,
    /// On this machine, over SSH.
    Ssh,
}

/// systemd 247, 252, 257 and 262, over SSH and on the host itself. A unitbee built here needs a libc of this machine's age, so it
/// runs itself on no older host.
pub(crate) const TARGETS: [Target; 5] = [
    container("systemd-247", "bullseye", &["--suite", "bullseye"], Reach::Ssh),
    container("systemd-252", "bookworm", &["--suite", "bookworm"], Reach::Ssh),
    container("systemd-257", "trixie", &["--suite", "trixie"], Reach::Ssh),
    container("systemd-262", "forky", &["--suite", "forky"], Reach::Ssh),
    container("here", "bookworm", &["--suite", "bookworm"], Reach::Here),
];

const fn container(name: &'static str, base: &'static str, options: &'static [&'static str], reach: Reach) -> Target {
    Target { name, base, options, reach, limits_hold: false }
}
