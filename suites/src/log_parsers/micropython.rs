//! MicroPython's runner, `run-tests.py`.

use super::{Status, Statuses, line};

/// Lines `pass  basics/a.py`, `FAIL  basics/b.py` and `skip  basics/c.py`.
pub(super) fn parse(log: &str) -> Statuses {
    line::each(log, |text| {
        let (status, rest) = line::marked(text, &MARKS)?;
        Some((line::after_blank(rest)?.trim_start(), status))
    })
}

const MARKS: [(&str, Status); 3] = [
    ("pass", Status::Passed),
    ("FAIL", Status::Failed),
    ("skip", Status::Skipped),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_front() {
        let log = "pass  basics/string_format.py\nFAIL  basics/b.py\nskip  basics/c.py\npassed\n1 tests failed: basics/b.py\n";
        insta::assert_debug_snapshot!(parse(log), @r#"
        {
            "basics/b.py": Failed,
            "basics/c.py": Skipped,
            "basics/string_format.py": Passed,
        }
        "#);
    }
}
