//! Programs, pipes and forwards: the same on this machine and behind an sshd.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use unitbee::host::{Command, End, Endpoint, HostError};

use crate::world::{World, alone, eventually, running, signal};

#[test]
fn programs_get_their_words_and_give_their_bytes() {
    alone("programs::programs_get_their_words_and_give_their_bytes", async |mut world| {
        let words = ["", " ", "a'b", "\\'", "$HOME `id` $(id)", "*", "!!", "a\nb", "-n", "ü\u{2028}"];
        let bytes: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
        for host in world.both() {
            let command =
                Command::new("sh").args(["-c", "for word; do printf '%s\\0' \"$word\"; done", "sh"]).args(words);
            let output = host.run(&command).await.unwrap();
            let said: Vec<_> = output.stdout.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
            assert_eq!(said[..words.len()], words, "{}", host.name());

            let output = host.run(&Command::new("cat").stdin(bytes.clone())).await.unwrap();
            assert!(output.success() && output.stdout == bytes, "{}: {} bytes", host.name(), output.stdout.len());
            let output =
                host.run(&Command::new("sh").args(["-c", "cat >&2; printf out"]).stdin(&bytes[..5000])).await.unwrap();
            assert!(output.stderr == bytes[..5000] && output.stdout == b"out");

            let secret = "a 'secret'\n\nwith \\ and $x ";
            let show = Command::new("sh").args(["-c", "printf %s \"$A|$B|\"; cat"]).env("A", secret).env("B", "");
            let output = host.run(&show.stdin("input")).await.unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{secret}||input"));
        }
    });
}

#[test]
fn every_end_of_a_program_is_its_own() {
    alone("programs::every_end_of_a_program_is_its_own", async |mut world| {
        let plain = world.file("not-executable", "x");
        for host in world.both() {
            for code in [0, 1, 126, 127, 128, 255] {
                let output = host.run(&Command::new("sh").args(["-c".into(), format!("exit {code}")])).await.unwrap();
                assert_eq!(output.end, End::Exit(code), "{}", host.name());
            }
            for number in [9, 15, 1] {
                let output =
                    host.run(&Command::new("sh").args(["-c".into(), format!("kill -{number} $$")])).await.unwrap();
                assert_eq!(output.end, End::Signal(number), "{}", host.name());
            }
            for program in ["no-such-program", "/no/such/program", ""] {
                let output = host.run(&Command::new(program)).await.unwrap();
                assert_eq!(output.end, End::NotFound, "{} {program:?}", host.name());
            }
            assert_eq!(host.run(&Command::new(plain.as_str())).await.unwrap().end, End::Exit(126));
            let error = host.run(&Command::new("echo").arg("a\0b")).await.unwrap_err();
            assert!(matches!(error, HostError::Unsendable { .. }), "{error:?}");
            // A program that does not read what it is given.
            let output = host.run(&Command::new("true").stdin(vec![0; 1 << 20])).await.unwrap();
            assert!(output.success());
        }
    });
}

#[test]
fn a_program_may_say_only_so_much() {
    alone("programs::a_program_may_say_only_so_much", async |mut world| {
        for host in world.both() {
            for script in ["head -c 5000000 /dev/zero", "head -c 5000000 /dev/zero >&2", "exec cat /dev/zero"] {
                let error = host.run(&Command::new("sh").args(["-c", script])).await.unwrap_err();
                assert!(matches!(error, HostError::TooMuch { .. }), "{}: {error:?}", host.name());
            }
            let mut command = Command::new("sh").args(["-c", "head -c 1000 /dev/zero"]);
            command.limit = 1000;
            assert_eq!(host.run(&command).await.unwrap().stdout.len(), 1000);
            command.limit = 999;
            assert!(host.run(&command).await.is_err());
        }
    });
}

#[test]
fn what_takes_too_long_is_killed_with_all_that_it_started() {
    alone("programs::what_takes_too_long_is_killed_with_all_that_it_started", async |mut world| {
        for host in world.both() {
            let name = format!("4321.{}", std::process::id());
            let script = format!("trap '' TERM HUP INT; sleep {name} & sleep {name}");
            let command = Command::new("sh").args(["-c", &script]).deadline(Duration::from_secs(1));
            let begun = Instant::now();
            let error = host.run(&command).await.unwrap_err();
            assert!(matches!(error, HostError::Deadline { .. }), "{error:?}");
            assert!(begun.elapsed() < Duration::from_secs(4));
            eventually("the sleeps are gone", || running(&name).is_empty()).await;
        }
    });
}

#[test]
fn what_is_dropped_is_killed() {
    alone("programs::what_is_dropped_is_killed", async |mut world| {
        for host in world.both() {
            let name = format!("4322.{}", std::process::id());
            let command = Command::new("sleep").arg(&name).deadline(Duration::from_secs(600));
            let ran = tokio::time::timeout(Duration::from_millis(800), host.run(&command)).await;
            assert!(ran.is_err(), "{ran:?}");
            eventually("the sleep is gone", || running(&name).is_empty()).await;

            let pipe =
                host.pipe(&Command::new("sh").args(["-c", &format!("sleep {name} & sleep {name}")])).await.unwrap();
            eventually("the sleeps are there", || running(&name).len() >= 2).await;
            drop(pipe);
            eventually("the sleeps are gone", || running(&name).is_empty()).await;
        }
    });
}

