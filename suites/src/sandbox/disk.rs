//! What a trial writes in all is bounded by looking: not every file system has quotas, and
//! not everybody may set them.
//!
//! What is written counts in blocks, so that holes cost nothing, and each entry as at least
//! one block, so that empty files do. Looking through a directory takes time, so it is done
//! when the file system has lost an eighth of what is left, and otherwise every few seconds,
//! for others may free what a trial takes; but never for more than a tenth of the time.

use std::collections::HashSet;
use std::ffi::CString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, fstat, openat, statat, statvfs};

use super::descendants;

/// How often the file system is asked what is left of it.
const SAMPLED: Duration = Duration::from_millis(50);

/// How long a directory is not looked through where nothing seems to be written.
const QUIET: Duration = Duration::from_secs(5);

/// What is written at least before a directory is looked through again.
const STRIDE: u64 = 16 << 20;

/// What an entry of a directory counts at least.
const BLOCK: u64 = 4096;

/// What may be written below a directory beyond what was there at first.
#[derive(Clone, Debug)]
pub struct DiskQuota {
    limit: u64,
    usage: Arc<Usage>,
}

#[derive(Debug)]
struct Usage {
    directory: PathBuf,
    before: u64,
    looked: Mutex<Look>,
}

/// What the last look came to.
#[derive(Clone, Copy, Debug)]
struct Look {
    at: Instant,
    took: Duration,
    /// Bytes that were written.
    written: u64,
    /// Bytes that were free on the file system.
    free: u64,
    /// What was written elsewhere at first; `None` before that was asked.
    elsewhere_before: Option<u64>,
}

impl PartialEq for DiskQuota {
    fn eq(&self, other: &Self) -> bool {
        self.limit == other.limit && Arc::ptr_eq(&self.usage, &other.usage)
    }
}

impl Eq for DiskQuota {}

impl DiskQuota {
    /// So many mebibytes more than are below `directory` now.
    pub fn new(directory: &Path, mebibytes: u64) -> Self {
        Self::beginning(directory, mebibytes.saturating_mul(1 << 20), Some(0))
    }

    fn beginning(directory: &Path, limit: u64, elsewhere_before: Option<u64>) -> Self {
        let began = Instant::now();
        let before = written_below(directory).bytes;
        let look = Look {
            at: Instant::now(),
            took: began.elapsed(),
            written: 0,
            free: free(directory),
            elsewhere_before,
        };
        let usage = Usage {
            directory: directory.to_owned(),
            before,
            looked: Mutex::new(look),
        };
        Self {
            limit,
            usage: Arc::new(usage),
        }
    }

    /// The same, but for no more than so many mebibytes.
    #[must_use]
    pub fn at_most(self, mebibytes: u64) -> Self {
        Self {
            limit: self.limit.min(mebibytes.saturating_mul(1 << 20)),
            ..self
        }
    }

    /// Whether what is below a directory counts already.
    pub(super) fn covers(&self, directory: &Path) -> bool {
        directory.starts_with(&self.usage.directory)
    }

    /// As much again from now on: for a verifier, which is not to lack what the agent took.
    #[must_use]
    pub(crate) fn anew(&self) -> Self {
        Self::beginning(&self.usage.directory, self.limit, None)
    }

    fn last(&self) -> MutexGuard<'_, Look> {
        let looked = &self.usage.looked;
        looked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is time to look again.
    fn is_due(&self) -> bool {
        let last = *self.last();
        let since = last.at.elapsed();
        let room = self.limit.saturating_sub(last.written);
        let lost = last.free.saturating_sub(free(&self.usage.directory));
        since >= last.took * 10 && (lost >= (room / 8).max(STRIDE) || since >= QUIET)
    }

    /// Whether too much was written, as far as that can be known without looking too often.
    fn is_exceeded(&self, elsewhere: &dyn Fn() -> u64) -> bool {
        if self.is_due() {
            self.look(elsewhere);
        }
        self.last().written > self.limit
    }

