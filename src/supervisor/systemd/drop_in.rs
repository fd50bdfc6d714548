//! Drop-ins: what they set, and how an edit of a unit file becomes one.
//!
//! Only the settings that an edit changed go into the drop-in, so that a later release is free to change all others. It
//! sorts before all other drop-ins of the unit: these had a say over the unit file, and go on having it.
//!
//! What an assignment does depends on the key (systemd.unit(5), systemd.service(5), systemd.exec(5)): of most keys the last
//! one counts, of others each adds to a list, which an empty one clears. Dependencies are never cleared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use camino::{Utf8Path, Utf8PathBuf};
use thiserror::Error;

use super::unit_text::{self, Setting, assignments};

const ORIGIN: &str = "# Moved here by `unitbee apply --keep` from ";
const MARK: &str = "# unitbee: kept-at=";

/// Keys of which the last assignment counts, of those that unitbee writes.
const SINGLE: [&str; 23] = [
    "CPUQuota",
    "Description",
    "KillMode",
    "LimitNOFILE",
    "LockPersonality",
    "MemoryMax",
    "MemorySwapMax",
    "NoNewPrivileges",
    "OOMPolicy",
    "Restart",
    "RestartMaxDelaySec",
    "RestartSec",
    "RestartSteps",
    "RestrictRealtime",
    "RestrictSUIDSGID",
    "Slice",
    "StartLimitBurst",
    "StartLimitIntervalSec",
    "SyslogIdentifier",
    "TasksMax",
    "TimeoutStopSec",
    "Type",
    "WorkingDirectory",
];

/// What brings a setting back to its default, where an edit removed it. Of the others the default is the manager's own,
/// or an empty assignment is passed over.
const DEFAULTS: [(&str, &str); 25] = [
    ("CPUQuota", ""),
    ("Description", ""),
    ("Environment", ""),
    ("EnvironmentFile", ""),
    ("ExecCondition", ""),
    ("ExecReload", ""),
    ("ExecStartPost", ""),
    ("ExecStartPre", ""),
    ("ExecStop", ""),
    ("ExecStopPost", ""),
    ("KillMode", "control-group"),
    ("LockPersonality", "no"),
    ("MemoryMax", "infinity"),
    ("MemorySwapMax", "infinity"),
    ("NoNewPrivileges", "no"),
    ("PassEnvironment", ""),
    ("Restart", "no"),
    ("RestartMaxDelaySec", "infinity"),
    ("RestartSteps", "0"),
    ("RestrictRealtime", "no"),
    ("RestrictSUIDSGID", "no"),
    ("SuccessExitStatus", ""),
    ("SyslogIdentifier", ""),
    ("TasksMax", ""),
    ("WorkingDirectory", ""),
];

/// Keys of `[Unit]` that add to a list which nothing clears.
const DEPENDENCIES: [&str; 19] = [
    "After",
    "Before",
    "BindsTo",
    "Conflicts",
    "JoinsNamespaceOf",
    "OnFailure",
    "OnSuccess",
    "PartOf",
    "PropagatesReloadTo",
    "PropagatesStopTo",
    "ReloadPropagatedFrom",
    "Requires",
    "RequiresMountsFor",
    "Requisite",
    "StopPropagatedFrom",
    "Upholds",
    "Wants",
    "WantsMountsFor",
    "Sockets",
];

/// Why an edit cannot become a drop-in.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Unkept {
    /// The file is not text.
    #[error("it is not valid UTF-8")]
    NotText,
    /// What was written is not known.
    #[error("the host does not keep the file as unitbee wrote it")]
    NoOriginal,
    /// The manager reads no drop-ins.
    #[error("{manager} has no drop-ins")]
    NoDropIns {
        /// The manager, with its article.
        manager: &'static str,
    },
    /// Whether the unit is enabled is not the file's to say.
    #[error("[Install] was edited; `unitbee enable` and `unitbee disable` decide what starts at boot")]
    Install,
    /// A line is gone, and no drop-in can say so.
    #[error("{key}= was removed, which a drop-in cannot do; give it the value that it should have")]
    Removed {
        /// The key.
        key: String,
    },
    /// A value of a list is gone that nothing clears.
    #[error("a value of {key}= was removed or replaced, which a drop-in cannot do")]
    Dependency {
        /// The key.
        key: String,
    },
    /// The value is of one release, and would outlive it.
    #[error("{key}= names {path}, which goes with its release; change the manifest instead")]
    OfRelease {
        /// The key.
        key: String,
        /// A path of unitbee's own.
        path: Utf8PathBuf,
    },
}

