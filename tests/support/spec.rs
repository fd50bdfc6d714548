//! A spec to start from.

use std::collections::{BTreeMap, BTreeSet};

use unitbee::service::name::{SliceName, UnitName};
use unitbee::service::spec::{Limits, Logs, Program, Restart, RestartWhen, Scope, Stop, UnitSpec};

/// The least that a service can be.
pub(crate) fn minimal() -> UnitSpec {
    UnitSpec {
        unit: UnitName::new("echo-main").unwrap(),
        service: "echo".to_owned(),
        instance: "main".to_owned(),
        slice: SliceName::new("rbee").unwrap(),
        description: "echo".to_owned(),
        program: Program::Path("/usr/bin/echo".into()),
        args: Vec::new(),
        build: None,
        env: BTreeMap::new(),
        secrets: BTreeSet::new(),
        working_dir: None,
        limits: Limits::default(),
        restart: Restart { when: RestartWhen::No, ..Restart::default() },
        health: None,
        stop: Stop::default(),
        logs: Logs::default(),
        scope: Scope::User,
        systemd: BTreeMap::new(),
        launchd: BTreeMap::new(),
    }
}
