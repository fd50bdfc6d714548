//! The order to restart a unit, which a host carries out alone if need be: see `templates/restart`.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use camino::Utf8Path;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use unitbee::host::{Command, Guard, Pipe};

use super::verbs::{self, Done, locked};
use super::world::World;

/// How long our side may be silent until the order is carried out.
const SILENCE: Duration = Duration::from_secs(15);

const BUFFER: usize = 64 << 10;

/// What keeps a program alive that outlives its other side: nothing.
#[derive(Debug)]
struct Apart;

impl Guard for Apart {}

/// What the order is about.
struct Order {
    definition: String,
    unit: String,
    patience: u64,
    /// How long the old processes have to end.
    term: Duration,
    old: Vec<u32>,
}

impl Order {
    /// Reads the arguments of `detach.sh` behind the texts of the two scripts.
    fn of(command: &Command) -> Self {
        let ["-c", _, "sh", _, term, rest @ ..] = &*command.args.iter().map(String::as_str).collect::<Vec<_>>() else {
            panic!("the simulated host does not know {command:?}")
        };
        let mut parts = rest.split(|arg| *arg == "--");
        let (Some(old), Some([_, definition, _, _, unit, patience])) = (parts.next(), parts.next()) else {
            panic!("the simulated host does not know {rest:?}")
        };
        Self {
            definition: (*definition).to_owned(),
            unit: (*unit).to_owned(),
            patience: patience.parse().expect("seconds"),
            term: Duration::from_millis(term.parse().expect("milliseconds")),
            old: old.iter().map(|pid| pid.parse().expect("a number")).collect(),
        }
    }

    /// Ends the unit and starts it again, in the words of `order.sh`.
    async fn carry_out(&self, world: &Mutex<World>, because: &str) -> String {
        let late = async {
            tokio::time::sleep(self.term).await;
            self.kill_old(world)
        };
        let (done, killed) = tokio::join!(self.restart(world), timeout(self.term + SILENCE, late));
        let killed = killed.unwrap_or_default() | self.kill_old(world);
        let (code, said) = done.map_or_else(|failed| failed, |said| (0, said));
        format!("end {code} {} {because}\n{said}\n", u8::from(killed))
    }

    async fn restart(&self, world: &Mutex<World>) -> Done {
        verbs::stop(world, &self.unit, self.patience).await?;
        verbs::start(world, Utf8Path::new(&self.definition)).await
    }

    fn kill_old(&self, world: &Mutex<World>) -> bool {
        let mut world = locked(world);
        let old: Vec<u32> = self.old.iter().copied().filter(|pid| world.mains.contains_key(pid)).collect();
        for pid in &old {
            world.signal(*pid, "KILL");
        }
        !old.is_empty()
    }
}

/// Gives the host an order; the connection that it came by is lost when `cut` says so.
pub(crate) fn give(world: &Arc<Mutex<World>>, command: &Command, cut: CancellationToken) -> Pipe {
    let order = Order::of(command);
    let ((stdin, heard), (said, stdout)) = (tokio::io::duplex(BUFFER), tokio::io::duplex(BUFFER));
    let host = Arc::clone(world);
    let program = tokio::spawn(async move {
        if let Some((mut said, word)) = wait(heard, said, &cut).await {
            let end = order.carry_out(&host, word).await;
            if !cut.is_cancelled() {
                // Whoever has gone away does not hear it.
                said.write_all(end.as_bytes()).await.ok();
            }
        }
    });
    locked(world).orders.push(program);
    Pipe { stdin: Box::new(stdin), stdout: Box::new(stdout), guard: Box::new(Apart) }
}

/// Waits until the order is to be carried out; gives the word for which it is, or `None` where it is taken back.
async fn wait(
    heard: DuplexStream,
    mut said: DuplexStream,
    cut: &CancellationToken,
) -> Option<(DuplexStream, &'static str)> {
    said.write_all(b"ready\n").await.ok();
    let mut words = BufReader::new(heard).lines();
    loop {
        let word = tokio::select! {
            biased;
            () = cut.cancelled() => return Some((said, "gone")),
            word = timeout(SILENCE, words.next_line()) => word,
        };
        match word {
            Ok(Ok(Some(word))) if word == "go" => return Some((said, "go")),
            Ok(Ok(Some(word))) if word == "done" => return None,
            Ok(Ok(Some(_))) => {}
            Ok(Ok(None) | Err(_)) => return Some((said, "gone")),
            Err(_) => return Some((said, "tick")),
        }
    }
}
