//! Where the journal of a change is on a host, and how it is read and written there.
//!
//! It is written before the first file of the change, synced with it, and removed with the last. Only the holder of the
//! host's lock writes it; one that is found under the lock is that of a change that died.

use thiserror::Error;

use crate::host::{Answer, Ask, Content, Facts, HostPath, Put};
pub use crate::service::journal::{Entry, Journal};
use crate::supervisor::layout;

/// Why a journal cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{path} was written by a newer unitbee (format {version}), which must finish its change")]
pub struct NewerJournal {
    /// Its path there.
    pub path: String,
    /// Its format.
    pub version: u32,
}

/// Asks for the journals of all machines that share the folder.
#[must_use]
pub fn ask() -> Ask {
    Ask::Folder(layout::journals())
}

/// Finds this machine's journal in the answer to [`ask`].
///
/// # Errors
///
/// Where a newer unitbee wrote it.
pub fn find(answer: &Answer, facts: &Facts) -> Result<Option<Journal>, NewerJournal> {
    let Answer::Folder(files) = answer else { return Ok(None) };
    let path = path(facts);
    let Some(Some(bytes)) = files.get(path.rel.file_name().unwrap_or_default()) else { return Ok(None) };
    Journal::parse(bytes).map_err(|version| {
        let path = layout::absolute(&path, facts).unwrap_or_default().into_string();
        NewerJournal { path, version }
    })
}

/// Where it is on this machine.
#[must_use]
pub fn path(facts: &Facts) -> HostPath {
    layout::journal(&facts.node)
}

/// What writes it.
#[must_use]
pub fn put(journal: &Journal, facts: &Facts) -> Put {
    Put { path: path(facts), mode: 0o600, content: Content::Bytes(journal.to_bytes()) }
}
