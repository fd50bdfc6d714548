//! One exchange: a script is started in a session of its own, and what it answers is taken.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep, timeout_at};

use super::super::{HostError, nonce};
use super::channel::{self, Channel, Silence, Spoken, Stderr};
use super::{ANSWERS, PATIENCE, Ssh, master, script};

/// After so many refusals, which is two seconds, this process gets a connection of its own.
const REFUSALS: u32 = 5;

/// How many connections of its own an exchange may get: an sshd may allow no session at all.
const ANOTHER: u32 = 2;

/// How long a script may take to begin until the host is asked whether it runs any.
const DOUBT: Duration = Duration::from_secs(2);

impl Ssh {
    /// Starts a script in a session of its own. Until this returns, the host has not begun to act.
    pub(super) async fn start(&self, during: &str, script: &str, args: &[&str]) -> Result<Channel, HostError> {
        self.exchanges.fetch_add(1, Ordering::Relaxed);
        let nonce = nonce();
        let command = script::sendable(script, &nonce, args.iter().copied()).map_err(|detail| {
            HostError::Unsendable { host: self.name.clone(), what: during.to_owned(), detail: detail.into() }
        })?;
        let until = Instant::now() + PATIENCE;
        let mut pause = Duration::from_millis(50);
        let (mut renewed, mut refusals) = (false, 0);
        loop {
            let slot = timeout_at(until, Arc::clone(&self.slots).acquire_owned()).await;
            let Ok(Ok(slot)) = slot else { return Err(self.deadline(during, PATIENCE)) };
            let connection = self.connection().await?;
            let proven = connection.is_proven();
            let patience = if proven {
                until
            } else {
                until.min(Instant::now() + self.options.connect_timeout.unwrap_or(master::CONNECT))
            };
            let started = Channel::start(&connection.session, &command, nonce.clone(), slot);
            match timeout_at(patience, started).await {
                Ok(Ok(channel)) => {
                    connection.prove();
                    return Ok(channel);
                }
                Ok(Err(fault)) if is_refusal(&fault) => {
                    // All sessions of this connection are taken, by other processes or because sshd allows very few.
                    connection.prove();
                    if Instant::now() >= until {
                        return Err(self.no_session());
                    }
                    timeout_at(until, sleep(pause + pause.mul_f64(jitter()))).await.ok();
                    pause = (pause * 2).min(Duration::from_secs(1));
                    refusals += 1;
                    if refusals % REFUSALS == 0
                        && refusals <= ANOTHER * REFUSALS
                        && let Ok(another) = self.master.connect_alone().await
                    {
                        *self.connection.lock().await = Some(Arc::new(another));
                    }
                }
                // The master has just left, or it is there and its host is not: a connection of our own tells.
                Ok(Err(openssh::Error::Disconnected)) | Err(_) if !(renewed || proven && connection.is_alive()) => {
                    renewed = true;
                    connection.disown();
                    self.forget(&connection).await;
                }
                Ok(Err(_)) => return Err(self.lost(during)),
                Err(_) if refusals > 0 => return Err(self.no_session()),
                Err(_) => return Err(self.deadline(during, PATIENCE)),
            }
        }
    }

    /// Runs a script that answers questions or makes a change, and takes what it answers.
    pub(super) async fn converse(
        &self,
        during: &str,
        channel: &mut Channel,
        input: &[&[u8]],
        deadline: Duration,
    ) -> Result<Spoken, HostError> {
        let spoken = channel.converse(input, ANSWERS, Stderr::Noise);
        let spoken = self.heed(timeout_at(Instant::now() + deadline, spoken)).await?;
        match spoken {
            Ok(Ok(spoken)) => Ok(spoken),
            Ok(Err(silence)) => Err(self.silence(during, channel, silence, ANSWERS).await),
            Err(_) => Err(self.deadline(during, deadline)),
        }
    }

    /// Asks questions. Returns the answer and the nonce of its marks.
    pub(super) async fn ask(&self, args: &[&str], scripts: &[&[u8]]) -> Result<(String, Spoken), HostError> {
        let mut channel = self.start("query", &script::QUERY, args).await?;
        let spoken = self.converse("query", &mut channel, scripts, PATIENCE).await?;
        Ok((channel.nonce().to_owned(), spoken))
    }

    /// Waits for a script, and finds out meanwhile whether this host runs any: a forced command or a startup file may have
    /// put something else in its place, which would be waited for in vain.
    pub(super) async fn heed<T>(
        &self,
        script: impl Future<Output = Result<Result<T, Silence>, Elapsed>>,
    ) -> Result<Result<Result<T, Silence>, Elapsed>, HostError> {
        let doubt = async {
            sleep(DOUBT).await;
            match self.misunderstanding().await {
                Some(detail) => HostError::NotRun { host: self.name.clone(), detail },
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            done = script => {
                if let (Ok(Ok(_)), Some(connection)) = (&done, self.connection.lock().await.as_ref()) {
                    connection.understand();
                }
                Ok(done)
            }
            error = doubt => Err(error),
        }
    }

    /// Says what a host does with a script that is nothing but its marks, unless it runs it.
    pub(super) async fn misunderstanding(&self) -> Option<String> {
        let connection = self.connection.lock().await.clone().filter(|connection| !connection.is_understood())?;
        let (token, nonce) = (nonce(), nonce());
        let script = script::sendable(script::MARKS, &nonce, []).ok()?;
        let slot = Arc::clone(&self.slots).try_acquire_owned().ok()?;
        let channel = Channel::start(&connection.session, &script, nonce, slot).await.ok()?;
        let said = channel.overhear(format!("echo {token} $SHELL\n").as_bytes()).await;
        if said.is_none() {
            connection.understand();
        }
        said.map(|said| channel::instead(&said, &token))
    }

    pub(super) async fn silence(
        &self,
        during: &str,
        channel: &mut Channel,
        silence: Silence,
        limit: usize,
    ) -> HostError {
        let (host, during) = (self.name.clone(), during.to_owned());
        match silence {
            Silence::TooMuch => HostError::TooMuch { host, during, limit },
            Silence::Io(source) => HostError::Io { host, during, source },
            Silence::BrokeOff(_) | Silence::Died if channel.is_lost().await => HostError::Lost { host, during },
            Silence::Died => HostError::Killed { host, during },
            Silence::BrokeOff(said) => {
                let detail = channel::instead(said.as_bytes(), channel.nonce());
                HostError::NotRun { host, detail }
            }
        }
    }
}

/// Tells whether sshd refused one more session, or the master one more client; the first text is that of OpenSSH's
/// mux.c, the second that of EAGAIN.
fn is_refusal(fault: &openssh::Error) -> bool {
    let openssh::Error::SshMux(cause) = fault else { return false };
    let text = cause.to_string();
    text.contains("Session open refused") || text.contains("Resource temporarily unavailable")
}

/// A number from 0 to 1, so that those who wait do not come back at the same time.
pub(super) fn jitter() -> f64 {
    let digits = nonce();
    u16::from_str_radix(&digits[..4], 16).map_or(0.5, |number| f64::from(number) / f64::from(u16::MAX))
}
