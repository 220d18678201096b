//! What the workspaces of a task are made of.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::environment::TaskEnvironment;
use super::start::Start;
use super::template::Templates;
use crate::sandbox::Capabilities;
use crate::{Error, Result};

/// What the workspaces of one task are made of.
#[derive(Clone, Debug)]
pub struct WorkspaceSpec {
    /// The task's id, for messages.
    pub task: String,
    /// What they begin as.
    pub start: Arc<dyn Start>,
    /// What the task asks of them.
    pub needs: Needs,
    /// The root file system that a suite names for it.
    pub environment: Option<TaskEnvironment>,
    /// A directory of programs that stand in for those that need a network.
    pub shims: Option<PathBuf>,
    /// Repositories come with their history: agents look at it, graders do not.
    pub history: bool,
    /// Starting states that were made already; the tasks of a suite share them.
    pub templates: Arc<Templates>,
}

/// What a task asks of the machine that it is tried on.
#[derive(Clone, Debug, PartialEq)]
pub struct Needs {
    /// Memory of its commands, in mebibytes.
    pub memory_mb: u64,
    /// What its commands may write in all, in mebibytes; and each of its verifier's.
    pub disk_mb: u64,
    /// Processors; all there are if it does not say.
    pub cpus: Option<u32>,
    /// What it is meant to reach.
    pub network: NetworkNeed,
    /// Commands are those of users that it names.
    pub users: bool,
    /// Images are fetched or built for its verifier.
    pub images: bool,
    /// It takes for granted that there is a directory `/logs`.
    pub logs: bool,
    /// How long what is done on its behalf may take: giving it files, say.
    pub upkeep: Duration,
}

impl Default for Needs {
    /// Four gibibytes of memory and ten of disk, and half an hour.
    fn default() -> Self {
        Self {
            memory_mb: 4096,
            disk_mb: 10_240,
            cpus: None,
            network: NetworkNeed::Unsaid,
            users: false,
            images: false,
            logs: false,
            upkeep: Duration::from_secs(1800),
        }
    }
}

/// What a task wants of the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NetworkNeed {
    /// It does not say.
    #[default]
    Unsaid,
    /// Nothing.
    None,
    /// Named hosts.
    NamedHosts,
    /// Everything.
    Public,
}

impl WorkspaceSpec {
    /// Workspaces that begin as `start` says, and for which nothing else is asked.
    pub fn new(task: &str, start: impl Start + 'static) -> Self {
        Self {
            task: task.to_owned(),
            start: Arc::new(start),
            needs: Needs::default(),
            environment: None,
            shims: None,
            history: true,
            templates: Arc::default(),
        }
    }

    /// Where commands run with a sandbox that has these capabilities; `None` is the
    /// machine's own read-only system. It stands in for an image that only a container
    /// engine has, unless the task's files are in that.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the task cannot be tried.
    pub(super) fn environment(
        &self,
        capabilities: &Capabilities,
    ) -> Result<Option<TaskEnvironment>> {
        let named = self.environment.clone();
        let environment = if capabilities.images {
            let own = || Some(TaskEnvironment::whole(self.start.image()?));
            named.or_else(own)
        } else {
            named.filter(|named| named.is_whole() || named.image.is_on_disk())
        };
        if self.needs.images && !capabilities.images {
            return Err(self.unsupported("has an image of its own for its verifier, which needs containers; use `--sandbox docker`"));
        }
        self.start.accept(environment.as_ref(), capabilities)?;
        Ok(environment)
    }

    pub(super) fn unsupported(&self, message: &str) -> Error {
        Error::Unsupported {
            task: self.task.clone(),
            message: message.to_owned(),
        }
    }

    pub(super) fn failed(&self, message: String) -> Error {
        Error::Prepare {
            task: self.task.clone(),
            message,
        }
    }

    /// What a task asks for and does not get of a sandbox with these capabilities; each
    /// is the same sentence for all tasks that it holds of. They are tried all the same,
    /// so that has to be said.
    ///
    /// # Errors
    /// As [`Workspace::check`](super::Workspace::check).
    pub fn caveats(&self, capabilities: &Capabilities) -> Result<Vec<&'static str>> {
        let environment = self.environment(capabilities)?;
        let whole = environment.is_some_and(|environment| environment.is_whole());
        let mut caveats = Vec::new();
        if self.needs.users && !(whole && capabilities.users) {
            caveats.push("a user is named for the agent or the verifier, but outside a container of its own everything runs as one user");
        }
        caveats.extend(match (self.needs.network, capabilities.network) {
            (NetworkNeed::Public, false) => Some("a network is wanted, but there is none in the sandbox"),
            (NetworkNeed::NamedHosts, false) => {
                Some("named hosts are to be reached, but there is no network in the sandbox")
            }
            (NetworkNeed::None, true) => {
                Some("no network is wanted, but without a sandbox there is this machine's")
            }
            (NetworkNeed::NamedHosts, true) => Some(
                "named hosts alone are to be reached, but without a sandbox everything is that this machine reaches",
            ),
            (NetworkNeed::Unsaid, _) | (NetworkNeed::None, false) | (NetworkNeed::Public, true) => None,
        });
        Ok(caveats)
    }
}
