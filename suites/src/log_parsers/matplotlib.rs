//! matplotlib's pytest logs.

use super::{Statuses, pytest};

/// As [`pytest::parse`]. Newer Pythons print the members of an enumeration by
/// name where the rows have their values.
pub(super) fn parse(log: &str) -> Statuses {
    let log = log
        .replace("MouseButton.LEFT", "1")
        .replace("MouseButton.RIGHT", "3");
    pytest::parse(&log)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buttons_are_numbers() {
        let statuses = parse("PASSED t.py::a[MouseButton.LEFT-MouseButton.RIGHT]\n");
        assert!(statuses.contains_key("t.py::a[1-3]"));
    }
}
