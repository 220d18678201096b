//! Starting states: made once for a task, then handed out as layers over them.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use tempfile::TempDir;
use timeslip_datasets::journal::Warmth;

use super::Repository;
use super::start::Start;
use crate::sandbox::Layer;
use crate::sandbox::copy;
use crate::{Error, Image, Result, Sandbox, Task, TaskKind};

/// Starting states that are kept. Attempts of a task are run close to each other, so
/// few suffice, and a repository can be large.
const KEPT: usize = 8;

/// What one task's workspaces begin as.
#[derive(Debug)]
pub(super) struct Template {
    place: TempDir,
    /// What the Dockerfile sets.
    pub(super) environment: Vec<(String, String)>,
}

/// Tells tasks apart: suite, task, and where it comes from.
type Key = (String, String, Source);

/// What a starting state is made of.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    /// Files of this machine; a repository with its history or without.
    Files(PathBuf, bool),
    Image(Image),
}

/// The state of a task, once somebody has made it; locked while it is being made.
type Slot<T> = Arc<Mutex<Option<Arc<T>>>>;

/// What was made most recently, the last used first.
#[derive(Debug)]
struct Recent<T>(Mutex<VecDeque<(Key, Slot<T>)>>);

/// The starting states made most recently.
#[derive(Debug, Default)]
pub(crate) struct Templates {
    trees: Recent<Template>,
    images: Recent<Start>,
}

impl Template {
    /// A new one, filled by `fill`, which gets two empty directories, for the task's
    /// tree and for `/tmp`, and returns the variables it has set.
    fn new(fill: impl FnOnce(&Path, &Path) -> Result<Vec<(String, String)>>) -> Result<Self> {
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
        Layer::over(&self.place.path().join("tree"), place)
    }
}

impl Templates {
    /// The starting state of `task`, made by `fill` unless it is there already, and
    /// which of the two it was.
    pub(super) fn tree(
        &self,
        task: &Task,
        fill: impl FnOnce(&Path, &Path) -> Result<Vec<(String, String)>>,
    ) -> Result<(Arc<Template>, Warmth)> {
        let source = match &task.kind {
            TaskKind::SweBench { repository, .. } | TaskKind::SweBenchPro { repository, .. } => {
                repository.as_ref().map(Repository::identity)
            }
            TaskKind::Harbor { task, .. } => Some((task.directory.clone(), true)),
        };
        let (path, history) = source.unwrap_or_default();
        let source = Source::Files(path, history);
        self.trees.of(key(task, source), || Template::new(fill))
    }

    /// The same of a task whose workspaces are whole root file systems made from `image`.
    pub(super) fn image(
        &self,
        task: &Task,
        image: &Image,
        make: impl FnOnce() -> Result<Start>,
    ) -> Result<(Arc<Start>, Warmth)> {
        let source = Source::Image(image.clone());
        self.images.of(key(task, source), make)
    }
}

fn key(task: &Task, source: Source) -> Key {
    (task.suite.clone(), task.id.clone(), source)
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Recent<T> {
    fn of(&self, key: Key, make: impl FnOnce() -> Result<T>) -> Result<(Arc<T>, Warmth)> {
        let slot = self.slot(key);
        let (slot, warmth) = match slot.try_lock() {
            Err(TryLockError::WouldBlock) => (slot.lock(), Warmth::Cold),
            Ok(free) => (Ok(free), Warmth::Warm),
            Err(TryLockError::Poisoned(free)) => (Err(free), Warmth::Warm),
        };
        // Whoever panicked while making one has left the slot empty.
        let mut slot = slot.unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = &*slot {
            return Ok((Arc::clone(made), warmth));
        }
        let made = Arc::new(make()?);
        *slot = Some(Arc::clone(&made));
        Ok((made, Warmth::Cold))
    }

    fn slot(&self, key: Key) -> Slot<T> {
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
