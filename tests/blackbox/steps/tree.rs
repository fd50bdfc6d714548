//! What is in the home of a host: what a change that nobody interrupted leaves there, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use super::super::bench::Bench;

/// The files of a home, without what differs from one release to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tree {
    files: BTreeSet<String>,
    /// What is wrong between releases, marks and programs.
    faults: Vec<String>,
}

/// A release: unit and number.
type Key = (String, String);

impl Tree {
    /// Looks at a host.
    #[track_caller]
    pub(super) fn of(bench: &Bench) -> Self {
        let (mut files, mut faults) = (BTreeSet::new(), Vec::new());
        let mut releases: BTreeMap<Key, BTreeSet<String>> = BTreeMap::new();
        let (mut marks, mut targets, mut programs) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let is_digest = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        for path in bench.sh("find $HOME -type f").lines() {
            let Some((_, rest)) = path.split_once("/.local/share/unitbee/") else {
                // A claim is called after who has it.
                let claim = path.rsplit_once('/').filter(|(folder, _)| folder.contains("/unitbee/claims/"));
                let is_new = files.insert(claim.map_or(path, |(folder, _)| folder).to_owned());
                faults.extend((!is_new).then(|| format!("one more claim {path}")));
                continue;
            };
            match rest.split('/').collect::<Vec<_>>()[..] {
                ["units", unit, number, file] if number.parse::<u32>().is_ok() => {
                    releases.entry((unit.to_owned(), number.to_owned())).or_default().insert(file.to_owned());
                }
                ["refs", target, mark] => {
                    let (unit, number) = mark.rsplit_once('.').unwrap_or((mark, ""));
                    marks.insert((unit.to_owned(), number.to_owned()));
                    if is_digest(target) {
                        targets.insert(target.to_owned());
                    } else {
                        files.insert(format!("refs/{target}/{unit}"));
                    }
                }
                ["store", digest, file] if is_digest(digest) => {
                    programs.insert(digest.to_owned());
                    files.insert(format!("store/{file}"));
                }
                _ => drop(files.insert(rest.to_owned())),
            }
        }
        let whole = ["definition", "env", "healthy", "set", "spec.json"].map(str::to_owned);
        let failed = ["failed", "set", "spec.json"].map(str::to_owned);
        let is_whole = |files: &BTreeSet<String>| files.iter().eq(&whole) || files.iter().eq(&failed);
        let torn = releases.iter().filter(|(_, files)| !is_whole(files));
        faults.extend(torn.map(|(key, files)| format!("release {key:?} has {files:?}")));
        let good: BTreeSet<Key> =
            releases.iter().filter(|(_, files)| files.contains("definition")).map(|(key, _)| key.clone()).collect();
        if marks != good {
            faults.push(format!("marks of {marks:?}, releases {good:?}"));
        }
        if targets != programs {
            faults.push(format!("marks for {targets:?}, programs {programs:?}"));
        }
        Self { files, faults }
    }

    /// Asserts that nothing is half there.
    #[track_caller]
    pub(super) fn whole(self) -> Self {
        assert_eq!(self.faults, Vec::<String>::new());
        self
    }

    /// Asserts that the host comes to look so: whoever holds a lock may end after unitbee has.
    #[track_caller]
    pub(super) fn assert_is_of(&self, bench: &Bench, what: &str) {
        let mut now = Self::of(bench);
        for _ in 0..100 {
            if now == *self {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
            now = Self::of(bench);
        }
        let more: Vec<_> = now.files.difference(&self.files).collect();
        let less: Vec<_> = self.files.difference(&now.files).collect();
        panic!("left over {more:?}, missing {less:?}, {:?}: {what}", now.faults);
    }
}
