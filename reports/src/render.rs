//! Files and text made from a run.

mod arms;
mod csv_files;
mod figures;
mod html;
mod terminal;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub use csv_files::{CsvTable, all as csv_tables};
pub use figures::changes;
pub use html::{SECTIONS, Section, html};
pub use terminal::terminal;
pub use timeslip_datasets::atomic;

use crate::charts::{self, ChartError};
use crate::data::RunData;
use crate::summary::Summary;
use crate::svg::{PngError, to_png};

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory could not be written.
    #[error("cannot write {}: {source}; check that the directory exists and has room", path.display())]
    Write {
        /// What was being written.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A chart could not be laid out.
    #[error("cannot draw the charts: {0}")]
    Chart(#[from] ChartError),
    /// A chart could not be made into an image.
    #[error("cannot draw {name}.png: {source}")]
    Png {
        /// The chart.
        name: String,
        /// Why it failed.
        source: PngError,
    },
    /// The page could not be put together.
    #[error("cannot render report.html: {0}")]
    Html(#[from] askama::Error),
}

/// What was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// The figures, as in `summary.json`.
    pub summary: Summary,
    /// The page to open.
    pub html: PathBuf,
    /// Every file, the page included.
    pub files: Vec<PathBuf>,
}

/// Writes `summary.json`, `report.html`, `charts/*.png` and `csv/*.csv` into a
/// run's directory. Each file appears whole or not at all.
///
/// # Errors
///
/// When a file cannot be written; files written before it stay.
pub fn write_all(run: &RunData, run_dir: &Path) -> Result<Written, Error> {
    write_summary(run, Summary::from_run(run), run_dir)
}

/// What writes the content of a file.
type Fill<'a> = &'a dyn Fn(&mut dyn Write) -> io::Result<()>;

/// The same for a summary that is there already, e.g. one with other claims.
///
/// # Errors
///
/// As [`write_all`].
pub fn write_summary(run: &RunData, summary: Summary, run_dir: &Path) -> Result<Written, Error> {
    for folder in ["", "csv", "charts", "trajectories"] {
        // What a run or a render that was killed left there.
        atomic::sweep(&run_dir.join(folder));
    }
    let charts = charts::all(run, &summary)?;
    let mut files = Vec::new();
    let mut write = |relative: String, fill: Fill| -> Result<PathBuf, Error> {
        let path = run_dir.join(relative);
        atomic::write_with(&path, |file| fill(file)).map_err(|source| Error::Write {
            path: path.clone(),
            source,
        })?;
        files.push(path.clone());
        Ok(path)
    };
    write("summary.json".to_owned(), &|file| {
        serde_json::to_writer_pretty(&mut *file, &summary)?;
        file.write_all(b"\n")
    })?;
    for table in csv_tables(run, &summary) {
        let name = format!("csv/{}.csv", table.name);
        write(name, &|file| Ok(table.write(file)?))?;
    }
    for chart in &charts {
        let image = to_png(&chart.document).map_err(|source| Error::Png {
            name: chart.name.to_string(),
            source,
        })?;
        let name = format!("charts/{}.png", chart.name);
        write(name, &|file| file.write_all(&image))?;
    }
    let page = html(&summary, &charts)?;
    let html = write("report.html".to_owned(), &|file| {
        file.write_all(page.as_bytes())
    })?;
    Ok(Written {
        summary,
        html,
        files,
    })
}
