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
mod spares;

pub(super) use container::{Commit, Container};
pub(super) use engine::Engine;
pub(super) use spares::Spares;
