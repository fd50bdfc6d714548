//! A daemon with whatever habits a test asks for: healthy or not, slow, greedy, deaf to TERM, fond of children.
//!
//! One file without dependencies, compiled by `rustc` into a static program, so that the same bytes run on every host.
//!
//! ```text
//! daemon --port N [--health-after MS] [--healthy-for MS] [--healthy-with FILE] [--unhealthy-with FILE] [--unhealthy]
//!        [--status CODE] [--slow MS] [--version TEXT] [--exit-after MS --code N] [--deaf] [--shutdown none|late]
//!        [--no-listen] [--heir] [--eat MIB] [--spin THREADS] [--crowd THREADS] [--children]
//! daemon --check
//! ```
//!
//! With `--heir` another process takes over the port once this one has ended.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, exit};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

#[derive(Default)]
struct Habits {
    port: u16,
    health_after: u64,
    healthy_for: Option<u64>,
    healthy_with: Option<String>,
    unhealthy_with: Option<String>,
    unhealthy: bool,
    status: Option<u16>,
    slow: u64,
    version: String,
    exit_after: Option<u64>,
    code: i32,
    deaf: bool,
    no_shutdown: bool,
    late_shutdown: bool,
    no_listen: bool,
    heir: bool,
    await_port: bool,
    eat: usize,
    spin: usize,
    crowd: usize,
    children: bool,
}

fn main() {
    let habits = Arc::new(read());
    if habits.deaf {
        // A program of std alone cannot ignore a signal; a shell can, and what it executes inherits that.
        if std::env::var_os("DEAF").is_none() {
            use std::os::unix::process::CommandExt;
            let mut shell = Command::new("/bin/sh");
            shell.args(["-c", "trap '' TERM; exec \"$0\" \"$@\""]).args(std::env::args_os());
            panic!("exec sh: {}", shell.env("DEAF", "1").exec());
        }
    }
    println!("daemon {} is up, port {}", habits.version, habits.port);
    if habits.children {
        // One child in our session, one that left it with a session and a parent of its own.
        Command::new("sleep").arg("1000").spawn().expect("spawn sleep");
        let script = "(setsid sleep 1001 &) ; exit 0";
        Command::new("/bin/sh").args(["-c", script]).status().expect("spawn sh");
    }
    if let Some(after) = habits.exit_after {
        let code = habits.code;
        if after == 0 {
            eprintln!("daemon gives up with {code}");
            exit(code);
        }
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(after));
            eprintln!("daemon gives up with {code}");
            exit(code);
        });
    }
    for _ in 0..habits.spin {
        thread::spawn(|| {
            let mut x = 0_u64;
            loop {
                x = std::hint::black_box(x.wrapping_add(1));
            }
        });
    }
    if habits.eat > 0 {
        let mib = habits.eat;
        thread::spawn(move || {
            let mut eaten = Vec::new();
            for _ in 0..mib {
                eaten.push(std::hint::black_box(vec![1_u8; 1 << 20]));
                thread::sleep(Duration::from_millis(5));
            }
            thread::sleep(Duration::from_secs(1000));
            drop(eaten);
        });
    }
    if habits.crowd > 0 {
        let asleep = || thread::Builder::new().spawn(|| thread::sleep(Duration::from_secs(1000)));
        let crowd = (0..habits.crowd).filter(|_| asleep().is_ok()).count();
        println!("daemon has {crowd} of {} threads", habits.crowd);
    }
    if habits.no_listen {
        loop {
            thread::park();
        }
    }
    serve(&habits);
}

/// Starts a process that gets the port after this one. It leaves everything by which it could be known as ours, but for a
/// cgroup: parent, group, environment, and where there is a program for that, the session.
fn leave_heir(habits: &Habits) {
    use std::os::unix::process::CommandExt;
    let script = r#"! command -v setsid >/dev/null || set -- setsid "$@"; "$@" </dev/null >/dev/null 2>&1 &"#;
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", script, "sh"]).arg(std::env::current_exe().expect("current_exe")).env_clear().process_group(0);
    shell.args(["--await-port", "--port", &habits.port.to_string(), "--version", &habits.version]);
    shell.status().expect("spawn sh");
}

