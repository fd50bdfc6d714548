//! What `launchctl` answers: an exit code, which is the number of an error, and words.

use crate::host::{is_by_sudo, printable};

/// `bootout` of a job that is not loaded, `kill` of one that does not run.
pub(super) const NO_PROCESS: i32 = 3;
/// What anybody but root hears of nearly everything.
pub(super) const ANYTHING: i32 = 5;
/// There is no such job.
pub(super) const NO_JOB: i32 = 113;
/// There is no such domain.
pub(super) const NO_DOMAIN: i32 = 112;
/// Somebody logs out, or the Mac goes down.
pub(super) const TEARING_DOWN: i32 = 124;
/// Nobody is logged in who would have such a domain.
pub(super) const NO_SESSION: i32 = 125;
/// A file of it came from the network and nobody has allowed it yet.
pub(super) const QUARANTINED: i32 = 155;
/// It is switched off in the settings, or by who manages the Mac (Background Task Management, macOS 13).
pub(super) const SWITCHED_OFF: i32 = 161;

/// An answer of one call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) code: i32,
    pub(super) words: String,
}

impl Said {
    /// Tells whether it was sudo that did not let the call pass.
    pub(super) fn is_sudos(&self) -> bool {
        self.code != 0 && is_by_sudo(&self.words)
    }

    /// Tells whether a `bootout` with this answer was heard, or had nothing to do: what became of it is for `print` to say.
    /// 36 and 37 are under way, 112, 124 and 125 are domains that are not there (any more).
    pub(super) fn is_end_of_bootout(&self) -> bool {
        matches!(self.code, 0 | NO_PROCESS | ANYTHING | 36 | 37 | NO_DOMAIN | NO_JOB | TEARING_DOWN | NO_SESSION)
    }

    /// Tells whether a `bootstrap` with this answer may succeed later, or has been done by somebody else: 17 and 37
    /// are jobs that are there, 36 and 124 are under way, 119 is disabled.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self.code, ANYTHING | 17 | 36 | 37 | 119 | 122 | TEARING_DOWN | 134)
    }
}

/// The one line that tells something, fit for a message.
pub(super) fn gist(words: &str) -> String {
    let idle = ["Bad request.", "Try re-running", "This incident "];
    let empty = |line: &&str| line.is_empty() || idle.iter().any(|start| line.starts_with(start));
    let line = words.lines().map(str::trim).rfind(|line| !empty(line)).unwrap_or("it gave no reason");
    printable(line.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_tells_something_is_told() {
        for (words, line) in [
            (
                "Bad request.\nCould not find service \"x\" in domain for system\n",
                "Could not find service \"x\" in domain for system",
            ),
            (
                "Bootstrap failed: 5: Input/output error\nTry re-running the command as root for richer errors.\n",
                "Bootstrap failed: 5: Input/output error",
            ),
            (
                "bee is not in the sudoers file.\nThis incident has been reported to the administrator.\n",
                "bee is not in the sudoers file.",
            ),
            ("", "it gave no reason"),
        ] {
            assert_eq!(gist(words), line);
        }
    }
}
