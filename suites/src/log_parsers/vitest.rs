//! Vitest, `--reporter=verbose`.

use super::{Status, Statuses, line};

/// Lines `✓ file > describe > name 5ms` and `↓ name [skipped]`.
pub(super) fn parse(log: &str) -> Statuses {
    line::each(log, |text| {
        let (status, rest) = line::marked(text, &MARKS)?;
        Some((without_ending(line::after_blank(rest)?), status))
    })
}

const MARKS: [(&str, Status); 3] = [
    ("✓", Status::Passed),
    ("×", Status::Failed),
    ("↓", Status::Skipped),
];

/// Without the time or the word behind the name. As upstream, a number without a
/// unit is a time, too.
fn without_ending(name: &str) -> &str {
    let ended = || {
        if let Some(before) = name.strip_suffix("[skipped]") {
            return line::before_blank(before);
        }
        let number = name.strip_suffix('s').unwrap_or(name);
        let number = number.strip_suffix('m').unwrap_or(number).trim_end();
        let before = number.trim_end_matches(|char: char| char.is_ascii_digit());
        (before.len() < number.len())
            .then(|| line::before_blank(before))
            .flatten()
    };
    ended().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_are_no_part_of_a_name() {
        for (name, expected) in [
            ("a > adds 5ms", "a > adds"),
            ("a > adds 5 ms", "a > adds"),
            ("a > adds 1s", "a > adds"),
            ("a > adds 12", "a > adds"),
            ("a > adds 1 2ms", "a > adds 1"),
            ("a > skipped [skipped]", "a > skipped"),
            ("a > items", "a > items"),
            ("a > v2", "a > v2"),
            ("12ms", "12ms"),
        ] {
            assert_eq!(without_ending(name), expected);
        }
    }
}
