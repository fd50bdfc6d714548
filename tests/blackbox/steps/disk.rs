//! The disk fills up in the middle of a change: it fails with the system's words, what ran goes on, and the next apply
//! converges once there is room. What fills the disk can be stopped and removed without a free byte.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::time::Duration;

use super::super::bench::Bench;
use super::moment::{Moment, all, failed, planned};
use super::tree::Tree;
use super::{Kind, Release, assert_good, assert_runs, await_any, start, unitbee};

const SOON: Duration = Duration::from_secs(40);
const FULL: &str = "No space left on device";

/// KiB that are left when the change begins: from nothing to what is enough for its program, but not for all of it.
const LEFT: [u32; 7] = [0, 4, 12, 24, 40, 64, 96];

pub(crate) fn subject(bench: &Bench) {
    bench.root(
        "cp -a /home/bee /srv/home
        mount -t tmpfs -o size=24m,uid=1000,gid=1000,mode=755 home /home/bee
        cp -a /srv/home/. /home/bee",
    );
    let nothing = Tree::of(bench);
    let release = |version| Release { version, kind: Kind::ByUrl };
    for version in 1..=3 {
        release(version).write(bench);
        unitbee(bench, &["apply"]).exits(0);
    }
    let whole = Tree::of(bench).whole();
    release(4).write(bench);
    let plan = planned(bench);
    let run = unitbee(bench, &["--json", "apply"]).exits(0);
    let program = u32::try_from(std::fs::metadata(bench.project.work().join("daemon")).unwrap().len() / 1024).unwrap();
    let mut fell = BTreeSet::new();
    let mut version = 4;
    for left in LEFT.into_iter().chain(LEFT.map(|left| left + program)) {
        let (old, new) = (release(version), release(version + 1));
        version += 1;
        new.write(bench);
        fill(bench, left);
        let run = unitbee(bench, &["--json", "apply"]);
        let what = format!("{left} KiB are free\n{run}");
        fell.extend(suffers(bench, &[old, new], &run.stdout, run.code, &what));
        converges(bench, new, &whole, &what);
    }
    // What comes later than the first file does not fit either when the disk fills up meanwhile.
    let groups = all(&run);
    let late = groups.iter().flatten().filter(|moment| moment.event == "step-began");
    let late: Vec<&Moment> = late.filter(|moment| moment.step.starts_with("replace:")).collect();
    assert_eq!(late.len(), 2, "{groups:?}");
    for moment in late {
        let (old, new) = (release(version), release(version + 1));
        version += 1;
        new.write(bench);
        let mut running = start(bench, &["apply"]);
        let lines = running.lines();
        let mut said = moment.reach(&lines);
        fill(bench, 0);
        said.extend(lines.rest());
        let run = running.end();
        let what = format!("full at {moment:?}\n{}\n{run}", said.join("\n"));
        fell.extend(suffers(bench, &[old, new], &said.join("\n"), run.code, &what));
        converges(bench, new, &whole, &what);
    }
    writeln!(io::stderr(), "{}: the disk was full at {fell:?} of {plan:?}", bench.target.name).ok();
    assert!(fell.len() > plan.len() / 3, "{fell:?} of {plan:?}");

    fill(bench, 0);
    unitbee(bench, &["stop", "--yes"]).exits(0);
    for (unit, port) in super::UNITS {
        assert_eq!((bench.get(port, "/health").0, bench.processes(unit)), (0, Vec::new()), "{unit}");
    }
    unitbee(bench, &["uninstall", "--yes"]).exits(0);
    bench.sh("rm $HOME/fill");
    nothing.assert_is_of(bench, "after an uninstall on a full disk");
    bench.root("umount -l /home/bee");
}

/// Leaves so much.
fn fill(bench: &Bench, kib: u32) {
    bench.sh(&format!(
        "cat /dev/zero >$HOME/fill 2>/dev/null || true
        size=$(stat -c %s $HOME/fill)
        truncate -s $((size - {kib} * 1024)) $HOME/fill"
    ));
}

/// Asserts what is so on a full disk; gives the steps that failed.
#[track_caller]
fn suffers(bench: &Bench, releases: &[Release], said: &str, code: Option<i32>, what: &str) -> BTreeSet<String> {
    let failed = failed(said);
    assert_eq!(code == Some(0), failed.is_empty(), "{what}");
    assert!(code == Some(0) || said.contains(FULL), "{what}");
    await_any(bench, releases, SOON, what);
    failed
}

#[track_caller]
fn converges(bench: &Bench, new: Release, whole: &Tree, what: &str) {
    bench.sh("rm $HOME/fill");
    let run = unitbee(bench, &["apply"]);
    assert_eq!(run.code, Some(0), "{what}\n{run}");
    assert_runs(bench, new, what);
    whole.assert_is_of(bench, what);
    assert_good(bench, what);
}
