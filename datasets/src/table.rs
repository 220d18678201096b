//! Files that are a table of objects: JSON Lines, JSON and Parquet.

mod json;
#[cfg(feature = "parquet")]
mod parquet;

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// One row, and where it was.
pub(crate) struct Row<T> {
    value: T,
    place: Place,
}

/// Where a row was, for errors.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    /// One-based.
    Line(u64),
    /// One-based; rows of formats without lines.
    Number(u64),
}

impl<T> Row<T> {
    pub(crate) fn split(self) -> (T, Place) {
        (self.value, self.place)
    }
}

impl Place {
    pub(crate) fn error(self, file: &Path, message: String) -> Error {
        match self {
            Self::Line(line) => Error::invalid_line(file, line, message),
            Self::Number(number) => Error::invalid(file, format!("row {number}: {message}")),
        }
    }
}

/// Reads `.jsonl`, `.json` (a list of objects, or an object of objects, whose keys
/// are dropped), both also as `.gz`, and `.parquet`.
pub(crate) fn read<T: DeserializeOwned>(file: &Path, purpose: &str) -> Result<Vec<Row<T>>> {
    let name = file.to_string_lossy().to_ascii_lowercase();
    match name.strip_suffix(".gz").unwrap_or(&name) {
        name if name.ends_with(".jsonl") => json::read_lines(file, purpose),
        name if name.ends_with(".json") => json::read_list(file, purpose),
        name if name.ends_with(".parquet") => read_parquet(file),
        _ => Err(Error::invalid(
            file,
            "has no name that says what is in it; it has to end in .jsonl, .json or .parquet, or in .jsonl.gz or .json.gz",
        )),
    }
}

#[cfg(feature = "parquet")]
fn read_parquet<T: DeserializeOwned>(file: &Path) -> Result<Vec<Row<T>>> {
    parquet::read(file)
}

#[cfg(not(feature = "parquet"))]
fn read_parquet<T: DeserializeOwned>(file: &Path) -> Result<Vec<Row<T>>> {
    Err(Error::invalid(
        file,
        "is a Parquet file, which this build cannot read; build with `--features parquet`, or convert it to .jsonl",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_says_what_to_do() {
        let error = |name: &str| match read::<u8>(Path::new(name), "x") {
            Ok(_) => panic!("was read"),
            Err(error) => error.to_string(),
        };
        insta::assert_snapshot!(error("rows.csv"), @"rows.csv: has no name that says what is in it; it has to end in .jsonl, .json or .parquet, or in .jsonl.gz or .json.gz");
        #[cfg(not(feature = "parquet"))]
        insta::assert_snapshot!(error("rows.parquet"), @"rows.parquet: is a Parquet file, which this build cannot read; build with `--features parquet`, or convert it to .jsonl");
    }
}
