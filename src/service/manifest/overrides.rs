//! What `systemd.…` and `launchd.…` may not set, because unitbee decides it.
//!
//! A second opinion in the same file would win or lose silently (the last line of a unit file counts, lists
//! add up), so each such key is refused with the key of the manifest that does the same. Names are those of
//! systemd.unit(5), systemd.service(5), systemd.exec(5), systemd.resource-control(5) and launchd.plist(5).

use serde_json::{Value, json};

const OWN: &str = "leave it out; unitbee sets it";
const AS_INSTALLER: &str = "leave it out; it runs as the user who installs it";
const COMMAND: &str = "use `command`";
const ENV: &str = "use `env`, or `secrets` for what nobody else may read";
const RESTART: &str = "use `restart.when`";
const DELAY: &str = "use `restart.delay` and `restart.max_delay`";
const GIVE_UP: &str = "use `restart.give_up_after`";
const STOP: &str = "use `stop.drain` and `stop.term`";
/// With either key launchd ends an idle program by KILL, and TERM is ignored.
const TERM: &str = "leave it out; a service is ended by TERM, and may say `stop.drain` and `stop.term`";
const ENABLE: &str = "leave it out; `unitbee enable` and `unitbee disable` decide it";
const LOGS: &str = "use `logs`";

const UNIT: &[(&str, &str)] = &[
    ("Description", "use `description`"),
    ("StartLimitAction", GIVE_UP),
    ("StartLimitBurst", GIVE_UP),
    ("StartLimitInterval", GIVE_UP),
    ("StartLimitIntervalSec", GIVE_UP),
];

const SERVICE: &[(&str, &str)] = &[
    ("BusName", OWN),
    ("CPUQuota", "use `limits.cpu`"),
    ("DynamicUser", AS_INSTALLER),
    ("Environment", ENV),
    ("EnvironmentFile", ENV),
    ("ExecStart", COMMAND),
    ("ExecStop", "use `stop.url`"),
    ("Group", AS_INSTALLER),
    ("GuessMainPID", OWN),
    ("KillMode", OWN),
    ("LimitNOFILE", "use `limits.nofile`"),
    ("MemoryLimit", "use `limits.memory`"),
    ("MemoryMax", "use `limits.memory`"),
    ("MemorySwapMax", "use `limits.memory`, which counts swap as well"),
    ("PIDFile", OWN),
    ("PassEnvironment", ENV),
    ("RemainAfterExit", OWN),
    ("Restart", RESTART),
    ("RestartMaxDelaySec", DELAY),
    ("RestartMode", RESTART),
    ("RestartRandomizedDelaySec", DELAY),
    ("RestartSec", DELAY),
    ("RestartSteps", DELAY),
    ("SendSIGKILL", OWN),
    ("Slice", "use `slice` at the top of the manifest"),
    ("StartLimitAction", GIVE_UP),
    ("StartLimitBurst", GIVE_UP),
    ("StartLimitInterval", GIVE_UP),
    ("SupplementaryGroups", AS_INSTALLER),
    ("TasksMax", "use `limits.tasks`"),
    ("TimeoutSec", STOP),
    ("TimeoutStopSec", STOP),
    ("Type", OWN),
    ("UnsetEnvironment", ENV),
    ("User", AS_INSTALLER),
    ("WorkingDirectory", "use `working_dir`"),
];

const INSTALL: &[(&str, &str)] = &[
    ("Alias", ENABLE),
    ("Also", ENABLE),
    ("DefaultInstance", ENABLE),
    ("RequiredBy", ENABLE),
    ("UpheldBy", ENABLE),
    ("WantedBy", ENABLE),
];

