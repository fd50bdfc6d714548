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
pub(super) static PIPE: LazyLock<String> = LazyLock::new(|| script!("frame", "program", "pipe").text());

/// Runs what is on the lines after the first of its standard input, `$1` bytes, and takes no more: what follows is for
/// somebody else. Only where the locale is C are lengths those of bytes. It has to pass every login shell as it is, like
/// what [`command`] makes, and starts fewer processes than that.
const RECEIVE: &str = r#"read -r _; eval "$(LC_ALL=C; n=$1; while [ $n -gt 0 ]; do p=$(dd bs=$n count=1 2>/dev/null && echo .); p=${p%.}; [ -n "$p" ] || exit 1; printf %s "$p"; n=$((n - ${#p})); done)""#;

/// Runs nothing: whether its marks come shows whether a host runs scripts at all.
pub(super) const MARKS: &str = "printf '\\n@%s begin\\n' \"$1\"\n";

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

/// The longest word of a command: old csh takes no more than 1024 bytes.
const SHORT_WORD: usize = 900;

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
    let line = command(&format!("set --{words}\n{script}"));
    if line.len() <= LONGEST_LINE {
        return Ok(Sendable { line, rest: String::new() });
    }
    // The brackets see to it that half of it is nothing.
    let text = format!("{{\nset --{words}\n{script}\n}}\n");
    // The first line is for another shell that reads this in place of the command: it is to go, and to say so.
    let rest = format!("echo {nonce} $SHELL; exit\n{text}");
    if rest.len() > LONGEST {
        return Err("it is longer than a host takes");
    }
    Ok(Sendable { line: format!("sh -c '{RECEIVE}' sh {}", text.len()), rest })
}

/// Writes down a command that has sh run `text`, as every login shell reads it.
///
/// Shells differ in what a newline, a backslash, a quote, an exclamation mark or a letter beyond ASCII means between single
/// quotes (csh, fish, elvish, nushell, yash in the C locale), and a restricted one knows no `exec`. So there is none of
/// them: printf(1) of sh puts them back. What a shell says of itself begins with its `$0`, which gets into messages: that
/// is `sh`.
fn command(text: &str) -> String {
    let mut line = String::from(r#"sh -c 'eval "$(printf %b "$@")"' sh '"#);
    let mut word = 0;
    for &byte in text.as_bytes() {
        let begun = line.len();
        match byte {
            b'\n' => line.push_str("\\n"),
            b'\'' | b'\\' | b'!' | ..=0x1f | 0x7f.. => drop(write!(line, "\\0{byte:03o}")),
            _ => line.push(byte.into()),
        }
        word += line.len() - begun;
        if word >= SHORT_WORD {
            line.push_str("' '");
            word = 0;
        }
    }
    line.push('\'');
    line
}

/// Appends one word as sh reads it.
fn quote(word: &str, line: &mut String) {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        line.push_str(word);
    } else {
        line.push('\'');
        line.push_str(&word.replace('\'', r"'\''"));
        line.push('\'');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_sh() {
        let quoted = |word: &str| {
            let mut line = String::new();
            quote(word, &mut line);
            line
        };
        assert_eq!(quoted("/plain/x-1_y.z"), "/plain/x-1_y.z");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted(r"it's"), r"'it'\''s'");
        assert_eq!(quoted("~"), "'~'");
    }

    #[test]
    fn a_command_holds_nothing_that_shells_differ_in() {
        let line = command("it's\\ a!\n\té");
        assert_eq!(line, r#"sh -c 'eval "$(printf %b "$@")"' sh 'it\0047s\0134 a\0041\n\0011\0303\0251'"#);
        let line = command(&"'x".repeat(5000));
        assert!(line.split('\'').all(|word| word.len() < 1000));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the shells of this machine are asked")]
    fn every_shell_reads_the_same_word() {
        use std::process::{Command, Stdio};

        let words =
            ["", " ", "a'b", r"a\'b", r"\\", r"x\ny", "!!", "$HOME `id` \"q\"", "*?[a]~", "a\nb", "é\u{2028}\u{7f}"];
        let shells =
            ["sh", "bash", "rbash", "busybox ash", "fish", "zsh", "mksh", "tcsh", "bsd-csh", "elvish", "yash", "nu"];
        for shell in shells {
            // Long enough for the second way, too.
            for filler in ["", ":\n".repeat(5000).as_str()] {
                let sent = sendable(&format!("{filler}printf '%s|' \"$@\"\ncat"), "n", words).unwrap();
                let mut parts = shell.split(' ');
                let mut command = Command::new(parts.next().unwrap());
                command.args(parts).args(["-c", &sent.line]).env("LC_ALL", "C");
                let Ok(mut child) = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() else {
                    // Those that are not installed have no say; sh is.
                    assert_ne!(shell, "sh");
                    continue;
                };
                let mut stdin = child.stdin.take().unwrap();
                std::io::Write::write_all(&mut stdin, [sent.rest.as_bytes(), b"more"].concat().as_slice()).unwrap();
                drop(stdin);
                let said = child.wait_with_output().unwrap();
                let expected = format!("n|{}|more", words.join("|"));
                assert_eq!(String::from_utf8_lossy(&said.stdout), expected, "{shell}: {}", sent.line);
            }
        }
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        assert!(sendable("x", "n", ["a\0b"]).is_err());
        assert!(sendable("x", "n", ["a".repeat(LONGEST_WORD).as_str()]).is_err());
        assert!(sendable("x", "n", vec!["a".repeat(1000).as_str(); 1100]).is_err());
        let sent =
            Sendable { line: r#"sh -c 'eval "$(printf %b "$@")"' sh 'set -- n a\nx'"#.into(), rest: String::new() };
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
            // Questions take the way that has no such limit: with their arguments they would seldom fit.
            let fits = sendable(text, "n", ["some", "arguments"]).unwrap().rest.is_empty();
            let asks = [&raw const LOCK, &raw const QUERY].iter().any(|slow| std::ptr::eq(text, *slow));
            assert_ne!(fits, asks, "{} bytes", text.len());
        }
    }
}
