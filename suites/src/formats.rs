//! The task formats a suite can be made of: one file each, one line in [`FORMATS`]. They
//! alone know what a dataset looks like; what they give is a neutral [`Task`].

mod harbor;
mod sessions;
mod swe_bench;
mod swe_bench_pro;
mod terminal_bench_1;
mod variables;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Result, Task};

/// Every format, in the order in which they are listed.
pub static FORMATS: &[&dyn Format] = &[
    &swe_bench::SweBench,
    &swe_bench_pro::SweBenchPro,
    &harbor::Harbor,
    &terminal_bench_1::TerminalBench1,
    &sessions::Sessions,
];

/// A format of tasks.
pub trait Format: Sync {
    /// What a suite file calls it.
    fn name(&self) -> &'static str;

    /// Reads the tasks of a source, each with why it cannot be used, where it cannot.
    ///
    /// # Errors
    /// The source as a whole cannot be read.
    fn load(&self, source: &TaskSource<'_>) -> Result<Vec<LoadedTask>>;
}

/// A task of a source by its id, or why it cannot be used.
pub type LoadedTask = (String, Result<Task>);

/// Where tasks come from, and what the suite file says of that.
pub struct TaskSource<'a> {
    /// The suite's name.
    pub suite: &'a str,
    /// The directory or file with the tasks.
    pub path: &'a Path,
    /// A directory of this load's own, for caches.
    pub cache: &'a Path,
    /// Variables of this machine that tasks may ask for.
    pub pass_env: &'a [String],
    /// The suite names root file systems or images that hold the tasks' own files.
    pub whole_environments: bool,
    /// Finds where the repository `owner/name` was cloned to, if the suite has clones.
    pub find_clone: &'a dyn Fn(&str) -> Result<Option<PathBuf>>,
}

/// The format that a suite file names.
#[derive(Clone, Copy)]
pub struct FormatName(pub &'static dyn Format);

impl FormatName {
    /// The format of that name; an error lists the known ones.
    pub fn find(name: &str) -> Result<Self, String> {
        let mut formats = FORMATS.iter().copied();
        let found = formats.find(|format| format.name() == name);
        found.map(Self).ok_or_else(|| {
            let known: Vec<_> = FORMATS.iter().map(|format| format.name()).collect();
            format!("'{name}' is not known; known are {}", known.join(", "))
        })
    }
}

impl Serialize for FormatName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.name().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for FormatName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::find(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl PartialEq for FormatName {
    fn eq(&self, other: &Self) -> bool {
        self.0.name() == other.0.name()
    }
}

impl Eq for FormatName {}

impl fmt::Debug for FormatName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.name())
    }
}
