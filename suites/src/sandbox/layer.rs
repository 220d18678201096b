//! A directory that begins as another one and is changed without changing that.
//!
//! Where this process may mount (root, on most file systems), an overlay takes a few
//! milliseconds however large the directory is. Elsewhere everything is copied, by
//! reference on file systems that can.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::owner::{Leftovers, Owner};
use super::scratch;
use crate::{Error, Result};

/// A changeable view of a directory; gone with all changes when dropped.
#[derive(Debug)]
pub(crate) struct Layer {
    /// Holds everything that belongs to the layer.
    place: PathBuf,
    path: PathBuf,
    mounted: bool,
}

/// Mounts a lower, an upper and a working directory at a place.
type Mounting = fn(&Path, &Path, &Path, &Path) -> io::Result<()>;

impl Layer {
    /// Lays a new layer over `lower`, which must not change while the layer is there. `place` is a directory that does not exist yet.
    pub(crate) fn over(lower: &Path, place: &Path) -> Result<Self> {
        Self::by(mount, lower, place)
    }

    /// A layer by a way to mount one, which may fail; then by copying.
    fn by(mount: Mounting, lower: &Path, place: &Path) -> Result<Self> {
        let lower = fs::canonicalize(lower).map_err(Error::io("cannot be found", lower))?;
        fs::create_dir_all(place).map_err(Error::io("cannot be created", place))?;
        let mut layer = Self {
            place: place.to_path_buf(),
            path: place.join("merged"),
            mounted: false,
        };
        let [upper, work] = ["upper", "work"].map(|name| place.join(name));
        for new in [&layer.path, &upper, &work] {
            fs::create_dir(new).map_err(Error::io("cannot be created", new))?;
        }
        // The root of an overlay is its upper directory; of a copy, the copy itself.
        let mode = fs::metadata(&lower).map_err(Error::io("cannot be read", &lower))?;
        for like in [&upper, &layer.path] {
            fs::set_permissions(like, mode.permissions())
                .map_err(Error::io("cannot be changed", like))?;
        }
        layer.mounted = mount(&lower, &upper, &work, &layer.path).is_ok();
        if !layer.mounted {
            copy(&lower, &layer.path)?;
        }
        Ok(layer)
    }

    /// Where its files are.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether layers are overlays here, not copies; tried out on a small one.
    pub(super) fn are_overlays() -> Result<bool> {
        let scratch = Owner::current().scratch()?;
        let lower = scratch.path().join("lower");
        fs::create_dir(&lower).map_err(Error::io("cannot be created", &lower))?;
        Ok(Self::over(&lower, &scratch.path().join("layer"))?.mounted)
    }
}

impl Drop for Layer {
    fn drop(&mut self) {
        if self.mounted && unmount(&self.path).is_err() {
            // Removing files through a mount would be removing them twice.
            return;
        }
        // What cannot be removed now goes with the directory around it.
        let _ = scratch::remove(&self.place);
    }
}

/// Unmounts the layers of some owners.
pub(super) fn sweep(leftovers: Leftovers) {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for path in owned(&mounts, |name| leftovers.include(name)) {
        let _ = unmount(&path);
    }
}

/// The mount points of the layers of some owners, the last mounted first.
fn owned(mounts: &str, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut points: Vec<PathBuf> = mounts
        .lines()
        .filter_map(|line| {
            let (place, kind) = line.split_once(" - ")?;
            let source = kind.strip_prefix("overlay ")?.split(' ').next()?;
            let point = place.split(' ').nth(4).filter(|_| wanted(source))?;
            Some(unescaped(point))
        })
        .collect();
    points.reverse();
    points
}

/// A path as the kernel lists it: with blanks and backslashes in octal.
fn unescaped(listed: &str) -> PathBuf {
    let mut path = listed.to_owned();
    for (code, character) in [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ] {
        path = path.replace(code, character);
    }
    PathBuf::from(path)
}

#[cfg(target_os = "linux")]
fn mount(lower: &Path, upper: &Path, work: &Path, at: &Path) -> io::Result<()> {
    use rustix::fs::{Mode, OFlags};
    use rustix::mount::MountFlags;
    use std::os::fd::AsRawFd;
    // The kernel shows these options to everything that sees the mount. Named by
    // descriptors, the directories are told to nobody, and may have any name.
    let open = |path: &Path| {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(path, flags, Mode::empty())
    };
    let options = [("lowerdir", lower), ("upperdir", upper), ("workdir", work)];
    let mut text = Vec::new();
    let mut opened = Vec::new();
    for (name, path) in options {
        let directory = open(path)?;
        text.push(format!("{name}=/proc/self/fd/{}", directory.as_raw_fd()));
        opened.push(directory);
    }
    // Directories can be renamed as anywhere else. What is never needed after a crash
    // is not worth waiting for the disk; older kernels do not know that word.
    text.push("redirect_dir=on".to_owned());
    let durable = text.join(",");
    let fast = format!("{durable},volatile");
    let source = Owner::current().name();
    let mount = |options: String| {
        let options = std::ffi::CString::new(options)?;
        Ok(rustix::mount::mount(
            source.as_str(),
            at,
            "overlay",
            MountFlags::NODEV | MountFlags::NOSUID,
            options.as_c_str(),
        )?)
    };
    mount(fast).or_else(|_: io::Error| mount(durable))
}

