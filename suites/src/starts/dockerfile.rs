//! What a Dockerfile makes: built by a container engine, or followed here.

use std::path::Path;

use super::recipe::{DockerfileSource, Recipe};
use crate::sandbox::{Capabilities, DockerfileReach};
use crate::workspace::{
    CommandVariables, Draft, Ground, MadeRoot, Start, TaskEnvironment, WorkspaceLayout,
};
use crate::{Error, Image, Result, Sandbox, Workspace};

/// An environment that a Dockerfile describes.
#[derive(Clone, Debug)]
pub(crate) struct DockerfileStart {
    /// The task's id.
    pub(crate) task: String,
    /// What is built or followed; need not exist where there is an image.
    pub(crate) source: DockerfileSource,
    /// A published image that stands in for it.
    pub(crate) image: Option<String>,
    /// Variables of every command.
    pub(crate) variables: CommandVariables,
}

impl Start for DockerfileStart {
    fn identity(&self) -> String {
        format!("{} of {}", self.task, self.source.file.display())
    }

    fn image(&self) -> Option<Image> {
        let DockerfileSource { file, context, .. } = &self.source;
        Some(match &self.image {
            Some(image) => Image::Reference(image.clone()),
            None => Image::Build {
                context: context.clone(),
                dockerfile: file
                    .strip_prefix(context)
                    .unwrap_or(Path::new("Dockerfile"))
                    .display()
                    .to_string(),
            },
        })
    }

    fn check(
        &self,
        environment: Option<&TaskEnvironment>,
        capabilities: &Capabilities,
    ) -> Result<()> {
        let whole = environment.is_some_and(|environment| environment.whole);
        // An engine follows its own.
        if whole && capabilities.images {
            return Ok(());
        }
        self.recipe(reach(environment, capabilities)).map(drop)
    }

    fn layout(&self, ground: &Ground<'_>) -> Result<WorkspaceLayout> {
        if ground.is_whole()
            && let Some(directory) = ground.working_directory
        {
            let own = self.source.workdir.as_deref();
            return Ok(WorkspaceLayout {
                mount: "/".to_owned(),
                working_directory: own.unwrap_or(directory).to_owned(),
            });
        }
        let recipe = self.recipe(reach(ground.environment, ground.capabilities))?;
        Ok(WorkspaceLayout {
            mount: recipe.mount().to_owned(),
            working_directory: recipe.working_directory().to_owned(),
        })
    }

    fn variables(&self, _: bool) -> CommandVariables {
        self.variables.clone()
    }

    fn fill(&self, draft: &Draft<'_>) -> Result<CommandVariables> {
        let mut workspace = draft.workspace()?;
        let recipe = self.recipe(DockerfileReach::OwnDirectory)?;
        recipe.follow(&mut workspace, draft.tree, &self.source, draft.sandbox)?;
        Ok(std::mem::take(workspace.variables()))
    }

    /// What it does anywhere lasts where it may write everywhere.
    fn wants_root(&self, environment: &TaskEnvironment, capabilities: &Capabilities) -> bool {
        !environment.whole && capabilities.dockerfile_reach == DockerfileReach::Everywhere
    }

    fn make_root(&self, draft: &mut Workspace, sandbox: &Sandbox) -> Result<MadeRoot> {
        // What the task sets for its agent is not there while its image is built.
        draft.variables().clear();
        let tree = draft.root_path().map(Path::to_path_buf);
        let tree = tree.ok_or_else(|| Error::Prepare {
            task: self.task.clone(),
            message: "its root file system is not on this machine".to_owned(),
        })?;
        let recipe = self.recipe(DockerfileReach::Everywhere)?;
        recipe.follow(draft, &tree, &self.source, sandbox)?;
        Ok(MadeRoot {
            commit: None,
            variables: std::mem::take(draft.variables()),
            with_tmp: true,
        })
    }
}

impl DockerfileStart {
    fn recipe(&self, reach: DockerfileReach) -> Result<Recipe> {
        let file = &self.source.file;
        if let Some(image) = &self.image
            && !file.exists()
        {
            return Err(Error::Unsupported {
                task: self.task.clone(),
                message: format!(
                    "is made from the image {image}, which needs containers; without them a Dockerfile can be followed"
                ),
            });
        }
        Recipe::read(&self.source, reach)
    }
}

/// Where a Dockerfile may write that is followed in an environment.
fn reach(environment: Option<&TaskEnvironment>, capabilities: &Capabilities) -> DockerfileReach {
    match environment {
        Some(_) => capabilities.dockerfile_reach,
        None => DockerfileReach::OwnDirectory,
    }
}
