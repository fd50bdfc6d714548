//! A host of the lab as unitbee sees it, and what is done to it behind unitbee's back.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use unitbee::host::{Facts, Host, Options, Query};
use unitbee::supervisor::{Supervisor, SupervisorError, Transport, UnitStatus};

use crate::lab::{LabHost, expect, lab};
use crate::user::File;

/// Longest that anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Site {
    pub(crate) lab: LabHost,
    /// Tells apart the connections from before and after a change of what sshd allows: one that is kept keeps that too.
    generation: Cell<u32>,
}

impl Site {
    pub(crate) fn up(test: &str, suite: &str, options: &[&str]) -> Option<Self> {
        LabHost::up(test, suite, options).map(|lab| Self { lab, generation: Cell::new(0) })
    }

    /// The host as unitbee reaches it.
    pub(crate) fn host(&self) -> Arc<dyn Host> {
        let config = format!("{}.{}", self.lab.ssh_config.display(), self.generation.get());
        std::fs::copy(&self.lab.ssh_config, &config).unwrap();
        let options = Options { ssh_config: Some(config.into()), ..Options::default() };
        unitbee::host::open(&self.lab.name, &self.lab.name, &options)
    }

    pub(crate) async fn facts(&self) -> Facts {
        self.host().query(&Query::default()).await.unwrap().facts
    }

    pub(crate) async fn connect(&self) -> Result<Supervisor, SupervisorError> {
        Supervisor::connect(self.host(), &self.facts().await).await
    }

    /// Runs a script as root, past the network.
    pub(crate) fn root(&self, script: &str) -> String {
        let output = lab(&["exec", &self.lab.name, "sh", "-c", script]);
        expect(&output, script);
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a script as the user.
    pub(crate) fn sh(&self, script: &str) -> String {
        String::from_utf8(self.lab.sh(script, b"")).unwrap()
    }

    /// Runs `systemctl --user` as the user.
    pub(crate) fn systemctl(&self, args: &str) -> String {
        self.sh(&format!("XDG_RUNTIME_DIR=/run/user/$(id -u) systemctl --user {args}"))
    }

    /// Leaves only this way to the manager, and those that are tried after it.
    pub(crate) fn leave_only(&self, transport: Transport) {
        let (forwarding, bridge) = match transport {
            Transport::Bus | Transport::ForwardedBus => ("yes", "755"),
            Transport::StdioBridge => ("no", "755"),
            Transport::Systemctl | Transport::Shell => ("no", "000"),
        };
        self.root(&format!(
            "echo AllowStreamLocalForwarding {forwarding} >/etc/ssh/sshd_config.d/test.conf
            chmod {bridge} /usr/bin/systemd-stdio-bridge
            systemctl reset-failed ssh && systemctl restart ssh"
        ));
        self.generation.set(self.generation.get() + 1);
    }

    /// Puts unit files in place and has the manager read them.
    pub(crate) fn install(&self, units: &[(&str, &str)]) {
        let paths: Vec<String> = units.iter().map(|(name, _)| format!(".config/systemd/user/{name}")).collect();
        let files: Vec<File<'_>> = units
            .iter()
            .zip(&paths)
            .map(|((_, text), path)| File { path, mode: 0o644, bytes: text.as_bytes() })
            .collect();
        self.lab.put(&files);
        self.systemctl("daemon-reload");
    }
}

/// Looks at a unit, whenever the supervisor says that it may have changed, until it is as it should be.
pub(crate) async fn until(
    supervisor: &Supervisor,
    unit: &str,
    what: &str,
    is_so: impl Fn(&UnitStatus) -> bool,
) -> UnitStatus {
    let deadline = Instant::now() + PATIENCE;
    let mut watch = supervisor.watch(unit).await.unwrap();
    loop {
        let status = supervisor.status_of(unit).await.unwrap();
        if is_so(&status) {
            return status;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "{unit} is never {what}: {status:#?}");
        watch.changed(left).await;
    }
}
