//! Automake's test driver, `make check`.

use super::{Status, Statuses, line};

/// Lines `PASS: tests/jqtest`; a test is a program.
pub(super) fn parse(log: &str) -> Statuses {
    line::each(log, |text| {
        let (status, rest) = line::marked(text, &MARKS)?;
        Some((line::after_blank(rest)?, status))
    })
}

const MARKS: [(&str, Status); 2] = [("PASS:", Status::Passed), ("FAIL:", Status::Failed)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_and_not_their_count() {
        let log = "make[4]: Entering directory '/testbed'\nPASS: tests/mantest\nFAIL: tests/jqtest\nSKIP: tests/optional\nXFAIL: tests/known\n# TOTAL: 2\n# PASS:  1\nPASS:\n";
        insta::assert_debug_snapshot!(parse(log), @r#"
        {
            "tests/jqtest": Failed,
            "tests/mantest": Passed,
        }
        "#);
    }
}
