//! The root file system of one workspace.

use std::path::Path;
use std::sync::Arc;

use super::layer::Layer;
use super::{Image, Isolation, Sandbox};
use crate::beneath;
use crate::{Error, Result};

/// A root file system made from an [`Image`], with changes of its own: what one
/// command installs, the next one finds. Removed when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Root(Arc<Layer>);

impl PartialEq for Root {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Root {}

impl Sandbox {
    /// Makes a root file system for one workspace. `place` is a directory that does
    /// not exist yet and outlives it.
    pub fn root(&self, image: &Image, place: &Path) -> Result<Root> {
        match &self.isolation {
            Isolation::Bubblewrap(_) => {
                let layer = Layer::over(&image.directory(self)?, place)?;
                Ok(Root(Arc::new(layer)))
            }
            Isolation::Process => Err(self.failure(
                "a plain process has the machine's own root file system; install bubblewrap to use another"
                    .to_owned(),
            )),
        }
    }
}

impl Root {
    /// Where its files are on this machine.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Makes the directory another one is mounted on. Whoever worked in here may have
    /// put a link in its place.
    pub(super) fn mount_point(&self, inside: &str) -> Result<()> {
        let relative = Path::new(inside.trim_start_matches('/'));
        beneath::create_directory(self.path(), relative).map_err(|refusal| Error::Sandbox {
            backend: "root file system",
            message: format!("{inside} {refusal}"),
        })
    }
}
