//! Limits hold where the host can hold them, proven by what the kernel did; elsewhere `status` says that they do not.

use std::time::Duration;

use serde_json::Value;

use super::bench::Bench;
use super::target::Manager;

/// Files that each may have open: the kernel counts these for one process, so that every host can hold it.
const FILES: u64 = 300;

/// Longer than a restart, and three lives of a service that eats.
const LATER: Duration = Duration::from_secs(30);

/// What each unit may have at most.
struct Capped {
    unit: &'static str,
    /// MiB.
    memory: u64,
    /// Percent of one core.
    cpu: u64,
    tasks: u64,
}

/// Stays below all it may have, beside those that do not.
const CALM: Capped = Capped { unit: "calm-main", memory: 96, cpu: 150, tasks: 50 };
/// The same, later.
const CALMER: Capped = Capped { memory: 64, cpu: 120, tasks: 30, ..CALM };
/// Spins on every core.
const BUSY: Capped = Capped { unit: "busy-main", memory: 64, cpu: 50, tasks: 50 };
/// Wants 200 threads.
const CROWDED: Capped = Capped { unit: "crowded-main", memory: 64, cpu: 100, tasks: 40 };
/// Eats 200 MiB each time it is started.
const GREEDY: Capped = Capped { unit: "greedy-main", memory: 48, cpu: 100, tasks: 50 };

pub(crate) fn subject(bench: &Bench) {
    let cores = bench.root("grep -c ^processor /proc/cpuinfo");
    bench.project.write("unitbee.toml", manifest(&CALM, cores.trim()));
    if bench.target.limits_hold { hold(bench, cores.trim()) } else { are_told_not_to_hold(bench) }
}

fn manifest(calm: &Capped, cores: &str) -> String {
    let service = |port: u16, capped: &Capped, habits: &[&str], keys: &str| {
        let port = port.to_string();
        let command = [&["./daemon", "--port", &port], habits].concat();
        let Capped { unit, memory, cpu, tasks } = capped;
        let name = unit.strip_suffix("-main").unwrap();
        format!(
            r#"
[service.{name}]
command = {command:?}
limits = {{ memory = "{memory}M", cpu = "{cpu}%", tasks = {tasks}, nofile = {FILES} }}
restart = {{ delay = "500ms", max_delay = "500ms", give_up_after = 2 }}
stop = {{ term = "2s" }}
{keys}
"#
        )
    };
    // How fast it answers proves nothing here: one that is late on a slow machine still counts as starting.
    let health = r#"health = { url = "http://127.0.0.1:8080/health", within = "10min", healthy_for = "100ms" }"#;
    [
        service(8080, calm, &["--eat", "24"], health),
        service(8081, &BUSY, &["--spin", cores], ""),
        service(8082, &CROWDED, &["--crowd", "200"], ""),
        service(8083, &GREEDY, &["--eat", "200"], ""),
    ]
    .concat()
}

fn hold(bench: &Bench, cores: &str) {
    bench.unitbee(&["apply", "--strict-limits", "calm", "busy", "crowded"]).exits(0).hides("limit-not-effective");
    let pids = [CALM, BUSY, CROWDED].map(|capped| bench.running(capped.unit));
    files_hold(bench, &BUSY);
    memory_holds(bench);
    tasks_hold(bench);
    cpu_holds(bench);
    assert!(number(bench, &CALM, "memory.current") > 24 << 20, "it has not eaten what it may");
    kernel_has(bench, &CALM);

    bench.project.write("unitbee.toml", manifest(&CALMER, cores));
    bench.unitbee(&["apply", "--strict-limits", "calm"]).exits(0).hides("started");
    kernel_has(bench, &CALMER);
    assert_eq!([CALM, BUSY, CROWDED].map(|capped| bench.running(capped.unit)), pids, "a neighbour died");

    bench.project.log_out();
    bench.reboot(&["--hard"]);
    if bench.target.manager == Manager::Runner {
        // Without cron nothing comes back by itself.
        bench.unitbee(&["status"]).exits(3).says("it ended with the host's last boot");
        bench.unitbee(&["apply", "--no-rollback", "--retry"]);
    }
    bench.until("it is out of memory again", LATER, |bench| bench.property(GREEDY.unit, "ActiveState") == "failed");
    for capped in [CALMER, BUSY, CROWDED] {
        kernel_has(bench, &capped);
    }
    let status = bench.unitbee(&["status"]).exits(3).hides("limit-not-effective");
    assert_eq!(status.stdout.matches("out of memory (oom-kill)").count(), 2, "in the state and in the flag: {status}");
    a_lifted_limit_is_told(bench);
}

