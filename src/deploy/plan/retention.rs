//! Which releases a host keeps, and what the others leave behind.

use std::collections::{BTreeMap, BTreeSet};

use super::super::release::ReleaseFound;
use super::super::step::Action;
use super::super::survey::Refs;
use crate::host::{Batch, Content, Put};
use crate::supervisor::layout;

/// How many failed releases of a unit are remembered: enough to refuse each when it comes again.
const FAILED: usize = 3;

/// The releases that go when `next` has passed its gate: all but the newest `keep` good ones and the newest failed ones,
/// and whatever a change that died brought there.
pub(in super::super) fn outdated(keep: u32, releases: &BTreeMap<u32, ReleaseFound>, next: u32) -> Vec<u32> {
    let newest = |is: fn(&ReleaseFound) -> bool, count: usize| {
        let those = releases.iter().rev().filter(move |(number, release)| **number != next && is(release));
        those.map(|(number, _)| *number).take(count).collect::<Vec<_>>()
    };
    let keep = usize::try_from(keep).unwrap_or(usize::MAX).saturating_sub(1);
    let kept = [newest(ReleaseFound::is_good, keep), newest(|release| release.failed, FAILED)].concat();
    let goes = |number: &u32| *number != next && !kept.contains(number);
    releases.keys().copied().filter(goes).collect()
}

/// Releases that neither passed nor failed a gate, but for `next`: changes that died brought them, or only their marks.
pub(in super::super) fn abandoned(
    releases: &BTreeMap<u32, ReleaseFound>,
    refs: &Refs,
    unit: &str,
    next: u32,
) -> BTreeSet<u32> {
    let marked = refs.of_unit(unit).filter(|release| !releases.contains_key(release));
    let begun = releases.iter().filter(|(_, release)| release.is_undecided()).map(|(number, _)| *number);
    marked.chain(begun).filter(|number| *number != next).collect()
}

/// What removes releases and whatever only they needed, and what that is in words.
pub(super) fn prune(
    outdated: &BTreeMap<String, BTreeSet<u32>>,
    spent: &[(String, u32)],
    refs: &mut Refs,
) -> (Batch, String) {
    let mut batch = Batch::default();
    let mut words = Vec::new();
    for (unit, releases) in outdated {
        batch.removes.extend(releases.iter().map(|release| layout::release(unit, *release)));
        if !releases.is_empty() {
            let numbers: Vec<String> = releases.iter().map(ToString::to_string).collect();
            words.push(format!("{} of {unit}", numbers.join(", ")));
        }
    }
    unmark(&mut batch, refs, |unit, release| outdated.get(unit).is_some_and(|all| all.contains(&release)));
    strip(&mut batch, spent, refs);
    let releases = if words.is_empty() { "what no release needs".to_owned() } else { words.join("; ") };
    (batch, format!("prune releases {releases}"))
}

/// Adds to `batch` what takes the marks away that `gone` picks, after the targets that nothing needs any more: without its
/// mark nobody would find one.
pub(in super::super) fn unmark(batch: &mut Batch, refs: &mut Refs, gone: impl Fn(&str, u32) -> bool) -> Vec<String> {
    let (marks, orphans) = refs.release(gone);
    batch.removes.extend(orphans.iter().filter_map(|target| layout::target(target)));
    batch.removes.extend(marks.iter().map(|(target, unit, release)| layout::reference(target, unit, *release)));
    batch.prune.extend(orphans.iter().map(|target| layout::refs_to(target)));
    orphans
}

/// What is written when a release has passed its gate.
pub(super) fn accept(unit: &str, release: u32, now_usec: u64) -> Action {
    let mark = Content::Bytes(format!("{now_usec}\n").into_bytes());
    Action::Files(Batch {
        puts: vec![Put { path: layout::release_healthy(unit, release), mode: 0o644, content: mark }],
        removes: vec![layout::release_failed(unit, release)],
        ..Batch::default()
    })
}

/// What remembers a release that did not pass its gate, and removes all of it that is of no use any more: secrets,
/// program, unit file. One that is still in effect stays whole.
pub(in super::super) fn failed(unit: &str, release: u32, why: &str, refs: &mut Refs, is_in_effect: bool) -> Batch {
    let mark = Content::Bytes(format!("{why}\n").into_bytes());
    let mut batch = Batch {
        puts: vec![Put { path: layout::release_failed(unit, release), mode: 0o644, content: mark }],
        ..Batch::default()
    };
    if !is_in_effect {
        strip(&mut batch, &[(unit.to_owned(), release)], refs);
    }
    batch
}

