//! What a `.tar.gz` of a stranger holds, as files below one folder and nothing else.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use tar::{Archive, EntryType};

use crate::error::Error;

/// More than any repository of tasks; an archive can be much larger than its file.
const MAX_BYTES: u64 = 16 << 30;
const MAX_ENTRIES: usize = 1_000_000;

/// What was unpacked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Files written.
    pub files: usize,
    /// Links and devices, which are left out: they could lead anywhere.
    pub left_out: usize,
}

/// Unpacks `archive` into `folder`, replacing what was there once everything is written.
/// The outermost folder of the archive is dropped.
///
/// # Errors
/// [`Error::Download`] when the archive is broken, too large, or has a path that leads out
/// of it; then nothing is changed. [`Error::System`] when the folder cannot be written.
pub fn unpack(dataset: &str, archive: &Path, folder: &Path) -> Result<Unpacked, Error> {
    let writing = || Error::system(format!("cannot write {}", folder.display()));
    let parent = folder.parent().unwrap_or(Path::new("."));
    let fresh = tempfile::Builder::new()
        .prefix(".new-")
        .tempdir_in(parent)
        .map_err(writing())?;
    let unpacked = extract(archive, fresh.path()).map_err(|problem| match problem {
        Problem::Archive(problem) => Error::Download {
            dataset: dataset.to_owned(),
            problem: format!("{}: {problem}; nothing was unpacked", archive.display()),
        },
        Problem::Disk(error) => writing()(error),
    })?;
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(writing())?;
    }
    fs::rename(fresh.keep(), folder).map_err(writing())?;
    Ok(unpacked)
}

enum Problem {
    Archive(String),
    Disk(io::Error),
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Problem::Disk(error)
    }
}

fn extract(archive: &Path, into: &Path) -> Result<Unpacked, Problem> {
    let broken = |error: io::Error| Problem::Archive(format!("is broken: {error}"));
    let mut archive = Archive::new(MultiGzDecoder::new(File::open(archive)?));
    let mut unpacked = Unpacked::default();
    let mut total = 0_u64;
    for (index, entry) in archive.entries().map_err(broken)?.enumerate() {
        let mut entry = entry.map_err(broken)?;
        if index >= MAX_ENTRIES {
            return Err(Problem::Archive(format!(
                "has more than {MAX_ENTRIES} entries"
            )));
        }
        let kind = entry.header().entry_type();
        if matches!(kind, EntryType::XGlobalHeader | EntryType::XHeader) {
            continue;
        }
        let path = entry.path().map_err(broken)?.into_owned();
        let Some(path) = inner(&path)? else { continue };
        let target = into.join(&path);
        match kind {
            EntryType::Directory => fs::create_dir_all(&target)?,
            EntryType::Regular | EntryType::Continuous => {
                if let Some(parent) = target.parent() {
                    fs::create_dir_all(parent)?;
                }
                let mode = entry.header().mode().unwrap_or(0o644);
                let mut file = File::create(&target)?;
                let left = MAX_BYTES.saturating_sub(total);
                let written =
                    io::copy(&mut (&mut entry).take(left + 1), &mut file).map_err(broken)?;
                total += written;
                if total > MAX_BYTES {
                    return Err(Problem::Archive(format!(
                        "holds more than {MAX_BYTES} bytes"
                    )));
                }
                make_executable(&file, mode)?;
                unpacked.files += 1;
            }
            _ => unpacked.left_out += 1,
        }
    }
    if unpacked.files == 0 {
        return Err(Problem::Archive("holds no file".into()));
    }
    Ok(unpacked)
}

/// A path without its outermost folder; `None` for that folder itself.
fn inner(path: &Path) -> Result<Option<PathBuf>, Problem> {
    let mut parts = path
        .components()
        .filter(|part| !matches!(part, Component::CurDir));
    let mut kept = PathBuf::new();
    let leaves = || Problem::Archive(format!("has the path {path:?}, which leads out of it"));
    match parts.next() {
        Some(Component::Normal(_)) => {}
        Some(_) => return Err(leaves()),
        None => return Ok(None),
    }
    for part in parts {
        match part {
            Component::Normal(name) => kept.push(name),
            _ => return Err(leaves()),
        }
    }
    Ok((!kept.as_os_str().is_empty()).then_some(kept))
}

