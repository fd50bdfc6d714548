//! "Stay down after so many restarts in a row": the pauses and the rate limit that a unit asks for, played through.
//!
//! The model of systemd is its own: `service_restart_usec_next` of service.c and ratelimit.c.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/spec.rs"]
mod spec;

use std::time::Duration;

use proptest::prelude::*;
use unitbee::service::render::{self, Placement, Systemd};
use unitbee::service::spec::{Health, Restart, RestartWhen, UnitSpec};

/// What a unit says about restarts, in seconds.
struct Unit {
    pause: f64,
    longest: Option<(i32, f64)>,
    interval: f64,
    burst: u32,
}

impl Unit {
    fn of(spec: &UnitSpec, target: Systemd) -> Self {
        let placement = Placement { program: "/bin/true".into(), env_file: Some("/tmp/env".into()), release: 1 };
        let bytes = render::service(spec, &placement, target).unwrap().bytes;
        let text = String::from_utf8(bytes).unwrap();
        let find = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        Self {
            pause: seconds(find("RestartSec").unwrap()),
            longest: find("RestartSteps")
                .map(|steps| (steps.parse().unwrap(), seconds(find("RestartMaxDelaySec").unwrap()))),
            interval: seconds(find("StartLimitIntervalSec").unwrap()),
            burst: find("StartLimitBurst").unwrap().parse().unwrap(),
        }
    }

    /// How long systemd waits before a restart, counted from 1.
    fn pause(&self, restart: i32) -> f64 {
        match self.longest {
            Some((steps, longest)) if restart > steps => longest,
            Some((steps, longest)) if restart > 1 => {
                self.pause * (longest / self.pause).powf(f64::from(restart - 1) / f64::from(steps))
            }
            _ => self.pause,
        }
    }

    /// How many restarts there are before systemd refuses one; the service runs for `runs(0)`, `runs(1)`, … seconds.
    fn restarts(&self, runs: impl Fn(i32) -> f64) -> i32 {
        let (mut now, mut opened, mut seen, mut restarts) = (0.0, 0.0, 1, 0);
        while restarts < 1000 {
            now += runs(restarts) + self.pause(restarts + 1);
            if now > opened + self.interval {
                (opened, seen) = (now, 0);
            }
            if seen >= self.burst {
                return restarts;
            }
            seen += 1;
            restarts += 1;
        }
        i32::MAX
    }
}

fn seconds(span: &str) -> f64 {
    match span.strip_suffix("ms") {
        Some(milliseconds) => milliseconds.parse::<f64>().unwrap() / 1000.0,
        None => span.parse().unwrap(),
    }
}

fn any_spec() -> impl Strategy<Value = UnitSpec> {
    let milliseconds = |most: u64| (0..most).prop_map(Duration::from_millis);
    let restart =
        (milliseconds(20_000), milliseconds(600_000), 1..40_u32).prop_map(|(delay, max_delay, give_up_after)| {
            Restart { when: RestartWhen::Always, delay, max_delay, give_up_after }
        });
    let health = proptest::option::of((milliseconds(300_000), milliseconds(10_000)));
    (restart, health).prop_map(|(restart, health)| {
        let full = spec::full();
        let health = health.map(|(within, healthy_for)| Health { within, healthy_for, ..full.health.clone().unwrap() });
        UnitSpec { restart, health, ..full }
    })
}

/// How long a run may last that still belongs to a row.
fn settled(spec: &UnitSpec) -> f64 {
    spec.health.as_ref().map_or(60.0, |health| (health.within + health.healthy_for).as_secs_f64())
}

fn any_target() -> impl Strategy<Value = Systemd> {
    proptest::sample::select(vec![None, Some(247), Some(254)]).prop_map(|version| Systemd { version })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_service_that_never_comes_up_stays_down_after_as_many_restarts_as_wished(
        spec in any_spec(), target in any_target(), share in 0.0..=1.0,
    ) {
        let unit = Unit::of(&spec, target);
        let wished = i32::try_from(spec.restart.give_up_after).unwrap();
        prop_assert_eq!(unit.restarts(|_| share * settled(&spec)), wished);
    }

    /// The window may have been opened before the good run: then it ends within the row, and the count starts anew.
    #[test]
    fn after_a_good_run_a_row_is_at_most_twice_as_long(
        spec in any_spec(), target in any_target(), good in 0.0..100_000.0, share in 0.0..=1.0,
    ) {
        let unit = Unit::of(&spec, target);
        let wished = i32::try_from(spec.restart.give_up_after).unwrap();
        let runs = |run| if run == 0 { good } else { share * settled(&spec) };
        prop_assert!((wished..=2 * wished + 1).contains(&unit.restarts(runs)));
    }

    #[test]
    fn a_service_that_fails_now_and_then_is_always_restarted(spec in any_spec(), target in any_target()) {
        let unit = Unit::of(&spec, target);
        prop_assert_eq!(unit.restarts(|_| unit.interval), i32::MAX);
    }

    #[test]
    fn each_pause_is_at_most_twice_the_last_and_none_is_longer_than_wished(spec in any_spec()) {
        let unit = Unit::of(&spec, Systemd::default());
        let wished = spec.restart.max_delay.max(spec.restart.delay).as_secs_f64();
        for restart in 1..60 {
            let (this, next) = (unit.pause(restart), unit.pause(restart + 1));
            prop_assert!(this <= next && next <= 2.001 * this && next <= wished + 0.001, "{this} {next} {wished}");
        }
    }
}
