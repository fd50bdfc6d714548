//! What ssh(1) makes of a destination now: where it leads, as whom one logs in there, and how long that may take.
//!
//! A connection is kept under a name that is made of all this, so that whoever changes their configuration, or the
//! address of a host, never acts on the machine that was meant before.

#![expect(clippy::disallowed_methods, reason = "the ssh client and the resolver of this machine are asked here")]

use std::process::Stdio;
use std::time::Duration;

use camino::Utf8Path;
use sha2::{Digest, Sha256};
use tokio::net::lookup_host;
use tokio::process::Command;
use tokio::time::timeout;

/// How long ssh(1) and the resolver may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many jump hosts lead to one another before it is a circle.
const JUMPS: usize = 8;

/// A destination as it is resolved now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resolved {
    /// A short name for what makes a connection its own.
    pub(super) name: String,
    /// The `ConnectTimeout` of the user's configuration.
    pub(super) connect_timeout: Option<Duration>,
}

/// Resolves a destination. What is wrong with ssh or its configuration is reported by the connection that is tried next.
pub(super) async fn resolve(destination: &str, config: Option<&Utf8Path>) -> Resolved {
    let mut digest = Sha256::new();
    let mut absorb = |part: &[u8]| {
        digest.update(part.len().to_be_bytes());
        digest.update(part);
    };
    let path = config.map(|path| path.canonicalize_utf8().unwrap_or(path.into()));
    absorb(destination.as_bytes());
    absorb(path.unwrap_or_default().as_str().as_bytes());
    let mut settings = settings(destination, config).await;
    let connect_timeout = connect_timeout(&settings);
    absorb(settings.as_bytes());
    for _ in 0..JUMPS {
        let Some(jumps) = value(&settings, "proxyjump") else { break };
        // The first one is reached as it is configured itself, the others through it.
        let mut hops = Vec::new();
        for jump in jumps.split(',') {
            hops.push(self::settings(&as_destination(jump), config).await);
        }
        for hop in &hops {
            absorb(hop.as_bytes());
        }
        settings = hops.swap_remove(0);
    }
    if value(&settings, "proxyjump").is_none() && value(&settings, "proxycommand").is_none() {
        for address in addresses(&settings).await {
            absorb(address.as_bytes());
        }
    }
    Resolved { name: hex::encode(&digest.finalize()[..8]), connect_timeout }
}

/// Returns what `ssh -G` prints, which is nothing where it fails.
async fn settings(destination: &str, config: Option<&Utf8Path>) -> String {
    let mut command = Command::new("ssh");
    command.arg("-G");
    if let Some(config) = config {
        command.args(["-F", config.as_str()]);
    }
    command.args(["--", destination]).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = timeout(PATIENCE, command.output()).await.ok().and_then(Result::ok);
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

/// The addresses of the first host that ssh connects to, in no order of their own: a resolver may turn them round.
async fn addresses(settings: &str) -> Vec<String> {
    let Some(host) = value(settings, "hostname").filter(|host| host.parse::<std::net::IpAddr>().is_err()) else {
        return Vec::new();
    };
    let found = timeout(PATIENCE, lookup_host((host, 0))).await.ok().and_then(Result::ok);
    let mut found: Vec<String> = found.into_iter().flatten().map(|address| address.ip().to_string()).collect();
    found.sort();
    found.dedup();
    found
}

/// Writes a hop of a `ProxyJump` as a destination.
fn as_destination(jump: &str) -> String {
    if jump.starts_with("ssh://") { jump.to_owned() } else { format!("ssh://{jump}") }
}

/// Finds `keyword value` among the lines of `ssh -G`; what is not set is missing there, or `none`.
fn value<'a>(settings: &'a str, keyword: &str) -> Option<&'a str> {
    let value = settings.lines().find_map(|line| line.strip_prefix(keyword)?.strip_prefix(' '))?;
    Some(value).filter(|value| *value != "none")
}

fn connect_timeout(settings: &str) -> Option<Duration> {
    value(settings, "connecttimeout")?.parse().ok().filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_own_connect_timeout_is_found() {
        assert_eq!(connect_timeout("user bee\nconnecttimeout 30\nport 22\n"), Some(Duration::from_secs(30)));
        for said in ["connecttimeout none\n", "connecttimeout 0\n", "", "xconnecttimeout 30\n"] {
            assert_eq!(connect_timeout(said), None);
        }
    }

    #[tokio::test]
    async fn whatever_ssh_makes_of_a_destination_makes_its_name() {
        const PLAIN: &str = "Host a\n HostName 192.0.2.1\nHost j\n HostName 192.0.2.9\n";
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap().join("config");
        let other = path.with_file_name("other");
        let name = async |destination: &str, text: &str| {
            std::fs::write(&path, text).unwrap();
            resolve(destination, Some(&path)).await.name
        };
        let plain = name("a", PLAIN).await;
        assert_eq!((plain.len(), &plain), (16, &name("a", PLAIN).await));
        std::fs::write(&other, PLAIN).unwrap();
        let mut seen = vec![plain, name("b", PLAIN).await, resolve("a", Some(&other)).await.name];
        for line in [
            "HostName 192.0.2.2",
            "User other",
            "Port 2222",
            "ProxyJump j",
            "ProxyJump k,j",
            "ProxyCommand nc 192.0.2.3 22",
            "HostKeyAlias x",
            "IdentityFile /x",
            "BindAddress 127.0.0.2",
        ] {
            seen.push(name("a", &format!("Host a\n {line}\n{PLAIN}")).await);
        }
        // The jump host is another one than before.
        let jumped = format!("Host a\n ProxyJump j\n{}", PLAIN.replace("192.0.2.9", "192.0.2.8"));
        seen.push(name("a", &jumped).await);
        // A circle has an end.
        seen.push(name("a", "Host a\n ProxyJump j\nHost j\n ProxyJump a\n").await);
        let count = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), count);
    }
}
