//! A repository at the commit that the work starts from.

use super::clone::{self, RepositoryClone};
use super::published;
use crate::sandbox::Capabilities;
use crate::workspace::{
    CommandVariables, Draft, Ground, MadeRoot, Start, TaskEnvironment, WorkspaceLayout,
};
use crate::{Error, Image, Result, Sandbox, Workspace};

/// Where a repository is, and what its commands see.
#[derive(Clone, Debug)]
pub(crate) struct RepositoryStart {
    /// The task's id.
    pub(crate) task: String,
    /// `owner/name`.
    pub(crate) repo: String,
    /// The commit that the work starts from.
    pub(crate) base_commit: String,
    /// Where its code comes from, unless it is in the image.
    pub(crate) clone: Option<RepositoryClone>,
    /// The image that it is published in.
    pub(crate) image: String,
    /// The directory that it is in, inside.
    pub(crate) directory: &'static str,
    /// Variables of every command.
    pub(crate) variables: CommandVariables,
    /// How its Python packages are installed, where it is known to be made of such.
    pub(crate) python: Option<Python>,
    /// The image has it at another commit, so that a verifier begins with a reset.
    pub(crate) reset: bool,
}

/// A repository of Python packages that are installed from it: in a published image in a
/// conda environment, on other machines for the user.
#[derive(Clone, Debug)]
pub(crate) struct Python {
    /// The version of the software; a checkout has no tags to tell.
    pub(crate) version: String,
}

impl Start for RepositoryStart {
    fn identity(&self) -> String {
        let clone = self.clone.as_ref();
        format!(
            "{} at {} of {:?} in {}",
            self.task,
            self.base_commit,
            clone.map(RepositoryClone::origin_path),
            self.directory
        )
    }

    fn image(&self) -> Option<Image> {
        match self.clone {
            Some(_) => None,
            None => Some(Image::Reference(self.image.clone())),
        }
    }

    fn accept(
        &self,
        environment: Option<&TaskEnvironment>,
        capabilities: &Capabilities,
    ) -> Result<()> {
        let whole = environment.is_some_and(|environment| environment.whole);
        if self.clone.is_some() || whole {
            return Ok(());
        }
        let remedy = if capabilities.images {
            "leave `image` and `rootfs` out of the suite file, or write {task} in their name"
        } else {
            "use `--sandbox docker`, or export it and name the archive as `rootfs`, with {task} in its name"
        };
        let Self { image, repo, .. } = self;
        Err(self.unsupported(format!(
            "its code is in the image {image}: {remedy}, or name a folder with a clone of {repo} as `repositories` in the suite file"
        )))
    }

    fn layout(&self, _: &Ground<'_>) -> Result<WorkspaceLayout> {
        Ok(WorkspaceLayout {
            mount: self.directory.to_owned(),
            working_directory: self.directory.to_owned(),
        })
    }

    fn variables(&self, whole: bool) -> CommandVariables {
        let mut variables = self.variables.clone();
        if whole && self.python.is_some() {
            variables.extend(clone::offline());
        }
        variables
    }

    fn fill(&self, draft: &Draft<'_>) -> Result<CommandVariables> {
        let Some(clone) = &self.clone else {
            return Err(self.unsupported("its code is in an image alone".to_owned()));
        };
        clone.check_out(&self.task, &self.base_commit, draft.history, draft.tree)?;
        Ok(match &self.python {
            Some(python) => clone.environment(&python.version),
            None => Vec::new(),
        })
    }

    fn wants_root(&self, environment: &TaskEnvironment, _: &Capabilities) -> bool {
        environment.whole
    }

    fn make_root(&self, draft: &mut Workspace, sandbox: &Sandbox) -> Result<MadeRoot> {
        self.reset(draft, sandbox)?;
        Ok(MadeRoot {
            commit: Some(published::forget(&self.base_commit, draft, sandbox)?),
            variables: match &self.python {
                Some(_) => published::activated(draft, sandbox)?,
                None => Vec::new(),
            },
            with_tmp: false,
        })
    }

    fn reset(&self, workspace: &Workspace, sandbox: &Sandbox) -> Result<()> {
        match self.reset {
            true => published::reset(&self.base_commit, workspace, sandbox),
            false => Ok(()),
        }
    }
}

impl RepositoryStart {
    fn unsupported(&self, message: String) -> Error {
        Error::Unsupported {
            task: self.task.clone(),
            message,
        }
    }
}
