//! Karma's mocha reporter: a tree of `describe` blocks by indentation.

use super::paths::Paths;
use super::{Status, Statuses, line};

/// Lines `✔ name` below the names of their blocks, joined by ` > `, from the start
/// of a browser to the summary.
///
/// As upstream, whose names the rows have, a block that begins where another of the
/// same depth ended does not take its place, and one further out only ends the
/// innermost.
pub(super) fn parse(log: &str) -> Statuses {
    let mut paths = Paths::default();
    let mut blocks: Vec<&str> = Vec::new();
    let mut depth = 0;
    let mut started = false;
    for line in log.split('\n') {
        if line.starts_with("SUMMARY:") {
            break;
        }
        let starts = line.contains("Starting browser");
        started |= starts;
        if starts || !started {
            continue;
        }
        let text = line.trim_start();
        if let Some((status, name)) = result(text) {
            let path: Vec<&str> = blocks.iter().copied().chain([name]).collect();
            paths.insert(&path, status);
            continue;
        }
        let indent = line.chars().count() - text.chars().count();
        // A single blank indents nothing.
        if indent < 2 {
            continue;
        }
        if indent > depth {
            blocks.push(text);
        } else if indent < depth {
            blocks.pop();
        }
        depth = indent;
    }
    paths.into_statuses()
}

const MARKS: [(&str, Status); 2] = [("✔", Status::Passed), ("✖", Status::Failed)];

fn result(text: &str) -> Option<(Status, &str)> {
    let (status, rest) = line::marked(text, &MARKS)?;
    let mut name = rest.chars();
    name.next()?
        .is_whitespace()
        .then_some((status, name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_part_of_the_name() {
        let log = "  ✔ too early\nSTART:\n26 11 2026 [launcher]: Starting browser ChromeHeadless\n  Components\n    ✔ renders\n    state\n      ✔ sets\n      ✖ merges (12ms)\n    refs\n      ✔ applies\n\nFinished in 0.1 secs\n\nSUMMARY:\n✔ 3 tests completed\n";
        insta::assert_debug_snapshot!(parse(log), @r#"
        {
            "Components > renders": Passed,
            "Components > state > applies": Passed,
            "Components > state > merges (12ms)": Failed,
            "Components > state > sets": Passed,
        }
        "#);
    }
}
