//! What Ctrl-C and its like do to a change: the first finishes or reverts the unit in hand, the second ends everything at
//! once and leaves the rest to whoever comes next.

use std::process;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::output::progress::note;

/// The exit code of a process that Ctrl-C has ended, as shells have it.
const INTERRUPTED: i32 = 130;

/// Signals by which a change is interrupted.
const SIGNALS: [SignalKind; 3] = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];

/// Begins to listen for signals; the token is cancelled by the first one.
#[must_use]
pub(super) fn listen() -> CancellationToken {
    let token = CancellationToken::new();
    for kind in SIGNALS {
        // A process may be so short of resources that it cannot listen: then a signal ends it, as it does without us.
        let Ok(mut signals) = signal(kind) else { continue };
        let token = token.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                if token.is_cancelled() {
                    note("stopped; the next command that changes the host finishes or reverts what is half-done");
                    process::exit(INTERRUPTED);
                }
                note("interrupted: finishing the unit in hand; once more stops at once");
                token.cancel();
            }
        });
    }
    token
}
