//! Sizes of memory and disk, as newer and older tasks write them.

use std::path::Path;

use crate::fields::{Text, Whole};
use crate::{Error, Result};

/// The current integer key, else the older `"2G"` spelling, else the default.
pub(super) fn megabytes(
    current: Option<Whole>,
    legacy: &Option<Text>,
    default: u64,
    key: &str,
    file: &Path,
) -> Result<u64> {
    let size = match (current, legacy) {
        (Some(size), _) => Some(size.0),
        (None, Some(text)) => parse_size(&text.0),
        (None, None) => Some(default),
    };
    size.filter(|size| *size > 0).ok_or_else(|| {
        Error::invalid(
            file,
            format!(
                "environment.{key} {:?} is not a size; write {key}_mb = 2048, or \"2G\" as older tasks do",
                legacy.as_ref().map_or("0", |text| &text.0)
            ),
        )
    })
}

/// `"2G"`, `"512M"`, `"1048576K"`, `"4GB"`, `"4Gi"` or a number of bytes, in whole megabytes
/// of 1,048,576 bytes, whatever the unit's spelling.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_uppercase();
    let digits = text.find(|c: char| c.is_ascii_alphabetic());
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let per_megabyte = match unit.trim_end_matches('B').trim_end_matches('I') {
        "T" => 1024.0 * 1024.0,
        "G" => 1024.0,
        "M" => 1.0,
        "K" => 1.0 / 1024.0,
        "" => 1.0 / (1024.0 * 1024.0),
        _ => return None,
    };
    let size = number.trim().parse::<f64>().ok()? * per_megabyte;
    (size.is_finite() && (0.0..=1e12).contains(&size)).then_some(size as u64)
}