/// What a drop-in sets, setting by setting: `MemoryMax=1G`. Of variables and credentials only the names are told: the file
/// is somebody else's, and may hold secrets.
#[must_use]
pub fn effects(text: &str) -> Vec<String> {
    let effect = |Setting { key, value, .. }: Setting| match key.as_str() {
        "Environment" => {
            let names: Vec<String> = assignments(&value).into_iter().map(|(name, _)| format!("{name}=…")).collect();
            format!("{key}={}", names.join(" "))
        }
        "SetCredential" | "SetCredentialEncrypted" => {
            format!("{key}={}:…", value.split(':').next().unwrap_or_default())
        }
        _ => format!("{key}={value}"),
    };
    unit_text::read(text).into_iter().map(effect).collect()
}

/// The settings by which `edited` differs from `written`, as the text of a drop-in that has the same effect on what was
/// written; `None` where they do not differ. `own` is the folder of what belongs to releases.
///
/// # Errors
///
/// Where a drop-in cannot have that effect, or not for longer than one release.
pub fn of_edit(written: &[u8], edited: &[u8], own: &Utf8Path) -> Result<Option<String>, Unkept> {
    let read = |bytes| std::str::from_utf8(bytes).map(unit_text::read).map_err(|_| Unkept::NotText);
    let (old, new) = (by_key(read(written)?), by_key(read(edited)?));
    let mut sections: BTreeMap<&str, String> = BTreeMap::new();
    let keys: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    for place @ (section, key) in keys {
        let none = Vec::new();
        let (was, is) = (old.get(place).unwrap_or(&none), new.get(place).unwrap_or(&none));
        let lines = difference(key, &values(was), &values(is))?;
        if lines.is_empty() {
            continue;
        }
        if section == "Install" {
            return Err(Unkept::Install);
        }
        if lines.iter().any(|value| value.contains(own.as_str())) {
            return Err(Unkept::OfRelease { key: key.clone(), path: own.to_owned() });
        }
        let text = sections.entry(section).or_default();
        let known: Vec<&String> = was.iter().flat_map(|setting| &setting.comments).collect();
        for comment in is.iter().flat_map(|setting| &setting.comments).filter(|comment| !known.contains(comment)) {
            writeln!(text, "{comment}").ok();
        }
        for value in lines {
            writeln!(text, "{key}={value}").ok();
        }
    }
    let text = sections.iter().fold(String::new(), |text, (section, lines)| format!("{text}[{section}]\n{lines}"));
    Ok((!text.is_empty()).then_some(text))
}

fn by_key(settings: Vec<Setting>) -> BTreeMap<(String, String), Vec<Setting>> {
    let mut keys: BTreeMap<_, Vec<Setting>> = BTreeMap::new();
    for setting in settings {
        keys.entry((setting.section.clone(), setting.key.clone())).or_default().push(setting);
    }
    keys
}

fn values(settings: &[Setting]) -> Vec<&str> {
    settings.iter().map(|setting| setting.value.as_str()).collect()
}