/// The limit is of the process, and no program may lift it.
fn files_hold(bench: &Bench, capped: &Capped) {
    let limits = bench.root(&format!("grep 'Max open files' /proc/{}/limits", bench.running(capped.unit)));
    let held: Vec<&str> = limits.split_whitespace().skip(3).take(2).collect();
    assert_eq!(held, [FILES.to_string(), FILES.to_string()], "{limits}");
}

fn memory_holds(bench: &Bench) {
    bench.unitbee(&["apply", "greedy", "--no-rollback"]);
    bench.until("it is given up", LATER, |bench| bench.property(GREEDY.unit, "ActiveState") == "failed");
    let words = bench.words_for_oom();
    // More than once where the kernel counts more than one kill, as it does where all of a cgroup are to go together.
    let are_told = |lives: &[String]| lives.iter().all(|life| life.contains(words));
    // What is said of a state may come to the journal after it.
    bench.until("each of its ends is told", LATER, |bench| {
        let lives = lives(bench, &GREEDY);
        lives.len() >= 3 && are_told(&lives)
    });
    let lives = lives(bench, &GREEDY);
    assert_eq!(lives.len(), 3, "a start and two restarts: {lives:#?}");
    assert!(are_told(&lives), "{lives:#?}");
    assert_eq!(bench.property(GREEDY.unit, "Result"), "oom-kill");

    let reason = "was killed: out of memory (oom-kill)";
    bench.unitbee(&["status"]).exits(3).says(&format!("failed ({reason}")).hides("limit-not-effective");
    let status = status(bench, &GREEDY, 3);
    assert_eq!(status["state"], "failed", "{status:#}");
    assert!(status["reason"].as_str().is_some_and(|said| said.starts_with(reason)), "{status:#}");
}

/// What was said in each life of a unit, after its first words.
fn lives(bench: &Bench, capped: &Capped) -> Vec<String> {
    bench.said(capped.unit).split("daemon 1 is up").skip(1).map(str::to_owned).collect()
}

fn tasks_hold(bench: &Bench) {
    assert_eq!(number(bench, &CROWDED, "pids.current"), CROWDED.tasks);
    let said = bench.said(CROWDED.unit);
    assert!(said.contains("daemon has 39 of 200 threads"), "{said}");
    let status = status(bench, &CROWDED, 0);
    assert_eq!((&status["tasks"], bench.oddities(&status)), (&CROWDED.tasks.into(), Vec::new()), "{status:#}");
}

/// Holds what the kernel counted against the host's own clock, both ends of the window seen by one script.
fn cpu_holds(bench: &Bench) {
    let seen = bench.root(&format!(
        "folder=$({})
        look() {{ read -r up _ </proc/uptime; read -r _ used <$folder/cpu.stat; echo $up $used; }}
        look; sleep 10; look",
        bench.find_cgroup(BUSY.unit)
    ));
    let seen: Vec<f64> = seen.split_whitespace().map(|number| number.parse().unwrap()).collect();
    let [up, used, later_up, later_used] = seen[..] else { panic!("{seen:?}") };
    let percent = (later_used - used) / (later_up - up) / 10_000.0;
    assert_is_quota(percent);

    // It counts from the start, in whole seconds of the host's clock: of so many, one more or less makes no difference.
    let lived = |status: &Value| status["now"].as_i64().unwrap() - status["since"].as_i64().unwrap();
    bench.until("it has run for a while", LATER, |bench| lived(&status(bench, &BUSY, 0)) > 20);
    let status = status(bench, &BUSY, 0);
    assert_is_quota(status["cpu_percent"].as_f64().unwrap());
    assert_eq!(bench.oddities(&status), Vec::<String>::new(), "{status:#}");
}

