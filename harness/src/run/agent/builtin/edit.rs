//! The `edit_file` tool: one occurrence of a text is replaced, and lines go on ending as
//! they do in the file, however the model ends them.

use std::ops::Range;

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

/// Replaces the one occurrence of `old` in the file at `path` by `new`; an empty `old`
/// creates or overwrites the file.
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
    match find(text, old) {
        Ok(place) => {
            let new = with_ends_of(text, &place, new);
            Ok([&text[..place.start], &new, &text[place.end..]].concat())
        }
        Err(0) => Err(EditError::NotFound { path }),
        Err(count) => Err(EditError::Ambiguous { path, count }),
    }
}

/// Where the one occurrence of a text is, or how many there are: of the text as it is, or
/// else of one that differs in its line ends. None begins or ends within a line end.
fn find(text: &str, old: &str) -> Result<Range<usize>, usize> {
    let whole = |at: usize| !(text[..at].ends_with('\r') && text[at..].starts_with('\n'));
    let exact = places(text, old).map(|at| at..at + old.len());
    let exact = only(exact.filter(|place| whole(place.start) && whole(place.end)));
    if exact != Err(0) {
        return exact;
    }
    let plain = |text: &str| text.replace("\r\n", "\n");
    let (unix, old) = (plain(text), plain(old));
    let old = old.trim_end_matches('\r');
    let place = only(places(&unix, old).map(|at| at..at + old.len()))?;
    Ok(within(text, place.start)..within(text, place.end))
}

/// Where in a text the place is that has so many bytes before it when every line ends in
/// `\n` alone. Between the two bytes of a line end it is before both.
fn within(text: &str, at: usize) -> usize {
    let mut ends = text.match_indices("\r\n").map(|(end, _)| end);
    let removed = (0..).take_while(|removed| ends.next().is_some_and(|end| end - removed < at));
    at + removed.count()
}

/// The new text with its lines ended as those in its place are, or, where none ends there,
/// as the one it stands in.
fn with_ends_of(text: &str, place: &Range<usize>, new: &str) -> String {
    let (before, after) = (&text[..place.start], &text[place.end..]);
    let mut own = ends(&text[place.clone()]);
    let around = || ends(after).next().or_else(|| ends(before).last());
    let Some(mut end) = own.clone().next().or_else(around) else {
        return new.to_owned();
    };
    let mut written = String::with_capacity(new.len());
    for line in new.split_inclusive('\n') {
        let Some(line) = line.strip_suffix('\n') else {
            // What follows may be the end of its line.
            let ended = after.starts_with(['\r', '\n']);
            written.push_str(if ended {
                line.trim_end_matches('\r')
            } else {
                line
            });
            break;
        };
        end = own.next().unwrap_or(end);
        written.push_str(line.trim_end_matches('\r'));
        written.push_str(end);
    }
    written
}

/// The line ends of a text.
fn ends(text: &str) -> impl Iterator<Item = &str> + Clone {
    text.split_inclusive('\n')
        .filter_map(|line| match line.strip_suffix('\n')? {
            line if line.ends_with('\r') => Some("\r\n"),
            _ => Some("\n"),
        })
}

/// The only one of several places, or how many there are.
fn only(mut places: impl Iterator<Item = Range<usize>>) -> Result<Range<usize>, usize> {
    let first = places.next().ok_or(0_usize)?;
    match places.count() {
        0 => Ok(first),
        more => Err(more + 1),
    }
}

/// Where a text occurs; overlapping occurrences are as ambiguous as separate ones.
fn places(text: &str, pattern: &str) -> impl Iterator<Item = usize> {
    let step = pattern.chars().next().map(char::len_utf8);
    let mut from = 0;
    std::iter::from_fn(move || {
        let at = from + text.get(from..)?.find(pattern)?;
        from = at + step?;
        Some(at)
    })
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
    fn line_ends_are_the_files_own() {
        let windows = "one\r\ntwo\r\nthree\r\n";
        let mixed = "a\nb\r\nc\r\nd\n";
        for (file, old, new, expected) in [
            (windows, "one\ntwo\n", "1\n2\n", "1\r\n2\r\nthree\r\n"),
            (windows, "two", "2\n3", "one\r\n2\r\n3\r\nthree\r\n"),
            (windows, "\ntwo", "", "one\r\nthree\r\n"),
            (windows, "\ntwo", "\n2", "one\r\n2\r\nthree\r\n"),
            (windows, "two\r", "2\r", "one\r\n2\r\nthree\r\n"),
            ("one\ntwo\n", "one\r\n", "1\r\n", "1\ntwo\n"),
            ("one\ntwo\n", "one", "1\r", "1\ntwo\n"),
            ("one", "n", "\r\n", "o\r\ne"),
            (mixed, "b\nc\n", "x\ny\n", "a\nx\r\ny\r\nd\n"),
            (mixed, "a\nb\r\n", "x\ny\n", "x\ny\r\nc\r\nd\n"),
            (mixed, "c", "x\ny", "a\nb\r\nx\r\ny\r\nd\n"),
        ] {
            assert_eq!(edited(file, old, new).unwrap(), expected, "{old:?} {new:?}");
        }
        insta::assert_snapshot!(edited("a\r\nb\r\na\r\nb\r\n", "a\nb", "x").unwrap_err(), @"f: old_text occurs 2 times; give more of the surrounding lines so that it is unique");
        insta::assert_snapshot!(edited(windows, "\r", "x").unwrap_err(), @"f: old_text does not occur in the file; it has to match exactly, also in whitespace");
    }

    proptest::proptest! {
        #[test]
        fn nothing_beside_an_edit_changes(
            ends in proptest::collection::vec(proptest::bool::ANY, 1..4),
            [before, old, after] in ["[a-d\n]{0,9}", "[a-d\n]{1,9}", "[a-d\n]{0,9}"],
            other in proptest::bool::ANY,
            // A `\r` that the model itself puts before a line end is its own.
            new in "([a-d]|\n|\r\n){0,9}",
        ) {
            // One kind of end, or several by turns.
            let mut turn = ends.iter().cycle();
            let [before, place, after] = [before, old.clone(), after].map(|text| {
                let text = text.chars().map(|c| match c {
                    '\n' if *turn.next().unwrap() => "\r\n".to_owned(),
                    c => c.to_string(),
                });
                text.collect::<String>()
            });
            let windows = ends.iter().all(|windows| *windows);
            let unix = !ends.contains(&true);
            let old = match (windows, unix) {
                (true, _) if other => old,
                (_, true) if other => old.replace('\n', "\r\n"),
                _ => place.clone(),
            };
            let file = format!("{before}{place}{after}");
            if let Ok(edited) = edited(&file, &old, &new) {
                let put_in = edited.strip_prefix(&before).and_then(|rest| rest.strip_suffix(&after));
                proptest::prop_assert!(put_in.is_some(), "{file:?} {old:?} {edited:?}");
                proptest::prop_assert!(!edited.contains("\r\r\n"), "{file:?} {old:?} {edited:?}");
                if file.contains('\n') {
                    proptest::prop_assert!(!windows || !edited.replace("\r\n", "").contains('\n'), "{edited:?}");
                    proptest::prop_assert!(!unix || !edited.contains("\r\n"), "{edited:?}");
                }
            }
        }
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
