//! What a sandbox is, for everything around it: a name, what it can do, and how to run
//! a command in it. One file implements it for each kind; [`super::BACKENDS`] lists them.

use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use timeslip_datasets::run::journal::Warmth;

use super::TMP;
use super::cleanup;
use super::execution::{Execution, Exit};
use super::image::Image;
use super::invocation::{Invocation, Limits, Quota, refusal};
use super::owner::Leftovers;
use super::root::{Root, Snapshot};
use crate::{Error, Result};

/// A kind of sandbox. Policy asks for its capabilities, never for its name.
pub trait Backend: fmt::Debug + Sync {
    /// What it is called in a configuration and in messages.
    fn name(&self) -> &'static str;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// Tries it; one sentence on what was found.
    ///
    /// # Errors
    /// [`Error::Sandbox`] says what is missing on this machine, and what to do.
    fn check(&self) -> Result<String>;

    /// Gets it ready for commands.
    ///
    /// # Errors
    /// As [`Backend::check`].
    fn open(&self) -> Result<Box<dyn Isolation>>;

    /// Removes what it keeps outside this machine's file system and control groups.
    fn remove(&self, _leftovers: Leftovers) {}
}

/// What a sandbox can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Commands cannot change this machine or see its user's files.
    pub isolated: bool,
    /// Commands reach the network that this machine reaches.
    pub network: bool,
    /// Where a command can open a port for this process to listen on.
    pub ports: Ports,
    /// Commands can run in this machine's own system, without an image.
    pub machine_system: bool,
    /// Images are found, fetched and built by name, by a container engine.
    pub images: bool,
    /// In a root file system of their own, commands can be those of several users.
    pub users: bool,
    /// Where a Dockerfile may write that is followed in a root file system of its own.
    pub dockerfile_reach: DockerfileReach,
}

/// Where a command can open a port for this process to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// In a network of the command's own, in which there is nothing else; the open port is
    /// handed out.
    Own,
    /// In this machine's network, which is the command's as well.
    Machine,
    /// Nowhere.
    None,
}

/// Where a Dockerfile may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DockerfileReach {
    /// In the task's own top-level directory: the system around it is read-only.
    OwnDirectory,
    /// Everywhere.
    Everywhere,
}

/// A sandbox that is ready for commands.
pub trait Isolation: fmt::Debug + Send + Sync {
    /// Runs a command to its end.
    ///
    /// # Errors
    /// The command could not be started.
    fn run(&self, invocation: &Invocation) -> io::Result<Execution>;

    /// Makes a root file system out of an image, and says whether that was there
    /// already. `place` is a directory that does not exist yet and outlives it; what
    /// outlives this process is labelled with the name of the run.
    ///
    /// # Errors
    /// [`Error::Sandbox`] when there is no such image, or no root file system but the
    /// machine's.
    fn root(&self, image: &Image, place: &Path, run: &str) -> Result<(Root, Warmth)>;

    /// Makes an image available: unpacked, found, pulled, built or imported.
    ///
    /// # Errors
    /// As [`Isolation::root`].
    fn fetch(&self, image: &Image) -> Result<()>;

    /// Makes an image of a root file system that no longer changes; `None` where its
    /// files on this machine serve as one.
    ///
    /// # Errors
    /// [`Error::Sandbox`] when that fails.
    fn snapshot(&self, _root: &Root) -> Result<Option<Snapshot>> {
        Ok(None)
    }

    /// Makes what commands like this one run in ready for them. With `spare`, another
    /// one is then made ready in the background.
    ///
    /// # Errors
    /// [`Error::Sandbox`] when that fails.
    fn ready(&self, _invocation: &Invocation, _run: &str, _spare: bool) -> Result<()> {
        Ok(())
    }

    /// What a reader of the results has to know.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

/// An error of a sandbox.
pub(super) fn failure(backend: &'static str, message: String) -> Error {
    Error::Sandbox { backend, message }
}

/// Runs a command and tells apart what it did from what went wrong around it.
pub(super) fn run(
    backend: &'static str,
    isolation: &dyn Isolation,
    invocation: &Invocation,
) -> Result<Execution> {
    if let Some(reason) = refusal(&invocation.command) {
        return Ok(Execution::refused(reason));
    }
    if cleanup::is_ending() {
        return Err(failure(backend, "timeslip is ending".to_owned()));
    }
    if let Some(root) = &invocation.root {
        for mount in &invocation.mounts {
            root.mount_point(&mount.inside)?;
        }
    }
    let execution = isolation
        .run(invocation)
        .map_err(|error| failure(backend, format!("a command could not be started: {error}")))?;
    if execution.command_started.is_none()
        && !matches!(
            execution.exit,
            Exit::TimedOut | Exit::DiskLimit | Exit::Cancelled
        )
    {
        let printed = String::from_utf8_lossy(&execution.output);
        let message = format!(
            "it ended before the command began ({:?}): {}",
            execution.exit,
            printed.trim()
        );
        return Err(failure(backend, message));
    }
    Ok(execution)
}

/// Runs the smallest command there is.
pub(super) fn probe(backend: &'static str, isolation: &dyn Isolation) -> Result<()> {
    let invocation = Invocation {
        command: "true".to_owned(),
        working_directory: TMP.to_owned(),
        mounts: Vec::new(),
        environment: Vec::new(),
        limits: Limits {
            wall: Duration::from_secs(10),
            output_bytes: 4096,
            memory_mb: 1024,
        },
        quota: Quota::default(),
        disk: None,
        root: None,
        user: None,
        cancel: None,
        observed: false,
    };
    match run(backend, isolation, &invocation)?.exit {
        Exit::Code(0) => Ok(()),
        exit => Err(failure(
            backend,
            format!("a trial run of `true` ended with {exit:?}"),
        )),
    }
}
