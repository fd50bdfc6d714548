//! unitbee is killed at each step of each kind of change.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::super::bench::Bench;
use super::super::target::Manager;
use super::moment::{Dice, Moment, all, ended, planned};
use super::tree::Tree;
use super::{Kind, Release, UNITS, assert_good, assert_runs, await_any, start, unitbee};

/// The host finishes by itself when it has noticed that nobody speaks to it any more.
const SOON: Duration = Duration::from_secs(40);

/// How long a lock may outlive its holder.
const LOCK: Duration = Duration::from_mins(1);

/// How many releases a host keeps.
const KEPT: usize = 3;

/// From nothing to two units.
pub(crate) fn install(bench: &Bench) {
    let kills = Kills::new(bench, "install");
    let nothing = Tree::of(bench);
    let release = |version| Release { version, kind: Kind::ByUrl };
    release(1).write(bench);
    let plan = planned(bench);
    let run = unitbee(bench, &["--json", "apply"]).exits(0);
    assert_eq!(ended(&run), plan, "{run}");
    let whole = Tree::of(bench).whole();
    kills.each(&all(&run), |number, moment| {
        unitbee(bench, &["uninstall", "--yes"]).exits(0);
        nothing.assert_is_of(bench, &format!("before {moment:?}"));
        if bench.target.manager == Manager::Systemd {
            // It is the host's own setting, and stays.
            bench.root("rm -f /var/lib/systemd/linger/bee");
        }
        let release = release(number + 2);
        release.write(bench);
        let what = kills.kill(&["apply"], moment);
        kills.look(&[], &what);
        unitbee(bench, &["apply"]).exits(0);
        kills.is_whole(release, &whole, &what);
    });
    unitbee(bench, &["uninstall", "--yes"]).exits(0);
    nothing.assert_is_of(bench, "at the end");
}

/// Two units that run get a new release, and end by their shutdown URLs.
pub(crate) fn replace(bench: &Bench) {
    replaced(bench, "replace", Kind::ByUrl);
}

/// The same by TERM.
pub(crate) fn replace_by_term(bench: &Bench) {
    replaced(bench, "replace-by-term", Kind::ByTerm);
}

fn replaced(bench: &Bench, name: &str, kind: Kind) {
    let kills = Kills::new(bench, name);
    let release = |version| Release { version, kind };
    let whole = kills.filled(kind);
    release(10).write(bench);
    let plan = planned(bench);
    let run = unitbee(bench, &["--json", "apply"]).exits(0);
    assert_eq!(ended(&run), plan, "{run}");
    whole.assert_is_of(bench, "after a replacement");
    kills.each(&all(&run), |number, moment| {
        let (old, new) = (release(number + 10), release(number + 11));
        new.write(bench);
        let what = kills.kill(&["apply"], moment);
        kills.look(&[old, new], &what);
        unitbee(bench, &["apply"]).exits(0);
        kills.is_whole(new, &whole, &what);
    });
}

/// A release that is never healthy, on its way and on the way back.
pub(crate) fn back(bench: &Bench) {
    let kills = Kills::new(bench, "back");
    kills.filled(Kind::ByUrl);
    let old = Release { version: 3, kind: Kind::ByUrl };
    let bad = |version| Release { version, kind: Kind::Bad };
    bad(10).write(bench);
    let run = unitbee(bench, &["--json", "apply"]).exits(4);
    assert_runs(bench, old, "after a release that failed");
    let whole = Tree::of(bench).whole();
    kills.each(&all(&run), |number, moment| {
        let bad = bad(number + 11);
        bad.write(bench);
        let what = kills.kill(&["apply"], moment);
        kills.look(&[old, bad], &what);
        let run = unitbee(bench, &["apply"]);
        // One that is remembered is not tried again.
        let is_refused = run.code == Some(1) && run.stderr.contains("--retry");
        assert!(run.code == Some(4) || is_refused, "{what}\n{run}");
        assert_runs(bench, old, &what);
        whole.assert_is_of(bench, &what);
        let run = unitbee(bench, &["--json", "status"]).exits(0);
        assert!(!run.stdout.contains("unfinished-change"), "{what}\n{run}");
    });
    old.write(bench);
    unitbee(bench, &["apply"]).exits(0);
    kills.is_whole(old, &whole, "at the end");
}

/// All that is on the host goes.
pub(crate) fn uninstall(bench: &Bench) {
    let kills = Kills::new(bench, "uninstall");
    let nothing = Tree::of(bench);
    let whole = kills.filled(Kind::ByUrl);
    let new = Release { version: 3, kind: Kind::ByUrl };
    let uninstall = ["uninstall", "--yes"];
    let run = unitbee(bench, &["--json", "uninstall", "--yes"]).exits(0);
    nothing.assert_is_of(bench, "after an uninstall");
    let groups = all(&run);
    unitbee(bench, &["apply"]).exits(0);
    kills.each(&groups, |number, moment| {
        let what = kills.kill(&uninstall, moment);
        kills.look(&[], &what);
        if number % 2 == 0 {
            unitbee(bench, &uninstall).exits(0);
            nothing.assert_is_of(bench, &what);
        }
        unitbee(bench, &["apply"]).exits(0);
        kills.is_whole(new, &whole, &what);
    });
}

