//! What tasks begin with: a repository at a commit, out of a clone or a published image,
//! or what a Dockerfile makes.

mod clone;
mod dockerfile;
mod published;
mod recipe;
mod repository;

pub(crate) use clone::RepositoryClone;
pub(crate) use dockerfile::DockerfileStart;
pub(crate) use recipe::DockerfileSource;
pub(crate) use repository::{Python, RepositoryStart};
