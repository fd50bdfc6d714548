//! Whether a service is healthy: an answer to its health URL, and proof that it is this very process that gives it.

use std::error::Error as _;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use thiserror::Error;
use tokio::time::Instant;

use super::http::{Http, HttpError};
use crate::host::{Host, printable};
use crate::service::spec::{Health, HttpUrl};

/// How long one probe may take.
pub const PROBE: Duration = Duration::from_secs(3);

/// What one probe found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "health", content = "detail", rename_all = "kebab-case")]
pub enum Probe {
    /// 2xx, and the expected text where one is declared.
    Healthy,
    /// Anything else, in words.
    Unhealthy(String),
}

impl Probe {
    /// Tells whether it was good.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        *self == Self::Healthy
    }
}

/// A service did not get healthy in time.
#[derive(Debug, Error)]
#[error("not healthy within {within:?}: {last}")]
pub struct NotHealthy {
    /// Time that it had.
    pub within: Duration,
    /// What the last probe found.
    pub last: String,
}

/// Probes one health URL.
#[derive(Debug)]
pub struct Prober<'a> {
    url: &'a HttpUrl,
    expect: Option<&'a str>,
    http: Http<'a>,
}

impl<'a> Prober<'a> {
    /// Opens a route to the URL; the service need not listen yet. The answer must hold the text `expect`, if there is one.
    pub async fn open(host: &'a dyn Host, url: &'a HttpUrl, expect: Option<&'a str>) -> Result<Self, HttpError> {
        Ok(Self { url, expect, http: Http::open(host, url).await? })
    }

    /// The URL.
    #[must_use]
    pub fn url(&self) -> &HttpUrl {
        self.url
    }

    /// Probes once, for at most `within`. An error says nothing of the service: there is no route to its URL.
    pub async fn probe(&self, within: Duration) -> Result<Probe, HttpError> {
        match self.http.get(within).await {
            Ok(reply) => Ok(self.judge(reply.status, &reply.body)),
            Err(error @ (HttpError::Barred { .. } | HttpError::Route { .. })) => Err(error),
            Err(error) => Ok(Probe::Unhealthy(in_one_line(&error))),
        }
    }

    fn judge(&self, status: u16, body: &[u8]) -> Probe {
        if !(200..300).contains(&status) {
            return Probe::Unhealthy(format!("{} answered {status}", self.url));
        }
        match self.expect {
            Some(text) if !String::from_utf8_lossy(body).contains(text) => {
                let start = printable(&body[..body.len().min(80)]);
                Probe::Unhealthy(format!("{} answered {status} without {text:?}: {start:?}", self.url))
            }
            _ => Probe::Healthy,
        }
    }
}

/// Tells the error with its causes.
pub(crate) fn in_one_line(error: &HttpError) -> String {
    std::iter::successors(error.source(), |cause| (*cause).source())
        .fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}

/// The pauses between probes: 100 ms, doubling up to 3.2 s.
pub fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(100))
        .with_factor(2.0)
        .with_max_delay(Duration::from_millis(3200))
        .without_max_times()
        .build()
}

/// Probes `health` on `host` until it is good, with pauses from 100 ms doubling to 3.2 s, for at most `health.within`.
///
/// Tells only that *somebody* answers; [`ensure_daemon_running`](super::ensure_daemon_running) also proves who does.
///
/// ```no_run
/// # async fn example() -> anyhow::Result<()> {
/// use std::time::Duration;
/// use unitbee::service::spec::{Health, HttpUrl};
///
/// let host = unitbee::host::open("gpu1", "bee@gpu1", &unitbee::host::Options::default());
/// let health = Health {
///     url: Some(HttpUrl::parse("http://127.0.0.1:8080/health")?),
///     within: Duration::from_secs(60),
///     ..Health::default()
/// };
/// let elapsed = unitbee::lifecycle::poll_until_healthy(host.as_ref(), &health).await?;
/// eprintln!("healthy after {elapsed:?}");
/// # Ok(())
/// # }
/// ```
pub async fn poll_until_healthy(host: &dyn Host, health: &Health) -> Result<Duration, PollError> {
    let begun = Instant::now();
    let deadline = begun + health.within;
    let url = health.url.as_ref().ok_or(PollError::NoUrl)?;
    let prober = Prober::open(host, url, health.expect.as_deref()).await?;
    let mut pauses = pauses();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let last = match prober.probe(left.min(PROBE)).await? {
            Probe::Healthy => return Ok(begun.elapsed()),
            Probe::Unhealthy(reason) => reason,
        };
        let pause = pauses.next().unwrap_or(PROBE);
        if Instant::now() + pause >= deadline {
            return Err(NotHealthy { within: health.within, last }.into());
        }
        tokio::time::sleep(pause).await;
    }
}

/// Why [`poll_until_healthy`] ended without success.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PollError {
    /// There is nothing to ask.
    #[error("there is no health URL")]
    NoUrl,
    /// It did not get healthy in time.
    #[error(transparent)]
    NotHealthy(#[from] NotHealthy),
    /// The URL cannot be reached at all.
    #[error(transparent)]
    Http(#[from] HttpError),
}