fn read() -> Habits {
    let mut habits = Habits { version: "1".into(), ..Habits::default() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_else(|| panic!("{word} wants a value"));
        match word.as_str() {
            "--port" => habits.port = value().parse().expect("--port"),
            "--health-after" => habits.health_after = value().parse().expect("--health-after"),
            "--healthy-with" => habits.healthy_with = Some(value()),
            "--healthy-for" => habits.healthy_for = Some(value().parse().expect("--healthy-for")),
            "--unhealthy-with" => habits.unhealthy_with = Some(value()),
            "--unhealthy" => habits.unhealthy = true,
            "--status" => habits.status = Some(value().parse().expect("--status")),
            "--no-listen" => habits.no_listen = true,
            "--heir" => habits.heir = true,
            "--await-port" => habits.await_port = true,
            "--slow" => habits.slow = value().parse().expect("--slow"),
            "--version" => habits.version = value(),
            "--exit-after" => habits.exit_after = Some(value().parse().expect("--exit-after")),
            "--code" => habits.code = value().parse().expect("--code"),
            "--deaf" => habits.deaf = true,
            "--shutdown" => match value().as_str() {
                "none" => habits.no_shutdown = true,
                "late" => habits.late_shutdown = true,
                other => panic!("unknown shutdown {other}"),
            },
            "--eat" => habits.eat = value().parse().expect("--eat"),
            "--spin" => habits.spin = value().parse().expect("--spin"),
            "--crowd" => habits.crowd = value().parse().expect("--crowd"),
            "--children" => habits.children = true,
            "--check" => {
                println!("daemon can run");
                exit(0);
            }
            other => panic!("unknown habit {other}"),
        }
    }
    habits
}

fn serve(habits: &Arc<Habits>) {
    let begun = Instant::now();
    let listener = loop {
        match TcpListener::bind(("127.0.0.1", habits.port)) {
            Ok(listener) => break listener,
            Err(_) if habits.await_port => thread::sleep(Duration::from_millis(5)),
            Err(error) => {
                eprintln!("daemon cannot listen on {}: {error}", habits.port);
                exit(98);
            }
        }
    };
    if habits.heir {
        leave_heir(habits);
    }
    for stream in listener.incoming().flatten() {
        let habits = Arc::clone(habits);
        thread::spawn(move || answer(stream, &habits, begun));
    }
}

fn answer(mut stream: TcpStream, habits: &Habits, begun: Instant) {
    let mut head = [0; 2048];
    let Ok(count) = stream.read(&mut head) else { return };
    let text = String::from_utf8_lossy(&head[..count]).into_owned();
    let mut words = text.split_whitespace();
    let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let exists = |file: &String| std::path::Path::new(file).exists();
    let lacks = habits.healthy_with.as_ref().is_some_and(|file| !exists(file));
    let is_marked = habits.unhealthy_with.as_ref().is_some_and(exists);
    let age = begun.elapsed().as_millis();
    let is_young = age < u128::from(habits.health_after);
    let is_old = habits.healthy_for.is_some_and(|limit| age > u128::from(limit));
    let own_status = habits.status.map(|code| format!("{code} As Asked"));
    let (status, body) = match (method, path) {
        ("GET", "/health") if own_status.is_some() => (own_status.as_deref().unwrap_or_default(), "no\n".to_owned()),
        ("GET", "/health") if habits.unhealthy || is_young || is_old || lacks || is_marked => {
            ("503 Service Unavailable", "not yet\n".to_owned())
        }
        ("GET", "/health") => ("200 OK", format!("ok version={} pid={}\n", habits.version, std::process::id())),
        ("GET", "/env") => {
            let env: HashMap<_, _> = std::env::vars().collect();
            ("200 OK", env.iter().map(|(name, value)| format!("{name}={value}\n")).collect())
        }
        ("POST", "/v1/shutdown") if !habits.no_shutdown => ("200 OK", "bye\n".to_owned()),
        _ => ("404 Not Found", "no such thing\n".to_owned()),
    };
    let reply = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    thread::sleep(Duration::from_millis(habits.slow));
    stream.write_all(reply.as_bytes()).ok();
    if (method, path) == ("POST", "/v1/shutdown") && !habits.no_shutdown {
        println!("daemon was asked to end");
        if habits.late_shutdown {
            thread::sleep(Duration::from_secs(8));
        }
        exit(0);
    }
}
