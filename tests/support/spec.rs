//! A spec to start from.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use unitbee::service::name::{EnvName, SliceName, UnitName};
use unitbee::service::spec::{Health, Limits, Logs, Program, Restart, RestartWhen, Scope, Stop, UnitSpec};

/// The least that a service can be.
pub(crate) fn minimal() -> UnitSpec {
    UnitSpec {
        unit: UnitName::new("echo-main").unwrap(),
        service: "echo".to_owned(),
        instance: "main".to_owned(),
        project: String::new(),
        slice: SliceName::new("rbee").unwrap(),
        description: "echo".to_owned(),
        program: Program::Path("/usr/bin/echo".into()),
        args: Vec::new(),
        build: None,
        check: None,
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
        keep: 3,
        parallel: 1,
    }
}

/// One with everything that a unit says.
pub(crate) fn full() -> UnitSpec {
    UnitSpec {
        unit: UnitName::new("llm-8080").unwrap(),
        service: "llm".to_owned(),
        instance: "8080".to_owned(),
        description: "llm worker 8080, 100% local".to_owned(),
        args: ["--port", "8080", "", "it's \"$HOME\" 50% C:\\new\n;"].map(str::to_owned).into(),
        env: [("RUST_LOG", "info"), ("PROMPT", "say \"hi\"\n\t$USER %h")]
            .map(|(k, v)| (EnvName::new(k).unwrap(), v.to_owned()))
            .into(),
        secrets: [EnvName::new("HF_TOKEN").unwrap()].into(),
        working_dir: Some("/srv/models 100%".into()),
        limits: Limits { cpu_percent: Some(200), memory: Some(4 << 30), tasks: Some(512), nofile: Some(65536) },
        restart: Restart::default(),
        health: Some(Health {
            url: Some("http://127.0.0.1:8080/health".parse().unwrap()),
            expect: None,
            within: Duration::from_secs(90),
            healthy_for: Duration::from_secs(2),
        }),
        systemd: BTreeMap::from([
            ("Service".to_owned(), BTreeMap::from([("Nice".to_owned(), vec!["5".to_owned()])])),
            (
                "Unit".to_owned(),
                BTreeMap::from([("After".to_owned(), vec!["a.service".to_owned(), "b.service".to_owned()])]),
            ),
            ("X-Site".to_owned(), BTreeMap::from([("Owner".to_owned(), vec!["ml team".to_owned()])])),
        ]),
        ..minimal()
    }
}
