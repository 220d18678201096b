//! Tables as JSON Lines and as one JSON value, plain and gzipped.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{ID, Row, RowPlace};
use crate::{Result, files};

/// The whole of SWE-bench, 21,000 rows with its training split, is below this.
const LIMIT_MB: u64 = 1024;

/// One object per line; blank lines are skipped.
pub(super) fn read_lines<T: DeserializeOwned>(file: &Path, purpose: &str) -> Result<Vec<Row<T>>> {
    let text = read_text(file, purpose)?;
    let lines = text.lines().zip(1..);
    Ok(lines
        .filter(|(text, _)| !text.trim().is_empty())
        .map(|(text, line)| Row::parse(file, RowPlace::Line(line), text))
        .collect())
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Rows {
    List(Vec<Value>),
    Named(BTreeMap<String, Value>),
}

/// A list of objects, or an object of them.
pub(super) fn read_list<T: DeserializeOwned>(file: &Path, purpose: &str) -> Result<Vec<Row<T>>> {
    let text = read_text(file, purpose)?;
    let value: Value =
        serde_json::from_str(&text).map_err(|error| files::json_error(file, &error))?;
    let rows = match serde_json::from_value(value) {
        Ok(Rows::List(rows)) => rows,
        Ok(Rows::Named(rows)) => rows.into_iter().map(named).collect(),
        Err(_) => {
            return Err(crate::Error::invalid(
                file,
                "holds neither a list of objects nor an object of objects",
            ));
        }
    };
    let rows = rows.into_iter().zip(1..);
    Ok(rows
        .map(|(value, number)| Row::of(file, RowPlace::Number(number), value))
        .collect())
}

/// A row that does not say what it is about is about its key.
fn named((key, mut value): (String, Value)) -> Value {
    if let Some(row) = value.as_object_mut()
        && !row.contains_key(ID)
    {
        row.insert(ID.to_owned(), key.into());
    }
    value
}

fn read_text(file: &Path, purpose: &str) -> Result<String> {
    if file.extension().is_some_and(|extension| extension == "gz") {
        files::read_text_with(file, purpose, LIMIT_MB, |open: File| {
            flate2::read::MultiGzDecoder::new(open)
        })
    } else {
        files::read_text_with(file, purpose, LIMIT_MB, |open: File| open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(expecting = "a map")]
    struct Example {
        a: u8,
    }

    fn read(name: &str, content: &[u8]) -> Result<Vec<Example>, String> {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join(name);
        std::fs::write(&file, content).unwrap();
        super::super::read(&file, "x")
            .and_then(|rows| rows.into_iter().map(|row| row.value).collect())
            .map_err(|error| {
                error
                    .to_string()
                    .replace(&format!("{}/", scratch.path().display()), "")
            })
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(content).unwrap();
        packed.finish().unwrap()
    }

    #[test]
    fn every_shape_holds_the_same_rows() {
        let lines = read("a.jsonl", b"{\"a\":1}\n\n{\"a\":2}\n").unwrap();
        assert_eq!(lines.len(), 2);
        assert_eq!(read("a.json", b"[{\"a\":1},{\"a\":2}]").unwrap(), lines);
        let named = b"{\"y\":{\"a\":1},\"z\":{\"a\":2}}";
        assert_eq!(read("a.json", named).unwrap(), lines);
        let packed = gzip(b"{\"a\":1}\n{\"a\":2}\n");
        assert_eq!(read("a.jsonl.gz", &packed).unwrap(), lines);
        assert_eq!(read("a.json.gz", &gzip(named)).unwrap(), lines);
    }

    #[test]
    fn errors_name_the_row() {
        insta::assert_snapshot!(read("a.jsonl", b"{\"a\":1}\n{\"a\":-1}").unwrap_err(), @"a.jsonl:2: is not a row: a: invalid value: integer `-1`, expected u8");
        insta::assert_snapshot!(read("a.json", b"[{\"a\":1},3]").unwrap_err(), @"a.json: row 2: is not a row: invalid type: integer `3`, expected a map");
        insta::assert_snapshot!(read("a.json", b"7").unwrap_err(), @"a.json: holds neither a list of objects nor an object of objects");
        insta::assert_snapshot!(read("a.json", b"[{]").unwrap_err(), @"a.json:1: is not valid: key must be a string at line 1 column 3");
    }
}
