//! The audit log of a host: a line for each change of a unit, by whom and how it ended.

use serde::{Deserialize, Serialize};

use crate::host::Append;
use crate::supervisor::layout;

/// One line of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditLine {
    /// Unix time in microseconds by the host's clock.
    pub usec: u64,
    /// `alice@laptop`.
    pub by: String,
    /// `apply`, `rollback`, `stop`.
    pub verb: String,
    /// Unit.
    pub unit: String,
    /// Its release, where the change was about one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub release: Option<u32>,
    /// `done`, `failed`, `rolled back to 3`, `removed`.
    pub result: String,
}

impl AuditLine {
    /// What appends it to the log of the host.
    #[must_use]
    pub fn append(&self) -> Append {
        Append { path: layout::audit_log(), line: serde_json::to_vec(self).unwrap_or_default() }
    }

    /// Reads the lines of a log; those that are no lines of ours, or were cut off, are left out.
    #[must_use]
    pub fn read(log: &[u8]) -> Vec<Self> {
        log.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_off_spoils_no_other() {
        let line = |unit: &str| AuditLine {
            usec: 1,
            by: "alice@laptop".into(),
            verb: "apply".into(),
            unit: unit.into(),
            release: Some(2),
            result: "done".into(),
        };
        let cut = line("b").append().line[..20].to_vec();
        let log = [line("a").append().line, cut, line("c").append().line].join(&b'\n');
        assert_eq!(AuditLine::read(&log), [line("a"), line("c")]);
    }
}
