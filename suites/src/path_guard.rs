//! File access that cannot leave a directory.
//!
//! An agent may plant symbolic links, named pipes and devices in its workspace, and
//! swap them while they are being looked at. So every component is opened on its own,
//! relative to the one before, without ever following a link.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Component, Path};

use rustix::fd::OwnedFd;
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, mkdirat, openat};
use rustix::io::Errno;

/// Why a path was not opened; completes "`path` …".
#[derive(Debug, thiserror::Error)]
pub enum PathRefusal {
    /// It leads out of the directory.
    #[error("leaves the directory; use a path relative to it, without '..'")]
    Escapes,
    /// A symbolic link is on the way.
    #[error("goes through a symbolic link; use the path the link points to")]
    Link,
    /// There is no such file.
    #[error("does not exist")]
    Missing,
    /// It is a directory, a device or a pipe.
    #[error("is not a regular file")]
    NotAFile,
    /// It has more bytes than this.
    #[error("is larger than {0} bytes")]
    TooLarge(u64),
    /// The system refused it.
    #[error("cannot be accessed: {0}")]
    Io(#[from] io::Error),
}

impl From<Errno> for PathRefusal {
    fn from(error: Errno) -> Self {
        match error {
            Errno::LOOP | Errno::MLINK => Self::Link,
            Errno::NOENT => Self::Missing,
            Errno::ISDIR | Errno::NXIO => Self::NotAFile,
            error => Self::Io(error.into()),
        }
    }
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// The names along a relative path; `.` and empty components are dropped.
fn names(path: &Path) -> Result<Vec<&std::ffi::OsStr>, PathRefusal> {
    path.components()
        .filter(|component| !matches!(component, Component::CurDir))
        .map(|component| match component {
            Component::Normal(name) => Ok(name),
            _ => Err(PathRefusal::Escapes),
        })
        .collect()
}

/// Refuses a path that is not relative or has `..` in it.
pub(crate) fn stays_inside(path: &Path) -> Result<(), PathRefusal> {
    names(path).map(drop)
}

/// Opens the directory at the relative `path`, creating what is missing if asked to.
fn directory(root: &Path, path: &Path, create: bool) -> Result<OwnedFd, PathRefusal> {
    let root_flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut current = openat(CWD, root, root_flags, Mode::empty())?;
    for name in names(path)? {
        if create {
            match mkdirat(&current, name, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        current = match openat(&current, name, DIRECTORY, Mode::empty()) {
            // A link to a directory is reported as "not a directory".
            Err(Errno::NOTDIR) if is_link(&current, name) => return Err(PathRefusal::Link),
            result => result?,
        };
    }
    Ok(current)
}

fn is_link(directory: &OwnedFd, name: &std::ffi::OsStr) -> bool {
    rustix::fs::statat(directory, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
}

/// Creates the directory at the relative `path` with all its parents.
pub(crate) fn create_directory(root: &Path, path: &Path) -> Result<(), PathRefusal> {
    directory(root, path, true).map(drop)
}

/// Opens the regular file at the relative `path`.
fn open(root: &Path, path: &Path, flags: OFlags, create: bool) -> Result<File, PathRefusal> {
    let parent = path.parent().unwrap_or(Path::new(""));
    // "." and "a/.." have no name of their own.
    let name = path.file_name().ok_or(PathRefusal::NotAFile)?;
    names(path)?;
    let parent = directory(root, parent, create)?;
    // NONBLOCK: a named pipe must not make us wait for its other end.
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(&parent, name, flags, Mode::from_raw_mode(0o644))?;
    match FileType::from_raw_mode(fstat(&file)?.st_mode) {
        FileType::RegularFile => Ok(File::from(file)),
        _ => Err(PathRefusal::NotAFile),
    }
}

/// Opens a file for writing, emptied; created with its directories if missing.
pub(crate) fn create(root: &Path, path: &Path) -> Result<File, PathRefusal> {
    // Truncated only once it is known to be a regular file.
    let file = open(root, path, OFlags::WRONLY | OFlags::CREATE, true)?;
    file.set_len(0)?;
    Ok(file)
}

/// Writes a file, with its directories.
pub(crate) fn write(root: &Path, path: &Path, content: &[u8]) -> Result<(), PathRefusal> {
    Ok(create(root, path)?.write_all(content)?)
}

/// Reads a file of at most `limit` bytes.
pub(crate) fn read(root: &Path, path: &Path, limit: u64) -> Result<Vec<u8>, PathRefusal> {
    let mut bytes = Vec::new();
    open(root, path, OFlags::RDONLY, false)?
        .take(limit + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(PathRefusal::TooLarge(limit));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn writes_and_reads_below_the_root() {
        let root = tempfile::tempdir().unwrap();
        let path = Path::new("./a//b/c.txt");
        create(root.path(), path)
            .unwrap()
            .write_all(b"hello")
            .unwrap();
        assert_eq!(read(root.path(), path, 5).unwrap(), b"hello");
        assert!(matches!(
            read(root.path(), path, 4),
            Err(PathRefusal::TooLarge(4))
        ));
        create(root.path(), path).unwrap().write_all(b"x").unwrap();
        assert_eq!(read(root.path(), path, 5).unwrap(), b"x");
    }

    #[test]
    fn never_leaves_the_root() {
        let outside = tempfile::tempdir().unwrap();
        let root = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "s").unwrap();
        symlink(outside.path(), root.path().join("directory")).unwrap();
        symlink(outside.path().join("secret"), root.path().join("file")).unwrap();
        symlink("nowhere", root.path().join("dangling")).unwrap();
        for path in ["../x", "/etc/passwd", "a/../../x", ".."] {
            let error = read(root.path(), Path::new(path), 9).unwrap_err();
            assert!(
                matches!(error, PathRefusal::Escapes | PathRefusal::NotAFile),
                "{path}: {error}"
            );
            assert!(create(root.path(), Path::new(path)).is_err());
        }
        for path in ["directory/secret", "file", "dangling"] {
            assert!(matches!(
                read(root.path(), Path::new(path), 9),
                Err(PathRefusal::Link)
            ));
            assert!(matches!(
                create(root.path(), Path::new(path)),
                Err(PathRefusal::Link)
            ));
        }
        assert!(create_directory(root.path(), Path::new("directory/new")).is_err());
        assert_eq!(std::fs::read(outside.path().join("secret")).unwrap(), b"s");
    }

    #[test]
    fn a_file_that_is_written_again_keeps_its_mode() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("run");
        std::fs::write(&file, "one").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        write(root.path(), Path::new("run"), b"two").unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
    }

    proptest! {
        #[test]
        fn no_path_leaves_the_root(path in "(\\.\\.|/|a|\\.|\0|~){0,8}") {
            let outer = tempfile::tempdir().unwrap();
            let root = outer.path().join("root");
            std::fs::create_dir(&root).unwrap();
            let _ = write(&root, Path::new(&path), b"content");
            prop_assert_eq!(outer.path().read_dir().unwrap().count(), 1);
        }
    }

    #[test]
    fn pipes_directories_and_nothing_are_not_files() {
        let root = tempfile::tempdir().unwrap();
        rustix::fs::mknodat(
            CWD,
            root.path().join("pipe"),
            FileType::Fifo,
            Mode::from_raw_mode(0o644),
            0,
        )
        .unwrap();
        create_directory(root.path(), Path::new("d/e")).unwrap();
        for path in ["pipe", "d", "."] {
            assert!(matches!(
                read(root.path(), Path::new(path), 9),
                Err(PathRefusal::NotAFile | PathRefusal::Io(_))
            ));
            assert!(create(root.path(), Path::new(path)).is_err());
        }
        assert!(matches!(
            read(root.path(), Path::new("none"), 9),
            Err(PathRefusal::Missing)
        ));
    }
}
