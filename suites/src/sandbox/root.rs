//! The root file system of one workspace.

use std::any::Any;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::image::Image;
use super::layer::Layer;
use crate::path_guard::{self, PathRefusal};
use crate::{Error, Result};

/// What a root file system was at one time, as an image to make others of. Gone when
/// dropped.
#[derive(Debug)]
pub struct Snapshot {
    /// What others are made of.
    pub image: Image,
    /// What has to be there as long as the image is to.
    pub kept: Box<dyn Keep>,
}

/// Something that is kept for what its end would remove.
pub trait Keep: fmt::Debug + Send + Sync {}

impl<T: fmt::Debug + Send + Sync> Keep for T {}

/// The files of a root file system, wherever a sandbox has them. What is not on this
/// machine answers for itself.
pub trait RootFiles: Any + fmt::Debug + Send + Sync {
    /// Where they are on this machine, if they are.
    fn path(&self) -> Option<&Path> {
        None
    }

    /// The directory of this machine that is mounted at `inside`, where the root file
    /// system brings its own; made when it is first asked for.
    fn own_mount(&self, _inside: &str) -> Option<io::Result<PathBuf>> {
        None
    }

    /// Who commands are unless they say, if that is not root.
    fn user(&self) -> Option<&str> {
        None
    }

    /// Where programs are looked for, if the image says.
    fn search_path(&self) -> Option<&str> {
        None
    }

    /// Where commands start, if the image says.
    fn working_directory(&self) -> Option<&str> {
        None
    }

    /// Reads the regular file at `path`, relative to the top, of at most `limit` bytes.
    ///
    /// # Errors
    /// Says why it cannot be read; links are not followed.
    fn read(&self, path: &Path, limit: u64) -> Result<FileContent, PathRefusal>;

    /// Writes the file at `path`, relative to the top, in the place of `old`. A new one
    /// belongs to `owner`, a user and a group, where there are several.
    ///
    /// # Errors
    /// Says why it cannot be written; links are not followed.
    fn write(
        &self,
        path: &Path,
        old: Option<&FileContent>,
        owner: (u64, u64),
        content: &[u8],
    ) -> Result<(), PathRefusal>;
}

/// A file that was read.
#[derive(Clone, Debug, Default)]
pub struct FileContent {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What else is kept of it when it is written again, where that is not on this
    /// machine.
    pub(super) header: Option<Box<tar::Header>>,
}

impl From<Vec<u8>> for FileContent {
    fn from(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            header: None,
        }
    }
}

impl FileContent {
    /// Reads a file of this machine below a directory.
    pub(crate) fn read(root: &Path, path: &Path, limit: u64) -> Result<Self, PathRefusal> {
        Ok(Self {
            bytes: path_guard::read(root, path, limit)?,
            header: None,
        })
    }
}

/// A root file system made from an [`Image`], with changes of its own: what one
/// command installs, the next one finds. Removed when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Root {
    files: Arc<dyn RootFiles>,
}

impl PartialEq for Root {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.files, &other.files)
    }
}

impl Eq for Root {}

impl Root {
    /// The root file system that consists of these files.
    pub fn new(files: impl RootFiles) -> Self {
        Self {
            files: Arc::new(files),
        }
    }

    /// Where its files are on this machine, if they are.
    pub fn path(&self) -> Option<&Path> {
        self.files.path()
    }

    /// Its files.
    pub(crate) fn files(&self) -> &dyn RootFiles {
        &*self.files
    }

    /// Its files as those that a sandbox has made; `None` if another sandbox has.
    pub(super) fn made_of<T: RootFiles>(&self) -> Option<&T> {
        let files: &dyn Any = &*self.files;
        files.downcast_ref()
    }

    /// Makes the directory that another one is to be mounted on, without following links
    /// that an agent may have put in its place. A container engine makes it by itself.
    pub(super) fn mount_point(&self, inside: &str) -> Result<()> {
        let Some(path) = self.path() else {
            return Ok(());
        };
        let relative = Path::new(inside.trim_start_matches('/'));
        path_guard::create_directory(path, relative).map_err(|refusal| Error::Sandbox {
            backend: "root file system",
            message: format!("{inside} {refusal}"),
        })
    }
}

impl RootFiles for Layer {
    fn path(&self) -> Option<&Path> {
        Some(Layer::path(self))
    }

    fn read(&self, path: &Path, limit: u64) -> Result<FileContent, PathRefusal> {
        FileContent::read(Layer::path(self), path, limit)
    }

    fn write(
        &self,
        path: &Path,
        _old: Option<&FileContent>,
        _owner: (u64, u64),
        content: &[u8],
    ) -> Result<(), PathRefusal> {
        path_guard::write(Layer::path(self), path, content)
    }
}
