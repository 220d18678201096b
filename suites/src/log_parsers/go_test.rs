//! Go, `go test -v`.

use super::{Status, Statuses, line};

/// Lines `--- PASS: TestName/sub (0.00s)`, indented for sub-tests. A test of the same
/// name in two packages is one; the last counts.
pub(super) fn parse(log: &str) -> Statuses {
    line::each(log, |text| {
        let (status, rest) = line::marked(text, &MARKS)?;
        Some((line::before_parentheses(rest)?, status))
    })
}

const MARKS: [(&str, Status); 3] = [
    ("--- PASS: ", Status::Passed),
    ("--- FAIL: ", Status::Failed),
    ("--- SKIP: ", Status::Skipped),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_and_their_parts() {
        let log = "=== RUN   TestSum\n=== RUN   TestSum/a_(b)\n--- FAIL: TestSum (0.01s)\n    --- PASS: TestSum/a_(b) (0.00s)\n    --- FAIL: TestSum/c (0.00s)\n        sum_test.go:9: no\n=== RUN   TestLater\n    sum_test.go:3: why\n--- SKIP: TestLater (0.00s)\nFAIL\nFAIL\texample.com/sum\t0.004s\n";
        insta::assert_debug_snapshot!(parse(log), @r#"
        {
            "TestLater": Skipped,
            "TestSum": Failed,
            "TestSum/a_(b)": Passed,
            "TestSum/c": Failed,
        }
        "#);
    }
}
