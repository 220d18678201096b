//! Containers of an engine with Docker's interface: Docker itself, or Podman.
//!
//! A workspace has one container, in which every command is run by the launcher.
//! What a command leaves running is killed when it ends, as in the other sandboxes.
//! Directories of this machine appear by bind mounts, so the engine has to be on it.
//! A command that is to see other directories than the workspace's (a verifier) runs
//! in a container of its own, made from the workspace's files as they are then.

mod container;
mod engine;
mod exec;
mod files;
mod images;
mod pool;

use std::io;
use std::path::Path;

use timeslip_datasets::run::journal::Warmth;

use super::backend::{self, Backend, Capabilities, DockerfileReach, Isolation, Ports};
use super::execution::Execution;
use super::image::Image;
use super::invocation::Invocation;
use super::owner::Leftovers;
use super::root::{Root, Snapshot};
use crate::{Error, Result};
use container::Container;
use engine::ContainerEngine;
use pool::Pool;

/// A container of Docker or Podman, without network.
#[derive(Debug)]
pub(super) struct Docker;

const NAME: &str = "docker";

impl Backend for Docker {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            isolated: true,
            network: false,
            ports: Ports::None,
            machine_system: false,
            images: true,
            users: true,
            // The engine itself follows it.
            dockerfile_reach: DockerfileReach::OwnDirectory,
        }
    }

    fn check(&self) -> Result<String> {
        let engine = ContainerEngine::find().map_err(failure)?;
        Ok(engine.name.clone())
    }

    fn open(&self) -> Result<Box<dyn Isolation>> {
        Ok(Box::new(Containers {
            engine: ContainerEngine::find().map_err(failure)?,
            pool: Pool::default(),
        }))
    }

    fn remove(&self, leftovers: Leftovers) {
        if let Some(engine) = ContainerEngine::known() {
            engine.sweep(leftovers);
        }
    }
}

/// An engine, and containers of it that are started before they are needed.
#[derive(Debug)]
struct Containers {
    engine: &'static ContainerEngine,
    pool: Pool,
}

impl Isolation for Containers {
    fn run(&self, invocation: &Invocation) -> io::Result<Execution> {
        let container = container(invocation).ok_or_else(|| {
            io::Error::other(
                "a container is made from an image, and none is named; give the suite an `image` or a `rootfs`",
            )
        })?;
        container.run(invocation).map_err(io::Error::other)
    }

    fn root(&self, image: &Image, _place: &Path, run: &str) -> Result<(Root, Warmth)> {
        let (container, warmth) = self
            .engine
            .image(image)
            .and_then(|ready| self.pool.take(self.engine, &ready, run))
            .map_err(failure)?;
        Ok((Root::new(container), warmth))
    }

    fn fetch(&self, image: &Image) -> Result<()> {
        self.engine.image(image).map(drop).map_err(failure)
    }

    fn snapshot(&self, root: &Root) -> Result<Option<Snapshot>> {
        let Some(container) = root.made_of::<Container>() else {
            return Ok(None);
        };
        let commit = container.snapshot().map_err(failure)?;
        Ok(Some(Snapshot {
            image: Image::Reference(commit.name().to_owned()),
            kept: Box::new(commit),
        }))
    }

    fn ready(&self, invocation: &Invocation, run: &str, spare: bool) -> Result<()> {
        let Some(container) = container(invocation) else {
            return Ok(());
        };
        container.ready(invocation).map_err(failure)?;
        if spare {
            self.pool.refill(container, run, invocation);
        }
        Ok(())
    }
}

/// The container that a command is to run in.
fn container(invocation: &Invocation) -> Option<&Container> {
    invocation.root.as_ref()?.made_of()
}

fn failure(message: String) -> Error {
    backend::failure(NAME, message)
}