/// The assignments of a key that make of what was what is.
fn difference<'a>(key: &str, was: &[&'a str], is: &[&'a str]) -> Result<Vec<&'a str>, Unkept> {
    if was == is {
        return Ok(Vec::new());
    }
    // What is appended at the end of the file is appended by a drop-in too.
    if let Some(added) = is.strip_prefix(was) {
        return Ok(added.to_vec());
    }
    if DEPENDENCIES.contains(&key) {
        let has = |value: &&&str| !was.contains(*value);
        let keeps_all = was.iter().all(|value| is.contains(value));
        return if keeps_all {
            Ok(is.iter().filter(has).copied().collect())
        } else {
            Err(Unkept::Dependency { key: key.to_owned() })
        };
    }
    // An empty condition clears those of all other keys as well.
    if key.starts_with("Condition") || key.starts_with("Assert") {
        return Err(Unkept::Dependency { key: key.to_owned() });
    }
    let Some(last) = is.last() else {
        let default = DEFAULTS.iter().find(|(known, _)| *known == key).map(|(_, default)| *default);
        return default.map(|default| vec![default]).ok_or_else(|| Unkept::Removed { key: key.to_owned() });
    };
    if SINGLE.contains(&key) {
        return Ok(if was.last() == Some(last) { Vec::new() } else { vec![last] });
    }
    if key == "Environment" {
        let added: Vec<&str> = is.iter().filter(|value| !was.contains(value)).copied().collect();
        let together: Vec<&str> = was.iter().chain(&added).copied().collect();
        if variables(&together) == variables(is) {
            return Ok(added);
        }
    }
    let from = after_clearing(is);
    Ok([""].iter().chain(&is[from..]).copied().collect())
}

/// The variables that lines of `Environment=` come to.
fn variables(lines: &[&str]) -> BTreeMap<String, String> {
    lines[after_clearing(lines)..].iter().flat_map(|line| assignments(line)).collect()
}

/// Where the list begins that comes of these assignments.
fn after_clearing(assignments: &[&str]) -> usize {
    assignments.iter().rposition(|value| value.is_empty()).map_or(0, |empty| empty + 1)
}

/// What tells the settings that were kept with one release from those of another: numbers begin anew with a unit that was
/// uninstalled, and drop-ins stay.
#[must_use]
pub fn kept_at(release: u32, made_usec: u64) -> String {
    format!("{release}.{made_usec}")
}

/// The content of the drop-in with `settings` that were [kept at](kept_at) a release, above what it holds already; `None` where what
/// it holds is not ours to add to.
///
/// Above, because what it holds had a say over the unit file, and goes on having it.
#[must_use]
pub fn with(existing: Option<&str>, settings: &str, unit: &str, kept_at: &str) -> Option<String> {
    let block = format!("{ORIGIN}{unit}.service, and yours to change.\n{MARK}{kept_at}\n{settings}");
    let Some(existing) = existing.filter(|text| !text.is_empty()) else { return Some(block) };
    let (_, first, rest) = first_block(existing)?;
    // Whoever kept the same just now died before the unit file was written.
    let below = if first == settings { rest } else { existing };
    Some(if below.is_empty() { block } else { format!("{block}\n{below}") })
}

/// Takes out of the drop-in what was [kept at](kept_at) a release: what remains, and what was taken out. `None` where it holds nothing
/// of that.
#[must_use]
pub fn without<'a>(existing: &'a str, kept_at: &str) -> Option<(&'a str, &'a str)> {
    let (at, settings, rest) = first_block(existing)?;
    (at == kept_at).then_some((rest, settings))
}

