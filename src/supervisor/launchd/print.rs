//! What `launchctl print DOMAIN/LABEL` says of a job.
//!
//! launchctl(1) calls the output "not API in any sense at all", and it has changed with the releases: what is read here
//! is what stayed the same from macOS 12 to 27, found in transcripts that people published. Only lines one tab deep are
//! the job's own; the blocks between them hold keys of the same names that are about something else (each coalition has
//! a `state = active`), and lines that look unbalanced, so a block ends at its own indentation and no brace is counted.
//! A key that is missing is `None`, one that is unknown is passed over, and of two the first counts.
//!
//! Nothing is escaped: an argument or a variable of more than one line can look like any key. All that a definition
//! decides stands between the state and the key `domain`, so what stands behind that is launchd's own words, and what
//! looked like them before it is forgotten.

use crate::service::render::launchd::DEFINITION;

/// A job as launchd has it: what it read at `bootstrap`, and what has become of it since.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Job {
    /// `gui/501/com.rbee.llm-8080`; before macOS 11 the label alone.
    pub target: String,
    /// File that the job was read from.
    pub path: Option<String>,
    /// `running`, `not running`, `spawn scheduled`, `SIGTERMed`, …
    pub state: Option<String>,
    /// Its process, also while that is still being set up.
    pub pid: Option<u32>,
    /// Processes since `bootstrap`.
    pub runs: Option<u32>,
    /// Why this process was started: `inefficient` and `semaphore` are restarts by launchd itself.
    pub start_reason: Option<String>,
    /// How the process before this one ended.
    pub last_end: Option<LastEnd>,
    /// Seconds between TERM and KILL when launchd ends it.
    pub exit_timeout: Option<u64>,
    /// Seconds from one start to the next.
    pub throttle: Option<u64>,
    /// What its definition calls itself: see [`DEFINITION`].
    pub definition: Option<String>,
}

/// How a process ended, as far as launchd tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LastEnd {
    /// None has ended yet.
    Never,
    /// By itself, with this exit code.
    Exit(u32),
    /// By this signal; numbers are those of macOS.
    Signal(u32),
    /// The kernel ended it for a reason of its own: `OS_REASON_CODESIGNING`.
    Reason(String),
}

/// Reads the output; `None` where it is not that of a job.
#[must_use]
pub fn parse(text: &str) -> Option<Job> {
    let lines: Vec<&str> = text.lines().collect();
    let end = lines.iter().rposition(|line| *line == "}").unwrap_or(lines.len());
    let mut lines = lines[..end].iter().copied();
    let target = lines.next()?.strip_suffix(" = {")?;
    if target.is_empty() || target.starts_with(char::is_whitespace) {
        return None;
    }
    let mut job = Job { target: target.to_owned(), ..Job::default() };
    while let Some(line) = lines.next() {
        let Some((key, value)) = line.strip_prefix('\t').and_then(|line| line.split_once(" = ")) else { continue };
        if value == "{" {
            let inside = lines.by_ref().take_while(|line| *line != "\t}");
            let said = inside.fold(None, |found, line| found.or_else(|| definition(line)));
            job.definition = said.filter(|_| key == "environment").or(job.definition);
        } else if key == "domain" {
            let Job { target, path, state, definition, .. } = job;
            job = Job { target, path, state, definition, ..Job::default() };
        } else if !key.starts_with('\t') {
            job.take(key, value);
        }
    }
    Some(job)
}

impl Job {
    fn take(&mut self, key: &str, value: &str) {
        match key {
            "path" => first(&mut self.path, Some(value.to_owned())),
            "state" => first(&mut self.state, Some(value.to_owned())),
            "pid" => first(&mut self.pid, value.parse().ok().filter(|pid| *pid != 0)),
            "exit timeout" => first(&mut self.exit_timeout, value.parse().ok()),
            "minimum runtime" => first(&mut self.throttle, value.parse().ok()),
            "runs" => first(&mut self.runs, value.parse().ok()),
            "immediate reason" => first(&mut self.start_reason, Some(value.to_owned())),
            "last exit code" => first(&mut self.last_end, exit(value)),
            "last terminating signal" => first(&mut self.last_end, signal(value)),
            "last exit reason" => first(&mut self.last_end, Some(LastEnd::Reason(value.to_owned()))),
            _ => (),
        }
    }
}

fn first<T>(field: &mut Option<T>, value: Option<T>) {
    if field.is_none() {
        *field = value;
    }
}

