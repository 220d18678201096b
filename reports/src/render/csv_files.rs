//! The run as CSV. A new file is one module and one line of [`FILES`]; a row's structure
//! declares its columns and says what they mean.
//!
//! Absent values are empty cells. Text that a spreadsheet would take for a formula gets a
//! leading apostrophe.

mod cells;
mod claims;
mod columns;
mod endpoints;
mod exchanges;
mod metrics;
mod policies;
mod stages;
mod trials;

use csv::{Writer, WriterBuilder};
use serde::Serialize;

use crate::data::RunData;
use crate::summary::Summary;
use columns::Column;

/// Every file beside the one that explains their columns.
static FILES: &[&CsvFile] = &[
    &trials::FILE,
    &stages::FILE,
    &exchanges::FILE,
    &endpoints::FILE,
    &metrics::FILE,
    &policies::FILE,
    &claims::FILE,
];

/// One file.
struct CsvFile {
    /// Without extension.
    name: &'static str,
    columns: fn() -> Vec<Column>,
    write: fn(&RunData, &Summary, &mut Rows) -> Result<(), csv::Error>,
}

/// Where rows go.
struct Rows(Writer<Vec<u8>>);

impl Rows {
    fn push(&mut self, row: impl Serialize) -> Result<(), csv::Error> {
        self.0.serialize(row)
    }
}

/// Every table as (file name without extension, content).
///
/// # Errors
///
/// Never for data: only if writing to memory fails.
pub fn all(run: &RunData, summary: &Summary) -> Result<Vec<(&'static str, Vec<u8>)>, csv::Error> {
    let mut tables = Vec::new();
    for file in FILES {
        let columns = (file.columns)();
        let headings = columns.iter().map(|column| column.name.as_str());
        let content = table(headings, |rows| (file.write)(run, summary, rows))?;
        tables.push((file.name, content));
    }
    let explained = FILES.iter().flat_map(|file| {
        let columns = (file.columns)().into_iter();
        columns.map(|column| (file.name, column))
    });
    let content = table(columns::HEADINGS, |rows| {
        for (file, column) in explained {
            rows.push((file, column))?;
        }
        Ok(())
    })?;
    tables.push(("columns", content));
    Ok(tables)
}

fn table<'a>(
    headings: impl IntoIterator<Item = &'a str>,
    fill: impl FnOnce(&mut Rows) -> Result<(), csv::Error>,
) -> Result<Vec<u8>, csv::Error> {
    // Written here, as a table without rows has headings, too.
    let mut writer = WriterBuilder::new();
    writer.has_headers(false);
    let mut rows = Rows(writer.from_writer(Vec::new()));
    rows.0
        .write_record(headings.into_iter().map(str::as_bytes))?;
    fill(&mut rows)?;
    let written = rows.0.into_inner();
    written.map_err(|error| csv::Error::from(error.into_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_has_a_name_of_its_own_and_a_meaning() {
        for file in FILES {
            let columns = (file.columns)();
            for (index, column) in columns.iter().enumerate() {
                assert!(!column.meaning.is_empty(), "{}: {}", file.name, column.name);
                let before = columns[..index].iter().find(|c| c.name == column.name);
                assert!(before.is_none(), "{}: {} twice", file.name, column.name);
            }
        }
    }
}