/// Of an archive's rights only the right to be run is taken over.
fn make_executable(file: &File, mode: u32) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = if mode & 0o111 == 0 { 0o644 } else { 0o755 };
        file.set_permissions(fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;
    use tar::{Builder, Header};

    /// Header fields are written as given: a hostile archive does not ask a library.
    fn entry(
        builder: &mut Builder<Vec<u8>>,
        name: &str,
        kind: EntryType,
        link: &str,
        content: &str,
    ) {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o104_755);
        let bytes = header.as_mut_bytes();
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        bytes[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }

    fn archive(folder: &Path, entries: &[(&str, EntryType, &str)]) -> PathBuf {
        let mut builder = Builder::new(Vec::new());
        for (name, kind, content) in entries {
            let link = if *kind == EntryType::Regular {
                ""
            } else {
                content
            };
            let content = if *kind == EntryType::Regular {
                content
            } else {
                ""
            };
            entry(&mut builder, name, *kind, link, content);
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&builder.into_inner().unwrap()).unwrap();
        let file = folder.join("a.tar.gz");
        fs::write(&file, encoder.finish().unwrap()).unwrap();
        file
    }

    const FILE: EntryType = EntryType::Regular;

    #[test]
    fn files_come_out_without_the_outermost_folder() {
        let folder = tempfile::tempdir().unwrap();
        let entries = [
            ("repo-1/", EntryType::Directory, ""),
            ("repo-1/tasks/a/run.sh", FILE, "true\n"),
            ("./repo-1/readme", FILE, "x"),
        ];
        let file = archive(folder.path(), &entries);
        let content = folder.path().join("content");
        fs::create_dir(&content).unwrap();
        fs::write(content.join("old"), "").unwrap();
        let unpacked = unpack("d", &file, &content).unwrap();
        assert_eq!((unpacked.files, unpacked.left_out), (2, 0));
        let script = content.join("tasks/a/run.sh");
        assert_eq!(fs::read_to_string(&script).unwrap(), "true\n");
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(&script).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o755);
        assert!(!content.join("old").exists());
    }

    #[test]
    fn paths_that_lead_out_are_refused_and_nothing_changes() {
        let folder = tempfile::tempdir().unwrap();
        let content = folder.path().join("content");
        fs::create_dir(&content).unwrap();
        fs::write(content.join("old"), "").unwrap();
        for path in [
            "r/../../evil",
            "../evil",
            "/evil",
            "r/a/../../../evil",
            "..",
        ] {
            let file = archive(folder.path(), &[("r/good", FILE, "g"), (path, FILE, "e")]);
            let error = unpack("d", &file, &content).unwrap_err().to_string();
            assert!(
                error.contains("leads out of it; nothing was unpacked"),
                "{error}"
            );
            assert!(content.join("old").exists() && !folder.path().join("evil").exists());
            let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
            assert_eq!(left.len(), 2, "{left:?}");
        }
    }

    #[test]
    fn links_and_devices_are_left_out_and_lead_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let outside = folder.path().join("outside");
        fs::create_dir(&outside).unwrap();
        let target = outside.display().to_string();
        let entries = [
            ("r/link", EntryType::Symlink, target.as_str()),
            ("r/link/evil", FILE, "e"),
            ("r/hard", EntryType::Link, "/etc/passwd"),
            ("r/device", EntryType::Block, ""),
            ("r/pipe", EntryType::Fifo, ""),
        ];
        let content = folder.path().join("content");
        let unpacked = unpack("d", &archive(folder.path(), &entries), &content).unwrap();
        assert_eq!((unpacked.files, unpacked.left_out), (1, 4));
        assert!(fs::read_dir(&outside).unwrap().next().is_none());
        assert!(content.join("link/evil").is_file());
        assert_eq!(fs::read_dir(&content).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_archive_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.tar.gz");
        fs::write(&file, "<html>").unwrap();
        let error = unpack("d", &file, &folder.path().join("content")).unwrap_err();
        assert!(error.to_string().contains("is broken"), "{error}");
        let whole = fs::read(archive(folder.path(), &[("r/a", FILE, &"x".repeat(9000))])).unwrap();
        fs::write(&file, &whole[..whole.len() / 2]).unwrap();
        assert!(unpack("d", &file, &folder.path().join("content")).is_err());
    }
}
