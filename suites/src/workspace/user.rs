//! The user that the agent is in a container of the task's own.

use std::sync::PoisonError;

use super::Workspace;
use crate::{Invocation, Limits, Result, Sandbox};

/// A user of a container.
#[derive(Clone, Debug, Default)]
pub(super) struct ContainerUser {
    /// The image's own if not given.
    name: Option<String>,
    /// Whose the files are that it makes: user and group.
    pub(super) owner: (u64, u64),
}

/// Asking for two numbers takes no time.
const TIME: std::time::Duration = std::time::Duration::from_secs(60);

const IDS: &str = "id -u && id -g";

impl ContainerUser {
    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

impl Workspace {
    /// Whether its commands can be those of several users: those of its own container.
    /// A root file system that all tasks share does not know a task's users.
    pub(crate) fn has_users(&self) -> bool {
        self.in_container() && self.tree.is_none()
    }

    /// Makes the agent the user that its task wants it to be, where there are users.
    ///
    /// # Errors
    /// [`Error::Prepare`] when its environment has no such user.
    pub(crate) fn work_as(&self, user: Option<&str>, sandbox: &Sandbox) -> Result<()> {
        let image = self.root.as_ref().and_then(|root| root.files().user());
        let found = match user.or(image) {
            Some(name) if self.has_users() => ContainerUser {
                name: user.map(str::to_owned),
                owner: self.ids(name, sandbox)?,
            },
            _ => ContainerUser::default(),
        };
        *self.user.lock().unwrap_or_else(PoisonError::into_inner) = found;
        Ok(())
    }

    pub(super) fn user(&self) -> ContainerUser {
        let user = self.user.lock().unwrap_or_else(PoisonError::into_inner);
        user.clone()
    }

    /// A command by `user`, where there are users.
    pub(crate) fn by(&self, user: Option<&str>, invocation: Invocation) -> Invocation {
        let user = user.filter(|_| self.has_users());
        Invocation {
            user: user.map(str::to_owned),
            ..invocation
        }
    }

    fn ids(&self, user: &str, sandbox: &Sandbox) -> Result<(u64, u64)> {
        let limits = Limits {
            wall: TIME,
            output_bytes: 1024,
            memory_mb: self.spec.needs.memory_mb,
        };
        let asked = self.by(Some(user), self.invocation(IDS, limits));
        let answer = sandbox.run(&Invocation {
            working_directory: "/".to_owned(),
            ..asked
        });
        let failed = |why: String| {
            self.spec.failed(format!(
                "it is made for the user {user:?}, whom its environment does not have: {why}"
            ))
        };
        let text = answer.map_err(|error| failed(error.to_string()))?.text();
        let mut ids = text.lines().map(str::parse);
        match (ids.next(), ids.next()) {
            (Some(Ok(user)), Some(Ok(group))) => Ok((user, group)),
            _ => Err(failed(text.trim().to_owned())),
        }
    }
}
