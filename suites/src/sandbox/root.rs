//! The root file system of one workspace.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use timeslip_datasets::journal::Warmth;

use super::docker::{Commit, Container};
use super::layer::Layer;
use super::{Execution, HOSTNAME, Image, Invocation, Isolation, Sandbox};
use crate::beneath::{self, Refusal};
use crate::edit::{self, EditError, Edited};
use crate::{Error, Result};

/// What a root file system was at one time, as an image to make others of. Gone when
/// dropped.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) image: Image,
    _kept: Kept,
}

#[derive(Debug)]
enum Kept {
    Layer { _root: Root },
    Container { _image: Commit },
}

/// A root file system made from an [`Image`], with changes of its own: what one
/// command installs, the next one finds. Removed when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Root {
    kind: Arc<Kind>,
    warmth: Warmth,
}

#[derive(Debug)]
enum Kind {
    Layer(Layer),
    Container(Box<Container>),
}

const NO_OTHER_ROOT: &str =
    "a plain process has the machine's own root file system; install bubblewrap to use another";

impl PartialEq for Root {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.kind, &other.kind)
    }
}

impl Eq for Root {}

impl Sandbox {
    /// Makes a root file system for one workspace. `place` is a directory that does
    /// not exist yet and outlives it.
    pub fn root(&self, image: &Image, place: &Path) -> Result<Root> {
        let (kind, warmth) = match &self.isolation {
            Isolation::Bubblewrap(_) => {
                let (directory, warmth) = image.directory(self)?;
                let layer = Layer::over(&directory, place)?;
                name_this_machine(layer.path())?;
                (Kind::Layer(layer), warmth)
            }
            Isolation::Docker { engine, spares } => {
                let (container, warmth) = engine
                    .image(image)
                    .and_then(|ready| spares.take(engine, &ready, &self.run))
                    .map_err(|problem| self.failure(problem))?;
                (Kind::Container(Box::new(container)), warmth)
            }
            Isolation::Process => return Err(self.failure(NO_OTHER_ROOT.to_owned())),
        };
        Ok(Root {
            kind: Arc::new(kind),
            warmth,
        })
    }

    /// Makes an image of a root file system that nobody changes any more.
    pub(crate) fn snapshot(&self, root: &Root) -> Result<Snapshot> {
        Ok(match &*root.kind {
            Kind::Layer(layer) => Snapshot {
                image: Image::Directory(layer.path().to_path_buf()),
                _kept: Kept::Layer {
                    _root: root.clone(),
                },
            },
            Kind::Container(container) => {
                let commit = container.snapshot();
                let commit = commit.map_err(|problem| self.failure(problem))?;
                Snapshot {
                    image: Image::Reference(commit.name().to_owned()),
                    _kept: Kept::Container { _image: commit },
                }
            }
        })
    }

    /// Makes an image available: unpacked, found, pulled, built or imported.
    pub fn check_image(&self, image: &Image) -> Result<()> {
        match &self.isolation {
            Isolation::Docker { engine, .. } => engine
                .image(image)
                .map(drop)
                .map_err(|problem| self.failure(problem)),
            Isolation::Bubblewrap(_) => image.directory(self).map(drop),
            Isolation::Process => Err(self.failure(NO_OTHER_ROOT.to_owned())),
        }
    }

    /// Makes what commands like this one run in ready for them, so that the first of
    /// them does not wait for it. With `spare`, another one is then made ready in the
    /// background.
    pub fn ready(&self, invocation: &Invocation, spare: bool) -> Result<()> {
        let Isolation::Docker { engine, spares } = &self.isolation else {
            return Ok(());
        };
        let container = invocation.root.as_ref().and_then(Root::container);
        let Some(container) = container else {
            return Ok(());
        };
        container
            .ready(invocation)
            .map_err(|problem| self.failure(problem))?;
        if spare {
            spares.refill(engine, container.image(), &self.run, invocation);
        }
        Ok(())
    }
}

/// Writes down the names of the machine itself, which container engines do as well: a
/// root file system without them does not know `localhost`.
fn name_this_machine(root: &Path) -> Result<()> {
    let hosts = Path::new("etc/hosts");
    if fs::symlink_metadata(root.join(hosts)).is_ok() {
        return Ok(());
    }
    let failed = |refusal: Refusal| Error::Sandbox {
        backend: "root file system",
        message: format!("/etc/hosts {refusal}"),
    };
    let mut file = beneath::create(root, hosts).map_err(failed)?;
    let names = format!("127.0.0.1\tlocalhost\n::1\tlocalhost\n127.0.1.1\t{HOSTNAME}\n");
    let written = file.write_all(names.as_bytes());
    written.map_err(|error| failed(error.into()))
}

impl Root {
    /// Whether it was there already, or made now.
    pub(crate) fn warmth(&self) -> Warmth {
        self.warmth
    }

    /// Where its files are on this machine, if they are not in a container.
    pub fn path(&self) -> Option<&Path> {
        match &*self.kind {
            Kind::Layer(layer) => Some(layer.path()),
            Kind::Container(_) => None,
        }
    }

    fn container(&self) -> Option<&Container> {
        match &*self.kind {
            Kind::Layer(_) => None,
            Kind::Container(container) => Some(container),
        }
    }

    /// The host directory behind its `/tmp`, if it has one already.
    pub(crate) fn tmp(&self) -> Option<PathBuf> {
        self.container().map(Container::tmp)
    }

    /// The host directory behind its `/logs`, if it has one already.
    pub(crate) fn logs(&self) -> Option<PathBuf> {
        self.container().map(Container::logs)
    }

    /// Who commands in its image are, unless root.
    pub(crate) fn user(&self) -> Option<&str> {
        self.container()?.image().user.as_deref()
    }

    /// Where its image wants programs to be looked for.
    pub(crate) fn search_path(&self) -> Option<&str> {
        self.container()?.image().search_path.as_deref()
    }

    /// Where its image wants commands to start.
    pub(crate) fn working_directory(&self) -> Option<&str> {
        self.container().map(Container::working_directory)
    }

    /// [`edit::apply`] to a file of it; `path` is relative to its top. In a container, a
    /// new file belongs to `owner`, a user and a group.
    pub(crate) fn edit(
        &self,
        path: &str,
        old: &str,
        new: &str,
        owner: (u64, u64),
    ) -> Result<Edited, EditError> {
        match &*self.kind {
            Kind::Layer(layer) => edit::apply(layer.path(), path, old, new),
            Kind::Container(container) => edit::apply_with(
                path,
                old,
                new,
                |path, limit| container.read(&Path::new("/").join(path), limit),
                |path, like, content| {
                    container.write(&Path::new("/").join(path), like.as_ref(), owner, content)
                },
            ),
        }
    }

    /// Runs a command in it, where it is a container.
    pub(super) fn run(&self, invocation: &Invocation) -> Option<Result<Execution, String>> {
        Some(self.container()?.run(invocation))
    }

    /// Makes the directory another one is mounted on. Whoever worked in here may have
    /// put a link in its place. A container's engine sees to it itself.
    pub(super) fn mount_point(&self, inside: &str) -> Result<()> {
        let Some(path) = self.path() else {
            return Ok(());
        };
        let relative = Path::new(inside.trim_start_matches('/'));
        beneath::create_directory(path, relative).map_err(|refusal| Error::Sandbox {
            backend: "root file system",
            message: format!("{inside} {refusal}"),
        })
    }
}
