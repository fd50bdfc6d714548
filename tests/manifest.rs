//! The manifest: what is read, what is complained about and how, and that the schema says the same.

use camino::Utf8Path;
use unitbee::service::manifest::{self, Diagnostics, HostWork, Manifest};
use unitbee::service::spec::{Program, UnitSpec};

const HELLO: &str = include_str!("../examples/hello.toml");
const LLM: &str = include_str!("../examples/llm.toml");

fn read(text: &str) -> Result<Manifest, Diagnostics> {
    manifest::read(text, "unitbee.toml", Utf8Path::new("/work/llm"))
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
fn flags_go_through_the_same_rules() {
    let word = r#"--json={"a":{b}}"#.to_owned();
    let flags = manifest::Flags {
        service: "web".to_owned(),
        command: vec!["./web".to_owned(), word.clone()],
        dir: "/work".into(),
        memory: Some("1G".to_owned()),
        env: vec![("A".to_owned(), "{unit}".to_owned())],
        ..manifest::Flags::default()
    };
    let spec = manifest::from_flags(&flags).unwrap_or_else(|wrong| panic!("{}", wrong.render(false)));
    let spec = &spec.units[0].spec;
    assert_eq!((spec.unit.as_str(), &spec.args), ("web-main", &vec![word]));
    assert_eq!(spec.program, Program::Shipped("/work/web".into()));
    assert_eq!(spec.env.values().collect::<Vec<_>>(), ["{unit}"]);

    let wrong = manifest::from_flags(&manifest::Flags { memory: Some("1GB".to_owned()), ..flags }).unwrap_err();
    insta::assert_snapshot!(wrong.render(false), @r#"
    error: "1GB" does not say whether it counts in 1000 or in 1024
     --> command line:8:10
      |
    8 | memory = "1GB"
      |          ^^^^^
      |
      = help: write "1G", which counts in 1024
    "#);
}
