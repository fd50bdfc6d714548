//! A machine reached over SSH, with nothing on it but sshd and a POSIX shell.
//!
//! Each exchange is one session of a shared connection ([`master`]) and runs one fixed script ([`script`]), whose
//! answer is told from everything else by its marks ([`frame`]). What ssh itself does not promise is promised here:
//!
//! - A script whose asker goes away ends, and what it started too: it watches its standard input, and a clock there.
//! - At most eight sessions at a time from this process; sshd refuses the eleventh of a connection by default. Where it
//!   refuses an earlier one, there is soon another connection.
//! - 127, 255 and death by a signal are the program's own end, never taken for the channel's.
//! - A host cannot make us hold more than was asked for.

mod ahead;
mod answers;
mod asks;
mod change;
mod channel;
mod control;
mod destination;
mod exchange;
mod fault;
mod forward;
mod frame;
mod master;
mod script;
mod words;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, sleep, timeout_at};

use self::ahead::Guess;
use self::asks::{arguments, scripts};
use self::channel::{Begun, Spoken, Stderr};
use self::master::{Connection, Master};
use self::words::Words;
use super::lease::{Beats, Moment, Pulse};
use super::query::{Ask, HostPath, Observation, Query};
use super::{
    Batch, Changed, Command, ConnectFault, End, Endpoint, Forward, Guard, Host, HostError, Lease, Options, Output,
    Pipe, shown,
};

/// Sessions at a time; sshd's `MaxSessions` is 10 unless set otherwise.
const SESSIONS: usize = 8;

/// How often files are looked at that somebody else is writing.
const LOOKS: u32 = 5;

/// How long a session may take to open and a script to answer questions, on a host that is slow but alive.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a change may make no progress, for a host that has a gigabyte to sync.
const STALL: Duration = Duration::from_mins(10);

/// How often the holder of a lock says that it is there; `lock.sh` gives up after a minute without a word.
const BEAT: Duration = Duration::from_secs(15);

/// How many bytes all answers to one query may have.
const ANSWERS: usize = 16 << 20;

/// A machine reached over SSH.
#[derive(Debug)]
pub(super) struct Ssh {
    name: String,
    options: Options,
    master: Master,
    connection: Mutex<Option<Arc<Connection>>>,
    guess: Mutex<Guess>,
    slots: Arc<Semaphore>,
    exchanges: AtomicU32,
}

impl Ssh {
    pub(super) fn new(name: &str, destination: &str, options: &Options) -> Self {
        Self {
            name: name.into(),
            options: options.clone(),
            master: Master::new(name, destination, options),
            connection: Mutex::new(None),
            guess: Mutex::default(),
            slots: Arc::new(Semaphore::new(SESSIONS)),
            exchanges: AtomicU32::new(0),
        }
    }

    /// Returns the connection, made anew where there is none that lives.
    async fn connection(&self) -> Result<Arc<Connection>, HostError> {
        let mut kept = self.connection.lock().await;
        if let Some(connection) = kept.as_ref().filter(|connection| connection.is_alive()) {
            return Ok(Arc::clone(connection));
        }
        let connection = Arc::new(self.master.connect().await?);
        self.settle(&connection).await;
        *kept = Some(Arc::clone(&connection));
        Ok(connection)
    }

    async fn forget(&self, connection: &Arc<Connection>) {
        let mut kept = self.connection.lock().await;
        if kept.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, connection)) {
            *kept = None;
        }
    }

    async fn learn_uid(&self, uid: u32) {
        if let Some(connection) = self.connection.lock().await.as_ref() {
            connection.learn_uid(uid);
        }
    }

    /// Refuses questions that no script may be given.
    fn check_query(&self, query: &Query) -> Result<(), HostError> {
        self.check("read", query.asks.iter().filter_map(|ask| asks::words(ask).1), HostPath::fault)?;
        query.asks.iter().try_for_each(|ask| match ask {
            Ask::Locked(name) => super::check_lock_name(&self.name, name),
            _ => Ok(()),
        })
    }

    fn fault(&self, during: &str, fault: answers::Fault) -> HostError {
        let host = self.name.clone();
        match fault {
            answers::Fault::Failed(step, detail) => {
                HostError::Change { host, step: super::printable(step.as_bytes()), detail }
            }
            answers::Fault::TooLarge(path) => HostError::TooMuch {
                host,
                during: format!("read {}", super::printable(path.as_bytes())),
                limit: super::query::FILE_LIMIT,
            },
            answers::Fault::Garbled(detail) => {
                HostError::Garbled { host, during: during.to_owned(), detail: super::printable(detail.as_bytes()) }
            }
            answers::Fault::Changed => {
                HostError::Change { host, step: "read files".into(), detail: "somebody else is writing them".into() }
            }
            answers::Fault::Busy(holder, now) => super::token::busy(&self.name, holder, now),
        }
    }

    fn lock_lost(&self) -> HostError {
        HostError::LockLost { host: self.name.clone() }
    }

    fn no_session(&self) -> HostError {
        HostError::Connect {
            host: self.name.clone(),
            fault: ConnectFault::NoSession,
            detail: format!("its sshd refused every session for {PATIENCE:?}"),
            alternative: None,
        }
    }

    fn lost(&self, during: &str) -> HostError {
        HostError::Lost { host: self.name.clone(), during: during.to_owned() }
    }

    fn deadline(&self, during: &str, deadline: Duration) -> HostError {
        HostError::Deadline { host: self.name.clone(), during: during.to_owned(), deadline }
    }

    /// Refuses paths that no script may be given.
    fn check<'a>(
        &self,
        verb: &str,
        paths: impl IntoIterator<Item = &'a HostPath>,
        fault: fn(&HostPath) -> Option<&'static str>,
    ) -> Result<(), HostError> {
        let refused = paths.into_iter().find_map(|path| Some((path, fault(path)?)));
        refused.map_or(Ok(()), |(path, fault)| {
            let step = format!("{verb} {}", super::printable(path.rel.as_str().as_bytes()));
            Err(HostError::Change { host: self.name.clone(), step, detail: fault.into() })
        })
    }
}

