//! Ways through a connection to a socket of the host: a unix socket here, in a folder of its own.
//!
//! Nothing is sent to the host before somebody connects; so a port on which nobody listens shows only then, as a
//! connection that is closed at once.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use openssh::{ForwardType, Session, Socket};
use tempfile::TempDir;

use super::super::{Endpoint, Forward, Guard};
use super::master::Connection;

/// Opens a way through `connection` to `to`.
pub(super) async fn open(connection: &Arc<Connection>, to: &Endpoint) -> io::Result<Result<Forward, openssh::Error>> {
    let beside = connection.socket.parent().unwrap_or(Utf8Path::new("/tmp"));
    let folder = tempfile::Builder::new().prefix("f").tempdir_in(beside)?;
    let here = Utf8PathBuf::from_path_buf(folder.path().join("s")).map_err(|_| io::Error::other("not UTF-8"))?;
    let opened = request(&connection.session, &here, to).await;
    Ok(opened.map(|()| {
        let guard = Open { connection: Arc::clone(connection), here: here.clone(), to: to.clone(), _folder: folder };
        Forward::through(Endpoint::Unix(here), Box::new(guard))
    }))
}

async fn request(session: &Session, here: &Utf8Path, to: &Endpoint) -> Result<(), openssh::Error> {
    let from = Socket::UnixSocket { path: here.as_std_path().into() };
    let to = match to {
        Endpoint::Unix(path) => Socket::UnixSocket { path: path.as_std_path().into() },
        Endpoint::Tcp { host, port } => Socket::TcpSocket { host: host.into(), port: *port },
    };
    session.request_port_forward(ForwardType::Local, from, to).await
}

/// A way that is open; dropping it closes it and removes its socket.
#[derive(Debug)]
struct Open {
    connection: Arc<Connection>,
    here: Utf8PathBuf,
    to: Endpoint,
    _folder: TempDir,
}

impl Guard for Open {
    fn is_open(&self) -> bool {
        self.connection.is_alive() && !self.connection.is_revoked()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // Not through the crate: that needs a runtime, and this must also work when there is none any more. The master
        // answers within a millisecond. Where it has left, the way has gone with it.
        cancel(&self.connection.socket, &self.here, &self.to).ok();
    }
}

/// Asks a master to give up a forward: `PROTOCOL.mux` of OpenSSH, sections 1 and 7.
fn cancel(socket: &Utf8Path, here: &Utf8Path, to: &Endpoint) -> io::Result<()> {
    const HELLO: u32 = 1;
    const VERSION: u32 = 4;
    const CLOSE_FORWARD: u32 = 0x1000_0007;
    const LOCAL: u32 = 1;
    const REQUEST: u32 = 0;

    #[expect(clippy::disallowed_methods, reason = "the ssh master of this machine is spoken to")]
    let mut master = UnixStream::connect(socket)?;
    master.set_read_timeout(Some(Duration::from_secs(1)))?;
    master.set_write_timeout(Some(Duration::from_secs(1)))?;
    master.write_all(&Packet::new(HELLO).number(VERSION).into_bytes())?;
    receive(&mut master)?;
    let packet = Packet::new(CLOSE_FORWARD).number(REQUEST).number(LOCAL);
    let packet = packet.endpoint(&Endpoint::Unix(here.to_owned())).endpoint(to);
    master.write_all(&packet.into_bytes())?;
    receive(&mut master)
}

/// Takes one packet, whatever it says.
fn receive(master: &mut UnixStream) -> io::Result<()> {
    let mut len = [0; 4];
    master.read_exact(&mut len)?;
    let len = u32::from_be_bytes(len);
    io::copy(&mut master.take(len.into()), &mut io::sink()).map(|_| ())
}

/// A packet of the protocol: numbers of 32 bits, strings after their length.
struct Packet(Vec<u8>);

impl Packet {
    fn new(kind: u32) -> Self {
        Self(Vec::new()).number(kind)
    }

    fn number(mut self, number: u32) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn string(self, text: &str) -> Self {
        let mut packet = self.number(u32::try_from(text.len()).unwrap_or(u32::MAX));
        packet.0.extend(text.as_bytes());
        packet
    }

    /// A unix socket has the port -2.
    fn endpoint(self, endpoint: &Endpoint) -> Self {
        match endpoint {
            Endpoint::Unix(path) => self.string(path.as_str()).number(u32::MAX - 1),
            Endpoint::Tcp { host, port } => self.string(host).number((*port).into()),
        }
    }

    fn into_bytes(self) -> Vec<u8> {
        let len = u32::try_from(self.0.len()).unwrap_or(u32::MAX).to_be_bytes();
        [len.to_vec(), self.0].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_as_the_protocol_has_them() {
        let bytes = Packet::new(1).number(4).into_bytes();
        assert_eq!(bytes, [0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 4]);
        let bytes = Packet::new(7).endpoint(&Endpoint::Unix("/s".into())).into_bytes();
        assert_eq!(bytes, [0, 0, 0, 14, 0, 0, 0, 7, 0, 0, 0, 2, b'/', b's', 255, 255, 255, 254]);
    }
}
