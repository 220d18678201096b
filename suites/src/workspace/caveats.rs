//! What tasks ask for that a sandbox does not give them. They are tried all the same, so
//! that has to be said.

use timeslip_datasets::harbor::Network;

use super::{Environment, Workspace};
use crate::{Backend, Result, Task, TaskKind};

impl Workspace {
    /// What `task` asks for and does not get; each completes "tasks …", and is the same
    /// for all tasks that it holds of.
    ///
    /// # Errors
    /// As [`Workspace::check`].
    pub fn caveats(task: &Task, backend: Backend) -> Result<Vec<&'static str>> {
        let TaskKind::Harbor { task: harbor, .. } = &task.kind else {
            return Ok(Vec::new());
        };
        let whole = Environment::of(task, backend)?.is_some_and(|environment| environment.whole);
        let users = whole && backend == Backend::Docker;
        let mut steps = harbor.steps.iter();
        let wants_user = steps.any(|step| {
            // A verifier with an image of its own is in a container of that.
            let verifier = step.verifier.user.as_ref();
            let verifier = verifier.filter(|_| step.verifier.image.is_none());
            step.agent_user.is_some() || verifier.is_some()
        });
        let mut caveats = Vec::new();
        if wants_user && !users {
            caveats.push("name the user that the agent or the verifier is to be; outside containers of their own, everything runs as one user");
        }
        match (harbor.environment.network, backend) {
            (Network::Public, Backend::Bubblewrap | Backend::Docker) => {
                caveats.push("want a network; there is none in the sandbox");
            }
            (Network::Allowlist, Backend::Bubblewrap | Backend::Docker) => {
                caveats
                    .push("name hosts that they want to reach; there is no network in the sandbox");
            }
            (Network::None, Backend::Process) => {
                caveats.push("are to have no network; without a sandbox they have this machine's");
            }
            (Network::Allowlist, Backend::Process) => {
                caveats.push("are to reach named hosts alone; without a sandbox they reach what this machine does");
            }
            (Network::Unsaid | Network::None | Network::Public, _) => {}
        }
        Ok(caveats)
    }
}
