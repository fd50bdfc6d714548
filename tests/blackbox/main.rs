//! The whole of unitbee from outside: its binary against real hosts, and what is then true there.
//!
//! Every subject runs against every target it applies to (`target.rs`) and is one trial of its own, on a host of its
//! own: one takes two seconds to come up, and no trial sees what another left. `cargo test --test blackbox systemd-262`
//! runs one target, `cargo test --test blackbox ::stop` one subject. What need not run before each change lands is ignored
//! (`subjects.rs`). Trials wait more than they work, so more of them run at once than there are processors: `turn.rs` says
//! how many.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::disallowed_methods, reason = "a test runs programs and reads files itself")]

mod bench;
mod boot;
mod cgroup;
mod check;
mod converge;
mod crash;
mod crowd;
mod daemon;
mod demo;
mod disk;
mod faults;
mod forwarding;
mod gate;
mod groups;
mod hangs;
mod identity;
mod inside;
mod keep;
#[path = "../support/lab.rs"]
mod lab;
mod ladder;
mod lifecycle;
mod limits;
mod logs;
mod lost;
mod manifest;
mod moves;
mod needs;
mod older;
mod ownership;
mod persistence;
mod polkit;
#[path = "../support/program.rs"]
mod program;
mod project;
mod rebuild;
mod refusals;
mod restart_order;
mod restarts;
mod rights;
mod rollback;
mod rotation;
mod run;
mod secrets;
mod shared;
mod steps;
mod subjects;
mod target;
mod terminal;
mod truth;
mod turn;
mod uninstall;
mod unreachable;

use std::any::Any;
use std::cell::RefCell;
use std::io::{self, Write};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

use self::bench::Bench;
use self::lab::skip;
use self::subjects::{LANDING, REST, Row, Subject};
use self::target::Target;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(turn::TRIALS);
    note_panics();
    let mut trials = [trials(LANDING, false), trials(REST, true)].concat();
    for trial in &mut trials {
        trial.is_ignored |= trial.is_skipped(&arguments);
    }
    let conclusion = libtest_mimic::run(&arguments, trials.into_iter().map(OnTarget::into_trial).collect());
    if let Some(slowest) = turn::slowest() {
        writeln!(io::stdout(), "slowest: {slowest}\n").ok();
    }
    conclusion.exit_code()
}

/// A subject on one of its targets.
#[derive(Clone, Copy)]
struct OnTarget {
    name: &'static str,
    subject: Subject,
    target: &'static Target,
    is_ignored: bool,
}

fn trials(rows: &[Row], is_ignored: bool) -> Vec<OnTarget> {
    let on = |(name, subject, targets): &Row| {
        let (name, subject) = (*name, *subject);
        targets.iter().map(move |target| OnTarget { name, subject, target, is_ignored }).collect::<Vec<_>>()
    };
    rows.iter().flat_map(on).collect()
}

impl OnTarget {
    fn full_name(&self) -> String {
        format!("{}::{}", self.target.name, self.name)
    }

    /// Tells, and says why, whether it was chosen and its host cannot be had here. Where it must run it is not skipped: it
    /// fails.
    fn is_skipped(&self, arguments: &Arguments) -> bool {
        let is_chosen = !arguments.is_filtered_out(&self.into_trial()) && !arguments.list;
        let is_run = !self.is_ignored || arguments.ignored || arguments.include_ignored;
        is_chosen && is_run && !skip::is_required() && {
            let missing = lab::missing(self.target.base);
            missing.inspect(|reason| skip::skip(&self.full_name(), reason)).is_some()
        }
    }

    fn into_trial(self) -> Trial {
        trial(self.name, self.target, self.subject).with_ignored_flag(self.is_ignored)
    }
}

/// Machines that may crash in one trial before it has failed.
const EMULATORS: u32 = 3;

fn trial(name: &'static str, target: &'static Target, subject: Subject) -> Trial {
    let full_name = format!("{}::{name}", target.name);
    Trial::test(full_name.clone(), move || {
        let mut tries = 1;
        loop {
            let up = panic::catch_unwind(|| Bench::up(name, target));
            let Some(bench) = up.map_err(|panic| Failed::from(message(panic.as_ref())))? else { return Ok(()) };
            let Err(panic) = panic::catch_unwind(AssertUnwindSafe(|| subject(&bench))) else { return Ok(()) };
            let failure = format!("{}\n{}", message(panic.as_ref()), bench.last_words());
            // An emulator that crashed (QEMU 10.0 does, now and then) says nothing of what it ran.
            if tries == EMULATORS || !target.is_emulated() || !bench.is_dead() {
                return Err(failure.into());
            }
            writeln!(io::stderr(), "{full_name}: once more, as its emulated machine died (try {tries}): {failure}")
                .ok();
            tries += 1;
        }
    })
}

thread_local! {
    static WHERE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps what a panic says for the trial's own report, in place of the noise of many trials at once.
fn note_panics() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if std::thread::current().name().is_some_and(|name| name == "main") {
            usual(info);
        }
        WHERE.set(info.location().map(ToString::to_string).unwrap_or_default());
    }));
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
    format!("{}: {}", WHERE.take(), text.unwrap_or("a panic without words"))
}
