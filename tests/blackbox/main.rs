//! The whole of unitbee from outside: its binary against real hosts, and what is then true there.
//!
//! Every subject runs against every target it applies to (`target.rs`) and is one trial of its own, on a host of its
//! own: one takes two seconds to come up, and no trial sees what another left. `cargo test --test blackbox systemd-262`
//! runs one target, `cargo test --test blackbox ::stop` one subject. Trials wait more than they work, so more of them
//! run at once than there are processors: `turn.rs` says how many.

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
use self::target::{
    HERE, MAC, MAC_DAEMON, MAC_HEADLESS, MAC_HERE, NO_POLKIT, RUNNER, RUNNER_BUSYBOX, RUNNER_BUSYBOX_CRON,
    RUNNER_CGROUP, RUNNER_CRON, RUNNER_HERE, SYSTEMD_247, SYSTEMD_252, SYSTEMD_257, SYSTEMD_262, Target, VM,
};

type Subject = fn(&Bench);

/// All that subjects of the spine must hold on.
const ALL: &[&Target] = &[
    &SYSTEMD_247,
    &SYSTEMD_252,
    &SYSTEMD_257,
    &SYSTEMD_262,
    &HERE,
    &RUNNER,
    &RUNNER_HERE,
    &RUNNER_BUSYBOX,
    &MAC,
    &MAC_HERE,
    &MAC_HEADLESS,
    &MAC_DAEMON,
];

/// Every systemd, where the runner has no such thing.
const SYSTEMD: &[&Target] = &[&SYSTEMD_247, &SYSTEMD_252, &SYSTEMD_257, &SYSTEMD_262, &HERE];

/// Enough for what every supervisor must hold on.
const EACH: &[&Target] = &[
    &SYSTEMD_247,
    &SYSTEMD_262,
    &HERE,
    &RUNNER,
    &RUNNER_HERE,
    &RUNNER_BUSYBOX,
    &MAC,
    &MAC_HERE,
    &MAC_HEADLESS,
    &MAC_DAEMON,
];

/// Every supervisor in each of its ages.
const ROLLBACK: &[&Target] = &[&SYSTEMD_247, &SYSTEMD_252, &SYSTEMD_257, &SYSTEMD_262, &RUNNER, &MAC];

/// One of each supervisor.
const KINDS: &[&Target] = &[&SYSTEMD_262, &RUNNER, &MAC];

/// Each way to start and to stop a unit.
const STEPS: &[&Target] = &[&SYSTEMD_262, &RUNNER];

