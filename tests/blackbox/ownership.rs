//! unitbee changes and removes what it wrote itself, and nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use super::bench::Bench;
use super::manifest::web;
use super::target::Manager;
use super::truth::Stamp;

pub(crate) fn subject(bench: &Bench) {
    if bench.target.manager == Manager::Systemd {
        leaves_a_unit_of_the_distribution_alone(bench);
    }
    bench.project.write("unitbee.toml", web(&[], ""));
    leaves_a_foreign_unit_alone(bench);
    bench.unitbee(&["apply"]).exits(0);
    asks_before_it_overwrites_an_edit(bench);
    if bench.target.manager == Manager::Systemd {
        leaves_drop_ins_alone(bench);
    }
}

fn files(bench: &Bench) -> BTreeMap<String, Stamp> {
    bench.home().into_iter().filter(|(_, stamp)| !stamp.is_folder).collect()
}

fn leaves_a_unit_of_the_distribution_alone(bench: &Bench) {
    let text = "[service.systemd]\ncommand = [\"/bin/sleep\", \"1\"]\ninstances = { tmpfiles-clean = {} }\n";
    bench.project.write("unitbee.toml", text);
    let words = "systemd-tmpfiles-clean.service was not written by it";
    for verb in ["start", "stop", "enable"] {
        bench.unitbee(&[verb]).exits(1).says("is not managed by unitbee: /").says(words);
    }
}

fn leaves_a_foreign_unit_alone(bench: &Bench) {
    let path = bench.definition_path();
    let (text, start) = match bench.target.manager {
        Manager::Systemd => ("[Service]\\nExecStart=/bin/sleep 1000\\n", "systemctl --user start web-main"),
        Manager::Launchd(_) => ("<plist version=\"1.0\"><dict/></plist>\\n", "true"),
        Manager::Runner => ("exec sleep 1000\\n", "true"),
    };
    bench.as_owner(&format!("mkdir -p $(dirname {path}); printf '{text}' >{path}; {start}"));
    let (home, pid) = (files(bench), bench.pid("web-main"));
    let words = format!("{path} was not written by unitbee and is left alone");
    for verb in ["plan", "apply", "uninstall"] {
        bench.unitbee(&[verb]).exits(1).says(&words).says("hint: ");
        bench.unitbee(&["--json", verb]).exits(1).says(&words);
    }
    bench.unitbee(&["apply", "--take"]).exits(1).says(&words);
    let words = format!("is not managed by unitbee: {path} was not written by it");
    for verb in ["start", "stop", "restart", "reload", "kill", "enable", "disable", "ensure"] {
        bench.unitbee(&[verb]).exits(1).says(&words);
    }
    assert_eq!(files(bench), home, "something was written");
    assert_eq!(bench.pid("web-main"), pid);
    bench.unitbee(&["status"]).says("not written by unitbee");
    bench.as_owner(&match bench.target.manager {
        Manager::Systemd => format!("systemctl --user stop web-main; rm {path}; systemctl --user daemon-reload"),
        Manager::Launchd(_) | Manager::Runner => format!("rm {path}"),
    });
}

fn asks_before_it_overwrites_an_edit(bench: &Bench) {
    let path = bench.definition_path();
    // The line that says what the unit is, as written and as edited.
    let (line, edited) = match bench.target.manager {
        Manager::Systemd => ("Description=web", "Description=mine"),
        Manager::Launchd(_) => ("\t\t<string>en_US.UTF-8", "\t\t<string>C"),
        Manager::Runner => ("# web", "# mine"),
    };
    let (written, pid) = (bench.sh(&format!("cat {path}")), bench.running("web-main"));
    bench.as_owner(&format!("sed -i 's|^{line}|{edited}|' {path}"));
    let home = files(bench);
    let words = format!("{path} was edited by hand");
    bench.unitbee(&["plan"]).exits(2).says(&words).says("apply --take").says(&format!("+{edited}"));
    bench.unitbee(&["apply"]).exits(1).says(&words).says("apply --take");
    assert_eq!(files(bench), home, "something was written");
    bench.unitbee(&["status"]).says("drift web-main").says("edited by hand");

    bench.unitbee(&["plan", "--take"]).exits(2).says(&format!("-{edited}")).says(&format!("+{line}"));
    bench.unitbee(&["apply", "--take"]).exits(0);
    let text = |unit: &str| unit.lines().filter(|line| !line.contains("unitbee: unit=")).collect::<Vec<_>>().join("\n");
    assert_eq!(text(&bench.sh(&format!("cat {path}"))), text(&written));
    // launchd takes over nothing while it runs a job.
    let is_kept = bench.running("web-main") == pid;
    assert_eq!(is_kept, bench.target.domain().is_none(), "another description needs no new process");
    bench.unitbee(&["status"]).exits(0).hides("drift");
    bench.unitbee(&["plan"]).exits(0);
}

fn leaves_drop_ins_alone(bench: &Bench) {
    let path = bench.definition_path();
    let drop_in = format!("{path}.d/50-mine.conf");
    bench.sh(&format!(
        "mkdir {path}.d; printf '[Service]\\nEnvironment=MINE=1\\n' >{drop_in}
        systemctl --user daemon-reload; systemctl --user restart web-main"
    ));
    bench.until("it is up again", Duration::from_secs(10), |bench| bench.get(8080, "/health").0 == 200);
    assert!(bench.get(8080, "/env").1.contains("MINE=1\n"));
    let status = bench.unitbee(&["status", "--json"]).exits(0).json();
    assert_eq!(status[0]["drop_ins"], serde_json::json!([drop_in]), "{status:#}");
    bench.unitbee(&["apply"]).exits(0).says("unchanged");
    bench.project.write("unitbee.toml", web(&["--version", "two"], ""));
    bench.unitbee(&["apply"]).exits(0);
    assert!(bench.get(8080, "/env").1.contains("MINE=1\n"), "it is in effect for what is new too");
    bench.unitbee(&["uninstall"]).exits(0).says("removed web-main");
    assert!(bench.sh(&format!("cat {drop_in}")).contains("MINE=1"), "it is not ours to remove");
    assert_eq!(bench.processes("web-main"), Vec::<u32>::new());
}
