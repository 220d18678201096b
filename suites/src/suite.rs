//! Suite files, and the tasks they select.

mod file;
mod formats;
mod place;
mod quarantine;
mod select;
mod task;
mod variables;

use std::path::Path;

use timeslip_datasets::bundled;

use crate::{Error, Result};

pub use file::{GraderOptions, Sample, SuiteFile, SuiteLimits};
pub use formats::Format;
pub use quarantine::Quarantined;
pub(crate) use task::TESTBED;
pub use task::{Task, TaskKind};

/// A loaded suite.
#[derive(Clone, Debug)]
pub struct Suite {
    /// The suite's name.
    pub name: String,
    /// One sentence about it.
    pub description: String,
    /// Its tasks, by id.
    pub tasks: Vec<Task>,
    /// What would belong to it, but is in quarantine.
    pub excluded: Vec<Quarantined>,
}

impl Suite {
    /// Loads and checks every selected task. `scratch` is an existing directory
    /// that outlives the suite; bundled tasks and caches are put below it, in a
    /// directory of their own for every load.
    pub fn load(file: &SuiteFile, scratch: &Path) -> Result<Self> {
        let (suite, problems) = Self::open(file, scratch)?;
        match select::unusable(problems) {
            Some(error) => Err(error),
            None => Ok(suite),
        }
    }

    /// Like [`Suite::load`], with the tasks that cannot be used and why beside those
    /// that can.
    pub fn open(file: &SuiteFile, scratch: &Path) -> Result<(Self, Vec<(String, Error)>)> {
        file.check()?;
        let place = tempfile::Builder::new()
            .prefix(&format!("{}-", file.name))
            .tempdir_in(scratch)
            .map_err(Error::io("cannot create a directory", scratch))?
            .keep();
        let source = match file.bundled() {
            Some(name) => bundled::unpack(name, &place)?,
            None => file.directory.join(&file.source),
        };
        if let Some(shims) = &file.shims {
            let shims = file.directory.join(shims);
            shims
                .read_dir()
                .map_err(Error::io("the shims cannot be listed", &shims))?;
        }
        let candidates = file.format.load(file, &source, &place)?;
        let quarantine = match &file.quarantine {
            Some(list) => Quarantined::read(&file.directory.join(list))?,
            None => Vec::new(),
        };
        let selection = file.select(candidates, quarantine)?;
        let (mut tasks, mut problems) = (Vec::new(), Vec::new());
        for (id, task) in selection.chosen {
            match task.and_then(|task| task.adapted(file)) {
                Ok(task) => tasks.push(task),
                Err(error) => problems.push((id, error)),
            }
        }
        let suite = Self {
            name: file.name.clone(),
            description: file.description.clone(),
            tasks,
            excluded: selection.excluded,
        };
        Ok((suite, problems))
    }

    /// The task of that id.
    pub fn task(&self, id: &str) -> Option<&Task> {
        self.tasks.iter().find(|task| task.id == id)
    }
}
