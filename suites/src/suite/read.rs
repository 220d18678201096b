//! Reads files that people write.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::{Error, Result};

/// A suite file is a dozen lines; this leaves room for a list of every task.
const LARGEST_FILE: u64 = 4 * 1024 * 1024;

/// Reads a regular file of a size that people write.
pub(super) fn read_bounded(file: &Path) -> Result<String> {
    let refused = |message: &str| Error::SuiteFile {
        file: file.display().to_string(),
        message: message.to_owned(),
    };
    let cannot_read = |error| Error::io("cannot be read", file)(error);
    // A device never ends, and a pipe may never begin.
    if !file.metadata().map_err(cannot_read)?.is_file() {
        return Err(refused("is not a regular file"));
    }
    let mut text = String::new();
    File::open(file)
        .and_then(|open| open.take(LARGEST_FILE + 1).read_to_string(&mut text))
        .map_err(cannot_read)?;
    if text.len() as u64 > LARGEST_FILE {
        return Err(refused("is too large for a suite file"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_refused() {
        let error = read_bounded(Path::new("/dev/zero")).unwrap_err();
        insta::assert_snapshot!(error, @"/dev/zero: is not a regular file");
    }
}
