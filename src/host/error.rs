//! What can go wrong between here and a host.

use std::time::Duration;

use thiserror::Error;

/// A failure of a [`Host`](super::Host) primitive. The message names the operation; what the host said of it
/// is in the fields, already [`printable`].
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HostError {
    /// No connection came up.
    #[error("connect to {host}: {detail}")]
    Connect {
        /// Host as the user named it.
        host: String,
        /// What kind of fault it is.
        fault: ConnectFault,
        /// The last line that says something, from ssh or from us.
        detail: String,
        /// The name that the user may have meant ([`Options::alternative`](super::Options::alternative)).
        alternative: Option<String>,
    },
    /// The connection was lost in the middle of something.
    #[error("connection to {host} lost during {during}")]
    Lost {
        /// Host.
        host: String,
        /// What was being done.
        during: String,
    },
    /// A program or script of ours did not end in time and was killed on the host.
    #[error("{during} on {host} took longer than {deadline:?} and was ended there")]
    Deadline {
        /// Host.
        host: String,
        /// What was being done.
        during: String,
        /// Time that it had.
        deadline: Duration,
    },
    /// The host sent more than anybody needs.
    #[error("{host} sent more than {limit} bytes during {during}")]
    TooMuch {
        /// Host.
        host: String,
        /// What was being done.
        during: String,
        /// Bytes that were taken.
        limit: usize,
    },
    /// The host's answer is not of the agreed form.
    #[error("{host} answered {during} with something unintelligible: {detail}")]
    Garbled {
        /// Host.
        host: String,
        /// What was being done.
        during: String,
        /// What was seen.
        detail: String,
    },
    /// The host did something else than to run a script of ours.
    #[error("{host} did not run the command that it was sent; {detail}")]
    NotRun {
        /// Host.
        host: String,
        /// What it said or did instead.
        detail: String,
    },
    /// A step failed on the host; nothing of the step is left behind.
    #[error("{step} on {host}: {detail}")]
    Change {
        /// Host.
        host: String,
        /// `write /home/bee/…`, `make folder …`, `remove …`, `read …`.
        step: String,
        /// The host's own words.
        detail: String,
    },
    /// The step is root's, and sudo does not let the account act as root.
    #[error("{step} on {host}: {detail}")]
    NoRoot {
        /// Host.
        host: String,
        /// `write /Library/…`, `remove …`.
        step: String,
        /// What sudo said.
        detail: String,
    },
    /// Somebody else holds the lock.
    #[error("{host} is busy: {owner} is at work there{}", held(held_for.as_ref()))]
    Busy {
        /// Host.
        host: String,
        /// Who holds it.
        owner: String,
        /// For how long, where that is known.
        held_for: Option<Duration>,
    },
    /// The lock that was held is held no longer. Nothing was changed without it.
    #[error("the lock on {host} was lost: another unitbee may have changed the host since")]
    LockLost {
        /// Host.
        host: String,
    },
    /// A script of ours began on the host and was killed there, or its shell was.
    #[error("{during} was killed on {host}")]
    Killed {
        /// Host.
        host: String,
        /// What was being done.
        during: String,
    },
    /// A command cannot be sent: it holds a NUL byte, say.
    #[error("cannot run {what} on {host}: {detail}")]
    Unsendable {
        /// Host.
        host: String,
        /// Command.
        what: String,
        /// Why not.
        detail: String,
    },
    /// Something on this side failed.
    #[error("{during} for {host}")]
    Io {
        /// Host.
        host: String,
        /// What was being done.
        during: String,
        /// Cause.
        source: std::io::Error,
    },
}

/// Why no connection came up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectFault {
    /// The name means no address.
    UnknownName,
    /// Nothing answers at the address, or nothing in time.
    Unreachable,
    /// The host's sshd ended the connection before the login: it serves too many, or none of ours for a while.
    Dropped,
    /// The host's sshd opened no session on the connection.
    NoSession,
    /// The host refused every key or user.
    Refused,
    /// The host shows no key that is known, or another one than the known.
    HostKey,
    /// ssh(1) itself is not there.
    NoSsh,
    /// Anything else.
    Other,
}

impl HostError {
    /// One command or one sentence that helps.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        if let Self::NoRoot { .. } = self {
            return Some(super::may_act_as_root("ACCOUNT"));
        }
        if let Self::LockLost { .. } = self {
            return Some("run the command again: it begins with what is on the host now".into());
        }
        if let Self::NotRun { host, .. } = self {
            return Some(format!(
                "`ssh {host} echo ok` must print `ok`: see the account's login shell, its startup files such as ~/.bashrc, \
                 and `command=` in its authorized_keys"
            ));
        }
        let Self::Connect { host, fault, alternative, .. } = self else { return None };
        match fault {
            ConnectFault::UnknownName => Some(match alternative {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("check the name of {host} in the manifest and in ~/.ssh/config"),
            }),
            ConnectFault::Unreachable => Some(format!("`ssh {host} true` shows whether the host can be reached")),
            ConnectFault::Dropped => Some(
                "try again in a minute; `MaxStartups` and `PerSourcePenalties` in its sshd_config say how many \
                 connections it takes"
                    .into(),
            ),
            ConnectFault::NoSession => Some(
                "`MaxSessions` in its sshd_config says how many sessions a connection may have; others may hold them all"
                    .into(),
            ),
            ConnectFault::Refused => Some(format!("`ssh-copy-id {host}` puts your key there")),
            ConnectFault::HostKey => {
                Some(format!("`ssh {host} true` shows the host's key; compare it before you accept it"))
            }
            ConnectFault::NoSsh => Some("install the OpenSSH client".into()),
            ConnectFault::Other => None,
        }
    }
}

/// Says for how long a lock has been held, once that is worth a word.
fn held(time: Option<&Duration>) -> String {
    match time.map(Duration::as_secs) {
        None | Some(0..=4) => String::new(),
        Some(seconds @ 5..=119) => format!(" (for {seconds} s)"),
        Some(seconds @ 120..=7199) => format!(" (for {} min)", seconds / 60),
        Some(seconds) => format!(" (for {} h)", seconds / 3600),
    }
}

/// Makes a host's text fit for a terminal: control characters and broken UTF-8 are shown, not obeyed.
#[must_use]
pub fn printable(text: &[u8]) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in String::from_utf8_lossy(text).chars() {
        match character {
            '\n' | '\t' => shown.push(character),
            // Also the C1 controls and the marks that turn the direction of a line round.
            c if c.is_control()
                || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                shown.extend(c.escape_default());
            }
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_says_for_how_long_it_is_held() {
        let busy = |held_for| HostError::Busy { host: "gpu1".into(), owner: "ann".into(), held_for }.to_string();
        assert_eq!(busy(None), "gpu1 is busy: ann is at work there");
        for (seconds, said) in [(4, ""), (5, " (for 5 s)"), (150, " (for 2 min)"), (9000, " (for 2 h)")] {
            assert_eq!(busy(Some(Duration::from_secs(seconds))), format!("gpu1 is busy: ann is at work there{said}"));
        }
    }

    #[test]
    fn control_characters_are_shown() {
        assert_eq!(printable(b"a\x1b[31mb\r\x07\n"), "a\\u{1b}[31mb\\r\\u{7}\n");
        assert_eq!(printable("\u{9b}x\u{202e}y".as_bytes()), "\\u{9b}x\\u{202e}y");
        assert_eq!(printable(b"\xffz"), "\u{fffd}z");
    }
}
