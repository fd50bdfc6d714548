//! `deploy`, `lifecycle` and `supervisor` against a simulated host: thousands of operations in seconds, with a fault at
//! any primitive.
//!
//! [`host::SimHost`] is a [`unitbee::host::Host`] in memory: a Linux whose services are under the runner. Nothing above
//! it is replaced. Time is tokio's and stands still, so that a pause of a minute takes no time, and every run of a seed
//! is the same.
//!
//! `UNITBEE_SEED=n` replays one sequence and tells what it does; `UNITBEE_SEQUENCES=1000` runs more of them.

mod answers;
mod behaviour;
mod change;
mod check;
mod definition;
mod drive;
mod fault;
mod host;
mod http;
mod life;
mod lock;
mod op;
mod order;
mod random;
mod sequence;
mod tree;
mod verbs;
mod want;
mod world;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use camino::Utf8PathBuf;

use self::fault::{Cut, Fault, Kind};
use self::op::{Change, Op};
use self::sequence::Course;
use self::tree::Bytes;
use self::world::World;

/// How many sequences are run unless somebody asks for more.
const SEQUENCES: usize = 300;

/// Runs something in a time of its own that stands still.
fn in_its_time<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(work)
}

fn number(variable: &str) -> Option<usize> {
    Some(std::env::var(variable).ok()?.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

/// Does a number of things on all processors, and adds up what each comes to.
fn all(count: usize, work: impl Fn(usize) -> Result<usize, String> + Sync) -> usize {
    let (next, sum) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let some = || {
        loop {
            let one = next.fetch_add(1, Ordering::Relaxed);
            if one >= count {
                return Ok(());
            }
            sum.fetch_add(work(one)?, Ordering::Relaxed);
        }
    };
    let failed: Vec<String> = thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(some)).collect();
        workers.into_iter().filter_map(|worker| worker.join().expect("it ends").err()).collect()
    });
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    sum.into_inner()
}

/// Runs random sequences, or the one of `UNITBEE_SEED`; tells how many faults came to pass in them.
fn sequences(count: usize, urls: bool) -> String {
    if let Some(seed) = number("UNITBEE_SEED") {
        let run = async { Course::run(seed as u64, urls).await.map(|course| course.report()) };
        return in_its_time(run).unwrap_or_else(|wrong| panic!("UNITBEE_SEED={seed}:\n{wrong}"));
    }
    let faults = all(count, |seed| {
        let course = in_its_time(Course::run(seed as u64, urls));
        course.map(|course| course.faults).map_err(|wrong| format!("UNITBEE_SEED={seed}:\n{wrong}"))
    });
    format!("{count} sequences with {faults} faults")
}

#[test]
fn whatever_was_done_the_next_apply_sets_it_right() {
    println!("{}", sequences(number("UNITBEE_SEQUENCES").unwrap_or(SEQUENCES), false));
}

#[test]
fn the_same_holds_for_services_that_are_asked_how_they_are() {
    println!("{}", sequences(number("UNITBEE_SEQUENCES").unwrap_or(SEQUENCES) / 20, true));
}

/// What is done before an operation that something goes wrong in.
const SCENARIOS: [(&str, &[Op], Op); 8] = [
    ("a first install", &[], Op::Good(Change::Nothing)),
    ("a first install that is bad", &[], Op::Bad { service: 0, behaviour: "exits 3 after 0ms" }),
    ("a new program", &[Op::Good(Change::Nothing)], Op::Good(Change::Program(0))),
    ("a new secret", &[Op::Good(Change::Checks)], Op::Good(Change::Secret(1))),
    ("a bad release", &[Op::Good(Change::Nothing)], Op::Bad { service: 0, behaviour: "exits 1 after 300ms" }),
    (
        "a rollback",
        &[Op::Good(Change::Nothing), Op::Good(Change::Program(0)), Op::Good(Change::Program(1))],
        Op::Rollback,
    ),
    (
        "a prune",
        &[Op::Good(Change::Nothing), Op::Good(Change::Secret(0)), Op::Good(Change::Secret(1))],
        Op::Prune { secrets: true },
    ),
    ("an uninstall", &[Op::Good(Change::Secret(0))], Op::Uninstall),
];

#[test]
fn a_fault_at_any_primitive_is_set_right_by_the_next_apply_or_uninstall() {
    for (name, before, op) in SCENARIOS {
        let faults = faults_of(before, &op);
        all(faults.len(), |number| {
            let course = in_its_time(async {
                let mut course = Course::new(false);
                for op in before {
                    course.step(op).await?;
                }
                course.step(&Op::Interrupted(Box::new(op.clone()), faults[number])).await?;
                // Neighbours are faults of one primitive: after each of them it is set right one way or the other.
                if number % 2 == 0 {
                    course.step(&Op::Good(Change::Nothing)).await?;
                }
                course.step(&Op::Uninstall).await?;
                Ok(course.faults)
            });
            course.map_err(|wrong: String| format!("{name}:\n{wrong}"))
        });
        println!("{name}: {} faults", faults.len());
    }
}

