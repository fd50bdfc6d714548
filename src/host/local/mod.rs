//! This machine. Questions are answered by system calls alone; work that blocks is done on threads made for it.

mod change;
mod lock;
mod query;
mod run;
mod sweep;

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use self::lock::{Held, Lock};
use super::lease::Pulse;
use super::query::{Observation, Query};
use super::{Batch, Changed, Command, Endpoint, Fence, Forward, Host, HostError, Lease, Output, Pipe, printable};

/// How often a lock is looked at that somebody takes or gives back just now.
const LOOKS: u32 = 10;

/// The machine that we run on.
#[derive(Debug)]
pub(super) struct Local {
    name: String,
    exchanges: AtomicU32,
}

impl Local {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.into(), exchanges: AtomicU32::new(0) }
    }

    /// Does work that blocks, away from the threads that must not.
    async fn apart<T: Send + 'static>(
        &self,
        during: &str,
        work: impl FnOnce(&str) -> Result<T, HostError> + Send + 'static,
    ) -> Result<T, HostError> {
        let name = self.name.clone();
        let done = spawn_blocking(move || work(&name)).await;
        done.unwrap_or_else(|fault| {
            Err(HostError::Io { host: self.name.clone(), during: during.into(), source: io::Error::other(fault) })
        })
    }

    fn count(&self) {
        self.exchanges.fetch_add(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl Host for Local {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_local(&self) -> bool {
        true
    }

    fn exchanges(&self) -> u32 {
        self.exchanges.load(Ordering::Relaxed)
    }

    async fn known_uid(&self) -> Option<u32> {
        Some(rustix::process::geteuid().as_raw())
    }

    async fn forward_ahead(&self, to: &Endpoint) -> Option<Forward> {
        self.forward(to).await.ok()
    }

    async fn renew(&self) -> Result<bool, HostError> {
        Ok(false)
    }

    async fn query(&self, query: &Query) -> Result<Observation, HostError> {
        self.count();
        let query = query.clone();
        self.apart("query", move |name| query::observe(name, &query)).await
    }

    async fn lock(&self, name: &str, owner: &str, query: &Query) -> Result<(Lease, Observation), HostError> {
        self.count();
        super::check_lock_name(&self.name, name)?;
        let mut looks = 0;
        loop {
            looks += 1;
            let lock = Lock::of(name, owner);
            let attempt = self.apart("lock", move |host| match lock.attempt() {
                Ok(Ok(())) => Ok(Ok(Held(lock))),
                Ok(Err(holder)) => Ok(Err(holder)),
                Err(fault) => Err(HostError::Change {
                    host: host.into(),
                    step: format!("lock {}", lock.folder()),
                    detail: words(&fault),
                }),
            });
            match attempt.await? {
                Ok(held) => {
                    let query = query.clone();
                    let seen = self.apart("query", move |name| query::observe(name, &query)).await?;
                    let fence = Fence::at(held.0.token().as_str()).map_err(|fault| HostError::Change {
                        host: self.name.clone(),
                        step: format!("lock {}", held.0.folder()),
                        detail: fault.into(),
                    })?;
                    return Ok((Lease::with(fence, Pulse::Here, Box::new(held)), seen));
                }
                Err(None) if looks < LOOKS => sleep(Duration::from_millis(100)).await,
                Err(holder) => return Err(super::token::busy(&self.name, holder, query::now())),
            }
        }
    }

    async fn change(&self, batch: &Batch, progress: &(dyn Fn(u64) + Send + Sync)) -> Result<Changed, HostError> {
        self.count();
        let (sender, mut sent) = mpsc::unbounded_channel();
        let batch = batch.clone();
        let mut work = std::pin::pin!(self.apart("change", move |name| {
            change::carry_out(name, &batch, &mut |bytes| {
                // Nobody listens when the change was given up; it is carried to its end all the same.
                sender.send(bytes).ok();
            })
        }));
        loop {
            tokio::select! {
                biased;
                Some(bytes) = sent.recv() => progress(bytes),
                done = &mut work => return done,
            }
        }
    }

    async fn run(&self, command: &Command) -> Result<Output, HostError> {
        self.count();
        run::run(&self.name, command).await
    }

    async fn pipe(&self, command: &Command) -> Result<Pipe, HostError> {
        self.count();
        run::pipe(&self.name, command)
    }

    async fn forward(&self, to: &Endpoint) -> Result<Forward, HostError> {
        Ok(Forward::direct(to.clone()))
    }
}

/// Says what the system says, without the number of the error.
fn words(fault: &io::Error) -> String {
    let text = fault.to_string();
    let words = text.rsplit_once(" (os error ").map_or(text.as_str(), |(words, _)| words);
    printable(words.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn errors_are_said_in_words() {
        assert_eq!(words(&std::io::Error::from_raw_os_error(28)), "No space left on device");
        assert_eq!(words(&std::io::Error::other("a folder is there")), "a folder is there");
    }
}
