//! Containers that are started before they are needed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;

use timeslip_datasets::journal::Warmth;

use super::super::Invocation;
use super::images::Ready;
use super::{Container, Engine};

/// Spares at once, of all images together: each holds a little memory.
const KEPT: usize = 4;

/// Containers nobody has worked in yet, the newest last.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Spares(Arc<Mutex<VecDeque<Container>>>);

impl Spares {
    /// A container of an image: a spare one if there is one, otherwise a new one that
    /// is not started. Also which of the two it is.
    pub(in super::super) fn take(
        &self,
        engine: &'static Engine,
        image: &Ready,
        run: &str,
    ) -> Result<(Container, Warmth), String> {
        let mut spares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = spares.iter().position(|spare| spare.image() == image);
        match found.and_then(|index| spares.remove(index)) {
            Some(spare) => Ok((spare, Warmth::Warm)),
            None => Ok((Container::new(engine, image.clone(), run)?, Warmth::Cold)),
        }
    }

    /// Starts another one for commands like `like` in the background. Whoever needs one before it is there
    /// starts their own.
    pub(in super::super) fn refill(
        &self,
        engine: &'static Engine,
        image: &Ready,
        run: &str,
        like: &Invocation,
    ) {
        let spares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spares.iter().any(|spare| spare.image() == image) {
            return;
        }
        let (image, run) = (image.clone(), run.to_owned());
        let (mounts, memory_mb, quota) = (like.mounts.clone(), like.limits.memory_mb, like.quota);
        let place = Arc::downgrade(&self.0);
        // A spare that could not be started is only missed: the next trial says why.
        let _ = thread::Builder::new().spawn(move || {
            let spare = Container::new(engine, image, &run).ok();
            let started = spare.filter(|spare| spare.start_like(&mounts, memory_mb, quota).is_ok());
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
