//! Going ahead on the connection that a destination led to the last time, while ssh(1) says where it leads now.
//!
//! To ask ssh takes longer than anything else that is done here for a host. Only what changes nothing goes ahead, and what
//! comes of it counts only when both are the same connection: see [`Ssh::connection`].

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::{Instant, timeout, timeout_at};

use super::super::query::{Observation, Query};
use super::super::{Endpoint, Forward, HostError, nonce};
use super::asks::scripts;
use super::channel::{Channel, Spoken, Stderr};
use super::master::{self, Connection};
use super::{ANSWERS, PATIENCE, Ssh, answers, forward, frame, script};

/// What is known of the connection before it is certain.
#[derive(Debug, Default)]
pub(super) enum Guess {
    /// Nobody has looked yet.
    #[default]
    Open,
    /// This may be the one.
    Maybe(Arc<Connection>),
    /// There is no need to guess, or nothing to go by.
    Settled,
}

impl Ssh {
    /// The connection that may be the one, as long as that is not certain.
    pub(super) async fn guess(&self) -> Option<Arc<Connection>> {
        let mut guess = self.guess.lock().await;
        if matches!(*guess, Guess::Open) {
            *guess = self.master.guess().await.map_or(Guess::Settled, |found| Guess::Maybe(Arc::new(found)));
        }
        if let Guess::Maybe(connection) = &*guess { Some(Arc::clone(connection)) } else { None }
    }

    /// Ends guessing: this is the connection.
    pub(super) async fn settle(&self, connection: &Connection) {
        let before = std::mem::replace(&mut *self.guess.lock().await, Guess::Settled);
        if let Guess::Maybe(guess) = before
            && (connection.is_new || guess.socket != connection.socket)
        {
            guess.revoke();
        }
    }

    /// Answers a query over the connection that may be the one; `None` where it is not, or where that does not work.
    pub(super) async fn query_ahead(&self, query: &Query, args: &[&str]) -> Option<Result<Observation, HostError>> {
        let guess = self.guess().await?;
        let asks = scripts(query);
        let (asked, connection) = tokio::join!(self.ask_ahead(&guess, args, &asks), self.connection());
        if let Err(error) = connection {
            return Some(Err(error));
        }
        if guess.is_revoked() {
            return None;
        }
        let Some((nonce, spoken)) = asked else {
            *self.connection.lock().await = None;
            return None;
        };
        let seen = answers::parse(query, &frame::records(&spoken.stdout, &nonce)).ok()?;
        self.learn_uid(seen.facts.uid).await;
        Some(Ok(seen))
    }

    async fn ask_ahead(&self, guess: &Arc<Connection>, args: &[&str], asks: &[&[u8]]) -> Option<(String, Spoken)> {
        let nonce = nonce();
        let script = script::sendable(&script::QUERY, &nonce, args.iter().copied()).ok()?;
        let slot = Arc::clone(&self.slots).try_acquire_owned().ok()?;
        self.exchanges.fetch_add(1, Ordering::Relaxed);
        let patience = self.options.connect_timeout.unwrap_or(master::CONNECT);
        let started = timeout(patience, Channel::start(&guess.session, &script, nonce.clone(), slot)).await;
        if started.is_err() {
            // The host may be gone though its master is there: a connection of our own will tell.
            guess.disown();
        }
        let mut channel = started.ok()?.ok()?;
        let spoken = channel.converse(asks, ANSWERS, Stderr::Noise);
        let spoken = self.heed(timeout_at(Instant::now() + PATIENCE, spoken)).await.ok()?.ok()?.ok()?;
        Some((nonce, spoken))
    }

    /// Opens a way over the connection that may be the one.
    pub(super) async fn forward_over_guess(&self, guess: &Arc<Connection>, to: &Endpoint) -> Option<Forward> {
        timeout(PATIENCE, forward::open(guess, to)).await.ok()?.ok()?.ok()
    }
}
