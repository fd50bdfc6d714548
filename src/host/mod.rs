//! Where a service lives: this machine or one reached over SSH.
//!
//! [`Host`] is the only place of the crate that starts a program, touches a file or opens a socket. Its
//! primitives are batched, because at a distance every one of them costs a round trip: one [`Query`] reads
//! everything a plan needs, one [`Batch`] carries every file of a change. A host knows nothing of services.
//!
//! Who changes a host takes its lock first. What is done under that [`Lease`] carries its [`Fence`], and the host refuses it
//! once somebody else has the lock: a machine that was suspended in the middle of a change does not go on where it was.

mod bsd;
mod error;
mod lease;
mod local;
mod local_command;
mod local_file;
mod proc;
pub mod process;
pub mod query;
mod relay;
mod root;
mod signals;
mod ssh;
mod token;
mod xdg_dirs;

use std::fmt::{self, Debug, Formatter};
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use camino::Utf8PathBuf;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

pub use self::error::{ConnectFault, HostError, printable};
pub use self::lease::{Fence, Lease};
pub use self::local_command::{LocalOutput, local_command};
pub use self::local_file::{LocalFile, inspect_local, local_file, read_local, scratch};
pub use self::query::{
    Answer, Ask, Base, Cgroup, Crontab, Entry, Facts, FileFound, Holder, HostPath, Libc, Listener, Observation,
    Process, Query, Table,
};
pub use self::relay::{Relay, RelayFault};
pub use self::root::{change_as_root, is_by_sudo, may_act_as_root, stage_as_root};

/// A program and its arguments: never a shell line.
#[derive(Clone)]
pub struct Command {
    /// Path or bare name of the program.
    pub program: String,
    /// Its arguments, passed on byte for byte.
    pub args: Vec<String>,
    /// What is set in its environment beside what the host gives it.
    pub env: Vec<(String, String)>,
    /// What it reads from standard input.
    pub stdin: Vec<u8>,
    /// How long it may run; then it is killed, on the host.
    pub deadline: Duration,
    /// How many bytes of each of its two outputs are taken; one more is [`HostError::TooMuch`].
    pub limit: usize,
    /// The lock that it needs: it is not started once that is lost, which is [`HostError::LockLost`].
    pub fence: Option<Fence>,
}

impl Command {
    /// Names a program with a deadline of 30 s and a limit of 4 MiB of output.
    pub fn new(program: impl Into<String>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            stdin: Vec::new(),
            deadline: Duration::from_secs(30),
            limit: 4 << 20,
            fence: None,
        }
    }

    /// Appends one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Appends arguments.
    #[must_use]
    pub fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets one variable of its environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Sets what it reads from standard input.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Sets how long it may run.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Has it started only for as long as the lock is held; the host looks right before.
    #[must_use]
    pub fn fenced(mut self, fence: &Fence) -> Self {
        self.fence = Some(fence.clone());
        self
    }
}

impl Debug for Command {
    /// Leaves out the values of its environment and what it reads: they may be secrets.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("program", &self.program)
            .field("args", &self.args)
            .field("env", &self.env.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("stdin", &self.stdin.len())
            .field("deadline", &self.deadline)
            .field("limit", &self.limit)
            .field("fence", &self.fence)
            .finish()
    }
}

/// How a program ended and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its end; any end is an [`Output`], the caller decides what it means.
    pub end: End,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It exited with this code.
    Exit(i32),
    /// This signal killed it.
    Signal(i32),
    /// There is no such program on the host.
    NotFound,
}

impl Output {
    /// Tells whether the program exited with 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.end == End::Exit(0)
    }

    /// The last line that it wrote to standard error, [`printable`]; that is where the reason is.
    #[must_use]
    pub fn last_words(&self) -> Option<String> {
        printable(&self.stderr).lines().rfind(|line| !line.trim().is_empty()).map(str::to_owned)
    }
}

/// A socket on a host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// A TCP port as the host sees it.
    Tcp {
        /// Name or address, resolved on the host.
        host: String,
        /// Port.
        port: u16,
    },
    /// A unix socket.
    Unix(Utf8PathBuf),
}

/// A way from here to an [`Endpoint`] of a host; dropping it closes the way.
#[derive(Debug)]
pub struct Forward {
    /// What to connect to from this machine.
    pub here: Endpoint,
    guard: Option<Box<dyn Guard>>,
}

/// What a [`Forward`], a [`Pipe`] or a [`Lease`] keeps alive; its `Drop` ends the thing on the far side.
pub trait Guard: Debug + Send + Sync {
    /// Tells whether the thing is still there, as far as that is known here.
    fn is_open(&self) -> bool {
        true
    }
}

impl Forward {
    /// A way that needs no forwarding: the endpoint can be reached from here as it is.
    #[must_use]
    pub fn direct(to: Endpoint) -> Self {
        Self { here: to, guard: None }
    }

