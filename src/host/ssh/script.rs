//! The scripts that run on the far side, and how they and their arguments pass its login shell unharmed.

use std::fmt::Write;
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
static RECEIVE: LazyLock<String> = LazyLock::new(|| script!("receive").text());
pub(super) static PIPE: LazyLock<String> = LazyLock::new(|| script!("frame", "program", "pipe").text());

impl Script {
    /// Leaves out comments, empty lines and indentation: the far side does not read them.
    fn text(&self) -> String {
        let lines = self.0.iter().flat_map(|part| part.lines()).map(str::trim_start);
        let told = lines.filter(|line| !line.starts_with('#') && !line.is_empty());
        told.fold(String::new(), |text, line| text + line + "\n")
    }
}

/// What every sshd takes as a command: dropbear's `MAX_CMD_LEN` is 9000. (With OpenSSH it is the 128 KiB that Linux
/// takes in one argument, for the login shell gets the whole command in one.)
const LONGEST_LINE: usize = 8999;

/// Linux takes no more in one argument.
const LONGEST_WORD: usize = 128 << 10;

/// Nobody asks for so much.
const LONGEST: usize = 1 << 20;

/// A script with its arguments, ready to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sendable {
    /// The command.
    pub(super) line: String,
    /// What the command reads from its standard input before anything else.
    pub(super) rest: String,
}

/// Writes down how `script` is run with `nonce` and `args`, or says why it cannot be sent.
pub(super) fn sendable<'a>(
    script: &str,
    nonce: &'a str,
    args: impl IntoIterator<Item = &'a str>,
) -> Result<Sendable, &'static str> {
    let mut words = String::new();
    for word in [nonce].into_iter().chain(args) {
        if word.len() >= LONGEST_WORD {
            return Err("it is longer than a host takes");
        }
        words.push(' ');
        quote(word, &mut words);
    }
    if script.contains('\0') || words.contains('\0') {
        return Err("it holds a NUL byte");
    }
    let mut line = String::from("exec sh -c ");
    quote(script, &mut line);
    line = line + " sh" + &words;
    if line.len() <= LONGEST_LINE {
        return Ok(Sendable { line, rest: String::new() });
    }
    // What a shell says of itself begins with its `$0`: that is `sh` here too, for it gets into messages.
    // The brackets see to it that half of it is nothing.
    let rest = format!("{{\nset --{words}\n{script}\n}}\n");
    if rest.len() > LONGEST {
        return Err("it is longer than a host takes");
    }
    let mut line = String::from(r#"exec sh -c 'eval "$(LC_ALL=C exec sh -c "$1" sh "$2")"' sh "#);
    quote(&RECEIVE, &mut line);
    write!(line, " {}", rest.len()).ok();
    Ok(Sendable { line, rest })
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
                let line = sendable("printf %s \"$2\"", "n", [word]).unwrap().line;
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
        assert!(sendable("x", "n", ["a\0b"]).is_err());
        assert!(sendable("x", "n", ["a".repeat(LONGEST_WORD).as_str()]).is_err());
        assert!(sendable("x", "n", vec!["a".repeat(1000).as_str(); 1100]).is_err());
        let sent = Sendable { line: "exec sh -c 'x' sh 'n' 'a'".into(), rest: String::new() };
        assert_eq!(sendable("x", "n", ["a"]).unwrap(), sent);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the script is run by the shell of this machine")]
    fn what_is_too_long_for_a_command_is_read_by_it() {
        use std::io::Write;
        use std::process::{Command, Stdio};

        let word = "it's a\\b é $HOME\n".repeat(2000);
        let sent = sendable("printf '%s|' \"$2\"; cat", "n", [word.as_str()]).unwrap();
        assert!(sent.line.len() <= LONGEST_LINE && sent.rest.len() > LONGEST_LINE);
        for (given, expected) in [(sent.rest.len(), format!("{word}|more")), (sent.rest.len() - 3, String::new())] {
            let mut shell = Command::new("sh")
                .args(["-c", &sent.line])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut stdin = shell.stdin.take().unwrap();
            // In pieces that end within a letter, so that no read gets all of it.
            for piece in sent.rest.as_bytes()[..given].chunks(9973) {
                stdin.write_all(piece).unwrap();
                stdin.flush().unwrap();
                std::thread::yield_now();
            }
            if given == sent.rest.len() {
                stdin.write_all(b"more").unwrap();
            }
            drop(stdin);
            let said = shell.wait_with_output().unwrap();
            assert!(String::from_utf8_lossy(&said.stdout) == expected, "after {given} bytes: {said:?}");
        }
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
            .args(["-c", &script, "sh", "n", "apply", "me"])
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
            // The lock is taken only where something is to be changed: it may take the slower way.
            let fits = sendable(text, "n", ["some", "arguments"]).unwrap().rest.is_empty();
            assert!(fits || std::ptr::eq(text, &raw const LOCK), "{} bytes", text.len());
        }
    }
}
