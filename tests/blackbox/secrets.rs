//! A secret is in the service's own environment and in one file that only its user can read, and nowhere else.

use std::sync::atomic::{AtomicBool, Ordering};

use super::bench::Bench;
use super::manifest::web;
use super::run::Run;
use super::target::Manager;

const FIRST: &str = "s3cret-of-the-first-release";
const SECOND: &str = "s3cret-of-the-second-release";

pub(crate) fn subject(bench: &Bench) {
    bench.project.write("unitbee.toml", web(&[], r#"secrets = ["TOKEN"]"#));
    let setsid = bench.target.setsid();
    let watch = bench.root(&format!(
        "{setsid} sh -c 'while :; do cat /proc/[0-9]*/cmdline; done' >/tmp/words 2>/dev/null </dev/null & echo $!"
    ));
    let done = AtomicBool::new(false);
    let (runs, words) = std::thread::scope(|scope| {
        let words = scope.spawn(|| {
            let mut found = false;
            while !done.load(Ordering::Relaxed) {
                found |= is_in_arguments(FIRST) || is_in_arguments(SECOND);
            }
            found
        });
        let runs = runs(bench);
        done.store(true, Ordering::Relaxed);
        (runs, words.join().unwrap())
    });
    bench.root(&format!("kill {watch}"));
    assert!(!words, "a secret was an argument of a program here");
    assert_eq!(bench.root("grep -c 's3cret-of' /tmp/words || true").trim(), "0", "a secret was an argument there");
    assert_ne!(bench.root("grep -c 'unitbee\\|sshd\\|dropbear' /tmp/words || true").trim(), "0", "nobody looked");
    for run in runs {
        run.hides("s3cret-of");
    }
    assert_nowhere_else(bench);
}

/// Everything that might tell a secret.
fn runs(bench: &Bench) -> Vec<Run> {
    let run = |token: &str, args: &[&str]| bench.unitbee_with(&[("TOKEN", token)], args);
    let mut runs = vec![
        run(FIRST, &["plan"]).exits(2),
        run(FIRST, &["-vv", "apply"]).exits(0),
        run(SECOND, &["plan"]).exits(2).says("its secrets changed"),
        run(SECOND, &["--json", "plan"]).exits(2),
        run(SECOND, &["-vv", "--json", "apply"]).exits(0),
    ];
    for args in [&["status"][..], &["status", "--json", "-vv"], &["render"], &["render", "--json"], &["logs"]] {
        runs.push(run(SECOND, args));
    }
    runs
}

/// Looks at the arguments of all programs of this machine.
fn is_in_arguments(secret: &str) -> bool {
    let lines = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path().join("cmdline"));
    let has = |line: Vec<u8>| line.windows(secret.len()).any(|window| window == secret.as_bytes());
    lines.flat_map(std::fs::read).any(has)
}

fn assert_nowhere_else(bench: &Bench) {
    let pid = bench.running("web-main");
    assert!(bench.get(8080, "/env").1.contains(&format!("TOKEN={SECOND}\n")));

    let files = bench.root(
        "find /home /Library /etc /run /var/log /var/lib /tmp -type f -exec grep -l s3cret-of {} + 2>/dev/null | sort || true",
    );
    let files: Vec<&str> = files.lines().filter(|path| !path.starts_with("/run/systemd/journal")).collect();
    assert_eq!(files, bench.files("/env"), "files that hold a secret");
    assert_eq!(files.len(), 2, "one for each release");
    let home = bench.home();
    for path in files {
        assert_eq!(home[path].mode, "600", "{path}");
    }
    let environments = bench.root("grep -l s3cret-of /proc/[0-9]*/environ 2>/dev/null || true");
    let programs = bench.root(
        "for pid in $(grep -l s3cret-of /proc/[0-9]*/environ 2>/dev/null | tr -dc '0-9\\n'); do
        printf '%s: ' $pid; tr '\\0' ' ' </proc/$pid/cmdline; echo; done",
    );
    assert_eq!(environments.trim(), format!("/proc/{pid}/environ"), "environments that hold a secret: {programs}");
    if let Some(domain) = bench.target.domain() {
        let told = bench.root(&format!("launchctl print {domain}/com.rbee.web-main"));
        assert!(told.contains("pid = ") && !told.contains("s3cret-of"), "launchd tells a secret: {told}");
    }
    if bench.target.manager != Manager::Systemd {
        return;
    }
    let told = bench
        .sh("systemctl --user show; systemctl --user show web-main.service; systemctl --user cat web-main.service
        systemctl --user show-environment");
    assert!(!told.contains("s3cret-of"), "the manager tells a secret");
    let journal = bench.root("journalctl --sync; journalctl --all --output=export | grep -c s3cret-of || true");
    assert_eq!(journal.trim(), "0", "the journal holds a secret");
}