    /// A way through `here` that lives as long as `guard`.
    #[must_use]
    pub fn through(here: Endpoint, guard: Box<dyn Guard>) -> Self {
        Self { here, guard: Some(guard) }
    }

    /// Tells whether something had to be set up between here and the endpoint.
    #[must_use]
    pub fn is_forwarded(&self) -> bool {
        self.guard.is_some()
    }

    /// Tells whether what carries it is still there.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.guard.as_ref().is_none_or(|guard| guard.is_open())
    }

    /// Connects to the endpoint; the way lives as long as what comes back.
    #[expect(clippy::disallowed_methods, reason = "this is where the sockets of a host are opened")]
    pub async fn connect(self) -> std::io::Result<Pipe> {
        let guard = self.guard.unwrap_or_else(|| Box::new(Unguarded));
        Ok(match self.here {
            Endpoint::Unix(path) => {
                let (read, write) = UnixStream::connect(path).await?.into_split();
                Pipe { stdin: Box::new(write), stdout: Box::new(read), guard }
            }
            Endpoint::Tcp { host, port } => {
                let (read, write) = TcpStream::connect((host.as_str(), port)).await?.into_split();
                Pipe { stdin: Box::new(write), stdout: Box::new(read), guard }
            }
        })
    }
}

/// Nothing to keep alive.
#[derive(Debug)]
struct Unguarded;

impl Guard for Unguarded {}

/// A stream of bytes both ways: a running program, ended on the host by dropping this, or a connected socket.
pub struct Pipe {
    /// What goes to it: its standard input.
    pub stdin: Box<dyn AsyncWrite + Send + Sync + Unpin>,
    /// What comes from it: its standard output.
    pub stdout: Box<dyn AsyncRead + Send + Sync + Unpin>,
    /// Keeps it alive.
    pub guard: Box<dyn Guard>,
}

/// One file to be put in place.
#[derive(Debug, Clone)]
pub struct Put {
    /// Where it goes; missing folders are made (0755, in a place of ours 0700).
    pub path: HostPath,
    /// Permission bits, set before the first byte of content is there.
    pub mode: u32,
    /// What it holds.
    pub content: Content,
}

/// Where the bytes of a [`Put`] come from.
#[derive(Clone)]
pub enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// A file of this machine, streamed; the host checks that it arrived with this digest.
    File {
        /// Its path here.
        path: Utf8PathBuf,
        /// Its length in bytes.
        len: u64,
        /// SHA-256 in lower-case hexadecimal.
        sha256: String,
    },
}

impl Debug for Content {
    /// Shows the length of bytes, not the bytes: they may be a secret.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => f.debug_tuple("Bytes").field(&bytes.len()).finish(),
            Self::File { path, len, sha256 } => {
                f.debug_struct("File").field("path", path).field("len", len).field("sha256", sha256).finish()
            }
        }
    }
}

/// One line to be added to a file, such as a log of changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// The file, made with mode 0600 where there is none. One of more than 1 MiB is first renamed to `<name>.1`.
    pub path: HostPath,
    /// The line without its end; it is neither empty nor does it hold a line break or a NUL byte.
    pub line: Vec<u8>,
}

/// What is to be known of a change that was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// What went wrong beside it: which line could not be [appended](Append), and why.
    pub notes: Vec<String>,
}

/// Everything that one change writes and removes, in one exchange.
///
/// All content is on the host's disk and synced before the first rename; renames then happen in the order
/// given, removals after them, then appends. A batch that fails before the first rename leaves nothing behind. One
/// that puts nothing needs no free space.
///
/// A change that is killed cannot tidy up. So a change under a fence begins with that, for then nobody else writes on this
/// machine: what was left in the folders of this tool and in those of units goes.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Files to put in place.
    pub puts: Vec<Put>,
    /// Files to remove, and folders with all they hold; what is not there is no error.
    pub removes: Vec<HostPath>,
    /// Lines to append.
    pub appends: Vec<Append>,
    /// Folders to remove where they are empty, in this order.
    pub prune: Vec<HostPath>,
    /// The lock that the change is made under. Once it is lost, nothing is changed, which is [`HostError::LockLost`]: the
    /// host looks before it stages anything, and again before the first rename or removal.
    pub fence: Option<Fence>,
}

/// A machine that services run on.
#[async_trait]
pub trait Host: Debug + Send + Sync {
    /// The name that the user gave it.
    fn name(&self) -> &str;

    /// Tells whether this is the machine that we run on.
    fn is_local(&self) -> bool;

    /// How many exchanges were made so far (commands sent; not the streams inside a forward).
    fn exchanges(&self) -> u32;

    /// The user id that we have there, as far as that is known without asking: an earlier exchange over the same
    /// connection told it, which may lead elsewhere by now. What is built on it has to be proven by the next [`Facts`].
    async fn known_uid(&self) -> Option<u32>;

