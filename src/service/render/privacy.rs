//! What macOS keeps from a program that launchd runs, though the same program has it in Terminal or over SSH: folders of the
//! account (TCC), the local network (Apple's technical note TN3179), and everything before the disk is unlocked.

use std::net::IpAddr;

use camino::Utf8Path;

use crate::service::spec::{Scope, UnitSpec};

/// Folders below the home that a program sees only when it was allowed to at the screen; the last two are iCloud Drive
/// and what other clouds show.
const OF_THE_HOME: [&str; 5] =
    ["Desktop", "Documents", "Downloads", "Library/Mobile Documents", "Library/CloudStorage"];

/// Removable disks, and those of other machines.
const OF_THE_MACHINE: [&str; 2] = ["/Volumes", "/Network"];

/// What of a service meets this, in sentences: `program` and `log` are where it will find them, `home` is its account's.
pub(super) fn notes(spec: &UnitSpec, program: &Utf8Path, log: &Utf8Path, home: &Utf8Path) -> Vec<String> {
    let mut notes: Vec<String> =
        paths(spec, program, log).into_iter().filter_map(|(what, path)| guarded(&what, path, home)).collect();
    if spec.scope == Scope::User {
        notes.extend(local_network(spec));
    } else {
        notes.push("where FileVault is on, nothing starts after a reboot until somebody unlocks the disk".to_owned());
    }
    notes
}

/// All paths that the definition of a service names, each with what it is.
fn paths<'a>(spec: &'a UnitSpec, program: &'a Utf8Path, log: &'a Utf8Path) -> Vec<(String, &'a Utf8Path)> {
    let mut paths = vec![("its program".to_owned(), program), ("its log".to_owned(), log)];
    paths.extend(spec.working_dir.as_deref().map(|path| ("its working directory".to_owned(), path)));
    paths.extend(words(spec).filter_map(|(what, word)| {
        // Also as in `--models=/Users/bee/Documents/models`.
        let path = if word.starts_with('/') { word } else { &word[word.find("=/")? + 1..] };
        Some((what, Utf8Path::new(path)))
    }));
    paths
}

/// The arguments and the values of variables, each with what it is.
fn words(spec: &UnitSpec) -> impl Iterator<Item = (String, &str)> {
    let args = spec.args.iter().zip(1..).map(|(arg, number)| (format!("argument {number}"), arg.as_str()));
    args.chain(spec.env.iter().map(|(name, value)| (format!("the variable {name}"), value.as_str())))
}

fn guarded(what: &str, path: &Utf8Path, home: &Utf8Path) -> Option<String> {
    let of_the_home = OF_THE_HOME.iter().map(|folder| home.join(folder));
    let mut folders = of_the_home.chain(OF_THE_MACHINE.map(Into::into));
    let folder = folders.find(|folder| is_below(path, folder))?;
    Some(format!(
        "{what} lies in {folder}, which macOS guards: until the program is allowed to see it (Privacy & Security, Full Disk \
         Access), it ends with 78 or is told \"Operation not permitted\", though the same works over SSH"
    ))
}

/// The file systems of a Mac make no difference between `documents` and `Documents` unless they were told to.
fn is_below(path: &Utf8Path, folder: &Utf8Path) -> bool {
    let mut parts = path.components();
    folder
        .components()
        .all(|wanted| parts.next().is_some_and(|part| part.as_str().eq_ignore_ascii_case(wanted.as_str())))
}

/// Agents need leave for it, daemons do not.
fn local_network(spec: &UnitSpec) -> Option<String> {
    let (what, neighbour) = words(spec).find_map(|(what, word)| Some((what, neighbour(word)?)))?;
    Some(format!(
        "{what} names {neighbour}: since macOS 15 an agent connects to the local network only when that was allowed at the \
         screen (Privacy & Security, Local Network), and a new program may be asked about again; a service with `scope = \
         \"system\"` needs no leave"
    ))
}

/// Finds an address of a local network in a word, or a name that only such a network knows.
fn neighbour(word: &str) -> Option<&str> {
    let parts = word.split(|c: char| !(c.is_ascii_alphanumeric() || ".-:".contains(c)));
    parts.flat_map(|part| [part, part.rsplit_once(':').map_or(part, |(host, _)| host)]).find(|host| {
        match host.parse() {
            Ok(IpAddr::V4(addr)) => addr.is_private() || addr.is_link_local(),
            Ok(IpAddr::V6(addr)) => addr.is_unique_local() || addr.is_unicast_link_local(),
            Err(_) => host.len() > ".local".len() && host.to_ascii_lowercase().ends_with(".local"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guarded_folders_are_known_in_any_case() {
        let home = Utf8Path::new("/Users/bee");
        for (path, folder) in [
            ("/Users/bee/Documents/llm", Some("/Users/bee/Documents")),
            ("/users/bee/documents", Some("/Users/bee/Documents")),
            ("/Users/bee/Library/Mobile Documents/x", Some("/Users/bee/Library/Mobile Documents")),
            ("/Volumes/stick/llm", Some("/Volumes")),
            ("/Users/bee/Documents2/llm", None),
            ("/Users/bee/.local/share/unitbee/store/1/llm", None),
            ("/Users/bee", None),
            ("/Users/ann/Documents", None),
            ("/srv/Documents", None),
        ] {
            let note = guarded("its log", path.into(), home);
            assert_eq!(note.is_some(), folder.is_some(), "{path}");
            assert!(
                note.is_none_or(|note| note.starts_with(&format!("its log lies in {}, ", folder.unwrap()))),
                "{path}"
            );
        }
    }

    #[test]
    fn neighbours_are_found_in_words() {
        for (word, found) in [
            ("192.168.1.5", Some("192.168.1.5")),
            ("http://10.0.0.7:8080/x", Some("10.0.0.7")),
            ("--peers=a:1,172.16.0.9:22", Some("172.16.0.9")),
            ("http://nas.local/share", Some("nas.local")),
            ("NAS.Local:445", Some("NAS.Local")),
            ("http://[fe80::1]:80/", Some("fe80::1")),
            ("fd00::2", Some("fd00::2")),
            ("127.0.0.1:8080", None),
            ("0.0.0.0", None),
            ("::1", None),
            ("1.1.1.1", None),
            ("/Users/bee/.local/share", None),
            ("localhost", None),
            ("v10.0.0", None),
        ] {
            assert_eq!(neighbour(word), found, "{word}");
        }
    }
}
