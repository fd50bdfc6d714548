//! Reading what `templates/host/query.sh` prints. A host may lie: nothing here trusts a length, a name or an order.

mod files;
mod system;

use std::collections::BTreeMap;

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

use self::files::Files;
use self::system::System;
use super::super::query::{Answer, Ask, Crontab, Facts, Holder, Libc, Observation, Query, Table};
use super::super::{Fence, bsd, proc, token};

/// Why there is no [`Observation`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A step failed on the host: which, and what the host said.
    Failed(String, String),
    /// A file is too large to be read; its path.
    TooLarge(String),
    /// The host sent something else than answers.
    Garbled(String),
    /// What was read does not fit together: somebody else wrote meanwhile.
    Changed,
    /// Somebody else holds the lock that was asked for, at this moment by the host's clock.
    Busy(Option<Holder>, i64),
}

fn garbled<T>(what: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Garbled(what.into()))
}

type Record<'a> = (&'a str, &'a [u8]);

/// Reads the records of an answer to `query`.
pub(super) fn parse(query: &Query, records: &[Record]) -> Result<Observation, Fault> {
    failure(records)?;
    let mut records = records.iter().copied();
    let Some(("facts", told)) = records.next() else { return garbled("it told no facts") };
    let facts = facts(told)?;

    let mut slots = Vec::with_capacity(query.asks.len());
    for ask in &query.asks {
        slots.push(slot(ask, &mut records, &facts)?);
    }
    let (mut files, mut system) = (Files::default(), System::default());
    for (head, content) in records {
        if !files.hear(head, content)? && !system.hear(head, content) {
            return garbled(format!("{head:?} was not asked for"));
        }
    }
    let answers = slots.into_iter().map(|slot| {
        Ok(match slot {
            Slot::Is(answer) => answer,
            Slot::File(path) => Answer::File(files.file(path)?),
            Slot::Size(path) => Answer::Size(files.size(path)),
            Slot::Cgroup(folder) => Answer::Cgroup(folder.map(|folder| system.cgroup(folder))),
            Slot::Listeners(folder) => {
                Answer::Listeners(folder.map_or_else(Vec::new, |folder| system.listeners(folder)))
            }
        })
    });
    Ok(Observation { answers: answers.collect::<Result<_, _>>()?, facts })
}

/// Reads the records of who asked for a lock with `query`: what it is held by, or who holds it.
pub(super) fn parse_taken(query: &Query, records: &[Record]) -> Result<(Fence, Observation), Fault> {
    failure(records)?;
    let Some(((head, content), rest)) = records.split_first() else { return garbled("it told of no lock") };
    if let Some(told) = head.strip_prefix("busy ") {
        let (now, name) = told.split_once(' ').unwrap_or((told, ""));
        return Err(Fault::Busy(token::holder(name, content, true), now.parse().unwrap_or(0)));
    }
    let Some(path) = head.strip_prefix("token ") else { return garbled("it told of no lock") };
    let fence = Fence::at(path).or_else(|fault| garbled(format!("a token of which {fault}")))?;
    Ok((fence, parse(query, rest)?))
}

/// What went wrong beside a change that was made.
pub(super) fn notes(records: &[Record]) -> Vec<String> {
    let note = |(head, words): &Record| {
        let step = head.strip_prefix("note ")?;
        Some(format!("{}: {}", super::super::printable(step.as_bytes()), reason(words)))
    };
    records.iter().filter_map(note).collect()
}

/// Finds the step that failed, if one did.
pub(super) fn failure(records: &[Record]) -> Result<(), Fault> {
    let failed = records.iter().find_map(|(head, words)| Some((head.strip_prefix("fail ")?, *words)));
    failed.map_or(Ok(()), |(step, words)| Err(Fault::Failed(step.to_owned(), reason(words))))
}

/// Picks from what a tool printed the words that tell why: `mv: cannot move '0' to '/x': Read-only file system`.
fn reason(words: &[u8]) -> String {
    let text = super::super::printable(words);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    // GNU tar writes what it can and says only how much that was.
    if lines.iter().any(|line| line.contains("Wrote only")) {
        return "No space left on device".into();
    }
    let Some(line) = lines.iter().find(|line| !line.contains("WARNING")) else { return "no reason was given".into() };
    line.rsplit(": ").next().unwrap_or(line).chars().take(300).collect()
}

