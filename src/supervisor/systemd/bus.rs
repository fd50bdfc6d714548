//! A connection to the user's bus, here or at a distance, and calls over it.
//!
//! The bus is found by user id at `/run/user/<uid>/bus`, never by environment: unitbee works the same under cron, `sudo
//! -u` and `env -i`. At a distance its socket is forwarded; where sshd forbids that, `systemd-stdio-bridge` carries the
//! same bytes over a session. A forward that comes up proves nothing (sshd refuses at the first use), so only a
//! handshake counts. The manager's private socket is never used: it speaks no bus protocol that zbus understands.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use camino::Utf8PathBuf;
use tokio::sync::OnceCell;
use tracing::debug;
use zbus::{Connection, DBusError, Message, fdo};

use super::call::CallError;
use super::properties::{Properties, Value};
use super::socket;
use crate::host::{Command, Endpoint, Forward, Guard, Host, HostError, Pipe, printable};
use crate::service::escape::object_path;
use crate::supervisor::Transport;

/// How long the handshake may take; the bus daemon may have to be started for it.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// How long the manager may take to answer a call; a reload of many units takes seconds on a slow host.
const ANSWER: Duration = Duration::from_secs(30);

/// Where the system's bus listens (the D-Bus specification, "Well-known Message Bus Instances").
const SYSTEM_BUS: &str = "/run/dbus/system_bus_socket";

pub(super) const SYSTEMD: &str = "org.freedesktop.systemd1";
pub(super) const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
pub(super) const MANAGER: &str = "org.freedesktop.systemd1.Manager";
pub(super) const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// Where the user's bus listens; found by uid, since a shell's environment may lack it.
pub(super) fn user_bus(uid: u32) -> Utf8PathBuf {
    format!("/run/user/{uid}/bus").into()
}

/// A connection to the user's bus.
pub(super) struct Bus {
    pub(super) connection: Connection,
    pub(super) transport: Transport,
    /// Version of systemd, known once the manager is known to be the right one.
    pub(super) identity: OnceCell<Option<u32>>,
    subscribed: OnceCell<()>,
    /// Keeps the forward or the bridge.
    guard: Box<dyn Guard>,
}

impl Bus {
    /// Connects to the user's bus; `None` where no way to it works.
    pub(super) async fn open(host: &dyn Host, uid: u32) -> Result<Option<Self>, HostError> {
        if let Some(bus) = Self::open_socket(host, uid, user_bus(uid)).await? {
            return Ok(Some(bus));
        }
        if host.is_local() { Ok(None) } else { Self::open_bridge(host, uid).await }
    }

    /// Connects to the user's bus if that is easily done.
    pub(super) async fn open_ahead(host: &dyn Host, uid: u32) -> Option<Self> {
        let forward = host.forward_ahead(&Endpoint::Unix(user_bus(uid))).await?;
        Self::open_through(host, uid, forward).await
    }

    /// Connects to the bus that logind is on; `None` where that does not work.
    pub(super) async fn open_system(host: &dyn Host, uid: u32) -> Result<Option<Self>, HostError> {
        Self::open_socket(host, uid, SYSTEM_BUS.into()).await
    }

    async fn open_socket(host: &dyn Host, uid: u32, socket: Utf8PathBuf) -> Result<Option<Self>, HostError> {
        let forward = match host.forward(&Endpoint::Unix(socket)).await {
            Ok(forward) => forward,
            Err(error @ (HostError::Connect { .. } | HostError::Lost { .. })) => return Err(error),
            Err(error) => {
                debug!(host = host.name(), %error, "the bus socket is not forwarded");
                return Ok(None);
            }
        };
        Ok(Self::open_through(host, uid, forward).await)
    }

    async fn open_through(host: &dyn Host, uid: u32, forward: Forward) -> Option<Self> {
        let transport = if forward.is_forwarded() { Transport::ForwardedBus } else { Transport::Bus };
        match forward.connect().await {
            Ok(pipe) => Self::shake_hands(host, uid, pipe, transport).await,
            Err(error) => {
                debug!(host = host.name(), %error, "the bus socket does not answer");
                None
            }
        }
    }

    async fn open_bridge(host: &dyn Host, uid: u32) -> Result<Option<Self>, HostError> {
        // `--user` would lead to the system bus on systemd 248 to 257.
        let command = Command::new("systemd-stdio-bridge").arg(format!("-punix:path={}", user_bus(uid)));
        match host.pipe(&command).await {
            Ok(pipe) => Ok(Self::shake_hands(host, uid, pipe, Transport::StdioBridge).await),
            Err(error @ (HostError::Connect { .. } | HostError::Lost { .. })) => Err(error),
            Err(error) => {
                debug!(host = host.name(), %error, "systemd-stdio-bridge does not run");
                Ok(None)
            }
        }
    }

