//! Readers of what Linux says of itself in text: `/proc`, `/etc/passwd`, the cgroup tree. See proc(5), passwd(5). What
//! netstat(1) prints elsewhere is read here too.
//!
//! They take bytes and touch nothing, so that this machine and a distant one are read by the same code.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use camino::Utf8PathBuf;

use super::query::{Entry, Listener};

/// The control files of a cgroup that are read, where they are there.
pub(super) const CONTROL_FILES: [&str; 11] = [
    "cgroup.controllers",
    "cgroup.events",
    "cpu.max",
    "cpu.stat",
    "memory.current",
    "memory.events",
    "memory.max",
    "memory.peak",
    "memory.swap.max",
    "pids.current",
    "pids.max",
];

/// Returns the start time in ticks since boot: field 22 of `/proc/<pid>/stat`.
///
/// `1234 (name with ) and blanks) S 1 1234 …`: only the last parenthesis ends the name.
pub(super) fn start_time(stat: &[u8]) -> Option<u64> {
    let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let rest = std::str::from_utf8(&stat[after_name..]).ok()?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Reads `/proc/<pid>/stat`; `None` for a process that has ended and only waits for its parent to notice.
pub(super) fn entry(stat: &[u8]) -> Option<Entry> {
    let (begin, end) = (stat.iter().position(|byte| *byte == b'(')?, stat.iter().rposition(|byte| *byte == b')')?);
    let name = String::from_utf8_lossy(stat.get(begin + 1..end)?).into_owned();
    let fields: Vec<&str> = std::str::from_utf8(&stat[end + 1..]).ok()?.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let small = |at: usize| u32::try_from(number(at)?).ok();
    if matches!(fields.first(), Some(&("Z" | "X"))) {
        return None;
    }
    Some(Entry {
        name,
        parent: small(1)?,
        group: small(2)?,
        session: small(3)?,
        used: number(11)?.saturating_add(number(12)?),
        threads: number(17)?,
        start: number(19)?,
        resident: 0,
        exe: None,
    })
}

/// Returns bytes from the line `VmRSS:      1234 kB` of `/proc/<pid>/status`.
pub(super) fn resident(line: &str) -> Option<u64> {
    let text = line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB")?.trim();
    text.parse::<u64>().ok()?.checked_mul(1024)
}

/// Returns microseconds since boot from `/proc/uptime` (`350735.47 234388.90`).
pub(super) fn uptime_usec(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?.split_whitespace().next()?;
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let part: u64 = format!("{part:0<6}").get(..6)?.parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(part)
}

/// Tells from `/proc/<pid>/stat` whether a process has ended and only waits for its parent to notice.
pub(super) fn is_zombie(stat: &[u8]) -> bool {
    let state = stat.iter().rposition(|byte| *byte == b')').and_then(|end| stat.get(end + 2));
    matches!(state, Some(b'Z' | b'X'))
}

/// Returns the value of a variable in `/proc/<pid>/environ`, where entries end with a NUL.
pub(super) fn variable<'a>(environ: &'a [u8], name: &str) -> Option<&'a str> {
    environ
        .split(|byte| *byte == 0)
        .find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
        .and_then(|value| std::str::from_utf8(value).ok())
}

/// Returns the name and home of `uid` from lines such as `bee:x:1000:1000:Bee,,,:/home/bee:/bin/bash`.
pub(super) fn passwd_entry(passwd: &[u8], uid: u32) -> Option<(String, Utf8PathBuf)> {
    let uid = uid.to_string();
    passwd.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok()).find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.len() >= 7 && fields[2] == uid).then(|| (fields[0].to_owned(), fields[5].into()))
    })
}

