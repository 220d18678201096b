//! Rust, `cargo test`.

use super::{Status, Statuses, line};

/// Lines `test path::name ... ok`. As upstream, neither what is ignored nor tests
/// whose line says more, such as `- should panic` and the line of a documentation
/// test, have a result.
pub(super) fn parse(log: &str) -> Statuses {
    line::each(log, |text| {
        let mut words = text.split_whitespace();
        let first = words.next()?;
        let name = words.next()?;
        let rest = (words.next()?, words.next()?, words.next());
        let status = match rest {
            ("...", "ok", None) => Status::Passed,
            ("...", "FAILED", None) => Status::Failed,
            _ => return None,
        };
        (first == "test").then_some((name, status))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word_names() {
        let log = "running 5 tests\ntest sums::adds ... ok\ntest sums::breaks ... FAILED\ntest sums::later ... ignored\ntest sums::panics - should panic ... ok\ntest src/lib.rs - sum (line 3) ... ok\ntest result: FAILED. 3 passed; 1 failed; 1 ignored\n";
        insta::assert_debug_snapshot!(parse(log), @r#"
        {
            "sums::adds": Passed,
            "sums::breaks": Failed,
        }
        "#);
    }
}
