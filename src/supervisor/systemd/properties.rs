//! What systemd says of a unit, as D-Bus and as `systemctl show` have it, under one set of names.
//!
//! The names and meanings are those of org.freedesktop.systemd1(5). A property that a version of systemd does not have
//! is like one that is not set.

use std::collections::HashMap;

use camino::Utf8Path;

/// What `systemctl show` is asked for; over D-Bus everything comes.
pub(super) const SHOWN: &[&str] = &[
    "Id",
    "LoadState",
    "LoadError",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "FragmentPath",
    "DropInPaths",
    "NeedDaemonReload",
    "InvocationID",
    "ActiveEnterTimestamp",
    "ActiveEnterTimestampMonotonic",
    "MainPID",
    "ExecMainStartTimestamp",
    "ExecMainStartTimestampMonotonic",
    "ExecMainCode",
    "ExecMainStatus",
    "Result",
    "NRestarts",
    "CanReload",
    "RequiredBy",
    "BoundBy",
    "ConsistsOf",
    "ControlGroup",
    "MemoryCurrent",
    "TasksCurrent",
    "CPUUsageNSec",
];

/// A property's value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// `s` and `o`; everything that comes from `systemctl show`.
    Text(String),
    /// `u`, `i`, `t`.
    Number(u64),
    /// `b`.
    Flag(bool),
    /// `as`.
    List(Vec<String>),
    /// `ay`.
    Bytes(Vec<u8>),
    /// The name and the words of `(ss)`.
    Pair(String, String),
}

/// The properties of one unit, or of the manager.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Properties(HashMap<String, Value>);

impl FromIterator<(String, Value)> for Properties {
    fn from_iter<T: IntoIterator<Item = (String, Value)>>(values: T) -> Self {
        Self(values.into_iter().collect())
    }
}

/// Reads what `systemctl show` printed: a block of `Key=Value` lines for each unit, an empty line between them.
pub(super) fn parse_show(text: &str) -> Vec<Properties> {
    text.split("\n\n")
        .map(|block| {
            block
                .lines()
                .filter_map(|line| line.split_once('='))
                .map(|(key, value)| (key.to_owned(), Value::Text(value.to_owned())))
                .collect::<Properties>()
        })
        .filter(|properties| !properties.0.is_empty())
        .collect()
}

impl Properties {
    /// A string; empty where it is not set.
    pub(super) fn text(&self, name: &str) -> &str {
        match self.0.get(name) {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }

    /// A number; `None` where it is not set (`u64::MAX` on the bus, that or a phrase in `systemctl show`).
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        match self.0.get(name)? {
            Value::Number(number) => Some(*number),
            Value::Text(text) => text.parse().ok(),
            _ => None,
        }
        .filter(|number| *number != u64::MAX)
    }

    /// A number that systemd keeps in 32 bits; 0 where it is not set.
    pub(super) fn small(&self, name: &str) -> u32 {
        self.number(name).and_then(|number| u32::try_from(number).ok()).unwrap_or(0)
    }

    /// A yes or no.
    pub(super) fn flag(&self, name: &str) -> bool {
        match self.0.get(name) {
            Some(Value::Flag(flag)) => *flag,
            Some(Value::Text(text)) => text == "yes",
            _ => false,
        }
    }

    /// A list of strings.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        match self.0.get(name) {
            Some(Value::List(list)) => list.clone(),
            // It quotes an item that a shell would split.
            Some(Value::Text(text)) => shlex::split(text).unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    /// A 128-bit id in hexadecimal.
    pub(super) fn id(&self, name: &str) -> Option<String> {
        let id = match self.0.get(name)? {
            Value::Bytes(bytes) => format!("{:032x}", u128::from_be_bytes(bytes.as_slice().try_into().ok()?)),
            Value::Text(text) => text.clone(),
            _ => return None,
        };
        (!id.is_empty()).then_some(id)
    }

    /// A point in time in microseconds since 1970; `None` for never.
    pub(super) fn time(&self, name: &str) -> Option<u64> {
        match self.0.get(name)? {
            Value::Number(usec) => Some(*usec),
            Value::Text(text) => parse_time(text),
            _ => None,
        }
        .filter(|usec| *usec != 0 && *usec != u64::MAX)
    }

    /// The latest point in time that a time may mean: `systemctl show` prints whole seconds, and what was started in one is
    /// not older than what happened in the same second.
    pub(super) fn latest_time(&self, name: &str) -> Option<u64> {
        let within = if matches!(self.0.get(name)?, Value::Text(_)) { 999_999 } else { 0 };
        Some(self.time(name)? + within)
    }

