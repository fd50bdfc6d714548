//! What is true on a host, found without unitbee: from its supervisor, its files, its processes, and by HTTP.
//!
//! Units are named without suffix. What a question means for another supervisor than systemd is to be said here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::bench::Bench;
use super::target::{Cron, Manager};

/// What is known of a file without reading it: anything that writes it changes this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) mode: String,
    pub(crate) is_folder: bool,
    inode: String,
    changed: String,
}

impl Bench {
    /// A property of a unit as the user's manager has it; of the runner, what its record says under systemd's names.
    #[track_caller]
    pub(crate) fn property(&self, unit: &str, name: &str) -> String {
        if self.target.manager == Manager::Runner {
            return self.noted(unit, name);
        }
        if let Manager::Launchd(domain) = self.target.manager {
            return self.printed(domain, unit, name);
        }
        let unit = if unit.contains('.') { unit.to_owned() } else { format!("{unit}.service") };
        self.sh(&format!("systemctl --user show --value --property={name} {unit}")).trim().to_owned()
    }

    fn noted(&self, unit: &str, names: &str) -> String {
        let record = self.record(unit);
        let state = record["state"].as_str().unwrap_or("stopped");
        let word = |name: &str| match name {
            "ActiveState" if state == "failed" => "failed".to_owned(),
            "ActiveState" if state == "stopped" => "inactive".to_owned(),
            "ActiveState" => "active".to_owned(),
            "SubState" => state.to_owned(),
            "NRestarts" => record["restarts"].to_string(),
            "MainPID" => record["pid"].to_string(),
            "InvocationID" => record["invocation"].to_string(),
            "Result" if record["oom"] == true => "oom-kill".to_owned(),
            "Result" => record["exit"].to_string(),
            other => panic!("the runner has no {other}"),
        };
        names.split(',').map(word).collect::<Vec<_>>().join(" ")
    }

    fn printed(&self, domain: &str, unit: &str, names: &str) -> String {
        let job = self.root(&format!("launchctl print {domain}/com.rbee.{unit} 2>/dev/null || true"));
        let line =
            |key: &str| job.lines().find_map(|line| line.strip_prefix(&format!("\t{key} = "))).unwrap_or_default();
        let has_failed =
            || !["", "(never exited)", "0"].contains(&line("last exit code")) || line("last exit code").is_empty();
        let word = |name: &str| match (name, line("state")) {
            ("ActiveState", "not running") if has_failed() => "failed".to_owned(),
            ("ActiveState", "" | "not running") => "inactive".to_owned(),
            ("ActiveState", _) => "active".to_owned(),
            ("SubState", state) => state.to_owned(),
            ("NRestarts", _) => line("runs").parse::<u32>().map_or(0, |runs| runs.saturating_sub(1)).to_string(),
            ("MainPID", _) => line("pid").to_owned(),
            ("InvocationID", _) => format!("{}.{}", line("pid"), line("runs")),
            (other, _) => panic!("launchd has no {other}"),
        };
        names.split(',').map(word).collect::<Vec<_>>().join(" ")
    }

