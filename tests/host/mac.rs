//! The machine that we run on, when it is a Mac: this very program runs there too, beside others that come over SSH.

use std::io::Read;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use unitbee::host::{
    Base, Batch, Command, Content, End, Host, HostError, HostPath, Output, Pipe, Put, Query, local_file,
};

use crate::lab::on_a_lab_host;
use crate::world::{World, taken};

/// Tells this program that it runs on the Mac, and what it is to do there.
const THERE: &str = "UNITBEE_TEST_THERE";

#[test]
fn a_lock_is_one_for_those_who_are_there_and_those_who_come() {
    const TEST: &str = "mac::a_lock_is_one_for_those_who_are_there_and_those_who_come";
    if let Some(task) = std::env::var_os(THERE) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        return runtime.block_on(there(task.to_str().unwrap()));
    }
    on_a_lab_host(TEST, "trixie", &["--kind", "mac"], async |_, host, facts| {
        let program = HostPath::new(Base::Home, "program");
        ship(host, &program).await;
        let run =
            |task: &str| Command::new("/home/bee/program").args([TEST, "--exact", "--nocapture"]).env(THERE, task);

        let output = host.run(&run("facts")).await.unwrap();
        let told = format!("{} {} {} {}", facts.os, facts.arch, facts.boot_id, facts.home);
        assert!(said(&output).contains(&told), "{told}: {output:?}");

        let lease = host.lock("apply", "from afar", &Query::default()).await.unwrap();
        let output = host.run(&run("try")).await.unwrap();
        assert!(said(&output).contains("busy: from afar"), "{output:?}");
        drop(lease);
        drop(taken(host, "once more").await);

        let Pipe { stdin, stdout, guard } = host.pipe(&run("hold")).await.unwrap();
        let mut lines = BufReader::new(stdout).lines();
        while !lines.next_line().await.unwrap().unwrap().contains("held") {}
        let busy = host.lock("apply", "from afar", &Query::default()).await.unwrap_err();
        assert!(matches!(&busy, HostError::Busy { owner, .. } if owner == "there"), "{busy:?}");
        drop(stdin);
        while lines.next_line().await.unwrap().is_some() {}
        drop(guard);
        drop(host.lock("apply", "after it", &Query::default()).await.unwrap());
        drop(taken(host, "once more").await);

        // Nobody gives back what a killed process holds.
        let output = host.run(&run("die")).await.unwrap();
        assert_eq!(output.end, End::Signal(9), "{output:?}");
        drop(host.lock("apply", "after its death", &Query::default()).await.unwrap());
        drop(taken(host, "the last").await);

        // The number of one that held it has gone to another process.
        let Pipe { stdin: _stdin, stdout, guard } =
            host.pipe(&Command::new("sh").args(["-c", "echo $$; exec cat"])).await.unwrap();
        let number = BufReader::new(stdout).lines().next_line().await.unwrap().unwrap();
        let node = String::from_utf8(host.run(&Command::new("uname").arg("-n")).await.unwrap().stdout).unwrap();
        let folder = format!("unitbee/lock/apply@{}", node.trim());
        let token = HostPath::new(Base::State, format!("{folder}/{number}.1.{}.x", facts.boot_id));
        for task in ["afar", "try"] {
            let puts = vec![Put { path: token.clone(), mode: 0o644, content: Content::Bytes(b"long gone".to_vec()) }];
            host.change(&Batch { puts, ..Batch::default() }, &|_| ()).await.unwrap();
            if task == "try" {
                let output = host.run(&run(task)).await.unwrap();
                assert!(said(&output).contains("taken"), "{output:?}");
            } else {
                drop(host.lock("apply", task, &Query::default()).await.unwrap());
            }
            drop(taken(host, "again").await);
        }
        drop(guard);

        let removes = vec![program];
        host.change(&Batch { removes, ..Batch::default() }, &|_| ()).await.unwrap();
    });
}

async fn ship(host: &Arc<dyn Host>, to: &HostPath) {
    let here = std::env::current_exe().unwrap();
    let file = local_file(here.to_str().unwrap().into()).await.unwrap().unwrap();
    let content = Content::File { path: file.path, len: file.len, sha256: file.sha256 };
    let puts = vec![Put { path: to.clone(), mode: 0o755, content }];
    host.change(&Batch { puts, ..Batch::default() }, &|_| ()).await.unwrap();
}

/// What the program does on the Mac.
#[expect(clippy::print_stdout, reason = "the test on the other side reads it")]
async fn there(task: &str) {
    let host = World::local();
    if task == "facts" {
        let facts = host.query(&Query::default()).await.unwrap().facts;
        println!("{} {} {} {}", facts.os, facts.arch, facts.boot_id, facts.home);
        return;
    }
    match host.lock("apply", "there", &Query::default()).await {
        Err(HostError::Busy { owner, .. }) => println!("busy: {owner}"),
        Err(error) => panic!("{error:?}"),
        Ok(_lease) if task == "try" => println!("taken"),
        Ok(_lease) if task == "hold" => {
            println!("held");
            std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        }
        Ok(_lease) => {
            let own = std::process::id().to_string();
            let mut kill = std::process::Command::new("kill");
            kill.args(["-s", "KILL", &own]).stdin(Stdio::null()).status().unwrap();
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