/// An answer, or whose part of the common records at the end makes it.
enum Slot<'a> {
    Is(Answer),
    File(&'a Utf8Path),
    Size(&'a Utf8Path),
    Cgroup(Option<&'a Utf8Path>),
    Listeners(Option<&'a Utf8Path>),
}

fn slot<'a>(ask: &Ask, records: &mut impl Iterator<Item = Record<'a>>, facts: &Facts) -> Result<Slot<'a>, Fault> {
    let Some((head, content)) = records.next() else { return garbled("it did not answer every question") };
    let (kind, rest) = head.split_once(' ').unwrap_or((head, ""));
    Ok(Slot::Is(match (ask, kind) {
        (Ask::File(_), "none") => Answer::File(None),
        (Ask::File(_), "at") => return Ok(Slot::File(path(rest.as_bytes())?)),
        (Ask::Size(_), "none") => Answer::Size(None),
        (Ask::Size(_), "at") => return Ok(Slot::Size(path(rest.as_bytes())?)),
        (Ask::Tree(_), "none" | "tree") => Answer::Tree(tree(content)?),
        (Ask::Program(_), "none") => Answer::Program(None),
        (Ask::Program(_), "program") => Answer::Program(Some(absolute(content)?.to_owned())),
        (Ask::Cgroup(_), "none") => return Ok(Slot::Cgroup(None)),
        (Ask::Cgroup(_), "cgroup") => return Ok(Slot::Cgroup(Some(absolute(content)?))),
        (Ask::Listening(port), "listening") => Answer::Listening(proc::is_listening(content, *port)),
        (Ask::Libc, "libc") => Answer::Libc(Libc::read(content)),
        (Ask::Listeners(_), "none") => return Ok(Slot::Listeners(None)),
        (Ask::Listeners(_), "cgroup") => return Ok(Slot::Listeners(Some(absolute(content)?))),
        (Ask::Sockets(_), "sockets") => match records.next() {
            Some(("tables", tables)) => Answer::Listeners(system::listeners(content, tables)),
            _ => return garbled("sockets without the tables that tell of them"),
        },
        (Ask::Sockets(_), "lsof") => Answer::Listeners(proc::lsof_listeners(content)),
        (Ask::Locked(_), "none") => Answer::Locked(None),
        (Ask::Locked(_), "locked") => Answer::Locked(holder(content, &facts.boot_id)),
        (Ask::Script { .. }, "none") => Answer::Script(None),
        (Ask::Script { .. }, "script") => Answer::Script(Some(content.to_vec())),
        (Ask::Folder(_), "none") => Answer::Folder(BTreeMap::new()),
        (Ask::Folder(_), "folder") => match records.next() {
            Some(("lines", lines)) => Answer::Folder(system::folder(content, lines)),
            _ => return garbled("a folder without what is in it"),
        },
        (Ask::Processes(_), "none") => Answer::Processes(Table::default()),
        (Ask::Processes(_), "table") => match (records.next(), records.next()) {
            (Some(("programs", programs)), Some(("resident", resident))) => {
                Answer::Processes(system::table(content, programs, resident))
            }
            _ => return garbled("processes without what they run"),
        },
        (Ask::Crontab(_), "none") => Answer::Crontab(None),
        (Ask::Crontab(_), "crontab") => Answer::Crontab(Some(Crontab::Lines(content.to_vec()))),
        (Ask::Crontab(_), "busybox") => Answer::Crontab(Some(Crontab::Busybox)),
        _ => return garbled(format!("{kind:?} was not asked for")),
    }))
}

/// Reads the name of a token, a line that tells when its process started, unless it has ended, an empty one, and what is in
/// the token.
fn holder(told: &[u8], boot: &str) -> Option<Holder> {
    let line = |text: &'_ [u8]| text.iter().position(|byte| *byte == b'\n');
    let (name, rest) = told.split_at(line(told)?);
    let name = std::str::from_utf8(name).ok()?;
    let (process, rest) = rest[1..].split_at(line(&rest[1..])?);
    let content = if process.is_empty() { &rest[1..] } else { rest.get(2..).unwrap_or_default() };
    let found = if process.contains(&b')') {
        proc::start_time(process).filter(|_| !proc::is_zombie(process))
    } else {
        std::str::from_utf8(process).ok().and_then(bsd::start)
    };
    token::holder(name, content, token::names(name, boot, found))
}

/// Reads lines of sha256sum(1); one that begins with a backslash has its backslashes doubled.
fn tree(lines: &[u8]) -> Result<BTreeMap<Utf8PathBuf, String>, Fault> {
    let mut files = BTreeMap::new();
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        // A name that is not text is nobody's unit, release or drop-in.
        let Ok(line) = std::str::from_utf8(line) else { continue };
        let (line, doubled) = line.strip_prefix('\\').map_or((line, false), |line| (line, true));
        let digest = line.get(..64).filter(|digest| digest.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let name = line.get(64..).and_then(|rest| rest.strip_prefix("  ").or_else(|| rest.strip_prefix(" *")));
        let (Some(digest), Some(name)) = (digest, name.and_then(|name| name.strip_prefix("./"))) else {
            return garbled("a file without a digest");
        };
        let name = Utf8PathBuf::from(if doubled { name.replace("\\\\", "\\") } else { name.to_owned() });
        let sound = name.components().all(|part| matches!(part, Utf8Component::Normal(_)));
        if !sound || name.as_str().chars().any(char::is_control) || name.as_str().is_empty() {
            return garbled("a file name that leads elsewhere");
        }
        files.insert(name, digest.to_ascii_lowercase());
    }
    Ok(files)
}

fn path(bytes: &[u8]) -> Result<&Utf8Path, Fault> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && !text.chars().any(char::is_control) => Ok(text.into()),
        _ => garbled("a path that is none"),
    }
}

