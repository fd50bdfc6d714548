//! What programs that are started here find signals to do.
//!
//! nohup(1), cron(8) or a shell's `&` have us ignore signals, and who is started with an ignored signal ignores it too: a
//! shell among them cannot even change that. A signal that is handled, though, is at its default in what is executed. So
//! each one that we were told to ignore gets a handler that does nothing.

use std::sync::Once;

use tokio::signal::unix::{SignalKind, signal};

/// What is ignored by custom, and what programs wait for. Others, such as those of terminals, stay as they are.
fn kinds() -> [SignalKind; 7] {
    [
        SignalKind::hangup(),
        SignalKind::interrupt(),
        SignalKind::quit(),
        SignalKind::terminate(),
        SignalKind::alarm(),
        SignalKind::user_defined1(),
        SignalKind::user_defined2(),
    ]
}

/// Has the programs that are started from now on begin with signals at their default. Only Linux says what we ignore.
pub(super) fn reset() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        #[expect(clippy::disallowed_methods, reason = "this machine is read here")]
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = ignored(&status);
        for kind in kinds().into_iter().filter(|kind| ignored >> (kind.as_raw_value() - 1) & 1 == 1) {
            // Where there can be no handler, the signal stays ignored: that ends nothing.
            signal(kind).ok();
        }
    });
}

/// The set of ignored signals in `/proc/<pid>/status`, the lowest bit for signal 1.
fn ignored(status: &str) -> u64 {
    let set = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read() {
        assert_eq!(ignored("Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001003\n"), 0x1003);
        assert_eq!(ignored(""), 0);
    }
}
