//! Why a job's process ended, in words.

use super::print::LastEnd;
use crate::host::printable;
use crate::supervisor::reason::signal_of;

/// Exit code by which launchd tells that it could not set the process up (`EX_CONFIG` of sysexits(3)).
const CONFIG: u32 = 78;

pub(super) fn words(end: &LastEnd) -> String {
    match end {
        LastEnd::Never => "never ran".to_owned(),
        LastEnd::Exit(CONFIG) => {
            "exited with code 78 (EX_CONFIG): most often launchd cannot use its program, its working \
                                  directory or its log file"
                .to_owned()
        }
        LastEnd::Exit(code) => format!("exited with code {code}"),
        LastEnd::Signal(number) => format!("was killed by {}", signal_name(*number)),
        LastEnd::Reason(reason) => {
            let words = match reason.as_str() {
                "OS_REASON_CODESIGNING" => "was killed for its code signature",
                "OS_REASON_DYLD" => "needs a library that cannot be loaded",
                "JETSAM_REASON_MEMORY_PERPROCESSLIMIT" => "was killed: over its memory limit",
                jetsam if jetsam.starts_with("JETSAM_REASON_MEMORY") => "was killed: the system ran out of memory",
                _ => "was ended by the system",
            };
            format!("{words} ({})", printable(reason.as_bytes()))
        }
    }
}

/// Name of a signal on macOS (signal(3)); from 10 on many have other numbers than on Linux.
fn signal_name(number: u32) -> String {
    signal_of(number, &[(10, "SIGBUS"), (12, "SIGSYS"), (30, "SIGUSR1"), (31, "SIGUSR2")])
}
