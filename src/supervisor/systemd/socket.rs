//! A [`Pipe`] as the socket of a D-Bus connection.
//!
//! What is on the other end may be no bus at all: a login shell that prints a greeting, a host that lies. So the one
//! line that the handshake consists of is checked here before zbus sees it: zbus 6.2 panics where the first byte is a
//! line feed, and keeps whatever comes until a line ends.

use std::fmt;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use zbus::connection::socket::{BoxedSplit, ReadHalf, Split, WriteHalf};

/// Longest answer to `AUTH` that is taken; `OK` and a GUID are 36 bytes.
const LONGEST_LINE: usize = 1024;

/// The two directions of a pipe as zbus wants them.
pub(super) fn split(
    read: Box<dyn AsyncRead + Send + Sync + Unpin>,
    write: Box<dyn AsyncWrite + Send + Sync + Unpin>,
) -> BoxedSplit {
    let reader = Reader { stream: BufReader::with_capacity(32 << 10, read), first_line: Some(0) };
    Split::new(Box::new(reader), Box::new(Writer(write)))
}

struct Reader {
    stream: BufReader<Box<dyn AsyncRead + Send + Sync + Unpin>>,
    /// Bytes of the first line seen so far, until it has ended.
    first_line: Option<usize>,
}

impl Reader {
    fn check_first_line(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(before) = self.first_line else { return Ok(()) };
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let length = before + end.unwrap_or(bytes.len());
        if length > LONGEST_LINE || (length == 0 && end.is_some()) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "what answers is no bus"));
        }
        self.first_line = if end.is_some() { None } else { Some(length) };
        Ok(())
    }
}

#[async_trait]
impl ReadHalf for Reader {
    async fn recvmsg(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        let read = self.stream.read(buffer).await?;
        self.check_first_line(&buffer[..read])?;
        Ok((read, Vec::new()))
    }
}

struct Writer(Box<dyn AsyncWrite + Send + Sync + Unpin>);

#[async_trait]
impl WriteHalf for Writer {
    async fn sendmsg(&mut self, bytes: &[u8], _fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
        self.0.write(bytes).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.0.flush().await
    }

    async fn close(&mut self) -> io::Result<()> {
        self.0.shutdown().await
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reader")
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writer")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncWriteExt;

    async fn handshake_with(answer: &'static [u8]) -> String {
        let (here, there) = tokio::io::duplex(1 << 16);
        let (read, write) = tokio::io::split(here);
        let peer = tokio::spawn(async move {
            let (_read, mut write) = tokio::io::split(there);
            while write.write_all(answer).await.is_ok() {}
        });
        let build = zbus::connection::Builder::socket(super::split(Box::new(read), Box::new(write))).build();
        let outcome = tokio::time::timeout(Duration::from_secs(10), build).await.expect("the handshake ends");
        peer.abort();
        outcome.expect_err("this is no bus").to_string()
    }

    #[tokio::test]
    async fn whatever_answers_is_refused_and_not_kept() {
        for answer in [
            &b"\n"[..],
            b"\r\n",
            b"Welcome to gpu1!\n",
            b"x",
            b"OK \n\n",
            b"\0\0\0\0",
            b"OK 0123456789abcdef0123456789abcdef\r\n\n",
        ] {
            let error = handshake_with(answer).await;
            assert!(!error.is_empty(), "{answer:?}");
        }
    }
}
