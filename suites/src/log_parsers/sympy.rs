//! sympy's own runner, `bin/test --verbose`.

use super::{Status, Statuses};

/// Lines `test_x ok`, `test_x F`, `test_x E`, and the headings of tracebacks,
/// `____ sympy/a/b.py:test_x ____`. What is skipped or expected to fail has other
/// letters and is in no row.
pub(super) fn parse(log: &str) -> Statuses {
    let headings = log
        .split('\n')
        .filter_map(heading)
        .map(|name| (name, Status::Failed));
    let results = log
        .split('\n')
        .filter_map(result)
        .map(|(name, status)| (name.to_owned(), status));
    headings.chain(results).collect()
}

fn result(line: &str) -> Option<(&str, Status)> {
    let line = line.trim();
    let (_, letter) = line.rsplit_once(' ')?;
    let status = match letter {
        "ok" => Status::Passed,
        "F" => Status::Failed,
        "E" => Status::Error,
        _ => return None,
    };
    let name = line.split_whitespace().next()?;
    name.starts_with("test_").then_some((name, status))
}

/// `FILE.py:NAME` between two blanks. Upstream asks no more of a heading, so that
/// other lines give names, too; none that is in a row.
fn heading(line: &str) -> Option<String> {
    let (_, rest) = line.split_once(' ')?;
    let (inner, _) = rest.rsplit_once(' ')?;
    let (file, test) = inner.rsplit_once(".py:")?;
    Some(format!("{file}.py:{test}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_headings() {
        let log = "sympy/core/tests/test_x.py[5]\ntest_a ok\ntest_b F\ntest_c E\ntest_d f\ntest_e s\n   [FAIL]\n____ sympy/core/tests/test_x.py:test_b ____\nTraceback\n  File \"a.py\", line 3, in test_b\n";
        insta::assert_debug_snapshot!(parse(log), @r#"
        {
            "sympy/core/tests/test_x.py:test_b": Failed,
            "test_a": Passed,
            "test_b": Failed,
            "test_c": Error,
        }
        "#);
    }
}
