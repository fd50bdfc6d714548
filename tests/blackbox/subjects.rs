//! Which subject runs on which targets.
//!
//! What decides whether a change lands is each subject on every supervisor and, where it differs, on the oldest and newest
//! version: minutes on two cores. The rest is the same on all other targets: `cargo test --test blackbox -- --ignored`.

use super::bench::Bench;
use super::target::{
    HERE, MAC, MAC_DAEMON, MAC_HEADLESS, MAC_HERE, NO_POLKIT, RUNNER, RUNNER_BUSYBOX, RUNNER_BUSYBOX_CRON,
    RUNNER_CGROUP, RUNNER_CRON, RUNNER_HERE, SYSTEMD_247, SYSTEMD_252, SYSTEMD_257, SYSTEMD_262, Target, VM,
};
use super::{
    boot, cgroup, check, converge, crash, crowd, daemon, demo, disk, faults, forwarding, gate, groups, hangs, identity,
    inside, keep, ladder, lifecycle, limits, logs, lost, moves, needs, older, ownership, persistence, polkit, rebuild,
    refusals, restart_order, restarts, rights, rollback, rotation, secrets, shared, steps, terminal, uninstall,
    unreachable,
};

pub(crate) type Subject = fn(&Bench);

/// A subject, its name, and its targets.
pub(crate) type Row = (&'static str, Subject, &'static [&'static Target]);

/// One of each supervisor.
const KINDS: &[&Target] = &[&SYSTEMD_262, &RUNNER, &MAC];

/// Each supervisor, systemd in its oldest and newest version, and the userland that differs most.
const AGES: &[&Target] = &[&SYSTEMD_247, &SYSTEMD_262, &RUNNER, &RUNNER_BUSYBOX, &MAC];

/// The targets that [`KINDS`] leaves out of those that a supervisor differs on.
const OTHERS: &[&Target] = &[&SYSTEMD_247, &HERE, &RUNNER_HERE, &RUNNER_BUSYBOX, &MAC_HERE, &MAC_HEADLESS, &MAC_DAEMON];

/// The targets that [`AGES`] leaves out.
const BETWEEN: &[&Target] = &[&SYSTEMD_252, &SYSTEMD_257, &HERE, &RUNNER_HERE, &MAC_HERE, &MAC_HEADLESS, &MAC_DAEMON];

/// Each way to start and to stop a unit.
const STEPS: &[&Target] = &[&SYSTEMD_262, &RUNNER];

/// What decides whether a change lands.
pub(crate) const LANDING: &[Row] = &[
    // These take minutes, and begin first, so that the others run beside them.
    ("limits", limits::subject, &[&VM]),
    ("restart-order", restart_order::subject, STEPS),
    ("rights", rights::subject, &[&MAC_DAEMON]),
    ("steps-fence", steps::fence, &[&SYSTEMD_262]),
    ("hangs", hangs::subject, &[&MAC]),
    ("faults", faults::subject, &[&MAC]),
    ("steps-back", steps::back, STEPS),
    ("steps-replace", steps::replace, STEPS),
    ("steps-install", steps::install, STEPS),
    ("steps-uninstall", steps::uninstall, STEPS),
    ("steps-rollback", steps::rollback, &[&SYSTEMD_262]),
    ("steps-disk", steps::disk, &[&RUNNER]),
    ("steps-signals", steps::signals, STEPS),
    ("steps-cut", steps::cut, &[&RUNNER]),
    ("rollback", rollback::kinds, &[&SYSTEMD_247, &SYSTEMD_262, &RUNNER, &MAC]),
    ("boot", boot::subject, &[&RUNNER_CRON, &RUNNER_BUSYBOX_CRON]),
    ("cgroup", cgroup::subject, &[&RUNNER_CGROUP]),
    ("check", check::subject, &[&SYSTEMD_262, &RUNNER_BUSYBOX, &MAC]),
    ("converge", converge::subject, AGES),
    ("converge", converge::subject, &[&HERE, &MAC_DAEMON]),
    ("crash", crash::subject, AGES),
    ("crowd", crowd::subject, KINDS),
    // The library runs here.
    ("daemon", daemon::subject, KINDS),
    // unitbee ships itself here, and needs a libc of this machine's age.
    ("demo", demo::subject, KINDS),
    ("disk", disk::subject, &[&RUNNER]),
    ("forwarding", forwarding::subject, &[&SYSTEMD_262, &MAC_DAEMON]),
    ("gate", gate::subject, AGES),
    ("groups", groups::subject, &[&SYSTEMD_252]),
    ("identity", identity::subject, &[&RUNNER, &RUNNER_BUSYBOX]),
    // A job of the modelled Mac sees the /proc of its machine, and so would unitbee in it.
    ("inside", inside::subject, &[&HERE, &RUNNER_HERE]),
    ("keep", keep::subject, KINDS),
    ("ladder", ladder::subject, AGES),
    ("lifecycle", lifecycle::subject, AGES),
    ("lifecycle", lifecycle::subject, &[&HERE, &RUNNER_HERE, &MAC_HEADLESS, &MAC_DAEMON]),
    ("limits", limits::subject, &[&SYSTEMD_247, &SYSTEMD_262, &RUNNER, &MAC]),
    ("logs", logs::subject, KINDS),
    ("lost", lost::subject, &[&SYSTEMD_262]),
    ("moves", moves::subject, &[&SYSTEMD_262, &MAC]),
    ("needs", needs::subject, &[&SYSTEMD_262, &RUNNER_BUSYBOX, &MAC]),
    ("older", older::subject, &[&SYSTEMD_252, &RUNNER]),
    ("ownership", ownership::subject, KINDS),
    ("persistence", persistence::subject, &[&SYSTEMD_247, &SYSTEMD_262, &MAC, &MAC_HEADLESS, &MAC_DAEMON]),
    ("polkit", polkit::subject, &[&NO_POLKIT]),
    ("rebuild", rebuild::subject, &[&SYSTEMD_262, &MAC]),
    ("refusals", refusals::subject, KINDS),
    ("rollback-audit", rollback::audit, STEPS),
    ("rollback-ctrl-c", rollback::interrupt, STEPS),
    ("rollback-first", rollback::first, KINDS),
    ("rollback-several", rollback::several, STEPS),
    ("rollback-verb", rollback::verb, STEPS),
    ("rotation", rotation::subject, &[&RUNNER, &RUNNER_BUSYBOX, &MAC]),
    ("secrets", secrets::subject, AGES),
    ("secrets", secrets::subject, &[&HERE, &RUNNER_HERE]),
    ("shared", shared::subject, &[&RUNNER]),
    ("terminal", terminal::subject, &[&SYSTEMD_262]),
    ("uninstall", uninstall::subject, AGES),
    ("unreachable", unreachable::subject, &[&SYSTEMD_262, &MAC]),
];

/// The same on the other targets.
pub(crate) const REST: &[Row] = &[
    ("crash", crash::subject, &[&RUNNER_CGROUP]),
    ("ladder", ladder::subject, &[&RUNNER_CGROUP]),
    ("uninstall", uninstall::subject, &[&RUNNER_CGROUP]),
    ("rollback-memory", rollback::memory, &[&RUNNER_CGROUP]),
    ("restarts", restarts::subject, &[&MAC]),
    ("steps-cut", steps::cut, &[&SYSTEMD_262]),
    ("steps-term", steps::replace_by_term, STEPS),
    ("boot", boot::subject, &[&RUNNER]),
    ("check", check::subject, &[&HERE, &MAC_HERE]),
    ("converge", converge::subject, &[&SYSTEMD_252, &SYSTEMD_257, &RUNNER_HERE, &MAC_HERE, &MAC_HEADLESS]),
    ("crash", crash::subject, BETWEEN),
    ("crowd", crowd::subject, OTHERS),
    ("daemon", daemon::subject, &[&SYSTEMD_247, &RUNNER_BUSYBOX, &MAC_HEADLESS, &MAC_DAEMON]),
    ("demo", demo::subject, &[&SYSTEMD_252, &HERE, &RUNNER_HERE, &MAC_HEADLESS, &MAC_DAEMON]),
    ("forwarding", forwarding::subject, &[&MAC]),
    ("gate", gate::subject, &[&HERE, &RUNNER_HERE, &MAC_HERE, &MAC_HEADLESS, &MAC_DAEMON]),
    ("identity", identity::subject, &[&RUNNER_HERE]),
    ("keep", keep::subject, &[&SYSTEMD_247]),
    ("ladder", ladder::subject, BETWEEN),
    ("lifecycle", lifecycle::subject, &[&SYSTEMD_252, &SYSTEMD_257, &RUNNER_CRON, &MAC_HERE]),
    ("limits", limits::subject, &[&RUNNER_BUSYBOX, &MAC_HEADLESS, &MAC_DAEMON]),
    ("logs", logs::subject, OTHERS),
    ("moves", moves::subject, &[&SYSTEMD_247]),
    ("needs", needs::subject, &[&SYSTEMD_247, &HERE]),
    ("ownership", ownership::subject, OTHERS),
    ("persistence", persistence::subject, &[&SYSTEMD_252, &SYSTEMD_257, &HERE]),
    ("rebuild", rebuild::subject, &[&HERE, &RUNNER_BUSYBOX]),
    ("rollback", rollback::kinds, &[&SYSTEMD_252, &SYSTEMD_257]),
    ("rotation", rotation::subject, &[&RUNNER_HERE, &MAC_HEADLESS, &MAC_DAEMON]),
    ("secrets", secrets::subject, &[&MAC_HERE, &MAC_HEADLESS, &MAC_DAEMON]),
    ("uninstall", uninstall::subject, BETWEEN),
    ("unreachable", unreachable::subject, &[&SYSTEMD_247]),
    ("limits", limits::subject, &[&RUNNER_CGROUP]),
    ("rollback-memory", rollback::memory, &[&VM]),
    ("rollback-audit", rollback::audit, &[&MAC]),
    ("rollback-ctrl-c", rollback::interrupt, &[&MAC]),
    ("rollback-several", rollback::several, &[&MAC]),
    ("rollback-verb", rollback::verb, &[&MAC]),
    ("restart-order", restart_order::subject, &[&MAC]),
    ("steps-rollback", steps::rollback, &[&RUNNER]),
    ("steps-disk", steps::disk, &[&SYSTEMD_262]),
    ("terminal", terminal::subject, &[&MAC]),
];
