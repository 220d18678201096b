//! seaborn's pytest logs: failures from the summary, successes from either side.

use super::{Status, Statuses};

/// Lines `FAILED name`, `PASSED name` and `name PASSED …`.
pub(super) fn parse(log: &str) -> Statuses {
    log.lines()
        .filter_map(result)
        .map(|(name, status)| (name.to_owned(), status))
        .collect()
}

fn result(line: &str) -> Option<(&str, Status)> {
    let mut words = line.split_whitespace();
    let (first, second) = (words.next()?, words.next()?);
    if line.starts_with("FAILED") {
        Some((second, Status::Failed))
    } else if line.contains(" PASSED ") {
        (second == "PASSED").then_some((first, Status::Passed))
    } else {
        line.starts_with("PASSED")
            .then_some((second, Status::Passed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_orders() {
        let log = "t.py::a PASSED [ 10%]\nPASSED t.py::b\nFAILED t.py::c - no\nt.py::d FAILED [ 20%]\nSKIPPED [1] t.py:3: no\nsaw t.py::e PASSED today\nPASSED\n";
        insta::assert_debug_snapshot!(parse(log), @r#"
        {
            "t.py::a": Passed,
            "t.py::b": Passed,
            "t.py::c": Failed,
        }
        "#);
    }
}