const SUBJECTS: &[(&str, Subject, &[&Target])] = &[
    // These take minutes, and begin first, so that the others run beside them.
    ("limits", limits::subject, &[&VM, &RUNNER_CGROUP, &SYSTEMD_247, &SYSTEMD_262, &RUNNER, &RUNNER_BUSYBOX]),
    ("steps-fence", steps::fence, &[&SYSTEMD_262]),
    ("steps-cut", steps::cut, &[&SYSTEMD_262, &RUNNER]),
    ("steps-back", steps::back, STEPS),
    ("steps-replace", steps::replace, STEPS),
    ("steps-term", steps::replace_by_term, &[&SYSTEMD_262, &RUNNER]),
    ("steps-install", steps::install, STEPS),
    ("steps-uninstall", steps::uninstall, STEPS),
    ("steps-rollback", steps::rollback, STEPS),
    ("steps-disk", steps::disk, &[&SYSTEMD_262]),
    ("steps-signals", steps::signals, STEPS),
    ("restarts", restarts::subject, &[&MAC]),
    ("faults", faults::subject, &[&MAC]),
    ("hangs", hangs::subject, &[&MAC]),
    ("boot", boot::subject, &[&RUNNER, &RUNNER_CRON, &RUNNER_BUSYBOX_CRON]),
    ("cgroup", cgroup::subject, &[&RUNNER_CGROUP]),
    // Here each takes minutes: only those that a cgroup makes a difference to.
    ("crash", crash::subject, &[&RUNNER_CGROUP]),
    ("ladder", ladder::subject, &[&RUNNER_CGROUP]),
    ("uninstall", uninstall::subject, &[&RUNNER_CGROUP]),
    ("check", check::subject, &[&SYSTEMD_262, &HERE, &RUNNER_BUSYBOX, &MAC, &MAC_HERE]),
    ("converge", converge::subject, ALL),
    ("crash", crash::subject, ALL),
    ("crowd", crowd::subject, EACH),
    // The library runs here.
    (
        "daemon",
        daemon::subject,
        &[&SYSTEMD_247, &SYSTEMD_262, &RUNNER, &RUNNER_BUSYBOX, &MAC, &MAC_HEADLESS, &MAC_DAEMON],
    ),
    // unitbee ships itself here, and needs a libc of this machine's age.
    (
        "demo",
        demo::subject,
        &[&SYSTEMD_252, &SYSTEMD_262, &HERE, &RUNNER, &RUNNER_HERE, &MAC, &MAC_HEADLESS, &MAC_DAEMON],
    ),
    ("disk", disk::subject, &[&RUNNER]),
    ("forwarding", forwarding::subject, &[&SYSTEMD_262, &MAC, &MAC_DAEMON]),
    ("gate", gate::subject, EACH),
    ("groups", groups::subject, &[&SYSTEMD_252]),
    ("identity", identity::subject, &[&RUNNER, &RUNNER_HERE, &RUNNER_BUSYBOX]),
    // A job of the modelled Mac sees the /proc of its machine, and so would unitbee in it.
    ("inside", inside::subject, &[&HERE, &RUNNER_HERE]),
    ("ladder", ladder::subject, ALL),
    ("lifecycle", lifecycle::subject, ALL),
    ("lifecycle", lifecycle::subject, &[&RUNNER_CRON]),
    ("limits", limits::subject, &[&MAC, &MAC_HEADLESS, &MAC_DAEMON]),
    ("logs", logs::subject, EACH),
    ("lost", lost::subject, &[&SYSTEMD_262]),
    ("moves", moves::subject, &[&SYSTEMD_247, &SYSTEMD_262, &MAC]),
    ("needs", needs::subject, &[&SYSTEMD_247, &SYSTEMD_262, &HERE, &RUNNER_BUSYBOX, &MAC]),
    ("older", older::subject, &[&SYSTEMD_252, &RUNNER]),
    ("ownership", ownership::subject, EACH),
    ("persistence", persistence::subject, SYSTEMD),
    ("persistence", persistence::subject, &[&MAC, &MAC_HEADLESS, &MAC_DAEMON]),
    ("polkit", polkit::subject, &[&NO_POLKIT]),
    ("rebuild", rebuild::subject, &[&SYSTEMD_262, &HERE, &RUNNER_BUSYBOX, &MAC]),
    ("refusals", refusals::subject, KINDS),
    ("restart-order", restart_order::subject, KINDS),
    ("rights", rights::subject, &[&MAC_DAEMON]),
    ("rollback", rollback::kinds, ROLLBACK),
    ("rollback-audit", rollback::audit, KINDS),
    ("rollback-ctrl-c", rollback::interrupt, KINDS),
    ("rollback-first", rollback::first, KINDS),
    ("rollback-memory", rollback::memory, &[&VM, &RUNNER_CGROUP]),
    ("rollback-several", rollback::several, KINDS),
    ("rollback-verb", rollback::verb, KINDS),
    ("rotation", rotation::subject, &[&RUNNER, &RUNNER_HERE, &RUNNER_BUSYBOX, &MAC, &MAC_HEADLESS, &MAC_DAEMON]),
    ("secrets", secrets::subject, EACH),
    ("shared", shared::subject, &[&RUNNER]),
    ("terminal", terminal::subject, &[&SYSTEMD_262, &MAC]),
    ("uninstall", uninstall::subject, ALL),
    ("unreachable", unreachable::subject, &[&SYSTEMD_247, &SYSTEMD_262, &MAC]),
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(turn::TRIALS);
    note_panics();
    let on = |(name, subject, targets): &(_, _, &'static [&'static Target])| {
        let (name, subject) = (*name, *subject);
        targets.iter().map(move |target| trial(name, target, subject)).collect::<Vec<_>>()
    };
    let conclusion = libtest_mimic::run(&arguments, SUBJECTS.iter().flat_map(on).collect());
    if let Some(slowest) = turn::slowest() {
        writeln!(io::stdout(), "slowest: {slowest}\n").ok();
    }
    conclusion.exit_code()
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
