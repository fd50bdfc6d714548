//! A host that nothing can be done on costs one clear line and no more than the time to connect. Nothing is left on it,
//! and the host beside it is served all the same.

use std::fs;
use std::process::Command;
use std::time::Duration;

use super::bench::{Bench, UNITBEE};
use super::lab::{LabHost, expect, lab};
use super::manifest::web;
use super::run::{Run, Running};

/// Seconds that a connection to a host that does not answer gets; no other needs to be so fast.
const CONNECT: &str = "2";
/// What a run may take in all: far less than ssh or the kernel would wait by themselves.
const ENOUGH: Duration = Duration::from_secs(20);

/// Something that is wrong with a host.
struct Trouble<'a> {
    /// How ssh is configured to get there.
    config: &'a str,
    host: &'a str,
    /// What must be said of it.
    cause: &'a str,
    /// Whether it can still be looked at.
    readable: bool,
}

pub(crate) fn subject(bench: &Bench) {
    let name = format!("beside-{}", bench.target.name);
    let Some(beside) = LabHost::up_with(&name, bench.target.base, bench.target.options) else { return };
    bench.project.write("unitbee.toml", web(&[], ""));
    // A newer sshd turns a client away for a while whose keys it refused.
    if bench.root("sshd -T").to_lowercase().contains("persourcepenalties") {
        bench.sshd("PerSourcePenalties no\n");
    }
    let pair = Pair { bench, beside, files: files(bench) };
    cannot_be_reached(&pair);
    cannot_be_written(&pair);
    is_cut_off(&pair);
}

fn cannot_be_reached(pair: &Pair<'_>) {
    let host = pair.bench.host.name.as_str();
    let trouble =
        |config: &str, host: &str, cause: &str| pair.suffers(&Trouble { config, host, cause, readable: false });
    trouble(&pair.config("right", None), "nowhere.invalid", "Could not resolve hostname nowhere.invalid");
    let key = other_key(pair.bench);
    trouble(&pair.config("key", Some(("IdentityFile", &key))), host, "Permission denied (publickey");
    let known = other_host(pair.bench, &key);
    trouble(&pair.config("known", Some(("UserKnownHostsFile", &known))), host, "Host key for ");
}

fn cannot_be_written(pair: &Pair<'_>) {
    let (bench, config) = (pair.bench, pair.config("right", None));
    let trouble = |cause| Trouble { config: &config, host: &bench.host.name, cause, readable: true };
    let data = "/home/bee/.local/share/unitbee";
    bench.sh(&format!("mkdir -p {data}"));
    bench.mount(&format!("mount -t tmpfs -o size=128k,uid=1000,gid=1000,mode=755 none {data}"));
    pair.suffers(&trouble("No space left on device"));
    bench.mount(&format!("umount {data}"));
    bench.mount("mount --bind /home/bee /home/bee; mount -o remount,bind,ro /home/bee");
    pair.suffers(&trouble("Read-only file system"));
    bench.mount("mount -o remount,bind,rw /home/bee");
}

fn is_cut_off(pair: &Pair<'_>) {
    let host = pair.bench.host.name.as_str();
    let (right, hasty) = (pair.config("right", None), pair.config("hasty", Some(("ConnectTimeout", CONNECT))));
    pair.bench.project.log_out();
    expect(&lab(&["cut", host]), "lab cut");
    pair.suffers(&Trouble { config: &hasty, host, cause: &format!("connect to {host}: "), readable: false });
    expect(&lab(&["mend", host]), "lab mend");
    pair.run(&right, &[host], &["apply"]).exits(0).says("web-main is healthy after");

    // The connection is kept, and leads nowhere.
    expect(&lab(&["cut", host]), "lab cut");
    let timeout = format!("{CONNECT}s");
    assert_one_line(pair.run(&right, &[host], &["--connect-timeout", &timeout, "status"]).exits(1), host, host);
    expect(&lab(&["mend", host]), "lab mend");
    pair.run(&right, &[host], &["apply"]).exits(0).says("unchanged");
}

/// The host in trouble, and one that is well.
struct Pair<'a> {
    bench: &'a Bench,
    beside: LabHost,
    /// Files of the user's home before anything was tried.
    files: Vec<String>,
}

