//! What somebody at a terminal sees: a bar for each host that is sent something, tables that fit, colours unless they are
//! not wanted. script(1) is the terminal.

use super::bench::{Bench, UNITBEE};
use super::lab::LabHost;
use super::manifest::web;
use super::run::{Run, Running};

const COLUMNS: usize = 80;

/// What the program is made longer by: enough to be seen on its way.
const BALLAST: usize = 20 << 20;

pub(crate) fn subject(bench: &Bench) {
    let name = format!("second-{}", bench.target.name);
    let Some(second) = LabHost::up_with(&name, bench.target.base, bench.target.options) else { return };
    let configs = [&bench.host, &second].map(|host| std::fs::read_to_string(&host.ssh_config).unwrap());
    bench.project.write("hosts", configs.concat());
    let hosts = [bench.host.name.as_str(), second.name.as_str()];

    ship(bench, 1);
    let run = at_terminal(bench, true, &hosts, &["apply"]).exits(0);
    assert!(is_coloured(&run.stdout), "{run}");
    for host in hosts {
        let bar = |drawn: &str| drawn.contains(host) && drawn.contains("[=") && drawn.contains("M of ");
        assert!(run.stdout.split(['\r', '\n']).any(bar), "no bar for {host}:\n{run}");
        assert!(run.stdout.contains(&format!("{host}: changed")), "{run}");
    }
    ship(bench, 2);
    let run = at_terminal(bench, false, &hosts, &["apply"]).exits(0).says("M of ");
    assert!(!is_coloured(&run.stdout), "{run}");

    bench.stop_behind("web-main");
    let all = [&hosts[..], &["nowhere.invalid"]].concat();
    for colour in [true, false] {
        let run = at_terminal(bench, colour, &hosts, &["status"]).exits(3).says("stopped");
        let long: Vec<&str> = run.stdout.lines().filter(|line| line.trim_end().chars().count() > COLUMNS).collect();
        assert!(long.is_empty(), "{long:#?} do not fit");
        let run = at_terminal(bench, colour, &all, &["status"]).exits(6).says("nowhere.invalid: ");
        assert_eq!(is_coloured(&run.stdout), colour, "{run}");
    }
}

/// Makes a program that no host has yet.
fn ship(bench: &Bench, number: u8) {
    bench.project.write("unitbee.toml", web(&["--version", &number.to_string()], ""));
    let path = bench.project.work().join("daemon");
    let mut program = std::fs::read(&path).unwrap();
    program.resize(program.len() + BALLAST, number);
    std::fs::write(path, program).unwrap();
}

/// Runs unitbee at a terminal; all that it shows is its standard output.
fn at_terminal(bench: &Bench, colour: bool, hosts: &[&str], words: &[&str]) -> Run {
    let mut line = vec![UNITBEE, "--ssh-config", "hosts"];
    line.extend(hosts.iter().flat_map(|host| ["-H", host]));
    line.extend(words);
    let line = format!("stty cols {COLUMNS} rows 24; exec {}", shlex::try_join(line).unwrap());
    let mut command = bench.project.command("script");
    command.args(["-q", "-e", "-c", &line, "/dev/null"]).env("TERM", "xterm-256color").env("SHELL", "/bin/sh");
    if colour {
        command.env_remove("NO_COLOR");
    }
    Running::of(command).end()
}

/// Tells whether letters are shown in another colour or weight.
fn is_coloured(shown: &str) -> bool {
    shown
        .split("\u{1b}[")
        .skip(1)
        .any(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m'))
}
