//! Removes what a process that is no more has left on this machine, or all that
//! this one has.

use std::env;
use std::fs;
use std::path::Path;
use std::sync::Once;

use super::cgroup::Cgroups;
use super::docker::Engine;
use super::layer;
use super::owner::Owner;

/// Removes what crashed processes left behind; once in the life of this one.
pub(super) fn at_start() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| sweep(Owner::is_gone));
}

/// Ends every command this process has started and removes everything that
/// belonged to their sandboxes: for an interruption, after which nothing is dropped
/// in its order any more.
pub fn clean_up() {
    sweep(Owner::is_me);
}

fn sweep(whose: fn(&Owner) -> bool) {
    if let Ok(cgroups) = Cgroups::find() {
        cgroups.sweep(whose);
    }
    layer::sweep(whose);
    if let Some(engine) = Engine::known() {
        engine.sweep(whose);
    }
    directories(&env::temp_dir(), whose);
}

/// Removes the directories of some owners in `parent`.
pub(super) fn directories(parent: &Path, whose: fn(&Owner) -> bool) {
    for entry in parent.read_dir().into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_directory && Owner::of(&name.to_string_lossy()).is_some_and(|owner| whose(&owner)) {
            // What cannot be removed is somebody else's.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
