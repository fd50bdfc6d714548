//! Whether a unit can be started at all, seen before what runs of it is ended.

use std::time::Duration;

use super::{Systemd, names};
use crate::host::{Command, printable};
use crate::supervisor::{Refusal, SupervisorError};

/// Says what is wrong with a unit file: what is a link to nothing masks the unit, and so does an empty file.
const LOOK: &str = r#"if [ -s "$1" ]; then echo good; elif [ ! -e "$1" ]; then echo gone; elif [ -L "$1" ]; then echo masked; else echo empty; fi"#;

impl Systemd {
    /// Looks at what the manager has loaded, and at the file where it says that it is another one by now: the next reload
    /// takes it.
    pub(in crate::supervisor) async fn prepare_start(&self, unit: &str) -> Result<(), SupervisorError> {
        let name = names::service(unit);
        let shown = self.read(self.manager().await?.as_ref(), &[name]).await?.pop().unwrap_or_default();
        let refused =
            |refusal, detail: String| Err(SupervisorError::refused(self.host.name(), "start", unit, refusal, detail));
        let path = shown.text("FragmentPath");
        let state = shown.text("LoadState");
        match state {
            "not-found" => return refused(Refusal::NoSuchUnit, "there is no such unit".to_owned()),
            "bad-setting" | "error" => {
                let words = shown.error("LoadError").unwrap_or("systemd does not say why");
                let words = printable(words.as_bytes());
                return refused(Refusal::BadUnitFile, format!("its unit file cannot be loaded: {words}"));
            }
            "masked" => {}
            _ if !shown.flag("NeedDaemonReload") => return Ok(()),
            _ => {}
        }
        // Of a unit that is masked not every systemd tells the path.
        let own = self.config.join(crate::supervisor::layout::unit_file(&names::service(unit)).rel);
        let path = if path.is_empty() || path == "/dev/null" { own.as_str() } else { path };
        let command = Command::new("sh").args(["-c", LOOK, "sh", path]).deadline(Duration::from_secs(30));
        let output = self.host.run(&command).await?;
        match String::from_utf8_lossy(&output.stdout).trim() {
            "gone" if state != "masked" => refused(Refusal::NoSuchUnit, format!("its unit file {path} is gone")),
            "empty" => refused(Refusal::EmptyUnitFile, format!("its unit file {path} is empty, which masks the unit")),
            "masked" => refused(Refusal::Masked, format!("it is masked by {path}")),
            _ if state == "masked" => refused(Refusal::Masked, "it is masked".to_owned()),
            _ => Ok(()),
        }
    }
}
