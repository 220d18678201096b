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
//! - Django's dots stand on the line of the name, between spaces.
//! - A result without a name, `[ OK ]  (0 ms)`, is that of no test.
//! - doctest's report has to be well-formed; upstream ends with an exception.

mod ant;
mod automake;
mod cargo_test;
mod cucumber;
mod django;
mod doctest;
mod go_test;
mod googletest;
mod gradle;
mod jest;
mod karma;
mod line;
mod matplotlib;
mod maven;
mod micropython;
mod minitest;
mod paths;
mod phpunit;
mod pytest;
mod pytest_options;
mod pytest_v2;
mod redis;
mod rspec;
mod seaborn;
mod sympy;
mod tap;
mod test_unit;
mod vitest;

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
    // The other languages of SWE-bench Multilingual: C and C++,
    ("parse_log_redis", redis::parse),
    ("parse_log_jq", automake::parse),
    ("parse_log_doctest", doctest::parse),
    ("parse_log_micropython_test", micropython::parse),
    ("parse_log_googletest", googletest::parse),
    // Go,
    ("parse_log_gotest", go_test::parse),
    // Java,
    ("parse_log_maven", maven::parse),
    ("parse_log_ant", ant::parse),
    ("parse_log_gradle_custom", gradle::parse),
    // JavaScript and TypeScript,
    ("parse_log_jest", jest::parse),
    ("parse_log_jest_json", jest::parse_json),
    ("parse_log_vitest", vitest::parse),
    ("parse_log_karma", karma::parse),
    ("parse_log_tap", tap::parse),
    // PHP,
    ("parse_log_phpunit", phpunit::parse),
    // Ruby,
    ("parse_log_minitest", minitest::parse),
    ("parse_log_cucumber", cucumber::parse),
    ("parse_log_ruby_unit", test_unit::parse),
    ("parse_log_rspec_transformed_json", rspec::parse),
    // and Rust.
    ("parse_log_cargo", cargo_test::parse),
];

/// Names that stand for another parser in every task: the repository changed its
/// runner. The name, the task, the parser.
const BY_TASK: &[(&str, &str, LogParser)] = &[
    (
        "parse_log_immutable_js",
        "immutable-js__immutable-js-2005",
        jest::parse_json,
    ),
    (
        "parse_log_immutable_js",
        "immutable-js__immutable-js-2006",
        jest::parse,
    ),
    ("parse_log_jekyll", "jekyll__jekyll-8047", minitest::parse),
    ("parse_log_jekyll", "jekyll__jekyll-8167", minitest::parse),
    ("parse_log_jekyll", "jekyll__jekyll-8761", cucumber::parse),
    ("parse_log_jekyll", "jekyll__jekyll-8771", cucumber::parse),
    ("parse_log_jekyll", "jekyll__jekyll-9141", minitest::parse),
];

/// The parser that the task `instance_id` means by `name`.
///
/// # Errors
/// Says why there is none, and which there are.
pub fn find(name: &str, instance_id: &str) -> Result<LogParser, String> {
    let named = PARSERS.iter().find(|(known, _)| *known == name);
    let by_task = BY_TASK
        .iter()
        .find(|(known, task, _)| *known == name && *task == instance_id);
    if let Some(parser) = named.map(|known| known.1).or(by_task.map(|known| known.2)) {
        return Ok(parser);
    }
    let tasks: Vec<&str> = BY_TASK
        .iter()
        .filter(|(known, ..)| *known == name)
        .map(|(_, task, _)| *task)
        .collect();
    if tasks.is_empty() {
        let known: Vec<_> = names().collect();
        Err(format!(
            "log_parser {name:?} is not known; there are {}",
            known.join(", ")
        ))
    } else {
        Err(format!(
            "log_parser {name:?} depends on the task, and is known for {} alone; name the parser that it stands for",
            tasks.join(", ")
        ))
    }
}

/// The names there are.
pub fn names() -> impl Iterator<Item = &'static str> {
    let mut by_task: Vec<_> = BY_TASK.iter().map(|(name, ..)| *name).collect();
    by_task.dedup();
    PARSERS.iter().map(|(name, _)| *name).chain(by_task)
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
mod tests;
