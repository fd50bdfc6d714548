//! What stands between a wish and a plan, and what to do about it.

use camino::Utf8PathBuf;
use thiserror::Error;

use super::super::loader::Unmet;
use crate::host::may_act_as_root;
use crate::service::record::Record;
use crate::supervisor::launchd;
use crate::supervisor::systemd::drop_in::Unkept;

/// Why there is no plan: what must be decided or mended by somebody first.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Obstacle {
    /// A file of that name is not ours.
    #[error("{path} was not written by unitbee and is left alone")]
    Foreign {
        /// Its path there.
        path: Utf8PathBuf,
    },
    /// A file of ours was edited by hand.
    #[error("{path} was edited by hand since unitbee wrote it")]
    Drift {
        /// Its path there.
        path: Utf8PathBuf,
        /// Unified diff from what was written to what is there, where it is known what was written.
        diff: Option<String>,
        /// Whether the manager reads drop-ins, so that the edit can become one.
        can_keep: bool,
    },
    /// The edit of a file of ours cannot become a drop-in.
    #[error("the edit of {path} cannot be kept: {why}")]
    Unkept {
        /// Its path there.
        path: Utf8PathBuf,
        /// Why.
        why: Unkept,
    },
    /// Another project has the unit.
    #[error("{unit} belongs to the project {project:?}{}", manifest.as_ref().map(|manifest| format!(" ({manifest})")).unwrap_or_default())]
    OtherProject {
        /// Unit.
        unit: String,
        /// Project.
        project: String,
        /// Its manifest, with who applied it.
        manifest: Option<String>,
    },
    /// The very same release was tried and did not pass its gate.
    #[error("{unit}: this very release was tried as release {release} and failed")]
    FailedBefore {
        /// Unit.
        unit: String,
        /// The number that it had.
        release: u32,
    },
    /// A newer unitbee installed the unit.
    #[error("{unit} was installed by a newer unitbee: the format {version} of its record is not known to this one")]
    NewerRecord {
        /// Unit.
        unit: String,
        /// Format of its record.
        version: u32,
    },
    /// The host has no such program.
    #[error("{unit}: there is no program {program} on the host")]
    NoProgram {
        /// Unit.
        unit: String,
        /// As the manifest names it.
        program: String,
    },
    /// The host cannot run the program.
    #[error("{unit}: {path} is for {machine}, the host is {host}")]
    WrongMachine {
        /// Unit.
        unit: String,
        /// Its path here.
        path: Utf8PathBuf,
        /// What it is for.
        machine: String,
        /// What the host is.
        host: String,
    },
    /// The host lacks what the program needs to be started.
    #[error("{unit}: {path} {why}")]
    CannotRun {
        /// Unit.
        unit: String,
        /// Its path here.
        path: Utf8PathBuf,
        /// What is not there.
        why: Unmet,
    },
    /// The host would end the program at once.
    #[error("{unit}: {path} has no code signature, without which a Mac with Apple silicon runs nothing")]
    Unsigned {
        /// Unit.
        unit: String,
        /// Its path here.
        path: Utf8PathBuf,
    },
    /// A daemon of the system is root's to install, and the account may not act as root.
    #[error("{unit} is for the whole system, and sudo does not let {user} act as root: {detail}")]
    NoRoot {
        /// Unit.
        unit: String,
        /// Login name.
        user: String,
        /// What sudo said.
        detail: String,
    },
    /// launchd has nowhere to load an agent.
    #[error("{unit}: {fault}")]
    NoPlace {
        /// Unit.
        unit: String,
        /// Why.
        fault: launchd::Fault,
    },
    /// A daemon of that name is somebody else's.
    #[error(transparent)]
    OtherUser(launchd::Fault),
    /// launchd has a job by the label of a unit that is not installed, read from a file that is not ours.
    #[error("launchd has {target} from {path}, which was not written by unitbee, and it is left alone")]
    ForeignJob {
        /// The job there.
        target: String,
        /// What defines it.
        path: String,
    },
    /// The unit cannot be written down for this host.
    #[error("{unit}: {error}")]
    Render {
        /// Unit.
        unit: String,
        /// Why, with its causes.
        error: String,
    },
}

impl Obstacle {
    /// A unit with this record belongs to another project.
    #[must_use]
    pub fn of_other_project(unit: &str, record: &Record) -> Self {
        let manifest = record.origin.as_ref().and_then(|origin| {
            let manifest = origin.manifest.as_ref()?;
            Some(format!("{manifest}, applied by {}", origin.by))
        });
        Self::OtherProject { unit: unit.to_owned(), project: record.spec.project.clone(), manifest }
    }

    /// One command or one sentence that helps.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Foreign { path } => Some(format!("rename the service, or move {path} away")),
            Self::Drift { can_keep: true, .. } => Some(
                "`unitbee apply --take` overwrites the edit, `unitbee apply --keep` moves it into a drop-in".into(),
            ),
            Self::Drift { can_keep: false, .. } | Self::Unkept { .. } => {
                Some("`unitbee apply --take` overwrites the edit".into())
            }
            Self::OtherProject { .. } => Some("rename the service, or take the unit over with `--take`".into()),
            Self::FailedBefore { unit, .. } => {
                Some(format!("`--retry` tries it again; `unitbee history {unit}` shows why it failed"))
            }
            Self::NewerRecord { .. } => Some("use the newer unitbee".into()),
            Self::NoProgram { .. } => {
                Some("install it there, or name a file of this machine with a `/` in its path".into())
            }
            Self::WrongMachine { .. } => Some("build it for the host's system and processor".into()),
            Self::CannotRun { why, .. } => Some(why.hint().into()),
            Self::Unsigned { path, .. } => {
                // A path with NUL in it, which is all that cannot be quoted, would not have been read.
                let path = shlex::try_quote(path.as_str()).unwrap_or_default();
                Some(format!("sign it on a Mac: `codesign --sign - {path}`"))
            }
            Self::NoRoot { user, .. } => Some(may_act_as_root(user)),
            Self::ForeignJob { target, .. } => {
                Some(format!("rename the service, or unload that one on the host: `launchctl bootout {target}`"))
            }
            Self::NoPlace { fault, .. } | Self::OtherUser(fault) => Some(fault.hint()),
            Self::Render { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_pasted_whatever_the_path() {
        let hint = |path: &str| Obstacle::Unsigned { unit: "web-main".into(), path: path.into() }.hint().unwrap();
        assert_eq!(hint("/srv/tool"), "sign it on a Mac: `codesign --sign - /srv/tool`");
        assert_eq!(hint("/my work/$(x)"), "sign it on a Mac: `codesign --sign - '/my work/$(x)'`");
    }
}
