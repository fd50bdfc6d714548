//! Hosts of the lab (`tests/lab/lab`): real init, real sshd, real user manager.

#[path = "skip.rs"]
pub(crate) mod skip;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, Once, PoisonError};

const LAB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/lab");

/// A host that is there as long as this value.
pub(crate) struct LabHost {
    pub(crate) name: String,
    pub(crate) ssh_config: PathBuf,
}

/// Names of the hosts that are there.
static HOSTS: Mutex<Vec<String>> = Mutex::new(Vec::new());

impl LabHost {
    /// Starts a host over `base` with options of `lab up`, or says why there is none.
    pub(crate) fn up_with(name: &str, base: &str, options: &[&str]) -> Option<Self> {
        if let Some(reason) = missing(base) {
            skip::skip(name, &reason);
            return None;
        }
        // A test that was killed leaves its host behind.
        lab(&["down", name]);
        end_hosts_on_signal();
        hosts().push(name.to_owned());
        let up = lab(&[&["up", name], options].concat());
        expect(&up, "lab up");
        let ssh_config = PathBuf::from(String::from_utf8(up.stdout).unwrap().trim());
        Some(Self { name: name.to_owned(), ssh_config })
    }
}

/// Makes a base if it is not there yet; returns why no host can be had of it.
pub(crate) fn missing(base: &str) -> Option<String> {
    static ASKED: Mutex<BTreeMap<String, Option<String>>> = Mutex::new(BTreeMap::new());
    let mut asked = ASKED.lock().unwrap_or_else(PoisonError::into_inner);
    let look = || {
        let doctor = lab(&["doctor"]);
        if doctor.status.code() == Some(3) {
            return Some(String::from_utf8_lossy(&doctor.stdout).trim().to_owned());
        }
        let build = lab(&["build", base]);
        (!build.status.success()).then(|| String::from_utf8_lossy(&build.stderr).trim().to_owned())
    };
    asked.entry(base.to_owned()).or_insert_with(look).clone()
}

impl Drop for LabHost {
    fn drop(&mut self) {
        lab(&["down", &self.name]);
        hosts().retain(|name| *name != self.name);
    }
}

fn hosts() -> std::sync::MutexGuard<'static, Vec<String>> {
    HOSTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has Ctrl-C end the hosts before it ends the tests.
fn end_hosts_on_signal() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                use tokio::signal::unix::{SignalKind, signal};
                let mut terminate = signal(SignalKind::terminate()).unwrap();
                tokio::select! {
                    _ = tokio::signal::ctrl_c() => {}
                    _ = terminate.recv() => {}
                }
            });
            for name in hosts().iter() {
                lab(&["down", name]);
            }
            std::process::exit(130);
        });
    });
}

/// The lab's script, to be run.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(LAB);
    command.args(args).stdin(Stdio::null());
    command
}

/// Runs the lab's script.
pub(crate) fn lab(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

/// Panics with what a program said, if it failed.
pub(crate) fn expect(output: &Output, what: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {}\n{stderr}", output.status);
}
