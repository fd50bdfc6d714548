//! A host of a target, a project, and unitbee between them.

use std::cell::RefCell;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use rustix::process::Signal;

use super::lab::{LabHost, lab};
use super::project::{Project, pass_for_a_macs};
use super::run::{Run, Running};
use super::target::{Manager, Reach, Target};
use super::turn::Turn;

pub(crate) const UNITBEE: &str = env!("CARGO_BIN_EXE_unitbee");

/// Without what only a debugger wants it is a third as large: it is copied into hosts.
static STRIPPED: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (partial, path) = (folder.join(format!("unitbee-{}", std::process::id())), folder.join("unitbee"));
    let status = Command::new("strip").arg("-o").arg(&partial).arg(UNITBEE).status().unwrap();
    assert!(status.success(), "strip: {status}");
    std::fs::rename(partial, &path).unwrap();
    path
});

/// As it is on a Mac, where somebody has one: it ships itself to another.
static OF_A_MAC: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mac");
    std::fs::create_dir_all(&folder).unwrap();
    let (partial, path) = (folder.join(std::process::id().to_string()), folder.join("unitbee"));
    std::fs::copy(&*STRIPPED, &partial).unwrap();
    pass_for_a_macs(&partial);
    std::fs::rename(partial, &path).unwrap();
    path
});

/// A test bench.
pub(crate) struct Bench {
    pub(crate) target: &'static Target,
    pub(crate) host: LabHost,
    pub(crate) project: Project,
    /// The project as it is on the host, where unitbee runs there.
    there: RefCell<Vec<u8>>,
    // Dropped after the host.
    _turn: Turn,
}

impl Bench {
    /// Brings up a host of its own for a subject; `None` where the lab cannot run, which is said.
    pub(crate) fn up(subject: &str, target: &'static Target) -> Option<Self> {
        let name = format!("{subject}-{}", target.name);
        let turn = Turn::wait(&name, target.is_emulated());
        let host = LabHost::up_with(&name, target.base, target.options)?;
        let bench = Self { target, host, project: Project::new(target), there: RefCell::default(), _turn: turn };
        if target.reach == Reach::Here {
            let program = if target.domain().is_some() { &*OF_A_MAC } else { &*STRIPPED };
            let program = std::fs::read(program).unwrap();
            bench.pour("cat >/usr/local/bin/unitbee; chmod 755 /usr/local/bin/unitbee", &program);
            // The sshd is only the bench's own way in: many at once are to meet at unitbee, not at it.
            bench.sshd("MaxStartups 100\nMaxSessions 100\n");
        }
        if target.domain() == Some("system") {
            bench.root("mac set sudo true");
        }
        Some(bench)
    }

    /// Runs unitbee on the host's services.
    pub(crate) fn unitbee(&self, args: &[&str]) -> Run {
        self.unitbee_with(&[], args)
    }

    /// The same with variables in its environment.
    pub(crate) fn unitbee_with(&self, env: &[(&str, &str)], args: &[&str]) -> Run {
        self.start(env, args).end()
    }

    /// Starts unitbee.
    pub(crate) fn start(&self, env: &[(&str, &str)], args: &[&str]) -> Running {
        let command = match self.target.reach {
            Reach::Here => self.here(env, args),
            Reach::Ssh => self.over_ssh(env, args),
        };
        Running::of(command).patient(self.target.patience)
    }

    fn over_ssh(&self, env: &[(&str, &str)], args: &[&str]) -> Command {
        let program = if self.target.domain().is_some() { OF_A_MAC.as_path() } else { Path::new(UNITBEE) };
        let mut command = self.project.command(program);
        command.envs(env.iter().copied());
        command.args(["-H", &self.host.name, "--ssh-config"]).arg(&self.host.ssh_config).args(args);
        command
    }

