//! What a workspace in a container is given from outside.

use std::path::Path;

use super::Workspace;
use super::mounts::{copy, mount};
use crate::sandbox::{ROOT, TMP};
use crate::{Invocation, Limits, Result, Sandbox};

/// What is kept of the output of managing commands, for a person.
const MANAGED_BYTES: usize = 4096;

/// Below `/tmp`: what a container is lent.
const LENT: &str = ".timeslip-lent";

impl Workspace {
    /// Whether commands run in a container, which has files of its own.
    pub(crate) fn in_container(&self) -> bool {
        let root = self.root.as_ref();
        root.is_some_and(|root| root.path().is_none())
    }

    /// Lets a command see the content of `host` in the directory `inside`. A container
    /// sees only what it was made with: it is given a copy, so that what the command
    /// changes elsewhere lasts.
    pub(crate) fn lend(
        &self,
        invocation: &mut Invocation,
        host: &Path,
        inside: &str,
        sandbox: &Sandbox,
    ) -> Result<()> {
        if self.in_container() {
            return self.put(host, inside, sandbox);
        }
        invocation.mounts.push(mount(host, inside, false));
        Ok(())
    }

    /// Puts a copy of the content of `host` into the directory `inside` of a container,
    /// which its first user may do anywhere.
    pub(crate) fn put(&self, host: &Path, inside: &str, sandbox: &Sandbox) -> Result<()> {
        let failed = |why: String| {
            let what = host.display();
            self.spec
                .failed(format!("{what} cannot be put into its container: {why}"))
        };
        copy(host, &self.tmp, Path::new(LENT))
            .map_err(|refusal| failed(format!("it {refusal}")))?;
        let (place, inside) = (format!("{TMP}/{LENT}"), quoted(inside));
        let put = format!("mkdir -p {inside} && cp -R {place}/. {inside} && rm -rf {place}");
        self.manage(&put, sandbox)?.map_err(failed)
    }

    /// Runs a command of ours in a container, as its first user; `Err` says why it
    /// failed.
    pub(crate) fn manage(&self, command: &str, sandbox: &Sandbox) -> Result<Result<(), String>> {
        let limits = Limits {
            wall: self.spec.needs.upkeep,
            output_bytes: MANAGED_BYTES,
            memory_mb: self.spec.needs.memory_mb,
        };
        let execution = sandbox.run(&Invocation {
            user: Some(ROOT.to_owned()),
            working_directory: "/".to_owned(),
            ..self.invocation(command, limits)
        })?;
        Ok(match execution.succeeded() {
            true => Ok(()),
            false => {
                let printed = execution.text();
                Err(format!("{:?}: {}", execution.exit, printed.trim_end()))
            }
        })
    }
}

/// As a word of a shell.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
