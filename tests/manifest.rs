//! The manifest: what is read, what is complained about and how, and that the schema says the same.

use std::time::Duration;

use camino::Utf8Path;
use proptest::prelude::*;
use unitbee::service::manifest::{self, Diagnostics, HostWork, Manifest};
use unitbee::service::spec::{Build, Health, Program, Scope, UnitSpec};

const HELLO: &str = include_str!("../examples/hello.toml");
const LLM: &str = include_str!("../examples/llm.toml");

fn read(text: &str) -> Result<Manifest, Diagnostics> {
    manifest::read(text, "unitbee.toml", Utf8Path::new("/srv/llm"))
}

/// Reads a manifest that must be right.
fn right(text: &str) -> Manifest {
    read(text).unwrap_or_else(|wrong| panic!("{}", wrong.render(false)))
}

fn shown(work: &[HostWork]) -> Vec<String> {
    let units = |host: &HostWork| host.units.iter().map(|unit| unit.unit.to_string()).collect::<Vec<_>>().join(" ");
    work.iter().map(|host| format!("{} ({}): {}", host.name, host.destination, units(host))).collect()
}

fn selected(manifest: &Manifest, services: &[&str], hosts: &[&str]) -> Vec<String> {
    let words = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    match manifest.select(&words(services), &words(hosts)) {
        Ok(work) => shown(&work),
        Err(error) => vec![error.to_string(), error.hint()],
    }
}

#[test]
fn the_examples_are_right() {
    let hello = right(HELLO);
    assert_eq!(hello.units[0].spec.unit.as_str(), "hello-main");
    assert_eq!(hello.units[0].spec.program, Program::Name("sleep".to_owned()));
    assert_eq!(selected(&hello, &[], &[]), ["localhost (localhost): hello-main"]);

    insta::assert_snapshot!(serde_json::to_string_pretty(&right(LLM).units[1].spec).unwrap());
}

#[test]
fn health_needs_no_url() {
    let health = |keys: &str| {
        let manifest = right(&format!("[service.a]\ncommand = ['a']\n{keys}\n"));
        manifest.units[0].spec.health.clone()
    };
    assert_eq!(health(""), None);
    assert_eq!(health("health = {}"), Some(Health::default()));
    let span = Duration::from_secs(5);
    assert_eq!(health("health.healthy_for = '5s'"), Some(Health { healthy_for: span, ..Health::default() }));
    let with_url = health("health.url = 'http://127.0.0.1:80/'").unwrap();
    assert_eq!((with_url.within, with_url.healthy_for), (Health::WITHIN, Health::ANSWERING_FOR));
}

#[test]
fn a_spec_survives_its_record_as_json() {
    let manifest = right(
        r#"
        [service.a]
        command = ["/bin/a", "\u0001\n{{x}}"]
        limits = { cpu = "150%", nofile = 4096 }
        restart.delay = "5min"
        systemd.Service = { ExecStartPre = ["/bin/x", "/bin/y"], LogLevelMax = 3, PrivateTmp = true }
        launchd = { A = 1, B = -1, C = 1.5, D = true, E = ["x", { F = "y" }] }
        "#,
    );
    let spec = &manifest.units[0].spec;
    let json = serde_json::to_string(spec).unwrap();
    assert_eq!(&serde_json::from_str::<UnitSpec>(&json).unwrap(), spec);
    assert_eq!(spec.restart.max_delay, spec.restart.delay);
    assert_eq!(spec.args, ["\u{1}\n{x}"]);
}

#[test]
fn units_are_selected_by_service_unit_glob_and_host() {
    let llm = right(LLM);
    let both = ["gpu1 (bee@gpu1): llm-8080 llm-8081", "gpu2 (bee@gpu2): llm-8080 llm-8081"];
    assert_eq!(selected(&llm, &[], &[]), both);
    assert_eq!(selected(&llm, &["llm"], &["gpu"]), both);
    assert_eq!(selected(&llm, &["llm-8081"], &["gpu2"]), ["gpu2 (bee@gpu2): llm-8081"]);
    assert_eq!(selected(&llm, &["llm-*1", "*80"], &["bee@gpu1"]), ["gpu1 (bee@gpu1): llm-8080 llm-8081"]);
    assert_eq!(selected(&llm, &["llm-808?"], &["me@new"]), ["me@new (me@new): llm-8080 llm-8081"]);
    assert_eq!(selected(&llm, &["llm-8080"], &["localhost"]), ["localhost (localhost): llm-8080"]);
}

