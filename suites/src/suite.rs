//! Suite files, and the tasks they select.

mod file;
mod formats;
mod task;

use std::path::Path;

use timeslip_datasets::bundled;

use crate::workspace::Environment;
use crate::{Error, Result};

pub use file::SuiteFile;
pub use formats::Format;
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
}

/// The prefix of a source that is embedded in the binary.
const BUNDLED: &str = "bundled:";

impl Suite {
    /// Loads and checks every selected task. `scratch` is an existing directory
    /// that outlives the suite; bundled tasks and caches are put below it, in a
    /// directory of their own for every load.
    pub fn load(file: &SuiteFile, scratch: &Path) -> Result<Self> {
        file.check()?;
        let place = tempfile::Builder::new()
            .prefix(&format!("{}-", file.name))
            .tempdir_in(scratch)
            .map_err(Error::io("cannot create a directory", scratch))?
            .keep();
        let source = match file.source.strip_prefix(BUNDLED) {
            Some(name) => bundled::unpack(name, &place)?,
            None => file.directory.join(&file.source),
        };
        let all = file.format.load(file, &source, &place)?;
        let mut tasks = file.select(all)?;
        let (rootfs, image) = (file.rootfs.as_deref(), file.image.as_deref());
        for task in &mut tasks {
            task.environment = Environment::named(rootfs, image, &file.directory, &task.id)?;
        }
        Ok(Self {
            name: file.name.clone(),
            description: file.description.clone(),
            tasks,
        })
    }

    /// The task of that id.
    pub fn task(&self, id: &str) -> Option<&Task> {
        self.tasks.iter().find(|task| task.id == id)
    }
}
