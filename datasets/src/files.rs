//! Bounded reading: no file of a stranger may exhaust memory.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::{Error, Result};

const MB: u64 = 1024 * 1024;

/// The largest single file read as text; the largest SWE-bench patch is far below.
const TEXT_LIMIT_MB: u64 = 64;

/// What some editors put in front of UTF-8; it is no part of the text.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Reads a UTF-8 file as it is, but for a byte order mark; `purpose` completes "is
/// missing; …".
///
/// # Errors
/// When it is missing, no regular file, not UTF-8 or larger than 64 MB.
pub fn read_text(file: &Path, purpose: &str) -> Result<String> {
    read_text_with(file, purpose, TEXT_LIMIT_MB, |open| open)
}

/// As [`read_text`], through a decoder; bounded is what comes out of it.
pub(crate) fn read_text_with<R: Read>(
    file: &Path,
    purpose: &str,
    limit_mb: u64,
    decoder: impl FnOnce(File) -> R,
) -> Result<String> {
    let read_error = |source| Error::Read {
        file: file.to_path_buf(),
        source,
    };
    // Opening a named pipe would wait for a writer that never comes.
    match file.metadata() {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Err(Error::invalid(file, "is not a regular file")),
        Err(source) if source.kind() == ErrorKind::NotFound => {
            return Err(Error::Missing {
                file: file.to_path_buf(),
                remedy: purpose.to_owned(),
            });
        }
        Err(source) => return Err(read_error(source)),
    }
    let mut bytes = Vec::new();
    File::open(file)
        .and_then(|open| {
            decoder(open)
                .take(limit_mb * MB + 1)
                .read_to_end(&mut bytes)
        })
        .map_err(read_error)?;
    if bytes.len() as u64 > limit_mb * MB {
        return Err(Error::TooLarge {
            file: file.to_path_buf(),
            limit_mb,
        });
    }
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    String::from_utf8(bytes).map_err(|error| {
        let line = 1 + error.as_bytes()[..error.utf8_error().valid_up_to()]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        Error::invalid_line(file, line as u64, "is not UTF-8 text")
    })
}

/// Reads a JSON file into `T`.
pub(crate) fn read_json<T: DeserializeOwned>(file: &Path, purpose: &str) -> Result<T> {
    let text = read_text(file, purpose)?;
    serde_json::from_str(&text).map_err(|error| json_error(file, &error))
}

/// Reads a YAML file into `T`, scalars as the text that was written.
pub(crate) fn read_yaml<T: DeserializeOwned>(file: &Path, purpose: &str) -> Result<T> {
    let text = read_text(file, purpose)?;
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(&text, options).map_err(|error| {
        let message = format!("is not valid YAML: {error}");
        match error.location() {
            Some(location) => Error::invalid_line(file, location.line(), message),
            None => Error::invalid(file, message),
        }
    })
}

/// Reads a TOML file into `T`.
pub(crate) fn read_toml<T: DeserializeOwned>(file: &Path, purpose: &str) -> Result<T> {
    parse_toml(file, &read_text(file, purpose)?)
}

/// Reads the text of a TOML file into `T`.
pub(crate) fn parse_toml<T: DeserializeOwned>(file: &Path, text: &str) -> Result<T> {
    toml::from_str(text).map_err(|error| {
        let message = error.message().trim().to_owned();
        match error.span() {
            Some(span) => {
                let before = text.get(..span.start).unwrap_or(text);
                Error::invalid_line(file, 1 + before.matches('\n').count() as u64, message)
            }
            None => Error::invalid(file, message),
        }
    })
}

/// The files of a directory whose names end so, by name.
pub(crate) fn with_ending(directory: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let read_error = |source| Error::Read {
        file: directory.to_path_buf(),
        source,
    };
    let mut files = Vec::new();
    for entry in directory.read_dir().map_err(read_error)? {
        let path = entry.map_err(read_error)?.path();
        if path.extension().is_some_and(|found| found == ending) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

pub(crate) fn json_error(file: &Path, error: &serde_json::Error) -> Error {
    Error::invalid_line(file, error.line() as u64, format!("is not valid: {error}"))
}

/// `directory/name`, unless that is a link that leads out of the directory: a
/// task must not make us read, or show to an agent, what is not its own.
pub(crate) fn member(directory: &Path, name: &str) -> Result<PathBuf> {
    let path = directory.join(name);
    match (path.canonicalize(), directory.canonicalize()) {
        (Ok(real), Ok(root)) if !real.starts_with(&root) => Err(Error::invalid(
            path,
            format!("is a link that leads out of {}", directory.display()),
        )),
        // What does not exist is reported by whoever needs it.
        _ => Ok(path),
    }
}

/// The task directories of `source`: itself, those inside, and those in folders inside
/// that are no tasks themselves. A task has the file `marker`; names are unique.
pub(crate) fn task_directories(source: &Path, marker: &str) -> Result<Vec<PathBuf>> {
    if !source.is_dir() {
        return Err(Error::Missing {
            file: source.to_path_buf(),
            remedy: format!("it should be a folder of tasks, each with its {marker}"),
        });
    }
    let is_task = |directory: &Path| directory.join(marker).is_file();
    if is_task(source) {
        return Ok(vec![source.to_path_buf()]);
    }
    let mut found = Vec::new();
    for directory in subdirectories(source)? {
        if is_task(&directory) {
            found.push(directory);
        } else if !is_hidden(&directory) {
            let inside = subdirectories(&directory)?;
            found.extend(inside.into_iter().filter(|directory| is_task(directory)));
        }
    }
    if found.is_empty() {
        return Err(Error::invalid(source, "holds no task directory"));
    }
    unique_names(source, &mut found)?;
    Ok(found)
}

fn is_hidden(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

/// Sorts task directories by name, which is what tells tasks apart.
pub(crate) fn unique_names(source: &Path, tasks: &mut [PathBuf]) -> Result<()> {
    tasks.sort_by(|one, other| one.file_name().cmp(&other.file_name()));
    for pair in tasks.windows(2) {
        if pair[0].file_name() == pair[1].file_name() {
            let name = pair[0].file_name().unwrap_or_default();
            return Err(Error::invalid(
                source,
                format!("has two tasks {name:?}; make a suite of each folder"),
            ));
        }
    }
    Ok(())
}

/// The directories directly inside `directory`, by name.
pub(crate) fn subdirectories(directory: &Path) -> Result<Vec<PathBuf>> {
    let read_error = |source| Error::Read {
        file: directory.to_path_buf(),
        source,
    };
    let mut found = Vec::new();
    for entry in directory.read_dir().map_err(read_error)? {
        let path = entry.map_err(read_error)?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
