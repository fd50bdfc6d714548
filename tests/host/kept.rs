//! A kept connection is the machine that was asked for, in a login that is new enough; one that breaks is made again.

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::process::{Command as Process, Stdio};
use std::time::{Duration, Instant};

use unitbee::host::{self, Command, ConnectFault, Endpoint, HostError, Options, Query};

use crate::world::{Far, World, address, alone, children, eventually, nobody, running, signal, skip};

/// Whatever the configuration says otherwise than before, the connection that is kept is not the one.
#[test]
fn a_changed_configuration_makes_another_connection() {
    alone("kept::a_changed_configuration_makes_another_connection", async |mut world| {
        let host = world.ssh();
        host.query(&Query::default()).await.unwrap();
        let config = fs::read_to_string(world.folder.join("ssh_config")).unwrap();
        let port = format!("Port {}", world.sshd().port);
        let closed = format!("Port {}", nobody());
        let behind = format!("{config}\nHost jump\n HostName {}\n", address());
        let jumped = |to: &str| behind.replacen("HostName", &format!("ProxyJump {to}\n HostName"), 1);
        for (what, changed) in [
            ("port", config.replace(&port, &closed)),
            ("host", config.replace(&address().to_string(), "127.255.255.254")),
            ("user", config.replace("User ", "User no-such-")),
            ("jump", jumped("jump:1")),
            ("proxy", config.replace("HostName", "ProxyCommand false\n HostName")),
            ("key", config.replace("HostName", "HostKeyAlias other\n HostName")),
        ] {
            world.file("ssh_config", changed);
            let error = world.another().query(&Query::default()).await.unwrap_err();
            assert!(matches!(error, HostError::Connect { .. }), "{what}: {error:?}");
        }
        // The jump host leads somewhere else.
        world.file("ssh_config", jumped("far2") + &config.replace("Host far", "Host far2"));
        let host = world.another();
        // What went ahead on the connection from before does not count.
        let ahead = host.forward_ahead(&Endpoint::Unix("/nowhere".into())).await.unwrap();
        assert!(ahead.is_open());
        host.query(&Query::default()).await.unwrap();
        assert!(!ahead.is_open());
        assert_eq!(world.sshd().logins(), 3);
        world.file("ssh_config", jumped("far2") + &config.replace("Host far", "Host far2").replace(&port, &closed));
        world.another().query(&Query::default()).await.unwrap_err();

        world.file("ssh_config", config);
        world.another().query(&Query::default()).await.unwrap();
        assert_eq!(world.sshd().logins(), 3, "it is still kept");
    });
}

/// A name whose address moved leads to the new one.
#[test]
fn a_moved_address_makes_another_connection() {
    const TEST: &str = "kept::a_moved_address_makes_another_connection";
    const NAME: &str = "moved.unitbee.test";
    alone(TEST, async |mut world| {
        let hosts = world.folder.join("hosts");
        if std::env::var_os("UNITBEE_TEST_MOVED").is_none() {
            fs::write(&hosts, "").unwrap();
            // A list of addresses that nobody else reads.
            let script = "mount --bind \"$1\" /etc/hosts || exit 3; exec \"$2\" \"$3\" --exact --nocapture";
            let exe = std::env::current_exe().unwrap();
            let mut inner = Process::new("unshare");
            inner.args(["-m", "sh", "-c", script, "sh", hosts.as_str()]).arg(exe).arg(TEST);
            let output = inner.env("UNITBEE_TEST_MOVED", "1").output().unwrap();
            if matches!(output.status.code(), Some(1 | 3)) && output.stdout.is_empty() {
                return skip(TEST, "no right to mount");
            }
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            return;
        }
        let point = |to: &str| fs::write(&hosts, format!("{to} {NAME}\n")).unwrap();
        world.ssh();
        let at = address().to_string();
        for (file, from, to) in [("ssh_config", at.as_str(), NAME), ("ssh/known_hosts", &at, NAME)] {
            let text = fs::read_to_string(world.folder.join(file)).unwrap().replace(from, to);
            world.file(file, text);
        }
        point(&at);
        world.another().query(&Query::default()).await.unwrap();
        point("127.255.255.254");
        let error = world.another().query(&Query::default()).await.unwrap_err();
        assert!(matches!(error, HostError::Connect { .. }), "{error:?}");
        point(&at);
        world.another().query(&Query::default()).await.unwrap();
        assert_eq!(world.sshd().logins(), 1);
    });
}

/// A login has the groups that the account had at that time: what was refused to an old one may be given to a new one.
#[test]
fn a_connection_from_before_is_renewed_once() {
    alone("kept::a_connection_from_before_is_renewed_once", async |mut world| {
        world.ssh().query(&Query::default()).await.unwrap();
        let host = world.another();
        host.query(&Query::default()).await.unwrap();
        assert_eq!(world.sshd().logins(), 1);
        assert!(host.renew().await.unwrap());
        assert!(!host.renew().await.unwrap());
        host.query(&Query::default()).await.unwrap();
        world.another().query(&Query::default()).await.unwrap();
        assert_eq!(world.sshd().logins(), 2);
        assert!(!World::local().renew().await.unwrap());
    });
}