/// Every fault that can befall an operation: at each primitive that it asks the host for, each kind, at each of its steps.
fn faults_of(before: &[Op], op: &Op) -> Vec<Fault> {
    let trace = in_its_time(async {
        let mut course = Course::new(false);
        for op in before.iter().chain([op]) {
            course.step(op).await.expect("nothing goes wrong");
        }
        course.trace().to_vec()
    });
    let mut faults = Vec::new();
    for (at, steps) in trace.iter().enumerate().map(|(at, (_, steps))| (at + 1, *steps)) {
        for kind in Kind::ALL {
            let cuts: Vec<Cut> = match kind {
                Kind::DiskFull | Kind::Refused => vec![Cut::Before],
                Kind::ControllerDies | Kind::LinkCut => vec![Cut::Before, Cut::After],
                Kind::FarSideDies => [Cut::Before, Cut::After].into_iter().chain((0..steps).map(Cut::Step)).collect(),
            };
            faults.extend(cuts.into_iter().map(|cut| Fault { at, cut, kind }));
        }
    }
    faults
}

/// The first install is begun and dies before its last change: no release has passed a gate when a bad one comes.
#[test]
fn a_unit_without_a_good_release_goes_back_to_the_one_that_ran_else_it_goes() {
    let dead = "exits 1 after 300ms";
    for first in [Op::Good(Change::Nothing), Op::Bad { service: 0, behaviour: dead }] {
        in_its_time(async {
            let mut course = Course::new(false);
            course.step(&first).await.expect("nothing goes wrong");
            let is_start = |(what, _): &(String, usize)| what == "run start";
            let at = course.trace().iter().position(is_start).expect("it starts something") + 1;
            let mut course = Course::new(false);
            let fault = Fault { at, cut: Cut::After, kind: Kind::ControllerDies };
            course.step(&Op::Interrupted(Box::new(first.clone()), fault)).await.expect("it is begun");
            assert!(course.host.world().is_unproven("web-8001"), "{first}");
            course.step(&Op::Bad { service: 0, behaviour: "exits 3 after 0ms" }).await.expect("it goes back");
            let is_good = matches!(first, Op::Good(_));
            assert_eq!(course.host.world().mains.values().any(|main| main.unit == "web-8001"), is_good, "{first}");
            course.step(&Op::Uninstall).await.expect("nothing goes wrong");
        });
    }
}

#[test]
fn every_run_of_a_seed_is_the_same() {
    let told = |seed| {
        in_its_time(async { Course::run(seed, false).await.map(|course| course.report()) }).expect("it comes right")
    };
    for seed in 0..5 {
        let (first, second) = (told(seed), told(seed));
        let differs = first.lines().zip(second.lines()).find(|(one, other)| one != other);
        assert_eq!((differs, first.len()), (None, second.len()), "seed {seed}");
    }
    assert_ne!(told(0), told(1));
}

/// A host with what is wanted on it.
async fn good_host() -> Course {
    let mut course = Course::new(false);
    course.step(&Op::Good(Change::Nothing)).await.expect("nothing goes wrong");
    course
}

/// What the checker says once somebody has changed the world.
fn found(change: impl FnOnce(&mut World)) -> Vec<String> {
    in_its_time(async {
        let course = good_host().await;
        let desired = course.want.desired(&course.host);
        let mut world = course.host.world();
        change(&mut world);
        [world.broken(), world.differs(&desired), world.leftovers(), world.temporary()].concat()
    })
}

/// The file whose path ends like this.
fn file(world: &World, end: &str) -> Utf8PathBuf {
    let mut files = world.tree.files().map(|(path, ..)| path.to_owned());
    files.find(|path| path.as_str().ends_with(end)).expect("it is there")
}

#[test]
fn the_checker_finds_what_is_wrong() {
    type Harm = fn(&mut World, Utf8PathBuf);
    let cases: [(&str, &str, Harm); 7] = [
        ("/web", "has no program", |world, path| world.tree.remove(&path)),
        ("web-8001/1/env", "has no secrets", |world, path| {
            let bytes = world.tree.file(&path).expect("it is there").1.clone();
            world.tree.put(&path, 0o644, bytes);
        }),
        ("web-8001/1/spec.json", "has another record", |world, path| world.tree.remove(&path)),
        ("web-8001.sh", "is edited", |world, path| {
            let text = world.tree.text(&path).expect("it is text").replace("tasks=", "tasks=1");
            world.tree.put(&path, 0o644, Bytes::new(text));
        }),
        ("web-8001.1", "has no mark", |world, path| world.tree.remove(&path)),
        ("web-8001.json", "is left over", |world, path| {
            world.tree.rename(&path, &path.with_file_name(".unitbee.x.1"));
        }),
        ("web-8001/1.log", "holds a secret", |world, path| world.tree.put(&path, 0o600, Bytes::new(want::SECRET))),
    ];
    assert_eq!(found(|_| ()), Vec::<String>::new());
    for (end, says, harm) in cases {
        let wrongs = found(|world| harm(world, file(world, end)));
        assert!(wrongs.iter().any(|wrong| wrong.contains(says)), "{end}: {wrongs:?}");
    }
    let twin = found(|world| {
        let main = world.mains.values().next().expect("one runs").clone();
        world.mains.insert(1, main);
    });
    assert!(twin.iter().any(|wrong| wrong.ends_with("more than one process")), "{twin:?}");
    assert_eq!(found(|world| assert!(world.kill_runner("job-8003"))), ["job-8003 has no runner"]);
}