#[test]
fn a_unit_is_selected_by_the_name_of_its_file_too() {
    let llm = right(LLM);
    let one = ["gpu1 (bee@gpu1): llm-8081", "gpu2 (bee@gpu2): llm-8081"];
    assert_eq!(selected(&llm, &["llm-8081.service"], &[]), one);
    assert_eq!(selected(&llm, &["llm-*1.service"], &[]), one);
    assert_eq!(selected(&llm, &["llm.service"], &["gpu1"]), ["gpu1 (bee@gpu1): llm-8080 llm-8081"]);
    let odd = right("[service.a]\ncommand = ['a']\n[service.'a.service']\ncommand = ['b']\n");
    assert_eq!(selected(&odd, &["a.service"], &[]), ["localhost (localhost): a.service-main"]);
    assert_eq!(selected(&odd, &[".service"], &[])[0], "no service or unit of the manifest matches `.service`");
}

#[test]
fn a_destination_that_resembles_a_host_is_taken_and_remembered() {
    let llm = right(LLM);
    let resembles = |host: &str| llm.select(&[], &[host.to_owned()]).unwrap()[0].resembles.clone();
    assert_eq!(resembles("gpu11").as_deref(), Some("gpu1"));
    assert_eq!(resembles("bee@elsewhere.example"), None);
    assert_eq!(resembles("gpu1"), None);
    assert_eq!(resembles("localhost"), None);
}

