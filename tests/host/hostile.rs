//! Hosts that lie: whatever they send, memory stays bounded and there is one clear error without control characters.

use std::sync::Arc;
use std::time::{Duration, Instant};

use unitbee::host::{Ask, Base, Batch, Command, Content, Host, HostError, HostPath, Put, Query};

use crate::world::{Far, alone, peak};

const FIND: &str = "nonce=${SSH_ORIGINAL_COMMAND#*set -- }; nonce=${nonce%%[!0-9a-f]*}
case ${#nonce} in 32) ;; *) read -r _ nonce _ ;; esac\n";

/// Everything that can be asked of a host, and must fail.
async fn ask_everything(host: &Arc<dyn Host>) -> Vec<HostError> {
    let path = HostPath::new(Base::Home, "x");
    let query = Query { asks: vec![Ask::Tree(path.clone()), Ask::File(path.clone()), Ask::Program("sh".into())] };
    let put = Put { path, mode: 0o600, content: Content::Bytes(vec![0; 100_000]) };
    let run = Command::new("true").deadline(Duration::from_secs(3));
    vec![
        host.query(&query).await.unwrap_err(),
        host.lock("apply", "me", &query).await.unwrap_err(),
        host.change(&Batch { puts: vec![put], ..Batch::default() }, &|_| ()).await.unwrap_err(),
        host.run(&run).await.unwrap_err(),
        host.pipe(&run).await.err().unwrap(),
    ]
}

/// Starts a host that answers everything by `script`, in which `$nonce` is that of the exchange.
fn lying(name: &str, script: &'static str, expected: impl FnOnce(&HostError) -> bool + Copy) {
    alone(name, async |mut world| {
        // The nonce is the first word that is set, in the command or in what follows it.
        let find = FIND;
        let liar = world.program("liar", &format!("{find}{script}\n"));
        let host = world.ssh_to(&Far { config: &format!("ForceCommand {liar}"), ..Far::default() });
        let begun = Instant::now();
        for error in ask_everything(&host).await {
            let text = error.to_string();
            assert!(expected(&error), "{error:?}");
            assert!(text.len() < 500 && !text.chars().any(char::is_control), "{text:?}");
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
        assert!(peak() < 150_000, "{} KiB", peak());
    });
}

fn is_too_much(error: &HostError) -> bool {
    matches!(error, HostError::TooMuch { .. })
}

fn is_garbled(error: &HostError) -> bool {
    matches!(error, HostError::Garbled { .. })
}

fn is_not_run(error: &HostError) -> bool {
    matches!(error, HostError::NotRun { .. })
}

#[test]
fn endless_noise() {
    lying("hostile::endless_noise", "cat /dev/zero | tee /dev/stderr", is_too_much);
}

#[test]
fn an_endless_answer() {
    lying(
        "hostile::an_endless_answer",
        "printf '\\n@%s begin\\n' $nonce; printf '\\n@%s absent\\n' $nonce >&2; yes 'x'",
        |error| is_too_much(error) || matches!(error, HostError::Unsendable { .. }),
    );
}

#[test]
fn a_gigabyte_of_file() {
    lying(
        "hostile::a_gigabyte_of_file",
        "printf '\\n@%s begin\\n\\n@%s file 644 /x\\n' $nonce $nonce; printf '\\n@%s absent\\n' $nonce >&2
         head -c 1000000000 /dev/zero; printf '\\n@%s end 0\\n' $nonce",
        |error| is_too_much(error) || matches!(error, HostError::Unsendable { .. }),
    );
}

#[test]
fn nothing_at_all() {
    lying("hostile::nothing_at_all", "exit 0", is_not_run);
}

#[test]
fn escapes_where_an_answer_was_due() {
    lying(
        "hostile::escapes_where_an_answer_was_due",
        "printf '\\033]0;owned\\007\\033[2J\\n'; printf '\\033]0;owned\\007\\n' >&2; exit 1",
        |error| is_not_run(error) && error.to_string().contains("\\u{1b}]0;owned"),
    );
}

#[test]
fn a_failure_that_is_made_of_escapes() {
    lying(
        "hostile::a_failure_that_is_made_of_escapes",
        "printf '\\n@%s begin\\n\\n@%s fail read /\\033[31m\\nx: \\033[2J\\n\\n@%s end x\\033\\n' $nonce $nonce $nonce
         printf '\\n@%s absent\\n\\n@%s begin\\n\\n@%s end x\\n' $nonce $nonce $nonce >&2",
        |error| matches!(error, HostError::Change { .. } | HostError::Garbled { .. } | HostError::Unsendable { .. }),
    );
}

#[test]
fn names_that_lead_elsewhere() {
    let facts = "os Linux\\narch x\\nnode n\\nuser u\\nuid 1\\nhome /h\\nconfig /c\\ndata /d\\nstate /s\\ncgroup \\n\
                 boot_id b\\nnow 1.0\\nuptime 1\\nticks 1\\nbus 0\\nsystemd 0\\nlinger 0\\n";
    let digest = "a".repeat(64);
    let script = format!(
        "printf '\\n@%s begin\\n\\n@%s facts\\n{facts}\\n@%s tree\\n{digest}  ./../../etc/passwd\\n\\n@%s end 0\\n' \
         $nonce $nonce $nonce $nonce"
    );
    alone("hostile::names_that_lead_elsewhere", async |mut world| {
        let find = FIND;
        let liar = world.program("liar", &format!("{find}{script}\n"));
        let host = world.ssh_to(&Far { config: &format!("ForceCommand {liar}"), ..Far::default() });
        let query = Query { asks: vec![Ask::Tree(HostPath::new(Base::Home, "x"))] };
        let error = host.query(&query).await.unwrap_err();
        assert!(is_garbled(&error) && error.to_string().contains("leads elsewhere"), "{error}");
    });
}

/// A host on which one may not run anything says why, and the user is told.
#[test]
fn an_account_without_a_shell() {
    lying(
        "hostile::an_account_without_a_shell",
        "echo 'Please login as the user \"debian\" rather than the user \"root\".'; exit 142",
        |error| is_not_run(error) && error.to_string().contains("Please login as the user \"debian\""),
    );
}