    async fn shake_hands(host: &dyn Host, uid: u32, pipe: Pipe, transport: Transport) -> Option<Self> {
        let build = zbus::connection::Builder::socket(socket::split(pipe.stdout, pipe.stdin))
            // The far side compares it with the uid that it sees the socket opened by: the remote one.
            .user_id(uid)
            .method_timeout(ANSWER)
            .build();
        let reason = match tokio::time::timeout(HANDSHAKE, build).await {
            Ok(Ok(connection)) => {
                debug!(host = host.name(), %transport, "connected to the bus");
                return Some(Self {
                    connection,
                    transport,
                    identity: OnceCell::new(),
                    subscribed: OnceCell::new(),
                    guard: pipe.guard,
                });
            }
            Ok(Err(error)) => printable(error.to_string().as_bytes()),
            Err(_) => "no answer in time".to_owned(),
        };
        debug!(host = host.name(), %transport, reason, "no handshake with the bus");
        None
    }

    /// Tells whether the connection broke, or leads to a host that is not the one that is meant.
    pub(super) fn is_lost(&self) -> bool {
        self.connection.is_closed() || !self.guard.is_open()
    }

    /// Calls a method of an object of `service`.
    pub(super) async fn call<B>(
        &self,
        service: &str,
        path: &str,
        interface: &str,
        method: &str,
        body: &B,
    ) -> Result<Message, CallError>
    where
        B: serde::Serialize + zbus::DynamicType,
    {
        Ok(self.connection.call_method(Some(service), path, Some(interface), method, body).await?)
    }

    /// Calls a method of the manager.
    pub(super) async fn manager<B>(&self, method: &str, body: &B) -> Result<Message, CallError>
    where
        B: serde::Serialize + zbus::DynamicType,
    {
        self.call(SYSTEMD, MANAGER_PATH, MANAGER, method, body).await
    }

    /// Reads all properties of an object of `service` that belong to `interface`.
    pub(super) async fn properties(&self, service: &str, path: &str, interface: &str) -> Result<Properties, CallError> {
        let answer = self.call(service, path, PROPERTIES, "GetAll", &(interface,)).await?;
        let body = answer.body();
        let values: HashMap<&str, zbus::Variant<'_>> = body.deserialize()?;
        Ok(values.into_iter().filter_map(|(name, value)| Some((name.to_owned(), read_value(value)?))).collect())
    }

    /// Reads all that is told of a service, in one call for all interfaces: between two calls it may go on to another
    /// state. The object's path follows from the name, and looking at it loads the unit, so nothing is asked before.
    pub(super) async fn service(&self, name: &str) -> Result<Properties, CallError> {
        self.properties(SYSTEMD, &object_path(name), "").await
    }

    /// Reads what is told of a unit of any kind.
    pub(super) async fn unit(&self, name: &str) -> Result<Properties, CallError> {
        self.properties(SYSTEMD, &object_path(name), "org.freedesktop.systemd1.Unit").await
    }

    /// Reads one string property of the manager.
    pub(super) async fn manager_text(&self, name: &str) -> Result<String, CallError> {
        let answer = self.call(SYSTEMD, MANAGER_PATH, PROPERTIES, "Get", &(MANAGER, name)).await?;
        let body = answer.body();
        match read_value(body.deserialize()?) {
            Some(Value::Text(text)) => Ok(text),
            _ => Err(CallError::Broken(format!("{name} is no text"))),
        }
    }

    /// Asks the manager for its signals, once for the connection.
    pub(super) async fn subscribe(&self) -> Result<(), CallError> {
        self.subscribed
            .get_or_try_init(async || match self.manager("Subscribe", &()).await {
                Ok(_) => Ok(()),
                Err(CallError::Refused { name: Some(name), .. }) if name.ends_with(".AlreadySubscribed") => Ok(()),
                Err(error) => Err(error),
            })
            .await
            .copied()
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus").field("transport", &self.transport).finish_non_exhaustive()
    }
}

/// The value of a property, as far as it is of a type that is used here.
fn read_value(value: zbus::Variant<'_>) -> Option<Value> {
    use zbus::Variant;
    Some(match value {
        Variant::Str(text) => Value::Text(text.as_str().to_owned()),
        Variant::ObjectPath(path) => Value::Text(path.as_str().to_owned()),
        Variant::Bool(flag) => Value::Flag(flag),
        Variant::U32(number) => Value::Number(number.into()),
        Variant::U64(number) => Value::Number(number),
        Variant::I32(number) => Value::Number(number.try_into().ok()?),
        Variant::Variant(inner) => return read_value(*inner),
        Variant::Array(array) => match array.element_signature().to_string().as_str() {
            "y" => Value::Bytes(array.try_into().ok()?),
            "s" => Value::List(array.try_into().ok()?),
            _ => return None,
        },
        Variant::Structure(pair) => {
            let (name, words) = pair.try_into().ok()?;
            Value::Pair(name, words)
        }
        _ => return None,
    })
}

impl From<zbus::Error> for CallError {
    fn from(error: zbus::Error) -> Self {
        match error {
            zbus::Error::MethodError(name, words, _) => Self::named(name.as_str(), words.as_deref()),
            zbus::Error::FDO(error) => match *error {
                fdo::Error::ZBus(error) => error.into(),
                error => Self::named(error.name().as_str(), error.description()),
            },
            error => Self::Broken(printable(error.to_string().as_bytes())),
        }
    }
}
