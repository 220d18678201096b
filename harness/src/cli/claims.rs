//! The vendors' claims that a report answers.

use std::path::PathBuf;

use timeslip_reports::claims::ClaimsFile;
use timeslip_reports::data::RunData;
use timeslip_reports::summary::Summary;

use crate::error::Error;
use crate::read;

#[derive(Debug, Default, clap::Args)]
pub(super) struct Claims {
    /// Answer the claims in this file instead of those published of the fast path
    #[arg(long = "claims", value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Claims {
    /// The figures of a run, with the claims answered.
    pub(super) fn summary(&self, run: &RunData) -> Result<Summary, Error> {
        let Some(file) = &self.file else {
            return Ok(Summary::from_run(run));
        };
        let text = read::text(file)?;
        let claims =
            ClaimsFile::parse(&text).map_err(|error| Error::config(file, error.to_string()))?;
        Ok(Summary::with_claims(run, &claims))
    }
}
