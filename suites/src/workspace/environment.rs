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
    /// What is in it.
    pub holds: ImageHolds,
}

/// What an image holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageHolds {
    /// A system in the place of the machine's, in which the task is then prepared.
    System,
    /// The task's own files, too.
    Task,
}

impl TaskEnvironment {
    /// One that holds the task's own files.
    pub(crate) fn whole(image: Image) -> Self {
        Self {
            image,
            holds: ImageHolds::Task,
        }
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
        let named = |name: &str| (name.replace(TASK, task), Self::held_by(name));
        Ok(match (rootfs, image) {
            (Some(rootfs), _) => {
                let (path, holds) = named(rootfs);
                let image = Image::at(&directory.join(PathBuf::from(path)))?;
                Some(Self { image, holds })
            }
            (None, Some(image)) => {
                let (name, holds) = named(image);
                let image = Image::Reference(name);
                Some(Self { image, holds })
            }
            (None, None) => None,
        })
    }

    /// What an image holds that a suite calls so.
    fn held_by(name: &str) -> ImageHolds {
        match name.contains(TASK) {
            true => ImageHolds::Task,
            false => ImageHolds::System,
        }
    }

    /// Whether what a suite calls so holds a task's own files.
    pub(crate) fn names_whole(name: &str) -> bool {
        Self::held_by(name) == ImageHolds::Task
    }

    /// Whether the task's own files are in it.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.holds == ImageHolds::Task
    }
}
