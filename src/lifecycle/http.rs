//! One HTTP request to a service, wherever it runs: a URL is meant as the *host* of the service sees it, so one that
//! names the loopback of a remote host goes through a forward.

use std::time::Duration;

use thiserror::Error;

use crate::host::{Endpoint, Forward, Host, HostError};
use crate::service::spec::HttpUrl;

/// How much of an answer is looked at.
const BODY: usize = 64 << 10;

/// A way to send requests to one URL; each request makes a connection of its own, since only a fresh one proves that
/// somebody listens now.
#[derive(Debug)]
pub struct Http {
    url: HttpUrl,
    client: reqwest::Client,
    /// Keeps the way open.
    forward: Option<Forward>,
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
    #[error("open a way to {url}")]
    Way {
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

impl Http {
    /// Opens a way to `url` on `host`.
    pub async fn open(host: &dyn Host, url: &HttpUrl) -> Result<Self, HttpError> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("unitbee/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(0);
        #[cfg(feature = "tls")]
        if !url.is_https() {
            // Reading the system's roots costs more than the request.
            builder = builder.tls_certs_only([]);
        }
        let mut way = None;
        if !host.is_local() && url.is_loopback() {
            let to = Endpoint::Tcp { host: url.host().to_owned(), port: url.port() };
            let forward = host.forward(&to).await.map_err(|source| HttpError::Way { url: url.to_string(), source })?;
            if let Endpoint::Unix(path) = &forward.here {
                builder = builder.unix_socket(path.as_std_path());
            }
            way = Some(forward);
        }
        let client = builder.build().map_err(|source| HttpError::Client { url: url.to_string(), source })?;
        Ok(Self { url: url.clone(), client, forward: way })
    }

    /// Sends GET and waits for the answer.
    pub async fn get(&self, within: Duration) -> Result<Reply, HttpError> {
        self.send(self.client.get(self.url.as_str()), within).await
    }

    /// Sends POST without a body and waits for the answer.
    pub async fn post(&self, within: Duration) -> Result<Reply, HttpError> {
        self.send(self.client.post(self.url.as_str()).header(reqwest::header::CONTENT_LENGTH, 0), within).await
    }

    async fn send(&self, request: reqwest::RequestBuilder, within: Duration) -> Result<Reply, HttpError> {
        let exchange = async {
            let mut response = request.send().await?;
            let status = response.status().as_u16();
            let mut body = Vec::new();
            while body.len() < BODY {
                let Some(chunk) = response.chunk().await? else { break };
                body.extend_from_slice(&chunk[..chunk.len().min(BODY - body.len())]);
            }
            Ok(Reply { status, body })
        };
        match tokio::time::timeout(within, exchange).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(error)) if self.is_refusal(&error) => Err(HttpError::Refused { url: self.url.to_string() }),
            Ok(Err(source)) => Err(HttpError::Broken { url: self.url.to_string(), source: source.without_url() }),
            Err(_) => Err(HttpError::Timeout { url: self.url.to_string(), within }),
        }
    }

    /// A forward accepts every connection and closes it when the far side refuses, so there a connection that ends
    /// without an answer is what a refusal looks like.
    fn is_refusal(&self, error: &reqwest::Error) -> bool {
        error.is_connect() || (self.forward.is_some() && error.is_request())
    }
}
