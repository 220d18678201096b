//! Reads the files that people write for this program.

use std::path::Path;

use timeslip_datasets::files;

use crate::error::Error;

/// A file that has nothing in it.
const NOTHING: &str = "/dev/null";

/// The text of a regular file of bounded size, or nothing from `/dev/null`.
///
/// # Errors
/// [`Error::Suite`] says which file, and what is wrong with it.
pub(crate) fn text(file: &Path) -> Result<String, Error> {
    if file == Path::new(NOTHING) {
        return Ok(String::new());
    }
    files::read_text(file, "correct its name, or make it")
        .map_err(timeslip_suites::Error::from)
        .map_err(Error::from)
}
