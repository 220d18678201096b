//! Django's runner and the standard library's `unittest`, verbose.

use super::{Status, Statuses};

/// Lines `name ... result`; `ok` may stand on a later line when the test printed
/// something. As upstream, an expected failure is no result.
pub(super) fn parse(log: &str) -> Statuses {
    let mut statuses = Statuses::new();
    let mut open: Option<&str> = None;
    for line in log.split('\n').map(str::trim) {
        if line.contains(VERSION_TEST) {
            statuses.insert(VERSION_TEST.to_owned(), Status::Passed);
        }
        if let Some((name, _)) = line.split_once(" ... ") {
            open = Some(name);
        }
        // More than one can be true of a line; the last says how it went.
        let results = [
            passed(line).map(|name| (name, Status::Passed)),
            line.split_once(" ... skipped")
                .map(|(name, _)| (name, Status::Skipped)),
            ending(line, " ... FAIL").map(|name| (name, Status::Failed)),
            heading(line, "FAIL:").map(|name| (name, Status::Failed)),
            ending(line, " ... ERROR").map(|name| (name, Status::Error)),
            heading(line, "ERROR:").map(|name| (name, Status::Error)),
            open.filter(|_| line.starts_with("ok"))
                .map(|name| (name, Status::Passed)),
        ];
        for (name, status) in results.into_iter().flatten() {
            statuses.insert(name.to_owned(), status);
        }
    }
    for name in interrupted(log) {
        statuses.insert(name.to_owned(), Status::Passed);
    }
    statuses
}

/// The description of a test that checks the output of `--version`, and so appears
/// in the middle of a line.
const VERSION_TEST: &str = "--version is equivalent to version";

/// A migration reports itself in front of the name of the test it runs in.
const MIGRATION: &str = "Applying sites.0002_alter_domain_unique...";

fn passed(line: &str) -> Option<&str> {
    let name = [" ... ok", " ... OK", " ...  OK"]
        .iter()
        .find_map(|result| line.strip_suffix(result))?;
    Some(match name.strip_prefix(MIGRATION) {
        Some(test) if test.starts_with("test_no_migrations") => test.trim(),
        _ => name,
    })
}

/// What stands before the first `result` of a line that ends in one.
fn ending<'a>(line: &'a str, result: &str) -> Option<&'a str> {
    line.ends_with(result)
        .then(|| line.split_once(result))
        .flatten()
        .map(|(name, _)| name)
}

/// `FAIL: test_x (module.Class)` above a traceback; names the method alone.
fn heading<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    // The word itself is followed by a blank, or by the name.
    line.starts_with(word)
        .then(|| line.split_whitespace().nth(1))
        .flatten()
}

/// Tests whose `ok` comes after the report of a nested test run, which may name
/// tests of its own.
fn interrupted(mut log: &str) -> impl Iterator<Item = &str> {
    const BEGINS: &str = " ... Testing against Django installed in ";
    const ENDS: &str = " silenced).\nok";
    std::iter::from_fn(move || {
        let (before, after) = log.split_once(BEGINS)?;
        let ends_line = |end: &usize| matches!(after.as_bytes().get(*end), None | Some(b'\n'));
        let end = after
            .match_indices(ENDS)
            .map(|(at, _)| at + ENDS.len())
            .find(ends_line)?;
        log = &after[end..];
        before.rsplit('\n').next()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn django_and_unittest_lines() {
        let log = "test_a (m.C.test_a) ... ok\ntest_b (m.C.test_b) ... FAIL\ntest_c (m.C.test_c) ... ERROR\ntest_d (m.C.test_d) ... skipped 'why'\ntest_e (m.C.test_e) ... expected failure\ntest_f (m.C.test_f) ... printed\nok\ntest_g (m.C.test_g) ... unexpected success\n\n======\nFAIL: test_b (m.C.test_b)\nFAIL:\n------\nRan 7 tests\nFAILED (failures=1)\n";
        insta::assert_debug_snapshot!(parse(log), @r#"
        {
            "test_a (m.C.test_a)": Passed,
            "test_b": Failed,
            "test_b (m.C.test_b)": Failed,
            "test_c (m.C.test_c)": Error,
            "test_d (m.C.test_d)": Skipped,
            "test_f (m.C.test_f)": Passed,
        }
        "#);
    }

    #[test]
    fn what_other_things_print_in_between() {
        let log = "test_a (m.C) ... Testing against Django installed in '/d' with up to 2 processes\ntest_inner (n.D) ... ok\n0 issues (0 silenced).\nok\nApplying sites.0002_alter_domain_unique...test_no_migrations (m.C) ... ok\nx --version is equivalent to version ... \n";
        insta::assert_debug_snapshot!(parse(log), @r#"
        {
            "--version is equivalent to version": Passed,
            "test_a (m.C)": Passed,
            "test_inner (n.D)": Passed,
            "test_no_migrations (m.C)": Passed,
        }
        "#);
    }
}
