//! pytest with colours, parameters that contain blanks, and results behind the name.

use super::{Status, Statuses, pytest};

/// Lines `STATUS name` as in the short summary, or `name STATUS` as in the verbose
/// progress; a name is everything beside the status.
pub(super) fn parse(log: &str) -> Statuses {
    log.split('\n')
        .filter_map(|line| result(&plain(line)))
        .collect()
}

fn result(line: &str) -> Option<(String, Status)> {
    let starts = Status::WORDS.iter().any(|(word, _)| line.starts_with(word));
    if !starts {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (last, name) = words.split_last()?;
        let status = Status::of_word(last)?;
        return (line.ends_with(last) && !name.is_empty()).then(|| (name.join(" "), status));
    }
    // The message of a failure may hold anything; it is not part of the name.
    let line = match line.split_once(" - ") {
        Some((before, _)) if line.starts_with("FAILED") => before,
        _ => line,
    };
    let words: Vec<&str> = line.split_whitespace().collect();
    let (status, name) = words.split_first()?;
    let status = Status::of_word(status)?;
    let first = name.first()?;
    (!pytest::is_count(status, first)).then(|| (name.join(" "), status))
}

/// Without colours (`[31m` and the escape before it) and other control characters.
fn plain(line: &str) -> String {
    let mut kept = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(open) = rest.find('[') {
        let (before, from) = rest.split_at(open);
        kept.push_str(before);
        let after = from[1..].trim_start_matches(|char: char| char.is_ascii_digit());
        let digits = from.len() - 1 - after.len();
        rest = match after.strip_prefix('m') {
            Some(after) if digits > 0 => after,
            _ => {
                kept.push('[');
                &from[1..]
            }
        };
    }
    kept.push_str(rest);
    kept.retain(|char| !('\u{1}'..='\u{1f}').contains(&char));
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_blanks_and_both_orders() {
        let log = "\u{1b}[32mPASSED\u{1b}[0m t.py::\u{1b}[1ma[x y]\u{1b}[0m\nFAILED t.py::b[p q] - assert 'x - y'\nt.py::c[1 2] PASSED\nt.py::d PASSED [ 50%]\nSKIPPED [2] t.py:1: no\nPASSED\nXFAIL t.py::e why\nERRORS t.py::f PASSED\n";
        insta::assert_debug_snapshot!(parse(log), @r#"
        {
            "t.py::a[x y]": Passed,
            "t.py::b[p q]": Failed,
            "t.py::c[1 2]": Passed,
            "t.py::e why": ExpectedFailure,
        }
        "#);
    }

    #[test]
    fn brackets_that_are_no_colour_stay() {
        assert_eq!(plain("a[1]b[2mc[md[[3m\u{1}e\t"), "a[1]bc[md[e");
    }
}
