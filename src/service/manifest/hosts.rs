//! The hosts of a manifest, and which of them a service is placed on.

use std::collections::BTreeMap;

use super::problem::Problems;
use super::read::{At, Entry, List, Map, closest, toml_key};
use super::{HostEntry, THIS_MACHINE, written};

const NAMING: &str = "write it without blanks and without a leading `-`";

/// Tells whether ssh(1) would take a text for a destination, and not for an option or for several words.
pub(super) fn is_destination(text: &str) -> bool {
    !text.is_empty() && !text.starts_with('-') && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// Returns the one destination of a machine: the loopback has several names.
pub(super) fn destination(text: &str) -> &str {
    if matches!(text, "127.0.0.1" | "::1" | "[::1]") { THIS_MACHINE } else { text }
}

/// Reads the hosts.
pub(super) fn table(written: &Entry<Map<written::Host>>, problems: &mut Problems<'_>) -> BTreeMap<String, HostEntry> {
    let Some(written) = written.value() else { return BTreeMap::new() };
    let names: Vec<&str> = written.keys().map(|name| name.value.as_str()).chain([THIS_MACHINE]).collect();
    let mut hosts = BTreeMap::new();
    for (name, host) in &written.0 {
        check(name, "host name", problems);
        let ssh = host.value().and_then(|host| host.ssh.at());
        if let Some(ssh) = ssh {
            check(ssh, "destination", problems);
        }
        let to = destination(ssh.map_or(&name.value, |ssh| &ssh.value));
        if name.value == THIS_MACHINE && to != THIS_MACHINE {
            let span = ssh.map_or(&name.span, |ssh| &ssh.span);
            problems.add(span, "`localhost` is this machine", "give the other machine another name");
        }
        let tags = host.value().and_then(|host| host.tags.value());
        let tags = tags.map_or_else(Vec::new, |tags| self::tags(tags, &names, problems));
        hosts.insert(name.value.clone(), HostEntry { ssh: to.to_owned(), tags });
    }
    hosts
}

fn tags(tags: &List<String>, hosts: &[&str], problems: &mut Problems<'_>) -> Vec<String> {
    for tag in tags.iter() {
        check(tag, "tag", problems);
        if hosts.contains(&tag.value.as_str()) {
            let message = format!("the tag `{}` is also the name of a host", tag.value);
            problems.add(&tag.span, message, "give the tag another name");
        }
    }
    tags.iter().map(|tag| tag.value.clone()).collect()
}

fn check(text: &At<String>, what: &str, problems: &mut Problems<'_>) {
    if !is_destination(&text.value) {
        problems.add(&text.span, format!("{:?} is no {what}", text.value), NAMING);
    }
}

/// Returns the names of the hosts that a service is placed on, each once.
pub(super) fn place(
    wanted: &Entry<List<String>>,
    hosts: &BTreeMap<String, HostEntry>,
    problems: &mut Problems<'_>,
) -> Vec<String> {
    let Some(wanted) = wanted.at() else { return vec![THIS_MACHINE.to_owned()] };
    if wanted.value.0.is_empty() {
        problems.add(&wanted.span, "the service is placed on no host", "leave `hosts` out for this machine");
    }
    let mut placed: Vec<String> = Vec::new();
    for at in wanted.value.iter() {
        let found = named(&at.value, hosts);
        if found.is_empty() {
            let message = format!("`{}` is neither a host nor a tag", at.value);
            problems.absence(&at.span, message, suggestion(&at.value, hosts));
        }
        for name in found {
            if !placed.contains(&name) {
                placed.push(name);
            }
        }
    }
    placed
}

/// Returns the hosts that a name or a tag means.
pub(super) fn named(name: &str, hosts: &BTreeMap<String, HostEntry>) -> Vec<String> {
    if hosts.contains_key(name) || name == THIS_MACHINE {
        return vec![name.to_owned()];
    }
    hosts.iter().filter(|(_, host)| host.tags.iter().any(|tag| tag == name)).map(|(name, _)| name.clone()).collect()
}

fn suggestion(name: &str, hosts: &BTreeMap<String, HostEntry>) -> String {
    let known = hosts.iter().flat_map(|(name, host)| host.tags.iter().chain([name])).map(String::as_str);
    match closest(name, known) {
        Some(close) => format!("did you mean `{close}`?"),
        None if is_destination(name) => format!("add [host.{}]", toml_key(name)),
        None => NAMING.to_owned(),
    }
}
