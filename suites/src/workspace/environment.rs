//! Which root file system a task's commands run in.

use std::path::{Path, PathBuf};

use crate::{Image, Result};

/// Stands for the task's id in the `rootfs` or `image` of a suite.
const TASK: &str = "{task}";

/// A root file system for a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskEnvironment {
    /// What it is made from.
    pub image: Image,
    /// The task's own files are in it. Otherwise it takes the place of the machine's
    /// system, and the task is prepared in it.
    pub whole: bool,
}

impl TaskEnvironment {
    /// One that holds the task's own files.
    pub(crate) fn whole(image: Image) -> Self {
        Self { image, whole: true }
    }

    /// What a suite names for a task: a `rootfs` on disk, relative to `directory`, or
    /// an `image` of a container engine. With `{task}` in its name it is a task's own
    /// and whole; otherwise it is what all of them begin with.
    pub(crate) fn named(
        rootfs: Option<&str>,
        image: Option<&str>,
        directory: &Path,
        task: &str,
    ) -> Result<Option<Self>> {
        let named = |name: &str| (name.replace(TASK, task), Self::is_whole(name));
        Ok(match (rootfs, image) {
            (Some(rootfs), _) => {
                let (path, whole) = named(rootfs);
                let image = Image::at(&directory.join(PathBuf::from(path)))?;
                Some(Self { image, whole })
            }
            (None, Some(image)) => {
                let (name, whole) = named(image);
                let image = Image::Reference(name);
                Some(Self { image, whole })
            }
            (None, None) => None,
        })
    }

    /// Whether what a suite calls so is a task's own.
    pub(crate) fn is_whole(name: &str) -> bool {
        name.contains(TASK)
    }
}
