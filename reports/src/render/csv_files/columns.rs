//! What the columns are called and mean: both from the structure of a row.

use csv::WriterBuilder;
use schemars::{JsonSchema, schema_for};
use serde::Serialize;

use super::cells::TrialKey;

/// Headings of the file that explains the others.
pub(super) const HEADINGS: [&str; 3] = ["file", "column", "meaning"];

/// One column.
#[derive(Debug, Serialize)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) meaning: String,
}

/// The columns of a row's structure, in order: the names that it is written under, and the
/// documentation of its fields.
pub(super) fn columns<R: Serialize + JsonSchema + Default>() -> Vec<Column> {
    let schema = schema_for!(R).to_value();
    let meaning = |name: &str| {
        let description = &schema["properties"][name]["description"];
        description.as_str().unwrap_or_default().replace('\n', " ")
    };
    names(&R::default())
        .into_iter()
        .map(|name| Column {
            meaning: meaning(&name),
            name,
        })
        .collect()
}

/// The same for rows below the columns that name a trial.
pub(super) fn trial_columns<R: Serialize + JsonSchema + Default>() -> Vec<Column> {
    let mut all = columns::<TrialKey>();
    all.extend(columns::<R>());
    all
}

/// The headings that `csv` writes above such a row.
fn names(row: &impl Serialize) -> Vec<String> {
    let mut writer = WriterBuilder::new().from_writer(Vec::new());
    let written = writer.serialize(row).and_then(|()| Ok(writer.flush()?));
    let bytes = written.ok().and_then(|()| writer.into_inner().ok());
    let mut reader = csv::Reader::from_reader(bytes.as_deref().unwrap_or_default());
    let headings = reader.headers();
    headings.map_or_else(
        |_| Vec::new(),
        |headings| headings.iter().map(str::to_owned).collect(),
    )
}