const LAUNCHD: &[(&str, &str)] = &[
    // What stays of a service would keep its port, and be nobody's.
    ("AbandonProcessGroup", "leave it out; nothing of a service outlives it"),
    ("Disabled", ENABLE),
    ("EnablePressuredExit", TERM),
    ("EnableTransactions", TERM),
    ("EnvironmentVariables", ENV),
    ("ExitTimeOut", STOP),
    ("GroupName", AS_INSTALLER),
    ("HardResourceLimits", "use `limits.nofile`"),
    ("KeepAlive", RESTART),
    ("Label", OWN),
    ("LaunchOnlyOnce", RESTART),
    ("LimitLoadToSessionType", OWN),
    ("OnDemand", RESTART),
    ("Program", COMMAND),
    ("ProgramArguments", COMMAND),
    ("RunAtLoad", ENABLE),
    // It would take an agent away from the keychain of who is logged in.
    ("SessionCreate", "leave it out; it runs in the session of the user who installs it"),
    ("SoftResourceLimits", "use `limits.nofile`"),
    ("StandardErrorPath", LOGS),
    ("StandardOutPath", LOGS),
    ("ThrottleInterval", DELAY),
    ("UserName", AS_INSTALLER),
    ("WorkingDirectory", "use `working_dir`"),
];

fn decided(section: &str) -> &'static [(&'static str, &'static str)] {
    match section {
        "Unit" => UNIT,
        "Service" => SERVICE,
        _ => INSTALL,
    }
}

fn look_up(table: &'static [(&'static str, &'static str)], key: &str) -> Option<&'static str> {
    // systemd takes keys as they are spelt; one that differs in case is a slip, not another key.
    table.iter().find(|(known, _)| known.eq_ignore_ascii_case(key)).map(|(_, instead)| *instead)
}

/// Returns what to do instead of setting `key` of a section, if unitbee decides it.
pub(super) fn instead_of_systemd(section: &str, key: &str) -> Option<&'static str> {
    look_up(decided(section), key)
}

/// Returns what to do instead of setting `key` of a property list, if unitbee decides it.
pub(super) fn instead_of_launchd(key: &str) -> Option<&'static str> {
    look_up(LAUNCHD, key)
}

/// Tells whether a text can be a key of a unit file.
pub(super) fn is_systemd_key(key: &str) -> bool {
    key.starts_with(|c: char| c.is_ascii_alphabetic()) && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Returns the schema of the keys of a section.
pub(super) fn key_schema(section: &str) -> Value {
    let denied: Vec<_> = decided(section).iter().map(|(key, _)| *key).collect();
    json!({ "pattern": "^[A-Za-z][A-Za-z0-9-]*$", "not": { "enum": denied } })
}

/// Returns the keys of a property list that unitbee decides.
pub(super) fn launchd_keys() -> Vec<&'static str> {
    LAUNCHD.iter().map(|(key, _)| *key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_unitbee_decides_has_another_key() {
        assert_eq!(instead_of_systemd("Service", "MemoryMax"), Some("use `limits.memory`"));
        assert_eq!(instead_of_systemd("Service", "execstart"), Some(COMMAND));
        assert_eq!(instead_of_systemd("Install", "WantedBy"), Some(ENABLE));
        assert_eq!(instead_of_launchd("KeepAlive"), Some(RESTART));
        assert_eq!(instead_of_launchd("EnableTransactions"), Some(TERM));
        assert_eq!(instead_of_launchd("enablepressuredexit"), Some(TERM));
        for key in ["AbandonProcessGroup", "SessionCreate"] {
            assert!(instead_of_launchd(key).is_some_and(|instead| instead.starts_with("leave it out; ")), "{key}");
        }
    }

    #[test]
    fn the_rest_is_the_users() {
        for key in ["Nice", "ExecStartPre", "RestartPreventExitStatus", "OOMScoreAdjust", "X-Mine"] {
            assert_eq!(instead_of_systemd("Service", key), None, "{key}");
            assert!(is_systemd_key(key), "{key}");
        }
        assert_eq!(instead_of_launchd("ProcessType"), None);
    }

    #[test]
    fn what_the_template_sets_is_decided_or_meant_to_be_overridden() {
        let mut section = "";
        let mut overridable = Vec::new();
        for line in include_str!("../../../templates/unit.service").lines() {
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                section = name;
            } else if let Some((key, _)) = line.split_once('=').filter(|(key, _)| is_systemd_key(key)) {
                overridable.extend(instead_of_systemd(section, key).is_none().then_some(key));
            }
        }
        let meant = ["SyslogIdentifier", "OOMPolicy", "SuccessExitStatus"];
        let hardening = ["NoNewPrivileges", "LockPersonality", "RestrictRealtime", "RestrictSUIDSGID"];
        assert_eq!(overridable, [&meant[..], &hardening].concat());
    }
}
