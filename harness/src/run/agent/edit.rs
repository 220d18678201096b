//! The `edit_file` tool: one exact occurrence of a text is replaced.

use timeslip_suites::sandbox::FileContent;
use timeslip_suites::{PathRefusal, Workspace};

/// The largest file that is edited, and the largest text that is written.
const LARGEST_FILE: u64 = 8 * 1024 * 1024;

/// What an edit did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edited {
    /// The file did not exist.
    Created,
    /// The whole file was replaced.
    Overwritten,
    /// One occurrence of the old text was replaced.
    Replaced,
}

/// Why an edit was refused; the message is meant for the model.
#[derive(Debug, thiserror::Error)]
pub(super) enum EditError {
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

/// Files that are edited; no path leads out of them.
pub(super) trait Files {
    /// Reads a file of at most `limit` bytes.
    fn read(&self, path: &str, limit: u64) -> Result<FileContent, PathRefusal>;

    /// Writes a file in the place of `old`, if it was there.
    fn write(
        &self,
        path: &str,
        old: Option<&FileContent>,
        content: &[u8],
    ) -> Result<(), PathRefusal>;
}

impl Files for Workspace {
    fn read(&self, path: &str, limit: u64) -> Result<FileContent, PathRefusal> {
        Workspace::read(self, path, limit)
    }

    fn write(
        &self,
        path: &str,
        old: Option<&FileContent>,
        content: &[u8],
    ) -> Result<(), PathRefusal> {
        Workspace::write(self, path, old, content)
    }
}

/// Replaces the one exact occurrence of `old` in the file at `path` by `new`; an empty
/// `old` creates or overwrites the file.
pub(super) fn apply(
    files: &impl Files,
    path: &str,
    old: &str,
    new: &str,
) -> Result<Edited, EditError> {
    let refused = |refusal: PathRefusal| EditError::Path {
        path: path.to_owned(),
        reason: refusal.to_string(),
    };
    let existing = match files.read(path, LARGEST_FILE) {
        Ok(file) => Some(file),
        Err(PathRefusal::Missing | PathRefusal::TooLarge(_)) if old.is_empty() => None,
        Err(refusal) => return Err(refused(refusal)),
    };
    let (edited, content) = match &existing {
        Some(file) if !old.is_empty() => (Edited::Replaced, replace(path, &file.bytes, old, new)?),
        Some(_) => (Edited::Overwritten, new.to_owned()),
        None => (Edited::Created, new.to_owned()),
    };
    if content.len() as u64 > LARGEST_FILE {
        return Err(EditError::TooLarge {
            path: path.to_owned(),
        });
    }
    files
        .write(path, existing.as_ref(), content.as_bytes())
        .map_err(refused)?;
    Ok(edited)
}

fn replace(path: &str, bytes: &[u8], old: &str, new: &str) -> Result<String, EditError> {
    let path = path.to_owned();
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err(EditError::NotText { path });
    };
    // Overlapping occurrences are as ambiguous as separate ones.
    match occurrences(text, old) {
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
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    /// Files in memory; a path with `..` leads out of them.
    #[derive(Default)]
    struct Memory(RefCell<BTreeMap<String, Vec<u8>>>);

    impl Files for Memory {
        fn read(&self, path: &str, limit: u64) -> Result<FileContent, PathRefusal> {
            if path.contains("..") {
                return Err(PathRefusal::Escapes);
            }
            let files = self.0.borrow();
            let bytes = files.get(path).ok_or(PathRefusal::Missing)?;
            match bytes.len() as u64 > limit {
                true => Err(PathRefusal::TooLarge(limit)),
                false => Ok(bytes.clone().into()),
            }
        }

        fn write(
            &self,
            path: &str,
            old: Option<&FileContent>,
            content: &[u8],
        ) -> Result<(), PathRefusal> {
            let before = self
                .0
                .borrow_mut()
                .insert(path.to_owned(), content.to_vec());
            assert!(old.is_none_or(|old| Some(&old.bytes) == before.as_ref()));
            Ok(())
        }
    }

    fn edited(content: &str, old: &str, new: &str) -> Result<String, String> {
        let files = Memory::default();
        files.write("f", None, content.as_bytes()).unwrap();
        apply(&files, "f", old, new).map_err(|error| error.to_string())?;
        let file = files.read("f", LARGEST_FILE).unwrap();
        Ok(String::from_utf8(file.bytes).unwrap())
    }

    #[test]
    fn replaces_the_one_occurrence() {
        assert_eq!(edited("a b c", "b", "x").unwrap(), "a x c");
        assert_eq!(edited("a b c", "", "all new").unwrap(), "all new");
        insta::assert_snapshot!(edited("a b c", "d", "x").unwrap_err(), @"f: old_text does not occur in the file; it has to match exactly, also in whitespace");
        insta::assert_snapshot!(edited("aaa", "aa", "x").unwrap_err(), @"f: old_text occurs 2 times; give more of the surrounding lines so that it is unique");
    }

    #[test]
    fn creates_files_and_says_what_it_did() {
        let files = Memory::default();
        let done = |old: &str, new: &str| apply(&files, "a/b.txt", old, new).unwrap();
        assert_eq!(done("", "hi"), Edited::Created);
        assert_eq!(done("", "ho"), Edited::Overwritten);
        assert_eq!(done("o", "i"), Edited::Replaced);
        insta::assert_snapshot!(apply(&files, "none", "x", "y").unwrap_err(), @"none: does not exist");
        insta::assert_snapshot!(apply(&files, "../x", "", "y").unwrap_err(), @"../x: leaves the directory; use a path relative to it, without '..'");
    }

    #[test]
    fn large_and_binary_files_are_left_alone() {
        let files = Memory::default();
        files.write("binary", None, &[0xff, 0xfe]).unwrap();
        insta::assert_snapshot!(apply(&files, "binary", "x", "y").unwrap_err(), @"binary: is not UTF-8 text; use the shell to change it");
        let huge = "x".repeat(LARGEST_FILE as usize + 1);
        insta::assert_snapshot!(apply(&files, "huge", "", &huge).unwrap_err(), @"huge: the result is larger than 8388608 bytes");
        files.write("huge", None, huge.as_bytes()).unwrap();
        insta::assert_snapshot!(apply(&files, "huge", "x", "y").unwrap_err(), @"huge: is larger than 8388608 bytes");
    }
}
