//! What launchd does not do, each with its cause and what mends it.

use thiserror::Error;

use super::answer::{ANYTHING, QUARANTINED, SWITCHED_OFF, TEARING_DOWN};
use crate::host::may_act_as_root;

/// Where a user switches off what begins by itself.
const SWITCH: &str = "System Settings > General > Login Items";

/// What launchd told the system's log.
const LOG: &str = "`log show --last 2m --predicate 'process == \"launchd\"'`";

/// Why a job is not as it was asked to be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// The account has no domain that could take an agent.
    #[error("launchd has no domain for {user}: {said}")]
    NoDomain {
        /// Login name.
        user: String,
        /// What launchctl said.
        said: String,
    },
    /// Root has no session of its own.
    #[error("root has no agents")]
    RootsAgent,
    /// Daemons are root's, and this account may not act as root.
    #[error("sudo does not let {user} act as root: {said}")]
    NoRoot {
        /// Login name.
        user: String,
        /// What sudo said.
        said: String,
    },
    /// The unit is a daemon of another account.
    #[error("{path} is a daemon of {user} and is left alone")]
    OtherUser {
        /// Its path there.
        path: String,
        /// Whose.
        user: String,
    },
    /// The host did not run the script that asks launchd.
    #[error("launchd was not asked: the host does not run the script that does it")]
    NotAsked,
    /// A call hangs.
    #[error("`{call}` did not come back within {seconds} s")]
    Silent {
        /// What was called.
        call: String,
        /// Time that it had.
        seconds: u64,
    },
    /// The answer of launchctl does not say whether there is a job.
    #[error("`{call}` does not tell: {said}")]
    Unclear {
        /// What was called.
        call: String,
        /// Its exit code.
        code: i32,
        /// What it said.
        said: String,
    },
    /// Its log cannot be written: launchd would start it, fail, and say nothing.
    #[error("its log {path} cannot be written: {said}")]
    Log {
        /// Path there.
        path: String,
        /// What the host said.
        said: String,
    },
    /// The property list is one that launchd does not take.
    #[error("launchd does not take {path}: {why}{}", said.as_ref().map_or_else(String::new, |said| format!(" ({said})")))]
    File {
        /// Path there.
        path: String,
        /// What is wrong with it.
        why: String,
        /// What mends it.
        mend: String,
        /// What launchctl said, where it was asked.
        said: Option<String>,
    },
    /// It stays disabled although it was enabled.
    #[error("{target} is disabled, and enabling it changes nothing")]
    Disabled {
        /// The job.
        target: String,
    },
    /// launchctl refuses, and nothing that was looked at says why.
    #[error("launchctl {verb} {target}: {said} (exit code {code})")]
    Refused {
        /// Its verb.
        verb: &'static str,
        /// The job.
        target: String,
        /// Its exit code.
        code: i32,
        /// What it said.
        said: String,
    },
    /// It was told to go, was killed, and is still there.
    #[error("{target} was told to end and was killed, and launchd still has it ({state})")]
    Stuck {
        /// The job.
        target: String,
        /// What state it is in.
        state: String,
    },
    /// It is loaded and not started, nor does it help to ask.
    #[error("launchd has loaded {target} twice and does not start it ({state})")]
    NeverStarts {
        /// The job.
        target: String,
        /// What state it is in.
        state: String,
    },
    /// It is loaded and about to be started, for longer than that takes.
    #[error("launchd has loaded {target} and has not started it for {seconds} s ({state})")]
    HeldBack {
        /// The job.
        target: String,
        /// What state it is in.
        state: String,
        /// How long.
        seconds: u64,
    },
    /// It was loaded, and was gone at the next look.
    #[error("{target} was loaded, and somebody unloaded it at once")]
    Vanished {
        /// The job.
        target: String,
    },
}

impl Fault {
    /// One command or one sentence that helps.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoDomain { .. } => {
                "log in at the screen of the host, or give the service `scope = \"system\"`".into()
            }
            Self::RootsAgent => "reach the host as the user that is to run it, or give it `scope = \"system\"`".into(),
            Self::NoRoot { user, .. } => may_act_as_root(user),
            Self::OtherUser { user, .. } => format!("reach the host as {user}, or give the service another name"),
            Self::NotAsked => "`uname -s; sh -c :` on the host must say Darwin, and nothing else".into(),
            Self::Silent { call, .. } if call.starts_with("launchctl ") => {
                "`launchctl print system` on the host shows whether launchd answers at all; if not, reboot it".into()
            }
            Self::Silent { call, .. } => format!("`{call}` on the host shows whether it ever comes back"),
            Self::Unclear { code: TEARING_DOWN, .. } => {
                "its user logs out, or the Mac goes down: try again in a moment".into()
            }
            Self::Log { path, .. } => format!("on the host, see who owns {path} and its folder: `ls -led {path}`"),
            Self::File { mend, .. } => mend.clone(),
            Self::Disabled { .. } | Self::Refused { code: SWITCHED_OFF, .. } => {
                format!("switch it on in {SWITCH}, or ask who manages the Mac")
            }
            Self::Refused { code: QUARANTINED, .. } => {
                "`xattr -d com.apple.quarantine FILE` on the host, for its property list and its program".into()
            }
            Self::Refused { verb: "bootstrap", code: ANYTHING, .. } => {
                format!("see whether it is switched off in {SWITCH}; on the host, {LOG} tells launchd's side")
            }
            Self::Refused { .. } | Self::Unclear { .. } | Self::Vanished { .. } => {
                format!("on the host, {LOG} tells launchd's side")
            }
            Self::Stuck { target, .. } => format!("`sudo launchctl bootout {target}` on the host, else a reboot"),
            Self::HeldBack { .. } => "`unitbee restart` loads it anew; if that changes nothing, reboot the host".into(),
            Self::NeverStarts { target, .. } => {
                let sudo = if target.starts_with("system/") { "sudo " } else { "" };
                format!("`{sudo}launchctl kickstart {target}` on the host, else a reboot")
            }
        }
    }
}