/// Returns the inode of a socket from where `/proc/<pid>/fd/<n>` points: `socket:[4711]`.
pub(super) fn socket_inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Adds the listening sockets of `/proc/net/tcp` or `tcp6` whose inode is among `inodes`.
///
/// `   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 …`
pub(super) fn listeners(table: &[u8], inodes: &BTreeSet<u64>, found: &mut BTreeSet<Listener>) {
    const LISTEN: &str = "0A";
    for line in table.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok()) {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, local, _, LISTEN, _, _, _, _, _, inode, ..] = fields[..] else { continue };
        let ours = inode.parse().is_ok_and(|inode| inodes.contains(&inode));
        if let Some(listener) = address(local).filter(|_| ours) {
            found.insert(listener);
        }
    }
}

/// Reads what `lsof -Fn` prints of listening TCP sockets: lines of `n127.0.0.1:8080`, `n*:8080` and `n[::1]:8080` among
/// those that name processes and descriptors.
pub(super) fn lsof_listeners(told: &[u8]) -> Vec<Listener> {
    let lines = told.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    let read = |line: &str| {
        let (addr, port) = line.strip_prefix('n')?.rsplit_once(':')?;
        let addr = match addr {
            "*" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            addr => addr.trim_matches(['[', ']']).parse().ok()?,
        };
        Some(Listener { addr, port: port.parse().ok()? })
    };
    lines.filter_map(read).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Tells whether a connection to `port` of the loopback finds a listening socket in `table`: lines of `/proc/net/tcp` and
/// `tcp6`, or of `netstat -an`.
pub(super) fn is_listening(table: &[u8], port: u16) -> bool {
    let mut lines = table.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    lines.any(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        match fields[..] {
            [_, local, _, "0A", ..] => address(local).is_some_and(|found| found.port == port && is_near(found.addr)),
            [kind, _, _, local, _, "LISTEN", ..] if kind.starts_with("tcp") => is_near_port(local, port),
            _ => false,
        }
    })
}

/// Reads the local address of netstat(1): `127.0.0.1.8080` and `*.8080` of the BSDs, `0.0.0.0:8080` of others.
fn is_near_port(local: &str, port: u16) -> bool {
    let Some((addr, last)) = local.rsplit_once(['.', ':']) else { return false };
    last.parse() == Ok(port) && (addr == "*" || addr.parse().is_ok_and(is_near))
}

/// Tells whether who listens at this address hears what is sent to the loopback.
fn is_near(addr: IpAddr) -> bool {
    let addr = addr.to_canonical();
    addr.is_loopback() || addr.is_unspecified()
}

