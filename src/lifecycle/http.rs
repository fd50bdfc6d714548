//! One HTTP request to a service, wherever it runs: a URL is meant as the *host* of the service sees it, so one that
//! names the loopback of a remote host goes through a forward.
//!
//! A forward accepts every connection. One that then ends without a byte looks the same when nobody listens and when
//! sshd lets nobody through (`AllowTcpForwarding`, `DisableForwarding`, `PermitOpen` in `sshd_config`), so the host is
//! asked which it is; in the latter case a program that runs there carries the bytes from then on.

use std::error::Error as StdError;
use std::io;
use std::iter;
use std::time::Duration;

use camino::Utf8Path;
use reqwest::{Client, RequestBuilder};
use thiserror::Error;
use tokio::sync::Mutex;
use tracing::debug;

use crate::host::{Answer, Ask, Endpoint, Forward, Host, HostError, Query, Relay, RelayFault};
use crate::service::spec::HttpUrl;

/// How long a forward may keep silent until the host is asked whether anybody listens.
const DOUBT: Duration = Duration::from_secs(1);

/// How much of an answer is looked at.
const BODY: usize = 64 << 10;

/// Sends requests to one URL; each request makes a connection of its own, since only a fresh one proves that
/// somebody listens now.
#[derive(Debug)]
pub struct Http<'a> {
    host: &'a dyn Host,
    url: HttpUrl,
    /// One request at a time: what one of them learns of the route counts for the next.
    route: Mutex<Route>,
}

/// How the URL is reached.
#[derive(Debug)]
struct Route {
    client: Client,
    via: Via,
}

#[derive(Debug)]
enum Via {
    /// From here.
    Direct,
    /// Through a forward, which is kept open; whether it ever let a byte through.
    Forward { open: Forward, proven: bool },
    /// Through a program on the host.
    Relay(Relay),
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The first 64 KiB of the body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The host cannot be reached, or lets nothing through.
    #[error("open a route to {url}")]
    Route {
        /// URL.
        url: String,
        /// Cause.
        source: HostError,
    },
    /// The client for the URL cannot be made.
    #[error("make a client for {url}")]
    Client {
        /// URL.
        url: String,
        /// Cause.
        source: reqwest::Error,
    },
    /// Somebody listens on the host, where its sshd lets nobody through and no program can stand in.
    #[error("the sshd of {host} lets nobody through to {url}")]
    Barred {
        /// Host.
        host: String,
        /// URL.
        url: String,
        /// Cause.
        source: RelayFault,
    },
    /// Nobody listens.
    #[error("nothing listens at {url}")]
    Refused {
        /// URL.
        url: String,
    },
    /// No answer in time.
    #[error("no answer from {url} within {within:?}")]
    Timeout {
        /// URL.
        url: String,
        /// Time that it had.
        within: Duration,
    },
    /// The connection ended before the answer did, or was no HTTP.
    #[error("no proper answer from {url}")]
    Broken {
        /// URL.
        url: String,
        /// Cause.
        source: reqwest::Error,
    },
}

impl HttpError {
    /// One command or one sentence that helps.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Route { source, .. } => source.hint(),
            Self::Barred { host, .. } => Some(format!(
                "`AllowTcpForwarding local` in sshd_config of {host}, or bash, python3 or nc there, lets unitbee ask"
            )),
            _ => None,
        }
    }
}

impl<'a> Http<'a> {
    /// Opens a route to `url` on `host`.
    pub async fn open(host: &'a dyn Host, url: &HttpUrl) -> Result<Self, HttpError> {
        if !host.is_local() && url.is_loopback() {
            return Ok(Self { host, url: url.clone(), route: Mutex::new(forwarded(host, url).await?) });
        }
        let route = Route { client: client(url, None)?, via: Via::Direct };
        Ok(Self { host, url: url.clone(), route: Mutex::new(route) })
    }

    /// Sends GET and waits for the answer.
    pub async fn get(&self, within: Duration) -> Result<Reply, HttpError> {
        self.send(|client| client.get(self.url.as_str()), within).await
    }

    /// Sends POST without a body and waits for the answer.
    pub async fn post(&self, within: Duration) -> Result<Reply, HttpError> {
        self.send(|client| client.post(self.url.as_str()).header(reqwest::header::CONTENT_LENGTH, 0), within).await
    }

    async fn send(&self, request: impl Fn(&Client) -> RequestBuilder, within: Duration) -> Result<Reply, HttpError> {
        let reply = async { self.reply(&mut *self.route.lock().await, request).await };
        let late = |_| HttpError::Timeout { url: self.url.to_string(), within };
        tokio::time::timeout(within, reply).await.map_err(late)?
    }

    async fn reply(&self, route: &mut Route, request: impl Fn(&Client) -> RequestBuilder) -> Result<Reply, HttpError> {
        let heard = self.reply_by(route, &request).await;
        let Via::Forward { open, .. } = &route.via else { return heard };
        if heard.is_ok() || open.is_open() {
            return heard;
        }
        // The connection to the host was lost, which says nothing of the service: it is made again, once.
        debug!(host = self.host.name(), url = %self.url, "the connection was lost");
        *route = forwarded(self.host, &self.url).await?;
        self.reply_by(route, &request).await
    }