/// A lock on the far side. It is kept by saying so, and given back by saying nothing more.
#[derive(Debug)]
struct Held(tokio::task::JoinHandle<()>);

impl Guard for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[async_trait]
impl Host for Ssh {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_local(&self) -> bool {
        false
    }

    fn exchanges(&self) -> u32 {
        self.exchanges.load(Ordering::Relaxed)
    }

    async fn known_uid(&self) -> Option<u32> {
        if let Some(guess) = self.guess().await {
            return guess.known_uid();
        }
        // One that is just being made is not waited for: it knows nothing.
        self.connection.try_lock().ok()?.as_ref()?.known_uid()
    }

    async fn renew(&self) -> Result<bool, HostError> {
        let kept = self.connection.lock().await.clone();
        let Some(connection) = kept else { return Ok(self.connection().await?.is_new) };
        if connection.is_new {
            return Ok(false);
        }
        connection.disown();
        self.forget(&connection).await;
        self.connection().await.map(|_| true)
    }

    async fn query(&self, query: &Query) -> Result<Observation, HostError> {
        self.check_query(query)?;
        let arguments = arguments(query);
        let args: Vec<&str> = arguments.iter().map(String::as_str).collect();
        if let Some(seen) = self.query_ahead(query, &args).await {
            return seen;
        }
        let mut is_again = false;
        for _ in 0..LOOKS {
            let (nonce, spoken) = match self.ask(&args, &scripts(query)).await {
                // Nothing was changed there: what was cut off is asked again, once.
                Err(HostError::Lost { .. }) if !is_again => {
                    is_again = true;
                    *self.connection.lock().await = None;
                    continue;
                }
                asked => asked?,
            };
            match answers::parse(query, &frame::records(&spoken.stdout, &nonce)) {
                Err(answers::Fault::Changed) => {}
                Err(fault) => return Err(self.fault("query", fault)),
                Ok(seen) => {
                    self.learn_uid(seen.facts.uid).await;
                    return Ok(seen);
                }
            }
        }
        Err(self.fault("query", answers::Fault::Changed))
    }

    async fn lock(&self, name: &str, owner: &str, query: &Query) -> Result<(Lease, Observation), HostError> {
        super::check_lock_name(&self.name, name)?;
        self.check_query(query)?;
        let (begun, owner, arguments) = (Moment::now(), super::token::escape(owner), arguments(query));
        let args: Vec<&str> = [name, owner.as_str()].into_iter().chain(arguments.iter().map(String::as_str)).collect();
        let mut channel = self.start("lock", &script::LOCK, &args).await?;
        let spoken = self.converse("lock", &mut channel, &scripts(query), PATIENCE).await?;
        let taken = answers::parse_taken(query, &frame::records(&spoken.stdout, channel.nonce()));
        let (fence, seen) = taken.map_err(|fault| self.fault("lock", fault))?;
        self.learn_uid(seen.facts.uid).await;
        let beats = Arc::new(Beats::since(begun));
        let counted = Arc::clone(&beats);
        let beating = tokio::spawn(async move {
            while channel.beat().await.is_ok() {
                counted.beat();
                tokio::select! {
                    () = sleep(BEAT) => {}
                    () = channel.ended() => break,
                }
            }
            counted.end();
        });
        Ok((Lease::with(fence, Pulse::Beats(beats), Box::new(Held(beating))), seen))
    }

