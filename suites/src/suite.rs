//! Suite files, and the tasks they select.

mod field_lines;
mod file;
mod quarantine;
mod read;
mod select;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use timeslip_datasets::bundled;

use crate::formats::TaskSource;
use crate::workspace::{TaskEnvironment, Templates};
use crate::{Error, Result, Task};

pub use file::{SuiteFile, SuiteLimits, TaskSample};
pub use quarantine::Quarantined;

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
        let candidates = file.format.0.load(&TaskSource {
            suite: &file.name,
            path: &source,
            cache: &place,
            pass_env: &file.pass_env,
            whole_environments: file.names_whole_environments(),
            find_clone: &|repo| file.clone_of(repo),
        })?;
        let quarantine = match &file.quarantine {
            Some(list) => Quarantined::read(&file.directory.join(list))?,
            None => Vec::new(),
        };
        let selection = file.select(candidates, quarantine)?;
        let templates = Arc::default();
        let (mut tasks, mut problems) = (Vec::new(), Vec::new());
        for (id, task) in selection.chosen {
            match task.and_then(|task| adapted(task, file, &templates)) {
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

    /// The suites that ship with timeslip, as [`Suite::load`] loads them.
    pub fn shipped(scratch: &Path) -> Result<Vec<Self>> {
        let names = SuiteFile::SHIPPED.iter();
        let load = |name: &&str| Self::load(&SuiteFile::shipped(name)?, scratch);
        names.map(load).collect()
    }

    /// The task of that id.
    pub fn task(&self, id: &str) -> Option<&Task> {
        self.tasks.iter().find(|task| task.id == id)
    }
}

/// The task as its suite wants it.
fn adapted(mut task: Task, file: &SuiteFile, templates: &Arc<Templates>) -> Result<Task> {
    let (rootfs, image) = (file.rootfs.as_deref(), file.image.as_deref());
    let workspace = &mut task.workspace;
    workspace.environment = TaskEnvironment::named(rootfs, image, &file.directory, &task.id)?;
    workspace.shims = file.shims.as_ref().map(|shims| file.directory.join(shims));
    workspace.templates = Arc::clone(templates);
    task.grader = file.grader.clone().unwrap_or_default();
    let time = task.grader.timeout_seconds.map(Duration::from_secs);
    if let Some(time) = time {
        workspace.needs.upkeep = time;
    }
    for step in &mut task.steps {
        step.instruction = file.prompted(&step.instruction);
        step.verifier_time = time.unwrap_or(step.verifier_time);
    }
    Ok(task)
}
