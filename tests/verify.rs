//! systemd's own tools on what is written for them, where this machine has them.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::disallowed_methods, reason = "a test runs programs and writes files itself")]

#[path = "support/skip.rs"]
mod skip;
#[path = "support/spec.rs"]
mod spec;

use std::fs;
use std::process::{Command, Output};

use unitbee::service::escape;
use unitbee::service::render::{self, Placement, Systemd};

#[test]
fn systemd_analyze_finds_nothing_to_say() {
    let Some(version) = tool("systemd_analyze_finds_nothing_to_say", "systemd-analyze") else { return };
    let version = version.split_whitespace().nth(1).and_then(|version| version.parse().ok()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let spec = spec::full();
    let placement = Placement {
        program: "/bin/true".into(),
        env_file: Some(dir.path().join("env").to_str().unwrap().into()),
        release: 1,
    };
    let service = render::service(&spec, &placement, Systemd { version: Some(version) }).unwrap();
    let slice = render::slice(&spec.slice).unwrap();
    for file in [&service, &slice] {
        fs::write(dir.path().join(&file.name), &file.bytes).unwrap();
    }
    let output = Command::new("systemd-analyze")
        .args(["--user", "--man=no", "verify"])
        .arg(dir.path().join(&service.name))
        // It wants a directory for its sockets; nothing runs there.
        .env("XDG_RUNTIME_DIR", dir.path())
        .output()
        .unwrap();
    let Output { status, stderr, .. } = output;
    // Unknown keys and values that are ignored are only talked about: its exit code says nothing of them.
    assert_eq!((status.code(), String::from_utf8_lossy(&stderr).as_ref()), (Some(0), ""));
}

#[test]
fn systemd_escape_agrees() {
    if tool("systemd_escape_agrees", "systemd-escape").is_none() {
        return;
    }
    let texts = [".a", "a.b", "-", "a/b", "/", "a b", "é", "@", "\\x2d", "a:b_c", "%", "\"'", "\n", "~", "\u{7f}"];
    let output = Command::new("systemd-escape").arg("--").args(texts).output().unwrap();
    let expected = String::from_utf8(output.stdout).unwrap();
    assert_eq!(texts.map(escape::unit_name).join(" "), expected.trim_end());

    let paths = ["/", "//", "/srv", "/srv/a b/", "/.x", "/a//b/.c", "/é-é"];
    let output = Command::new("systemd-escape").arg("--path").args(paths).output().unwrap();
    let expected = String::from_utf8(output.stdout).unwrap();
    assert_eq!(paths.map(|path| escape::unit_name_of_path(path.into())).join(" "), expected.trim_end());
}

/// Returns what a tool says of its version, or says that there is no such tool.
fn tool(test: &str, name: &str) -> Option<String> {
    match Command::new(name).arg("--version").output() {
        Ok(output) => Some(String::from_utf8(output.stdout).unwrap()),
        Err(error) => {
            skip::skip(test, &format!("{name}: {error}"));
            None
        }
    }
}