#[cfg(target_os = "linux")]
fn unmount(path: &Path) -> io::Result<()> {
    use rustix::mount::{UnmountFlags, unmount};
    Ok(unmount(
        path,
        UnmountFlags::DETACH | UnmountFlags::NOFOLLOW,
    )?)
}

#[cfg(not(target_os = "linux"))]
fn mount(_: &Path, _: &Path, _: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(target_os = "linux"))]
fn unmount(_: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Copies the content of a directory with everything `cp` can keep: links, modes,
/// times and, where it may, owners.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    let failed = |message: String| Error::Io {
        what: "cannot be copied",
        path: from.to_path_buf(),
        source: io::Error::other(message),
    };
    let mut command = Command::new("cp");
    command.arg("-a");
    if cfg!(target_os = "linux") {
        command.arg("--reflink=auto");
    }
    let output = command
        .arg(from.join("."))
        .arg(to)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(format!("cp: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let printed = String::from_utf8_lossy(&output.stderr);
    let first = printed.lines().next().unwrap_or_default();
    Err(failed(format!("cp: {first}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn tree(directory: &Path) {
        fs::create_dir_all(directory.join("a/b")).unwrap();
        fs::write(directory.join("a/b/file"), "lower").unwrap();
        fs::write(directory.join("run"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(directory.join("run"), fs::Permissions::from_mode(0o751)).unwrap();
        symlink("a/b/file", directory.join("link")).unwrap();
    }

    /// Changes the tree at `path` in every way, after checking that it is one.
    fn change(path: &Path) {
        assert_eq!(fs::read_to_string(path.join("link")).unwrap(), "lower");
        assert!(path.join("link").is_symlink());
        let mode = fs::metadata(path.join("run")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o751);
        fs::write(path.join("a/b/file"), "upper").unwrap();
        fs::rename(path.join("a/b"), path.join("moved")).unwrap();
        fs::remove_file(path.join("run")).unwrap();
        fs::write(path.join("new"), "").unwrap();
    }

    #[test]
    fn changes_stay_in_the_layer_and_go_with_it() {
        let scratch = tempfile::tempdir().unwrap();
        let refused: Mounting = |_, _, _, _| Err(io::ErrorKind::Unsupported.into());
        for (name, mounting) in [("an,over:lay", mount as Mounting), ("copy", refused)] {
            let place = scratch.path().join(name);
            let lower = scratch.path().join(format!("lower of {name}"));
            tree(&lower);
            for _ in 0..2 {
                let layer = Layer::by(mounting, &lower, &place).unwrap();
                assert!(name != "copy" || !layer.mounted);
                let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
                let told = |line: &str| line.matches("over:lay").count() > 1;
                assert!(!mounts.lines().any(told), "{mounts}");
                change(layer.path());
                assert_eq!(fs::read_to_string(lower.join("link")).unwrap(), "lower");
                assert!(lower.join("run").exists() && !lower.join("new").exists());
                drop(layer);
                assert!(!place.exists());
            }
            fs::remove_dir_all(&lower).unwrap();
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(scratch.path().to_str().unwrap()));
    }

    #[test]
    fn layers_are_known_by_their_owner() {
        let mine = Owner::current().name();
        let mounts = format!(
            "44 27 0:39 / /tmp/a\\040b/merged rw - overlay {mine} rw,lowerdir=/l\n\
             45 27 0:40 / /tmp/c rw - overlay overlay rw,lowerdir=/l\n\
             46 27 0:41 / /tmp/d rw - tmpfs {mine} rw\n\
             47 27 0:42 / /tmp/e shared:1 - overlay {mine} rw\n"
        );
        let everything = owned(&mounts, |name| Leftovers::OfThisProcess.include(name));
        assert_eq!(
            everything,
            [Path::new("/tmp/e"), Path::new("/tmp/a b/merged")]
        );
        let crashed = owned(&mounts, |name| Leftovers::OfCrashes.include(name));
        assert_eq!(crashed, Vec::<PathBuf>::new());
    }
}
