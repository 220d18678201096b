//! pytest's short summary, `pytest -rA`: lines `STATUS name`.

use super::{Status, Statuses};

/// Whatever follows the name is ignored.
pub(super) fn parse(log: &str) -> Statuses {
    log.lines()
        .filter_map(result)
        .map(|(name, status)| (name.to_owned(), status))
        .collect()
}

/// The test that a line of the summary names, and how it went.
pub(super) fn result(line: &str) -> Option<(&str, Status)> {
    let (status, rest) = line.split_once(char::is_whitespace)?;
    let status = Status::of_word(status)?;
    let mut words = rest.split_whitespace();
    // A failure is "FAILED name - message".
    let name = words.find(|word| status != Status::Failed || *word != "-")?;
    (!is_count(status, name)).then_some((name, status))
}

/// "SKIPPED [3] file:line: reason" counts tests, it does not name one. Only there:
/// a wrapped progress line gives "PASSED [100%]", and two rows of SWE-bench
/// Verified list "[100%]" among their tests.
pub(super) fn is_count(status: Status, word: &str) -> bool {
    let digits = word
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    status == Status::Skipped
        && digits.is_some_and(|digits| {
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_summary_count_and_nothing_else() {
        let log = "PASSED a::one\nFAILED a::two - assert 1 == 2\nERROR b\nSKIPPED c why\nSKIPPED [1] d.py:3: no\nXFAIL e\nPASSED\n  PASSED indented\nPASSEDX f\nERROR: not a test\nPASSED [100%]\nPASSED a::one\nFAILED a::one\n";
        insta::assert_debug_snapshot!(parse(log), @r#"
        {
            "[100%]": Passed,
            "a::one": Failed,
            "a::two": Failed,
            "b": Error,
            "c": Skipped,
            "e": ExpectedFailure,
        }
        "#);
    }
}
