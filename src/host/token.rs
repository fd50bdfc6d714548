//! The name of a lock's token: `<pid>.<start>.<boot>.<nonce>.<since>.<owner>`.
//!
//! All that is to be known of the holder is in the name, so that a lock can be taken where no byte is free. What older
//! versions called a token ends with the nonce, and its owner is what the file holds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::query::Holder;
use super::{HostError, printable};

/// The name of a token that nobody holds.
pub(super) const FREE: &str = "free";

/// How long the text of an owner may be in a name: a name has at most 255 bytes, and on a full XFS there is only room for
/// one that fits into the inode of its folder.
const LONGEST: usize = 100;

/// Writes the text of an owner as a part of a name.
pub(super) fn escape(owner: &str) -> String {
    let mut word = String::new();
    for byte in owner.bytes() {
        let part = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'@' | b'.' | b'_' | b'-' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        };
        if word.len() + part.len() > LONGEST {
            break;
        }
        word.push_str(&part);
    }
    word
}

/// Reads what [`escape`] wrote.
fn unescape(word: &str) -> Vec<u8> {
    let mut text = Vec::new();
    let mut rest = word.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let code = code.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| *first == b'%');
        text.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    text
}

/// Names the token of `holder`, which is `<pid>.<start>.<boot>`.
pub(super) fn name(holder: &str, nonce: &str, owner: &str) -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    format!("{holder}.{nonce}.{since}.{}", escape(owner))
}

/// Who holds a lock, by the name of its token and what the file says. `None` for a lock that is free.
pub(super) fn holder(name: &str, content: &[u8], alive: bool) -> Option<Holder> {
    if name == FREE || name.starts_with('.') || name.is_empty() {
        return None;
    }
    let mut parts = name.splitn(6, '.').skip(4);
    let since = parts.next().and_then(|since| since.parse().ok());
    let named = parts.next().map(unescape).unwrap_or_default();
    let text = if named.is_empty() { content } else { &named };
    let text = printable(text).split_whitespace().collect::<Vec<_>>().join(" ");
    let owner = if text.is_empty() { "somebody".into() } else { text.chars().take(200).collect() };
    Some(Holder { owner, token: name.to_owned(), alive, since })
}

/// Tells whether the process that a token is called after is the one that has its number and started at `found`; a holder
/// that could not find out when it started has 0 for it.
pub(super) fn names(token: &str, boot: &str, found: Option<u64>) -> bool {
    let mut parts = token.split('.').skip(1);
    let (start, of_boot) = (parts.next().and_then(|start| start.parse().ok()), parts.next());
    of_boot == Some(boot) && found.is_some() && (start == Some(0) || start == found)
}

/// Tells of a lock that somebody has, at the moment `now` of the same clock that its token is by.
pub(super) fn busy(host: &str, holder: Option<Holder>, now: i64) -> HostError {
    let owner = holder.as_ref().map_or_else(|| "somebody".into(), |holder| holder.owner.clone());
    let past = holder.and_then(|holder| holder.since).and_then(|since| u64::try_from(now - since).ok());
    HostError::Busy { host: host.into(), owner, held_for: past.map(Duration::from_secs) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_comes_back_from_a_name() {
        for owner in ["ann@gpu1.lan, process 4711", "émile: apply/100% *?", "a.b.c", "%41"] {
            let name = name("1.2.boot", "nonce", owner);
            assert!(name.is_ascii() && !name.contains(['/', ' ', '*', '?', '\'']), "{name}");
            let found = holder(&name, b"", true).unwrap();
            assert_eq!((found.owner.as_str(), found.token.as_str()), (owner, name.as_str()));
            assert!(found.since.unwrap() > 1_700_000_000, "{name}");
        }
        assert_eq!(escape(&"é".repeat(60)), "%C3%A9".repeat(16) + "%C3");
        assert!(name(&"9".repeat(60), &"f".repeat(32), &"/".repeat(500)).len() < 255);
    }

    #[test]
    fn a_token_of_an_older_version_says_inside_who_holds_it() {
        let found = holder("1.2.boot.nonce", b"ann:\napply\x1b", false).unwrap();
        assert_eq!((found.owner.as_str(), found.since, found.alive), ("ann: apply\\u{1b}", None, false));
        assert_eq!(holder("1.2.boot.nonce", b"", true).unwrap().owner, "somebody");
        assert_eq!(holder(FREE, b"", true), None);
    }
}
