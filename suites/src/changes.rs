//! How much was changed: files and lines of text, by a patch, or from the state in which a
//! workspace began.
//!
//! What version control, package managers and interpreters keep for themselves is nobody's
//! change. Links and files that are no text count as files and have no lines.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, FileType, Metadata};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use similar::{Algorithm, ChangeTag, TextDiff};
use timeslip_datasets::run::journal::Changes;

use crate::sandbox::Scratch;
use crate::{Result, Sandbox, Task, Workspace, path_guard, solution, steps};

/// Directories that are left out.
const NOT_WORK: &[&str] = &[
    ".git",
    ".hg",
    ".svn",
    ".tox",
    ".venv",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    "__pycache__",
    "node_modules",
];

/// Larger files have no lines.
const LARGEST: u64 = 1 << 20;

/// Files and directories that are looked at.
const MOST: usize = 200_000;

/// How long all of it may take, and one file.
const WITHIN: Duration = Duration::from_secs(5);
const FILE_WITHIN: Duration = Duration::from_millis(200);

/// How long the author's solution may take where it is carried out only for this.
const SOLVED_WITHIN: Duration = Duration::from_secs(20);

/// What a patch changes, in git's format.
#[must_use]
pub fn of_patch(patch: &str) -> Changes {
    let mut changes = Changes::default();
    // Lines of the old and of the new file that the hunk still has.
    let mut left = (0_u32, 0_u32);
    for line in patch.lines() {
        match (left, line.as_bytes().first()) {
            ((0, 0), _) => {
                if line.starts_with("diff --git ") {
                    changes.files += 1;
                } else if let Some(hunk) = line.strip_prefix("@@ -") {
                    left = lengths(hunk).unwrap_or_default();
                }
            }
            ((old, new), Some(b'-')) => {
                changes.removed += 1;
                left = (old.saturating_sub(1), new);
            }
            ((old, new), Some(b'+')) => {
                changes.added += 1;
                left = (old, new.saturating_sub(1));
            }
            // No line break at the end of the file.
            (_, Some(b'\\')) => {}
            ((old, new), _) => left = (old.saturating_sub(1), new.saturating_sub(1)),
        }
    }
    changes
}

/// The two lengths of `1,7 +1,8 @@`; 1 where there is none.
fn lengths(hunk: &str) -> Option<(u32, u32)> {
    let (old, rest) = hunk.split_once(" +")?;
    let (new, _) = rest.split_once(" @@")?;
    let length = |range: &str| match range.split_once(',') {
        Some((_, length)) => length.parse().ok(),
        None => Some(1),
    };
    Some((length(old)?, length(new)?))
}

/// What was changed in a workspace since it was made; `None` where its files are not on this
/// machine, or more was changed than is looked at.
#[must_use]
pub fn since_start(workspace: &Workspace) -> Option<Changes> {
    let (before, after) = workspace.before_and_after()?;
    Comparing::new(&before, after).changes()
}

/// What the author's own solution changes: its patch, or what it leaves behind. That is tried
/// below the directory `place`, for at most 20 seconds; `None` where it does not end in time,
/// or nothing of it is known.
///
/// # Errors
/// The workspace cannot be prepared.
pub fn of_solution(task: &Task, sandbox: &Sandbox, place: &Path) -> Result<Option<Changes>> {
    if let Some(patch) = task.gold_patch() {
        return Ok(Some(of_patch(patch)));
    }
    let mut task = task.clone();
    let [step] = &mut task.steps[..] else {
        return Ok(None);
    };
    if step.solution.is_none() {
        return Ok(None);
    }
    step.time = step.time.min(SOLVED_WITHIN);
    let place = Scratch::within(place, "solution-")?;
    let workspace = steps::begin(&task, sandbox, &place.path().join("trial"))?;
    let solved = solution::solve(&task, 0, &workspace, sandbox)?;
    let solved = solved.is_some_and(|execution| execution.succeeded());
    Ok(solved.then(|| since_start(&workspace)).flatten())
}

/// Two directories that are being compared.
struct Comparing<'a> {
    before: &'a Path,
    after: &'a Path,
    changes: Changes,
    left: usize,
    deadline: Instant,
}

impl<'a> Comparing<'a> {
    fn new(before: &'a Path, after: &'a Path) -> Self {
        Comparing {
            before,
            after,
            changes: Changes::default(),
            left: MOST,
            deadline: Instant::now() + WITHIN,
        }
    }

    fn changes(mut self) -> Option<Changes> {
        let mut directories = vec![PathBuf::new()];
        while let Some(directory) = directories.pop() {
            let names = [self.before, self.after].map(|top| names(&top.join(&directory)));
            let names: BTreeSet<OsString> = names.into_iter().flatten().collect();
            self.left = self.left.checked_sub(names.len())?;
            for name in names {
                if Instant::now() > self.deadline {
                    return None;
                }
                let path = directory.join(&name);
                if self.is_directory(&path, &name) {
                    directories.push(path);
                } else {
                    self.file(&path);
                }
            }
        }
        Some(self.changes)
    }

    fn found(&self, path: &Path) -> [Option<Metadata>; 2] {
        [self.before, self.after].map(|top| fs::symlink_metadata(top.join(path)).ok())
    }

