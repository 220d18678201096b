//! Sizes of memory and disk, as newer and older tasks write them.

use std::path::Path;

use crate::{Error, Result};

/// The current integer key, else the older `"2G"` spelling, else the default.
pub(super) fn megabytes(
    current: Option<u64>,
    legacy: &Option<String>,
    default: u64,
    key: &str,
    file: &Path,
) -> Result<u64> {
    let size = match (current, legacy) {
        (Some(size), _) => Some(size),
        (None, Some(text)) => parse_size(text),
        (None, None) => Some(default),
    };
    size.filter(|size| *size > 0).ok_or_else(|| {
        Error::invalid(
            file,
            format!(
                "environment.{key} {:?} is not a size; write {key}_mb = 2048, or \"2G\" as older tasks do",
                legacy.as_deref().unwrap_or("0")
            ),
        )
    })
}

/// `"2G"`, `"512M"` or `"1048576K"` in whole megabytes.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_uppercase();
    let (number, per_megabyte): (&str, f64) = if let Some(number) = text.strip_suffix('G') {
        (number, 1024.0)
    } else if let Some(number) = text.strip_suffix('M') {
        (number, 1.0)
    } else if let Some(number) = text.strip_suffix('K') {
        (number, 1.0 / 1024.0)
    } else {
        return None;
    };
    let size = number.trim().parse::<f64>().ok()? * per_megabyte;
    (size.is_finite() && (0.0..=1e12).contains(&size)).then_some(size as u64)
}
