//! What was edited by hand in a unit file becomes a drop-in: in effect as it was edited, and for later releases too.

use super::bench::Bench;
use super::manifest::web;
use super::target::Manager;

pub(crate) fn subject(bench: &Bench) {
    bench.project.write("unitbee.toml", web(&[], KEYS));
    bench.unitbee(&["apply"]).exits(0);
    bench.unitbee(&["apply", "--keep", "--take"]).exits(64).says("cannot be used with");
    match bench.target.manager {
        Manager::Systemd => {
            keeps_what_was_edited(bench);
            keeps_it_for_later_releases(bench);
            keeps_a_further_edit_and_leaves_the_last_word_to_other_drop_ins(bench);
            takes_back_an_edit_that_does_not_work(bench);
            takes_it_back_from_what_runs(bench);
            keeps_it_whole_when_killed(bench);
            refuses_what_no_drop_in_can_do(bench);
            keeps_another_command(bench);
        }
        Manager::Launchd(_) => refuses(bench, ("\t\t<string>en_US.UTF-8", "\t\t<string>C"), "launchd has no drop-ins"),
        Manager::Runner => refuses(bench, ("# web", "# mine"), "the runner has no drop-ins"),
    }
}

const KEYS: &str = "env = { COLOUR = \"red\", SHAPE = \"round\" }\nlimits = { tasks = 500, memory = \"100M\" }\n";
const DROP_IN: &str = "/home/bee/.config/systemd/user/web-main.service.d/00-kept.conf";

fn edit(bench: &Bench, script: &str) {
    bench.as_owner(&format!("sed -i '{script}' {}", bench.definition_path()));
}

fn show(bench: &Bench, unit: &str, properties: &str) -> String {
    bench.sh(&format!("systemctl --user show {unit} -p {properties}"))
}

#[track_caller]
fn has_variables(bench: &Bench, there: &[&str], gone: &str) {
    let env = bench.get(8080, "/env").1;
    assert!(there.iter().all(|line| env.contains(&format!("{line}\n"))) && !env.contains(gone), "{env}");
}

fn keeps_what_was_edited(bench: &Bench) {
    edit(
        bench,
        "s/^Environment=\"COLOUR=red\"/Environment=COLOUR=blue\\nEnvironment=\"SIZE=very large\"/
        s/^MemoryMax=.*/# for the big job\\nMemoryMax=300M/
        s/^TasksMax=.*//
        s/^SuccessExitStatus=.*/SuccessExitStatus=7/",
    );
    let path = bench.definition_path();
    let words = format!("{path} was edited by hand");
    bench.unitbee(&["plan"]).exits(2).says(&words).says("`unitbee apply --take` overwrites the edit").says("--keep");
    bench.unitbee(&["apply"]).exits(1).says(&words).says("`unitbee apply --keep` moves it into a drop-in");
    let plan =
        bench.unitbee(&["plan", "--keep"]).exits(2).says(DROP_IN).says("+MemoryMax=300M").says("restart web-main: ");
    plan.hides("was edited by hand since");
    assert_eq!(bench.files("00-kept.conf"), Vec::<String>::new(), "a plan writes nothing");

    let pid = bench.running("web-main");
    // What the edited file itself comes to, by systemd's own reading.
    bench.sh("systemctl --user daemon-reload");
    let properties = "Environment,MemoryMax,TasksMax,SuccessExitStatus,Restart,MemorySwapMax";
    let edited = show(bench, "web-main", properties);
    bench.unitbee(&["apply", "--keep"]).exits(0).says(DROP_IN);
    assert_ne!(bench.running("web-main"), pid, "variables need a new process");
    let sorted = |text: &str| {
        let mut words: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
        words.sort();
        words
    };
    assert_eq!(sorted(&show(bench, "web-main", properties)), sorted(&edited));
    assert!(edited.contains("MemoryMax=314572800\n") && edited.contains("SuccessExitStatus=7\n"), "{edited}");
    has_variables(bench, &["COLOUR=blue", "SHAPE=round", "SIZE=very large"], "COLOUR=red");
    let drop_in = bench.sh(&format!("cat {DROP_IN}"));
    assert!(drop_in.starts_with("# Moved here by `unitbee apply --keep` from web-main.service"), "{drop_in}");
    assert!(drop_in.contains("\n# for the big job\nMemoryMax=300M\n"), "{drop_in}");
    let cat = bench.sh("systemctl --user cat web-main");
    assert!(cat.contains("Environment=\"COLOUR=red\"\n") && cat.contains("Environment=COLOUR=blue\n"), "{cat}");

    let plan = bench.unitbee(&["plan"]).exits(0).says("nothing to do").says(DROP_IN).says("MemoryMax=300M");
    plan.says("Environment=COLOUR=…").hides("blue");
    let plan = bench.unitbee(&["--json", "plan"]).exits(0).json();
    assert_eq!(plan[0]["drop_ins"][0]["path"], DROP_IN, "{plan:#}");
    assert!(plan[0]["drop_ins"][0]["sets"].as_array().unwrap().contains(&"MemoryMax=300M".into()), "{plan:#}");
    bench.unitbee(&["apply", "--keep"]).exits(0).says("unchanged");
    bench.unitbee(&["status"]).hides("drift");
}

