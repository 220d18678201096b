//! Cucumber of Ruby, `--format progress` behind the name of each scenario.

use super::{Status, Statuses, line};

/// Lines `name .....`, a letter for each step. As upstream, the first step alone
/// does not decide: it takes two to pass.
pub(super) fn parse(log: &str) -> Statuses {
    line::each(log, |text| {
        text.rmatch_indices(" .").find_map(|(at, mark)| {
            let next = text[at + mark.len()..].trim_start_matches('.');
            let steps = text.len() - next.len() - at - 1;
            let status = match next.chars().next() {
                Some('F') => Status::Failed,
                _ if steps > 1 => Status::Passed,
                _ => return None,
            };
            Some((&text[..at], status))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_behind_a_name() {
        let log = "Create a site .....\nRender v1. too ...F--\nSkip ---\nOne .\nDone ...... 3 steps\n9 scenarios (9 passed)\n";
        insta::assert_debug_snapshot!(parse(log), @r#"
        {
            "Create a site": Passed,
            "Done": Passed,
            "Render v1. too": Failed,
        }
        "#);
    }
}