fn absolute(bytes: &[u8]) -> Result<&Utf8Path, Fault> {
    path(bytes).and_then(|path| if path.is_absolute() { Ok(path) } else { garbled("a path that is not absolute") })
}

/// Reads lines of a name and a value.
fn facts(lines: &[u8]) -> Result<Facts, Fault> {
    let Ok(text) = std::str::from_utf8(lines) else { return garbled("facts that are not UTF-8") };
    let told: BTreeMap<&str, &str> = text.lines().map(|line| line.split_once(' ').unwrap_or((line, ""))).collect();
    let word = |name: &str| match told.get(name) {
        Some(value) if !value.chars().any(char::is_control) => Ok((*value).to_owned()),
        _ => garbled(format!("no {name}")),
    };
    let number = |name: &str| word(name)?.parse::<u64>().or_else(|_| garbled(format!("no number for {name}")));
    let place = |name: &str| absolute(word(name)?.as_bytes()).map(Utf8Path::to_owned);
    let cgroup = word("cgroup")?;
    Ok(Facts {
        os: word("os")?,
        arch: word("arch")?,
        node: word("node")?,
        user: word("user")?,
        uid: u32::try_from(number("uid")?).or_else(|_| garbled("a user id that is too large"))?,
        home: place("home")?,
        config: place("config")?,
        data: place("data")?,
        state: place("state")?,
        cgroup: if cgroup.is_empty() { None } else { Some(place("cgroup")?) },
        boot_id: word("boot_id")?,
        now_usec: microseconds(&word("now")?).map_or_else(|| garbled("no time"), Ok)?,
        uptime_usec: proc::uptime_usec(word("uptime")?.as_bytes()).map_or_else(|| garbled("no uptime"), Ok)?,
        ticks: number("ticks")?.max(1),
        bus: number("bus")? == 1,
        systemd: number("systemd")? == 1,
        linger: number("linger")? == 1,
    })
}

/// Reads `1795202461.250999123`; a `date` that does not know `%N` leaves something else behind the point.
fn microseconds(time: &str) -> Option<u64> {
    let (seconds, rest) = time.split_once('.')?;
    let fraction = rest.get(..6).and_then(|digits| digits.parse::<u32>().ok()).unwrap_or(0);
    seconds.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(fraction.into())
}

#[cfg(test)]
mod tests {
    use super::super::super::query::{Base, HostPath, Listener, Process};
    use super::*;

    const FACTS: &[u8] = b"os Linux\narch x86_64\nnode gpu1\nuser bee\nuid 1000\nhome /home/bee\nconfig /home/bee/.config\n\
        data /home/bee/.local/share\nstate /home/bee/.local/state\ncgroup \n\
        boot_id 704b1b77-eb5f-4ce4-ae49-feb58fcf5073\nnow 1795202461.250999123\nuptime 3382.47\nticks 100\nbus 1\nsystemd 1\nlinger 0\n";

    fn query(asks: impl IntoIterator<Item = Ask>) -> Query {
        Query { asks: asks.into_iter().collect() }
    }

    fn at(rel: &str) -> HostPath {
        HostPath::new(Base::Root, rel)
    }

    #[test]
    fn facts_are_read_and_nothing_else_is_needed() {
        let seen = parse(&query([]), &[("facts", FACTS)]).unwrap();
        assert_eq!((seen.facts.uid, seen.facts.user.as_str(), seen.facts.cgroup), (1000, "bee", None));
        assert!(seen.facts.bus && seen.facts.systemd && !seen.facts.linger);
    }