    /// What the runner of a unit noted.
    #[track_caller]
    pub(crate) fn record(&self, unit: &str) -> serde_json::Value {
        let text = self.sh(&format!("cat ~/.local/state/unitbee/registry/{unit}.json 2>/dev/null || true"));
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Everything that a unit has said.
    #[track_caller]
    pub(crate) fn said(&self, unit: &str) -> String {
        self.sh(&match self.target.manager {
            Manager::Systemd => format!("journalctl --user --quiet --all --output=cat --unit={unit}"),
            Manager::Launchd(_) => format!("cat ~/.local/state/unitbee/log/{unit}.log"),
            // A file that is rotated away while the shell names them all is looked for again.
            Manager::Runner => format!(
                "for _ in 1 2 3 4 5 6 7 8 9 10; do
                  said=$(cat ~/.local/state/unitbee/log/{unit}/*.log; code=$?; echo .; exit $code) && break
                done
                printf %s \"${{said%.}}\""
            ),
        })
    }

    /// Tells whether the user has a session that came over the network.
    #[track_caller]
    pub(crate) fn has_session(&self) -> bool {
        match self.target.manager {
            Manager::Systemd => self.root("loginctl show-user bee --property=State --value").trim() != "lingering",
            Manager::Runner | Manager::Launchd(_) => !self.root("pgrep -u bee 'sshd|dropbear' || true").is_empty(),
        }
    }

    /// Has the user log in at the screen.
    #[track_caller]
    pub(crate) fn log_in(&self) {
        self.root("mac login 1000");
    }

    /// Says whether the host logs its user in at the screen when it boots.
    #[track_caller]
    pub(crate) fn log_in_at_boot(&self, by_itself: bool) {
        self.root(&format!("mac set auto-login {by_itself}"));
    }

    /// Who supervises what, by the runner's own notes.
    #[track_caller]
    pub(crate) fn claims(&self) -> String {
        self.sh("ls ~/.local/state/unitbee/claims 2>/dev/null || true")
    }

    /// The processes that follow a log for somebody.
    #[track_caller]
    pub(crate) fn followers(&self) -> String {
        self.root(match self.target.manager {
            Manager::Systemd => "pgrep -u bee -x journalctl || true",
            Manager::Launchd(_) => "grep -l 'that rotate.sh[ ]does' /proc/[0-9]*/cmdline 2>/dev/null || true",
            Manager::Runner => "grep -l 'were rotated[ ]away' /proc/[0-9]*/cmdline 2>/dev/null || true",
        })
    }

    /// Stops a unit without unitbee.
    #[track_caller]
    pub(crate) fn stop_behind(&self, unit: &str) {
        match self.target.manager {
            Manager::Systemd => drop(self.sh(&format!("systemctl --user stop {unit}.service"))),
            Manager::Launchd(domain) => {
                self.root(&format!("launchctl bootout {domain}/com.rbee.{unit} 2>/dev/null || true"));
                self.until("launchd has forgotten it", Duration::from_secs(30), |bench| {
                    bench.property(unit, "SubState").is_empty()
                });
            }
            Manager::Runner => {
                self.sh(&format!("kill {} || true", self.record(unit)["runner"]));
                self.until("its runner ended", Duration::from_secs(30), |bench| {
                    bench.sh(&format!("ls ~/.local/state/unitbee/claims/{unit} 2>/dev/null || true")).is_empty()
                });
            }
        }
    }

    /// Starts a unit without unitbee.
    #[track_caller]
    pub(crate) fn start_behind(&self, unit: &str) {
        match self.target.manager {
            Manager::Systemd => self.sh(&format!("systemctl --user start {unit}.service")),
            Manager::Runner => self.sh(&format!("sh ~/.config/unitbee/{unit}.sh start")),
            Manager::Launchd("system") => {
                self.root(&format!("launchctl bootstrap system /Library/LaunchDaemons/com.rbee.{unit}.plist"))
            }
            Manager::Launchd(domain) => {
                self.root(&format!("launchctl bootstrap {domain} /home/bee/Library/LaunchAgents/com.rbee.{unit}.plist"))
            }
        };
    }

    /// Starts a program of its own that has nothing to do with any unit; gives its number.
    #[track_caller]
    pub(crate) fn stranger(&self, command: &str) -> u32 {
        match self.target.manager {
            Manager::Systemd => {
                self.sh(&format!("systemd-run --user --quiet --unit=stranger {command}"));
                self.property("stranger", "MainPID").parse().unwrap()
            }
            Manager::Runner | Manager::Launchd(_) => {
                let setsid = self.target.setsid();
                let pid = self.sh(&format!("{setsid} {command} >/dev/null 2>&1 </dev/null & echo $!"));
                pid.trim().parse().unwrap()
            }
        }
    }

    /// Name of the file that defines `web-main`.
    pub(crate) fn definition(&self) -> &'static str {
        match self.target.manager {
            Manager::Systemd => "web-main.service",
            Manager::Launchd(_) => "com.rbee.web-main.plist",
            Manager::Runner => "web-main.sh",
        }
    }

    /// The file that defines `web-main`.
    pub(crate) fn definition_path(&self) -> String {
        let folder = match self.target.manager {
            Manager::Systemd => "/home/bee/.config/systemd/user",
            Manager::Launchd("system") => "/Library/LaunchDaemons",
            Manager::Launchd(_) => "/home/bee/Library/LaunchAgents",
            Manager::Runner => "/home/bee/.config/unitbee",
        };
        format!("{folder}/{}", self.definition())
    }

    /// Runs a script on the host as whoever may write what defines a unit.
    #[track_caller]
    pub(crate) fn as_owner(&self, script: &str) -> String {
        if self.target.domain() == Some("system") { self.root(script) } else { self.sh(script) }
    }

    /// The setting that a plan names when a service is to be another command.
    pub(crate) fn command_key(&self) -> &'static str {
        match self.target.manager {
            Manager::Systemd => "ExecStart",
            Manager::Launchd(_) => "ProgramArguments",
            Manager::Runner => "command",
        }
    }

    /// What the supervisor says in the log of a service that the kernel ended for want of memory.
    pub(crate) fn words_for_oom(&self) -> &'static str {
        match self.target.manager {
            Manager::Systemd => "A process of this unit has been killed by the OOM killer",
            Manager::Launchd(_) => "killed because memory ran short",
            Manager::Runner => "was out of memory",
        }
    }

