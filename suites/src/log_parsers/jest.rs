//! Jest, `--verbose`, and its `--json` report turned into lines.

use super::{Status, Statuses, line};

/// Lines `✓ name (5 ms)`. Tests of one name in different `describe` blocks or files
/// are one; the last counts.
pub(super) fn parse(log: &str) -> Statuses {
    line::each(log, |text| {
        let (status, rest) = line::marked(text, &MARKS)?;
        Some((line::without_time(line::after_blank(rest)?).trim(), status))
    })
}

/// Lines `[PASSED] describe > name`, as the rows' scripts print of every assertion.
pub(super) fn parse_json(log: &str) -> Statuses {
    line::each(log, |text| {
        let (status, rest) = line::marked(text, &WORDS)?;
        Some((line::after_blank(rest)?, status))
    })
}

const MARKS: [(&str, Status); 3] = [
    ("✓", Status::Passed),
    ("✕", Status::Failed),
    ("○", Status::Skipped),
];

const WORDS: [(&str, Status); 2] = [("[PASSED]", Status::Passed), ("[FAILED]", Status::Failed)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assertions_of_the_report() {
        let log = "[PASSED] sums > adds (5 ms)\n[FAILED] sums > breaks\n[PENDING] sums > skipped\n[PASSED]\n[PASSED]glued\n";
        insta::assert_debug_snapshot!(parse_json(log), @r#"
        {
            "sums > adds (5 ms)": Passed,
            "sums > breaks": Failed,
        }
        "#);
    }
}
