//! What the reader of the manifest takes, the JSON schema takes and the renderer writes; and the schema refuses what the
//! reader refuses, as far as a schema can.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;
use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::Value;
use unitbee::service::manifest::{self, Diagnostics, Manifest};
use unitbee::service::render::{self, Placement, Systemd};

fn read(text: &str) -> Result<Manifest, Diagnostics> {
    manifest::read(text, "unitbee.toml", Utf8Path::new("/srv"))
}

fn validator() -> Validator {
    jsonschema::draft202012::new(&manifest::schema()).expect("it is a schema")
}

fn json(text: &str) -> Value {
    let table: toml::Table = toml::from_str(text).expect("it is TOML");
    serde_json::to_value(table).expect("it holds no dates")
}

fn refusals(validator: &Validator, text: &str) -> Vec<String> {
    validator.iter_errors(&json(text)).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn it_is_a_schema() {
    let schema = manifest::schema();
    jsonschema::meta::validate(&schema).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
}

#[test]
fn it_takes_the_examples() {
    for text in [
        include_str!("../examples/hello.toml"),
        include_str!("../examples/llm.toml"),
        &manifest::starter("a", &["b".to_owned()], None),
    ] {
        assert_eq!(refusals(&validator(), text), [""; 0]);
    }
}

/// Lines of a service with one mistake each, which a schema can know.
const KNOWABLE: &[&str] = &[
    "commands = ['x']",
    "command = 'x'",
    "command = [1]",
    "description = 1",
    "build = true",
    "build = []",
    "build = [1]",
    "keep = 0",
    "keep = 4294967296",
    "keep = 'all'",
    "parallel = 0",
    "parallel = -1",
    "parallel = 'some'",
    "check = []",
    "check = '--version'",
    "instances = 0",
    "instances = 1001",
    "instances = {}",
    "instances = { '.x' = {} }",
    "instances = { a = { unit = 1 } }",
    "instances = { a = { '1x' = 1 } }",
    "instances = { a = { x = 1.5 } }",
    "instances = ['a']",
    "env = { '1A' = '' }",
    "env = { A = 1 }",
    "secrets = ['A-B']",
    "secrets = 'A'",
    "limits = { cpu = '2' }",
    "limits = { cpu = 2 }",
    "limits = { cpu = '0%' }",
    "limits = { memory = '4GB' }",
    "limits = { memory = 4 }",
    "limits = { tasks = 0 }",
    "limits = { nofile = '1024' }",
    "limits = { swap = '1G' }",
    "restart = { when = 'unless-stopped' }",
    "restart = { delay = '-1s' }",
    "restart = { max_delay = -1 }",
    "restart = { give_up_after = 'never' }",
    "restart = { give_up_after = 4294967296 }",
    "health = { expect = 'ok' }",
    "health = { url = 'localhost:8080' }",
    "health = { url = 'http://x', expect = '' }",
    "health = { url = 'http://x', within = '10 fortnights' }",
    "stop = { drain = '1s' }",
    "stop = { url = 'unix:/x' }",
    "logs = { max_size = '10' }",
    "logs = { keep = -1 }",
    "scope = 'root'",
    "hosts = []",
    "hosts = 'x'",
    "systemd = { Timer = {} }",
    "systemd.Service = { ExecStart = 'x' }",
    "systemd.Unit = { StartLimitBurst = 1 }",
    "systemd.Service = { 'a b' = 1 }",
    "systemd.Service = { Nice = 1.5 }",
    "launchd = { KeepAlive = true }",
];

/// Lines of a service with one mistake each, of which a schema can know nothing.
const UNKNOWABLE: &[&str] = &[
    "command = ['{x}']",
    "command = ['~/x']",
    "command = ['/x/']",
    "working_dir = 'x'",
    "hosts = ['x']",
    "build = ['']",
    "build = ' '",
    "secrets = ['A']\nenv = { A = '' }",
    "restart = { delay = '2s', max_delay = '1s' }",
    "health = { url = 'http://8080/' }",
    "health = { url = 'http://x', within = '0s' }",
    "instances = { a = { port = 1 }, b = { port = 1 } }",
    "systemd.Service = { Nice = \"1\\n\" }",
];

#[test]
fn it_refuses_what_the_reader_refuses_as_far_as_it_can_know() {
    let validator = validator();
    let service = |line: &str| match line {
        _ if line.starts_with("command") => format!("[service.a]\n{line}\n"),
        _ => format!("[service.a]\ncommand = ['a']\n{line}\n"),
    };
    for line in KNOWABLE {
        let text = service(line);
        assert!(read(&text).is_err(), "the reader takes {line}");
        assert!(!refusals(&validator, &text).is_empty(), "the schema takes {line}");
    }
    for line in UNKNOWABLE {
        let text = service(line);
        assert!(read(&text).is_err(), "the reader takes {line}");
        assert_eq!(refusals(&validator, &text), [""; 0], "{line} can move up to KNOWABLE");
    }
    for text in [
        "",
        "service = {}",
        "slice = 'a-b'",
        "slice = 'user'",
        "project = 'a b'",
        "project = '.a'",
        "project = ''",
        "keep = 0",
        "[service.'a/b']\ncommand=['a']",
        "[host.x]\nport = 1",
    ] {
        let text = if text.is_empty() || text.contains("service") || text.contains("host") {
            text.to_owned()
        } else {
            format!("{text}\n[service.a]\ncommand=['a']")
        };
        let text = text.as_str();
        assert!(read(text).is_err(), "the reader takes {text}");
        assert!(!refusals(&validator, text).is_empty(), "the schema takes {text}");
    }
}

/// Collects every table of the schema by its path in a manifest, with its keys.
fn tables(schema: &Value, path: &str, found: &mut BTreeMap<String, BTreeSet<String>>) {
    if let Some(properties) = schema["properties"].as_object() {
        found.insert(path.to_owned(), properties.keys().cloned().collect());
        for (key, below) in properties {
            tables(below, &format!("{path}{key}."), found);
        }
        assert_eq!(schema["additionalProperties"], false, "{path} takes any key");
    } else if schema["additionalProperties"].is_object() {
        tables(&schema["additionalProperties"], &format!("{path}x."), found);
    }
}

#[test]
fn every_table_has_the_keys_that_the_reader_knows() {
    let mut found = BTreeMap::new();
    tables(&manifest::schema(), "", &mut found);
    assert_eq!(found.len(), 9, "{found:?}");
    for (path, keys) in found {
        // A key that resembles none makes the reader list those that it knows.
        let wrong = read(&format!("{path}zzz = 1\n")).unwrap_err();
        let help = wrong.iter().find_map(|one| one.help.strip_prefix("known here: ")).unwrap_or_else(|| {
            panic!("no list of keys for {path}: {}", wrong.render(false));
        });
        assert_eq!(help.split(", ").map(str::to_owned).collect::<BTreeSet<_>>(), keys, "at {path}");
    }
}

#[test]
fn every_key_is_described() {
    fn undescribed(schema: &Value, path: &str, found: &mut Vec<String>) {
        for (key, below) in schema["properties"].as_object().into_iter().flatten() {
            if below["description"].as_str().is_none_or(str::is_empty) {
                found.push(format!("{path}{key}"));
            }
            undescribed(below, &format!("{path}{key}."), found);
        }
        if schema["additionalProperties"].is_object() {
            undescribed(&schema["additionalProperties"], &format!("{path}x."), found);
        }
    }
    let mut found = Vec::new();
    undescribed(&manifest::schema(), "", &mut found);
    assert_eq!(found, [""; 0]);
}

/// Values that some key takes, and near misses.
fn value() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        "[0-9]{1,3}(\\.[0-9])?[ ]?[KMGTkmgtx]?(iB|B|ib)?",
        "[0-9]{0,4}(\\.[0-9])?%?",
        "([0-9]{1,2}(\\.[0-9])? ?(ns|us|µs|ms|s|sec|second|min|m|h|d|w|weeks|M|y|)? ?){0,3}",
        "(http|https|HTTP|ftp)://[a-z.:0-9/{}]{0,12}",
        "[A-Za-z0-9_.:/-]{0,6}",
        prop::sample::select(vec!["on-failure", "always", "no", "user", "system"]).prop_map(str::to_owned),
    ];
    prop_oneof![
        4 => text.prop_map(|text| toml::Value::from(text).to_string()),
        1 => (-2i64..2000).prop_map(|number| number.to_string()),
        1 => Just("true".to_owned()),
        1 => Just("['a']".to_owned()),
        1 => Just("{ a = 'b' }".to_owned()),
        1 => "[A-Za-z_0-9.-]{1,4}".prop_map(|name| format!("{{ {} = {{ x = 1 }} }}", toml::Value::from(name))),
    ]
}

