//! What ssh(1) says when it cannot connect, turned into a [`ConnectFault`] and one line.
//!
//! The texts are OpenSSH's own and those of strerror(3) in the C locale, which the master is started with. They may
//! change from release to release: what is not recognised is [`ConnectFault::Other`] with ssh's last words.

use super::super::{ConnectFault, printable};

/// What is looked for, in this order: a line that explains comes before one that only follows from it.
const SIGNS: [(&str, ConnectFault); 15] = [
    ("Could not resolve hostname", ConnectFault::UnknownName),
    ("has changed and you have requested strict checking", ConnectFault::HostKey),
    ("host key is known for", ConnectFault::HostKey),
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", ConnectFault::HostKey),
    ("Host key verification failed", ConnectFault::HostKey),
    ("Permission denied (", ConnectFault::Refused),
    ("Too many authentication failures", ConnectFault::Refused),
    (PROXY, ConnectFault::Unreachable),
    ("connect to host", ConnectFault::Unreachable),
    ("timed out", ConnectFault::Unreachable),
    ("No route to host", ConnectFault::Unreachable),
    ("Network is unreachable", ConnectFault::Unreachable),
    ("Connection closed by", ConnectFault::Unreachable),
    ("Connection reset by", ConnectFault::Unreachable),
    ("kex_exchange_identification", ConnectFault::Unreachable),
];

/// What ssh says where the other side went before it said who it is.
const GONE: &str = "_exchange_identification: ";

/// What it says where that was behind a proxy.
const PROXY: &str = "UNKNOWN port 65535";

/// Before a line that was not yet the other side's name of itself; ssh shows it only from `LogLevel DEBUG1` on.
const BANNER: &str = "kex_exchange_identification: banner line ";

/// Tells whether it was behind a proxy that the connection ended, which may have been for any reason.
pub(super) fn is_behind_proxy(log: &[u8]) -> bool {
    String::from_utf8_lossy(log).contains(PROXY)
}

/// Finds out from what ssh printed why there is no connection.
pub(super) fn interpret(log: &[u8]) -> (ConnectFault, String) {
    let text = printable(&log.iter().copied().filter(|byte| *byte != b'\r').collect::<Vec<_>>());
    let lines = text.lines().map(|line| line.trim().trim_start_matches("ssh: "));
    let (aside, lines): (Vec<&str>, Vec<&str>) =
        lines.partition(|line| line.starts_with("debug1: ") || line.starts_with("OpenSSH_"));
    let is_gone = |line: &&str| line.contains(GONE) && (line.contains("closed by") || line.contains("reset by peer"));
    let banner = aside.iter().find_map(|line| line.split_once(BANNER)?.1.split_once(": "));
    if lines.iter().any(is_gone) && (banner.is_some() || !lines.iter().any(|line| line.contains(PROXY))) {
        let said = banner.map(|(_, said)| format!(": {}", shortened(said))).unwrap_or_default();
        return (ConnectFault::Dropped, format!("its sshd closed the connection before the login{said}"));
    }
    for (sign, fault) in SIGNS {
        if let Some(line) = lines.iter().find(|line| line.contains(sign)) {
            return (fault, explained(sign, line));
        }
    }
    // `terminating, 1 bad configuration options` only counts what the lines before it say.
    let last = lines.iter().rev().find(|line| !line.is_empty() && !line.contains("terminating, "));
    (ConnectFault::Other, last.map_or_else(|| "ssh gave no reason".into(), |line| shortened(line)))
}

fn explained(sign: &str, line: &str) -> String {
    match sign {
        PROXY => "the jump host or proxy command did not let us through".into(),
        "Host key verification failed" => "the host's key is not known here".into(),
        _ => shortened(line),
    }
}

