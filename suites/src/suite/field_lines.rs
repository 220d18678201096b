//! Where in a file a field is written, for errors that TOML itself does not see.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use crate::Error;

/// The lines of the fields of one table in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FieldLines {
    file: String,
    /// What the table is called, with a dot at the end; empty for the whole file.
    prefix: String,
    lines: BTreeMap<String, usize>,
}

impl FieldLines {
    /// `table` is the way to the table.
    pub(super) fn new(file: &str, text: &str, table: &[&str]) -> Self {
        let mut lines = BTreeMap::new();
        if let Ok(parsed) = DeTable::parse(text) {
            collect(parsed.get_ref(), "", text, &mut lines);
        }
        Self {
            file: file.to_owned(),
            prefix: table.iter().map(|part| format!("{part}.")).collect(),
            lines,
        }
    }

    /// An error at a field, or at the table where the field is not written.
    pub(super) fn error(&self, field: &str, message: &str) -> Error {
        let full = format!("{}{field}", self.prefix);
        let table = self.prefix.trim_end_matches('.');
        let file = match self.lines.get(&full).or_else(|| self.lines.get(table)) {
            Some(line) => format!("{}:{line}", self.file),
            None => self.file.clone(),
        };
        Error::SuiteFile {
            file,
            message: format!("{full} {message}"),
        }
    }
}

fn collect(table: &DeTable<'_>, prefix: &str, text: &str, lines: &mut BTreeMap<String, usize>) {
    for (key, value) in table {
        let name = format!("{prefix}{}", key.get_ref());
        let before = text.get(..key.span().start).unwrap_or_default();
        lines.insert(name.clone(), 1 + before.matches('\n').count());
        match value.get_ref() {
            DeValue::Table(inner) => collect(inner, &format!("{name}."), text, lines),
            DeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let before = text.get(..item.span().start).unwrap_or_default();
                    let line = 1 + before.matches('\n').count();
                    lines.insert(format!("{name}[{index}]"), line);
                }
            }
            _ => {}
        }
    }
}
