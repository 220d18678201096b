//! Gradle, made to log every test.

use super::{Status, Statuses, line};

/// Lines `a.B > name PASSED`; the result may stand on a later line when something
/// was printed in between.
pub(super) fn parse(log: &str) -> Statuses {
    let mut statuses = Statuses::new();
    let mut open: Option<&str> = None;
    for line in log.split('\n').map(str::trim) {
        // "> Task :test FAILED" is no test.
        if line.starts_with('>') {
            continue;
        }
        if let Some((name, status)) = result(line) {
            statuses.insert(name.to_owned(), status);
            open = None;
        } else if is_name(line) {
            open = Some(line);
        } else if let Some((status, "")) = line::marked(line, &WORDS) {
            let closed = open.take().map(|name| (name.to_owned(), status));
            statuses.extend(closed);
        }
    }
    statuses
}

const WORDS: [(&str, Status); 2] = [("PASSED", Status::Passed), ("FAILED", Status::Failed)];

fn result(line: &str) -> Option<(&str, Status)> {
    let (before, status) = WORDS
        .iter()
        .find_map(|(word, status)| Some((line.strip_suffix(word)?, *status)))?;
    let name = line::before_blank(before)?;
    name.chars().nth(1).is_some().then_some((name, status))
}

/// A class and a method.
fn is_name(line: &str) -> bool {
    let mut words = line.split_whitespace();
    matches!(
        (words.next(), words.next(), words.next(), words.next()),
        (Some(_), Some(">"), Some(_), None)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_on_the_line_or_later() {
        let log = "> Task :core:test FAILED\norg.a.B > one PASSED\norg.a.B > two FAILED\n    java.lang.AssertionError\norg.a.B > with blanks PASSED\norg.a.B > late\nWARNING: something\nPASSED\nFAILED\norg.a.B > skipped SKIPPED\norg.a.B > open\n";
        insta::assert_debug_snapshot!(parse(log), @r#"
        {
            "org.a.B > late": Passed,
            "org.a.B > one": Passed,
            "org.a.B > two": Failed,
            "org.a.B > with blanks": Passed,
        }
        "#);
    }
}
