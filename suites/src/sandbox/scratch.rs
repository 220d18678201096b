//! Temporary directories of what others have filled, and their removal.
//!
//! What an agent left may be nested deeper than there are descriptors or stack, and may
//! be closed to its own owner. So directories are opened up, and what is inside the
//! inner ones is moved to the top before it is removed: two descriptors suffice.

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, chmodat, openat, renameat, statat, unlinkat,
};

use crate::{Error, Result};

/// A temporary directory; removed with whatever is in it when dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes one in the directory `parent`.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be created.
    pub fn within(parent: &Path, prefix: &str) -> Result<Self> {
        let made = tempfile::Builder::new()
            .prefix(prefix)
            .tempdir_in(parent)
            .map_err(Error::io("cannot create a directory", parent))?;
        Ok(Self { path: made.keep() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed belongs to another user.
        let _ = remove(&self.path);
    }
}

/// Directories are listed and emptied by their owner alone.
const OPEN: Mode = Mode::RWXU;

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Removes a directory with everything in it, without following a link.
pub(super) fn remove(directory: &Path) -> io::Result<()> {
    let path = CString::new(directory.as_os_str().as_encoded_bytes())?;
    let top = opened(CWD, &path)?;
    let mut moved = 0;
    loop {
        let (mut left, mut done, mut failure) = (false, false, None);
        for entry in entries(&top)? {
            left = true;
            match remove_entry(&top, &entry, &mut moved) {
                Ok(()) => done = true,
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            _ if !left => return fs::remove_dir(directory),
            Some(error) if !done => return Err(error),
            _ => {}
        }
    }
}

/// Removes an entry of `top`; what is in the directories inside it is moved to `top`.
fn remove_entry(top: &OwnedFd, name: &CStr, moved: &mut u64) -> io::Result<()> {
    if !is_directory(top, name)? {
        return Ok(unlinkat(top, name, AtFlags::empty())?);
    }
    let directory = opened(top, name)?;
    loop {
        let batch = entries(&directory)?;
        if batch.is_empty() {
            break;
        }
        for entry in batch {
            if is_directory(&directory, &entry)? {
                // Moving a directory changes it.
                chmodat(&directory, &entry, OPEN, AtFlags::empty())?;
                let free = loop {
                    *moved += 1;
                    let name = CString::new(format!("timeslip-{moved}"))?;
                    if statat(top, &name, AtFlags::SYMLINK_NOFOLLOW).is_err() {
                        break name;
                    }
                };
                renameat(&directory, &entry, top, free)?;
            } else {
                unlinkat(&directory, &entry, AtFlags::empty())?;
            }
        }
    }
    Ok(unlinkat(top, name, AtFlags::REMOVEDIR)?)
}

/// Opens a directory that may be closed to its owner.
fn opened(parent: impl AsFd, name: &CStr) -> io::Result<OwnedFd> {
    if is_directory(&parent, name)? {
        // Fails for the directory of another user, which may be open all the same.
        let _ = chmodat(&parent, name, OPEN, AtFlags::empty());
    }
    Ok(openat(parent, name, DIRECTORY, Mode::empty())?)
}

fn is_directory(parent: impl AsFd, name: &CStr) -> io::Result<bool> {
    let found = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(found.st_mode) == FileType::Directory)
}

/// How many entries of a directory are looked at before what is left is listed anew.
const BATCH: usize = 10_000;

/// The first names in a directory.
fn entries(directory: &OwnedFd) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_owned();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name);
        }
        if names.len() == BATCH {
            break;
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::mkdirat;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_tree_deeper_than_any_stack_is_removed() {
        let scratch = Scratch::within(&std::env::temp_dir(), "timeslip-deep-").unwrap();
        let path = scratch.path().to_owned();
        let mut current = openat(CWD, &path, DIRECTORY, Mode::empty()).unwrap();
        for _ in 0..20_000 {
            mkdirat(&current, "d", OPEN).unwrap();
            current = openat(&current, "d", DIRECTORY, Mode::empty()).unwrap();
        }
        drop(current);
        let before = open_descriptors();
        remove(&path).unwrap();
        assert!(open_descriptors() <= before + 8);
        assert!(!path.exists());
    }

    fn open_descriptors() -> usize {
        fs::read_dir("/proc/self/fd").unwrap().count()
    }

    #[test]
    fn what_is_closed_is_opened_and_links_are_not_followed() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("kept"), "").unwrap();
        let scratch = Scratch::within(outside.path(), "x-").unwrap();
        let path = scratch.path().to_owned();
        fs::create_dir_all(path.join("a/b/c")).unwrap();
        for index in 0..20 {
            fs::create_dir_all(path.join(format!("wide/{index}/timeslip-{index}"))).unwrap();
            fs::write(path.join(format!("timeslip-{}", index + 3)), "").unwrap();
        }
        symlink(outside.path(), path.join("a/link")).unwrap();
        symlink("nowhere", path.join("a/b/dangling")).unwrap();
        for closed in ["a/b/c", "a/b", "a", ""] {
            fs::set_permissions(path.join(closed), fs::Permissions::from_mode(0o000)).unwrap();
        }
        drop(scratch);
        assert!(!path.exists());
        assert!(outside.path().join("kept").exists());
    }

    #[test]
    fn what_is_wider_than_a_batch_is_removed() {
        let scratch = Scratch::within(&std::env::temp_dir(), "timeslip-wide-").unwrap();
        let path = scratch.path().to_owned();
        fs::create_dir(path.join("d")).unwrap();
        for index in 0..BATCH + 5 {
            fs::write(path.join(format!("d/{index}")), "").unwrap();
        }
        drop(scratch);
        assert!(!path.exists());
    }
}
