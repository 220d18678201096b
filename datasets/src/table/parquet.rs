//! Tables as Parquet files.

use std::fs::File;
use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Row, RowPlace};
use crate::{Error, Result};

/// The largest sum of unpacked columns that is read.
const LIMIT_MB: u64 = 1024;

pub(super) fn read<T: DeserializeOwned>(file: &Path) -> Result<Vec<Row<T>>> {
    let broken = |error: parquet::errors::ParquetError| {
        Error::invalid(file, format!("is not a valid Parquet file: {error}"))
    };
    let open = File::open(file).map_err(|source| Error::Read {
        file: file.to_path_buf(),
        source,
    })?;
    let reader = SerializedFileReader::new(open).map_err(broken)?;
    let groups = reader.metadata().row_groups();
    let unpacked: u64 = groups
        .iter()
        .map(|group| u64::try_from(group.total_byte_size()).unwrap_or(u64::MAX))
        .fold(0, u64::saturating_add);
    if unpacked > LIMIT_MB * 1024 * 1024 {
        return Err(Error::TooLarge {
            file: file.to_path_buf(),
            limit_mb: LIMIT_MB,
        });
    }
    reader
        .get_row_iter(None)
        .map_err(broken)?
        .zip(1..)
        .map(|(row, number)| {
            let row = row.map_err(broken)?;
            Ok(Row::of(file, RowPlace::Number(number), object(&row)))
        })
        .collect()
}

fn object(row: &parquet::record::Row) -> Value {
    let fields = row.get_column_iter();
    // A null is as good as an absent column.
    Value::Object(
        fields
            .filter(|(_, field)| !matches!(field, Field::Null))
            .map(|(name, field)| (name.clone(), value(field)))
            .collect::<Map<_, _>>(),
    )
}

fn value(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(value) => (*value).into(),
        Field::Int(value) => (*value).into(),
        Field::Long(value) => (*value).into(),
        Field::Double(value) => (*value).into(),
        Field::Str(text) => text.clone().into(),
        Field::ListInternal(list) => list.elements().iter().map(value).collect(),
        Field::Group(row) => object(row),
        other => other.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use parquet::data_type::ByteArrayType;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    fn write(file: &Path) {
        let schema = "message rows { required binary a (UTF8); optional binary b (UTF8); }";
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let open = File::create(file).unwrap();
        let mut writer = SerializedFileWriter::new(open, schema, Arc::default()).unwrap();
        let mut group = writer.next_row_group().unwrap();
        for (values, levels) in [
            (vec!["x".into(), "y".into()], None),
            (vec!["z".into()], Some(vec![0, 1])),
        ] {
            let mut column = group.next_column().unwrap().unwrap();
            column
                .typed::<ByteArrayType>()
                .write_batch(&values, levels.as_deref(), None)
                .unwrap();
            column.close().unwrap();
        }
        group.close().unwrap();
        writer.close().unwrap();
    }

    #[test]
    fn columns_become_fields() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("rows.parquet");
        write(&file);
        let rows: Vec<Row<BTreeMap<String, String>>> = super::super::read(&file, "x").unwrap();
        let rows: Vec<String> = rows
            .into_iter()
            .map(|row| format!("{:?}", row.value.unwrap()))
            .collect();
        assert_eq!(rows, [r#"{"a": "x"}"#, r#"{"a": "y", "b": "z"}"#]);
    }

    #[test]
    fn a_broken_file_is_an_error() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("rows.parquet");
        write(&file);
        let whole = std::fs::read(&file).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&file, &whole[..cut]).unwrap();
            assert!(read::<Value>(&file).is_err(), "{cut}");
        }
    }
}
