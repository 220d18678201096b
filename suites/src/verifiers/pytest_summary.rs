//! The short summary at the end of pytest's output, as Terminal-Bench 1 reads it:
//! what was skipped counts as passed.

use std::collections::BTreeMap;

/// The tests that failed, by name; an error says why there is no verdict.
pub(super) fn failures(output: &str) -> Result<Vec<String>, &'static str> {
    let mut lines = output.lines().skip_while(|line| !is_heading(line));
    if lines.next().is_none() {
        return Err("pytest printed no short test summary");
    }
    let results: BTreeMap<&str, bool> = lines.filter_map(result).collect();
    if results.is_empty() {
        return Err("the short test summary holds no result");
    }
    let failed = results.into_iter().filter(|(_, passed)| !passed);
    Ok(failed.map(|(name, _)| name.to_owned()).collect())
}

/// `==== short test summary info ====`
fn is_heading(line: &str) -> bool {
    line.starts_with('=')
        && line
            .trim_matches('=')
            .trim()
            .eq_ignore_ascii_case("short test summary info")
}

/// The name of a test, without its file, and whether it passed.
fn result(line: &str) -> Option<(&str, bool)> {
    let (status, rest) = line.trim().split_once(char::is_whitespace)?;
    let passed = match status.trim_matches(':') {
        "PASSED" | "XFAIL" | "SKIPPED" => true,
        "FAILED" | "XPASS" | "ERROR" => false,
        _ => return None,
    };
    // The reason of a failure follows the last dash.
    let test = match rest.rsplit_once(" - ") {
        Some((test, _)) if status.starts_with("FAILED") => test,
        _ => rest,
    };
    let name = test.split_once("::").map_or(test, |(_, name)| name).trim();
    (!name.is_empty()).then_some((name, passed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(results: &str) -> Result<Vec<String>, &'static str> {
        failures(&format!(
            "FAILED before::it\n=== short test summary info ===\n{results}\n=== 1 passed ===\n"
        ))
    }

    #[test]
    fn what_failed_is_named() {
        let log = "PASSED t.py::test_a\nFAILED t.py::test_b - assert 1 - 1 == 2\nERROR t.py::test_c\nXPASS t.py::T::test_d";
        assert_eq!(
            read(log).unwrap(),
            ["T::test_d", "test_b - assert 1", "test_c"]
        );
        assert_eq!(read("FAILED t.py::b - E").unwrap(), ["b"]);
    }

    #[test]
    fn skipped_and_expected_failures_count_as_passed() {
        assert!(read("SKIPPED [1] t.py:3: no").unwrap().is_empty());
        assert!(
            read("XFAIL t.py::a - reason\nPASSED t.py::b")
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn no_result_is_no_verdict() {
        assert!(failures("PASSED t.py::a\n").is_err());
        assert!(read("collected 0 items").is_err());
        assert!(failures("").is_err());
    }
}