/// With which release the topmost settings were kept, these settings, and what stands below.
fn first_block(text: &str) -> Option<(&str, &str, &str)> {
    let (_, body) = text.strip_prefix(ORIGIN)?.split_once('\n')?;
    let (kept_at, body) = body.strip_prefix(MARK)?.split_once('\n')?;
    let end = body.find(&format!("\n{ORIGIN}")).map_or(body.len(), |end| end + 1);
    let (settings, rest) = body.split_at(end);
    let settings = if rest.is_empty() { settings } else { settings.strip_suffix('\n').unwrap_or(settings) };
    Some((kept_at, settings, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITTEN: &str = "[Unit]\nDescription=web\nAfter=a.service\nStartLimitBurst=5\n\n[Service]\nExecStart=\":/bin/web\" \"a\"\n\
        Environment=\"A=1\"\nEnvironment=\"B=2\"\nMemoryMax=100\nMemorySwapMax=0\nRestart=on-failure\nRestartSec=1\n\
        SuccessExitStatus=143\n\n[Install]\nWantedBy=default.target\n";

    fn edit(from: &str, to: &str) -> Result<Option<String>, Unkept> {
        let edited = WRITTEN.replace(from, to);
        assert_ne!(edited, WRITTEN);
        of_edit(WRITTEN.as_bytes(), edited.as_bytes(), "/home/bee/.local/share/unitbee".into())
    }

    #[track_caller]
    fn keeps(from: &str, to: &str, drop_in: &str) {
        assert_eq!(edit(from, to), Ok(Some(drop_in.to_owned())), "{from:?} to {to:?}");
    }

    #[test]
    fn only_what_changed_is_kept() {
        keeps("MemoryMax=100", "# for the big job\nMemoryMax=200", "[Service]\n# for the big job\nMemoryMax=200\n");
        keeps("RestartSec=1\n", "RestartSec=1\nNice=5\nNice=6\n", "[Service]\nNice=5\nNice=6\n");
        keeps(
            "Description=web\n",
            "Description=mine\nWants=b.service\n",
            "[Unit]\nDescription=mine\nWants=b.service\n",
        );
        keeps("\n[Install]", "\n[Mine]\nX=1\n[Install]", "[Mine]\nX=1\n");
        assert_eq!(edit("RestartSec=1\n", "\n# nothing\n RestartSec = 1\n"), Ok(None));
        assert_eq!(edit("MemoryMax=100\nMemorySwapMax=0\n", "MemorySwapMax=0\nMemoryMax=100\n"), Ok(None));
    }

    #[test]
    fn a_list_that_is_not_only_added_to_is_cleared_first() {
        keeps("\" \"a\"", "\" \"b\"", "[Service]\nExecStart=\nExecStart=\":/bin/web\" \"b\"\n");
        keeps("Status=143\n", "Status=143\nSuccessExitStatus=7\n", "[Service]\nSuccessExitStatus=7\n");
        keeps("Status=143\n", "Status=7\n", "[Service]\nSuccessExitStatus=\nSuccessExitStatus=7\n");
        keeps("After=a.service", "After=c.service\nAfter=a.service", "[Unit]\nAfter=c.service\n");
    }

    #[test]
    fn a_variable_is_set_again_and_the_others_stay_the_releases() {
        keeps("\"A=1\"", "\"A=3\"", "[Service]\nEnvironment=\"A=3\"\n");
        keeps("Environment=\"A=1\"", "Environment=C=1\nEnvironment=\"A=1\"", "[Service]\nEnvironment=C=1\n");
        keeps("Environment=\"A=1\"\n", "", "[Service]\nEnvironment=\nEnvironment=\"B=2\"\n");
        keeps(
            "Environment=\"B=2\"",
            "Environment=\nEnvironment=\"B=2\"",
            "[Service]\nEnvironment=\nEnvironment=\"B=2\"\n",
        );
    }

    #[test]
    fn what_was_removed_gets_its_default_or_is_refused() {
        keeps("MemoryMax=100\n", "", "[Service]\nMemoryMax=infinity\n");
        keeps("Restart=on-failure\n", "", "[Service]\nRestart=no\n");
        keeps("SuccessExitStatus=143\n", "", "[Service]\nSuccessExitStatus=\n");
        let removed = |key: &str| Err(Unkept::Removed { key: key.to_owned() });
        assert_eq!(edit("RestartSec=1\n", ""), removed("RestartSec"));
        assert_eq!(edit("StartLimitBurst=5\n", ""), removed("StartLimitBurst"));
        assert_eq!(edit("ExecStart=\":/bin/web\" \"a\"\n", ""), removed("ExecStart"));
        assert_eq!(edit("After=a.service\n", ""), Err(Unkept::Dependency { key: "After".into() }));
        assert_eq!(edit("WantedBy=default.target", "WantedBy=a.target"), Err(Unkept::Install));
    }

    #[test]
    fn what_goes_with_a_release_is_refused() {
        let own = Utf8Path::new("/home/bee/.local/share/unitbee");
        let unkept = edit("\":/bin/web\" \"a\"", "/home/bee/.local/share/unitbee/store/0/web b");
        assert_eq!(unkept, Err(Unkept::OfRelease { key: "ExecStart".into(), path: own.into() }));
    }

    #[test]
    fn values_that_may_be_secret_are_not_told() {
        let text = "[Service]\nEnvironment=\nEnvironment=\"A=my secret\" B=2\nSetCredential=key:secret\nNice=1\n";
        assert_eq!(effects(text), ["Environment=", "Environment=A=… B=…", "SetCredential=key:…", "Nice=1"]);
    }

    #[test]
    fn one_edit_is_kept_above_another_and_can_be_taken_out() {
        let first = with(None, "[Service]\nNice=1\n", "web", &kept_at(2, 20)).unwrap();
        let both = with(Some(&first), "[Service]\nNice=2\n", "web", &kept_at(3, 30)).unwrap();
        assert_eq!(effects(&both), ["Nice=2", "Nice=1"]);
        assert_eq!(without(&both, &kept_at(2, 20)), None);
        assert_eq!(without(&both, &kept_at(3, 31)), None, "another release by that number");
        assert_eq!(without(&both, &kept_at(3, 30)), Some((first.as_str(), "[Service]\nNice=2\n")));
        assert_eq!(without(&first, &kept_at(2, 20)), Some(("", "[Service]\nNice=1\n")));
        assert_eq!(effects(&with(Some(&both), "[Service]\nNice=2\n", "web", "4.40").unwrap()), ["Nice=2", "Nice=1"]);
        assert_eq!(with(Some("[Service]\nNice=1\n"), "[Service]\nNice=2\n", "web", "3.30"), None, "somebody else's");
    }

    /// Whatever the template writes is of a known kind, or each of its assignments adds to a list.
    #[test]
    fn the_keys_of_the_template_are_known() {
        let lists = ["Environment", "EnvironmentFile", "ExecStart", "SuccessExitStatus", "WantedBy"];
        let is_key = |one: &Setting| one.key.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let template = unit_text::read(include_str!("../../../templates/unit.service"));
        for Setting { key, .. } in template.into_iter().filter(is_key) {
            assert!(SINGLE.contains(&key.as_str()) || lists.contains(&key.as_str()), "{key}");
        }
    }
}
