//! Removes what a process that is no more has left on this machine, or all that
//! this one has.

use std::env;
use std::sync::Once;

use super::BACKENDS;
use super::cgroup::Cgroups;
use super::layer;
use super::owner::Leftovers;

/// Removes what crashed processes left behind; once in the life of this one.
pub(super) fn at_start() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| remove(Leftovers::OfCrashes));
}

/// Ends every command this process has started and removes everything that
/// belonged to their sandboxes: for an interruption, after which nothing is dropped
/// in its order any more.
pub fn clean_up() {
    remove(Leftovers::OfThisProcess);
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
