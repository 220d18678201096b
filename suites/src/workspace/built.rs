//! A terminal task's environment, built in a root file system as a container engine
//! builds it in an image: what its Dockerfile does anywhere lasts.

use timeslip_datasets::harbor::HarborTask;

use super::recipe::{Reach, Recipe};
use super::start::Start;
use crate::{Error, Image, Result, Sandbox, Task};

/// Follows the Dockerfile of `task` in a root file system made from `image`.
pub(super) fn start(
    task: &Task,
    harbor: &HarborTask,
    image: &Image,
    sandbox: &Sandbox,
) -> Result<Start> {
    let (place, mut draft) = Start::draft(task, image, sandbox)?;
    // What the task sets for its agent is not there while its image is built.
    draft.environment.clear();
    let no_files = || Error::Prepare {
        task: task.id.clone(),
        message: "its root file system is not on this machine".to_owned(),
    };
    let root = draft.root.clone().ok_or_else(no_files)?;
    let tree = root.path().ok_or_else(no_files)?;
    Recipe::of(harbor, Reach::Everywhere)?.follow(&mut draft, tree, harbor, sandbox)?;
    Ok(Start {
        snapshot: sandbox.snapshot(&root)?,
        commit: None,
        environment: std::mem::take(&mut draft.environment),
        tmp: Some(draft.tmp.clone()),
        _place: place,
    })
}
