//! Where what is fetched once is kept.

use std::path::PathBuf;

use crate::error::Error;

/// A folder of `$XDG_CACHE_HOME/timeslip`, or below `~/.cache`.
///
/// # Errors
/// [`Error::Config`] when there is no home.
pub fn folder(name: &str) -> Result<PathBuf, Error> {
    let absolute = |name: &str| {
        let path = PathBuf::from(std::env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    let base = base.ok_or_else(|| Error::Config {
        place: "--cache".into(),
        problem: "neither XDG_CACHE_HOME nor HOME says where; name a directory".into(),
    })?;
    Ok(base.join("timeslip").join(name))
}
