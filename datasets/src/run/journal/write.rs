//! Appending to a journal.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use super::{Event, Header, Record};
use crate::run::formats;

/// Appends whole lines; a trial's last line is on disk before [`Writer::append`] returns.
#[derive(Debug)]
pub struct Writer {
    file: File,
    line: Vec<u8>,
}

impl Writer {
    /// Starts a new journal; an existing file is an error.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn create(path: &Path, run_id: &str) -> io::Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(path)?;
        let mut writer = Writer {
            file,
            line: Vec::with_capacity(1 << 16),
        };
        writer.write_line(&Header {
            timeslip_journal: formats::JOURNAL.version,
            run_id: run_id.to_owned(),
        })?;
        writer.file.sync_data()?;
        Ok(writer)
    }

    /// Goes on after the `whole_bytes` of complete lines that a reader found,
    /// cutting off the torn line a crash may have left behind.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn resume(path: &Path, whole_bytes: u64) -> io::Result<Self> {
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.set_len(whole_bytes)?;
        file.seek(SeekFrom::End(0))?;
        Ok(Writer {
            file,
            line: Vec::with_capacity(1 << 16),
        })
    }

    /// Appends one record in one write.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn append(&mut self, record: &Record) -> io::Result<()> {
        self.write_line(record)?;
        if matches!(record.event, Event::TrialFinished(_)) {
            self.file.sync_data()?;
        }
        Ok(())
    }

    fn write_line(&mut self, value: &impl serde::Serialize) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, value)?;
        self.line.push(b'\n');
        self.file.write_all(&self.line)
    }
}
