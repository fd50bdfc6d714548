//! What can be wrong with a release: each kind gives way to the good one that was there.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::time::{Duration, Instant};

use super::super::bench::Bench;
use super::super::program;
use super::super::target::Manager;
use super::Release;

const GOOD_TOKEN: [(&str, &str); 1] = [("TOKEN", "token-of-the-good-one")];
const BAD_TOKEN: [(&str, &str); 1] = [("TOKEN", "token-of-the-bad-one")];
const SECRETS: &str = r#"secrets = ["TOKEN"]"#;

/// Where the machine field of an ELF header is, and what it is for 64-bit ARM.
const MACHINE: (u64, [u8; 2]) = (18, [183, 0]);

pub(crate) fn subject(bench: &Bench) {
    bench.hurry();
    install_good(bench, &[]);
    exits_at_once(bench);
    exits_soon(bench);
    answers_with_an_error(bench);
    is_healthy_for_a_moment(bench);
    finds_its_port_taken(bench);
    never_opens_its_port(bench);
    is_for_another_machine(bench);
    needs_a_newer_libc(bench);
    leaves_the_answer_to_an_old_process(bench);
    bench.unitbee(&["uninstall"]).exits(0);
}

/// Where limits hold.
pub(crate) fn memory(bench: &Bench) {
    install_good(bench, &[]);
    let keys = format!("{SECRETS}\nlimits = {{ memory = \"48M\" }}");
    // How long it takes to eat that much is the machine's affair.
    let bad = Release { within: 10, healthy_for: "20s", keys: &keys, ..of_kind("eats", &["--eat", "400"]) };
    gives_way(bench, &bad, "out of memory");
}

fn install_good(bench: &Bench, habits: &[&str]) {
    bench.wants(&[Release { habits, keys: SECRETS, ..Release::good("good") }]);
    bench.unitbee_with(&GOOD_TOKEN, &["apply"]).exits(0);
    bench.serves("good");
}

/// A bad release with a program of its own and another secret.
fn of_kind<'a>(version: &'a str, habits: &'a [&'a str]) -> Release<'a> {
    Release { program: "./bad", keys: SECRETS, ..Release::bad(version, habits) }
}

/// Writes the program of bad releases: the daemon in other bytes.
fn write_bad(bench: &Bench, marks: &[u8]) {
    let mut program = fs::read(bench.project.work().join("daemon")).unwrap();
    program.extend_from_slice(marks);
    ship_as_bad(bench, &program);
}

