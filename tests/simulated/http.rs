//! HTTP to a service of the simulated host, in its time.
//!
//! Requests are real: unitbee's client connects to a unix socket, and a task of the same runtime answers for whoever
//! listens on the port in the [`World`]. A stopped clock is moved by tokio when nothing is left to do but to wait, and
//! bytes between two sockets do not count for it as something to do: it would jump over whole timeouts. So as long as a
//! way is open, a task beats once a millisecond of that time, and no jump is longer than a beat.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use camino::Utf8PathBuf;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;
use unitbee::host::{Endpoint, Forward, Guard};

use super::verbs::locked;
use super::world::World;

const BEAT: Duration = Duration::from_millis(1);

/// A way that is open.
#[derive(Debug)]
struct Way {
    tasks: [JoinHandle<()>; 2],
    _folder: tempfile::TempDir,
}

impl Guard for Way {}

impl Drop for Way {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Opens a way to a port.
pub(crate) fn forward(world: &Arc<Mutex<World>>, port: u16) -> io::Result<Forward> {
    let folder = tempfile::tempdir()?;
    let here = Utf8PathBuf::from_path_buf(folder.path().join("s")).map_err(|_| io::Error::other("not UTF-8"))?;
    let listener = UnixListener::bind(&here)?;
    let world = Arc::clone(world);
    let answers = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Whoever goes away in between does not need the answer.
            answer(stream, &world, port).await.ok();
        }
    });
    let beats = tokio::spawn(async {
        loop {
            tokio::time::sleep(BEAT).await;
        }
    });
    let way = Way { tasks: [answers, beats], _folder: folder };
    Ok(Forward::through(Endpoint::Unix(here), Box::new(way)))
}

/// Answers one request; a connection that nobody takes just ends, as with sshd.
async fn answer(mut stream: UnixStream, world: &Mutex<World>, port: u16) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let answer = {
        let mut world = locked(world);
        world.listener(port).map(|pid| {
            let main = &world.mains[&pid];
            let age = Duration::from_micros(world.now_usec() - main.started_usec);
            let (status, body) = (main.behaviour.status_after(age), format!("release {}", main.release));
            if head.starts_with(b"POST ") && (200..300).contains(&status) {
                world.shut_down(pid);
            }
            format!("HTTP/1.1 {status} -\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
        })
    };
    match answer {
        Some(answer) => stream.write_all(answer.as_bytes()).await,
        None => Ok(()),
    }
}
