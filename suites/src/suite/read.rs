//! Reads files that people write.

use std::path::Path;

use crate::{Error, Result};

/// A suite file is a dozen lines; this leaves room for a list of every task.
const LARGEST_FILE: u64 = 4 * 1024 * 1024;

/// Reads a file of a size that people write.
pub(super) fn read_bounded(file: &Path) -> Result<String> {
    let size = file
        .metadata()
        .map_err(Error::io("cannot be read", file))?
        .len();
    if size > LARGEST_FILE {
        return Err(Error::SuiteFile {
            file: file.display().to_string(),
            message: "is too large for a suite file".to_owned(),
        });
    }
    std::fs::read_to_string(file).map_err(Error::io("cannot be read", file))
}
