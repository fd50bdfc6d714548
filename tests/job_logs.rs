//! The log of a job under launchd: a file that is held open to be appended to, copied and cut while it is written and read.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::disallowed_methods, reason = "a test runs programs and reads files itself")]

#[path = "support/shells.rs"]
mod shells;
#[path = "support/skip.rs"]
mod skip;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use camino::Utf8Path;
use unitbee::host::{self, Options, Query};
use unitbee::observe::logs::{Follower, LogQuery, Source, recent};
use unitbee::service::spec::Logs;
use unitbee::supervisor::{SupervisorKind, launchd};

use self::shells::Shell;

const ROTATE: &str = include_str!("../templates/launchd/rotate.sh");
const READ: &str = include_str!("../templates/launchd/logs.sh");

/// The shells that a Mac's `/bin/sh` may be, and one more.
fn in_every_shell(test: impl Fn(&Place)) {
    for name in ["bash", "dash", "busybox"] {
        let Some(shell) = Shell::find(name) else { continue };
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("a log");
        test(&Place { shell, _folder: folder, log });
    }
}

/// Where a log is.
struct Place {
    shell: Shell,
    _folder: tempfile::TempDir,
    log: PathBuf,
}

impl Place {
    /// Opens the log as launchd does.
    fn open(&self) -> File {
        File::options().append(true).create(true).open(&self.log).unwrap()
    }

    fn rotate(&self, size: u64, keep: u32) -> bool {
        let mut command = self.shell.command();
        command.args(["-c", ROTATE, "sh"]).arg(&self.log).args([size.to_string(), keep.to_string()]);
        command.status().unwrap().success()
    }

    fn old(&self, number: u32) -> PathBuf {
        PathBuf::from(format!("{}.{number}", self.log.display()))
    }

    fn text(&self, number: u32) -> Option<String> {
        fs::read_to_string(self.old(number)).ok()
    }