    /// Whether there is a directory on either side, of those that count.
    fn is_directory(&self, path: &Path, name: &OsString) -> bool {
        let is_work = !NOT_WORK.iter().any(|other| name == other);
        let found = self.found(path).into_iter().flatten();
        found.map(|file| file.file_type()).any(|kind| kind.is_dir()) && is_work
    }

    fn file(&mut self, path: &Path) {
        let found = self.found(path);
        let kinds = found
            .each_ref()
            .map(|file| file.as_ref().map(Metadata::file_type));
        if kinds.iter().flatten().any(FileType::is_dir) {
            return;
        }
        if let [Some(before), Some(after)] = &found
            && kinds[0] == kinds[1]
            && before.len() == after.len()
            && before.modified().ok() == after.modified().ok()
        {
            return;
        }
        let is_link = |kind: &Option<FileType>| kind.is_some_and(|kind| kind.is_symlink());
        if kinds.iter().any(is_link) {
            let targets = [self.before, self.after].map(|top| fs::read_link(top.join(path)).ok());
            self.changes.files += u32::from(targets[0] != targets[1]);
            return;
        }
        let contents = [(self.before, &found[0]), (self.after, &found[1])]
            .map(|(top, file)| content(top, path, file.as_ref()));
        if let [Content::Text(before), Content::Text(after)] = &contents {
            if before != after {
                self.changes.files += 1;
                self.lines(before, after);
            }
        } else {
            self.changes.files += u32::from(contents[0] != contents[1]);
        }
    }

    fn lines(&mut self, before: &str, after: &str) {
        let diff = TextDiff::configure()
            .algorithm(Algorithm::Myers)
            .timeout(FILE_WITHIN)
            .diff_lines(before, after);
        for change in diff.iter_all_changes() {
            match change.tag() {
                ChangeTag::Delete => self.changes.removed += 1,
                ChangeTag::Insert => self.changes.added += 1,
                ChangeTag::Equal => {}
            }
        }
    }
}

/// What a file holds. One that is not there is an empty text.
#[derive(PartialEq)]
enum Content {
    Text(String),
    Bytes(Vec<u8>),
    /// Too large, or it cannot be read.
    Unread(u64),
}

fn content(top: &Path, path: &Path, file: Option<&Metadata>) -> Content {
    let Some(file) = file else {
        return Content::Text(String::new());
    };
    match path_guard::read(top, path, LARGEST) {
        Err(_) => Content::Unread(file.len()),
        Ok(bytes) if bytes.contains(&0) => Content::Bytes(bytes),
        Ok(bytes) => String::from_utf8(bytes)
            .map_or_else(|error| Content::Bytes(error.into_bytes()), Content::Text),
    }
}

/// The names in a directory; none where it is not one.
fn names(directory: &Path) -> Vec<OsString> {
    // The top is one; below it links are not followed.
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_patch_is_counted_by_its_hunks() {
        let patch = "diff --git a/a b/a\nindex 1..2 100644\n--- a/a\n+++ b/a\n\
                     @@ -1,3 +1,4 @@ f\n one\n-diff --git a/x b/x\n+two\n+--- three\n four\n\
                     @@ -9 +10 @@\n-a\n\\ No newline at end of file\n+b\n\
                     diff --git a/b b/b\nnew file mode 100644\n--- /dev/null\n+++ b/b\n@@ -0,0 +1 @@\n+x\n";
        let expected = Changes {
            files: 2,
            added: 4,
            removed: 2,
        };
        assert_eq!(of_patch(patch), expected);
        assert_eq!(of_patch(""), Changes::default());
    }

    #[test]
    fn two_directories_are_compared_file_by_file() {
        let place = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &[u8]| {
            let path = place.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        for side in ["before", "after"] {
            write(&format!("{side}/same"), b"a\nb\n");
            write(&format!("{side}/deep/er/binary"), side.as_bytes());
        }
        write("before/changed", b"a\nb\nc\n");
        write("after/changed", b"a\nx\nc\nd\n");
        write("before/gone", b"1\n2\n");
        write("after/new/file", b"1\n");
        write("after/.git/index", b"1\n");
        write("after/new/__pycache__/x.pyc", b"1\n");
        write("before/deep/er/binary", b"\0one");
        write("after/deep/er/binary", b"\0three");
        std::os::unix::fs::symlink("/etc/passwd", place.path().join("after/link")).unwrap();
        std::os::unix::fs::symlink("/", place.path().join("after/top")).unwrap();
        let [before, after] = ["before", "after"].map(|side| place.path().join(side));
        // Changed, gone, new, binary and two links.
        let expected = Changes {
            files: 6,
            added: 3,
            removed: 3,
        };
        assert_eq!(Comparing::new(&before, &after).changes(), Some(expected));
        let none = Some(Changes::default());
        assert_eq!(Comparing::new(&after, &after).changes(), none);
    }

    proptest! {
        #[test]
        fn no_patch_makes_it_stumble(patch in "([-+ @0-9,]|diff --git |\n){0,60}") {
            let _ = of_patch(&patch);
        }
    }
}