fn keeps_it_for_later_releases(bench: &Bench) {
    bench.project.write("unitbee.toml", web(&["--version", "two"], &KEYS.replace("round", "square")));
    bench.unitbee(&["apply"]).exits(0);
    has_variables(bench, &["COLOUR=blue", "SHAPE=square", "SIZE=very large"], "SHAPE=round");
    assert!(bench.get(8080, "/health").1.contains("version=two "));
    assert!(show(bench, "web-main", "MemoryMax").contains("=314572800"));
}

fn keeps_a_further_edit_and_leaves_the_last_word_to_other_drop_ins(bench: &Bench) {
    let mine = DROP_IN.replace("00-kept", "50-mine");
    bench.sh(&format!("printf '[Service]\\nTasksMax=77\\n' >{mine}; systemctl --user daemon-reload"));
    edit(bench, "s/^Restart=.*/Restart=always/; s/^KillMode=.*/TasksMax=66/");
    let pid = bench.running("web-main");
    bench.unitbee(&["apply", "--keep"]).exits(0);
    assert_eq!(bench.running("web-main"), pid, "what the manager takes over at once needs no new process");
    let shown = show(bench, "web-main", "Restart,KillMode,TasksMax,MemoryMax");
    for line in ["Restart=always", "KillMode=control-group", "TasksMax=77", "MemoryMax=314572800"] {
        assert!(shown.contains(&format!("{line}\n")), "{line}: {shown}");
    }
    bench.unitbee(&["plan"]).exits(0).says("Restart=always").says("KillMode=control-group").says(&mine);
}

fn takes_back_an_edit_that_does_not_work(bench: &Bench) {
    let before = bench.sh(&format!("cat {DROP_IN}"));
    edit(bench, "s|^ExecStart=.*|&\\nExecStartPre=/bin/false|");
    let aside = format!("{DROP_IN}.failed");
    bench.unitbee(&["apply", "--keep"]).exits(4).says(&aside);
    assert_eq!(bench.sh(&format!("cat {DROP_IN}")), before);
    assert_eq!(bench.sh(&format!("cat {aside}")), "[Service]\nExecStartPre=/bin/false\n");
    assert!(!show(bench, "web-main", "ExecStartPre").contains("false"));
    has_variables(bench, &["COLOUR=blue"], "COLOUR=red");
    bench.unitbee(&["plan"]).exits(0);
    // It was the edit and not the release that failed.
    edit(bench, "s/^Description=.*/Description=mine/");
    bench.unitbee(&["apply", "--keep"]).exits(0);
    assert!(show(bench, "web-main", "Description").contains("=mine"));
}

