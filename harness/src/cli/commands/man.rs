//! `timeslip man`: the manual pages.

use std::path::PathBuf;

use crate::error::Error;

/// Write the manual pages, one for each command
#[derive(Debug, clap::Parser)]
pub(super) struct Arguments {
    /// Folder to write them to
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let folder = arguments.folder.as_path();
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(super::whole(), folder))
        .map_err(Error::system(format!(
            "cannot write manual pages to {}",
            folder.display()
        )))?;
    super::print(&format!("manual pages: {}\n", folder.display()))
}
