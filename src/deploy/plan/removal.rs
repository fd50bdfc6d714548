//! What takes units off a host: stopped down the ladder, disabled, removed, and looked at again until nothing is left.

use super::super::journal::Entry;
use super::super::step::{Action, Step, StepId};
use super::super::survey::Refs;
use super::retention::unmark;
use super::{Plan, is_empty};
use crate::host::{Batch, FileFound, HostPath};
use crate::service::record::Record;
use crate::service::render::header;
use crate::service::spec::Stop;
use crate::supervisor::{SupervisorKind, UnitFileKind, layout};

/// What was found of a unit that is to go.
pub(in super::super) struct Leaving {
    pub(in super::super) unit: String,
    /// What defines it.
    pub(in super::super) files: Vec<(UnitFileKind, FileFound)>,
    pub(in super::super) record: Option<Record>,
    /// The format of its record, where a newer unitbee wrote it.
    pub(in super::super) newer: Option<u32>,
    /// Whether releases of it are there, or marks of some.
    pub(in super::super) releases: bool,
    /// The managers that know of it all the same.
    pub(in super::super) known_by: Vec<SupervisorKind>,
    /// A job by its label that is somebody else's.
    pub(in super::super) foreign_job: Option<(String, String)>,
    /// Names of the logs that launchd wrote for it, and of what their rotation makes.
    pub(in super::super) job_logs: Vec<String>,
}

impl Leaving {
    /// Whether anything of it is there.
    pub(in super::super) fn is_there(&self) -> bool {
        !self.files.is_empty() || self.releases || !self.known_by.is_empty()
    }

    /// Its definitions that are ours: by their header, or emptied by a full disk where a record of ours is beside them.
    pub(in super::super) fn definitions(&self) -> impl Iterator<Item = UnitFileKind> {
        let is_emptied = |file: &FileFound| file.content.is_empty() && file.link.is_none() && self.record.is_some();
        let ours =
            move |(_, file): &&(UnitFileKind, FileFound)| header::parse(&file.content).is_some() || is_emptied(file);
        self.files.iter().filter(ours).map(|(kind, _)| *kind)
    }

    /// Whether this manager may run it: what is without a definition may still be known to the host's own.
    fn is_under(&self, manager: SupervisorKind, own: SupervisorKind) -> bool {
        self.definitions().any(|kind| kind.manager() == manager)
            || (manager == own && self.definitions().next().is_none())
            || self.known_by.contains(&manager)
    }
}

/// Plans the removal of `leaving`, all of which are there. `own` is the manager of the host.
pub(in super::super) fn plan_removal(host: &str, leaving: &[Leaving], refs: &mut Refs, own: SupervisorKind) -> Plan {
    let mut plan = Plan { host: host.to_owned(), manager: Some(own), ..Plan::default() };
    plan.prepare.push(Step::new(StepId::only("journal"), "open the journal", Action::OpenJournal));
    let under = |manager: SupervisorKind| {
        leaving.iter().filter(move |unit| unit.is_under(manager, own)).map(|unit| unit.unit.clone()).collect::<Vec<_>>()
    };
    let managers: Vec<(SupervisorKind, Vec<String>)> = SupervisorKind::ALL
        .into_iter()
        .map(|manager| (manager, under(manager)))
        .filter(|(_, its)| !its.is_empty())
        .collect();
    for (manager, units) in &managers {
        for unit in leaving.iter().filter(|unit| units.contains(&unit.unit)) {
            let stop = unit.record.as_ref().map_or_else(Stop::default, |record| record.spec.stop.clone());
            let id = StepId::new("stop", &format!("{}:{manager}", unit.unit));
            let does = format!("stop {}", unit.unit);
            let action = Action::Stop { manager: *manager, stop };
            plan.prepare.push(Step { unit: Some(unit.unit.clone()), ..Step::new(id, does, action) });
        }
        let action = Action::Forget { manager: *manager, units: units.clone() };
        let does = format!("have {manager} forget {}", units.join(", "));
        plan.prepare.push(Step::new(StepId::new("forget", manager.name()), does, action));
    }
    for unit in leaving {
        let privileged = Batch {
            removes: unit.definitions().filter(|kind| kind.needs_root()).map(|kind| kind.path(&unit.unit)).collect(),
            ..Batch::default()
        };
        if !is_empty(&privileged) {
            let does = format!("remove the unit file of {}", unit.unit);
            plan.prepare.push(Step::on("unlink", &unit.unit, does, Action::Privileged(privileged)));
        }
    }
    for unit in leaving {
        let batch = Batch { removes: files(unit), ..Batch::default() };
        plan.prepare.push(Step::on("remove", &unit.unit, format!("remove {}", unit.unit), Action::Files(batch)));
        let from = unit.record.as_ref().map(|record| record.release);
        plan.entries.push(Entry { unit: unit.unit.clone(), from, to: None });
    }
    let mut batch = Batch::default();
    let orphans = unmark(&mut batch, refs, |unit, _| leaving.iter().any(|leaving| leaving.unit == unit));
    if refs.is_empty() {
        batch.removes.extend(layout::last_files());
    }
    batch.prune.push(layout::wanted_links());
    batch.prune.extend(layout::empty_folders());
    plan.prepare.push(Step::new(StepId::only("prune"), "remove what nothing needs any more", Action::Files(batch)));
    let slices = orphans.iter().filter_map(|target| target.strip_suffix(".slice")).map(str::to_owned).collect();
    let settle = Action::Settle { slices, managers: managers.clone() };
    plan.prepare.push(Step::new(StepId::only("reload"), "have the managers read their unit files again", settle));
    for unit in leaving {
        let its =
            managers.iter().filter(|(_, units)| units.contains(&unit.unit)).map(|(manager, _)| *manager).collect();
        let does = format!("prove that {} is gone", unit.unit);
        plan.prepare.push(Step::on("prove", &unit.unit, does, Action::Prove { managers: its }));
    }
    plan.finish.push(Step::new(StepId::only("close"), "close the journal", Action::CloseJournal));
    plan
}

/// All files of a unit but those of root's, what defines it first: without that nothing points to the rest.
fn files(unit: &Leaving) -> Vec<HostPath> {
    let name = unit.unit.as_str();
    let mut files: Vec<HostPath> =
        unit.definitions().filter(|kind| !kind.needs_root()).map(|kind| kind.path(name)).collect();
    files.extend([layout::record(name), layout::spare_record(name), layout::damaged_record(name)]);
    files.extend([layout::log(name), layout::cgroup_link(name), layout::claim(name)]);
    files.extend(unit.job_logs.iter().map(|log| layout::in_logs(log)));
    files.push(layout::unit(name));
    // systemd takes away the link of a unit only as long as that has a file.
    files.push(layout::wanted_link(name));
    files
}