    async fn reply_by(
        &self,
        route: &mut Route,
        request: &impl Fn(&Client) -> RequestBuilder,
    ) -> Result<Reply, HttpError> {
        match &mut route.via {
            Via::Direct => exchange(request(&route.client))
                .await
                .map_err(|source| if is_refused(&source) { self.refused() } else { self.broken(source) }),
            Via::Relay(relay) => self.relayed(relay, request(&route.client)).await,
            Via::Forward { proven, open } => {
                let asked = exchange(request(&route.client));
                tokio::pin!(asked);
                let doubt = async {
                    tokio::time::sleep(DOUBT).await;
                    self.somebody_listens().await
                };
                let heard = tokio::select! {
                    biased;
                    heard = &mut asked => heard,
                    // Seen once in a hundred times under load (OpenSSH 9.2): it stays open though nobody listens.
                    listens = doubt => if listens? { asked.await } else { return Err(self.refused()) },
                };
                let source = match heard {
                    Err(source) if is_silence(&source) => source,
                    heard => {
                        *proven = true;
                        return heard.map_err(|source| self.broken(source));
                    }
                };
                if !self.somebody_listens().await? {
                    return Err(self.refused());
                }
                if *proven || !open.is_open() {
                    return Err(self.broken(source));
                }
                debug!(host = self.host.name(), url = %self.url, "sshd lets nobody through: a program on the host will");
                let relay = Relay::open(self.url.host(), self.url.port()).map_err(|source| self.no_route(source))?;
                let client = client(&self.url, Some(relay.here()))?;
                let reply = self.relayed(&relay, request(&client)).await;
                *route = Route { client, via: Via::Relay(relay) };
                reply
            }
        }
    }

    async fn relayed(&self, relay: &Relay, request: RequestBuilder) -> Result<Reply, HttpError> {
        tokio::select! {
            reply = exchange(request) => match reply {
                Err(source) if is_silence(&source) && !self.somebody_listens().await? => Err(self.refused()),
                reply => reply.map_err(|source| self.broken(source)),
            },
            fault = relay.serve(self.host) => Err(match fault {
                RelayFault::Host(source) => self.no_route(source),
                source => HttpError::Barred { host: self.host.name().to_owned(), url: self.url.to_string(), source },
            }),
        }
    }

    async fn somebody_listens(&self) -> Result<bool, HttpError> {
        let query = Query { asks: vec![Ask::Listening(self.url.port())] };
        let seen = self.host.query(&query).await.map_err(|source| self.no_route(source))?;
        Ok(seen.answers.contains(&Answer::Listening(true)))
    }

    fn refused(&self) -> HttpError {
        HttpError::Refused { url: self.url.to_string() }
    }

    fn broken(&self, source: reqwest::Error) -> HttpError {
        HttpError::Broken { url: self.url.to_string(), source: source.without_url() }
    }

    fn no_route(&self, source: HostError) -> HttpError {
        HttpError::Route { url: self.url.to_string(), source }
    }
}

/// Opens a route through a forward.
async fn forwarded(host: &dyn Host, url: &HttpUrl) -> Result<Route, HttpError> {
    let to = Endpoint::Tcp { host: url.host().to_owned(), port: url.port() };
    let open = host.forward(&to).await.map_err(|source| HttpError::Route { url: url.to_string(), source })?;
    let socket = if let Endpoint::Unix(path) = &open.here { Some(path.as_path()) } else { None };
    Ok(Route { client: client(url, socket)?, via: Via::Forward { open, proven: false } })
}

/// Makes a client for `url` that connects to `socket` instead, if there is one.
fn client(url: &HttpUrl, socket: Option<&Utf8Path>) -> Result<Client, HttpError> {
    let mut builder = Client::builder()
        .user_agent(concat!("unitbee/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .pool_max_idle_per_host(0);
    #[cfg(feature = "tls")]
    if !url.is_https() {
        // Reading the system's roots costs more than the request.
        builder = builder.tls_certs_only([]);
    }
    if let Some(path) = socket {
        builder = builder.unix_socket(path.as_std_path());
    }
    builder.build().map_err(|source| HttpError::Client { url: url.to_string(), source })
}

async fn exchange(request: RequestBuilder) -> Result<Reply, reqwest::Error> {
    let mut response = request.send().await?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while body.len() < BODY {
        let Some(chunk) = response.chunk().await? else { break };
        body.extend_from_slice(&chunk[..chunk.len().min(BODY - body.len())]);
    }
    Ok(Reply { status, body })
}

/// Tells whether nobody took the connection.
fn is_refused(error: &reqwest::Error) -> bool {
    error.is_connect() && kinds(error).any(|kind| kind == io::ErrorKind::ConnectionRefused)
}

/// Tells whether the connection ended before an answer began.
fn is_silence(error: &reqwest::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};

    let cut = || causes(error).filter_map(|cause| cause.downcast_ref::<hyper::Error>());
    let sending = error.is_request() || error.is_connect();
    sending
        && (cut().any(|cut| cut.is_incomplete_message() || cut.is_canceled() || cut.is_closed())
            || kinds(error).any(|kind| {
                matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof)
            }))
}

fn kinds(error: &reqwest::Error) -> impl Iterator<Item = io::ErrorKind> {
    causes(error).filter_map(|cause| Some(cause.downcast_ref::<io::Error>()?.kind()))
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    iter::successors(error.source(), |cause| (*cause).source())
}
