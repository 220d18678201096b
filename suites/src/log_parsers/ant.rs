//! Ant's `junit` task with Lombok's formatter.

use super::{Status, Statuses, line};

/// Lines `[junit] [PASS] name`.
pub(super) fn parse(log: &str) -> Statuses {
    line::each(log, |text| {
        let rest = line::after_blank(text.strip_prefix("[junit]")?)?;
        let (status, rest) = line::marked(rest.trim_start(), &MARKS)?;
        Some((line::after_blank(rest)?.trim_start(), status))
    })
}

const MARKS: [(&str, Status); 3] = [
    ("[PASS]", Status::Passed),
    ("[FAIL]", Status::Failed),
    ("[ERR]", Status::Failed),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_task() {
        let log = "    [junit] Running lombok.RunAllTests\n    [junit] [PASS] A.java (1)\n    [junit]  [FAIL]  B.java\n    [junit] [ERR] C.java\n    [junit] [SKIP] D.java\n[PASS] E.java\n";
        insta::assert_debug_snapshot!(parse(log), @r#"
        {
            "A.java (1)": Passed,
            "B.java": Failed,
            "C.java": Failed,
        }
        "#);
    }
}
