//! A root file system in the place of the machine's own.

use std::path::{Path, PathBuf};

use super::mount;
use crate::{Backend, Error, Mount, Result, Sandbox};

/// What of a root file system programs need. Links among them lead into `/usr`.
const TREES: [&str; 7] = ["usr", "etc", "opt", "bin", "lib", "lib64", "sbin"];

/// The mounts that show `root`, read-only, over the system.
pub(super) fn mounts(root: &Path, sandbox: &Sandbox) -> Result<Vec<Mount>> {
    if sandbox.backend() != Backend::Bubblewrap {
        return Err(Error::Sandbox {
            backend: sandbox.backend().name(),
            message: "a plain process has the machine's own root file system; install bubblewrap to use another".to_owned(),
        });
    }
    let trees: Vec<(PathBuf, &str)> = TREES
        .iter()
        .map(|tree| (root.join(tree), *tree))
        .filter(|(path, _)| path.is_dir() && !path.is_symlink())
        .collect();
    if !trees.iter().any(|(_, tree)| *tree == "usr") {
        return Err(Error::Io {
            what: "is not a root file system",
            path: root.to_path_buf(),
            source: std::io::Error::other("it has no directory usr"),
        });
    }
    Ok(trees
        .into_iter()
        .map(|(path, tree)| mount(&path, &format!("/{tree}"), false))
        .collect())
}