/// `UNITBEE_DEFINITION => 0123456789abcdef` of the environment.
fn definition(line: &str) -> Option<String> {
    let (name, value) = line.strip_prefix("\t\t")?.split_once(" => ")?;
    (name == DEFINITION).then(|| value.to_owned())
}

/// `(never exited)`, `1`, `78: EX_CONFIG`; also `(abandoned)`, which is no end.
fn exit(value: &str) -> Option<LastEnd> {
    if value == "(never exited)" {
        return Some(LastEnd::Never);
    }
    let code = value.split_once(": ").map_or(value, |(code, _)| code);
    code.parse().ok().map(LastEnd::Exit)
}

/// `Terminated: 15`
fn signal(value: &str) -> Option<LastEnd> {
    let (_, number) = value.rsplit_once(": ")?;
    number.parse().ok().map(LastEnd::Signal)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written for these tests in the layouts of macOS 14 and 26, with every trap that is known of.
    const SAMPLES: [&str; 4] = [
        include_str!("../../../tests/data/launchd/print-running-26.txt"),
        include_str!("../../../tests/data/launchd/print-throttled-14.txt"),
        include_str!("../../../tests/data/launchd/print-stopping-26.txt"),
        include_str!("../../../tests/data/launchd/print-codesigning-14.txt"),
    ];

    #[test]
    fn only_the_jobs_own_lines_are_read() {
        let [running, throttled, stopping, codesigning] = SAMPLES.map(|sample| parse(sample).unwrap());
        assert_eq!(
            running,
            Job {
                target: "gui/501/com.rbee.llm-8080".to_owned(),
                path: Some("/Users/bee/Library/LaunchAgents/com.rbee.llm-8080.plist".to_owned()),
                state: Some("running".to_owned()),
                pid: Some(4711),
                runs: Some(3),
                start_reason: Some("semaphore".to_owned()),
                last_end: Some(LastEnd::Exit(143)),
                exit_timeout: Some(25),
                throttle: Some(10),
                definition: Some("0123456789abcdef".to_owned()),
            }
        );
        assert_eq!(
            throttled,
            Job {
                target: "user/501/com.rbee.web-main".to_owned(),
                path: Some("/Users/bee/Library/LaunchAgents/com.rbee.web-main.plist".to_owned()),
                state: Some("spawn scheduled".to_owned()),
                pid: None,
                runs: Some(22),
                start_reason: None,
                last_end: Some(LastEnd::Exit(78)),
                exit_timeout: Some(25),
                throttle: Some(10),
                definition: None,
            }
        );
        assert_eq!((stopping.state.as_deref(), stopping.pid), (Some("SIGTERMed"), Some(812)));
        assert_eq!(stopping.last_end, Some(LastEnd::Signal(15)));
        assert_eq!(codesigning.last_end, Some(LastEnd::Reason("OS_REASON_CODESIGNING".to_owned())));
    }

    #[test]
    fn what_is_no_job_is_none() {
        for text in
            ["", "\n", " = {", "Bad request.\nCould not find service \"x\" in domain for user gui: 501\n", "\ta = {"]
        {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn odd_values_are_passed_over() {
        let with = |line: &str| parse(&format!("system/x = {{\n{line}\n}}\n\tpid = 9\n")).unwrap();
        let nothing = Job { target: "system/x".to_owned(), ..Job::default() };
        for line in [
            "\tpid = 0",
            "\tpid = -1",
            "\tpid = 99999999999",
            "\tpid = (none)",
            "\tlast exit code = (abandoned)",
            "\tlast terminating signal = Terminated",
            "\t\tstate = active",
            "state = running",
            "\tproperties = ",
            "\tblock = {\n\tpid = 7",
            "\tlist = [",
        ] {
            assert_eq!(with(line), nothing, "{line:?}");
        }
        assert_eq!(with("\tlast exit code = 1\n\tlast exit code = 2").last_end, Some(LastEnd::Exit(1)));
        assert_eq!(with("\tlast terminating signal = Segmentation fault: 11").last_end, Some(LastEnd::Signal(11)));
    }

    /// A text of several lines in the place of an argument or a variable.
    const SAYS_IT_RUNS: &str = "a\n\t}\n\tstate = running\n\truns = 5\n\tpid = 7\n\tlast exit code = 1\n\tdomain = gui/9\n\
        \truns = 6\n\tpid = 8\n\tlast exit code = 2\n\texit timeout = 1\n\tjob state = running\n}\n\tx = {\n\
        \t}\n\tenvironment = {\n\t\tUNITBEE_DEFINITION => 7777777777777777\n\t}\n\ty = {";

    #[test]
    fn an_argument_does_not_pass_for_a_key() {
        for sample in SAMPLES {
            let honest = parse(sample).unwrap();
            let argued = sample.replace("\targuments = {\n", &format!("\targuments = {{\n\t\t{SAYS_IT_RUNS}\n"));
            assert_ne!(argued, sample);
            let set = sample.replace("\tenvironment = {\n", &format!("\tenvironment = {{\n\t\tA => {SAYS_IT_RUNS}\n"));
            assert_ne!(set, sample);
            let argued = parse(&argued).unwrap();
            assert!(honest.definition.is_none() || argued.definition == honest.definition, "{argued:?}");
            assert_eq!(Job { definition: None, ..argued }, Job { definition: None, ..honest.clone() });
            assert_eq!(Job { definition: None, ..parse(&set).unwrap() }, Job { definition: None, ..honest });
        }
    }

    /// The project's own transcripts, and with `UNITBEE_LAUNCHCTL_TRANSCRIPTS` those of that folder: the ones that people
    /// published are theirs, and no checkout has them.
    #[expect(clippy::disallowed_methods, reason = "a test reads files itself")]
    fn transcripts() -> Vec<(std::path::PathBuf, String)> {
        let own = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/launchd").into();
        let folders = [Some(own), std::env::var_os("UNITBEE_LAUNCHCTL_TRANSCRIPTS").map(std::path::PathBuf::from)];
        let entries = folders.into_iter().flatten().flat_map(|folder| std::fs::read_dir(folder).unwrap());
        let read = entries.map(|entry| {
            let path = entry.unwrap().path();
            let file = std::fs::read_to_string(&path).unwrap();
            // Their finder's remarks stand at the top, and a file may hold more jobs than one.
            let text = file.split_once("verbatim below this line -----\n").map_or(&*file, |(_, text)| text);
            let one = text.split_inclusive("\n}\n").next().unwrap_or_default().to_owned();
            (path, one)
        });
        read.collect()
    }

    #[test]
    fn every_transcript_is_read() {
        let mut jobs = 0;
        for (path, text) in transcripts() {
            let Some(job) = parse(&text) else { continue };
            let line = |key: &str| text.lines().find_map(|line| line.strip_prefix(&format!("\t{key} = ")));
            assert_eq!(job.state.as_deref(), line("state"), "{path:?}");
            assert_eq!(job.pid, line("pid").map(|pid| pid.parse().unwrap()), "{path:?}");
            assert_eq!(job.runs, line("runs").map(|runs| runs.parse().unwrap()), "{path:?}");
            let ends = ["last exit code", "last terminating signal", "last exit reason"];
            assert_eq!(job.last_end.is_some(), ends.into_iter().any(|key| line(key).is_some()), "{path:?}");
            jobs += usize::from(job.state.is_some() && job.runs.is_some() && job.last_end.is_some());
        }
        let published = std::env::var_os("UNITBEE_LAUNCHCTL_TRANSCRIPTS").map_or(0, |_| 15);
        assert!(jobs >= SAMPLES.len() + published, "only {jobs} jobs were found");
    }

    #[test]
    fn no_text_makes_it_panic() {
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        let mut below = |end: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            usize::try_from(random % (end.max(1) as u64)).unwrap()
        };
        let mut samples = transcripts();
        samples.retain(|(_, text)| parse(text).is_some());
        let mut read = 0;
        for round in 0..100_000 {
            let mut bytes = samples[round % samples.len()].1.as_bytes().to_vec();
            for _ in 0..=below(4) {
                let (at, to) = (below(bytes.len()), below(bytes.len()));
                let (from, to) = (at.min(to), at.max(to));
                match below(6) {
                    0 => bytes[at] = u8::try_from(below(256)).unwrap(),
                    1 => bytes.truncate(at.max(1)),
                    2 => drop(bytes.drain(from..to.min(from + 40))),
                    3 => bytes.insert(at, *b"\t\n{}= "[..].get(below(6)).unwrap()),
                    4 => bytes.extend_from_within(from..to.min(from + 200)),
                    _ => bytes.swap(from, to),
                }
                if bytes.is_empty() {
                    bytes.push(b'\n');
                }
            }
            if let Some(job) = parse(&String::from_utf8_lossy(&bytes)) {
                read += 1;
                let status = crate::supervisor::launchd::unit_status("llm", &job, true, Some(1), 2);
                assert_eq!(status.pid, job.pid);
            }
        }
        assert!(read > 50_000, "most of what was broken should still be read, {read} were");
    }
}
