//! Questions in the words of `answers.sh`.

use super::super::query::{Ask, HostPath, Query};
use super::change;

/// Names a question as `answers.sh` does, with its path or else its word.
pub(super) fn words(ask: &Ask) -> (&'static str, Option<&HostPath>, String) {
    let at = |what, path| (what, Some(path), String::new());
    match ask {
        Ask::File(path) => at("file", path),
        Ask::Size(path) => at("size", path),
        Ask::Tree(path) => at("tree", path),
        Ask::Program(name) => ("program", None, name.clone()),
        Ask::Cgroup(path) => at("cgroup", path),
        Ask::Listeners(path) => at("listeners", path),
        Ask::Sockets(pids) => ("sockets", None, pids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")),
        Ask::Folder(path) => at("folder", path),
        Ask::Processes(path) => at("table", path),
        Ask::Crontab(path) => at("crontab", path),
        // The whole table is told: the port is looked for here.
        Ask::Listening(_) => ("listening", None, String::new()),
        Ask::Libc => ("libc", None, String::new()),
        Ask::Script { text, .. } => ("script", None, text.len().to_string()),
        // The host adds what it calls itself.
        Ask::Locked(name) => ("locked", None, format!("unitbee/lock/{name}")),
    }
}

/// The arguments that a query is, three for each question.
pub(super) fn arguments(query: &Query) -> Vec<String> {
    let three = |ask: &Ask| match words(ask) {
        (what, Some(HostPath { base, rel }), _) => [what.to_owned(), change::base(*base).to_owned(), rel.to_string()],
        (what, None, word) => {
            let about = match ask {
                Ask::Script { system, args, .. } => {
                    [*system].into_iter().chain(args.iter().map(String::as_str)).collect::<Vec<_>>().join("\n")
                }
                Ask::Locked(_) => "state".to_owned(),
                _ => "-".to_owned(),
            };
            [what.to_owned(), about, word]
        }
    };
    query.asks.iter().flat_map(three).collect()
}

/// What a host reads while it answers.
pub(super) fn scripts(query: &Query) -> Vec<&[u8]> {
    let text = |ask| if let &Ask::Script { text, .. } = ask { Some(str::as_bytes(text)) } else { None };
    query.asks.iter().filter_map(text).collect()
}
