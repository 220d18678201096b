//! Root file systems that stand in for the machine's own.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Where a root file system comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Image {
    /// A directory that holds one, as `debootstrap` makes it. Never changed.
    Directory(PathBuf),
    /// A tar archive of one, as `docker export` writes it, compressed or not.
    Archive(PathBuf),
    /// A name that a container engine or its registry knows.
    Reference(String),
    /// What a container engine builds from a Dockerfile.
    Build {
        /// The directory the Dockerfile copies from.
        context: PathBuf,
        /// The Dockerfile, below the context.
        dockerfile: String,
    },
}

impl Image {
    /// A root file system on disk: a directory, or else an archive.
    pub fn at(path: &Path) -> Result<Self> {
        let kind = fs::metadata(path).map_err(Error::io("cannot be read", path))?;
        Ok(if kind.is_dir() {
            Self::Directory(path.to_path_buf())
        } else {
            Self::Archive(path.to_path_buf())
        })
    }

    /// Whether it is a file or a directory of this machine.
    pub(crate) fn is_on_disk(&self) -> bool {
        matches!(self, Self::Directory(_) | Self::Archive(_))
    }
}
