//! Files that only root may write: put in place and removed by sudo(8), which must not ask for a password.

use super::{Batch, Command, Content, Host, HostError, HostPath, Output, printable};

/// Writes standard input to the file that is its argument, which is then root's and for all to read, by a rename.
const PUT: &str = r#"
new=${1%/*}/.unitbee.$$
trap 'rm -f "$new"' EXIT
umask 022
cat >"$new" && chown 0:0 "$new" && chmod 644 "$new" && sync && mv -f "$new" "$1"
"#;

/// Carries out a change of files that are root's: one exchange for each of them.
pub async fn change_as_root(host: &dyn Host, batch: &Batch) -> Result<(), HostError> {
    for put in &batch.puts {
        let Content::Bytes(bytes) = &put.content else { continue };
        let path = absolute(&put.path);
        let command = sudo().args(["sh", "-c", PUT, "sh", &path]).stdin(bytes.as_slice());
        done(host, format!("write {path}"), &host.run(&command).await?)?;
    }
    for gone in &batch.removes {
        let path = absolute(gone);
        done(host, format!("remove {path}"), &host.run(&sudo().args(["rm", "-f", &path])).await?)?;
    }
    Ok(())
}

fn sudo() -> Command {
    Command::new("sudo").arg("-n").env("LC_ALL", "C")
}

fn absolute(path: &HostPath) -> String {
    format!("/{}", path.rel)
}

fn done(host: &dyn Host, step: String, output: &Output) -> Result<(), HostError> {
    if output.success() {
        return Ok(());
    }
    let said = printable(&output.stderr);
    let detail = said.lines().last().unwrap_or("sudo is not there").to_owned();
    Err(HostError::Change { host: host.name().to_owned(), step, detail })
}
