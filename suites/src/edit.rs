//! The agent's `edit_file` tool.

use std::io::Write;
use std::path::Path;

use crate::beneath::{self, Refusal};

/// The largest file that is edited, and the largest text that is written.
pub const LARGEST_FILE: u64 = 8 * 1024 * 1024;

/// What an edit did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edited {
    /// The file did not exist.
    Created,
    /// The whole file was replaced.
    Overwritten,
    /// One occurrence of the old text was replaced.
    Replaced,
}

/// Why an edit was refused; the message is meant for the model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The path cannot be used.
    #[error("{path}: {reason}")]
    Path {
        /// The path as given.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file holds something else than UTF-8 text.
    #[error("{path}: is not UTF-8 text; use the shell to change it")]
    NotText {
        /// The path as given.
        path: String,
    },
    /// The old text does not occur.
    #[error(
        "{path}: old_text does not occur in the file; it has to match exactly, also in whitespace"
    )]
    NotFound {
        /// The path as given.
        path: String,
    },
    /// The old text occurs more than once.
    #[error(
        "{path}: old_text occurs {count} times; give more of the surrounding lines so that it is unique"
    )]
    Ambiguous {
        /// The path as given.
        path: String,
        /// How often it occurs.
        count: usize,
    },
    /// The result would be too large.
    #[error("{path}: the result is larger than {LARGEST_FILE} bytes")]
    TooLarge {
        /// The path as given.
        path: String,
    },
}

/// Replaces the one exact occurrence of `old` in `path` by `new`; an empty `old`
/// creates or overwrites the file. `path` is relative to `root` and cannot leave
/// it, also not through symbolic links.
pub fn apply(root: &Path, path: &str, old: &str, new: &str) -> Result<Edited, EditError> {
    apply_with(
        path,
        old,
        new,
        |path, limit| Ok(((), beneath::read(root, path, limit)?)),
        |path, _, content| Ok(beneath::create(root, path)?.write_all(content)?),
    )
}

/// [`apply`] with other ways to read and write: the first gives what the second may
/// want to keep of a file that was there. Neither is called with a path that leaves
/// the root.
pub(crate) fn apply_with<T>(
    path: &str,
    old: &str,
    new: &str,
    read: impl FnOnce(&Path, u64) -> Result<(T, Vec<u8>), Refusal>,
    write: impl FnOnce(&Path, Option<T>, &[u8]) -> Result<(), Refusal>,
) -> Result<Edited, EditError> {
    let refused = |refusal: Refusal| EditError::Path {
        path: path.to_owned(),
        reason: refusal.to_string(),
    };
    beneath::stays_inside(Path::new(path)).map_err(refused)?;
    let existing = match read(Path::new(path), LARGEST_FILE) {
        Ok(file) => Some(file),
        Err(Refusal::Missing | Refusal::TooLarge(_)) if old.is_empty() => None,
        Err(refusal) => return Err(refused(refusal)),
    };
    let (edited, kept, content) = match existing {
        Some((kept, bytes)) if !old.is_empty() => (
            Edited::Replaced,
            Some(kept),
            replace(path, bytes, old, new)?,
        ),
        Some((kept, _)) => (Edited::Overwritten, Some(kept), new.to_owned()),
        None => (Edited::Created, None, new.to_owned()),
    };
    if content.len() as u64 > LARGEST_FILE {
        return Err(EditError::TooLarge {
            path: path.to_owned(),
        });
    }
    write(Path::new(path), kept, content.as_bytes()).map_err(refused)?;
    Ok(edited)
}

fn replace(path: &str, bytes: Vec<u8>, old: &str, new: &str) -> Result<String, EditError> {
    let path = path.to_owned();
    let Ok(text) = String::from_utf8(bytes) else {
        return Err(EditError::NotText { path });
    };
    // Overlapping occurrences are as ambiguous as separate ones.
    match occurrences(&text, old) {
        0 => Err(EditError::NotFound { path }),
        1 => Ok(text.replacen(old, new, 1)),
        count => Err(EditError::Ambiguous { path, count }),
    }
}

fn occurrences(text: &str, pattern: &str) -> usize {
    let step = pattern.chars().next().map_or(1, char::len_utf8);
    let mut count = 0;
    let mut from = 0;
    while let Some(found) = text.get(from..).and_then(|rest| rest.find(pattern)) {
        count += 1;
        from += found + step;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn edited(content: &str, old: &str, new: &str) -> Result<String, String> {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("f");
        std::fs::write(&file, content).unwrap();
        apply(root.path(), "f", old, new).map_err(|error| error.to_string())?;
        Ok(std::fs::read_to_string(file).unwrap())
    }

    #[test]
    fn replaces_the_one_occurrence() {
        assert_eq!(edited("a b c", "b", "x").unwrap(), "a x c");
        assert_eq!(edited("a b c", "", "all new").unwrap(), "all new");
        insta::assert_snapshot!(edited("a b c", "d", "x").unwrap_err(), @"f: old_text does not occur in the file; it has to match exactly, also in whitespace");
        insta::assert_snapshot!(edited("aaa", "aa", "x").unwrap_err(), @"f: old_text occurs 2 times; give more of the surrounding lines so that it is unique");
    }

    #[test]
    fn creates_files_with_their_directories() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(
            apply(root.path(), "a/b.txt", "", "hi").unwrap(),
            Edited::Created
        );
        assert_eq!(
            apply(root.path(), "a/b.txt", "", "ho").unwrap(),
            Edited::Overwritten
        );
        assert_eq!(
            apply(root.path(), "a/b.txt", "o", "i").unwrap(),
            Edited::Replaced
        );
        insta::assert_snapshot!(apply(root.path(), "none", "x", "y").unwrap_err(), @"none: does not exist");
        insta::assert_snapshot!(apply(root.path(), "../x", "", "y").unwrap_err(), @"../x: leaves the directory; use a path relative to it, without '..'");
        insta::assert_snapshot!(apply(root.path(), "/etc/x", "", "y").unwrap_err(), @"/etc/x: leaves the directory; use a path relative to it, without '..'");
        insta::assert_snapshot!(apply(root.path(), "a", "", "y").unwrap_err(), @"a: is not a regular file");
        insta::assert_snapshot!(apply(root.path(), "", "", "y").unwrap_err(), @": is not a regular file");
    }

    #[test]
    fn keeps_the_mode_of_a_script() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("run");
        std::fs::write(&file, "one").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        apply(root.path(), "run", "one", "two").unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
    }

    #[test]
    fn large_and_binary_files_are_left_alone() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("binary"), [0xff, 0xfe]).unwrap();
        insta::assert_snapshot!(apply(root.path(), "binary", "x", "y").unwrap_err(), @"binary: is not UTF-8 text; use the shell to change it");
        let huge = "x".repeat(LARGEST_FILE as usize + 1);
        insta::assert_snapshot!(apply(root.path(), "huge", "", &huge).unwrap_err(), @"huge: the result is larger than 8388608 bytes");
        std::fs::write(root.path().join("huge"), huge).unwrap();
        insta::assert_snapshot!(apply(root.path(), "huge", "x", "y").unwrap_err(), @"huge: is larger than 8388608 bytes");
    }

    proptest! {
        #[test]
        fn no_path_leaves_the_root(path in "(\\.\\.|/|a|\\.|\0|~){0,8}") {
            let outer = tempfile::tempdir().unwrap();
            let root = outer.path().join("root");
            std::fs::create_dir(&root).unwrap();
            let _ = apply(&root, &path, "", "content");
            prop_assert_eq!(outer.path().read_dir().unwrap().count(), 1);
        }
    }
}
