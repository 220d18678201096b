//! PHPUnit, `--testdox`.

use super::paths::Paths;
use super::{Status, Statuses, line};

/// Lines `✔ name` below `Suite (Name\Space\SuiteTest)`; what is incomplete or risky
/// has other marks and is in no row.
pub(super) fn parse(log: &str) -> Statuses {
    let mut paths = Paths::default();
    let mut suite = UNNAMED;
    for line in log.split('\n') {
        if let Some(name) = heading(line) {
            suite = name;
        } else if let Some((status, name)) = line::marked(line.trim_start(), &MARKS) {
            paths.insert(&[suite, name.trim_start()], status);
        }
    }
    paths.into_statuses()
}

/// A class outside every namespace has a heading without parentheses; what upstream
/// then writes is in the lists of its rows.
const UNNAMED: &str = "None";

const MARKS: [(&str, Status); 3] = [
    ("✔", Status::Passed),
    ("✘", Status::Failed),
    ("↩", Status::Skipped),
];

fn heading(line: &str) -> Option<&str> {
    let name = line::before_parentheses(line)?;
    let mut chars = name.chars();
    (chars.next().is_some_and(line::in_word) && chars.next().is_some()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_and_tests() {
        let log = "PHPUnit 10.5 by Sebastian Bergmann and contributors.\n\nSums\n ✔ Adds\n....                4 / 4 (100%)\n\nSetters (Tests\\Carbon\\SettersTest)\n ✔ Year setter\n ✘ Month setter\n   │\n   │ Failed asserting that 1 is 2.\n ↩ Later\n ∅ Unfinished\n\nWith (parentheses) (Tests\\With)\n ✔ Year setter\n";
        insta::assert_debug_snapshot!(parse(log), @r#"
        {
            "None > Adds": Passed,
            "Setters > Later": Skipped,
            "Setters > Month setter": Failed,
            "Setters > Year setter": Passed,
            "With (parentheses) > Year setter": Passed,
        }
        "#);
    }
}
