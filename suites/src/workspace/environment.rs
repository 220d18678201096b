//! Which root file system a task's commands run in.

use std::path::{Path, PathBuf};

use timeslip_datasets::harbor::Step;

use crate::{Backend, Error, Image, Result, Task, TaskKind};

/// Stands for the task's id in the `rootfs` or `image` of a suite.
const TASK: &str = "{task}";

/// A root file system for a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// What it is made from.
    pub image: Image,
    /// The task's own files are in it. Otherwise it takes the place of the machine's
    /// system, and the task is prepared in it.
    pub whole: bool,
}

impl Environment {
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

    /// Where the commands of `task` run with a backend; `None` is the machine's own
    /// read-only system. It stands in for an image that only a container engine has,
    /// unless the task's files are in that.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the code of the task is nowhere.
    pub(super) fn of(task: &Task, backend: Backend) -> Result<Option<Self>> {
        let environment = Self::wanted(task, backend);
        let whole = environment.as_ref().is_some_and(|found| found.whole);
        let (image, repo) = match &task.kind {
            TaskKind::SweBench {
                task,
                repository: None,
            } => (task.image_name(), &task.repo),
            TaskKind::SweBenchPro {
                task,
                repository: None,
            } => (task.image_name(), &task.repo),
            TaskKind::Harbor { task: harbor, .. } => {
                let own = |step: &Step| step.verifier.image.is_some();
                if backend != Backend::Docker && harbor.steps.iter().any(own) {
                    return Err(Error::Unsupported {
                        task: task.id.clone(),
                        message: "has an image of its own for its verifier, which needs containers; use `--sandbox docker`".to_owned(),
                    });
                }
                return Ok(environment);
            }
            TaskKind::SweBench { .. } | TaskKind::SweBenchPro { .. } => return Ok(environment),
        };
        if whole {
            return Ok(environment);
        }
        let remedy = match backend {
            Backend::Docker => {
                "leave `image` and `rootfs` out of the suite file, or write {task} in their name"
            }
            Backend::Bubblewrap | Backend::Process => {
                "use `--sandbox docker`, or export it and name the archive as `rootfs`, with {task} in its name"
            }
        };
        Err(Error::Unsupported {
            task: task.id.clone(),
            message: format!(
                "its code is in the image {image}: {remedy}, or name a folder with a clone of {repo} as `repositories` in the suite file"
            ),
        })
    }

    fn wanted(task: &Task, backend: Backend) -> Option<Self> {
        match backend {
            Backend::Bubblewrap | Backend::Process => task
                .environment
                .clone()
                .filter(|environment| environment.whole || environment.image.is_on_disk()),
            Backend::Docker => task
                .environment
                .clone()
                .or_else(|| own_image(task).map(|image| Self { image, whole: true })),
        }
    }
}

/// The image a task itself names, or is built from; none where its code is in a clone.
fn own_image(task: &Task) -> Option<Image> {
    match &task.kind {
        TaskKind::SweBench { task, repository } => {
            let own = repository.is_none();
            own.then(|| Image::Reference(task.image_name()))
        }
        TaskKind::SweBenchPro { task, repository } => {
            let own = repository.is_none();
            own.then(|| Image::Reference(task.image_name()))
        }
        TaskKind::Harbor { task, .. } => {
            let own = &task.environment;
            Some(match &own.docker_image {
                Some(image) => Image::Reference(image.clone()),
                None => Image::Build {
                    context: own.context.clone(),
                    dockerfile: own
                        .dockerfile
                        .strip_prefix(&own.context)
                        .unwrap_or(Path::new("Dockerfile"))
                        .display()
                        .to_string(),
                },
            })
        }
    }
}
