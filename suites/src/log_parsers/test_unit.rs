//! test-unit of Ruby, `--verbose=verbose`.

use super::{Status, Statuses, line};

/// Lines `test: name:  .: (0.001)`, the letter of a test after its last colon.
pub(super) fn parse(log: &str) -> Statuses {
    line::each(log, |text| {
        text.strip_prefix("test: ")
            .and_then(result)
            .or_else(|| result(text))
    })
}

fn result(text: &str) -> Option<(&str, Status)> {
    text.rmatch_indices(':').find_map(|(colon, mark)| {
        let rest = line::after_blank(&text[colon + mark.len()..])?.trim_start();
        let (status, rest) = line::marked(rest, &LETTERS)?;
        let ends = status == Status::Passed || !rest.starts_with(line::in_word);
        (colon > 0 && ends).then(|| (&text[..colon], status))
    })
}

const LETTERS: [(&str, Status); 4] = [
    (".", Status::Passed),
    ("F", Status::Failed),
    ("E", Status::Failed),
    ("O", Status::Skipped),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_behind_a_colon() {
        let log = "Loaded suite test\nTestSum: \n  test: adds:\t\t.: (0.001)\n  test: a: b:\tF\n  test_raises:\t\tE\n  test_omitted:\tO\n  test_pending:\tP: (0.001)\n  test_late:\tEarly\nFailure: test_x: it\nFinished in 0.01 seconds.\n";
        insta::assert_debug_snapshot!(parse(log), @r#"
        {
            "a: b": Failed,
            "adds": Passed,
            "test_omitted": Skipped,
            "test_raises": Failed,
        }
        "#);
    }
}
