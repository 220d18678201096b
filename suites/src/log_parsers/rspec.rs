//! RSpec's JSON report, which the rows' scripts turn into lines.

use super::{Status, Statuses, line};

/// Lines `name - passed` and `name - failed`; what is pending is in no row.
pub(super) fn parse(log: &str) -> Statuses {
    line::each(log, |text| {
        text.rmatch_indices(" - ").find_map(|(at, mark)| {
            let (status, _) = line::marked(&text[at + mark.len()..], &WORDS)?;
            (at > 0).then(|| (&text[..at], status))
        })
    })
}

const WORDS: [(&str, Status); 2] = [("passed", Status::Passed), ("failed", Status::Failed)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_behind_a_dash() {
        let log = "+ bundle exec rspec\nadds - ./spec/a_spec.rb[1:1] - passed\nbreaks - failed\nwaits - pending\na - passed - failed\n - passed\n";
        insta::assert_debug_snapshot!(parse(log), @r#"
        {
            "a - passed": Failed,
            "adds - ./spec/a_spec.rb[1:1]": Passed,
            "breaks": Failed,
        }
        "#);
    }
}
