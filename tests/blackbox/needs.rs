//! A program that the host cannot start is refused by `plan` and `apply`, with the reason, and nothing is changed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use super::bench::Bench;

const MANIFEST: &str = r#"[service.web]
command = ["./tool", "--port", "8080"]
"#;

/// The daemon as a dynamic program, which needs the glibc of this machine's toolchain.
static DYNAMIC: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (partial, path) = (folder.join(format!("dynamic-{}", std::process::id())), folder.join("dynamic-daemon"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/daemon.rs");
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--edition", "2024", "-O", "-C", "strip=symbols", "-o"]).args([&partial, &source]);
    let output = rustc.output().unwrap();
    assert!(output.status.success(), "rustc: {}", String::from_utf8_lossy(&output.stderr));
    fs::rename(partial, &path).unwrap();
    path
});

pub(crate) fn subject(bench: &Bench) {
    bench.project.write("unitbee.toml", MANIFEST);
    bench.project.write("tool", "#!/bin/sh\nexec sleep 1000\n");
    executable(bench);
    bench.unitbee(&["apply"]).exits(0);
    let pid = bench.running("web-main");

    for (text, why, hint) in [
        (
            "#!/bin/sh\r\nexec sleep 1000\r\n",
            "has a carriage return at the end of its `#!` line",
            "line endings of Unix",
        ),
        ("exec sleep 1000\n", "is a script without a `#!` line", "begin it with a line such as `#!/bin/sh`"),
        (
            "#!/opt/venv/bin/python3\nprint()\n",
            "is a script for /opt/venv/bin/python3, which is not on the host",
            "install the interpreter there",
        ),
    ] {
        bench.project.write("tool", text);
        refused(bench, pid, why, hint);
    }
    if bench.target.domain().is_none() {
        lacks_the_loader(bench, pid);
        dynamic(bench, pid);
    }
}

/// A program for a loader that no host has, whatever its libc.
fn lacks_the_loader(bench: &Bench, pid: u32) {
    const LOADER: &[u8] = b"/lib64/ld-linux-";
    let mut program = fs::read(&*DYNAMIC).unwrap();
    let at = program.windows(LOADER.len()).position(|bytes| bytes == LOADER).unwrap();
    program[at..at + LOADER.len()].copy_from_slice(b"/lib64/no-linux-");
    bench.project.write("tool", program);
    let why = "is a dynamic program for the loader /lib64/no-linux-";
    refused(bench, pid, why, "build it for the host's system, or statically (with musl)");
    if bench.target.busybox {
        bench.root("touch /lib/ld-musl-x86_64.so.1");
        refused(bench, pid, "is linked with glibc, the host has musl", "statically (with musl)");
        bench.root("rm /lib/ld-musl-x86_64.so.1");
    }
}

/// Runs where the host's own glibc is new enough, or nothing tells its version, and is refused elsewhere.
fn dynamic(bench: &Bench, pid: u32) {
    bench.project.write("tool", fs::read(&*DYNAMIC).unwrap());
    let there = minor(&bench.root("getconf GNU_LIBC_VERSION 2>/dev/null || echo none"));
    let here = Command::new("getconf").arg("GNU_LIBC_VERSION").output().unwrap().stdout;
    let here = minor(&String::from_utf8(here).unwrap()).unwrap();
    let Some(there) = there.filter(|there| *there < here) else {
        bench.unitbee(&["plan"]).exits(2);
        bench.unitbee(&["apply"]).exits(0);
        assert_ne!(bench.running("web-main"), pid);
        return;
    };
    refused(bench, pid, &format!("), the host has glibc 2.{there}"), "no newer than the host");
    bench.unitbee(&["plan"]).exits(1).says("web-main: ").says("tool needs glibc 2.").says(" (symbol ");
}

/// 36 of `glibc 2.36`.
fn minor(text: &str) -> Option<u32> {
    text.trim().strip_prefix("glibc 2.")?.parse().ok()
}

fn refused(bench: &Bench, pid: u32, why: &str, hint: &str) {
    let home = bench.home();
    for verb in ["plan", "apply"] {
        bench.unitbee(&[verb]).exits(1).says(why).says(hint);
    }
    assert_eq!(bench.home(), home, "files were touched");
    assert_eq!(bench.running("web-main"), pid);
}

fn executable(bench: &Bench) {
    fs::set_permissions(bench.project.work().join("tool"), fs::Permissions::from_mode(0o755)).unwrap();
}
