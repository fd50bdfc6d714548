//! Requests to a service of a host, through an sshd that forwards and through one that does not.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::time::Duration;

use camino::Utf8PathBuf;
use unitbee::host::Host;
use unitbee::lifecycle::http::{Http, HttpError, Reply};
use unitbee::service::spec::HttpUrl;

use crate::world::{Far, World, alone, nobody, skip};

const SOON: Duration = Duration::from_secs(10);

/// What the scripts of this crate need on a host.
const TOOLS: &[&str] =
    &["cat", "date", "dd", "grep", "id", "kill", "readlink", "sed", "setsid", "sh", "sleep", "uname"];

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell";

/// Answers every connection with these bytes and ends it; returns the port.
fn serve(answer: &'static [u8]) -> u16 {
    serve_after(Duration::ZERO, answer)
}

/// The same, each time after a while.
fn serve_after(pause: Duration, answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut peer in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                // All of the request, so that the end is no reset.
                let mut asked = [0; 4096];
                drop(peer.read(&mut asked));
                std::thread::sleep(pause);
                drop(peer.write_all(answer));
            });
        }
    });
    port
}

async fn get(host: &dyn Host, scheme: &str, port: u16) -> Result<Reply, HttpError> {
    let url = HttpUrl::parse(&format!("{scheme}://127.0.0.1:{port}/health")).unwrap();
    let http = Http::open(host, &url).await.unwrap();
    let first = http.get(SOON).await;
    let again = http.post(SOON).await;
    assert_eq!(format!("{first:?}"), format!("{again:?}"), "what was learned of the way is kept");
    first
}

/// A folder of programs with those that scripts need and these, each as a link to what it is elsewhere.
fn programs(world: &World, more: &[(&str, &str)]) -> Utf8PathBuf {
    let folder = world.folder.join("programs");
    std::fs::create_dir(&folder).unwrap();
    let tools = TOOLS.iter().map(|tool| (*tool, format!("/usr/bin/{tool}")));
    for (name, path) in tools.chain(more.iter().map(|(name, path)| (*name, (*path).to_owned()))) {
        symlink(path, folder.join(name)).unwrap();
    }
    folder
}

#[test]
fn a_broken_exchange_is_told_from_nobody_there() {
    alone("forwarding::a_broken_exchange_is_told_from_nobody_there", async |mut world| {
        for host in world.both() {
            let reply = get(host.as_ref(), "http", serve(OK)).await.unwrap();
            assert_eq!((reply.status, reply.body.as_slice()), (200, &b"well"[..]));
            let refused = get(host.as_ref(), "http", nobody()).await;
            assert!(matches!(refused, Err(HttpError::Refused { .. })), "{refused:?}");
            for (scheme, answer) in
                [("http", &b"SSH-2.0-x\r\n"[..]), ("http", b"HTTP/1."), ("http", b""), ("https", OK)]
            {
                let broken = get(host.as_ref(), scheme, serve(answer)).await;
                assert!(matches!(broken, Err(HttpError::Broken { .. })), "{scheme} {answer:?}: {broken:?}");
            }
        }
    });
}

#[test]
fn an_answer_counts_before_the_host_has_told_who_listens() {
    const LATE: Duration = Duration::from_millis(1500);
    alone("forwarding::an_answer_counts_before_the_host_has_told_who_listens", async |mut world| {
        // This is how the host looks who listens.
        let grep = world.program("slow/grep", "[ \"$1\" != -sh ] || sleep 60\nexec /usr/bin/grep \"$@\"\n");
        let path = format!("{}:/usr/bin:/bin", grep.parent().unwrap());
        let host = world.ssh_to(&Far { config: "", path: Some(&path) });
        let reply = get(host.as_ref(), "http", serve_after(LATE, OK)).await.unwrap();
        assert_eq!(reply.status, 200);
    });
}

/// Each program that connects, alone on the host.
async fn through(mut world: World, programs_there: &[(&str, &str)]) {
    let folder = programs(&world, programs_there);
    let host = world.ssh_to(&Far { config: "AllowTcpForwarding no", path: Some(folder.as_str()) });
    let reply = get(host.as_ref(), "http", serve(OK)).await.unwrap();
    assert_eq!((reply.status, reply.body.as_slice()), (200, &b"well"[..]));
    let until_its_end = get(host.as_ref(), "http", serve(b"HTTP/1.0 200 OK\r\n\r\nwell")).await.unwrap();
    assert_eq!(until_its_end.body, b"well");
    let refused = get(host.as_ref(), "http", nobody()).await;
    assert!(matches!(refused, Err(HttpError::Refused { .. })), "{refused:?}");
    for answer in [&b"SSH-2.0-x\r\n"[..], b""] {
        let broken = get(host.as_ref(), "http", serve(answer)).await;
        assert!(matches!(broken, Err(HttpError::Broken { .. })), "{answer:?}: {broken:?}");
    }
}

#[test]
fn bash_connects_where_sshd_does_not() {
    alone("forwarding::bash_connects_where_sshd_does_not", async |world| {
        through(world, &[("bash", "/usr/bin/bash")]).await;
    });
}

#[test]
fn python_connects_where_sshd_does_not() {
    const TEST: &str = "forwarding::python_connects_where_sshd_does_not";
    alone(TEST, async |world| {
        if !std::path::Path::new("/usr/bin/python3").exists() {
            return skip(TEST, "there is no /usr/bin/python3");
        }
        through(world, &[("python3", "/usr/bin/python3")]).await;
    });
}

#[test]
fn nc_connects_where_sshd_does_not() {
    const TEST: &str = "forwarding::nc_connects_where_sshd_does_not";
    alone(TEST, async |world| {
        if !std::path::Path::new("/usr/bin/busybox").exists() {
            return skip(TEST, "busybox is not installed");
        }
        through(world, &[("nc", "/usr/bin/busybox")]).await;
    });
}

#[test]
fn busybox_connects_where_sshd_does_not() {
    const TEST: &str = "forwarding::busybox_connects_where_sshd_does_not";
    alone(TEST, async |world| {
        if !std::path::Path::new("/usr/bin/busybox").exists() {
            return skip(TEST, "busybox is not installed");
        }
        through(world, &[("busybox", "/usr/bin/busybox")]).await;
    });
}

#[test]
fn an_sshd_that_lets_nobody_through_is_named() {
    alone("forwarding::an_sshd_that_lets_nobody_through_is_named", async |mut world| {
        let folder = programs(&world, &[]);
        let host = world.ssh_to(&Far { config: "DisableForwarding yes", path: Some(folder.as_str()) });
        let barred = get(host.as_ref(), "http", serve(OK)).await.unwrap_err();
        assert!(matches!(barred, HttpError::Barred { .. }), "{barred:?}");
        assert!(barred.hint().is_some_and(|hint| hint.contains("AllowTcpForwarding")), "{barred:?}");
        let refused = get(host.as_ref(), "http", nobody()).await;
        assert!(matches!(refused, Err(HttpError::Refused { .. })), "{refused:?}");
    });
}
