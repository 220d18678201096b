//! Containers that are started before they are needed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;

use timeslip_datasets::run::journal::Warmth;

use super::super::invocation::Invocation;
use super::container::Container;
use super::engine::{ContainerEngine, EngineImage};

/// Containers in the pool at once, of all images together: each holds a little memory.
const KEPT: usize = 4;

/// Started containers in which no command has run yet, the newest last.
#[derive(Clone, Debug, Default)]
pub(super) struct Pool(Arc<Mutex<VecDeque<Container>>>);

impl Pool {
    /// A container of an image: one of the pool if there is one, otherwise a new one
    /// that is not started. Also which of the two it is.
    pub(super) fn take(
        &self,
        engine: &'static ContainerEngine,
        image: &EngineImage,
        run: &str,
    ) -> Result<(Container, Warmth), String> {
        let mut spares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = spares.iter().position(|spare| spare.image() == image);
        match found.and_then(|index| spares.remove(index)) {
            Some(spare) => Ok((spare, Warmth::Warm)),
            None => Ok((Container::new(engine, image.clone(), run)?, Warmth::Cold)),
        }
    }

    /// Starts another one like `like`, for commands like `invocation`, in the background.
    /// A workspace that needs one before it is there starts its own.
    pub(super) fn refill(&self, like: &Container, run: &str, invocation: &Invocation) {
        let spares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spares.iter().any(|spare| spare.image() == like.image()) {
            return;
        }
        let (engine, image) = (like.engine(), like.image().clone());
        let (run, mounts) = (run.to_owned(), like.mounts_to_copy(&invocation.mounts));
        let (memory_mb, quota) = (invocation.limits.memory_mb, invocation.quota);
        let place = Arc::downgrade(&self.0);
        // A spare that could not be started is only missed: the next trial says why.
        let _ = thread::Builder::new().spawn(move || {
            let spare = Container::new(engine, image, &run).ok();
            let started = spare.filter(|spare| spare.start_with(mounts, memory_mb, quota).is_ok());
            if let (Some(spare), Some(place)) = (started, Weak::upgrade(&place)) {
                let mut spares = place.lock().unwrap_or_else(PoisonError::into_inner);
                spares.push_back(spare);
                if spares.len() > KEPT {
                    spares.pop_front();
                }
            }
        });
    }
}
