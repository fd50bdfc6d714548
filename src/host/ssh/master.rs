//! The connection to a host: an ssh(1) master process that carries the sessions of every unitbee of this user.
//!
//! We start it ourselves, because only so does everything else stay as the user's ssh is configured: host keys,
//! jump hosts, agents, identities. It is found by the path of its control socket, in a folder that nobody else can
//! look into, and leaves when it was idle for a while. A lock beside it makes one of many that start at once.

#![expect(clippy::disallowed_methods, reason = "the ssh client of this machine is started here")]

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use openssh::Session;
use rustix::process::{Pid, Signal, kill_process_group};
use sha2::{Digest, Sha256};
use tokio::net::UnixStream;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use super::super::{ConnectFault, HostError, Options, nonce};
use super::control::{control_folder, sweep};
use super::destination::{self, Resolved};
use super::fault;

/// How long a connection may take to come up where nobody says.
pub(super) const CONNECT: Duration = Duration::from_secs(10);

/// How long past its own deadline ssh(1) may take to give up.
const MARGIN: Duration = Duration::from_secs(2);

/// How long it is until a connection that was dropped is tried again, at first and at most.
const PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A live connection.
#[derive(Debug)]
pub(super) struct Connection {
    /// Starts sessions and forwards.
    pub(super) session: Arc<Session>,
    /// The control socket of its master.
    pub(super) socket: Utf8PathBuf,
    /// Whether its master was started by this process: one that was kept has the groups of an earlier login.
    pub(super) is_new: bool,
    /// Whether the host has answered through it: a master may outlive the connection that it has.
    proven: AtomicBool,
    /// Whether the host has run a script of ours through it: a login shell may do something else instead.
    understood: AtomicBool,
    /// Whether it has turned out to lead to another machine than the one that is meant.
    revoked: AtomicBool,
    /// A client that asks for nothing: as long as it is there, the master does not leave, and its end tells that
    /// the master did.
    presence: UnixStream,
}

impl Connection {
    async fn over(socket: &Utf8Path, is_new: bool) -> io::Result<Self> {
        let presence = UnixStream::connect(socket).await?;
        let session = Arc::new(Session::resume_mux(socket.as_std_path().into(), None));
        let [proven, understood, revoked] = [is_new, false, false].map(AtomicBool::new);
        Ok(Self { session, socket: socket.to_owned(), is_new, proven, understood, revoked, presence })
    }

    /// Tells whether its master is still there; no message is sent for it.
    pub(super) fn is_alive(&self) -> bool {
        let mut greeting = [0; 64];
        loop {
            match self.presence.try_read(&mut greeting) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(fault) => return fault.kind() == io::ErrorKind::WouldBlock,
            }
        }
    }

    /// Remembers that the host has answered.
    pub(super) fn prove(&self) {
        self.proven.store(true, Ordering::Relaxed);
    }

    /// Tells whether the host has answered.
    pub(super) fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
    }

    /// Remembers that the host has run a script of ours.
    pub(super) fn understand(&self) {
        self.understood.store(true, Ordering::Relaxed);
    }

    /// Tells whether the host has run a script of ours.
    pub(super) fn is_understood(&self) -> bool {
        self.understood.load(Ordering::Relaxed)
    }

    /// Remembers that it is not the machine that is meant.
    pub(super) fn revoke(&self) {
        self.revoked.store(true, Ordering::Relaxed);
    }

    /// Tells whether it is not the machine that is meant.
    pub(super) fn is_revoked(&self) -> bool {
        self.revoked.load(Ordering::Relaxed)
    }

    /// The user id on the far side, known from an earlier exchange through the same master.
    pub(super) fn known_uid(&self) -> Option<u32> {
        fs::read_to_string(uid_file(&self.socket)).ok()?.parse().ok()
    }

    /// Keeps the user id for whoever uses this master next; without it the next one is merely slower.
    pub(super) fn learn_uid(&self, uid: u32) {
        if self.known_uid() != Some(uid) {
            fs::write(uid_file(&self.socket), uid.to_string()).ok();
        }
    }

    /// Hides the master from whoever looks for one: its host does not answer. It leaves by itself.
    pub(super) fn disown(&self) {
        fs::remove_file(&self.socket).ok();
    }
}

/// Why an attempt to connect failed: what ssh said, with whether there was a proxy, or something else.
enum Failure {
    Ssh(ConnectFault, String, bool),
    Other(HostError),
}

impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        Self::Other(error)
    }
}