fn takes_it_back_from_what_runs(bench: &Bench) {
    let manifest = web(&["--version", "two"], KEYS).replace("within = \"30s\"", "within = \"3s\"");
    bench.project.write("unitbee.toml", manifest);
    bench.unitbee(&["apply"]).exits(0);
    edit(bench, "s|^ExecStart=.*|&\\nExecStartPost=/bin/kill -STOP $MAINPID|");
    bench.unitbee(&["apply", "--keep"]).exits(4).says("00-kept.conf.failed");
    assert!(!show(bench, "web-main", "ExecStartPost").contains("STOP"));
    has_variables(bench, &["COLOUR=blue"], "COLOUR=red");
    bench.unitbee(&["plan"]).exits(0);
}

fn keeps_it_whole_when_killed(bench: &Bench) {
    let moments = [("step-began", "keep"), ("step-ended", "switch"), ("step-began", "replace"), ("step-began", "gate")];
    for (number, (event, verb)) in moments.into_iter().enumerate() {
        let variable = format!("ROUND_{number}=1");
        edit(bench, &format!("s/^Environment=\"SHAPE=.*/&\\nEnvironment={variable}/"));
        let mut running = bench.start(&[], &["--json", "apply", "--keep"]);
        let step = format!("\"{verb}:web-main\"");
        running.lines().upto_one(&step, |line| line.contains(event) && line.contains(&step));
        bench.kill(running);
        bench.unitbee(&["apply", "--keep"]).exits(0);
        has_variables(bench, &["COLOUR=blue", &variable], "COLOUR=red");
        let times = bench.sh(&format!("grep -c '^Environment={variable}$' {DROP_IN}"));
        assert_eq!(times.trim(), "1", "killed at {event} of {verb}");
        bench.unitbee(&["plan"]).exits(0);
    }
}

fn refuses_what_no_drop_in_can_do(bench: &Bench) {
    for (script, words) in [
        ("s/^RestartSec=.*//", "RestartSec= was removed, which a drop-in cannot do"),
        (
            "s|^ExecStart=.*|& \"--version\" \"three\"|",
            "ExecStart= names /home/bee/.local/share/unitbee, which goes with",
        ),
        ("s/^WantedBy=.*/WantedBy=basic.target/", "[Install] was edited"),
    ] {
        edit(bench, script);
        for verb in ["plan", "apply"] {
            let refused = bench.unitbee(&[verb, "--keep"]).exits(1).says("cannot be kept").says(words);
            refused.says("`unitbee apply --take` overwrites the edit");
        }
        bench.unitbee(&["apply", "--take"]).exits(0);
    }
}

fn keeps_another_command(bench: &Bench) {
    let nap = |seconds: u32| format!("[service.nap]\ncommand = [\"/bin/sleep\", \"{seconds}\"]\nkeep = 2\n");
    bench.project.write("unitbee.toml", nap(1000));
    bench.unitbee(&["apply", "--prune"]).exits(0);
    let path = bench.definition_path().replace("web-main", "nap-main");
    bench.sh(&format!("sed -i 's/1000/2000/' {path}"));
    bench.unitbee(&["apply", "--keep"]).exits(0);
    let runs = || bench.sh(&format!("tr '\\0' ' ' </proc/{}/cmdline", bench.running("nap-main")));
    assert_eq!(runs().trim(), "/bin/sleep 2000");
    bench.unitbee(&["plan"]).exits(0).says("ExecStart=; ExecStart=\":/bin/sleep\" \"2000\"");
    bench.project.write("unitbee.toml", nap(3000));
    bench.unitbee(&["apply"]).exits(0);
    assert_eq!(runs().trim(), "/bin/sleep 2000", "the drop-in has the last word");
    bench.unitbee(&["uninstall"]).exits(0);
}

fn refuses(bench: &Bench, (line, edited): (&str, &str), why: &str) {
    edit(bench, &format!("s|^{line}|{edited}|"));
    bench.unitbee(&["plan"]).exits(2).says("`unitbee apply --take` overwrites the edit").hides("--keep");
    for verb in ["plan", "apply"] {
        bench.unitbee(&[verb, "--keep"]).exits(1).says(&format!("cannot be kept: {why}")).says("apply --take");
    }
    bench.unitbee(&["apply", "--take"]).exits(0);
}
