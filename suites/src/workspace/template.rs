//! Starting states: made once for a task, then handed out as layers over them.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tempfile::TempDir;
use timeslip_datasets::journal::Start;

use crate::sandbox::Layer;
use crate::sandbox::copy;
use crate::{Error, Result, Sandbox, Task, TaskKind};

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
type Key = (String, String, (PathBuf, bool));

/// The state of a task, once somebody has made it; locked while it is being made.
type Slot = Arc<Mutex<Option<Arc<Template>>>>;

/// The starting states made most recently, the last used first.
#[derive(Debug, Default)]
pub(crate) struct Templates(Mutex<VecDeque<(Key, Slot)>>);

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
    pub(super) fn of(
        &self,
        task: &Task,
        fill: impl FnOnce(&Path, &Path) -> Result<Vec<(String, String)>>,
    ) -> Result<(Arc<Template>, Start)> {
        let slot = self.slot(key(task));
        // Whoever panicked while making one has left the slot empty.
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(template) = &*slot {
            return Ok((Arc::clone(template), Start::Warm));
        }
        let template = Arc::new(Template::new(fill)?);
        *slot = Some(Arc::clone(&template));
        Ok((template, Start::Cold))
    }

    fn slot(&self, key: Key) -> Slot {
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

fn key(task: &Task) -> Key {
    let source = match &task.kind {
        TaskKind::SweBench { repository, .. } | TaskKind::SweBenchPro { repository, .. } => {
            repository.identity()
        }
        TaskKind::Harbor { task, .. } => (task.directory.clone(), true),
    };
    (task.suite.clone(), task.id.clone(), source)
}