const KEYS: &[&str] = &[
    "slice",
    "project",
    "keep",
    "service.a.command",
    "service.a.description",
    "service.a.build",
    "service.a.keep",
    "service.a.parallel",
    "service.a.instances",
    "service.a.env.A",
    "service.a.env",
    "service.a.secrets",
    "service.a.working_dir",
    "service.a.limits.cpu",
    "service.a.limits.memory",
    "service.a.limits.tasks",
    "service.a.limits.nofile",
    "service.a.restart.when",
    "service.a.restart.delay",
    "service.a.restart.max_delay",
    "service.a.restart.give_up_after",
    "service.a.health.url",
    "service.a.health.within",
    "service.a.health.expect",
    "service.a.stop.url",
    "service.a.stop.drain",
    "service.a.stop.term",
    "service.a.logs.max_size",
    "service.a.logs.keep",
    "service.a.scope",
    "service.a.hosts",
    "service.a.systemd.Service.Nice",
    "service.a.systemd.Unit",
    "service.a.launchd.Nice",
    "host.a.ssh",
    "host.a.tags",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_takes_all_that_the_reader_takes(key in prop::sample::select(KEYS), value in value()) {
        thread_local!(static VALIDATOR: Validator = validator());
        let command = if key.ends_with("command") { "" } else { "service.a.command = ['a']\n" };
        let text = format!("{command}{key} = {value}\n");
        if read(&text).is_ok() {
            let refused = VALIDATOR.with(|validator| refusals(validator, &text));
            prop_assert!(refused.is_empty(), "{}: {:?}", text, refused);
        }
    }

    #[test]
    fn the_renderer_writes_all_that_the_reader_takes(
        key in prop::sample::select(KEYS),
        value in prop_oneof![value(), any::<String>().prop_map(|text| toml::Value::from(text).to_string())],
        word in any::<String>(),
    ) {
        let command = match key {
            "service.a.command" => String::new(),
            _ => format!("service.a.command = ['a', {}]\n", toml::Value::from(word)),
        };
        let Ok(manifest) = read(&format!("{command}{key} = {value}\n")) else { return Ok(()) };
        for unit in &manifest.units {
            let placement = Placement { program: "/p".into(), env_file: Some("/e".into()), release: 1 };
            let rendered = render::service(&unit.spec, &placement, Systemd::default());
            prop_assert!(rendered.is_ok(), "{:?}: {:?}", unit.spec, rendered.unwrap_err());
        }
    }
}
