//! Where unitbee's files are on a host. Nothing else of the crate spells these paths.
//!
//! ```text
//! <config>/systemd/user/<unit>.service, <slice>.slice     what systemd reads
//! <config>/systemd/user/<unit>.service.d/00-kept.conf     what was edited by hand and is kept
//! <config>/unitbee/<unit>.sh                              what the runner reads
//! ~/Library/LaunchAgents/com.rbee.<unit>.plist            what launchd reads; of a daemon in /Library/LaunchDaemons
//! <data>/unitbee/store/<sha256>/<name>                    programs, never changed in place
//! <data>/unitbee/units/<unit>/spec.json                   the record of the release that is in effect
//! <data>/unitbee/units/<unit>/<release>/                  releases, never changed in place:
//!     spec.json, definition, env, set                     its record, the unit file, its secrets, its digest
//!     healthy, failed                                     that it passed the gate, that it did not and why
//! <data>/unitbee/refs/<target>/<unit>.<release>           who still needs a program (its SHA-256) or a slice, and which
//!                                                         units a project has (<name>.project)
//! <state>/unitbee/journal/<node>.json                     the change that is under way on this machine
//! <state>/unitbee/audit.log                               who changed what
//! <state>/unitbee/registry/<unit>.{json,cgroup}           what a runner notes, and the cgroup that it made
//! <state>/unitbee/registry/<unit>.spare                   room for its next note on a disk that is full
//! <state>/unitbee/claims/<unit>/                          which of many runners is the one
//! ~/.local/state/unitbee/disabled/com.rbee.<unit>         a job that is to be disabled again once it is loaded
//! <state>/unitbee/log/<unit>.log, <unit>/<number>.log     what a unit said under launchd, under the runner
//! ```

use camino::{Utf8Path, Utf8PathBuf};

use super::{SupervisorKind, UnitFileKind};
use crate::host::{Base, Facts, HostPath};
use crate::service::render::runner::{PROGRAM, RunnerProgram};
use crate::service::render::{Launchd, Runner};

/// All definitions for the runner.
#[must_use]
pub fn definitions() -> HostPath {
    HostPath::new(Base::Config, "unitbee")
}

/// The records of the runners.
#[must_use]
pub fn registry() -> HostPath {
    HostPath::new(Base::State, "unitbee/registry")
}

/// The record of one unit's runner.
#[must_use]
pub fn record(unit: &str) -> HostPath {
    HostPath::new(Base::State, format!("unitbee/registry/{unit}.json"))
}

/// What a record is written to where the disk has no room for another file.
#[must_use]
pub fn spare_record(unit: &str) -> HostPath {
    HostPath::new(Base::State, format!("unitbee/registry/{unit}.spare"))
}

/// Where a record goes that could not be believed.
#[must_use]
pub fn damaged_record(unit: &str) -> HostPath {
    HostPath::new(Base::State, format!("unitbee/registry/{unit}.json.damaged"))
}

/// Who supervises what.
#[must_use]
pub fn claims() -> HostPath {
    HostPath::new(Base::State, "unitbee/claims")
}

/// Who supervises one unit: that of a runner which was killed stays.
#[must_use]
pub fn claim(unit: &str) -> HostPath {
    HostPath::new(Base::State, format!("unitbee/claims/{unit}"))
}

/// The logs of all units, where the supervisor writes files.
#[must_use]
pub fn logs() -> HostPath {
    HostPath::new(Base::State, "unitbee/log")
}

/// What is in the folder of the logs by this name.
#[must_use]
pub fn in_logs(name: &str) -> HostPath {
    HostPath::new(Base::State, format!("unitbee/log/{name}"))
}

/// The log files of a unit under the runner.
#[must_use]
pub fn log(unit: &str) -> HostPath {
    HostPath::new(Base::State, format!("unitbee/log/{unit}"))
}

/// The log file of a unit under launchd.
#[must_use]
pub fn job_log(unit: &str) -> HostPath {
    HostPath::new(Base::State, format!("unitbee/log/{unit}.log"))
}

/// Where it is noted that a unit is to be disabled again once launchd has loaded it. It is by the label, for a script to see,
/// which knows of no folder but home.
#[must_use]
pub fn to_disable(unit: &str) -> HostPath {
    let label = crate::service::render::launchd::label(unit);
    HostPath::new(Base::Home, format!(".local/state/unitbee/disabled/{label}"))
}

