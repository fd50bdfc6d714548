//! The manager of the machine that unitbee runs on: found by user id, whatever the environment says.

use unitbee::host::{Options, Query};
use unitbee::supervisor::{Supervisor, Transport};

use crate::site::Site;
use crate::user::File;

/// Runs on a host of the lab, sent there by the tests below.
#[tokio::test]
#[ignore = "the tests of this file run it where there is a manager"]
async fn probe() {
    let host = unitbee::host::open("here", "localhost", &Options::default());
    let facts = host.query(&Query::default()).await.unwrap().facts;
    let supervisor = Supervisor::connect(host, &facts).await.unwrap();
    assert_eq!(supervisor.transport(), Transport::Bus);
    let status = supervisor.status_of("ok").await.unwrap();
    println!("uid {} systemd {:?} ok {}", facts.uid, supervisor.version().await.unwrap(), status.state);
}

/// The test program is made for this machine's libc, which is that of bookworm at the oldest.
#[tokio::test]
async fn without_an_environment() {
    for suite in ["bookworm", "trixie", "forky"] {
        let Some(site) = Site::up("here", suite, &[]) else { return };
        site.sh("loginctl enable-linger bee");
        site.install(&[("ok.service", "[Service]\nType=exec\nExecStart=/bin/sleep 1000\n")]);
        site.systemctl("start ok");
        let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        site.lab.put(&[File { path: "probe", mode: 0o755, bytes: &program }]);
        let probe = "./probe --ignored --exact here::probe --nocapture";
        let expected = format!("uid 1000 systemd Some({}) ok running", site.lab.systemd());
        let as_bee = |environment: &str| {
            format!("cd ~bee && setpriv --reuid bee --regid bee --clear-groups {environment} {probe}")
        };
        for (seen, how) in [
            (site.sh(&format!("env -i {probe}")), "env -i"),
            (site.sh(&format!("XDG_RUNTIME_DIR=/nowhere DBUS_SESSION_BUS_ADDRESS=unix:path=/nowhere {probe}")), "lies"),
            (site.root(&as_bee("env -i HOME=/home/bee")), "cron"),
            (site.root(&as_bee("env XDG_RUNTIME_DIR=/run/user/0 HOME=/root")), "sudo -u"),
        ] {
            assert!(seen.contains(&expected), "{how} on {suite}: {seen}");
        }
    }
}
