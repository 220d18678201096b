//! The task formats a suite can be made of: one file each, one line here.

mod harbor;
mod swe_bench;
mod swe_bench_pro;
mod terminal_bench_1;

use std::fmt;
use std::path::Path;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::SuiteFile;
use super::select::Candidate;
use crate::Result;

/// Loads the tasks of a suite file from its source, each with why it cannot be used,
/// where it cannot; `place` is a directory of the load's own, for caches.
type Load = fn(file: &SuiteFile, source: &Path, place: &Path) -> Result<Vec<Candidate>>;

const FORMATS: &[(&str, Load)] = &[
    ("swe-bench", swe_bench::load),
    ("swe-bench-pro", swe_bench_pro::load),
    ("harbor", harbor::load),
    ("terminal-bench-1", terminal_bench_1::load),
];

/// A task format, by its name.
#[derive(Clone, Copy)]
pub struct Format {
    name: &'static str,
    load: Load,
}

impl Format {
    /// The format of that name; an error lists the known ones.
    pub fn named(name: &str) -> Result<Self, String> {
        FORMATS
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(name, load)| Self { name, load: *load })
            .ok_or_else(|| {
                let known: Vec<_> = FORMATS.iter().map(|(name, _)| *name).collect();
                format!("'{name}' is not known; known are {}", known.join(", "))
            })
    }

    pub(super) fn load(
        self,
        file: &SuiteFile,
        source: &Path,
        place: &Path,
    ) -> Result<Vec<Candidate>> {
        (self.load)(file, source, place)
    }
}

impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.name.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::named(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl PartialEq for Format {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Format {}

impl fmt::Debug for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}