    /// Logs in anew, unless that has happened since this value was made: a login keeps the groups that the account had when
    /// it was made, and so does a connection that is kept. Tells whether there is a new login, so that what was refused may
    /// be tried again.
    async fn renew(&self) -> Result<bool, HostError>;

    /// Answers every question of `query`, with the host's [`Facts`], in one exchange.
    async fn query(&self, query: &Query) -> Result<Observation, HostError>;

    /// Takes the lock `name` and answers `query` under it, in one exchange.
    ///
    /// `owner` is told to whoever finds the lock taken, as [`HostError::Busy`]: waiting is for the caller, because who
    /// waited on the host would keep a session that the holder may need.
    async fn lock(&self, name: &str, owner: &str, query: &Query) -> Result<(Lease, Observation), HostError>;

    /// Carries out `batch` in one exchange; `progress` is told the bytes sent so far.
    async fn change(&self, batch: &Batch, progress: &(dyn Fn(u64) + Send + Sync)) -> Result<Changed, HostError>;

    /// Runs a program to its end.
    async fn run(&self, command: &Command) -> Result<Output, HostError>;

    /// Starts a program and gives its standard input and output; its deadline and limit do not apply.
    async fn pipe(&self, command: &Command) -> Result<Pipe, HostError>;

    /// Opens a way to a socket of the host where that takes no waiting, before it is certain that it is the host that is
    /// meant. The next [`Facts`] decide: then [`Forward::is_open`] is false where it is not.
    async fn forward_ahead(&self, to: &Endpoint) -> Option<Forward>;

    /// Opens a way from here to a socket of the host.
    async fn forward(&self, to: &Endpoint) -> Result<Forward, HostError>;
}

/// How hosts are reached.
#[derive(Debug, Clone)]
pub struct Options {
    /// `ssh -F`: another configuration than the user's own.
    pub ssh_config: Option<Utf8PathBuf>,
    /// How long a connection may take to come up; without it ssh's own `ConnectTimeout` counts, else 10 s.
    pub connect_timeout: Option<Duration>,
    /// How long an idle connection is kept for the next command.
    pub keep: Duration,
    /// A name that the user may have meant where nothing has the one that was given.
    pub alternative: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { ssh_config: None, connect_timeout: None, keep: Duration::from_mins(1), alternative: None }
    }
}

/// Tells whether `destination` means the machine that we run on, which is never reached through ssh.
#[must_use]
pub fn is_this_machine(destination: &str) -> bool {
    matches!(destination, "localhost" | "127.0.0.1" | "::1" | "[::1]")
}

/// Names a host by `destination`, as ssh(1) takes it, or this machine; no connection is made before the first exchange.
#[must_use]
pub fn open(name: &str, destination: &str, options: &Options) -> Arc<dyn Host> {
    if is_this_machine(destination) {
        Arc::new(local::Local::new(name))
    } else {
        Arc::new(ssh::Ssh::new(name, destination, options))
    }
}

/// Refuses the name of a lock that is not a plain word.
fn check_lock_name(host: &str, name: &str) -> Result<(), HostError> {
    if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
        return Ok(());
    }
    let detail = "letters, digits, - and _ make the name of a lock".into();
    Err(HostError::Unsendable { host: host.into(), what: format!("lock {}", printable(name.as_bytes())), detail })
}

/// Says why a line cannot be appended to a file.
fn fault_of_line(line: &[u8]) -> Option<&'static str> {
    let spoiled = line.is_empty() || line.iter().any(|byte| matches!(byte, b'\n' | b'\0'));
    spoiled.then_some("not a line of text")
}

/// Shows a command in a message: one line, not too long.
fn shown(command: &Command) -> String {
    let words = std::iter::once(&command.program).chain(&command.args);
    let line = words.map(|word| printable(word.as_bytes())).collect::<Vec<_>>().join(" ").replace(['\n', '\t'], " ");
    if line.chars().count() <= 100 { line } else { line.chars().take(99).chain(['…']).collect() }
}

/// Copies `from` to its end and returns the SHA-256 in lower-case hexadecimal and the number of bytes.
fn copy_digesting(mut from: impl Read, mut to: impl Write) -> io::Result<(String, u64)> {
    let mut sha256 = Sha256::new();
    let mut len = 0;
    let mut buffer = vec![0; 128 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok((hex::encode(sha256.finalize()), len)),
            Ok(read) => {
                sha256.update(&buffer[..read]);
                to.write_all(&buffer[..read])?;
                len += read as u64;
            }
            Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
            Err(fault) => return Err(fault),
        }
    }
}

/// Sixteen bytes that nobody can guess, as hexadecimal: marks what is ours in a stream, names what is temporary.
fn nonce() -> String {
    use std::hash::{BuildHasher, RandomState};
    let word = || RandomState::new().hash_one(std::time::Instant::now());
    format!("{:016x}{:016x}", word(), word())
}