/// What only looks is asked again when the connection breaks meanwhile.
#[test]
fn a_question_that_was_cut_off_is_asked_again() {
    alone("kept::a_question_that_was_cut_off_is_asked_again", async |mut world| {
        let slow = world.program(
            "slow",
            "dir=${0%/*}; if [ -e \"$dir/wait\" ]; then sleep 31.7; fi; exec sh -c \"$SSH_ORIGINAL_COMMAND\"",
        );
        let host = world.ssh_to(&Far { config: &format!("ForceCommand {slow}"), ..Far::default() });
        host.query(&Query::default()).await.unwrap();
        let mark = world.file("wait", "");
        let cut = async {
            eventually("it waits", || !running("31.7").is_empty()).await;
            fs::remove_file(&mark).unwrap();
            for connection in world.sshd().connections() {
                signal("KILL", &connection.to_string());
                for session in children(connection) {
                    signal("KILL", &session.to_string());
                }
            }
        };
        let query = Query::default();
        let (asked, ()) = tokio::join!(host.query(&query), cut);
        asked.unwrap();
        assert_eq!(world.sshd().logins(), 2);
        for sleep in running("31.7") {
            signal("KILL", &sleep.to_string());
        }
    });
}

/// An sshd that has too many connections drops some before the login: they are tried again as long as there is time.
#[test]
fn a_dropped_connection_is_tried_again() {
    alone("kept::a_dropped_connection_is_tried_again", async |mut world| {
        let host = world.ssh_to(&Far { config: "MaxStartups 1:100:1\nLoginGraceTime 60", ..Far::default() });
        let occupy = || {
            let until = Instant::now() + Duration::from_secs(10);
            loop {
                let mut stream = TcpStream::connect((address(), world.sshd().port)).unwrap();
                let mut banner = [0; 4];
                if stream.read_exact(&mut banner).is_ok() && banner == *b"SSH-" {
                    return stream;
                }
                assert!(Instant::now() < until, "there is no place");
                std::thread::sleep(Duration::from_millis(20));
            }
        };
        let occupant = occupy();
        let leave = async {
            eventually("it was dropped", || world.sshd().log().contains("MaxStartups")).await;
            drop(occupant);
        };
        let query = Query::default();
        let (seen, ()) = tokio::join!(host.query(&query), leave);
        seen.unwrap();

        let _occupant = occupy();
        let begun = Instant::now();
        let options = Options { keep: Duration::from_secs(1), ..world.options() };
        // Another name, so that it is not the connection that is kept.
        let config = fs::read_to_string(world.folder.join("ssh_config")).unwrap().replace("Host far", "Host far2");
        let options = Options { ssh_config: Some(world.file("far2", config)), ..options };
        let error = host::open("far", "far2", &options).query(&query).await.unwrap_err();
        assert!(matches!(error, HostError::Connect { fault: ConnectFault::Dropped, .. }), "{error:?}");
        let words = "connect to far: its sshd closed the connection before the login";
        assert!(error.to_string().starts_with(words) && error.hint().unwrap().contains("MaxStartups"), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    });
}

/// Where sshd opens no session, that is what is reported, and few connections are tried for it.
#[test]
fn an_sshd_without_sessions_is_named() {
    alone("kept::an_sshd_without_sessions_is_named", async |mut world| {
        let host = world.ssh_to(&Far { config: "MaxSessions 0", ..Far::default() });
        let error = host.query(&Query::default()).await.unwrap_err();
        assert!(matches!(error, HostError::Connect { fault: ConnectFault::NoSession, .. }), "{error:?}");
        assert!(error.hint().unwrap().contains("MaxSessions"));
        assert!(world.sshd().logins() <= 3, "{}", world.sshd().logins());
    });
}

/// A host that does something else with what it is sent is found out at once, and what it said or did is reported.
#[test]
fn a_host_that_runs_something_else_is_found_out() {
    const TEST: &str = "kept::a_host_that_runs_something_else_is_found_out";
    alone(TEST, async |mut world| {
        let instead = world.program("instead", "dir=${0%/*}; . \"$dir/what\"");
        let host = world.ssh_to(&Far { config: &format!("ForceCommand {instead}"), ..Far::default() });
        for (what, words) in [
            ("echo forced; cat", "it said: forced"),
            ("exit 0", "it said nothing"),
            ("cat >/dev/null", "it said nothing"),
            ("exec sh", "a startup file of its login shell /"),
            ("exec bash", "a startup file of its login shell /"),
            ("exec zsh", "a startup file of its login shell /"),
            ("exec fish", "a startup file of its login shell /"),
        ] {
            let shell = what.strip_prefix("exec ").unwrap_or("sh");
            if Process::new(shell).args(["-c", ":"]).stderr(Stdio::null()).status().is_err() {
                skip(TEST, &format!("{shell} is not installed"));
                continue;
            }
            world.file("what", what);
            let begun = Instant::now();
            let (query, run) = (Query::default(), Command::new("true").deadline(Duration::from_secs(20)));
            for error in [host.query(&query).await.map(|_| ()), host.run(&run).await.map(|_| ())] {
                let error = error.unwrap_err();
                assert!(matches!(error, HostError::NotRun { .. }), "{what}: {error:?}");
                assert!(error.to_string().contains(words), "{what}: {error}");
                assert!(error.hint().is_some());
            }
            assert!(begun.elapsed() < Duration::from_secs(9), "{what}: {:?}", begun.elapsed());
        }
    });
}