    async fn change(&self, batch: &Batch, progress: &(dyn Fn(u64) + Send + Sync)) -> Result<Changed, HostError> {
        self.check("write", batch.puts.iter().map(|put| &put.path), HostPath::fault_of_change)?;
        self.check("remove", batch.removes.iter().chain(&batch.prune), HostPath::fault_of_change)?;
        self.check("append to", batch.appends.iter().map(|append| &append.path), HostPath::fault_of_change)?;
        for append in &batch.appends {
            super::fault_of_line(&append.line).map_or(Ok(()), |fault| {
                let step = format!("append to {}", super::printable(append.path.rel.as_str().as_bytes()));
                Err(HostError::Change { host: self.name.clone(), step, detail: fault.into() })
            })?;
        }
        let fence = batch.fence.as_ref().map_or_else(String::new, |fence| fence.path().into_string());
        let ships = if batch.puts.is_empty() { "" } else { "tar" };
        let mut channel = self.start("change", &script::CHANGE, &[&fence, ships]).await?;
        let mut stream = change::stream(batch);
        let report = || progress(stream.sent.load(Ordering::Relaxed));
        let sent = channel.send(&mut stream.chunks, STALL, &report).await;
        drop(stream.chunks);
        let read = stream.reading.await;
        if sent.is_err() {
            return Err(self.deadline("change", STALL));
        }
        let spoken = self.converse("change", &mut channel, &[], STALL).await;
        // Only now: the far side has undone what it had begun.
        if let Ok(Err(source)) = read
            && source.kind() != std::io::ErrorKind::BrokenPipe
        {
            return Err(HostError::Io { host: self.name.clone(), during: "ship files".into(), source });
        }
        let spoken = spoken?;
        let records = frame::records(&spoken.stdout, channel.nonce());
        answers::failure(&records).map_err(|fault| self.fault("change", fault))?;
        match spoken.status.as_str() {
            "0" => Ok(Changed { notes: answers::notes(&records) }),
            "lost" => Err(self.lock_lost()),
            _ => Err(self.lost("change")),
        }
    }

    async fn run(&self, command: &Command) -> Result<Output, HostError> {
        let during = shown(command);
        let seconds = (command.deadline.as_secs() + 2).to_string();
        let words = Words::of(command, command.stdin.len(), &seconds);
        let mut channel = self.start(&during, &script::RUN, &words.args()).await?;
        let input: Vec<&[u8]> = words.values().chain([command.stdin.as_slice()]).collect();
        let spoken = channel.converse(&input, command.limit, Stderr::Answer);
        let Spoken { status, stdout, stderr } =
            match self.heed(timeout_at(Instant::now() + command.deadline, spoken)).await? {
                Ok(Ok(spoken)) => spoken,
                Ok(Err(silence)) => return Err(self.silence(&during, &mut channel, silence, command.limit).await),
                Err(_) => return Err(self.deadline(&during, command.deadline)),
            };
        let end = match (status.as_str(), status.parse::<i32>()) {
            ("none", _) => End::NotFound,
            ("lost", _) => return Err(self.lock_lost()),
            ("late", _) => return Err(self.deadline(&during, command.deadline)),
            // All that a shell tells of a signal; a program may also exit with such a code.
            (_, Ok(code @ 129..=192)) => End::Signal(code - 128),
            (_, Ok(code)) => End::Exit(code),
            _ => return Err(self.fault(&during, answers::Fault::Garbled(format!("a status of {status:?}")))),
        };
        Ok(Output { end, stdout, stderr })
    }

    async fn pipe(&self, command: &Command) -> Result<Pipe, HostError> {
        let during = shown(command);
        let words = Words::of(command, 0, "0");
        let mut channel = self.start(&during, &script::PIPE, &words.args()).await?;
        let values: Vec<&[u8]> = words.values().collect();
        let begun = match self.heed(timeout_at(Instant::now() + PATIENCE, channel.begin(&values))).await? {
            Ok(Ok(begun)) => begun,
            Ok(Err(silence)) => return Err(self.silence(&during, &mut channel, silence, command.limit).await),
            Err(_) => return Err(self.deadline(&during, PATIENCE)),
        };
        if begun == Begun::WithoutLock {
            return Err(self.lock_lost());
        }
        if begun == Begun::NotFound {
            let detail = "there is no such program".into();
            return Err(HostError::Unsendable { host: self.name.clone(), what: during, detail });
        }
        let Some((stdin, output, running)) = channel.into_streams() else { return Err(self.lost(&during)) };
        Ok(Pipe { stdin: Box::new(stdin), stdout: Box::new(output), guard: Box::new(running) })
    }

    async fn forward_ahead(&self, to: &Endpoint) -> Option<Forward> {
        match self.guess().await {
            Some(guess) => self.forward_over_guess(&guess, to).await,
            None => self.forward(to).await.ok(),
        }
    }

    async fn forward(&self, to: &Endpoint) -> Result<Forward, HostError> {
        const DURING: &str = "open a forward";
        let mut renewed = false;
        loop {
            let connection = self.connection().await?;
            match timeout_at(Instant::now() + PATIENCE, forward::open(&connection, to)).await {
                Ok(Ok(Ok(forward))) => return Ok(forward),
                Ok(Ok(Err(openssh::Error::Disconnected))) if !renewed => {
                    renewed = true;
                    connection.disown();
                    self.forget(&connection).await;
                }
                Ok(Ok(Err(_))) => return Err(self.lost(DURING)),
                Ok(Err(source)) => {
                    return Err(HostError::Io { host: self.name.clone(), during: DURING.into(), source });
                }
                Err(_) => return Err(self.deadline(DURING, PATIENCE)),
            }
        }
    }
}
