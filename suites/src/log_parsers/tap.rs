//! The Test Anything Protocol, as mocha and QUnit print it.

use super::{Status, Statuses, line};

/// Lines `ok 1 name` and `not ok 2 name`; a directive, `# SKIP`, is part of the name.
pub(super) fn parse(log: &str) -> Statuses {
    line::each(log, |text| {
        let (status, rest) = line::marked(text, &MARKS)?;
        let (number, name) = rest.split_once(' ')?;
        (line::is_number(number) && !name.is_empty()).then_some((name, status))
    })
}

const MARKS: [(&str, Status); 2] = [("ok ", Status::Passed), ("not ok ", Status::Failed)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_lines() {
        let log = "TAP version 13\n1..4\nok 1 sums adds\nnot ok 2 sums breaks\n  ---\n  message: ok\n  ...\nok 3 sums waits # SKIP -\nok\nok 4\nok four\n# pass 2\n";
        insta::assert_debug_snapshot!(parse(log), @r#"
        {
            "sums adds": Passed,
            "sums breaks": Failed,
            "sums waits # SKIP -": Passed,
        }
        "#);
    }
}