/// How much ssh says until it goes to the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LogLevel {
    /// What went wrong.
    Info,
    /// Also what the other side said before its name.
    Debug,
}

impl LogLevel {
    fn name(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Debug => "DEBUG1",
        }
    }
}

/// How to get a connection to one destination.
#[derive(Debug)]
pub(super) struct Master {
    host: String,
    destination: String,
    options: Options,
}

impl Master {
    pub(super) fn new(host: &str, destination: &str, options: &Options) -> Self {
        Self { host: host.into(), destination: destination.into(), options: options.clone() }
    }

    /// The master that this destination led to the last time, if it is there: it may lead elsewhere now.
    pub(super) async fn guess(&self) -> Option<Connection> {
        let folder = control_folder().ok()?;
        let name = fs::read_to_string(self.hint(&folder)).ok()?;
        let is_name = name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        let connection = Connection::over(&folder.join(is_name.then_some(name)?), false).await.ok()?;
        // Of another one it is not even known whether scripts run there.
        connection.known_uid().is_some().then_some(connection)
    }

    /// The file that names that master.
    fn hint(&self, folder: &Utf8Path) -> Utf8PathBuf {
        let config = self.options.ssh_config.as_deref().unwrap_or(Utf8Path::new(""));
        let digest = Sha256::new().chain_update(&self.destination).chain_update("\0").chain_update(config.as_str());
        folder.join(hex::encode(&digest.finalize()[..8])).with_extension("hint")
    }

    async fn resolve(&self) -> Resolved {
        destination::resolve(&self.destination, self.options.ssh_config.as_deref()).await
    }

    /// Uses the master that is there or starts one.
    pub(super) async fn connect(&self) -> Result<Connection, HostError> {
        let folder = control_folder().map_err(|source| self.io("make the folder for control sockets", source))?;
        let resolved = self.resolve().await;
        let socket = folder.join(&resolved.name);
        let connection = self.connect_to(&folder, &socket, &resolved).await?;
        let hint = self.hint(&folder);
        if fs::read_to_string(&hint).ok().as_ref() != Some(&resolved.name) {
            // Without it the next process is merely slower.
            fs::write(hint, &resolved.name).ok();
        }
        Ok(connection)
    }

    async fn connect_to(
        &self,
        folder: &Utf8Path,
        socket: &Utf8Path,
        resolved: &Resolved,
    ) -> Result<Connection, HostError> {
        if let Ok(connection) = Connection::over(socket, false).await {
            return Ok(connection);
        }
        let patience = self.patience(resolved);
        let until = Instant::now() + patience + MARGIN;
        let _lock = self.lock(&socket.with_extension("lock"), until).await?;
        // While we waited, another process may have made it.
        if let Ok(connection) = Connection::over(socket, false).await {
            return Ok(connection);
        }
        sweep(folder, Duration::from_mins(1));
        for left in [socket, &uid_file(socket)] {
            fs::remove_file(left).ok();
        }
        self.start(socket, patience, until).await?;
        let connection = Connection::over(socket, true).await;
        connection.map_err(|source| self.io("use the connection", source))
    }

    /// Starts a master that nobody else finds: sshd counts the sessions of each connection.
    pub(super) async fn connect_alone(&self) -> Result<Connection, HostError> {
        let folder = control_folder().map_err(|source| self.io("make the folder for control sockets", source))?;
        // As long as that of one that is shared: there is no room for more.
        let socket = folder.join(&nonce()[..16]);
        let patience = self.patience(&self.resolve().await);
        self.start(&socket, patience, Instant::now() + patience + MARGIN).await?;
        let connection = Connection::over(&socket, true).await;
        connection.map_err(|source| self.io("use the connection", source))
    }

