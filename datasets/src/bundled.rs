//! The task collections that ship inside the binary.
//!
//! Embedding loses file modes, so scripts in them are always started as
//! `bash script`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Every bundled file: its path below `bundled/`, and its content.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/bundled.rs"));

/// The bundled collections: a SWE-bench task repository, a Harbor dataset and sessions.
pub const NAMES: [&str; 3] = ["swe-mini", "terminal-mini", "edit-mini"];

/// Writes the collection `name` to `into/name`, which must not exist yet, and
/// returns that directory.
pub fn unpack(name: &str, into: &Path) -> Result<PathBuf> {
    if !NAMES.contains(&name) {
        return Err(Error::UnknownBundle {
            name: name.to_owned(),
            available: NAMES.map(str::to_owned).to_vec(),
        });
    }
    let target = into.join(name);
    let write_error = |source| Error::Write {
        file: target.clone(),
        source,
    };
    if target.exists() {
        return Err(write_error(ErrorKind::AlreadyExists.into()));
    }
    std::fs::create_dir_all(&target).map_err(write_error)?;
    let own = |file: &str| Path::new(file).starts_with(name);
    for (file, content) in FILES.iter().filter(|(file, _)| own(file)) {
        let path = into.join(file);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(write_error)?;
        }
        std::fs::write(&path, content).map_err(write_error)?;
    }
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_collection_unpacks_once() {
        let scratch = tempfile::tempdir().unwrap();
        for name in NAMES {
            let directory = unpack(name, scratch.path()).unwrap();
            assert!(directory.read_dir().unwrap().next().is_some());
            let again = unpack(name, scratch.path()).unwrap_err();
            assert!(again.to_string().contains(name), "{again}");
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = unpack("../etc", Path::new("/nonexistent")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no bundled dataset is called \"../etc\"; there are swe-mini, terminal-mini, edit-mini"
        );
    }
}
