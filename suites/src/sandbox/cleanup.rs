//! Removes what a process that is no more has left on this machine, or all that
//! this one has.

use std::env;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::BACKENDS;
use super::cgroup::Cgroups;
use super::descendants;
use super::layer;
use super::owner::Leftovers;

/// Removes what crashed processes left behind; once in the life of this one.
pub(super) fn at_start() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| remove(Leftovers::OfCrashes));
}

/// Nothing is started any more.
static ENDING: AtomicBool = AtomicBool::new(false);

/// How long something that was just being started may take to show up.
const BEGINNING: Duration = Duration::from_millis(50);

/// Ends everything this process has started and removes everything that belonged to
/// its sandboxes: for an interruption, after which nothing is dropped in its order any
/// more. No sandbox starts a command from then on.
pub fn clean_up() {
    ENDING.store(true, Ordering::SeqCst);
    // Other threads may have been about to start or to write something.
    for _ in 0..2 {
        descendants::kill();
        remove(Leftovers::OfThisProcess);
        thread::sleep(BEGINNING);
    }
}

/// Whether [`clean_up`] was called.
pub(super) fn is_ending() -> bool {
    ENDING.load(Ordering::SeqCst)
}

fn remove(leftovers: Leftovers) {
    if let Ok(cgroups) = Cgroups::find() {
        cgroups.sweep(leftovers);
    }
    layer::sweep(leftovers);
    for backend in BACKENDS {
        backend.remove(leftovers);
    }
    leftovers.remove_directories(&env::temp_dir());
}