/// Reads `0100007F:1F90`: words of 32 bits as a little-endian processor holds them in memory, then the port.
fn address(text: &str) -> Option<Listener> {
    let (addr, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words: Vec<[u8; 4]> = (0..addr.len() / 8)
        .map(|word| Some(u32::from_str_radix(addr.get(word * 8..word * 8 + 8)?, 16).ok()?.to_le_bytes()))
        .collect::<Option<_>>()?;
    let addr = match words[..] {
        [word] => IpAddr::V4(Ipv4Addr::from(word)),
        [_, _, _, _] => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(words.concat()).ok()?)),
        _ => return None,
    };
    Some(Listener { addr, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_time_survives_any_process_name() {
        let stat = b"77 (a) b (c) S 1 77 77 0 -1 4194560 5 0 0 0 1 2 0 0 20 0 1 0 987654 1 2\n";
        assert_eq!(start_time(stat), Some(987_654));
        assert_eq!(start_time(b"77 (cat"), None);
        assert_eq!(start_time(b""), None);
    }

    #[test]
    fn variables_are_found_by_their_whole_name() {
        let environ = b"HOME=/home/bee\0XDG_DATA_HOME=/srv/d\0DATA=x\0";
        assert_eq!(variable(environ, "XDG_DATA_HOME"), Some("/srv/d"));
        assert_eq!(variable(environ, "DATA"), Some("x"));
        assert_eq!(variable(environ, "XDG_DATA"), None);
    }

    #[test]
    fn passwd_is_searched_by_number() {
        let passwd = b"root:x:0:0:root:/root:/bin/bash\n# note\nbee:x:1000:1000:Bee,,,:/home/bee:/bin/sh\n";
        assert_eq!(passwd_entry(passwd, 1000), Some(("bee".into(), "/home/bee".into())));
        assert_eq!(passwd_entry(passwd, 100), None);
    }

    /// Lines of /proc/net/tcp and tcp6 of a Debian 12 machine with sshd on 22222 and a client connected.
    #[test]
    fn only_own_listening_sockets_are_taken() {
        let tcp = b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:56CE 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0000000000000000 100 0 0 10 0
   1: 0100007F:56CE 0100007F:A1B2 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0000000000000000 100 0 0 10 0
   2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 9 1 0000000000000000 100 0 0 10 0
   3: junk\n";
        let tcp6 = b"   0: 00000000000000000000000001000000:56CE 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0 100 0 0 10 0\n";
        let (inodes, mut found) = (BTreeSet::from([4711, 4712, 4713]), BTreeSet::new());
        listeners(tcp, &inodes, &mut found);
        listeners(tcp6, &inodes, &mut found);
        let expected = ["127.0.0.1", "::1"].map(|addr| Listener { addr: addr.parse().unwrap(), port: 22222 });
        assert_eq!(found.into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_port_is_listened_on_where_the_loopback_reaches() {
        let line = |addr: &str, state: &str| {
            format!("   0: {addr}:1F90 00000000:0000 {state} 00000000:00000000 00:00 0 0 0 1\n")
        };
        for (addr, state, expected) in [
            ("0100007F", "0A", true),
            ("00000000", "0A", true),
            ("0500000A", "0A", false),
            ("0100007F", "01", false),
            ("00000000000000000000000000000000", "0A", true),
            ("00000000000000000000000001000000", "0A", true),
            ("0000000000000000FFFF00000100007F", "0A", true),
            ("000080FE000000000000000001000000", "0A", false),
        ] {
            assert_eq!(is_listening(line(addr, state).as_bytes(), 8080), expected, "{addr} {state}");
            assert!(!is_listening(line(addr, state).as_bytes(), 8081));
        }
        assert!(!is_listening(b"junk\n\xff\n", 8080));
    }

    /// As netstat(1) of macOS and of busybox have them.
    #[test]
    fn netstat_tells_who_listens() {
        let macos = b"Active Internet connections (including servers)
Proto Recv-Q Send-Q  Local Address          Foreign Address        (state)
tcp4       0      0  127.0.0.1.8080         *.*                    LISTEN
tcp46      0      0  *.9000                 *.*                    LISTEN
tcp6       0      0  ::1.9001               *.*                    LISTEN
tcp4       0      0  192.168.1.5.22         *.*                    LISTEN
tcp4       0      0  127.0.0.1.51000        127.0.0.1.8080         ESTABLISHED
udp4       0      0  *.5353                 *.*\n";
        let heard = [8080, 9000, 9001, 22, 51000, 5353].map(|port| is_listening(macos, port));
        assert_eq!(heard, [true, true, true, false, false, false]);
        let busybox = b"tcp        0      0 0.0.0.0:22              0.0.0.0:*               LISTEN
tcp        0      0 :::8080                 :::*                    LISTEN\n";
        assert_eq!([22, 8080, 80].map(|port| is_listening(busybox, port)), [true, true, false]);
    }

    #[test]
    fn lsof_tells_who_listens() {
        let told = b"p812\nf6\nn127.0.0.1:8080\nf7\nn[::1]:8080\np813\nf3\nn*:9000\nnowhere\nn*:http\n";
        let found = lsof_listeners(told).into_iter().map(|found| (found.addr.to_string(), found.port));
        let expected = [("0.0.0.0", 9000), ("127.0.0.1", 8080), ("::1", 8080)];
        assert_eq!(found.collect::<Vec<_>>(), expected.map(|(addr, port)| (addr.to_owned(), port)));
    }

    #[test]
    fn uptime_is_as_fine_as_the_kernel_tells_it() {
        assert_eq!(uptime_usec(b"350735.47 234388.90\n"), Some(350_735_470_000));
        assert_eq!(uptime_usec(b"0"), Some(0));
        assert_eq!(uptime_usec(b""), None);
    }
}
