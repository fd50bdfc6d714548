//! What runs is not ended for a successor that cannot be started.

use super::bench::Bench;
use super::manifest::web;
use super::target::Manager;

pub(crate) fn subject(bench: &Bench) {
    bench.project.write("unitbee.toml", web(&[], ""));
    bench.unitbee(&["apply"]).exits(0);
    match bench.target.manager {
        Manager::Systemd => by_systemd(bench),
        Manager::Runner => by_the_runner(bench),
        Manager::Launchd(_) => by_launchd(bench),
    }
    // All was put back.
    let pid = bench.running("web-main");
    bench.unitbee(&["restart"]).exits(0).says("healthy after");
    assert_ne!(bench.running("web-main"), pid);
}

/// Has the definition of the service made something that cannot be started, tries to restart it, and puts things back.
fn refused(bench: &Bench, spoil: &str, mend: &str, words: &[&str]) {
    let path = bench.definition_path();
    let pid = bench.running("web-main");
    bench.as_owner(&format!("cp -p {path} /tmp/kept; path={path}; {spoil}"));
    let mut run = bench.unitbee(&["restart"]).exits(1);
    for word in words {
        run = run.says(word);
    }
    assert_eq!(bench.running("web-main"), pid, "after {spoil}: {run}");
    bench.assert_healthy(pid);
    bench.as_owner(&format!("path={path}; {mend}; rm -f {path}; cp -p /tmp/kept {path}"));
    if bench.target.manager == Manager::Systemd {
        bench.sh("systemctl --user daemon-reload");
    }
}

fn by_systemd(bench: &Bench) {
    let reload = "systemctl --user daemon-reload";
    let empty = ["web-main.service is empty", "hint: `unitbee apply web-main`"];
    refused(bench, &format!(": >$path; {reload}"), "true", &empty);
    refused(bench, ": >$path", "true", &empty);
    refused(bench, "rm $path", "true", &["is gone"]);
    refused(bench, &format!("sed -i /^ExecStart=/d $path; {reload}"), "true", &["cannot be loaded", "systemd-analyze"]);
    let masked = ["it is masked", "hint: `systemctl --user unmask web-main.service`"];
    refused(bench, &format!("ln -sf /dev/null $path; {reload}"), "true", &masked);
}

fn by_the_runner(bench: &Bench) {
    refused(bench, ": >$path", "true", &["is empty", "hint: `unitbee apply web-main`"]);
    refused(bench, "rm $path", "true", &["is not installed"]);
    refused(bench, "echo 'if (' >>$path", "true", &["cannot be read"]);
    let program = "eval \"$(grep ^program= /tmp/kept)\"";
    let (spoil, mend) = (format!("{program}; chmod -x $program"), format!("{program}; chmod +x $program"));
    refused(bench, &spoil, &mend, &["cannot be executed"]);
    let (spoil, mend) = (format!("{program}; mv $program /tmp/away"), format!("{program}; mv /tmp/away $program"));
    refused(bench, &spoil, &mend, &["is not there", "hint: `unitbee apply web-main`"]);
}

fn by_launchd(bench: &Bench) {
    refused(bench, ": >$path", "true", &["it is no property list"]);
    refused(bench, "rm $path", "true", &["it is not there"]);
}