    fn look(&self, elsewhere: &dyn Fn() -> u64) {
        let began = Instant::now();
        let found = written_below(&self.usage.directory);
        let elsewhere = elsewhere();
        let free = free(&self.usage.directory);
        let mut last = self.last();
        let mut written = found.bytes.saturating_sub(self.usage.before);
        if found.hides_something {
            // It may hold whatever the file system has lost meanwhile.
            written = written.max(last.written + last.free.saturating_sub(free));
        }
        let before = *last.elsewhere_before.get_or_insert(elsewhere);
        *last = Look {
            at: Instant::now(),
            took: began.elapsed(),
            written: written.saturating_add(elsewhere.saturating_sub(before)),
            free,
            ..*last
        };
    }
}

/// Looks while a command runs, on a thread of its own.
#[derive(Debug)]
pub(super) struct DiskWatch {
    quota: DiskQuota,
    exceeded: Arc<AtomicBool>,
    ending: Sender<()>,
    thread: JoinHandle<()>,
}

impl DiskWatch {
    /// `elsewhere` tells what else was written that is not below the quota's directory, in
    /// bytes; `act` is called once should it become too much.
    pub(super) fn begin(
        quota: &DiskQuota,
        elsewhere: impl Fn() -> u64 + Send + 'static,
        act: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<Self> {
        let (ending, ended) = mpsc::channel();
        let exceeded = Arc::new(AtomicBool::new(false));
        let (watched, found) = (quota.clone(), Arc::clone(&exceeded));
        let thread = thread::Builder::new().spawn(move || {
            if watched.last().elsewhere_before.is_none() {
                watched.look(&elsewhere);
            }
            loop {
                let waited: Result<(), _> = ended.recv_timeout(SAMPLED);
                let over = watched.is_exceeded(&elsewhere);
                if over {
                    found.store(true, Ordering::Release);
                }
                match waited {
                    Err(RecvTimeoutError::Timeout) if over => return act(),
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        })?;
        Ok(Self {
            quota: quota.clone(),
            exceeded,
            ending,
            thread,
        })
    }

    /// Whether it was too much until now.
    pub(super) fn is_exceeded(&self) -> bool {
        self.exceeded.load(Ordering::Acquire)
    }

    /// Looks a last time, if that is due; says whether it was too much.
    pub(super) fn end(self) -> bool {
        drop(self.ending);
        // It does not panic, and if it did nothing would be known.
        let _ = self.thread.join();
        self.exceeded.load(Ordering::Acquire) || self.quota.last().written > self.quota.limit
    }
}

/// Bytes that are free for everybody on the file system of a directory.
fn free(directory: &Path) -> u64 {
    statvfs(directory).map_or(u64::MAX, |found| {
        found.f_bavail.saturating_mul(found.f_frsize)
    })
}

/// What is below a directory.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    bytes: u64,
    /// There is a directory that cannot be looked into.
    hides_something: bool,
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// A directory whose own directories are still to be looked into.
struct Level {
    /// To know it again.
    id: (u64, u64),
    left: Vec<CString>,
}

/// Bytes of what is below a directory.
pub(super) fn bytes_below(directory: &Path) -> u64 {
    written_below(directory).bytes
}

/// What is below a directory, on its own file system. Two descriptors suffice however deep
/// it is: the way back up is `..`, unless somebody moves a directory meanwhile, which ends
/// the look.
fn written_below(directory: &Path) -> Found {
    let mut found = Found::default();
    let Ok(mut here) = openat(CWD, directory, DIRECTORY, Mode::empty()) else {
        return found;
    };
    let Ok(top) = fstat(&here) else {
        return found;
    };
    let mut linked = HashSet::new();
    let mut list = |here: &OwnedFd, found: &mut Found| -> Vec<CString> {
        let mut directories = Vec::new();
        for entry in Dir::read_from(here).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(entry) = statat(here, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let is_directory = FileType::from_raw_mode(entry.st_mode) == FileType::Directory;
            // A mount is not below it, though it is seen there.
            if entry.st_dev != top.st_dev {
                continue;
            }
            let again = !is_directory && entry.st_nlink > 1 && !linked.insert(entry.st_ino);
            let blocks = u64::try_from(entry.st_blocks).unwrap_or_default();
            found.bytes += match again {
                true => 0,
                false => blocks.saturating_mul(512).max(BLOCK),
            };
            if is_directory {
                directories.push(name.to_owned());
            }
        }
        directories
    };
    let mut levels = vec![Level {
        id: (top.st_dev, top.st_ino),
        left: list(&here, &mut found),
    }];
    while let Some(level) = levels.last_mut() {
        if let Some(name) = level.left.pop() {
            match openat(&here, &name, DIRECTORY, Mode::empty()) {
                Ok(inner) => {
                    let Ok(stat) = fstat(&inner) else { break };
                    here = inner;
                    let left = list(&here, &mut found);
                    levels.push(Level {
                        id: (stat.st_dev, stat.st_ino),
                        left,
                    });
                }
                Err(_) => found.hides_something = true,
            }
            continue;
        }
        levels.pop();
        let Some(outer) = levels.last() else { break };
        let Ok(up) = openat(&here, c"..", DIRECTORY, Mode::empty()) else {
            found.hides_something = true;
            break;
        };
        match fstat(&up) {
            Ok(stat) if (stat.st_dev, stat.st_ino) == outer.id => here = up,
            _ => {
                found.hides_something = true;
                break;
            }
        }
    }
    found
}

/// Bytes of files that a process and its descendants have open, but that are in no
/// directory any more.
pub(super) fn bytes_without_a_name(process: u32) -> u64 {
    let mut counted = HashSet::new();
    let processes = descendants::of(process);
    let tables = processes.iter().map(|pid| format!("/proc/{pid}/fd"));
    let descriptors = tables.flat_map(|table| fs::read_dir(table).into_iter().flatten().flatten());
    descriptors
        .filter_map(|descriptor| fs::metadata(descriptor.path()).ok())
        .filter(|file| file.is_file() && file.nlink() == 0)
        .filter(|file| counted.insert((file.dev(), file.ino())))
        .map(|file| file.blocks().saturating_mul(512))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn write(file: &Path, bytes: usize) {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, vec![1; bytes]).unwrap();
    }

    #[test]
    fn blocks_count_and_entries_but_neither_holes_nor_links() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = || written_below(folder.path()).bytes;
        write(&folder.path().join("a/b/c"), 1 << 20);
        let with_file = bytes();
        assert!(with_file >= (1 << 20) + 2 * BLOCK, "{with_file}");
        let hole = fs::File::create(folder.path().join("hole")).unwrap();
        hole.set_len(1 << 40).unwrap();
        assert_eq!(bytes(), with_file + BLOCK);
        symlink("/usr", folder.path().join("link")).unwrap();
        assert_eq!(bytes(), with_file + 2 * BLOCK);
        fs::hard_link(folder.path().join("a/b/c"), folder.path().join("again")).unwrap();
        assert_eq!(bytes(), with_file + 2 * BLOCK);
        for index in 0..100 {
            write(&folder.path().join(format!("many/{index}")), 0);
        }
        assert!(bytes() >= with_file + 102 * BLOCK);
        assert_eq!(bytes_below(&folder.path().join("none")), 0);
    }

    #[test]
    fn what_was_there_is_not_counted_and_a_verifier_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("before"), 8 << 20);
        let quota = DiskQuota::new(folder.path(), 4);
        let exceeded = |quota: &DiskQuota| {
            quota.look(&|| 0);
            quota.last().written > quota.limit
        };
        assert!(!exceeded(&quota));
        write(&folder.path().join("after"), 3 << 20);
        assert!(!exceeded(&quota) && exceeded(&quota.clone().at_most(2)));
        write(&folder.path().join("more"), 3 << 20);
        assert!(exceeded(&quota) && !exceeded(&quota.anew()));
        quota.look(&|| 0);
        assert!(quota.clone().at_most(100) == quota);
    }

    #[test]
    fn a_file_without_a_name_counts_while_it_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new("bash")
            .args([
                "-c",
                "exec 3>f; rm f; head -c 2000000 /dev/zero >&3; echo; read",
            ])
            .current_dir(folder.path())
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = [0];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut said).unwrap();
        let found = bytes_without_a_name(child.id());
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!((2_000_000..3_000_000).contains(&found), "{found}");
    }
}
