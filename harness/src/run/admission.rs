//! Work that is nobody's task time takes turns.

use std::num::NonZero;

use tokio::sync::{Semaphore, SemaphorePermit};

/// Admits set-ups, gradings and clean-ups, first come first served and no more at once than
/// there are cores. A tool is task time and waits for nobody.
#[derive(Debug)]
pub struct Admission(Semaphore);

impl Admission {
    /// As many places as this process has cores.
    #[must_use]
    pub fn per_core() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Admission(Semaphore::new(cores))
    }

    /// Waits for a place, which is held until what this gives back is dropped.
    pub async fn wait(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.0.acquire().await.ok()
    }
}