impl Pair<'_> {
    /// Writes a configuration for ssh; one keyword may have a value of its own for the host in trouble.
    fn config(&self, name: &str, own: Option<(&str, &str)>) -> String {
        let [host, beside] = [&self.bench.host, &self.beside].map(|host| fs::read_to_string(&host.ssh_config).unwrap());
        let is_other = |line: &&str| own.is_none_or(|(keyword, _)| !line.trim_start().starts_with(keyword));
        let lines: Vec<&str> = host.lines().filter(is_other).collect();
        let own = own.map(|(keyword, value)| format!("{keyword} {value}")).unwrap_or_default();
        self.bench.project.write(name, format!("{}\n{own}\n{beside}", lines.join("\n")));
        self.bench.project.work().join(name).to_str().unwrap().to_owned()
    }

    /// Runs unitbee on hosts.
    fn run(&self, config: &str, hosts: &[&str], words: &[&str]) -> Run {
        let mut command: Command = self.bench.project.command(UNITBEE);
        command.args(["--ssh-config", config]).args(words);
        command.args(hosts.iter().flat_map(|host| ["-H", host]));
        let run = Running::of(command).end();
        assert!(run.took < ENOUGH, "{run}");
        run
    }

    fn suffers(&self, trouble: &Trouble<'_>) {
        let Trouble { config, host, cause, readable } = *trouble;
        let (beside, both) = (self.beside.name.as_str(), [host, &self.beside.name]);
        assert_one_line(self.run(config, &[host], &["apply"]).exits(1), host, cause);
        if readable {
            self.run(config, &[host], &["plan"]).exits(2);
        } else {
            assert_one_line(self.run(config, &[host], &["plan"]).exits(1), host, cause);
            assert_one_line(self.run(config, &[host], &["status"]).exits(1), host, cause);
        }
        let run = self.run(config, &both, &["apply"]).exits(6).says("1 of 2 hosts failed");
        let done = ["changed", "unchanged"].map(|fate| format!("{beside}: {fate}"));
        assert!(run.stderr.lines().any(|line| done.iter().any(|done| done == line)), "{run}");
        assert_one_line(run, host, cause);
        let run = self.run(config, &both, &["--json", "apply"]).exits(6);
        assert!(run.stdout.contains(cause) && run.stderr.is_empty(), "{run}");
        self.run(config, &[beside], &["status"]).exits(0).says("running");
        self.assert_nothing_left(cause);
    }

    fn assert_nothing_left(&self, cause: &str) {
        assert_eq!(files(self.bench), self.files, "files after {cause}");
        let processes = self.bench.root("pgrep -u bee -l -x 'sh|tar|cat|head|daemon' || true");
        assert_eq!(processes, "", "processes after {cause}");
        if self.bench.target.domain().is_some() {
            assert_eq!(self.bench.units(), Vec::<String>::new(), "jobs after {cause}");
        }
        let units = self.bench.root("find /home/bee/.config /run/user/1000/systemd -name 'web*' 2>/dev/null || true");
        assert_eq!(units, "", "units after {cause}");
        assert_eq!(self.bench.root("ls /var/lib/systemd/linger 2>/dev/null || true"), "", "linger after {cause}");
        assert_eq!(self.bench.root("find /home/bee -path '*/unitbee/lock*'"), "", "a lock is left after {cause}");
    }
}

/// Asserts that there is one complaint, on standard error, with the name of the host and the cause.
#[track_caller]
fn assert_one_line(run: Run, host: &str, cause: &str) {
    let complaints: Vec<&str> = run.stderr.lines().filter(|line| line.contains("error: ")).collect();
    let [complaint] = complaints[..] else { panic!("{} complaints:\n{run}", complaints.len()) };
    assert!(complaint.starts_with(&format!("{host}: error: ")) && complaint.contains(cause), "{cause}:\n{run}");
    run.hides("caused by");
}

fn files(bench: &Bench) -> Vec<String> {
    bench.home().into_iter().filter(|(_, stamp)| !stamp.is_folder).map(|(path, _)| path).collect()
}

/// A key that no host lets in.
fn other_key(bench: &Bench) -> String {
    let path = bench.project.work().join("id").to_str().unwrap().to_owned();
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &path]).status().unwrap();
    assert!(made.success(), "ssh-keygen: {made}");
    path
}

/// A list of known hosts that has this key as the host's own.
fn other_host(bench: &Bench, key: &str) -> String {
    let config = fs::read_to_string(&bench.host.ssh_config).unwrap();
    let address = config.lines().find_map(|line| line.trim().strip_prefix("HostName ")).unwrap();
    let public = fs::read_to_string(format!("{key}.pub")).unwrap();
    bench.project.write("known_hosts", format!("{address} {public}"));
    bench.project.work().join("known_hosts").to_str().unwrap().to_owned()
}
