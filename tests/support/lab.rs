//! Hosts of the lab (`tests/lab/lab`): real init, real sshd, real user manager.

#[path = "skip.rs"]
mod skip;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

const LAB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/lab");

/// A host that is there as long as this value.
pub(crate) struct LabHost {
    pub(crate) name: String,
    pub(crate) ssh_config: PathBuf,
}

/// A file for a host.
pub(crate) struct File<'a> {
    /// Below the home of the user; directories on the way are made.
    pub(crate) path: &'a str,
    pub(crate) mode: u32,
    pub(crate) bytes: &'a [u8],
}

impl LabHost {
    /// Starts a host with these options of `lab up`, or says why there is none.
    pub(crate) fn up(test: &str, suite: &str, options: &[&str]) -> Option<Self> {
        let doctor = lab(&["doctor"]);
        if doctor.status.code() == Some(3) {
            skip::skip(&format!("{test} on {suite}"), String::from_utf8_lossy(&doctor.stdout).trim());
            return None;
        }
        let build = lab(&["build", suite]);
        if !build.status.success() {
            skip::skip(&format!("{test} on {suite}"), String::from_utf8_lossy(&build.stderr).trim());
            return None;
        }
        let name = format!("{test}-{suite}");
        // A test that was killed leaves its host behind.
        lab(&["down", &name]);
        let up = lab(&[&["up", &name, "--suite", suite], options].concat());
        expect(&up, "lab up");
        let ssh_config = PathBuf::from(String::from_utf8(up.stdout).unwrap().trim());
        Some(Self { name, ssh_config })
    }

    /// Runs a script of the user's through sshd and returns what it wrote; it must exit with 0.
    pub(crate) fn sh(&self, script: &str, stdin: &[u8]) -> Vec<u8> {
        let mut ssh = Command::new("ssh")
            .arg("-F")
            .arg(&self.ssh_config)
            .args(["-o", "BatchMode=yes", &self.name, script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipe = ssh.stdin.take().unwrap();
        let output = std::thread::scope(|scope| {
            // What a script does not read it does not read; its exit code tells whether that was right.
            scope.spawn(move || drop(pipe.write_all(stdin)));
            ssh.wait_with_output().unwrap()
        });
        expect(&output, script);
        output.stdout
    }

    /// Writes files.
    pub(crate) fn put(&self, files: &[File<'_>]) {
        let mut tar = tar::Builder::new(Vec::new());
        for file in files {
            let mut header = tar::Header::new_gnu();
            header.set_mode(file.mode);
            header.set_size(file.bytes.len() as u64);
            tar.append_data(&mut header, file.path, file.bytes).unwrap();
        }
        self.sh("tar -xf -", &tar.into_inner().unwrap());
    }

    /// Returns the home of the user.
    pub(crate) fn home(&self) -> String {
        String::from_utf8(self.sh("printf %s \"$HOME\"", b"")).unwrap()
    }

    /// Returns the version of its systemd.
    pub(crate) fn systemd(&self) -> u32 {
        let output = String::from_utf8(self.sh("systemctl --version", b"")).unwrap();
        output.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for LabHost {
    fn drop(&mut self) {
        lab(&["down", &self.name]);
    }
}

/// Runs the lab's script.
pub(crate) fn lab(args: &[&str]) -> Output {
    Command::new(LAB).args(args).stdin(Stdio::null()).output().unwrap()
}

/// Panics with what a program said, if it failed.
pub(crate) fn expect(output: &Output, what: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {}\n{stderr}", output.status);
}
