//! What somebody edited by hand in a unit file, and what drop-ins set.

use camino::Utf8PathBuf;

use super::super::super::desired::Desired;
use super::super::super::diff::Difference;
use super::super::super::step::{FileChange, Step};
use super::super::super::survey::UnitObserved;
use super::super::{DropIn, Obstacle};
use super::{Planner, files};
use crate::host::{Content, FileFound, Put};
use crate::service::render::header;
use crate::supervisor::systemd::drop_in::{self, Unkept};
use crate::supervisor::{SupervisorKind, layout};

/// What was edited by hand and is to be kept.
pub(super) enum Edit {
    /// These settings, as the text of a drop-in.
    Settings(String),
    /// No setting at all.
    Nothing,
}

/// Something stands in the way, which is noted.
pub(super) struct Refused;

impl Planner<'_> {
    /// What was edited by hand in a unit file.
    pub(super) fn edit(&self, found: &UnitObserved, file: &FileFound) -> Result<Edit, Unkept> {
        match self.observed.choice.manager {
            SupervisorKind::Systemd => {}
            SupervisorKind::Launchd => return Err(Unkept::NoDropIns { manager: "launchd" }),
            SupervisorKind::Runner => return Err(Unkept::NoDropIns { manager: "the runner" }),
        }
        let original = found.original.as_deref().ok_or(Unkept::NoOriginal)?;
        let own = self.absolute(&layout::root());
        let settings = drop_in::of_edit(header::body(original), header::body(&file.content), &own)?;
        Ok(settings.map_or(Edit::Nothing, Edit::Settings))
    }

    /// Plans what moves an edit of the unit file into a drop-in, which is to come into effect with `release`. Nothing where
    /// no setting was edited.
    pub(super) fn keep(
        &mut self,
        desired: &Desired,
        found: &UnitObserved,
        edit: &Edit,
        release: u32,
    ) -> Result<Option<Step>, Refused> {
        let unit = desired.unit();
        let Edit::Settings(settings) = edit else {
            self.notes.add(unit, "nothing of the edit is kept: it changed no setting");
            return Ok(None);
        };
        let path = layout::kept_drop_in(unit);
        let shown = self.absolute(&path);
        let old = found.kept.as_ref().map(|file| file.content.as_slice());
        let known = old.map(|old| std::str::from_utf8(old).unwrap_or("not text"));
        let Some(text) = drop_in::with(known, settings, unit, &drop_in::kept_at(release, self.observed.facts.now_usec))
        else {
            self.obstacles.push(Obstacle::Foreign { path: shown });
            return Err(Refused);
        };
        self.notes.add(unit, format!("what was edited in its unit file is kept in {shown}"));
        let difference = Difference::between(old, text.as_bytes());
        let does = format!("move what was edited in the unit file of {unit} into a drop-in");
        let put = Put { path, mode: 0o644, content: Content::Bytes(text.into_bytes()) };
        let step = Step::on("keep", unit, does, files(vec![put]));
        Ok(Some(step.changing(vec![FileChange { path: shown, difference }])))
    }

    /// The drop-ins that were looked into, with what they set.
    pub(super) fn drop_ins(&self, desired: &[Desired]) -> Vec<DropIn> {
        let units = desired.iter().zip(&self.observed.units);
        let its = |(desired, found): (&Desired, &UnitObserved)| {
            let drop_in = |(path, content): &(Utf8PathBuf, Vec<u8>)| DropIn {
                unit: desired.unit().to_owned(),
                path: path.clone(),
                sets: drop_in::effects(&String::from_utf8_lossy(content)),
            };
            found.drop_ins.iter().map(drop_in).collect::<Vec<_>>()
        };
        units.flat_map(its).collect()
    }
}