#[test]
fn a_daemon_outlives_the_program_that_started_it() {
    alone("programs::a_daemon_outlives_the_program_that_started_it", async |mut world| {
        for host in world.both() {
            let name = format!("30.{}", std::process::id());
            let script = format!("nohup sleep {name} >/dev/null 2>&1 & echo started");
            let begun = Instant::now();
            let output = host.run(&Command::new("sh").args(["-c", &script])).await.unwrap();
            assert_eq!(output.stdout, b"started\n");
            // It is not waited for even when it keeps the output open.
            let output =
                host.run(&Command::new("sh").args(["-c", &format!("sleep {name} & echo open")])).await.unwrap();
            assert_eq!(output.stdout, b"open\n");
            assert!(begun.elapsed() < Duration::from_secs(10));
            tokio::time::sleep(Duration::from_secs(1)).await;
            let daemons = running(&name);
            assert_eq!(daemons.len(), 2, "{}", host.name());
            for daemon in daemons {
                signal("KILL", &daemon.to_string());
            }
            eventually("they are gone", || running(&name).is_empty()).await;
        }
    });
}

#[test]
fn a_pipe_carries_bytes_both_ways_at_once() {
    alone("programs::a_pipe_carries_bytes_both_ways_at_once", async |mut world| {
        for host in world.both() {
            let mut pipe = host.pipe(&Command::new("cat")).await.unwrap();
            for bytes in [&b"hello\n"[..], b"\n", b"@", b"\0\xff"] {
                pipe.stdin.write_all(bytes).await.unwrap();
                let mut answer = vec![0; bytes.len()];
                pipe.stdout.read_exact(&mut answer).await.unwrap();
                assert_eq!(answer, bytes);
            }
            pipe.stdin.shutdown().await.unwrap();
            drop(pipe.stdin);
            assert_eq!(pipe.stdout.read_to_end(&mut Vec::new()).await.unwrap(), 0);

            // Its input may end long before its output does.
            let mut pipe =
                host.pipe(&Command::new("sh").args(["-c", "cat >/dev/null; sleep 3; echo late"])).await.unwrap();
            drop(pipe.stdin);
            let mut answer = String::new();
            pipe.stdout.read_to_string(&mut answer).await.unwrap();
            assert_eq!(answer, "late\n");

            let missing = host.pipe(&Command::new("no-such-program")).await;
            assert!(matches!(missing, Err(HostError::Unsendable { .. })));
        }
    });
}

#[test]
fn a_forward_leads_to_a_socket_of_the_host() {
    alone("programs::a_forward_leads_to_a_socket_of_the_host", async |mut world| {
        async fn echo(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) {
            let mut bytes = [0; 5];
            stream.read_exact(&mut bytes).await.unwrap();
            stream.write_all(&bytes).await.unwrap();
        }
        let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let unix = tokio::net::UnixListener::bind(world.folder.join("socket")).unwrap();
        let port = tcp.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = tcp.accept().await {
                tokio::spawn(echo(stream));
            }
        });
        tokio::spawn(async move {
            while let Ok((stream, _)) = unix.accept().await {
                tokio::spawn(echo(stream));
            }
        });
        let ends = [Endpoint::Tcp { host: "127.0.0.1".into(), port }, Endpoint::Unix(world.folder.join("socket"))];
        for host in world.both() {
            for end in &ends {
                let forward = host.forward(end).await.unwrap();
                assert_eq!(forward.is_forwarded(), !host.is_local());
                let mut pipe = forward.connect().await.unwrap();
                pipe.stdin.write_all(b"hello").await.unwrap();
                let mut bytes = [0; 5];
                pipe.stdout.read_exact(&mut bytes).await.unwrap();
                assert_eq!(&bytes, b"hello");
            }
        }
    });
}

/// Tells a test that it runs with signals that it was told to ignore.
const IGNORES: &str = "UNITBEE_TEST_IGNORES";

#[test]
fn programs_begin_with_signals_at_their_default() {
    const TEST: &str = "programs::programs_begin_with_signals_at_their_default";
    alone(TEST, async |mut world| {
        if std::env::var_os(IGNORES).is_none() {
            let again = std::process::Command::new("sh")
                .args(["-c", "trap '' HUP INT QUIT USR1; exec \"$0\" \"$@\""])
                .arg(std::env::current_exe().unwrap())
                .args([TEST, "--exact", "--nocapture"])
                .env(IGNORES, "1")
                .output()
                .unwrap();
            assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
            return;
        }
        let ignored = std::fs::read_to_string("/proc/self/status").unwrap();
        assert!(ignored.lines().any(|line| line.starts_with("SigIgn:") && line.ends_with("1207")), "{ignored}");
        let can_reset = World::local().run(&Command::new("env").args(["--default-signal", "true"])).await.unwrap();
        // A shell cannot trap what it was told to ignore.
        let script = "trap 'echo HUP' HUP; trap 'echo INT' INT; trap 'echo QUIT' QUIT; trap 'echo USR1' USR1
            for signal in HUP INT QUIT USR1; do kill -s $signal $$; done";
        let command = Command::new("sh").args(["-c", script]);
        for host in world.both() {
            if !host.is_local() && !can_reset.success() {
                return crate::world::skip(TEST, "env(1) cannot reset signals");
            }
            let output = host.run(&command).await.unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), "HUP\nINT\nQUIT\nUSR1\n", "{}", host.name());
            let mut said = String::new();
            let mut pipe = host.pipe(&command).await.unwrap();
            pipe.stdout.read_to_string(&mut said).await.unwrap();
            assert_eq!(said, "HUP\nINT\nQUIT\nUSR1\n", "{}", host.name());
        }
    });
}
