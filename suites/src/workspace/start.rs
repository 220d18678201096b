//! What a workspace begins as.

use std::fmt;
use std::path::Path;

use super::Workspace;
use super::environment::TaskEnvironment;
use crate::sandbox::Capabilities;
use crate::{Image, Result, Sandbox};

/// Variables of every command.
pub type CommandVariables = Vec<(String, String)>;

/// What the workspaces of a task begin as: the same files every time.
pub trait Start: fmt::Debug + Send + Sync {
    /// Tells one starting state from another: what has the same identity is made once.
    fn identity(&self) -> String;

    /// The image that holds all of it, for a sandbox that has images.
    fn image(&self) -> Option<Image> {
        None
    }

    /// Whether it can begin in an environment at all; `None` is the machine's own system.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`] says why not, and what to do.
    fn accept(&self, _: Option<&TaskEnvironment>, _: &Capabilities) -> Result<()> {
        Ok(())
    }

    /// Checks what it is made from, before the first trial; nothing is made.
    ///
    /// # Errors
    /// Whatever making it would fail with that can be known.
    fn check(&self, _: Option<&TaskEnvironment>, _: &Capabilities) -> Result<()> {
        Ok(())
    }

    /// Where its files are inside.
    ///
    /// # Errors
    /// As [`Start::check`].
    fn layout(&self, ground: &Ground<'_>) -> Result<WorkspaceLayout>;

    /// Variables of every command of the task; in an environment that is `whole` or not.
    fn variables(&self, _whole: bool) -> CommandVariables {
        Vec::new()
    }

    /// Puts the files into the empty directory of a draft, and gives the variables that
    /// are set on the way.
    ///
    /// # Errors
    /// [`crate::Error::Prepare`] says what failed.
    fn fill(&self, draft: &Draft<'_>) -> Result<CommandVariables>;

    /// Whether a root file system is made ready first, by [`Start::make_root`], out of
    /// the image of an environment.
    fn wants_root(&self, _: &TaskEnvironment, _: &Capabilities) -> bool {
        false
    }

    /// Makes the root file system of `draft`, a workspace that has one, what agents are
    /// to begin with.
    ///
    /// # Errors
    /// [`crate::Error::Prepare`] says what failed.
    fn make_root(&self, _draft: &mut Workspace, _sandbox: &Sandbox) -> Result<MadeRoot> {
        Ok(MadeRoot::default())
    }

    /// Puts a whole environment into the state that its verifier begins in.
    ///
    /// # Errors
    /// [`crate::Error::Prepare`] says what failed.
    fn reset(&self, _workspace: &Workspace, _sandbox: &Sandbox) -> Result<()> {
        Ok(())
    }
}

/// What a workspace is laid out on.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'a> {
    /// The root file system; `None` is the machine's own.
    pub environment: Option<&'a TaskEnvironment>,
    /// Where its image wants commands to start, if it says.
    pub working_directory: Option<&'a str>,
    /// What the sandbox can do.
    pub capabilities: &'a Capabilities,
}

impl Ground<'_> {
    /// Whether the task's own files are there already.
    pub fn is_whole(&self) -> bool {
        self.environment
            .is_some_and(|environment| environment.whole)
    }
}

/// Where the files of a workspace are inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkspaceLayout {
    /// The directory that is the task's own, unless the environment is whole.
    pub mount: String,
    /// Where commands start.
    pub working_directory: String,
}

/// What has become of a root file system.
#[derive(Clone, Debug, Default)]
pub struct MadeRoot {
    /// The commit that is checked out, where it is a repository.
    pub commit: Option<String>,
    /// Variables of every command.
    pub variables: CommandVariables,
    /// What lies in `/tmp` is part of it.
    pub with_tmp: bool,
}

/// A starting state that is being made.
#[derive(Debug)]
pub struct Draft<'a> {
    /// The empty directory that is to become the task's own.
    pub tree: &'a Path,
    /// What runs commands.
    pub sandbox: &'a Sandbox,
    /// A repository is to have its history.
    pub history: bool,
    pub(super) mount: &'a str,
    pub(super) tmp: &'a Path,
    pub(super) environment: Option<&'a TaskEnvironment>,
    pub(super) like: &'a Workspace,
}

impl Draft<'_> {
    /// A workspace in which commands see the directory.
    pub(crate) fn workspace(&self) -> Result<Workspace> {
        // What is built outside the tree is thrown away.
        let beside = self.tree.parent().unwrap_or(self.tree);
        let root = match self.environment {
            Some(environment) => {
                let (root, _) = self
                    .sandbox
                    .root(&environment.image, &beside.join("root"))?;
                Some(root)
            }
            None => None,
        };
        self.like.draft(self, root, beside)
    }
}
