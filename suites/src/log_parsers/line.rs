//! What the parsers of line-by-line logs have in common.

use super::{Status, Statuses};

/// The results of the lines that have one, each without the blanks around it.
pub(super) fn each<'a>(
    log: &'a str,
    result: impl Fn(&'a str) -> Option<(&'a str, Status)>,
) -> Statuses {
    log.split('\n')
        .filter_map(|line| result(line.trim()))
        .map(|(name, status)| (name.to_owned(), status))
        .collect()
}

/// The status that a line begins with, by its mark, and what follows the mark.
pub(super) fn marked<'a>(line: &'a str, marks: &[(&str, Status)]) -> Option<(Status, &'a str)> {
    marks
        .iter()
        .find_map(|(mark, status)| Some((*status, line.strip_prefix(mark)?)))
}

/// What follows one blank, if anything does.
pub(super) fn after_blank(text: &str) -> Option<&str> {
    let mut chars = text.chars();
    let blank = chars.next()?.is_whitespace();
    Some(chars.as_str()).filter(|rest| blank && !rest.is_empty())
}

/// What precedes one blank, if anything does.
pub(super) fn before_blank(text: &str) -> Option<&str> {
    let mut chars = text.chars();
    let blank = chars.next_back()?.is_whitespace();
    Some(chars.as_str()).filter(|rest| blank && !rest.is_empty())
}

/// A name without the time the test took, `name (12 ms)`.
pub(super) fn without_time(name: &str) -> &str {
    let timed = || {
        let (before, time) = name.strip_suffix(')')?.rsplit_once('(')?;
        let number = time.strip_suffix('s')?;
        let number = number.strip_suffix('m').unwrap_or(number).trim_end();
        is_number(number).then(|| before_blank(before)).flatten()
    };
    timed().unwrap_or(name)
}

/// What precedes the last ` (…)`, which ends the text.
pub(super) fn before_parentheses(text: &str) -> Option<&str> {
    let inner = text.strip_suffix(')')?;
    let open = inner
        .rmatch_indices(" (")
        .map(|(open, mark)| (open, open + mark.len()))
        .find(|(_, inside)| *inside < inner.len())?;
    Some(&text[..open.0]).filter(|before| !before.is_empty())
}

pub(super) fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a character can be part of a word.
pub(super) fn in_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_no_part_of_a_name() {
        for (name, expected) in [
            ("adds (5 ms)", "adds"),
            ("adds (12ms)", "adds"),
            ("adds (1 s)", "adds"),
            ("adds (1.5 s)", "adds (1.5 s)"),
            ("adds (ms)", "adds (ms)"),
            ("adds(5 ms)", "adds(5 ms)"),
            ("adds (a) (5 ms)", "adds (a)"),
            (" (5 ms)", " (5 ms)"),
            ("(5 ms)", "(5 ms)"),
        ] {
            assert_eq!(without_time(name), expected);
        }
    }
}
