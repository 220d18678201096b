//! The run as CSV. A new file is one module and one line of [`FILES`]; a row's structure
//! declares its columns and says what they mean.
//!
//! Absent values are empty cells. Text that a spreadsheet would take for a formula gets a
//! leading apostrophe.

mod cells;
mod changes;
mod claims;
mod columns;
mod comparisons;
mod endpoints;
mod exchanges;
mod metrics;
mod policies;
mod stages;
mod trials;

use std::io::Write;

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
    &comparisons::FILE,
    &changes::FILE,
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
struct Rows<'a>(Writer<&'a mut dyn Write>);

impl Rows<'_> {
    fn push(&mut self, row: impl Serialize) -> Result<(), csv::Error> {
        self.0.serialize(row)
    }
}

/// What writes the rows of a table.
type Fill<'a> = Box<dyn Fn(&mut Rows) -> Result<(), csv::Error> + 'a>;

/// One table of a run, to be written.
pub struct CsvTable<'a> {
    /// Name of its file without extension.
    pub name: &'static str,
    headings: Vec<String>,
    fill: Fill<'a>,
}

impl CsvTable<'_> {
    /// Writes headings and rows.
    ///
    /// # Errors
    /// What `to` says.
    pub fn write(&self, to: &mut dyn Write) -> Result<(), csv::Error> {
        // Written here, as a table without rows has headings, too.
        let mut writer = WriterBuilder::new();
        writer.has_headers(false);
        let mut rows = Rows(writer.from_writer(to));
        rows.0.write_record(&self.headings)?;
        (self.fill)(&mut rows)?;
        Ok(rows.0.flush()?)
    }
}

/// Every table of a run.
#[must_use]
pub fn all<'a>(run: &'a RunData, summary: &'a Summary) -> Vec<CsvTable<'a>> {
    let tables = FILES.iter().map(|file| CsvTable {
        name: file.name,
        headings: (file.columns)().into_iter().map(|c| c.name).collect(),
        fill: Box::new(|rows| (file.write)(run, summary, rows)),
    });
    let columns = CsvTable {
        name: "columns",
        headings: columns::HEADINGS.map(str::to_owned).to_vec(),
        fill: Box::new(|rows| {
            for file in FILES {
                for column in (file.columns)() {
                    rows.push((file.name, column))?;
                }
            }
            Ok(())
        }),
    };
    tables.chain([columns]).collect()
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
