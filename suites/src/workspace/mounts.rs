//! Directories of this machine that appear inside, and what is copied into them.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::path_guard::{self, PathRefusal};
use crate::{Error, Mount, Result};

pub(crate) fn mount(host: &Path, inside: &str, writable: bool) -> Mount {
    Mount {
        host: host.to_path_buf(),
        inside: inside.to_owned(),
        writable,
    }
}

/// Lets every user of a container write to a directory that it shares with this machine.
/// On this machine only its owner reaches it: the directory around it is private.
pub(crate) fn open_to_all(directory: &Path) -> Result<()> {
    let all = PermissionsExt::from_mode(0o777);
    fs::set_permissions(directory, all).map_err(Error::io("cannot be changed", directory))
}

/// Copies a file to `to`, or the content of a directory into it, below `tree`.
/// Links are refused: they would be followed on the host.
pub(crate) fn copy(from: &Path, tree: &Path, to: &Path) -> Result<(), PathRefusal> {
    let kind = fs::symlink_metadata(from)?;
    if kind.is_symlink() {
        return Err(PathRefusal::Link);
    }
    if kind.is_dir() {
        path_guard::create_directory(tree, to)?;
        for entry in fs::read_dir(from)? {
            let name = entry?.file_name();
            copy(&from.join(&name), tree, &to.join(&name))?;
        }
        return Ok(());
    }
    if !kind.is_file() {
        return Err(PathRefusal::NotAFile);
    }
    let mut target = path_guard::create(tree, to)?;
    io::copy(&mut fs::File::open(from)?, &mut target)?;
    Ok(target.set_permissions(kind.permissions())?)
}
