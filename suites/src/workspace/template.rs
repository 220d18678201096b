//! Starting states: made once for a task, then handed out as layers over them.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use timeslip_datasets::run::journal::Warmth;

use crate::sandbox::{Layer, Scratch, Snapshot, copy};
use crate::{Error, Image, Result, Sandbox};

/// Starting states that are kept. Attempts of a task are run close to each other, so
/// few suffice, and a repository can be large.
const KEPT: usize = 8;

/// What one task's workspaces begin as.
#[derive(Debug)]
pub(super) struct Template {
    place: Scratch,
    /// What the Dockerfile sets.
    pub(super) environment: Vec<(String, String)>,
}

/// The state that all agents of a task begin in, made once, where that is a whole root
/// file system.
#[derive(Debug)]
pub(super) struct RootTemplate {
    /// What their root file systems are made of.
    pub(super) snapshot: Snapshot,
    /// Where that is, if it is on this machine; removed after it.
    pub(super) _place: Scratch,
    /// The commit that is checked out, where it is a repository.
    pub(super) commit: Option<String>,
    /// Variables of every command.
    pub(super) environment: Vec<(String, String)>,
    /// What lies in `/tmp`.
    pub(super) tmp: Option<PathBuf>,
}

/// Tells starting states apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TemplateKey {
    /// What it is made of.
    pub(super) start: String,
    /// A repository is there with its history.
    pub(super) history: bool,
    /// The root file system it is made in.
    pub(super) image: Option<Image>,
    /// The sandbox it is made in.
    pub(super) backend: &'static str,
}

/// The slot of a starting state: locked while the state is being made, then full.
type TemplateSlot<T> = Arc<Mutex<Option<Arc<T>>>>;

/// What was made most recently, the last used first.
#[derive(Debug)]
pub(super) struct Recent<T>(Mutex<VecDeque<(TemplateKey, TemplateSlot<T>)>>);

/// The starting states made most recently: of directories, and of whole root file
/// systems.
#[derive(Debug, Default)]
pub struct Templates {
    pub(super) trees: Recent<Template>,
    pub(super) roots: Recent<RootTemplate>,
}

impl Template {
    /// A new one, filled by `fill`, which gets two empty directories, for the task's
    /// tree and for `/tmp`, and returns the variables it has set.
    pub(super) fn new(
        fill: impl FnOnce(&Path, &Path) -> Result<Vec<(String, String)>>,
    ) -> Result<Self> {
        let place = Sandbox::scratch()?;
        let [tree, tmp] = ["tree", "tmp"].map(|name| place.path().join(name));
        for new in [&tree, &tmp] {
            fs::create_dir(new).map_err(Error::io("cannot be created", new))?;
        }
        let environment = fill(&tree, &tmp)?;
        Ok(Self { place, environment })
    }

    /// Lays a workspace's own tree over this one, and copies what is in `/tmp`.
    pub(super) fn lay_out(&self, place: &Path, tmp: &Path) -> Result<Layer> {
        copy(&self.place.path().join("tmp"), tmp)?;
        Layer::over(&self.tree(), place)
    }

    /// Where the task's tree is.
    pub(super) fn tree(&self) -> PathBuf {
        self.place.path().join("tree")
    }
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Recent<T> {
    /// The state of that key, made by `make` unless it is there already, and which of the
    /// two it was.
    pub(super) fn of(
        &self,
        key: TemplateKey,
        make: impl FnOnce() -> Result<T>,
    ) -> Result<(Arc<T>, Warmth)> {
        let slot = self.slot(key);
        let (slot, warmth) = match slot.try_lock() {
            Err(TryLockError::WouldBlock) => (slot.lock(), Warmth::Cold),
            Ok(free) => (Ok(free), Warmth::Warm),
            Err(TryLockError::Poisoned(free)) => (Err(free), Warmth::Warm),
        };
        // A panic while the state was being made has left the slot empty.
        let mut slot = slot.unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = &*slot {
            return Ok((Arc::clone(made), warmth));
        }
        let made = Arc::new(make()?);
        *slot = Some(Arc::clone(&made));
        Ok((made, Warmth::Cold))
    }

    fn slot(&self, key: TemplateKey) -> TemplateSlot<T> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = match slots.iter().position(|(other, _)| *other == key) {
            Some(index) => slots.remove(index).map(|(_, slot)| slot),
            None => None,
        };
        let slot = slot.unwrap_or_default();
        slots.push_front((key, Arc::clone(&slot)));
        slots.truncate(KEPT);
        slot
    }
}