/// The account of a Mac with these facts, as property lists name it.
#[must_use]
pub fn launchd(facts: &Facts) -> Launchd {
    let logs = absolute(&logs(), facts).unwrap_or_default();
    Launchd { user: facts.user.clone(), home: facts.home.clone(), logs }
}

/// The program of the runner in the store.
#[must_use]
pub fn runner_program() -> HostPath {
    program(&PROGRAM.sha256, RunnerProgram::NAME)
}

/// The runner of a host with these facts, as definitions name it.
#[must_use]
pub fn runner(facts: &Facts) -> Runner {
    let at = |path: HostPath| absolute(&path, facts).unwrap_or_default();
    Runner { program: at(runner_program()), registry: at(registry()), claims: at(claims()), logs: at(logs()) }
}

/// The line of the user's crontab that starts a unit at boot; `None` where no line can name its definition.
#[must_use]
pub fn boot_line(unit: &str, facts: &Facts) -> Option<String> {
    let path = absolute(&UnitFileKind::RunnerScript.path(unit), facts)?;
    let word = crate::service::escape::sh::word(path.as_str()).ok()?;
    // cron(8) ends a command at the first bare percent sign.
    Some(format!("@reboot /bin/sh {} start # unitbee: {unit}", word.replace('%', "\\%")))
}

/// The unit file that systemd reads.
#[must_use]
pub fn unit_file(file: &str) -> HostPath {
    HostPath::new(Base::Config, format!("systemd/user/{file}"))
}

/// The drop-in that holds what was edited in a unit file and is kept. It sorts before others: they had a say over the unit
/// file, and go on having it.
#[must_use]
pub fn kept_drop_in(unit: &str) -> HostPath {
    unit_file(&format!("{unit}.service.d/00-kept.conf"))
}

/// Where what was kept goes when it did not pass the gate: systemd reads no file by this name.
#[must_use]
pub fn failed_drop_in(unit: &str) -> HostPath {
    unit_file(&format!("{unit}.service.d/00-kept.conf.failed"))
}

/// The link by which systemd starts a unit at boot.
#[must_use]
pub fn wanted_link(unit: &str) -> HostPath {
    unit_file(&format!("default.target.wants/{unit}.service"))
}

/// The folder of these links.
#[must_use]
pub fn wanted_links() -> HostPath {
    unit_file("default.target.wants")
}

/// Everything of ours below the data folder.
#[must_use]
pub fn root() -> HostPath {
    HostPath::new(Base::Data, "unitbee")
}

/// All units that unitbee has on the host.
#[must_use]
pub fn units() -> HostPath {
    HostPath::new(Base::Data, "unitbee/units")
}

/// All releases of a unit.
#[must_use]
pub fn unit(unit: &str) -> HostPath {
    HostPath::new(Base::Data, format!("unitbee/units/{unit}"))
}

/// The spec of the release that is in effect.
#[must_use]
pub fn current_spec(unit: &str) -> HostPath {
    HostPath::new(Base::Data, format!("unitbee/units/{unit}/spec.json"))
}

/// The folder of one release.
#[must_use]
pub fn release(unit: &str, release: u32) -> HostPath {
    HostPath::new(Base::Data, format!("unitbee/units/{unit}/{release}"))
}

/// The spec of one release.
#[must_use]
pub fn release_spec(unit: &str, release: u32) -> HostPath {
    HostPath::new(Base::Data, format!("unitbee/units/{unit}/{release}/spec.json"))
}

/// The unit file of one release.
#[must_use]
pub fn release_definition(unit: &str, release: u32) -> HostPath {
    HostPath::new(Base::Data, format!("unitbee/units/{unit}/{release}/definition"))
}

/// The digest of one release; see [`Record::set`](crate::service::record::Record::set).
#[must_use]
pub fn release_set(unit: &str, release: u32) -> HostPath {
    HostPath::new(Base::Data, format!("unitbee/units/{unit}/{release}/set"))
}

/// The mark of a release that passed its gate.
#[must_use]
pub fn release_healthy(unit: &str, release: u32) -> HostPath {
    HostPath::new(Base::Data, format!("unitbee/units/{unit}/{release}/healthy"))
}

/// The mark of a release that did not pass its gate, with the reason.
#[must_use]
pub fn release_failed(unit: &str, release: u32) -> HostPath {
    HostPath::new(Base::Data, format!("unitbee/units/{unit}/{release}/failed"))
}

/// The lock that everything which changes units of a host takes.
pub const LOCK: &str = "apply";

/// The change that is under way on a machine. Machines may share the folder, so each has its own.
#[must_use]
pub fn journal(node: &str) -> HostPath {
    HostPath::new(Base::State, format!("unitbee/journal/{}.json", node.replace('/', "")))
}