    /// A script that prints the cgroup of a unit.
    pub(crate) fn find_cgroup(&self, unit: &str) -> String {
        let path = match self.target.manager {
            Manager::Systemd => format!("{unit}.service"),
            Manager::Launchd(_) => panic!("launchd has no cgroups"),
            Manager::Runner => unit.replace("-main", "/main"),
        };
        format!("find /sys/fs/cgroup -type d -path '*/rbee.slice/{path}'")
    }

    /// The kinds of oddities of a row of `status --json`, but for what the host itself lacks.
    #[track_caller]
    pub(crate) fn oddities(&self, row: &serde_json::Value) -> Vec<String> {
        let kinds = row["flags"].as_array().unwrap().iter().map(|flag| flag["kind"].as_str().unwrap().to_owned());
        kinds.filter(|kind| self.target.manager == Manager::Systemd || kind != "not-persistent").collect()
    }

    /// How a plan shows that a setting goes, with `-`, and that it comes, with `+`.
    pub(crate) fn shown(&self, sign: char, key: &str) -> String {
        match self.target.domain() {
            Some(_) if sign == '-' => "-\t\t<string>".to_owned(),
            Some(_) => "+\t\t<string>".to_owned(),
            None => format!("{sign}{key}="),
        }
    }

    /// Age of a process in seconds.
    #[track_caller]
    pub(crate) fn age(&self, pid: u32) -> u64 {
        let age = match self.target.domain() {
            Some(_) => format!("/usr/libexec/lab/ps -o etimes= -p {pid}"),
            None => format!("echo $(($(date +%s) - $(stat -c %Y /proc/{pid})))"),
        };
        self.root(&age).trim().parse().unwrap()
    }

    /// Main process of a unit that runs.
    #[track_caller]
    pub(crate) fn pid(&self, unit: &str) -> Option<u32> {
        let state = self.property(unit, "ActiveState,SubState,MainPID");
        let words: BTreeSet<&str> = state.split_whitespace().collect();
        let pid = words.iter().find_map(|word| word.parse().ok());
        pid.filter(|_| words.contains("active") && words.contains("running"))
    }

    /// Main process of a unit that must run.
    #[track_caller]
    pub(crate) fn running(&self, unit: &str) -> u32 {
        self.pid(unit).unwrap_or_else(|| panic!("{unit} does not run: {}", self.property(unit, "ActiveState,SubState")))
    }

    /// Tells whether the supervisor starts it at boot.
    #[track_caller]
    pub(crate) fn is_enabled(&self, unit: &str) -> bool {
        if self.target.cron == Cron::Able {
            return self.sh("crontab -l 2>&1 || true").lines().any(|line| {
                line.starts_with("@reboot ") && line.ends_with(&format!("/{unit}.sh' start # unitbee: {unit}"))
            });
        }
        if self.target.manager == Manager::Runner {
            // These hosts have no cron, and status must say what that means.
            let status = self.unitbee(&["status", unit, "--json"]).json();
            let flags = status[0]["flags"].to_string();
            return flags.contains("not-persistent") && flags.contains("cron");
        }
        if let Manager::Launchd(domain) = self.target.manager {
            let overrides = self.root(&format!("launchctl print-disabled {domain}"));
            return !overrides.contains(&format!("\"com.rbee.{unit}\" => disabled"));
        }
        self.sh(&format!("systemctl --user is-enabled {unit}.service 2>&1 || true")).trim() == "enabled"
    }

