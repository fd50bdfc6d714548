//! What the library does for daemons that no supervisor knows: it ends them by their number, and waits until they are
//! healthy. On this machine, with real processes.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::disallowed_methods, reason = "a test runs programs and listens itself")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use unitbee::host::{self, Host, Options};
use unitbee::lifecycle::{Stopped, StoppedBy, graceful_shutdown_by_pid, poll_until_healthy};
use unitbee::service::spec::{Health, HttpUrl, Stop};

fn here() -> Arc<dyn Host> {
    host::open("here", "localhost", &Options::default())
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A process that ends as `script` says; who else waits for it keeps it from staying a zombie.
struct Process(u32);

impl Process {
    fn of(script: &str) -> Self {
        let mut child: Child = Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        thread::spawn(move || {
            // Kept open, or `read` would end.
            let stdin = child.stdin.take();
            child.wait().unwrap();
            drop(stdin);
        });
        Self(pid)
    }

    fn lives(&self) -> bool {
        std::fs::read_to_string(format!("/proc/{}/stat", self.0)).is_ok_and(|stat| !stat.contains(") Z "))
    }

    fn end(&self, stop: &Stop) -> Stopped {
        let stopped = block_on(graceful_shutdown_by_pid(here().as_ref(), self.0, stop)).unwrap();
        assert!(!self.lives(), "process {} is still there after {stopped:?}", self.0);
        stopped
    }
}

/// Answers one request after the other with these statuses, the last of them for ever; calls `heard` after each.
fn server(statuses: &'static [u16], heard: impl Fn() + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let status = statuses.get(number).or(statuses.last()).unwrap();
            // Some of the request, so that closing does not reset what was answered.
            assert_ne!(stream.read(&mut [0; 4096]).unwrap(), 0);
            write!(stream, "HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
            drop(stream);
            heard();
        }
    });
    port
}

fn stop(term: Duration) -> Stop {
    Stop { term, ..Stop::default() }
}

fn url(port: u16) -> HttpUrl {
    HttpUrl::parse(&format!("http://127.0.0.1:{port}/")).unwrap()
}

#[test]
fn a_polite_process_ends_by_term() {
    let process = Process::of("read _");
    assert_eq!(process.end(&stop(Duration::from_secs(20))).by, StoppedBy::Term);
    assert_eq!(process.end(&stop(Duration::from_secs(20))).by, StoppedBy::Already);
}

#[test]
fn a_deaf_process_ends_by_kill() {
    let process = Process::of("trap '' TERM; read _");
    let deaf = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.0)).unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:\t")).unwrap().to_owned();
        u64::from_str_radix(&mask, 16).unwrap() & (1 << 14) != 0
    };
    while !deaf() {
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(process.end(&stop(Duration::from_millis(300))).by, StoppedBy::Kill);
}

#[test]
fn a_process_that_ends_at_its_url_is_not_signalled() {
    let process = Process::of("trap 'exit 7' TERM; read _");
    let pid = process.0.to_string();
    let port = server(&[200], move || drop(Command::new("kill").args(["-KILL", &pid]).status()));
    let stop = Stop { url: Some(url(port)), drain: Duration::from_secs(20), ..stop(Duration::from_secs(20)) };
    assert_eq!(process.end(&stop).by, StoppedBy::Url);
}

#[test]
fn a_url_that_refuses_is_told_and_term_comes_next() {
    let process = Process::of("read _");
    let stop = Stop { url: Some(url(server(&[404], || ()))), ..stop(Duration::from_secs(20)) };
    let stopped = process.end(&stop);
    assert_eq!(stopped.by, StoppedBy::Term);
    assert!(stopped.note.is_some_and(|note| note.ends_with("answered 404")));
}

fn health(port: u16, within: Duration) -> Health {
    Health { url: Some(url(port)), expect: None, within, healthy_for: Duration::ZERO }
}

#[test]
fn a_service_is_polled_until_it_is_healthy() {
    let port = server(&[503, 500, 200], || ());
    let took = block_on(poll_until_healthy(here().as_ref(), &health(port, Duration::from_secs(30)))).unwrap();
    assert!(took >= Duration::from_millis(300), "pauses of 100 and 200 ms, not {took:?}");
}

#[test]
fn a_service_that_never_gets_healthy_is_given_up_with_what_was_seen_last() {
    let port = server(&[503], || ());
    let error = block_on(poll_until_healthy(here().as_ref(), &health(port, Duration::from_millis(500)))).unwrap_err();
    assert_eq!(error.to_string(), format!("not healthy within 500ms: http://127.0.0.1:{port}/ answered 503"));
}
