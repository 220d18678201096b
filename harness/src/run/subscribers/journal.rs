//! Writes the journal, and each trial's session beside it.

use std::path::Path;

use timeslip_datasets::atomic;
use timeslip_datasets::run::RunDirectory;
use timeslip_datasets::run::journal::Writer;
use timeslip_datasets::swebench::{Prediction, append_prediction};

use super::Subscriber;
use crate::error::Error;
use crate::run::runner::RunEvent;

/// The subscriber that makes a run durable.
#[derive(Debug)]
pub struct Journal {
    directory: RunDirectory,
    writer: Writer,
    /// No text may be written down.
    leaves_out_text: bool,
}

impl Journal {
    /// Goes on after `whole_bytes` of the run's journal. One that leaves out text writes no
    /// sessions and no patches either.
    ///
    /// # Errors
    /// [`Error::System`] when the journal cannot be opened.
    pub fn open(
        directory: &RunDirectory,
        whole_bytes: u64,
        leaves_out_text: bool,
    ) -> Result<Self, Error> {
        let path = directory.journal();
        let writer = Writer::resume(&path, whole_bytes)
            .map_err(Error::system(format!("cannot open {}", path.display())))?;
        Ok(Journal {
            directory: directory.clone(),
            writer,
            leaves_out_text,
        })
    }
}

impl Subscriber for Journal {
    fn event(&mut self, event: &RunEvent) -> Result<(), Error> {
        match event {
            RunEvent::Preparing(_) => Ok(()),
            RunEvent::Patch(..) | RunEvent::Transcript(..) if self.leaves_out_text => Ok(()),
            RunEvent::Record(record) => {
                let written = match self.leaves_out_text {
                    true => self.writer.append(&record.without_text()),
                    false => self.writer.append(record),
                };
                written.map_err(|error| failed(&self.directory.journal(), error))
            }
            RunEvent::Patch(key, patch) => {
                let prediction = Prediction {
                    instance_id: key.task.clone(),
                    model_name_or_path: key.endpoint.clone(),
                    model_patch: Some(patch.clone()),
                };
                append_prediction(&self.directory.predictions(key)?, &prediction)
                    .map_err(|error| Error::Suite(error.into()))
            }
            RunEvent::Transcript(key, trajectory) => {
                let path = self.directory.trajectory(key)?;
                serde_json::to_vec(trajectory)
                    .map_err(std::io::Error::from)
                    .and_then(|text| atomic::write(&path, &text))
                    .map_err(|error| failed(&path, error))
            }
        }
    }
}

fn failed(path: &Path, error: std::io::Error) -> Error {
    Error::system(format!("cannot write {}", path.display()))(error)
}
