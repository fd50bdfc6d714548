//! What a user does on a host of the lab, through its sshd.

use std::io::Write;
use std::process::{Command, Stdio};

use super::lab::{LabHost, expect};

/// A file for a host.
pub(crate) struct File<'a> {
    /// Below the home of the user; directories on the way are made.
    pub(crate) path: &'a str,
    pub(crate) mode: u32,
    pub(crate) bytes: &'a [u8],
}

impl LabHost {
    /// Starts a container of a suite with further options of `lab up`, or says why there is none.
    pub(crate) fn up(test: &str, suite: &str, options: &[&str]) -> Option<Self> {
        Self::up_with(&format!("{test}-{suite}"), suite, &[&["--suite", suite], options].concat())
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