    async fn lock(&self, path: &Utf8Path, until: Instant) -> Result<File, HostError> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
        let file = file.map_err(|source| self.io("open the lock of the connection", source))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(fs::TryLockError::WouldBlock) if Instant::now() < until => sleep(Duration::from_millis(20)).await,
                Err(fs::TryLockError::WouldBlock) => {
                    return Err(self.unreachable("another process is still connecting".into()));
                }
                Err(fs::TryLockError::Error(source)) => return Err(self.io("lock the connection", source)),
            }
        }
    }

    /// How long a connection may take to come up: as the caller wants it, else as the user's ssh is configured.
    fn patience(&self, resolved: &Resolved) -> Duration {
        self.options.connect_timeout.or(resolved.connect_timeout).unwrap_or(CONNECT)
    }

    /// Starts a master; one that sshd drops before the login is started again as long as there is time.
    async fn start(&self, socket: &Utf8Path, patience: Duration, until: Instant) -> Result<(), HostError> {
        let mut pause = PAUSE;
        let mut level = LogLevel::Info;
        loop {
            let Err(failure) = self.attempt(socket, patience, until, level).await else { return Ok(()) };
            let is_passing = match &failure {
                Failure::Ssh(ConnectFault::Dropped, ..) => true,
                // What was behind the proxy is in the lines that this level hides.
                Failure::Ssh(.., is_behind_proxy) => *is_behind_proxy && level == LogLevel::Info,
                Failure::Other(_) => false,
            };
            let wait = pause + pause.mul_f64(super::exchange::jitter());
            if !is_passing || Instant::now() + wait + MARGIN > until {
                return Err(match failure {
                    Failure::Other(error) => error,
                    Failure::Ssh(fault, detail, _) => {
                        let alternative = self.options.alternative.clone();
                        HostError::Connect { host: self.host.clone(), fault, detail, alternative }
                    }
                });
            }
            sleep(wait).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            level = LogLevel::Debug;
        }
    }

    async fn attempt(
        &self,
        socket: &Utf8Path,
        patience: Duration,
        until: Instant,
        level: LogLevel,
    ) -> Result<(), Failure> {
        let log = socket.with_extension("log");
        // A file, not a pipe: the master goes on in the background and keeps what it was given.
        let errors = File::create(&log).map_err(|source| self.io("open the log of ssh", source))?;
        let mut command = Command::new("ssh");
        command.args(["-M", "-N", "-f", "-S", socket.as_str()]);
        let seconds = |time: Duration| time.as_secs().max(1);
        for option in [
            "BatchMode=yes".to_owned(),
            // The user's own may hide why there is no connection.
            format!("LogLevel={}", level.name()),
            format!("ControlPersist={}s", seconds(self.options.keep)),
            format!("ConnectTimeout={}", seconds(patience)),
            // What is forwarded for the user's own sessions would be in their way here.
            "ClearAllForwardings=yes".into(),
            "RemoteCommand=none".into(),
            // A host that vanished is noticed within 15 s.
            "ServerAliveInterval=5".into(),
            "ServerAliveCountMax=3".into(),
        ] {
            command.args(["-o", &option]);
        }
        if let Some(config) = &self.options.ssh_config {
            command.args(["-F", config.as_str()]);
        }
        command.args(["--", &self.destination]);
        // For `fault`; sessions do not get it.
        command.env("LC_ALL", "C");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors).process_group(0).kill_on_drop(true);

        let mut child = command.spawn().map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => HostError::Connect {
                host: self.host.clone(),
                fault: ConnectFault::NoSsh,
                detail: "there is no ssh in $PATH".into(),
                alternative: None,
            },
            _ => self.io("start ssh", source),
        })?;
        let group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
        let ended = timeout(until.saturating_duration_since(Instant::now()), child.wait()).await;
        match ended {
            Ok(Ok(status)) if status.success() => {
                group.release();
                fs::remove_file(&log).ok();
                Ok(())
            }
            Ok(Ok(_)) => {
                let said = fs::read(&log).unwrap_or_default();
                fs::remove_file(&log).ok();
                let said = &said[..said.len().min(64 << 10)];
                let (fault, detail) = fault::interpret(said);
                Err(Failure::Ssh(fault, detail, fault::is_behind_proxy(said)))
            }
            Ok(Err(source)) => Err(self.io("wait for ssh", source).into()),
            Err(_) => Err(self.unreachable(format!("no connection within {patience:?}")).into()),
        }
    }

    fn unreachable(&self, detail: String) -> HostError {
        HostError::Connect { host: self.host.clone(), fault: ConnectFault::Unreachable, detail, alternative: None }
    }

    fn io(&self, during: &str, source: io::Error) -> HostError {
        HostError::Io { host: self.host.clone(), during: during.into(), source }
    }
}

fn uid_file(socket: &Utf8Path) -> Utf8PathBuf {
    socket.with_extension("uid")
}

/// ssh(1) while it connects, with what it started to get through: dropping this ends them. ssh leaves the group when
/// it goes to the background, but what it started stays in it and is still needed.
struct Group(Option<Pid>);

impl Group {
    fn release(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            kill_process_group(leader, Signal::KILL).ok();
        }
    }
}
