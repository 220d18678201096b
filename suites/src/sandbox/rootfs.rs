//! The files of an image on this machine: a directory as it is, or an archive unpacked
//! into a cache.

use std::env;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use timeslip_datasets::run::journal::Warmth;

use super::TMP;
use super::backend::{self, Isolation};
use super::execution::Exit;
use super::image::Image;
use super::invocation::{Invocation, Limits, Mount, Quota};
use super::owner::{Leftovers, Owner};
use crate::{Error, Result};

/// How long unpacking may take, and what it may use.
const UNPACKING: Limits = Limits {
    wall: Duration::from_secs(1800),
    output_bytes: 4096,
    memory_mb: 1024,
};

/// The archive is untrusted, so it is unpacked where nothing but the new directory can
/// be written. Devices cannot be made there, nor are they needed: the
/// sandbox brings its own.
const UNPACK: &str = "tar --extract --file=/image --directory=/rootfs --no-same-owner \
    --anchored --no-wildcards --exclude=dev --exclude=./dev --exclude=proc --exclude=./proc \
    --exclude=sys --exclude=./sys";

/// What unpacks archives: a sandbox, and what it is called.
pub(super) struct Unpacker<'a> {
    pub(super) backend: &'static str,
    pub(super) isolation: &'a dyn Isolation,
}

impl Unpacker<'_> {
    /// The directory with the files of an image; an archive is unpacked into a cache
    /// first, once. Also whether it was there already.
    pub(super) fn directory(&self, image: &Image) -> Result<(PathBuf, Warmth)> {
        match image {
            Image::Directory(directory) => {
                if !directory.join("bin/bash").exists() && !directory.join("usr/bin/bash").exists()
                {
                    return Err(self.failure(format!(
                        "{} has no bash; a root file system needs one to run commands",
                        directory.display()
                    )));
                }
                Ok((directory.clone(), Warmth::Warm))
            }
            Image::Archive(archive) => {
                let (directory, warmth) = self.unpacked(archive, &cache()?)?;
                let (directory, _) = self.directory(&Image::Directory(directory))?;
                Ok((directory, warmth))
            }
            Image::Reference(name) => Err(self.failure(format!(
                "the image {name} needs a container engine; use `--sandbox docker`, or export it (`docker export` of a container made from it) and name the archive as rootfs"
            ))),
            Image::Build { dockerfile, .. } => Err(self.failure(format!(
                "{dockerfile} needs a container engine to be built; use `--sandbox docker`"
            ))),
        }
    }

    fn failure(&self, message: String) -> Error {
        backend::failure(self.backend, message)
    }

    /// The directory an archive was or is now unpacked to. Others may do so at the same
    /// time: each unpacks on its own, and the first to finish is kept.
    fn unpacked(&self, archive: &Path, cache: &Path) -> Result<(PathBuf, Warmth)> {
        let archive = fs::canonicalize(archive).map_err(Error::io("cannot be found", archive))?;
        let is = fs::metadata(&archive).map_err(Error::io("cannot be read", &archive))?;
        let stem = archive.file_stem().unwrap_or_default().to_string_lossy();
        // An archive that was changed is another one.
        let directory = cache.join(format!(
            "{stem}-{}-{}-{}.{}",
            is.ino(),
            is.len(),
            is.mtime(),
            is.mtime_nsec()
        ));
        if directory.is_dir() {
            return Ok((directory, Warmth::Warm));
        }
        // What processes that are no more had begun.
        Leftovers::OfCrashes.remove_directories(cache);
        let fresh = cache.join(Owner::current().name());
        fs::create_dir(&fresh).map_err(Error::io("cannot be created", &fresh))?;
        let execution = backend::run(self.backend, self.isolation, &unpacking(&archive, &fresh));
        let problem = match execution {
            Ok(execution) if execution.exit == Exit::Code(0) => None,
            Ok(execution) => Some(self.failure(format!(
                "{} could not be unpacked: {}",
                archive.display(),
                execution.text().trim()
            ))),
            Err(error) => Some(error),
        };
        let renamed = match problem {
            Some(problem) => Err(problem),
            None => match fs::rename(&fresh, &directory) {
                Err(_) if directory.is_dir() => Ok(()),
                result => result.map_err(Error::io("cannot be renamed", &fresh)),
            },
        };
        // Left only where it was not needed.
        let _ = fs::remove_dir_all(&fresh);
        renamed.map(|()| (directory, Warmth::Cold))
    }
}