fn shortened(line: &str) -> String {
    line.chars().take(300).collect::<String>().trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Taken from OpenSSH 9.2p1, with `BatchMode=yes`.
    const SAMPLES: [(&str, ConnectFault, &str); 15] = [
        (
            "kex_exchange_identification: Connection closed by remote host\r\nConnection closed by 127.0.0.1 port 22\r\n",
            ConnectFault::Dropped,
            "its sshd closed the connection before the login",
        ),
        (
            "kex_exchange_identification: read: Connection reset by peer\r\nConnection reset by 127.0.0.1 port 22\r\n",
            ConnectFault::Dropped,
            "its sshd closed the connection before the login",
        ),
        (
            "OpenSSH_9.2p1\r\ndebug1: kex_exchange_identification: banner line 0: Exceeded MaxStartups\r\nkex_exchange_identification: Connection closed by remote host\r\nConnection closed by UNKNOWN port 65535\r\n",
            ConnectFault::Dropped,
            "its sshd closed the connection before the login: Exceeded MaxStartups",
        ),
        (
            "ssh: Could not resolve hostname no-such-host.invalid: Name or service not known\r\n",
            ConnectFault::UnknownName,
            "Could not resolve hostname no-such-host.invalid: Name or service not known",
        ),
        (
            "ssh: connect to host 127.0.0.1 port 1: Connection refused\r\n",
            ConnectFault::Unreachable,
            "connect to host 127.0.0.1 port 1: Connection refused",
        ),
        (
            "ssh: connect to host 2001:db8::1 port 22: No route to host\r\n",
            ConnectFault::Unreachable,
            "connect to host 2001:db8::1 port 22: No route to host",
        ),
        (
            "Connection timed out during banner exchange\r\nConnection to 10.255.255.1 port 22 timed out\r\n",
            ConnectFault::Unreachable,
            "Connection timed out during banner exchange",
        ),
        (
            "kex_exchange_identification: Connection closed by remote host\r\nConnection closed by UNKNOWN port 65535\r\n",
            ConnectFault::Unreachable,
            "the jump host or proxy command did not let us through",
        ),
        (
            "Welcome to the bank.\r\nroot@127.0.0.1: Permission denied (publickey,password,keyboard-interactive).\r\n",
            ConnectFault::Refused,
            "root@127.0.0.1: Permission denied (publickey,password,keyboard-interactive)",
        ),
        (
            "Received disconnect from 127.0.0.1 port 22:2: Too many authentication failures\r\nDisconnected from 127.0.0.1 port 22\r\n",
            ConnectFault::Refused,
            "Received disconnect from 127.0.0.1 port 22:2: Too many authentication failures",
        ),
        (
            "No ED25519 host key is known for [127.0.0.1]:22444 and you have requested strict checking.\r\nHost key verification failed.\r\n",
            ConnectFault::HostKey,
            "No ED25519 host key is known for [127.0.0.1]:22444 and you have requested strict checking",
        ),
        ("Host key verification failed.\r\n", ConnectFault::HostKey, "the host's key is not known here"),
        (
            "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\n@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r\nIT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!\r\nOffending ED25519 key in /home/bee/.ssh/known_hosts:1\r\nHost key for [127.0.0.1]:22444 has changed and you have requested strict checking.\r\nHost key verification failed.\r\n",
            ConnectFault::HostKey,
            "Host key for [127.0.0.1]:22444 has changed and you have requested strict checking",
        ),
        (
            "bad: line 1: Bad configuration option: bogus\r\nbad: terminating, 1 bad configuration options\r\n",
            ConnectFault::Other,
            "bad: line 1: Bad configuration option: bogus",
        ),
        ("", ConnectFault::Other, "ssh gave no reason"),
    ];

    #[test]
    fn what_ssh_says_is_understood() {
        for (log, fault, detail) in SAMPLES {
            assert_eq!(interpret(log.as_bytes()), (fault, detail.to_owned()), "{log}");
        }
    }

    #[test]
    fn a_banner_cannot_reach_the_terminal() {
        let (_, detail) = interpret(b"\x1b]0;owned\x07");
        assert_eq!(detail, "\\u{1b}]0;owned\\u{7}");
    }
}
