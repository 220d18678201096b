//! Writes the journal, and each trial's session beside it.

use timeslip_datasets::journal::Writer;

use super::Subscriber;
use crate::error::Error;
use crate::rundir::{RunDirectory, write_atomically};
use crate::runner::RunEvent;

/// The subscriber that makes a run durable.
#[derive(Debug)]
pub struct Journal {
    directory: RunDirectory,
    writer: Writer,
}

impl Journal {
    /// Goes on after `whole_bytes` of the run's journal.
    ///
    /// # Errors
    /// [`Error::System`] when the journal cannot be opened.
    pub fn open(directory: &RunDirectory, whole_bytes: u64) -> Result<Self, Error> {
        let path = directory.journal();
        let writer = Writer::resume(&path, whole_bytes)
            .map_err(Error::system(format!("cannot open {}", path.display())))?;
        Ok(Journal {
            directory: directory.clone(),
            writer,
        })
    }
}

impl Subscriber for Journal {
    fn event(&mut self, event: &RunEvent) -> Result<(), Error> {
        match event {
            RunEvent::Preparing(_) => Ok(()),
            RunEvent::Record(record) => self.writer.append(record).map_err(Error::system(format!(
                "cannot write {}",
                self.directory.journal().display()
            ))),
            RunEvent::Transcript(key, trajectory) => {
                let path = self.directory.trajectory(key)?;
                let text = serde_json::to_vec(trajectory).map_err(|error| {
                    Error::system(format!("cannot write {}", path.display()))(error.into())
                })?;
                write_atomically(&path, &text)
            }
        }
    }
}
