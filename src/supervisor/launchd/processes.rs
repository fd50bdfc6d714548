//! The processes of an account of a Mac, as ps(1) tells them: there is no `/proc`.
//!
//! launchd keeps no cgroup. What belongs to a job is its process, those of its process group, and what comes of them; one
//! that left the group is known as long as it was seen with its parent before.

use std::collections::BTreeMap;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// All processes of the account by number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Processes(BTreeMap<u32, Process>);

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    parent: u32,
    group: u32,
    /// Bytes of resident memory.
    pub(super) resident: u64,
    /// Processor time used so far in nanoseconds.
    pub(super) used: u64,
    /// When it was started, as ps(1) has it.
    start: String,
    /// Its program, by path where ps(1) knows it.
    pub(super) program: String,
}

/// The processes of a job, each with its start time: a number alone is no identity.
pub(super) type Family = BTreeMap<u32, String>;

impl Processes {
    /// Reads lines of `ps -o pid= -o ppid= -o pgid= -o rss= -o time= -o lstart= -o comm=`.
    pub(super) fn parse(text: &str) -> Self {
        Self(text.lines().filter_map(process).collect())
    }

    pub(super) fn get(&self, pid: u32) -> Option<&Process> {
        self.0.get(&pid)
    }

    /// What lives of a job: its main process, and those that were seen before. `known` is where they are.
    pub(super) fn family(&self, main: Option<u32>, known: &Family) -> Family {
        let lives = |pid: &u32, start: &String| self.get(*pid).is_some_and(|process| process.start == *start);
        let mut family = known.clone();
        family.retain(|pid, start| lives(pid, start));
        family.extend(main.and_then(|pid| Some((pid, self.get(pid)?.start.clone()))));
        // A group has the number of the process that began it, which may have ended; no process gets that number while
        // somebody is in the group.
        let groups: Vec<u32> = known.keys().copied().chain(main).collect();
        loop {
            let is_new = |(pid, process): &(&u32, &Process)| {
                let ours =
                    (groups.contains(&process.group) && process.group != **pid) || family.contains_key(&process.parent);
                ours && !family.contains_key(pid)
            };
            let more: Family =
                self.0.iter().filter(is_new).map(|(pid, process)| (*pid, process.start.clone())).collect();
            if more.is_empty() {
                return family;
            }
            family.extend(more);
        }
    }
}

impl Process {
    /// Unix time in seconds when it was started.
    pub(super) fn started(&self) -> Option<i64> {
        unix_time(&self.start)
    }
}

fn process(line: &str) -> Option<(u32, Process)> {
    let mut rest = line;
    let mut word = || {
        let (word, after) = rest.trim_start().split_once(' ')?;
        rest = after;
        Some(word)
    };
    let (pid, parent, group) = (word()?.parse().ok()?, word()?.parse().ok()?, word()?.parse().ok()?);
    let (resident, used) = (word()?.parse::<u64>().ok()?.checked_mul(1024)?, nanoseconds(word()?)?);
    let start = [word()?, word()?, word()?, word()?, word()?].join(" ");
    let program = rest.trim().to_owned();
    Some((pid, Process { parent, group, resident, used, start, program }))
}

/// Reads `Sat Nov 21 01:05:09 2026`, of which the zone is UTC.
fn unix_time(text: &str) -> Option<i64> {
    let time = DateTime::strptime("%a %b %d %H:%M:%S %Y", text).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second())
}

/// Reads `0:01.23`, `61:00.00`, and the `1-02:03:04` that others print.
fn nanoseconds(text: &str) -> Option<u64> {
    let (days, text) = text.split_once('-').unwrap_or(("0", text));
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let of_day =
        whole.split(':').try_fold(0_u64, |sum, digits| sum.checked_mul(60)?.checked_add(digits.parse().ok()?))?;
    let seconds = days.parse::<u64>().ok()?.checked_mul(86_400)?.checked_add(of_day)?;
    let part: u64 = format!("{part:0<9}").get(..9)?.parse().ok()?;
    seconds.checked_mul(1_000_000_000)?.checked_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a Mac prints them; the last two as a Linux does.
    const TABLE: &str = "\
  812     1   812   5312   0:01.25 Sat Nov 21 01:05:09 2026     /Users/bee/.local/share/a b/worker
  813   812   812   1024   0:00.00 Sat Nov 21 01:05:10 2026     sleep
  814     1   812   1024   0:00.00 Sat Nov 21 01:05:10 2026     sleep
  815   813   815   1024   0:00.00 Sat Nov 21 01:05:11 2026     sleep
  900     1   900   1024  61:00.00 Sun Nov  1 00:00:00 2026     other
 1000     1  1000      0 1-02:03:04 Sat Nov 21 01:05:09 2026 kthreadd
";

    #[test]
    fn lines_of_ps_are_read() {
        let table = Processes::parse(TABLE);
        let worker = table.get(812).unwrap();
        assert_eq!((worker.parent, worker.group, worker.resident), (1, 812, 5312 * 1024));
        assert_eq!((worker.used, worker.started()), (1_250_000_000, Some(1_795_223_109)));
        assert_eq!(worker.program, "/Users/bee/.local/share/a b/worker");
        assert_eq!(table.get(900).unwrap().used, 3660 * 1_000_000_000);
        assert_eq!(table.get(1000).unwrap().used, 93_784 * 1_000_000_000);
        assert_eq!(unix_time("Sam 21 Nov 01:05:09 2026"), None);
        for line in ["", "x", "1 2 3 4 0:00.00 Sat Nov 21 01:05:09", "1 2 3 x 0:00.00 Sat Nov 21 01:05:09 2026 x"] {
            assert_eq!(Processes::parse(line), Processes::default(), "{line:?}");
        }
    }

    #[test]
    fn a_family_is_the_group_and_what_comes_of_it() {
        let table = Processes::parse(TABLE);
        let family = table.family(Some(812), &Family::new());
        assert_eq!(family.keys().copied().collect::<Vec<_>>(), [812, 813, 814, 815]);

        // The main process has ended, and one of its children went its own way.
        let later = TABLE.lines().filter(|line| !line.contains(" 0:01.25 ") && !line.starts_with("  813"));
        let later = Processes::parse(
            &later.map(|line| line.replace("   813   815", "     1   815") + "\n").collect::<String>(),
        );
        assert_eq!(later.family(None, &family).keys().copied().collect::<Vec<_>>(), [814, 815]);
        assert!(later.family(None, &Family::new()).is_empty());

        // Its number went to somebody else.
        let reused = Processes::parse("  812     1   812   1   0:00.00 Sat Nov 21 02:00:00 2026     other\n");
        assert!(reused.family(None, &family).is_empty());
    }
}
