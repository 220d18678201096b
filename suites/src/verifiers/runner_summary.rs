//! Whether a test runner says that it ran any tests at all.
//!
//! Where only failures count, a run without results is either one in which all went
//! well or one that never began; the runner's own count tells them apart.

/// What stands before a count: in the summaries of Karma, Jest, and TAP.
const BEFORE: [&str; 4] = ["Executed ", "TOTAL: ", "Tests: ", "# tests "];

/// What stands behind a count that begins the line: mocha and jasmine.
const BEHIND: [&str; 3] = [" passing", " spec,", " specs,"];

/// A count of nothing is no sign of a run: a browser that is lost at once still
/// leaves `Executed 0 of 0`.
pub(super) fn tests_ran(log: &str) -> bool {
    log.lines().any(|line| {
        let begins =
            count(line).is_some_and(|rest| BEHIND.iter().any(|behind| rest.starts_with(behind)));
        let follows = |before: &&str| {
            line.rsplit_once(*before)
                .is_some_and(|(_, rest)| count(rest).is_some())
        };
        begins || BEFORE.iter().any(follows)
    })
}

/// What follows a number of at least one.
fn count(text: &str) -> Option<&str> {
    let text = text.trim_start();
    let rest = text.trim_start_matches(|char: char| char.is_ascii_digit());
    let number = &text[..text.len() - rest.len()];
    number.bytes().any(|digit| digit != b'0').then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_the_runners() {
        for ran in [
            "HeadlessChrome 120.0 (Linux x86_64): Executed 7 of 9 SUCCESS (0.3 secs)",
            "TOTAL: 12 SUCCESS",
            "Tests:       3 passed, 3 total",
            "# tests 10",
            "  20 passing (32ms)",
            "1 spec, 0 failures",
            "40 specs, 0 failures",
        ] {
            assert!(tests_ran(&format!("first\n{ran}\n")), "{ran}");
        }
        for did_not in [
            "",
            "HeadlessChrome 120.0 (Linux x86_64): Executed 0 of 0 ERROR (0 secs)",
            "TOTAL: 0 SUCCESS",
            "Tests:       0 total",
            "# tests 0",
            "  0 passing (1ms)",
            "0 specs, 0 failures",
            "No specs found",
            "Cannot start Chrome",
            "3 files passing by",
        ] {
            assert!(!tests_ran(did_not), "{did_not}");
        }
    }
}