fn ship_as_bad(bench: &Bench, program: &[u8]) {
    bench.project.write("bad", program);
    let path = bench.project.work().join("bad");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Applies a bad release over the good one, which is back afterwards as if nothing had been; gives the number of the bad one.
#[track_caller]
fn gives_way(bench: &Bench, bad: &Release<'_>, reason: &str) -> u64 {
    let good = bench.current("web-main");
    write_bad(bench, bad.version.as_bytes());
    bench.wants(&[Release { ..*bad }]);
    let run = bench.unitbee_with(&BAD_TOKEN, &["apply"]).exits(4);
    assert!(run.stderr.contains(&format!("rolled back to release {good}")), "{run}");
    assert!(run.stderr.contains(reason), "{reason:?} is not said:\n{run}");
    let log = format!("| daemon {} is up", bad.version);
    assert!(run.stderr.contains(&log), "the log of what failed is not shown:\n{run}");
    is_back(bench, good);

    let failed = bench.releases("web-main").pop().unwrap();
    let number = failed["release"].as_u64().unwrap();
    assert_eq!((&failed["state"], number > good), (&"failed".into(), true), "{failed:#}");
    assert!(failed["reason"].as_str().unwrap().contains(reason), "{failed:#}");
    bench.only_remembers("web-main", number);
    assert_eq!(bench.files("/bad"), Vec::<String>::new(), "the program of the failed release");
    assert_eq!(bench.holding(BAD_TOKEN[0].1), Vec::<String>::new(), "the secret of the failed release");

    is_refused(bench, number);
    number
}

/// Asserts that the good release runs with its own secret, and that nothing is half-done.
#[track_caller]
fn is_back(bench: &Bench, good: u64) {
    bench.serves("good");
    assert!(bench.get(8080, "/env").1.contains(&format!("TOKEN={}\n", GOOD_TOKEN[0].1)));
    assert_eq!(bench.current("web-main"), good);
    bench.is_settled();
}

/// Asserts that the very same release is not tried again.
#[track_caller]
fn is_refused(bench: &Bench, number: u64) {
    let pid = bench.running("web-main");
    let words = format!("this very release was tried as release {number}");
    bench.unitbee_with(&BAD_TOKEN, &["apply"]).exits(1).says(&words).says("--retry");
    assert_eq!(bench.running("web-main"), pid);
}

fn exits_at_once(bench: &Bench) {
    let habits = ["--exit-after", "0", "--code", "7"];
    // It has more time than anybody would wait for what is over.
    let bad = Release { within: 120, ..of_kind("exits-at-once", &habits) };
    let begun = Instant::now();
    let number = gives_way(bench, &bad, "code 7");
    assert!(begun.elapsed() < Duration::from_mins(1) * bench.target.patience, "it was waited for");
    let run = bench.unitbee_with(&BAD_TOKEN, &["apply", "--retry"]).exits(4).says("| daemon gives up with 7");
    assert!(run.stderr.contains("rolled back to release"), "{run}");
    bench.serves("good");
    bench.only_remembers("web-main", number + 1);
    // Something else about it makes it another release.
    let other = Release { version: "exits-as-well", ..bad };
    bench.wants(&[other]);
    bench.unitbee_with(&BAD_TOKEN, &["apply"]).exits(4);
    let text = bench.unitbee(&["history"]).exits(0);
    assert!(text.stdout.contains("failed") && text.stdout.contains("code 7"), "{text}");
}

fn exits_soon(bench: &Bench) {
    gives_way(bench, &of_kind("exits-soon", &["--exit-after", "1000", "--code", "8"]), "code 8");
}

fn answers_with_an_error(bench: &Bench) {
    gives_way(bench, &of_kind("answers-500", &["--status", "500"]), "answered 500");
}

fn is_healthy_for_a_moment(bench: &Bench) {
    gives_way(bench, &of_kind("healthy-for-a-moment", &["--healthy-for", "1000"]), "answered 503");
}

fn finds_its_port_taken(bench: &Bench) {
    let program = fs::read(bench.project.work().join("daemon")).unwrap();
    bench.pour("mkdir -p /srv; cat >/srv/stranger; chmod 755 /srv/stranger", &program);
    let stranger = bench.stranger("/srv/stranger --port 8081");
    bench.until("the stranger answers", Duration::from_secs(10), |bench| bench.get(8081, "/health").0 == 200);
    gives_way(bench, &Release { port: 8081, ..of_kind("finds-its-port-taken", &[]) }, "code 98");
    assert_eq!(bench.get(8081, "/health").0, 200, "a process of somebody else's was ended");
    bench.root(&format!("kill {stranger}"));
}

fn never_opens_its_port(bench: &Bench) {
    gives_way(bench, &of_kind("never-listens", &["--no-listen"]), "is not healthy within");
}

/// It is refused before anything is changed.
fn is_for_another_machine(bench: &Bench) {
    let (good, pid) = (bench.current("web-main"), bench.running("web-main"));
    bench.wants(&[of_kind("other-machine", &[])]);
    write_bad(bench, b"");
    let file = fs::OpenOptions::new().write(true).open(bench.project.work().join("bad")).unwrap();
    file.write_all_at(&MACHINE.1, MACHINE.0).unwrap();
    // Not even a program that passes for a Mac's.
    file.write_all_at(&[0], 7).unwrap();
    let home = bench.home();
    bench.unitbee_with(&BAD_TOKEN, &["apply"]).exits(1).says("nothing was done on").says("/bad is for ");
    assert_eq!(bench.running("web-main"), pid);
    assert_eq!(bench.home(), home, "files were touched");
    is_back(bench, good);
}

/// It is refused before anything is changed, or gives way.
fn needs_a_newer_libc(bench: &Bench) {
    if bench.target.base != "bullseye" {
        return;
    }
    let good = bench.current("web-main");
    bench.wants(&[of_kind("newer-libc", &[])]);
    // Linked against the C library of this machine.
    let dynamic = program::compiled("daemon", "daemon-dynamic", "target-feature=-crt-static");
    ship_as_bad(bench, &fs::read(dynamic).unwrap());
    let run = bench.unitbee_with(&BAD_TOKEN, &["apply"]).says("needs glibc 2.");
    assert!(matches!(run.code, Some(1 | 4)), "{run}");
    is_back(bench, good);
    assert_eq!(bench.files("/bad"), Vec::<String>::new());
}

/// A process of the old release that nobody can know as its own takes over the port, and the new release leaves it to that.
fn leaves_the_answer_to_an_old_process(bench: &Bench) {
    install_good(bench, &["--heir"]);
    let heirs = "grep -l 'await[-]port' /proc/[0-9]*/cmdline 2>/dev/null || true";
    assert_eq!(bench.root(heirs).lines().count(), 1, "it has an heir");
    let has_escaped = match bench.target.manager {
        Manager::Systemd => false,
        Manager::Launchd(_) => true,
        Manager::Runner => !bench.target.limits_hold,
    };
    let reason =
        if has_escaped { "answered by a process that does not belong to the unit" } else { "is not healthy within" };
    gives_way(bench, &of_kind("leaves-it-to-the-old", &["--no-listen"]), reason);
    // The stop URL ended the heir of the first run, or the manager did; that of the second run waits.
    assert_eq!(bench.root(heirs).lines().count(), 1, "an heir was left");
}