    #[test]
    fn the_time_is_as_fine_as_the_host_tells_it() {
        for (said, expected) in [
            ("1795202461.250999123", Some(1_795_202_461_250_999)),
            ("1795202461.N", Some(1_795_202_461_000_000)),
            ("1795202461.%N", Some(1_795_202_461_000_000)),
            ("1795202461.", Some(1_795_202_461_000_000)),
            ("99999999999999999999.0", None),
            ("18446744073709551615.0", None),
            ("-1.0", None),
            ("soon", None),
        ] {
            assert_eq!(microseconds(said), expected, "{said}");
        }
    }

    #[test]
    fn a_lock_is_taken_or_somebody_has_it() {
        let token = "token /home/bee/.local/state/unitbee/lock/apply@gpu1/7.1.b.n.5.ann";
        let (fence, _) = parse_taken(&query([]), &[(token, b""), ("facts", FACTS)]).unwrap();
        assert_eq!(fence.token().rel, "home/bee/.local/state/unitbee/lock/apply@gpu1/7.1.b.n.5.ann");
        let busy = parse_taken(&query([]), &[("busy 9 7.1.b.n.5.ann%20x", b"")]);
        let Err(Fault::Busy(Some(holder), 9)) = busy else { panic!("{busy:?}") };
        assert_eq!((holder.owner.as_str(), holder.since), ("ann x", Some(5)));
        let busy = parse_taken(&query([]), &[("busy 9 7.1.b.n", b"bob")]);
        assert!(matches!(&busy, Err(Fault::Busy(Some(holder), 9)) if holder.owner == "bob"), "{busy:?}");
        assert_eq!(parse_taken(&query([]), &[("busy 9 ", b"")]), Err(Fault::Busy(None, 9)));
        for records in [&[][..], &[("facts", FACTS)], &[("token x", b""), ("facts", FACTS)], &[(token, b"")]] {
            assert!(matches!(parse_taken(&query([]), records), Err(Fault::Garbled(_))), "{records:?}");
        }
    }

    #[test]
    fn a_holder_is_alive_when_it_is_the_same_process() {
        let ask = |content: &[u8]| match parse(
            &query([Ask::Locked("apply".into())]),
            &[("facts", FACTS), ("locked", content)],
        ) {
            Ok(Observation { mut answers, .. }) => answers.remove(0),
            Err(fault) => panic!("{fault:?}"),
        };
        let boot = "704b1b77-eb5f-4ce4-ae49-feb58fcf5073";
        let stat = "77 (a) b) S 1 77 77 0 -1 4194560 5 0 0 0 1 2 0 0 20 0 1 0 987654 1 2\n";
        let ps = "S+   Sat Nov 21 01:05:09 2026\n";
        for (token, process, alive) in [
            (format!("77.987654.{boot}.n.5.ann"), stat, true),
            (format!("77.987655.{boot}.n.5.ann"), stat, false),
            (format!("77.987654.{boot}.n.5.ann"), "", false),
            (format!("77.987654.{boot}.n.5.ann"), &stat.replace(") S ", ") Z "), false),
            ("77.987654.another.n.5.ann".to_owned(), stat, false),
            (format!("77.210105092026.{boot}.n.5.ann"), ps, true),
            (format!("77.1.{boot}.n.5.ann"), ps, false),
            (format!("77.1.{boot}.n"), "", false),
        ] {
            let told = format!("{token}\n{process}\nann\n");
            let Answer::Locked(Some(holder)) = ask(told.as_bytes()) else { panic!("{told}") };
            assert_eq!((holder.owner.as_str(), &holder.token, holder.alive), ("ann", &token, alive), "{told}");
        }
        assert_eq!(ask(b""), Answer::Locked(None));
        assert_eq!(ask(b"free\n\n"), Answer::Locked(None));
    }

    #[test]
    fn what_was_not_asked_for_is_garbled() {
        let asked = query([Ask::Size(at("x"))]);
        for records in [
            &[("facts", FACTS)][..],
            &[("facts", FACTS), ("file 644 /x", b"")],
            &[("facts", FACTS), ("size many", b"")],
            &[("facts", FACTS), ("size 1", b""), ("more", b"")],
            &[("facts", b"os Linux\n")],
            &[("facts", b"\xff")],
            &[],
        ] {
            assert!(matches!(parse(&asked, records), Err(Fault::Garbled(_))), "{records:?}");
        }
    }

