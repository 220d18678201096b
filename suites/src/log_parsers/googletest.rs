//! GoogleTest, also behind the line numbers of `ctest -V`.

use super::{Status, Statuses, line};

/// Lines `1: [       OK ] suite.name (0 ms)`; the list of failures at the end has no
/// times, and is passed over.
pub(super) fn parse(log: &str) -> Statuses {
    line::each(log, |text| {
        let untimed = text
            .strip_suffix(')')?
            .rmatch_indices('(')
            .find_map(|(open, _)| line::before_blank(&text[..open]))?;
        untimed
            .rmatch_indices('[')
            .find_map(|(open, bracket)| result(&untimed[open + bracket.len()..]))
    })
}

/// What follows a bracket.
fn result(text: &str) -> Option<(&str, Status)> {
    let (status, rest) = line::marked(text.trim_start(), &WORDS)?;
    let name = line::after_blank(rest.trim_start().strip_prefix(']')?)?;
    Some((name, status))
}

const WORDS: [(&str, Status); 2] = [("OK", Status::Passed), ("FAILED", Status::Failed)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timed_results() {
        let log = "1: [ RUN      ] ranges_test.format\n1: [       OK ] ranges_test.format (0 ms)\n1: [  FAILED  ] ranges_test.nested (2 ms)\n[       OK ] sizes/typed.of/1, where GetParam() = (1, 2) (0 ms)\n1: [----------] 2 tests from ranges_test (0 ms total)\n1: [  FAILED  ] ranges_test.listed\n1: [  PASSED  ] 1 test.\n";
        insta::assert_debug_snapshot!(parse(log), @r#"
        {
            "ranges_test.format": Passed,
            "ranges_test.nested": Failed,
            "sizes/typed.of/1, where GetParam() = (1, 2)": Passed,
        }
        "#);
    }
}
