//! Minitest of Ruby, verbose, with names that are sentences.

use super::{Status, Statuses, line};

/// Lines `Class#test_: thing should do this.  = 0.01 s = .`; a name ends where its
/// sentence does. As upstream, a name without a full stop is none, and a test that is
/// skipped, `S`, passes: the last full stop is then that of the time.
pub(super) fn parse(log: &str) -> Statuses {
    line::each(log, |text| {
        let end = text.rfind(['.', 'F', 'E'])?;
        let status = match text.as_bytes()[end] {
            b'.' => Status::Passed,
            _ => Status::Failed,
        };
        let equals = text[..end].rfind('=')?;
        let (name, _) = text[..equals].rsplit_once(". ")?;
        (!name.is_empty()).then_some((name, status))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences() {
        let log = "Run options: -v --seed 1\nTestA#test_: A thing should add. = 0.01 s = .\nTestA#test_: A thing should break v1.2.  = 0.00 s = F\nTestA#test_: A thing should raise. = 0.00 s = E\nTestA#test_: A thing should wait. = 0.00 s = S\nTestA#test_plain = 0.00 s = .\nFinished in 0.05s, 76.2 runs/s.\n";
        insta::assert_debug_snapshot!(parse(log), @r#"
        {
            "TestA#test_: A thing should add": Passed,
            "TestA#test_: A thing should break v1.2": Failed,
            "TestA#test_: A thing should raise": Failed,
            "TestA#test_: A thing should wait": Passed,
        }
        "#);
    }
}