/// The command that unpacks an archive into a directory.
fn unpacking(archive: &Path, into: &Path) -> Invocation {
    let mount = |host: &Path, inside: &str, writable| Mount {
        host: host.to_path_buf(),
        inside: inside.to_owned(),
        writable,
    };
    Invocation {
        command: UNPACK.to_owned(),
        working_directory: TMP.to_owned(),
        mounts: vec![
            mount(archive, "/image", false),
            mount(into, "/rootfs", true),
        ],
        environment: Vec::new(),
        limits: UNPACKING,
        quota: Quota::default(),
        disk: None,
        root: None,
        user: None,
        cancel: None,
        observed: false,
    }
}

/// Where unpacked archives are kept from one run to the next; private, for they may
/// hold old programs that run with their owner's rights.
fn cache() -> Result<PathBuf> {
    let base = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cache")))
        .filter(|path| path.is_absolute())
        .unwrap_or_else(env::temp_dir);
    let cache = base.join("timeslip").join("rootfs");
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&cache)
        .map_err(Error::io("cannot be created", &cache))?;
    Ok(cache)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// A tar of what `script` makes and archives as `$1`.
    fn archive(scratch: &Path, script: &str) -> PathBuf {
        let path = scratch.join("image.tar");
        let made = scratch.join("made");
        fs::create_dir_all(&made).unwrap();
        let mut command = Command::new("bash");
        command.args(["-ec", script, "made"]).arg(&path);
        assert!(command.current_dir(made).status().unwrap().success());
        path
    }

    /// The first sandbox that isolates commands in this machine's own system.
    fn sandbox() -> Option<(&'static str, Box<dyn Isolation>)> {
        let able = super::super::BACKENDS.iter().find(|backend| {
            let can = backend.capabilities();
            can.isolated && can.machine_system
        })?;
        if let Err(why) = able.check() {
            eprintln!("SKIPPED: nothing is unpacked: {why}");
            return None;
        }
        Some((able.name(), able.open().unwrap()))
    }

    fn unpacked(
        archive: &Path,
        cache: &Path,
        (backend, isolation): &(&'static str, Box<dyn Isolation>),
    ) -> Result<(PathBuf, Warmth)> {
        let unpacker = Unpacker {
            backend,
            isolation: &**isolation,
        };
        unpacker.unpacked(archive, cache)
    }

    #[test]
    fn an_archive_is_unpacked_once_without_devices() {
        let Some(sandbox) = sandbox() else { return };
        let [scratch, cache] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let script = "mkdir -p bin dev app/dev; echo a >bin/bash; echo d >dev/null; echo k >app/dev/kept; tar -cf $1 .";
        let archive = archive(scratch.path(), script);
        let (first, warmth) = unpacked(&archive, cache.path(), &sandbox).unwrap();
        assert_eq!(warmth, Warmth::Cold);
        assert_eq!(fs::read_to_string(first.join("bin/bash")).unwrap(), "a\n");
        assert!(first.join("app/dev/kept").exists() && !first.join("dev").exists());
        fs::write(first.join("mark"), "").unwrap();
        let again = unpacked(&archive, cache.path(), &sandbox).unwrap();
        assert_eq!(again, (first.clone(), Warmth::Warm));
        assert!(first.join("mark").exists());
        assert_eq!(cache.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn an_archive_cannot_leave_its_directory() {
        let Some(sandbox) = sandbox() else { return };
        let [scratch, cache] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let out = scratch.path().join("out");
        fs::create_dir(&out).unwrap();
        let script = format!(
            "echo x >x; ln -s {out} link; mkdir real; echo y >real/y; tar -P -cf $1 link; \
             tar -P -rf $1 --transform='s,^x$,../../../{out}/up,' x; tar -P -rf $1 --transform='s,^x$,{out}/absolute,' x; \
             tar -P -rf $1 --transform='s,^real,link,' real/y",
            out = out.display()
        );
        let archive = archive(scratch.path(), &script);
        // Whether it is refused or tamed is for tar to say.
        let _ = unpacked(&archive, cache.path(), &sandbox);
        assert_eq!(out.read_dir().unwrap().count(), 0);
    }

    #[test]
    fn what_is_no_archive_is_an_error_and_leaves_nothing() {
        let Some(sandbox) = sandbox() else { return };
        let [scratch, cache] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let archive = archive(scratch.path(), "head -c 10000 /dev/urandom >$1");
        let error = unpacked(&archive, cache.path(), &sandbox).unwrap_err();
        assert!(
            error.to_string().contains("could not be unpacked"),
            "{error}"
        );
        assert_eq!(cache.path().read_dir().unwrap().count(), 0);
    }
}