#[test]
fn flags_go_through_the_same_rules() {
    let word = r#"--json={"a":{b}}"#.to_owned();
    let flags = manifest::Flags {
        service: "web".to_owned(),
        command: vec!["./web".to_owned(), word.clone()],
        dir: "/srv".into(),
        memory: Some("1G".to_owned()),
        env: vec![("A".to_owned(), "{unit}".to_owned())],
        scope: Some("system".to_owned()),
        ..manifest::Flags::default()
    };
    let spec = manifest::from_flags(&flags).unwrap_or_else(|wrong| panic!("{}", wrong.render(false)));
    let spec = &spec.units[0].spec;
    assert_eq!((spec.unit.as_str(), &spec.args), ("web-main", &vec![word]));
    assert_eq!(spec.program, Program::Shipped("/srv/web".into()));
    assert_eq!(spec.scope, Scope::System);
    assert_eq!(spec.project, "", "no manifest declares it");
    assert_eq!(spec.env.values().collect::<Vec<_>>(), ["{unit}"]);

    let wrong = manifest::from_flags(&manifest::Flags { memory: Some("1GB".to_owned()), ..flags }).unwrap_err();
    insta::assert_snapshot!(wrong.render(false), @r#"
    error: "1GB" does not say whether it counts in 1000 or in 1024
     --> command line:9:10
      |
    9 | memory = "1GB"
      |          ^^^^^
      |
      = help: write "1G", which counts in 1024
    "#);
}

#[test]
fn every_mistake_is_told_at_its_place() {
    let wrong = read(include_str!("manifest/mistakes.toml")).unwrap_err();
    insta::assert_snapshot!(wrong.render(false));
}

#[test]
fn a_text_that_is_no_toml_is_told_line_by_line() {
    let wrong = read(include_str!("manifest/broken.toml")).unwrap_err();
    insta::assert_snapshot!(wrong.render(false));
}

/// Reads a manifest that must be wrong and gives the messages.
fn wrong(text: &str) -> Vec<String> {
    let wrong = read(text).expect_err(text);
    wrong.iter().map(|one| format!("{}:{} {}", one.line, one.column, one.message)).collect()
}

#[test]
fn complaints_are_machine_readable() {
    let wrong = read("[service.a]\ncommand = ['a']\nbuild = 'é'; x\nlimits.memory = 'é'\n").unwrap_err();
    assert_eq!(wrong.len(), 2);
    assert_eq!(wrong.to_string(), "2 mistakes in unitbee.toml");
    assert_eq!(
        serde_json::to_value(&wrong).unwrap()[1],
        serde_json::json!({
            "file": "unitbee.toml", "line": 4, "column": 17, "message": "\"é\" is no size",
            "help": "write a number with K, M, G or T, such as \"512M\" or \"1.5G\"; they count in 1024",
        })
    );
    assert!(wrong.render(true).contains("\u{1b}["));
}

#[test]
fn a_manifest_without_services_is_wrong() {
    for empty in ["", "# nothing", "slice = 'x'", "[service]", "[host.a]"] {
        assert_eq!(wrong(empty), ["1:1 the manifest names no service"], "{empty}");
    }
}

#[test]
fn control_characters_are_shown_and_not_sent() {
    let escapes = "slice = \"x\u{1b}[31m\"\n\"\\u001b]0;x\\u0007\" = 1\n";
    let shown = read(&format!("{escapes}[service.a]\ncommand=['{{por}}']\ninstances.a.\"por\\u0001t\"=1\n"));
    let shown = shown.unwrap_err().render(false);
    assert!(shown.contains('␛') && shown.contains("did you mean {por\\u{1}t}?"), "{shown}");
    assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
}

#[test]
fn what_no_supervisor_carries_is_wrong() {
    let long = "x".repeat(131_072);
    for (key, value) in [
        ("command", r#"["a", "b\u0000c"]"#.to_owned()),
        ("command", r#"["a", "\uffff"]"#.to_owned()),
        ("command", format!("['a', '{long}']")),
        ("env.A", format!("'{long}'")),
        ("env.A", r#""\u0000""#.to_owned()),
        ("working_dir", r#""/a\u0001""#.to_owned()),
        ("working_dir", "'/a '".to_owned()),
        ("systemd.Service.Nice", r#""1\\""#.to_owned()),
        ("launchd.\"a\\u0000\"", "1".to_owned()),
        ("launchd.a", "{ b = [nan] }".to_owned()),
    ] {
        let command = if key == "command" { "" } else { "command = ['a']\n" };
        let told = wrong(&format!("[service.a]\n{command}{key} = {value}\n"));
        assert_eq!(told.len(), 1, "{key} = {value:.40}: {told:?}");
    }
    let word = "x".repeat(131_071);
    assert_eq!(right(&format!("[service.a]\ncommand = ['a', '{word}']")).units[0].spec.args[0].len(), 131_071);
}

#[test]
fn programs_are_shipped_found_or_looked_up() {
    let program = |word: &str| right(&format!("[service.a]\ncommand = ['{word}']")).units[0].spec.program.clone();
    assert_eq!(program("./bin//a"), Program::Shipped("/srv/llm/bin/a".into()));
    assert_eq!(program("./a").to_string(), "/srv/llm/a");
    assert_eq!(program("../a"), Program::Shipped("/srv/llm/../a".into()));
    assert_eq!(program("/opt/./{service}"), Program::Path("/opt/a".into()));
    assert_eq!(program("python3.13"), Program::Name("python3.13".to_owned()));
}

#[test]
fn a_project_is_named_after_its_folder_unless_it_has_a_name() {
    let service = "[service.a]\ncommand = ['a']\n";
    assert_eq!(right(service).units[0].spec.project, "llm");
    let named = right(&format!("project = 'gpu_farm.2'\n{service}"));
    assert_eq!((named.project.as_str(), named.units[0].spec.project.as_str()), ("gpu_farm.2", "gpu_farm.2"));
    let long = "x".repeat(65);
    for bad in ["a/b", "é", "-x", ".x", "", "a b", &long] {
        assert_eq!(wrong(&format!("project = '{bad}'\n{service}")), [format!("1:11 invalid project name {bad:?}")]);
    }
}

#[test]
fn what_is_kept_and_replaced_has_defaults() {
    let of = |text: &str| {
        let manifest = right(text);
        manifest.units.iter().map(|unit| (unit.spec.keep, unit.spec.parallel)).collect::<Vec<_>>()
    };
    let (a, b) = ("[service.a]\ncommand = ['a']\n", "[service.b]\ncommand = ['b']\n");
    assert_eq!(of(&format!("{a}{b}")), [(3, 1), (3, 1)]);
    assert_eq!(of(&format!("keep = 9\n{a}keep = 1\nparallel = 'all'\n{b}parallel = 4\n")), [(1, u32::MAX), (9, 4)]);
    assert_eq!(wrong(&format!("keep = 0\n{a}keep = 0\nparallel = 0\n")).len(), 3);
    assert_eq!(wrong(&format!("{a}parallel = 'none'\n")), ["3:12 \"none\" is not known here"]);
}

#[test]
fn a_build_is_a_shell_command_or_a_program() {
    let build =
        |value: &str| right(&format!("[service.a]\ncommand = ['a']\nbuild = {value}\n")).units[0].spec.build.clone();
    assert_eq!(build("'make && true'"), Some(Build::Shell("make && true".to_owned())));
    let program = build("['make', 'a b', '{x}']").unwrap();
    assert_eq!(program, Build::Program(["make", "a b", "{x}"].map(str::to_owned).into()));
    assert_eq!(program.to_string(), "make 'a b' '{x}'");
}

#[test]
fn a_record_of_an_older_version_is_read() {
    let spec =
        &right("project = 'p'\nkeep = 7\n[service.a]\ncommand = ['a']\nbuild = 'make'\nparallel = 2\n").units[0].spec;
    let mut old = serde_json::to_value(spec).unwrap();
    for key in ["project", "keep", "parallel"] {
        assert!(old.as_object_mut().unwrap().remove(key).is_some(), "{key}");
    }
    let old: UnitSpec = serde_json::from_value(old).unwrap();
    assert_eq!((old.project.as_str(), old.keep, old.parallel), ("", 3, 1));
    assert_eq!(old.build, Some(Build::Shell("make".to_owned())));
    // It describes the same unit, for which no new release is made.
    assert_ne!(&old, spec);
    assert_eq!(old.without_policy(), spec.without_policy());
}

#[test]
fn names_ports_and_hosts_do_not_clash_across_services() {
    let manifest = |a: &str, b: &str| {
        format!(
            "[service.a]\ncommand=['a']\n{a}\n[service.b]\ncommand=['b']\n{b}\n[host.x]\nssh='u@x'\n[host.y]\nssh='u@x'\n[host.z]\ntags=['t']\n[host.me]\nssh='::1'\n"
        )
    };
    let port = "instances.i.port = 80";
    let clash = |told: &[String]| assert!(told.len() == 1 && told[0].contains("both have port 80"), "{told:?}");
    clash(&wrong(&manifest(port, port)));
    clash(&wrong(&manifest(port, "health.url = 'http://[::1]/'")));
    clash(&wrong(&manifest(port, "hosts = ['me']\ninstances.i.port = '80'")));
    clash(&wrong(&manifest(
        "health.url='http://localhost'\nhosts=['x']",
        "health.url='http://0.0.0.0'\nhosts=['y', 'z']",
    )));
    right(&manifest("instances.i.port = 80\nhosts=['x']", "instances.i.port = 80\nhosts=['t']"));
    right(&manifest("health.url='http://gateway/'", "health.url='http://gateway/'"));

    let long = format!("[service.a]\ncommand=['a']\ninstances.{} = {{}}\n", "x".repeat(199));
    assert!(wrong(&long)[0].contains("the name has 201 bytes, 200 are allowed"), "{:?}", wrong(&long));
}

#[test]
fn instances_can_be_counted() {
    let manifest = right("[service.a]\ncommand = ['a', '{instance}', '{{unit}}', '{unit}']\ninstances = 11\n");
    assert_eq!(selected(&manifest, &["a-1?", "a-2"], &[]), ["localhost (localhost): a-2 a-10 a-11"]);
    assert_eq!(manifest.units[10].spec.args, ["11", "{unit}", "a-11"]);
}

#[test]
fn a_selection_of_nothing_says_what_there_is() {
    let llm = right(LLM);
    assert_eq!(
        selected(&llm, &["llm", "lm-*"], &[]),
        ["no service or unit of the manifest matches `lm-*`", "there are llm-8080, llm-8081"]
    );
    assert_eq!(
        selected(&llm, &["lmm"], &[])[1],
        "did you mean `llm`? there are llm-8080, llm-8081",
        "a service is named"
    );
    assert!(selected(&llm, &["lm-8081.service"], &[])[1].starts_with("did you mean `llm-8081`? "));
    assert!(selected(&llm, &[], &["gpu 1"])[1].starts_with("did you mean `gpu1`? there are gpu, "));
    let many = right("[service.a]\ncommand = ['a']\ninstances = 12\n");
    assert!(selected(&many, &["zzz"], &[])[1].ends_with("a-9, a-10 and 2 more"));
    assert_eq!(selected(&llm, &[], &["-oX"]), ["\"-oX\" is no host", "there are gpu, gpu1, gpu2, localhost"]);
    let text =
        "[service.a]\ncommand=['a']\n[service.b]\ncommand=['b']\nhosts=['x']\n[host.x]\n[host.me]\nssh='127.0.0.1'\n";
    let manifest = right(text);
    assert_eq!(
        selected(&manifest, &["a"], &["x"]),
        ["nothing that was asked for is placed on `x`", "it is placed on localhost"]
    );
    // This machine under any of its names, and only with what is placed on it.
    assert_eq!(selected(&manifest, &[], &["localhost"]), ["localhost (localhost): a-main"]);
    assert_eq!(selected(&manifest, &[], &["me", "127.0.0.1"]), ["localhost (localhost): a-main"]);
    assert_eq!(selected(&manifest, &[], &["x", "new"]), ["new (new): a-main b-main", "x (x): b-main"]);
}

#[test]
fn the_starter_is_right_with_and_without_what_it_switches_off() {
    let command = ["./run me".to_owned(), "{port} \"x\"\n".to_owned()];
    for name in ["hello", "my app!", "..", "é", "a.b"] {
        let starter = manifest::starter(name, &command, None);
        let spec = &right(&starter).units[0].spec;
        assert_eq!(spec.args, [command[1].clone()]);
        let instances = |line: &&str| line.starts_with("#instances");
        let with = starter.lines().map(|line| if instances(&line) { &line[1..] } else { line });
        assert_eq!(right(&with.collect::<Vec<_>>().join("\n")).units.len(), 2);
        let others = starter.lines().filter(|line| !instances(line)).map(switched_on);
        assert_eq!(right(&others.collect::<Vec<_>>().join("\n")).hosts.len(), 1);
    }
    insta::assert_snapshot!(manifest::starter("hello", &["target/release/hello".to_owned()], Some("cargo build -r")));
}

fn switched_on(line: &str) -> &str {
    line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line)
}

/// Reads what may be anything; whatever is wrong with it must be within it and fit to be shown.
fn survives(text: &str) -> Result<(), TestCaseError> {
    let Err(wrong) = read(text) else { return Ok(()) };
    prop_assert!(wrong.len() > 0);
    for one in &wrong {
        prop_assert!((1..=text.lines().count() + 1).contains(&one.line), "{:?}", one);
        let line = text.split('\n').nth(one.line - 1).unwrap_or_default();
        prop_assert!((1..=line.chars().count() + 1).contains(&one.column), "{:?}", one);
        prop_assert!(!one.message.is_empty() && !one.help.is_empty());
    }
    let shown = wrong.render(false);
    prop_assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{:?}", shown);
    prop_assert!(!wrong.render(true).is_empty());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_without_panic(text in any::<String>()) {
        survives(&text)?;
    }

    #[test]
    fn anything_like_toml_is_read_without_panic(text in "([a-c.\"' =\\[\\]{}0-9\n\r\t#é,\\\\-]|service|command|host){0,60}") {
        survives(&text)?;
    }

    #[test]
    fn mutated_manifests_are_read_without_panic(
        which in prop::sample::select(vec![HELLO, LLM, include_str!("manifest/mistakes.toml")]),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0usize..12, "[a-z\"'{}\\[\\]=,.0-9\n\\\\\u{0}é]{0,4}"), 1..5),
    ) {
        let mut text = which.to_owned();
        for (at, length, put) in cuts {
            let start = text.floor_char_boundary(at.index(text.len() + 1));
            let end = text.floor_char_boundary(start + length).max(start);
            text.replace_range(start..end, &put);
        }
        survives(&text)?;
    }
}
