//! Reads test results out of a log, by the parsers' SWE-bench names.
//!
//! A log is all a grader of this format has. Code under test writes to the same
//! log and can print result lines of its own, here as upstream; a verdict is as
//! honest as the tested code.
//!
//! # Where these differ from upstream
//! - A line counts only when its status is a whole word: upstream's `startswith`
//!   and `endswith` take `ERROR:` or `PASSEDX` for a status that is then neither
//!   passed nor failed, and a test in that state drops out of the verdict.
//! - A `FAIL:` line that names no test is passed over, where upstream ends with an
//!   exception.
//! - Django's dots stand on the line of the name.

mod django;
mod matplotlib;
mod pytest;
mod pytest_options;
mod pytest_v2;
mod seaborn;
mod sympy;

use std::collections::BTreeMap;

/// What a log says about one test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It passed.
    Passed,
    /// It failed.
    Failed,
    /// It could not run.
    Error,
    /// It was not run on purpose.
    Skipped,
    /// It failed as it was expected to.
    ExpectedFailure,
}

/// Test name → the last thing the log says about it.
pub type Statuses = BTreeMap<String, Status>;

/// A parser of test logs; never fails, at worst it finds nothing.
pub type LogParser = fn(&str) -> Statuses;

const PARSERS: &[(&str, LogParser)] = &[
    ("parse_log_pytest", pytest::parse),
    ("parse_log_pytest_options", pytest_options::parse),
    ("parse_log_pytest_v2", pytest_v2::parse),
    ("parse_log_django", django::parse),
    ("parse_log_seaborn", seaborn::parse),
    ("parse_log_sympy", sympy::parse),
    ("parse_log_matplotlib", matplotlib::parse),
    // Rows may name a parser by its repository.
    ("parse_log_astroid", pytest::parse),
    ("parse_log_flask", pytest::parse),
    ("parse_log_marshmallow", pytest::parse),
    ("parse_log_pvlib", pytest::parse),
    ("parse_log_pyvista", pytest::parse),
    ("parse_log_sqlfluff", pytest::parse),
    ("parse_log_xarray", pytest::parse),
    ("parse_log_pydicom", pytest_options::parse),
    ("parse_log_requests", pytest_options::parse),
    ("parse_log_pylint", pytest_options::parse),
    ("parse_log_astropy", pytest_v2::parse),
    ("parse_log_scikit", pytest_v2::parse),
    ("parse_log_sphinx", pytest_v2::parse),
];

/// The parser of that name.
pub fn find(name: &str) -> Option<LogParser> {
    PARSERS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, parser)| *parser)
}

/// The names there are.
pub fn names() -> impl Iterator<Item = &'static str> {
    PARSERS.iter().map(|(name, _)| *name)
}

impl Status {
    /// The words of pytest's short summary.
    const WORDS: [(&str, Self); 5] = [
        ("FAILED", Self::Failed),
        ("PASSED", Self::Passed),
        ("SKIPPED", Self::Skipped),
        ("ERROR", Self::Error),
        ("XFAIL", Self::ExpectedFailure),
    ];

    fn of_word(word: &str) -> Option<Self> {
        Self::WORDS
            .iter()
            .find(|(known, _)| *known == word)
            .map(|(_, status)| *status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parsers_are_found_by_name() {
        assert!(find("parse_log_django").is_some());
        assert!(find("parse_log_cobol").is_none());
        let unique: std::collections::BTreeSet<_> = names().collect();
        assert_eq!(unique.len(), PARSERS.len());
    }

    proptest! {
        #[test]
        fn never_panic(log in "(PASSED|FAILED|SKIPPED|ERROR:|FAIL:|ok|ä| \\.\\.\\. |skipped|\\[1\\]|\\[|m|]| - |test_|_| E|\\.py:| |\n|.){0,60}") {
            for name in names() {
                find(name).unwrap()(&log);
            }
        }
    }
}
