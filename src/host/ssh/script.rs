//! The scripts that run on the far side, and how they and their arguments pass its login shell unharmed.

use std::sync::LazyLock;

/// A script of `templates/host`, put together from its parts.
pub(super) struct Script(&'static [&'static str]);

macro_rules! script {
    ($($part:literal),+) => {
        Script(&[$(include_str!(concat!("../../../templates/host/", $part, ".sh"))),+])
    };
}

pub(super) static QUERY: LazyLock<String> = LazyLock::new(|| script!("frame", "places", "answers", "query").text());
pub(super) static LOCK: LazyLock<String> = LazyLock::new(|| script!("frame", "places", "answers", "lock").text());
pub(super) static CHANGE: LazyLock<String> = LazyLock::new(|| script!("frame", "places", "change").text());
pub(super) static RUN: LazyLock<String> = LazyLock::new(|| script!("frame", "program", "run").text());
pub(super) static PIPE: LazyLock<String> = LazyLock::new(|| script!("frame", "program", "pipe").text());

impl Script {
    /// Leaves out comments and empty lines: the far side does not read them.
    fn text(&self) -> String {
        let lines = self.0.iter().flat_map(|part| part.lines());
        let told = lines.filter(|line| !line.trim_start().starts_with('#') && !line.is_empty());
        told.fold(String::new(), |text, line| text + line + "\n")
    }
}

/// Linux takes no more in one argument, and the login shell gets the whole command in one.
const LONGEST: usize = 128 << 10;

/// Writes the command that runs `script` with `nonce` and `args`, or says why it cannot be sent.
pub(super) fn command<'a>(
    script: &str,
    nonce: &'a str,
    args: impl IntoIterator<Item = &'a str>,
) -> Result<String, &'static str> {
    let mut line = String::from("exec sh -c ");
    quote(script, &mut line);
    for word in ["sh", nonce].into_iter().chain(args) {
        line.push(' ');
        quote(word, &mut line);
    }
    if line.contains('\0') {
        Err("it holds a NUL byte")
    } else if line.len() >= LONGEST {
        Err("it is longer than a host takes")
    } else {
        Ok(line)
    }
}

/// Appends one word as sh, bash, zsh and fish alike read it.
///
/// fish gives a backslash a meaning between single quotes, and csh and bash an exclamation mark; outside of them
/// all agree on what a backslash does. (csh does not take a newline between quotes: it cannot be a login shell here.)
fn quote(word: &str, line: &mut String) {
    let mut quoted = false;
    for character in word.chars() {
        let special = matches!(character, '\'' | '\\' | '!');
        if special == quoted {
            line.push('\'');
            quoted = !quoted;
        }
        if special {
            line.push('\\');
        }
        line.push(character);
    }
    if quoted || word.is_empty() {
        line.push('\'');
    }
    if word.is_empty() {
        line.push('\'');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(word: &str) -> String {
        let mut line = String::new();
        quote(word, &mut line);
        line
    }

    #[test]
    fn quotes_and_backslashes_stand_outside_of_quotes() {
        assert_eq!(quoted("plain"), "'plain'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted(r"it's"), r"'it'\''s'");
        assert_eq!(quoted(r"\"), r"\\");
        assert_eq!(quoted(r"'!"), r"\'\!");
        assert_eq!(quoted("a\\n!'b"), r"'a'\\'n'\!\''b'");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the shells of this machine are asked")]
    fn every_shell_reads_the_same_word() {
        let words = ["", " ", "a'b", r"a\'b", r"\\", r"x\ny", "!!", "$HOME `id` \"q\"", "*?[a]~", "a\nb", "é\u{2028}"];
        for (shell, before) in [("sh", &[][..]), ("bash", &[]), ("busybox", &["ash"]), ("fish", &[]), ("zsh", &[])] {
            for word in words {
                let line = command("printf %s \"$2\"", "n", [word]).unwrap();
                // Those that are not installed have no say; sh is.
                let said = std::process::Command::new(shell).args(before).args(["-c", &line]).output();
                if shell == "sh" || said.is_ok() {
                    assert_eq!(String::from_utf8_lossy(&said.unwrap().stdout), word, "{shell}: {line}");
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        assert!(command("x", "n", ["a\0b"]).is_err());
        assert!(command("x", "n", ["a".repeat(LONGEST).as_str()]).is_err());
        assert_eq!(command("x", "n", ["a"]).unwrap(), "exec sh -c 'x' 'sh' 'n' 'a'");
    }

    /// A minute is a second here: the holder speaks for three of them, then falls silent and loses the lock.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "the script is run by the shell of this machine")]
    fn a_lock_is_free_when_its_holder_falls_silent() {
        use std::io::{Read, Write};
        use std::process::{Command, Stdio};
        use std::thread::sleep;
        use std::time::{Duration, Instant};

        let home = tempfile::tempdir().unwrap();
        let lock = home.path().join(".local/state/unitbee/lock");
        let script = LOCK.replace("sleep 60", "sleep 1");
        let mut holder = Command::new("sh")
            .args(["-c", &script, "sh", "n", "apply", "me", "0"])
            .env("HOME", home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut stdin, mut stdout) = (holder.stdin.take().unwrap(), holder.stdout.take().unwrap());
        let mut said = Vec::new();
        while !said.ends_with(b"\n@n end 0\n") {
            let mut byte = [0];
            stdout.read_exact(&mut byte).unwrap();
            said.extend(byte);
        }
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(3) {
            stdin.write_all(b"\n").unwrap();
            sleep(Duration::from_millis(100));
            assert!(lock.exists(), "it was given up after {:?}", begun.elapsed());
        }
        // Standard input is still open, as behind a cable that was cut.
        holder.wait().unwrap();
        assert!(begun.elapsed() > Duration::from_secs(3) && !lock.exists());
        drop(stdin);
    }

    #[test]
    fn scripts_are_sent_without_their_comments() {
        for text in [&QUERY, &LOCK, &CHANGE, &RUN, &PIPE] {
            assert!(text.starts_with("nonce=$1\n") && !text.contains("shellcheck"), "{}", text.as_str());
            assert!(text.len() < 16 << 10);
        }
    }
}
