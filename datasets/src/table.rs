//! Files that are a table of objects: JSON Lines, JSON and Parquet.

mod json;
#[cfg(feature = "parquet")]
mod parquet;

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Error, Result};

/// One row: what it holds, or why it cannot be used.
pub(crate) struct Row<T> {
    id: String,
    value: Result<T>,
}

/// Where a row was, for errors.
#[derive(Clone, Copy)]
pub(crate) enum RowPlace {
    /// One-based.
    Line(u64),
    /// One-based; rows of formats without lines.
    Number(u64),
}

/// The column that tells rows apart.
const ID: &str = "instance_id";

impl<T: DeserializeOwned> Row<T> {
    /// The row's `instance_id`, or its place where it has none, and its value.
    pub(crate) fn split(self) -> (String, Result<T>) {
        (self.id, self.value)
    }

    /// A row from its text.
    fn parse(file: &Path, place: RowPlace, text: &str) -> Self {
        match serde_json::from_str::<Value>(text) {
            Ok(value) => Self::of(file, place, value),
            Err(error) => Row {
                id: place.name(),
                value: Err(place.not_a_row(file, &error)),
            },
        }
    }

    /// A row from its object.
    fn of(file: &Path, place: RowPlace, value: Value) -> Self {
        let id = value.get(ID).and_then(Value::as_str);
        Row {
            id: id.map_or_else(|| place.name(), str::to_owned),
            value: serde_path_to_error::deserialize(value)
                .map_err(|error| place.not_a_row(file, &error)),
        }
    }
}

impl RowPlace {
    fn name(self) -> String {
        match self {
            Self::Line(line) => format!("line-{line}"),
            Self::Number(number) => format!("row-{number}"),
        }
    }

    fn not_a_row(self, file: &Path, error: &dyn std::fmt::Display) -> Error {
        match self {
            Self::Line(line) => Error::invalid_line(file, line, format!("is not a row: {error}")),
            Self::Number(number) => {
                Error::invalid(file, format!("row {number}: is not a row: {error}"))
            }
        }
    }
}

/// Reads `.jsonl`, `.json` (a list of objects, or an object of objects, whose keys stand
/// in for a missing `instance_id`), both also as `.gz`, and `.parquet`.
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