/// The release before comes back, because somebody asks for it.
pub(crate) fn rollback(bench: &Bench) {
    let kills = Kills::new(bench, "rollback");
    let whole = kills.filled(Kind::ByUrl);
    let [old, new] = [2, 3].map(|version| Release { version, kind: Kind::ByUrl });
    let run = unitbee(bench, &["--json", "rollback"]).exits(0);
    assert_runs(bench, old, "after a rollback");
    let groups = all(&run);
    unitbee(bench, &["apply"]).exits(0);
    kills.each(&groups, |number, moment| {
        let new = Release { version: number + 4, ..new };
        let what = kills.kill(&["rollback"], moment);
        let all: Vec<Release> = (1..new.version).map(|version| Release { version, ..new }).collect();
        kills.look(&all, &what);
        new.write(bench);
        unitbee(bench, &["apply"]).exits(0);
        kills.is_whole(new, &whole, &what);
    });
}

/// A series of changes that are killed.
struct Kills<'a> {
    bench: &'a Bench,
    name: &'a str,
    dice: Dice,
}

impl<'a> Kills<'a> {
    fn new(bench: &'a Bench, name: &'a str) -> Self {
        if bench.target.domain().is_some() {
            bench.root("mac set speed 10");
        }
        Self { bench, name, dice: Dice::new() }
    }

    /// As many releases as a host keeps; what there is then.
    fn filled(&self, kind: Kind) -> Tree {
        for version in 1..=3 {
            Release { version, kind }.write(self.bench);
            unitbee(self.bench, &["apply"]).exits(0);
        }
        Tree::of(self.bench).whole()
    }

    /// Has `change` done for each moment, and says what it came to.
    fn each(&self, groups: &[Vec<Moment>], change: impl Fn(u32, &Moment)) {
        let begun = Instant::now();
        let moments = self.dice.pick(groups);
        for (number, moment) in (0..).zip(&moments) {
            change(number, moment);
        }
        let (target, seconds) = (self.bench.target.name, begun.elapsed().as_secs());
        let (name, kills, dice) = (self.name, moments.len(), self.dice.words());
        writeln!(io::stderr(), "{target}: {name}: {kills} kills, all survived, in {seconds} s ({dice})").ok();
    }

    /// Kills unitbee at a moment; gives words for it.
    #[track_caller]
    fn kill(&self, words: &[&str], moment: &Moment) -> String {
        let mut running = start(self.bench, words);
        let lines = running.lines();
        let seen = moment.reach(&lines);
        let killed = self.bench.kill(running);
        format!("{} killed at {moment:?} ({})\n{}\n{killed}", self.name, self.dice.words(), seen.join("\n"))
    }

    /// Awaits that the host has finished by itself, and asserts that `status` says what is unfinished. Units run one of
    /// these releases.
    #[track_caller]
    fn look(&self, releases: &[Release], what: &str) {
        let bench = self.bench;
        if !releases.is_empty() {
            await_any(bench, releases, SOON, what);
        }
        let held = "find $HOME -path '*/unitbee/lock/*' -type f ! -name free";
        bench.until(&format!("the lock is given back: {what}"), LOCK, |bench| bench.sh(held).is_empty());
        let journal = bench.sh("find $HOME -path '*/unitbee/journal/*.json' -exec cat {} +");
        let journal: Value = serde_json::from_str(&journal).unwrap_or_default();
        let units = journal["units"].as_array().cloned().unwrap_or_default();
        let run = unitbee(bench, &["status", "--json"]);
        let rows = run.json();
        for (unit, _) in UNITS {
            let row = rows.as_array().unwrap().iter().find(|row| row["unit"] == unit);
            let flags = row.and_then(|row| row["flags"].as_array()).cloned().unwrap_or_default();
            let flag = flags.iter().find(|flag| flag["kind"] == "unfinished-change");
            let is_unfinished = units.iter().any(|entry| entry["unit"] == unit);
            assert_eq!(flag.is_some(), is_unfinished, "{unit}: {what}\n{journal:#}\n{run}");
            if let Some(flag) = flag {
                assert!(flag["reason"].as_str().unwrap().contains("stopped "), "{flag:#}");
                assert!(flag["mend"].as_str().unwrap().starts_with("unitbee apply "), "{flag:#}");
            }
        }
        if releases.is_empty() && bench.target.manager == Manager::Systemd {
            assert_eq!(
                bench.sh("systemctl --user list-units --state=failed --plain --no-legend 'web-*' 2>/dev/null || true"),
                "",
                "{what}"
            );
        }
    }

    /// Asserts that a release runs and nothing else is there.
    #[track_caller]
    fn is_whole(&self, release: Release, whole: &Tree, what: &str) {
        assert_runs(self.bench, release, what);
        whole.assert_is_of(self.bench, what);
        for (unit, _) in UNITS {
            let good = self.bench.sh(&format!("find $HOME/.local/share/unitbee/units/{unit} -name healthy"));
            assert!(good.lines().count() <= KEPT, "{good}{what}");
        }
        assert_good(self.bench, what);
    }
}
