//! Files that only root may write: put in place and removed by sudo(8), which must not ask for a password.

use super::{Batch, Command, Content, Host, HostError, HostPath, Output, printable};

/// The name of a file until it is whole: one that launchd does not read, and that no other account of the host uses, for it holds
/// the number `$2` of this one.
const NEW: &str = "name=${1##*/} left=${1%/*}/.unitbee.$2@ new=$left${name%.*}";

/// Removes what changes of this account left beside the file `$1` that were killed.
const SWEEP: &str = r#"rm -f "$left"*"#;

/// Writes standard input, which has `$3` bytes, beside the file `$1`; it is then root's and for all to read.
const STAGE: &str = r#"
whole=
trap '[ -n "$whole" ] || rm -f "$new"' EXIT
umask 022
cat >"$new" || exit
[ $(($(wc -c <"$new"))) -eq "$3" ] || { echo "it did not arrive whole" >&2 && exit 1; }
chown 0:0 "$new" && chmod 644 "$new" && sync && whole=1
"#;

/// Puts the file `$1` in place, at one stroke.
const PUT: &str = r#"mv -f "$new" "$1""#;

/// Removes the file `$1`, and what a write of it may have left.
const REMOVE: &str = r#"rm -f "$1" "$new""#;

/// Brings files that are root's to the host without putting them in place; one exchange for each of them. Under a fence,
/// what a change left that was killed goes first.
pub async fn stage_as_root(host: &dyn Host, batch: &Batch) -> Result<(), HostError> {
    for (number, put) in batch.puts.iter().enumerate() {
        let Content::Bytes(bytes) = &put.content else { continue };
        let path = absolute(&put.path);
        let script = if number == 0 && batch.fence.is_some() { &format!("{SWEEP}\n{STAGE}") } else { STAGE };
        let command = sudo(host, script, &path, batch).await.arg(bytes.len().to_string()).stdin(bytes.as_slice());
        done(host, format!("write {path}"), &host.run(&command).await?)?;
    }
    Ok(())
}

/// Puts files that were [staged](stage_as_root) in place and removes others; one exchange for each of them.
pub async fn change_as_root(host: &dyn Host, batch: &Batch) -> Result<(), HostError> {
    for (step, script, path) in steps(batch) {
        done(host, format!("{step} {path}"), &host.run(&sudo(host, script, &path, batch).await).await?)?;
    }
    Ok(())
}

fn steps(batch: &Batch) -> impl Iterator<Item = (&'static str, &'static str, String)> {
    let puts = batch.puts.iter().map(|put| ("put in place", PUT, absolute(&put.path)));
    puts.chain(batch.removes.iter().map(|gone| ("remove", REMOVE, absolute(gone))))
}

/// Tells whether these words are sudo's, about somebody whom it does not let.
#[must_use]
pub fn is_by_sudo(words: &str) -> bool {
    let is = |line: &str| {
        line.starts_with("sudo: ") || line.starts_with("Sorry, ") || line.contains(" is not in the sudoers file")
    };
    words.lines().any(is)
}

/// What has sudo let an account act as root without a password, as a hint.
#[must_use]
pub fn may_act_as_root(account: &str) -> String {
    format!("a line `{account} ALL=(root) NOPASSWD: ALL` by `sudo visudo` on the host lets it")
}

async fn sudo(host: &dyn Host, script: &str, path: &str, batch: &Batch) -> Command {
    let account = host.known_uid().await.unwrap_or_default().to_string();
    let words = ["-n", "sh", "-c", &format!("{NEW}\n{script}"), "sh", path, &account];
    Command { fence: batch.fence.clone(), ..Command::new("sudo").args(words).env("LC_ALL", "C") }
}

fn absolute(path: &HostPath) -> String {
    format!("/{}", path.rel)
}

fn done(host: &dyn Host, step: String, output: &Output) -> Result<(), HostError> {
    if output.success() {
        return Ok(());
    }
    let said = printable(&output.stderr);
    let host = host.name().to_owned();
    if is_by_sudo(&said) {
        let detail = said.lines().find(|line| is_by_sudo(line)).unwrap_or_default().to_owned();
        return Err(HostError::NoRoot { host, step, detail });
    }
    let detail = said.lines().last().unwrap_or("sudo is not there").to_owned();
    Err(HostError::Change { host, step, detail })
}

#[cfg(test)]
mod tests {
    use super::is_by_sudo;

    #[test]
    fn what_sudo_says_is_known() {
        for words in [
            "sudo: a password is required\n",
            "Sorry, user bee is not allowed to execute '/bin/launchctl' as root on mac.\n",
            "bee is not in the sudoers file.  This incident will be reported.\n",
        ] {
            assert!(is_by_sudo(words), "{words}");
        }
        assert!(!is_by_sudo("Could not find service \"x\" in domain for system\n"));
    }
}