/// The changes that are under way on the machines which share the folder.
#[must_use]
pub fn journals() -> HostPath {
    HostPath::new(Base::State, "unitbee/journal")
}

/// Folders that go with the journal where nothing else is in them.
#[must_use]
pub fn journal_folders() -> [HostPath; 1] {
    [journals()]
}

/// Who changed what.
#[must_use]
pub fn audit_log() -> HostPath {
    HostPath::new(Base::State, "unitbee/audit.log")
}

/// What was in the audit log before it became too long.
#[must_use]
pub fn rotated_audit_log() -> HostPath {
    HostPath::new(Base::State, "unitbee/audit.log.1")
}

/// What goes with the last unit: the audit log, and folders of references that a change which died did not remove.
#[must_use]
pub fn last_files() -> [HostPath; 3] {
    [audit_log(), rotated_audit_log(), refs()]
}

/// The secrets of one release.
#[must_use]
pub fn release_env(unit: &str, release: u32) -> HostPath {
    HostPath::new(Base::Data, format!("unitbee/units/{unit}/{release}/env"))
}

/// A program in the store.
#[must_use]
pub fn program(sha256: &str, name: &str) -> HostPath {
    HostPath::new(Base::Data, format!("unitbee/store/{sha256}/{name}"))
}

/// What a reference points to: the file of a slice, or the folder of a program in the store. A project is no file.
#[must_use]
pub fn target(target: &str) -> Option<HostPath> {
    match Utf8Path::new(target).extension() {
        Some("slice") => Some(unit_file(target)),
        Some("project") => None,
        _ => Some(HostPath::new(Base::Data, format!("unitbee/store/{target}"))),
    }
}

/// The target of the references that tell which units a project has.
#[must_use]
pub fn project_target(project: &str) -> String {
    format!("{project}.project")
}

/// All references.
#[must_use]
pub fn refs() -> HostPath {
    HostPath::new(Base::Data, "unitbee/refs")
}

/// The references to one program (its digest), slice (its file name) or [project](project_target).
#[must_use]
pub fn refs_to(target: &str) -> HostPath {
    HostPath::new(Base::Data, format!("unitbee/refs/{target}"))
}

/// The mark that a release of a unit needs `target`.
#[must_use]
pub fn reference(target: &str, unit: &str, release: u32) -> HostPath {
    HostPath::new(Base::Data, format!("unitbee/refs/{target}/{unit}.{release}"))
}

/// The cgroup of a unit: where systemd has it in its slice; the link that a runner makes to it, beside its record.
#[must_use]
pub fn cgroup(manager: SupervisorKind, slice: &str, unit: &str) -> HostPath {
    match manager {
        SupervisorKind::Runner => cgroup_link(unit),
        SupervisorKind::Systemd | SupervisorKind::Launchd => {
            HostPath::new(Base::Cgroup, format!("{slice}.slice/{unit}.service"))
        }
    }
}

/// The link by which a runner tells the cgroup of its unit.
#[must_use]
pub fn cgroup_link(unit: &str) -> HostPath {
    HostPath::new(Base::State, format!("unitbee/registry/{unit}.cgroup"))
}

/// Folders that go when nothing is left in them, innermost first.
#[must_use]
pub fn empty_folders() -> Vec<HostPath> {
    let data = ["unitbee/refs", "unitbee/units", "unitbee/store", "unitbee/tmp", "unitbee"];
    let state = ["unitbee/registry", "unitbee/journal", "unitbee/claims", "unitbee/log", "unitbee/disabled", "unitbee"];
    let data = data.into_iter().map(|rel| HostPath::new(Base::Data, rel));
    let state = state.into_iter().map(|rel| HostPath::new(Base::State, rel));
    data.chain(state).chain([definitions()]).collect()
}

/// The absolute path of `path` on a host with these facts; `None` for a cgroup where there is no tree.
#[must_use]
pub fn absolute(path: &HostPath, facts: &Facts) -> Option<Utf8PathBuf> {
    let base: &Utf8Path = match path.base {
        Base::Root => Utf8Path::new("/"),
        Base::Home => &facts.home,
        Base::Config => &facts.config,
        Base::Data => &facts.data,
        Base::State => &facts.state,
        Base::Runtime => return Some(Utf8PathBuf::from(format!("/run/user/{}", facts.uid)).join(&path.rel)),
        Base::Cgroup => facts.cgroup.as_deref()?,
    };
    Some(base.join(&path.rel))
}
