//! Suite files, and the tasks they select.

mod file;
mod place;
mod quarantine;
mod select;
mod task;
mod variables;

use std::path::{Path, PathBuf};

use timeslip_datasets::{bundled, harbor, swebench, terminal_bench};

use crate::{Error, Result};
use select::Candidate;

pub use file::{Format, GraderOptions, Sample, SuiteFile, SuiteLimits};
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
        let candidates = match file.format {
            Format::SweBench => load_swe_bench(file, &source, &place)?,
            Format::Harbor => load_harbor(file, harbor::list(&source)?, harbor::read_task),
            Format::TerminalBench1 => load_harbor(
                file,
                terminal_bench::list(&source)?,
                terminal_bench::read_task,
            ),
        };
        let quarantine = match &file.quarantine {
            Some(list) => Quarantined::read(&file.directory.join(list))?,
            None => Vec::new(),
        };
        let selection = file.select(candidates, quarantine)?;
        let (mut tasks, mut problems) = (Vec::new(), Vec::new());
        for (id, task) in selection.chosen {
            match task {
                Ok(mut task) => {
                    task.adapt(file);
                    tasks.push(task);
                }
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

fn load_swe_bench(file: &SuiteFile, source: &Path, place: &Path) -> Result<Vec<Candidate>> {
    let caches: PathBuf = place.join("repositories");
    std::fs::create_dir_all(&caches).map_err(Error::io("cannot create", &caches))?;
    let candidate = |task: swebench::SweTask| {
        let id = task.instance_id.clone();
        (id, Task::from_swe_bench(&file.name, task, source, &caches))
    };
    let tasks = swebench::read_repository(source)?;
    Ok(tasks.into_iter().map(candidate).collect())
}

fn load_harbor(
    file: &SuiteFile,
    directories: Vec<PathBuf>,
    read: fn(&Path) -> timeslip_datasets::Result<harbor::HarborTask>,
) -> Vec<Candidate> {
    let candidate = |directory: PathBuf| {
        let id = directory.file_name().unwrap_or_default();
        let task = read(&directory)
            .map_err(Error::from)
            .and_then(|task| Task::from_harbor(&file.name, task, &file.pass_env));
        (id.to_string_lossy().into_owned(), task)
    };
    directories.into_iter().map(candidate).collect()
}
