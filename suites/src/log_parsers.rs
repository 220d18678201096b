//! Reads test results out of a log, by the parsers' SWE-bench names.
//!
//! A log is all a grader of this format has. Code under test writes to the same
//! log and can print result lines of its own, here as upstream; a verdict is as
//! honest as the tested code.

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

const PARSERS: [(&str, LogParser); 2] = [
    ("parse_log_pytest", parse_log_pytest),
    ("parse_log_django", parse_log_django),
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

/// Lines `STATUS name`, as in pytest's short summary; what follows is ignored.
pub fn parse_log_pytest(log: &str) -> Statuses {
    log.lines()
        .filter_map(|line| {
            let (status, rest) = line.split_once(char::is_whitespace)?;
            let status = match status {
                "PASSED" => Status::Passed,
                "FAILED" => Status::Failed,
                "ERROR" => Status::Error,
                "SKIPPED" => Status::Skipped,
                "XFAIL" => Status::ExpectedFailure,
                _ => return None,
            };
            let name = rest.split_whitespace().next()?;
            // "SKIPPED [3] file:line: reason" counts tests, it does not name one.
            (status != Status::Skipped || !is_count(name)).then(|| (name.to_owned(), status))
        })
        .collect()
}

fn is_count(word: &str) -> bool {
    word.strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|count| count.parse::<u64>().is_ok())
}

/// Lines `name ... result`, as Django's and the standard library's test runners
/// print them; `ok` may follow on a later line when the test printed something.
pub fn parse_log_django(log: &str) -> Statuses {
    let mut statuses = Statuses::new();
    let mut open: Option<&str> = None;
    for line in log.lines().map(str::trim) {
        if let Some((name, _)) = line.split_once(" ... ") {
            open = Some(name);
        }
        let found = if let Some((name, _)) = line.split_once(" ... skipped") {
            Some((name, Status::Skipped))
        } else if let Some((name, result)) = line.rsplit_once(" ... ") {
            result_status(result.trim_start()).map(|status| (name, status))
        } else if let Some(found) = failure_heading(line) {
            Some(found)
        } else if line.starts_with("ok") {
            open.map(|name| (name, Status::Passed))
        } else {
            None
        };
        if let Some((name, status)) = found {
            statuses.insert(name.to_owned(), status);
        }
    }
    statuses
}

fn result_status(result: &str) -> Option<Status> {
    match result {
        "ok" | "OK" => Some(Status::Passed),
        "FAIL" => Some(Status::Failed),
        "ERROR" => Some(Status::Error),
        "expected failure" => Some(Status::ExpectedFailure),
        _ => None,
    }
}

/// `FAIL: test_x (module.Class)` above a traceback; names the method alone.
fn failure_heading(line: &str) -> Option<(&str, Status)> {
    let (status, rest) = if let Some(rest) = line.strip_prefix("FAIL:") {
        (Status::Failed, rest)
    } else {
        (Status::Error, line.strip_prefix("ERROR:")?)
    };
    rest.split_whitespace().next().map(|name| (name, status))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pytest_summary() {
        let log = "PASSED a::one\nFAILED a::two - assert 1 == 2\nERROR b\nSKIPPED c why\nSKIPPED [1] d.py:3: no\nXFAIL e\nPASSED\n  PASSED indented\nPASSEDX f\nERROR: not a test\nPASSED a::one\nFAILED a::one\n";
        let statuses = parse_log_pytest(log);
        insta::assert_debug_snapshot!(statuses, @r#"
        {
            "a::one": Failed,
            "a::two": Failed,
            "b": Error,
            "c": Skipped,
            "e": ExpectedFailure,
        }
        "#);
    }

    #[test]
    fn django_and_unittest_lines() {
        let log = "test_a (m.C.test_a) ... ok\ntest_b (m.C.test_b) ... FAIL\ntest_c (m.C.test_c) ... ERROR\ntest_d (m.C.test_d) ... skipped 'why ... ok'\ntest_e (m.C.test_e) ... expected failure\ntest_f (m.C.test_f) ... printed\nok\ntest_g (m.C.test_g) ... unexpected success\n\n======\nFAIL: test_b (m.C.test_b)\n------\nRan 7 tests\nFAILED (failures=1)\n";
        let statuses = parse_log_django(log);
        insta::assert_debug_snapshot!(statuses, @r#"
        {
            "test_a (m.C.test_a)": Passed,
            "test_b": Failed,
            "test_b (m.C.test_b)": Failed,
            "test_c (m.C.test_c)": Error,
            "test_d (m.C.test_d)": Skipped,
            "test_e (m.C.test_e)": ExpectedFailure,
            "test_f (m.C.test_f)": Passed,
        }
        "#);
    }

    #[test]
    fn parsers_are_found_by_name() {
        assert!(find("parse_log_django").is_some());
        assert!(find("parse_log_cargo").is_none());
        assert_eq!(names().count(), 2);
    }

    proptest! {
        #[test]
        fn never_panic(log in "(PASSED|FAIL:|ok| \\.\\.\\. |skipped|\\[1\\]| |\n|.){0,60}") {
            for name in names() {
                find(name).unwrap()(&log);
            }
        }
    }
}
