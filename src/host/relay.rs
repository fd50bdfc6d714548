//! A way to a TCP port of a host whose sshd forwards nothing: a unix socket here, and for each connection to it a program
//! run there that connects (bash, python3 or nc, whichever is there).
//!
//! Nothing listens for it in the background: connections are carried only while [`Relay::serve`] is awaited.

use std::io;

use camino::{Utf8Path, Utf8PathBuf};
use tempfile::TempDir;
use thiserror::Error;
use tokio::io::AsyncReadExt;
use tokio::net::{UnixListener, UnixStream};

use super::{Command, Host, HostError, Pipe};

/// What connects on the host.
const CONNECT: &str = include_str!("../../templates/host/connect.sh");

/// The way.
#[derive(Debug)]
pub struct Relay {
    listener: UnixListener,
    here: Utf8PathBuf,
    command: Command,
    _folder: TempDir,
}

/// Why nothing more is carried.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RelayFault {
    /// There is no program on the host that connects.
    #[error("{host} has none of bash, python3 and nc")]
    NoProgram {
        /// Host.
        host: String,
    },
    /// The host did not do its part.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl Relay {
    /// Opens a way to TCP port `port` of `name` as the host sees it; the host is not asked for anything yet.
    pub fn open(name: &str, port: u16) -> Result<Self, HostError> {
        let folder = super::scratch()?;
        let listening = Utf8PathBuf::from_path_buf(folder.path().join("s"))
            .map_err(|_| io::Error::other("not UTF-8"))
            .and_then(|here| Ok((UnixListener::bind(&here)?, here)));
        let (listener, here) = listening.map_err(|source| failed("localhost", source))?;
        let command = Command::new("sh").args(["-c", CONNECT, "sh", name, &port.to_string()]);
        Ok(Self { listener, here, command, _folder: folder })
    }

    /// The socket to connect to.
    #[must_use]
    pub fn here(&self) -> &Utf8Path {
        &self.here
    }

    /// Carries connections, one after another, until that does not work any more.
    pub async fn serve(&self, host: &dyn Host) -> RelayFault {
        loop {
            if let Err(fault) = self.carry_one(host).await {
                return fault;
            }
        }
    }

    async fn carry_one(&self, host: &dyn Host) -> Result<(), RelayFault> {
        let (near, _) = self.listener.accept().await.map_err(|source| failed("localhost", source))?;
        let mut far = host.pipe(&self.command).await?;
        match far.stdout.read_u8().await {
            Ok(b'+') => {}
            Ok(_) => return Err(RelayFault::NoProgram { host: host.name().to_owned() }),
            Err(source) => return Err(failed(host.name(), source).into()),
        }
        carry(near, far).await;
        Ok(())
    }
}

/// Copies both ways until one side is done.
async fn carry(near: UnixStream, mut far: Pipe) {
    let (mut from_near, mut to_near) = near.into_split();
    let sent = async {
        // A far side that takes nothing more may still have something to say.
        if tokio::io::copy(&mut from_near, &mut far.stdin).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = sent => {}
        _ = tokio::io::copy(&mut far.stdout, &mut to_near) => {}
    }
}

fn failed(host: &str, source: io::Error) -> HostError {
    HostError::Io { host: host.to_owned(), during: "carry a connection".into(), source }
}