#[track_caller]
fn assert_is_quota(percent: f64) {
    let quota = f64::from(u32::try_from(BUSY.cpu).unwrap());
    assert!((percent - quota).abs() <= quota / 10.0, "{percent:.1} % where {quota} % are allowed");
}

fn kernel_has(bench: &Bench, capped: &Capped) {
    let files = bench
        .root(&format!("cd $({}); cat memory.max memory.swap.max cpu.max pids.max", bench.find_cgroup(capped.unit)));
    let Capped { unit, memory, cpu, tasks } = capped;
    let wanted = format!("{}\n0\n{} 100000\n{tasks}\n", memory << 20, cpu * 1000);
    assert_eq!(files, wanted, "{unit}");
}

fn a_lifted_limit_is_told(bench: &Bench) {
    bench.root(&format!("echo max >$({})/memory.max", bench.find_cgroup(CALMER.unit)));
    let status = status(bench, &CALMER, 0);
    let flag = ineffective(&status);
    assert_eq!(flag["reason"], "memory: memory.max is \"max\"");
    assert_eq!(flag["mend"], format!("unitbee restart {} -H {}", CALMER.unit, bench.host.name));
}

fn are_told_not_to_hold(bench: &Bench) {
    let (gap, mend) = match bench.target.manager {
        Manager::Systemd => (
            "memory: the memory controller is not delegated to the user's manager; \
             cpu: the cpu controller is not delegated to the user's manager; \
             tasks: the pids controller is not delegated to the user's manager",
            "mend: sudo systemctl edit",
        ),
        Manager::Launchd(_) => ("cpu, memory, tasks: launchd has no such cap", ""),
        Manager::Runner => ("no part of the cgroup tree may be written", ""),
    };
    let said = format!("calm-main, crowded-main: limit-not-effective: {gap}");
    bench.unitbee(&["apply", "calm", "crowded"]).exits(0).says(&said);
    let table = bench.unitbee(&["status", "calm"]).exits(0);
    table.says(&format!("limit-not-effective calm-main on {}: {gap}", bench.host.name)).says(mend);
    let status = status(bench, &CALM, 0);
    assert_eq!(ineffective(&status)["reason"], gap, "{status:#}");
    if bench.target.manager == Manager::Systemd {
        assert_eq!(status["memory_bytes"], Value::Null, "what nobody counts is not told: {status:#}");
    }

    let strict = bench.unitbee(&["apply", "--strict-limits", "calm"]).exits(1);
    strict.says(&format!("calm-main runs, but a limit does not hold: {}", gap.split(';').next().unwrap()));
    bench.running(CALM.unit);
    files_hold(bench, &CALM);
}

fn status(bench: &Bench, capped: &Capped, code: i32) -> Value {
    bench.unitbee(&["status", "--json", capped.unit]).exits(code).json()[0].clone()
}

/// The flag that says that a limit does not hold.
#[track_caller]
fn ineffective(status: &Value) -> &Value {
    let mut flags = status["flags"].as_array().unwrap().iter();
    flags.find(|flag| flag["kind"] == "limit-not-effective").unwrap_or_else(|| panic!("every limit holds: {status:#}"))
}

fn number(bench: &Bench, capped: &Capped, file: &str) -> u64 {
    bench.root(&format!("cat $({})/{file}", bench.find_cgroup(capped.unit))).trim().parse().unwrap()
}
