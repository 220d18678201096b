//! Files of whole lines that are only ever appended.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde::Serialize;

/// Reads every whole line with where it begins, and gives where the last of them ends. A last
/// line without its end is none: whoever wrote it was cut off.
///
/// # Errors
/// Whatever the file system says; [`io::ErrorKind::InvalidData`], with its number, for a line
/// of more than `longest` bytes or one that `take` refuses.
pub(super) fn each(
    mut file: &File,
    longest: u64,
    mut take: impl FnMut(u64, &[u8]) -> serde_json::Result<()>,
) -> io::Result<u64> {
    file.seek(SeekFrom::Start(0))?;
    let mut reader = BufReader::new(file);
    let (mut at, mut text) = (0, Vec::new());
    for number in 1.. {
        text.clear();
        let length = reader.by_ref().take(longest).read_until(b'\n', &mut text)?;
        if text.last() != Some(&b'\n') {
            if length as u64 == longest {
                return Err(broken(number, "it is too long"));
            }
            break;
        }
        take(at, &text).map_err(|error| broken(number, error))?;
        at += length as u64;
    }
    Ok(at)
}

fn broken(line: u64, why: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("line {line}: {why}"))
}

/// Adds a line to a text.
///
/// # Errors
/// When it is none that JSON can have.
pub(super) fn add(text: &mut Vec<u8>, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *text, line)?;
    text.push(b'\n');
    Ok(())
}

/// A file in the writing.
#[derive(Debug)]
pub(super) struct Appending {
    file: File,
    /// Where its last whole line ends.
    end: u64,
}

impl Appending {
    /// Goes on with a file whose lines are given to `take`, or begins one. A last line without
    /// its end is cut off.
    ///
    /// # Errors
    /// As [`each`].
    pub fn open(
        path: &Path,
        longest: u64,
        take: impl FnMut(u64, &[u8]) -> serde_json::Result<()>,
    ) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).open(path)?;
        let end = each(&file, longest, take)?;
        file.set_len(end)?;
        Ok(Appending { file, end })
    }

    /// Appends whole lines, all of them or none.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(lines);
        match written {
            Ok(()) => self.end += lines.len() as u64,
            // What others append later must not follow half a line.
            Err(_) => self.file.set_len(self.end)?,
        }
        written
    }
}