    /// The words of an error that is kept as a property.
    pub(super) fn error(&self, name: &str) -> Option<&str> {
        let words = match self.0.get(name)? {
            Value::Pair(_, words) => words,
            Value::Text(text) => text.split_once(' ').map_or("", |(_, words)| words.trim_matches('"')),
            _ => return None,
        };
        (!words.is_empty()).then_some(words)
    }

    /// A cgroup as a path from the root of the tree, `None` where there is none or it leads elsewhere.
    pub(super) fn cgroup(&self, name: &str) -> Option<&str> {
        let path = self.text(name);
        let plain = path.len() > 1
            && path.starts_with('/')
            && !path.chars().any(char::is_control)
            && Utf8Path::new(path).components().all(|part| part.as_str() != "..");
        plain.then_some(path)
    }
}

/// Reads `Fri 2026-11-20 18:55:31 UTC`, as `systemctl show` prints times where TZ is UTC.
fn parse_time(text: &str) -> Option<u64> {
    let (_weekday, rest) = text.split_once(' ')?;
    let time = jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S", rest.strip_suffix(" UTC")?).ok()?;
    let time = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    u64::try_from(time.timestamp().as_microsecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str, value: &str) -> Properties {
        parse_show(&format!("{name}={value}\n")).remove(0)
    }

    #[test]
    fn blocks_are_told_apart_and_unknown_lines_survived() {
        let shown = parse_show("Id=a.service\nnonsense\nNRestarts=2\n\nId=b.service\nDescription=x=y\n");
        assert_eq!(shown.len(), 2);
        assert_eq!((shown[0].text("Id"), shown[0].number("NRestarts")), ("a.service", Some(2)));
        assert_eq!(shown[1].text("Description"), "x=y");
        assert!(parse_show("").is_empty());
    }

    #[test]
    fn what_is_not_set_is_none() {
        for unset in ["[not set]", "[no data]", "infinity", "18446744073709551615", ""] {
            assert_eq!(text("MemoryCurrent", unset).number("MemoryCurrent"), None, "{unset:?}");
        }
        let on_the_bus: Properties = [("MemoryCurrent".to_owned(), Value::Number(u64::MAX))].into_iter().collect();
        assert_eq!(on_the_bus.number("MemoryCurrent"), None);
        assert_eq!(text("MemoryCurrent", "4096").number("MemoryCurrent"), Some(4096));
    }

    #[test]
    fn times_are_read() {
        assert_eq!(text("T", "Fri 2026-11-20 19:07:22 UTC").time("T"), Some(1_795_201_642_000_000));
        for never in ["", "n/a", "Fri 2026-11-20 19:07:22 CET", "yesterday"] {
            assert_eq!(text("T", never).time("T"), None, "{never:?}");
        }
        let never: Properties = [("T".to_owned(), Value::Number(0))].into_iter().collect();
        assert_eq!(never.time("T"), None);
    }

    #[test]
    fn a_time_in_whole_seconds_may_be_the_end_of_its_second() {
        let shown = text("T", "Fri 2026-11-20 19:07:22 UTC");
        assert_eq!(shown.latest_time("T"), Some(1_795_201_642_999_999));
        assert_eq!(text("T", "n/a").latest_time("T"), None);
        let on_the_bus: Properties = [("T".to_owned(), Value::Number(1_795_201_642_123_456))].into_iter().collect();
        assert_eq!(on_the_bus.latest_time("T"), Some(1_795_201_642_123_456));
    }

    #[test]
    fn lists_may_hold_quoted_items() {
        let shown = text("DropInPaths", r#""/home/bee/50 nice.conf" /home/bee/60.conf"#);
        assert_eq!(shown.list("DropInPaths"), ["/home/bee/50 nice.conf", "/home/bee/60.conf"]);
        assert!(text("DropInPaths", "").list("DropInPaths").is_empty());
    }

    #[test]
    fn a_cgroup_leads_down_from_the_root() {
        for (shown, cgroup) in [
            ("/user.slice/a.service", Some("/user.slice/a.service")),
            ("", None),
            ("/", None),
            ("a.service", None),
            ("/user.slice/../../etc", None),
            ("/user.slice/\u{1b}[31m", None),
        ] {
            assert_eq!(text("ControlGroup", shown).cgroup("ControlGroup"), cgroup, "{shown:?}");
        }
    }
}
