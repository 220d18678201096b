//! Files that appear whole or not at all.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

/// How the names of temporary files begin.
const PREFIX: &str = ".timeslip-";
/// Characters after that.
const RANDOM: usize = 6;

/// Writes a file by way of a temporary one in the same directory, which is
/// created when missing.
///
/// # Errors
/// Whatever the file system says.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    write_with(path, |file| file.write_all(content))
}

/// The same with a content that is never held as a whole.
///
/// # Errors
/// Whatever the file system or `fill` says.
pub fn write_with(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory)?;
    let file = temporary(directory)?;
    let mut content = BufWriter::with_capacity(1 << 16, file.as_file());
    fill(&mut content)?;
    content.flush()?;
    drop(content);
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Removes the temporary files that writers left in a directory when they were killed. One
/// that is still being written stays: it is locked.
pub fn sweep(directory: &Path) {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let temporary = entries.filter(|entry| {
        let name = entry.file_name();
        let random = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        random.is_some_and(|random| random.len() == RANDOM)
            && entry.file_type().is_ok_and(|kind| kind.is_file())
    });
    for entry in temporary {
        if let Ok(file) = File::open(entry.path())
            && file.try_lock().is_ok()
        {
            // What cannot be removed does no harm.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// A temporary file that is locked while it is open.
fn temporary(directory: &Path) -> io::Result<NamedTempFile> {
    let mut builder = Builder::new();
    builder.prefix(PREFIX).rand_bytes(RANDOM);
    #[cfg(unix)]
    {
        // A temporary file is private by default; a report is meant to be read.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o644));
    }
    loop {
        let file = builder.tempfile_in(directory)?;
        // Where there are no locks nothing is swept either.
        let _ = file.as_file().lock();
        // It may have been swept before it was locked.
        if file.path().exists() {
            return Ok(file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_the_file_and_leaves_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/er/file.txt");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(
            std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1
        );
    }

    #[test]
    fn only_what_nobody_writes_any_more_is_swept() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let written = temporary(directory.path()).unwrap();
        for name in [
            ".timeslip-abc123",
            ".timeslip-abc1234",
            ".timeslip",
            "other",
        ] {
            std::fs::write(at(name), b"x").unwrap();
        }
        std::fs::create_dir(at(".timeslip-folder")).unwrap();
        sweep(directory.path());
        sweep(&at("absent"));
        assert!(written.path().exists() && !at(".timeslip-abc123").exists());
        for name in [
            ".timeslip-abc1234",
            ".timeslip",
            "other",
            ".timeslip-folder",
        ] {
            assert!(at(name).exists(), "{name}");
        }
    }

    #[test]
    fn a_failure_names_no_half_file() {
        let directory = tempfile::tempdir().unwrap();
        let blocked = directory.path().join("taken");
        std::fs::create_dir(&blocked).unwrap();
        assert!(write(&blocked, b"x").is_err());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