/// The releases that failed, are not in effect any more, and still have all that makes them run: whoever was to take that
/// away died.
pub(in super::super) fn spent(releases: &BTreeMap<u32, ReleaseFound>, current: Option<u32>) -> Vec<u32> {
    let is_spent = |(number, release): &(&u32, &ReleaseFound)| {
        release.failed && (release.definition || release.env.is_some()) && Some(**number) != current
    };
    releases.iter().filter(is_spent).map(|(number, _)| *number).collect()
}

/// Adds to `batch` what removes all of failed releases that is of no use any more.
pub(in super::super) fn strip(batch: &mut Batch, spent: &[(String, u32)], refs: &mut Refs) {
    for (unit, release) in spent {
        batch.removes.extend([layout::release_env(unit, *release), layout::release_definition(unit, *release)]);
    }
    unmark(batch, refs, |unit, release| spent.iter().any(|(other, number)| other == unit && *number == release));
}

/// What removes releases that were brought to the host and never took effect.
pub(in super::super) fn forget_staged(staged: &[(String, u32)], refs: &mut Refs) -> Batch {
    let mut batch = Batch::default();
    batch.removes.extend(staged.iter().map(|(unit, release)| layout::release(unit, *release)));
    unmark(&mut batch, refs, |unit, release| staged.iter().any(|(other, number)| other == unit && *number == release));
    batch.prune.extend(staged.iter().map(|(unit, _)| layout::unit(unit)));
    batch.prune.extend(layout::empty_folders());
    batch
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(set: bool, healthy: bool, failed: bool) -> ReleaseFound {
        ReleaseFound { set: set.then(|| "s".into()), spec: true, healthy, failed, ..ReleaseFound::default() }
    }

    #[test]
    fn the_last_good_release_outlives_any_number_of_failed_ones() {
        let mut releases = BTreeMap::from([(1, release(true, true, false))]);
        releases.extend((2..=9).map(|number| (number, release(true, false, true))));
        assert_eq!(outdated(2, &releases, 10), [2, 3, 4, 5, 6]);
        assert_eq!(outdated(1, &releases, 10), [1, 2, 3, 4, 5, 6], "10 has passed its gate by then");
    }

    #[test]
    fn what_a_dead_change_brought_goes() {
        let releases = BTreeMap::from([
            (1, release(false, false, false)),
            (2, release(true, true, false)),
            (3, release(true, false, false)),
        ]);
        assert_eq!(outdated(3, &releases, 4), [3]);
        let mut refs = Refs::default();
        refs.add("p", "web", 2);
        refs.add("p", "web", 5);
        refs.add("p", "job", 6);
        assert_eq!(abandoned(&releases, &refs, "web", 4), BTreeSet::from([3, 5]));
        assert_eq!(abandoned(&releases, &refs, "web", 5), BTreeSet::from([3]));
    }

    #[test]
    fn a_failed_release_that_was_left_in_effect_gives_up_its_secrets_when_another_takes_its_place() {
        let failed = |definition| ReleaseFound { definition, ..release(true, false, true) };
        let releases = BTreeMap::from([(1, release(true, true, false)), (2, failed(false)), (3, failed(true))]);
        assert_eq!(spent(&releases, Some(4)), [3]);
        assert!(spent(&releases, Some(3)).is_empty());
        let mut refs = Refs::default();
        refs.add("p", "web", 1);
        refs.add("q", "web", 3);
        let (batch, _) = prune(&BTreeMap::new(), &[("web".to_owned(), 3)], &mut refs);
        let place = |path| batch.removes.iter().position(|removed| *removed == path);
        for path in [layout::release_env("web", 3), layout::release_definition("web", 3)] {
            assert!(place(path.clone()).is_some(), "{path:?}");
        }
        assert_eq!(place(layout::release("web", 3)), None);
        assert!(refs.needs("p"));
        let (program, mark) = (place(layout::target("q").unwrap()), place(layout::reference("q", "web", 3)));
        assert!(program.is_some() && program < mark, "{batch:?}");
    }
}