    fn here(&self, env: &[(&str, &str)], args: &[&str]) -> Command {
        let mut tar = tar::Builder::new(Vec::new());
        tar.append_dir_all(".", self.project.work()).unwrap();
        // Variables go in a file, because words of a command line are for everybody to see.
        let variables: Vec<String> =
            env.iter().map(|(name, value)| format!("export {name}={}\n", shlex::try_quote(value).unwrap())).collect();
        let variables = variables.concat();
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o600);
        header.set_size(variables.len() as u64);
        tar.append_data(&mut header, ".env", variables.as_bytes()).unwrap();
        let tar = tar.into_inner().unwrap();
        if self.there.replace(tar.clone()) != tar {
            self.pour("rm -rf /srv/work; mkdir /srv/work; tar -xf - -C /srv/work; chown -R bee: /srv/work", &tar);
        }
        let line = shlex::try_join(args.iter().copied()).unwrap();
        let mut command = Command::new("ssh");
        command.arg("-F").arg(&self.host.ssh_config).args(["-o", "BatchMode=yes", "-o", "ControlMaster=auto"]);
        command.arg("-o").arg(format!("ControlPath={}", self.project.socket().display()));
        command.args(["-o", "ControlPersist=60", &self.host.name]);
        command.arg(format!("cd /srv/work && . ./.env && NO_COLOR=1 exec /usr/local/bin/unitbee {line}"));
        command
    }

    /// Kills every unitbee that works on the host, wherever it runs.
    pub(crate) fn kill(&self, running: Running) -> Run {
        if self.target.reach == Reach::Here {
            self.root("pkill -KILL -x unitbee || true");
        }
        running.kill()
    }

    /// Has a unitbee that works on the host's services stop as Ctrl-C does.
    pub(crate) fn interrupt(&self, running: Running) -> Run {
        self.signal_interrupt(&running);
        running.end()
    }

    /// Sends the signal of Ctrl-C to a unitbee that works on the host's services, if it still does.
    pub(crate) fn signal_interrupt(&self, running: &Running) {
        match self.target.reach {
            Reach::Here => drop(self.root("pkill -INT -x unitbee || true")),
            Reach::Ssh => running.signal(Signal::INT),
        }
    }

    /// Runs a script on the host as the user of the services, past sshd and without a session.
    #[track_caller]
    pub(crate) fn sh(&self, script: &str) -> String {
        if self.target.busybox {
            let user = "export HOME=/home/bee USER=bee PATH=/usr/local/bin:/usr/bin:/bin; set -eu";
            return self.inside(&["su", "bee", "-s", "/bin/sh", "-c", &format!("{user}\n{script}")], b"");
        }
        let user = "env -i HOME=/home/bee USER=bee PATH=/usr/local/bin:/usr/bin:/bin XDG_RUNTIME_DIR=/run/user/1000 \
                    setpriv --reuid=1000 --regid=1000 --init-groups sh -euc \"$0\"";
        self.inside(&["sh", "-c", user, script], b"")
    }

    /// Runs a script on the host as root.
    #[track_caller]
    pub(crate) fn root(&self, script: &str) -> String {
        self.inside(&["sh", "-euc", script], b"")
    }

    /// Runs a script on the host as root, with something to read.
    #[track_caller]
    pub(crate) fn pour(&self, script: &str, input: &[u8]) -> String {
        self.inside(&["sh", "-euc", script], input)
    }

    /// Has the sshd of the host follow these lines too. Who is logged in stays so.
    #[track_caller]
    pub(crate) fn sshd(&self, lines: &str) {
        let reload = "cat >/etc/ssh/sshd_config.d/bench.conf
            pid=$(cat /run/sshd.pid); rm /run/sshd.pid; kill -HUP $pid";
        self.pour(reload, lines.as_bytes());
        // It writes its number down when it listens again.
        self.until("sshd listens", Duration::from_secs(10), |bench| {
            bench.root("cat /run/sshd.pid 2>/dev/null || true").ends_with('\n')
        });
    }

    /// Changes what is mounted on the host, for those who log in.
    #[track_caller]
    pub(crate) fn mount(&self, script: &str) {
        // A Mac's sshd has a view of its own, without /proc.
        let there = if self.target.domain().is_some() { "nsenter --mount --target $(cat /run/sshd.pid) " } else { "" };
        self.root(&format!("{there}sh -euc {}", shlex::try_quote(script).unwrap()));
    }

    #[track_caller]
    fn inside(&self, words: &[&str], input: &[u8]) -> String {
        let mut child = super::lab::command(&[&["exec", &self.host.name], words].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipe = child.stdin.take().unwrap();
        let output = std::thread::scope(|scope| {
            scope.spawn(move || drop(pipe.write_all(input)));
            child.wait_with_output().unwrap()
        });
        let [stdout, stderr] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        let words = words.join(" ");
        assert!(output.status.success(), "on {}: {words}\n{}\n{stdout}{stderr}", self.host.name, output.status);
        stdout
    }

    /// Ends the host and starts it again.
    pub(crate) fn reboot(&self, how: &[&str]) {
        let done = lab(&[&["reboot"], how, &[&self.host.name]].concat());
        assert!(done.status.success(), "lab reboot: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// Tells whether the host, or the emulator that it is in, has ended by itself.
    pub(crate) fn is_dead(&self) -> bool {
        let list = lab(&["list"]).stdout;
        let is_it = |line: &&str| line.split_whitespace().next() == Some(&self.host.name);
        String::from_utf8_lossy(&list).lines().find(is_it).is_none_or(|line| line.ends_with(" dead"))
    }

    /// What to look at when something went wrong.
    pub(crate) fn last_words(&self) -> String {
        if self.is_dead() {
            let console = std::fs::read(self.host.ssh_config.with_file_name("console.log")).unwrap_or_default();
            let console = String::from_utf8_lossy(&console);
            let lines: Vec<&str> = console.lines().collect();
            return format!(
                "-- the host is dead, its console:\n{}",
                lines[lines.len().saturating_sub(15)..].join("\n")
            );
        }
        let look = match self.target.manager {
            Manager::Systemd => {
                "echo '-- units'; systemctl --user list-units --all --no-legend --plain '*-main.*' '*.slice' || true
                echo '-- files'; find .config .local -type f 2>/dev/null || true
                echo '-- journal'
                journalctl --user --no-pager --quiet -n 40 -o short-precise || true"
            }
            Manager::Launchd(_) => {
                "echo '-- files'; find .local Library /Library/LaunchDaemons -type f 2>/dev/null || true
                echo '-- calls'; mac calls
                echo '-- jobs'; for domain in gui/1000 user/1000 system; do
                  launchctl print $domain 2>/dev/null | grep com.rbee || true
                  launchctl print $domain/com.rbee.web-main 2>/dev/null || true
                done
                echo '-- logs'; tail -n 40 .local/state/unitbee/log/*.log || true"
            }
            Manager::Runner => {
                "echo '-- files'; find .config .local -type f 2>/dev/null || true
                echo '-- records'; cat .local/state/unitbee/registry/*.json || true
                echo '-- logs'; tail -n 40 .local/state/unitbee/log/*/*.log || true"
            }
        };
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.sh(&format!("cd; {look}")))).unwrap_or_default()
    }
}
