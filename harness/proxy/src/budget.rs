//! How much may be kept in memory, by all connections together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Bytes that may still be kept.
#[derive(Clone, Debug)]
pub struct Budget(Arc<AtomicUsize>);

impl Budget {
    /// Room for so many bytes.
    pub fn new(bytes: usize) -> Self {
        Budget(Arc::new(AtomicUsize::new(bytes)))
    }

    /// A place in the budget, with nothing in it yet.
    pub fn place(&self) -> Held {
        Held {
            budget: self.clone(),
            bytes: 0,
        }
    }

    /// Room for so many bytes; `None` where there is none left.
    pub fn hold(&self, bytes: usize) -> Option<Held> {
        let mut held = self.place();
        held.grow(bytes).then_some(held)
    }
}

/// Room that is taken until this is dropped.
#[derive(Debug)]
pub struct Held {
    budget: Budget,
    bytes: usize,
}

impl Held {
    /// Takes room for more; false where there is none left.
    pub fn grow(&mut self, bytes: usize) -> bool {
        let left = &self.budget.0;
        let taken = left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(bytes));
        if taken.is_ok() {
            self.bytes += bytes;
        }
        taken.is_ok()
    }

    /// Holds exactly so many bytes; false where there is no room for more.
    pub fn resize(&mut self, bytes: usize) -> bool {
        match bytes.checked_sub(self.bytes) {
            Some(more) => self.grow(more),
            None => {
                self.budget.0.fetch_add(self.bytes - bytes, Relaxed);
                self.bytes = bytes;
                true
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_given_back() {
        let budget = Budget::new(10);
        let mut held = budget.hold(6).unwrap();
        assert!(budget.hold(5).is_none());
        assert!(held.grow(4) && !held.grow(1));
        assert!(held.resize(1) && budget.hold(9).is_some());
        drop(held);
        assert!(budget.hold(10).is_some());
    }
}