    #[test]
    fn a_tree_may_not_lead_out_of_its_folder() {
        let digest = "a".repeat(64);
        let lines = |name: &str| format!("{digest}  ./{name}\n").into_bytes();
        assert_eq!(tree(&lines("r1/spec.json")).unwrap().keys().collect::<Vec<_>>(), ["r1/spec.json"]);
        let escaped = format!("\\{digest}  ./foo-\\\\x2d.service\n");
        assert_eq!(tree(escaped.as_bytes()).unwrap().keys().collect::<Vec<_>>(), ["foo-\\x2d.service"]);
        for name in ["../x", "a/../../x", "/etc/x", "\x1b[31m", "", "a\u{9b}b"] {
            assert!(matches!(tree(&lines(name)), Err(Fault::Garbled(_))), "{name:?}");
        }
        assert!(tree(b"sha256sum: ./x: Permission denied\n").is_err());
    }

    /// As Debian 12 prints them, for a service with one worker that listens.
    #[test]
    fn a_cgroup_is_put_together_from_its_lines() {
        let records: [Record; 7] = [
            ("facts", FACTS),
            ("cgroup", b"/sys/fs/cgroup/u/a.service"),
            ("cgroup", b"/sys/fs/cgroup/u/a.service"),
            (
                "control",
                b"/sys/fs/cgroup/u/a.service/cpu.max:max 100000\n/sys/fs/cgroup/u/a.service/memory.events:low 0\n\
                  /sys/fs/cgroup/u/a.service/memory.events:oom 1\n\
                  /sys/fs/cgroup/u/a.service/cgroup.procs:77\n/sys/fs/cgroup/u/a.service/w/cgroup.procs:78\n\
                  /sys/fs/cgroup/u/a.service2/cgroup.procs:9\n",
            ),
            (
                "stat",
                b"/proc/77/stat:77 (a b) S 1 77 77 0 -1 4194560 5 0 0 0 1 2 0 0 20 0 1 0 987654 1 2\n\
                  /proc/78/stat:78 (x) S 1 77 77 0 -1 4194560 5 0 0 0 1 2 0 0 20 0 1 0 12 1 2\n",
            ),
            ("exe", b"lrwxrwxrwx 1 bee bee 0 Nov 20 18:42 /proc/77/exe -> /srv/a -> b (deleted)\n"),
            (
                "fds",
                b"crw-rw-rw- 1 0 0 1, 3 Nov 20 17:47 /dev/null\n\n/proc/78/fd:\ntotal 0\n\
                  lrwx------ 1 1000 1000 64 Nov 20 18:42 3 -> socket:[4711]\n",
            ),
        ];
        let net: Record = (
            "net",
            b"   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0 0 10 0\n",
        );
        let records = [&records[..], &[net]].concat();
        let seen = parse(&query([Ask::Cgroup(at("c")), Ask::Listeners(at("c"))]), &records).unwrap();
        let Answer::Cgroup(Some(cgroup)) = &seen.answers[0] else { panic!("{seen:?}") };
        assert_eq!(cgroup.files["cpu.max"], b"max 100000\n");
        assert_eq!(cgroup.files["memory.events"], b"low 0\noom 1\n");
        let first = Process { pid: 77, exe: Some("/srv/a -> b (deleted)".into()), start: Some(987_654) };
        assert_eq!(cgroup.processes, [first, Process { pid: 78, exe: None, start: Some(12) }]);
        let listener = Listener { addr: [127, 0, 0, 1].into(), port: 8080 };
        assert_eq!(seen.answers[1], Answer::Listeners(vec![listener]));
    }

    /// GNU coreutils and tar, busybox, and bsdtar.
    #[test]
    fn reasons_are_found_in_what_tools_print() {
        for (words, expected) in [
            ("mkdir: cannot create directory '/x': Read-only file system\n", "Read-only file system"),
            ("mv: can't rename '0': Permission denied\n", "Permission denied"),
            (
                "tar: 0: Wrote only 2048 of 10240 bytes\ntar: Exiting with failure status due to previous errors\n",
                "No space left on device",
            ),
            (
                "tar: 0: Cannot write: No space left on device\ntar: Exiting with failure status\n",
                "No space left on device",
            ),
            ("tar: write error: No space left on device\n", "No space left on device"),
            ("0: FAILED\nsha256sum: WARNING: 1 computed checksum did NOT match\n", "FAILED"),
            ("a folder is there", "a folder is there"),
            ("", "no reason was given"),
        ] {
            assert_eq!(reason(words.as_bytes()), expected);
        }
    }
}