    fn newest(&self, lines: u32) -> String {
        let mut command = self.shell.command();
        let output = command.args(["-c", READ, "sh"]).arg(&self.log).args([&lines.to_string(), ""]).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn follow(&self, lines: u32) -> Reader {
        let mut command = self.shell.command();
        command.args(["-c", READ, "sh"]).arg(&self.log).args([&lines.to_string(), "1"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (said, lines) = channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| said.send(line)));
        Reader { folder: self.log.parent().unwrap().to_owned(), lines, child }
    }

    /// What is in the folder beside the log and its old ones.
    fn litter(&self) -> Vec<String> {
        let entries = self.log.parent().unwrap().read_dir().unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names
            .filter(|name| {
                !name.trim_start_matches("a log").trim_start_matches('.').bytes().all(|c| c.is_ascii_digit())
            })
            .collect()
    }
}

/// One that reads along.
struct Reader {
    child: Child,
    lines: Receiver<String>,
    folder: PathBuf,
}

impl Reader {
    /// The next line; what there is to read when none comes.
    #[track_caller]
    fn next(&mut self) -> String {
        let Ok(line) = self.lines.recv_timeout(Duration::from_secs(30)) else {
            let mut look = Command::new("sh");
            let files = look.args(["-c", "ls -li; head -n 99 *"]).current_dir(&self.folder).output().unwrap();
            panic!("no further line: {}", String::from_utf8_lossy(&files.stdout));
        };
        line
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn a_log_is_rotated_when_it_is_full_and_written_on() {
    in_every_shell(|place| {
        let mut log = place.open();
        write!(log, "one\ntwo\n").unwrap();
        assert!(place.rotate(9, 2));
        assert_eq!(place.text(1), None, "it is not full yet");
        for (written, old) in
            [("three\n", ["one\ntwo\nthree\n", ""]), ("four\nfive\n", ["four\nfive\n", "one\ntwo\nthree\n"])]
        {
            write!(log, "{written}").unwrap();
            assert!(place.rotate(9, 2));
            assert_eq!(fs::metadata(&place.log).unwrap().len(), 0);
            assert_eq!([place.text(1).unwrap(), place.text(2).unwrap_or_default()], old);
        }
        writeln!(log, "six and more").unwrap();
        assert_eq!(place.newest(3), "four\nfive\nsix and more\n");
        assert_eq!(place.newest(100), "one\ntwo\nthree\nfour\nfive\nsix and more\n");
        assert_eq!(place.newest(0), "");
        assert!(place.rotate(9, 2));
        assert_eq!([place.text(1).unwrap(), place.text(2).unwrap()], ["six and more\n", "four\nfive\n"]);
        assert_eq!(place.text(3), None, "two are kept");

        // Fewer are wanted from now on, then none.
        writeln!(log, "and the last").unwrap();
        assert!(place.rotate(9, 1));
        assert_eq!((place.text(1).as_deref(), place.text(2)), (Some("and the last\n"), None));
        writeln!(log, "to be forgotten").unwrap();
        assert!(place.rotate(9, 0));
        assert_eq!((fs::metadata(&place.log).unwrap().len(), place.text(1)), (0, None));
        assert_eq!(place.litter(), [""; 0]);
    });
}

#[test]
fn what_an_interrupted_rotation_left_is_put_right() {
    in_every_shell(|place| {
        let mut log = place.open();
        // It had a copy, and not cut the log yet.
        write!(log, "one\ntwo\n").unwrap();
        fs::write(place.old(0), "one\ntw").unwrap();
        assert!(place.rotate(1 << 20, 2));
        assert_eq!((place.text(0), place.text(1)), (None, None));
        assert_eq!(place.newest(9), "one\ntwo\n");
        // It had cut the log, and something came after that.
        fs::write(place.old(0), "zero\n").unwrap();
        assert!(place.rotate(1 << 20, 2));
        assert_eq!((place.text(0), place.text(1).as_deref()), (None, Some("zero\n")));
        assert_eq!(place.newest(9), "zero\none\ntwo\n");
        // Somebody is at it, and somebody was a long time ago.
        let lock = PathBuf::from(format!("{}.lock", place.log.display()));
        fs::create_dir(&lock).unwrap();
        assert!(place.rotate(1, 2));
        assert_eq!(place.newest(9), "zero\none\ntwo\n");
        assert!(fs::metadata(&place.log).unwrap().len() > 0);
        let long_ago = std::time::SystemTime::now() - Duration::from_mins(11);
        File::open(&lock).unwrap().set_modified(long_ago).unwrap();
        assert!(place.rotate(1, 2));
        assert_eq!(fs::metadata(&place.log).unwrap().len(), 0);
        assert_eq!(place.litter(), [""; 0]);
    });
}

#[test]
fn a_log_that_cannot_be_copied_is_not_cut() {
    in_every_shell(|place| {
        write!(place.open(), "one\ntwo\n").unwrap();
        // Nothing can be written any more.
        let script = format!("ulimit -f 0\n{ROTATE}");
        let mut command = place.shell.command();
        let output = command.args(["-c", &script, "sh"]).arg(&place.log).args(["1", "2"]).output().unwrap();
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains("no room"), "{output:?}");
        assert_eq!((fs::read_to_string(&place.log).unwrap().as_str(), place.text(1)), ("one\ntwo\n", None));
    });
}

#[test]
fn who_reads_along_sees_each_line_once() {
    in_every_shell(|place| {
        let mut log = place.open();
        write!(log, "1\n2\n").unwrap();
        let mut reader = place.follow(1);
        assert_eq!(reader.next(), "2");
        // A pause before each cut: then nothing may be lost.
        let mut awaited = 3;
        for number in 3..=30 {
            writeln!(log, "{number}").unwrap();
            if number % 4 == 0 {
                assert!(place.rotate(1, 2));
            }
            if number % 3 == 0 {
                while awaited <= number {
                    assert_eq!(reader.next(), awaited.to_string());
                    awaited += 1;
                }
            }
        }
        // Two in a row, with nobody looking in between as far as we know.
        for number in 31..=36 {
            writeln!(log, "{number}").unwrap();
            if number == 32 || number == 34 {
                assert!(place.rotate(1, 3));
            }
        }
        for number in 31..=36 {
            assert_eq!(reader.next(), number.to_string());
        }
        // Cut by somebody else.
        File::options().write(true).truncate(true).open(&place.log).unwrap();
        writeln!(log, "37").unwrap();
        assert_eq!(reader.next(), "37");
    });
}

/// A writer that never pauses loses what it writes in the moment of the cut, and no more: nothing twice, nothing out of
/// order, no line in pieces.
#[test]
fn a_writer_that_never_pauses_is_cut_short_and_nothing_comes_twice() {
    in_every_shell(|place| {
        let done = Arc::new(AtomicBool::new(false));
        let mut log = place.open();
        writeln!(log, "0").unwrap();
        let mut reader = place.follow(1);
        assert_eq!(reader.next(), "0");
        let writer = std::thread::spawn({
            let done = Arc::clone(&done);
            move || {
                let mut number = 1_u64;
                while !done.load(Ordering::Relaxed) {
                    // At one stroke, as a program writes a line.
                    log.write_all(format!("{number}\n").as_bytes()).unwrap();
                    number += 1;
                    std::thread::sleep(Duration::from_micros(200));
                }
                writeln!(log, "end").unwrap();
            }
        });
        let mut seen = vec![0];
        for _ in 0..8 {
            assert!(place.rotate(1000, 3));
            while seen.len() % 500 != 0 {
                seen.push(reader.next().parse::<u64>().unwrap());
            }
            seen.push(reader.next().parse().unwrap());
        }
        done.store(true, Ordering::Relaxed);
        writer.join().unwrap();
        loop {
            match reader.next().as_str() {
                "end" => break,
                number => seen.push(number.parse().unwrap()),
            }
        }
        assert!(place.old(3).exists(), "it was rotated");
        assert!(seen.is_sorted_by(|one, next| one < next), "something came twice or out of order");
        // How many lines a cut costs depends on how long it takes, but who reads along sees all that the files hold.
        let kept = [3, 2, 1].map(|number| place.text(number).unwrap()).concat();
        let kept: Vec<u64> = kept.lines().map(|line| line.parse().unwrap()).collect();
        let (first, last) = (kept[0], kept[kept.len() - 1]);
        let seen: Vec<u64> = seen.into_iter().filter(|number| (first..=last).contains(number)).collect();
        assert_eq!(seen, kept, "what was read and what is kept differ");
    });
}

#[tokio::test]
async fn logs_of_a_job_are_read_and_followed() {
    let folder = tempfile::tempdir().unwrap();
    let host = host::open("here", "localhost", &Options::default());
    let mut facts = host.query(&Query::default()).await.unwrap().facts;
    facts.state = Utf8Path::from_path(folder.path()).unwrap().to_owned();
    let logs = folder.path().join("unitbee/log");
    fs::create_dir_all(&logs).unwrap();
    let units = ["llm-8080".to_owned(), "web-main".to_owned()];
    let mut log = File::options().append(true).create(true).open(logs.join("llm-8080.log")).unwrap();
    write!(log, "one\ntwo\nthree\n").unwrap();

    let limits = Logs { max_size: 10, keep: 2 };
    launchd::log::rotate(host.as_ref(), &facts, "llm-8080", &limits).await.unwrap();
    assert!(is_file(&logs.join("llm-8080.log.1")));
    writeln!(log, "four").unwrap();
    // A unit that never wrote anything has no lines.
    let wish = LogQuery { units: &units, lines: 2 };
    let (lines, source) = recent(host.as_ref(), &facts, SupervisorKind::Launchd, &wish).await.unwrap();
    assert_eq!(source, Source::JobLog);
    let said: Vec<_> = lines.iter().map(|line| (line.unit.as_str(), line.message.as_slice())).collect();
    assert_eq!(said, [("llm-8080", &b"three"[..]), ("llm-8080", b"four")]);

    let wish = LogQuery { units: &units[..1], lines: 1 };
    let mut followers = Follower::start(&host, &facts, &wish, source).await.unwrap();
    let [follower] = &mut followers[..] else { panic!("one for each unit") };
    assert_eq!(follower.next().await.unwrap().unwrap().message, b"four");
    writeln!(log, "five and six").unwrap();
    launchd::log::rotate(host.as_ref(), &facts, "llm-8080", &limits).await.unwrap();
    writeln!(log, "seven").unwrap();
    for expected in ["five and six", "seven"] {
        assert_eq!(follower.next().await.unwrap().unwrap().message, expected.as_bytes());
    }
}

fn is_file(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file())
}
