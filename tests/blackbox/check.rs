//! A program that does not run on the host is found out before anything there is changed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::bench::Bench;
use super::truth::Stamp;

const MANIFEST: &str = r#"[service.web]
command = ["./tool", "run"]
check = ["--try", "two words"]
env = { SEEN = "plain" }
secrets = ["TOKEN"]
"#;

/// What a job has that sets no `PATH`, on a Mac.
const LAUNCHD_PATH: &str = "/usr/bin:/bin:/usr/sbin:/sbin";

const TOKEN: [(&str, &str); 1] = [("TOKEN", "s3cret")];

pub(crate) fn subject(bench: &Bench) {
    let is_mac = bench.target.domain().is_some();
    if is_mac {
        bench.sshd(&format!("SetEnv PATH=/opt/homebrew/bin:{LAUNCHD_PATH}\n"));
    }
    bench.project.write("unitbee.toml", MANIFEST);
    tool(bench, r#"echo "$2, $SEEN ${TOKEN-kept from it}, in $PWD"; echo >>"$HOME/tries""#);
    bench.unitbee_with(&TOKEN, &["plan"]).exits(2).says("~ check web-main: `").says("tool --try 'two words'`");
    let said = "the program of web-main runs: two words, plain kept from it, in /home/bee";
    bench.unitbee_with(&TOKEN, &["apply"]).exits(0).says(said);
    bench.unitbee_with(&TOKEN, &["apply"]).exits(0).says("unchanged");
    assert_eq!(tries(bench), 1, "only a new release is tried");
    changes_nothing(bench);

    tool(bench, r#"echo "PATH $PATH."; echo >>"$HOME/tries""#);
    let path = if is_mac { format!("PATH {LAUNCHD_PATH}.") } else { "PATH /".to_owned() };
    let pid = bench.running("web-main");
    bench.unitbee_with(&TOKEN, &["apply"]).exits(0).says(&format!("the program of web-main runs: {path}"));
    assert_ne!(bench.running("web-main"), pid);
    assert_eq!(tries(bench), 2);
    has_its_own_path(bench);
    has_no_folder(bench);
    bench.unitbee_with(&TOKEN, &["uninstall"]).exits(0);
    assert_eq!(bench.files("/tool"), Vec::<String>::new());
}

/// What does not pass leaves the host as it was, and what runs alone.
fn changes_nothing(bench: &Bench) {
    let (pid, home) = (bench.running("web-main"), files(bench));
    let fails = [
        ("echo 'no such library' >&2; exit 3", "exited with 3: no such library; nothing was changed"),
        ("kill -KILL $$", "was ended by signal 9; nothing was changed"),
        ("exit 200", "exited with 200; nothing was changed"),
        ("exec /bin/cat /dev/zero", "wrote more than 4 MiB; nothing was changed"),
    ];
    for (does, said) in fails {
        tool(bench, does);
        let run = bench.unitbee_with(&TOKEN, &["apply"]).exits(1).says(said);
        assert_eq!(run.stderr.lines().filter(|line| line.contains("error")).count(), 1, "one line tells:\n{run}");
        assert_eq!(bench.running("web-main"), pid);
        let after = files(bench);
        let touched = |path: &&String| home.get(*path) != after.get(*path) && !path.ends_with("/tries");
        let touched: Vec<_> = home.keys().chain(after.keys()).filter(touched).collect();
        assert!(touched.is_empty(), "left or changed: {touched:?}");
        bench.unitbee_with(&TOKEN, &["plan"]).exits(2).says("check web-main");
    }
}

/// A service's `PATH` need not lead to a shell.
fn has_its_own_path(bench: &Bench) {
    bench.project.write("unitbee.toml", MANIFEST.replace("SEEN =", "PATH = \"/opt/homebrew/bin\", SEEN ="));
    tool(bench, r#"echo "PATH $PATH.""#);
    let said = "the program of web-main runs: PATH /opt/homebrew/bin.";
    bench.unitbee_with(&TOKEN, &["apply"]).exits(0).says(said);
    bench.running("web-main");
}

fn has_no_folder(bench: &Bench) {
    let pid = bench.running("web-main");
    bench.project.write("unitbee.toml", MANIFEST.replace("check =", "working_dir = \"/home/bee/no folder\"\ncheck ="));
    let run = bench.unitbee_with(&TOKEN, &["apply"]).exits(1).says("did not get into /home/bee/no folder: ");
    run.says("`mkdir -p '/home/bee/no folder'` on the host");
    assert_eq!(bench.running("web-main"), pid);
    bench.project.write("unitbee.toml", MANIFEST);
}

/// All files in the home, with what tells whether they are still the same; of folders only that they are there.
fn files(bench: &Bench) -> BTreeMap<String, Option<Stamp>> {
    bench.home().into_iter().map(|(path, stamp)| (path, Some(stamp).filter(|stamp| !stamp.is_folder))).collect()
}

/// Makes the program one that does this when it is tried.
fn tool(bench: &Bench, tried: &str) {
    let path = bench.project.work().join("tool");
    fs::write(&path, format!("#!/bin/sh\n[ \"$1\" = run ] && exec /bin/sleep 1000\n{tried}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn tries(bench: &Bench) -> usize {
    bench.sh("cat /home/bee/tries").lines().count()
}
