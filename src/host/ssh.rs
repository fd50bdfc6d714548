//! A machine reached over SSH.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use super::query::{Observation, Query};
use super::{Batch, Command, ConnectFault, Endpoint, Forward, Host, HostError, Lease, Options, Output, Pipe};

/// A machine reached over SSH.
#[derive(Debug)]
pub(super) struct Ssh {
    name: String,
    destination: String,
    exchanges: AtomicU32,
}

impl Ssh {
    pub(super) fn new(name: &str, destination: &str, _options: &Options) -> Self {
        Self { name: name.into(), destination: destination.into(), exchanges: AtomicU32::new(0) }
    }

    fn not_yet(&self) -> HostError {
        let detail = format!("{} is not this machine, and ssh is not in this build", self.destination);
        HostError::Connect { host: self.name.clone(), fault: ConnectFault::NoSsh, detail }
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

    async fn query(&self, _: &Query) -> Result<Observation, HostError> {
        Err(self.not_yet())
    }

    async fn lock(&self, _: &str, _: &str, _: Duration, _: &Query) -> Result<(Lease, Observation), HostError> {
        Err(self.not_yet())
    }

    async fn change(&self, _: &Batch, _: &(dyn Fn(u64) + Send + Sync)) -> Result<(), HostError> {
        Err(self.not_yet())
    }

    async fn run(&self, _: &Command) -> Result<Output, HostError> {
        Err(self.not_yet())
    }

    async fn pipe(&self, _: &Command) -> Result<Pipe, HostError> {
        Err(self.not_yet())
    }

    async fn forward(&self, _: &Endpoint) -> Result<Forward, HostError> {
        Err(self.not_yet())
    }
}
