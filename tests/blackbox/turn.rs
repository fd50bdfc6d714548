//! How many hosts are up at once: an emulated machine needs a processor of its own, containers mostly wait.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Containers at once.
const CONTAINERS: usize = 6;

/// Trials at once: those that wait for their turn must not keep the others from theirs.
pub(crate) const TRIALS: usize = 16;

static EMULATED: Queue = Queue::new(1);
static CONTAINED: Queue = Queue::new(CONTAINERS);

/// How long each trial had its turn.
static TIMES: Mutex<Vec<(Duration, String)>> = Mutex::new(Vec::new());

/// A place among those that are up; dropping it gives it to the next.
pub(crate) struct Turn {
    name: String,
    queue: &'static Queue,
    begun: Instant,
}

impl Turn {
    /// Waits for one for a trial of this name.
    pub(crate) fn wait(name: &str, emulated: bool) -> Self {
        let queue = if emulated { &EMULATED } else { &CONTAINED };
        let mut free = queue.free();
        while *free == 0 {
            free = queue.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Self { name: name.to_owned(), queue, begun: Instant::now() }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        TIMES.lock().unwrap_or_else(PoisonError::into_inner).push((self.begun.elapsed(), self.name.clone()));
        *self.queue.free() += 1;
        self.queue.freed.notify_one();
    }
}

struct Queue {
    free: Mutex<usize>,
    freed: Condvar,
}

impl Queue {
    const fn new(places: usize) -> Self {
        Self { free: Mutex::new(places), freed: Condvar::new() }
    }

    fn free(&self) -> MutexGuard<'_, usize> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The trials that one should look at when all of them take too long; nothing after a few.
pub(crate) fn slowest() -> Option<String> {
    let mut times = TIMES.lock().unwrap_or_else(PoisonError::into_inner);
    times.sort_by(|one, other| other.cmp(one));
    let slowest: Vec<String> =
        times.iter().take(20).map(|(took, name)| format!("{name} {} s", took.as_secs())).collect();
    (times.len() > slowest.len()).then(|| slowest.join(", "))
}