    /// Processes in the unit's cgroup and below; where there is none, those that were born into it.
    #[track_caller]
    pub(crate) fn processes(&self, unit: &str) -> Vec<u32> {
        let mark = match self.target.manager {
            Manager::Systemd => None,
            Manager::Launchd(_) => Some(format!("XPC_SERVICE_NAME=com.rbee.{unit}")),
            Manager::Runner => match self.record(unit)["invocation"].as_str() {
                Some(run) => Some(format!("INVOCATION_ID={run}")),
                None => return Vec::new(),
            },
        };
        if let Some(mark) = mark {
            let pids = self.root(&format!(
                "for pid in /proc/[0-9]*; do
                  tr '\\0' '\\n' 2>/dev/null <$pid/environ | grep -qx {mark} && echo ${{pid#/proc/}}
                done; true"
            ));
            return pids.lines().filter_map(|pid| pid.parse().ok()).collect();
        }
        let pids = self.root(&format!(
            "find /sys/fs/cgroup -path '*/{unit}.service/*' -name cgroup.procs -exec cat {{}} + 2>/dev/null || true"
        ));
        pids.lines().filter_map(|pid| pid.parse().ok()).collect()
    }

    /// Sends a request from inside the host to a service of the bench's daemon; answers with status and body.
    #[track_caller]
    pub(crate) fn get(&self, port: u16, path: &str) -> (u16, String) {
        if self.target.busybox {
            let ask =
                format!("printf 'GET {path} HTTP/1.0\\r\\n\\r\\n' | nc -w 5 127.0.0.1 {port} 2>/dev/null || true");
            let answer = self.sh(&ask);
            let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
            return (status.unwrap_or(0), body.to_owned());
        }
        let curl = format!("curl -s --max-time 5 -w '\\n%{{http_code}}' http://127.0.0.1:{port}{path} || true");
        let answer = self.sh(&curl);
        let (body, status) = answer.trim_end().rsplit_once('\n').unwrap_or(("", "0"));
        (status.parse().unwrap_or(0), body.to_owned())
    }

    /// Asserts that the service answers, and that it is this process which does.
    #[track_caller]
    pub(crate) fn assert_healthy(&self, pid: u32) {
        let (status, body) = self.get(8080, "/health");
        assert!(status == 200 && body.trim_end().ends_with(&format!(" pid={pid}")), "process {pid}: {status} {body:?}");
    }

    /// File that a process runs.
    #[track_caller]
    pub(crate) fn program(&self, pid: u32) -> String {
        self.root(&format!("readlink /proc/{pid}/exe")).trim().to_owned()
    }

    /// Everything in the user's home, and with it the daemons of a Mac, by path.
    #[track_caller]
    pub(crate) fn home(&self) -> BTreeMap<String, Stamp> {
        let found = if self.target.busybox {
            self.root("find /home/bee -mindepth 1 -exec stat -c '%n\t%a\t%F\t%i\t%Y' {} +")
        } else {
            let find = if self.target.domain().is_some() {
                "/usr/libexec/lab/find /home/bee /Library/LaunchDaemons"
            } else {
                "find /home/bee"
            };
            self.root(&format!("{find} -mindepth 1 -printf '%p\\t%m\\t%y\\t%i\\t%T@\\n'"))
        };
        let entry = |line: &str| {
            let mut fields = line.split('\t').map(str::to_owned);
            let (path, mode, is_folder) = (fields.next()?, fields.next()?, fields.next()?.starts_with('d'));
            Some((path, Stamp { mode, is_folder, inode: fields.next()?, changed: fields.next()? }))
        };
        found.lines().filter_map(entry).collect()
    }

    /// Files in the home whose path ends so.
    #[track_caller]
    pub(crate) fn files(&self, end: &str) -> Vec<String> {
        self.home().into_keys().filter(|path| path.ends_with(end)).collect()
    }

    /// How often the user's manager has read its unit files again.
    #[track_caller]
    pub(crate) fn reloads(&self) -> usize {
        if self.target.domain().is_some() {
            return 0;
        }
        if self.target.manager == Manager::Runner {
            return usize::try_from(self.record("web-main")["generation"].as_u64().unwrap_or(0)).unwrap();
        }
        self.root("journalctl --sync; journalctl --quiet --output=cat _UID=1000")
            .lines()
            .filter(|line| line.starts_with("Reloading."))
            .count()
    }

    /// What the user's manager has loaded of ours.
    #[track_caller]
    pub(crate) fn units(&self) -> Vec<String> {
        if self.target.manager == Manager::Runner {
            let files = self.sh("find ~/.config/unitbee ~/.local/state/unitbee 2>/dev/null || true");
            return files.lines().map(str::to_owned).collect();
        }
        if self.target.domain().is_some() {
            let files = self.root("find /home/bee/Library /Library/LaunchDaemons -name '*.plist' 2>/dev/null || true");
            let jobs = self.root(
                "for domain in gui/1000 user/1000 system; do launchctl print $domain 2>/dev/null | grep com.rbee || true; done",
            );
            return files.lines().chain(jobs.lines()).map(str::to_owned).collect();
        }
        let units =
            self.sh("systemctl --user list-units --all --full --plain --no-legend 'web-*' 'unitbee-*' rbee.slice");
        units.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
    }

    /// Asks until the answer is yes.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, within: Duration, is_so: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + within * self.target.patience;
        while !is_so(self) {
            assert!(Instant::now() < deadline, "not within {within:?}: {what}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}
