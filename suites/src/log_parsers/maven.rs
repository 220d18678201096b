//! Maven, one run for each test: `mvn test -Dtest=Class#method`.

use std::collections::VecDeque;

use super::{Status, Statuses};

/// Maven names no test that passes, so a test is the command that runs it, which the
/// shell traces, and its result is that of the build. Trace and output can overtake
/// each other: the first command has the first result.
pub(super) fn parse(log: &str) -> Statuses {
    let mut statuses = Statuses::new();
    let mut commands: VecDeque<&str> = VecDeque::new();
    let mut early: Vec<Status> = Vec::new();
    for line in log.split('\n').map(str::trim) {
        commands.extend(selected(line));
        let Some(status) = result(line) else {
            continue;
        };
        match commands.pop_front() {
            Some(name) => {
                statuses.insert(name.to_owned(), status);
            }
            None => early.push(status),
        }
    }
    let overtaken = commands.into_iter().map(str::to_owned).zip(early);
    statuses.extend(overtaken);
    statuses
}

/// What the last `-Dtest=` of a line selects.
fn selected(line: &str) -> Option<&str> {
    const OPTION: &str = "-Dtest=";
    line.rmatch_indices(OPTION).find_map(|(at, _)| {
        line[at + OPTION.len()..]
            .split(char::is_whitespace)
            .next()
            .filter(|test| !test.is_empty())
    })
}

fn result(line: &str) -> Option<Status> {
    if line.ends_with("BUILD SUCCESS") {
        return Some(Status::Passed);
    }
    line.ends_with("BUILD FAILURE").then_some(Status::Failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_answer_commands_in_order() {
        let log = "+ mvn test -B -pl gson -Dtest=a.B#one\n[INFO] Running a.B\n[INFO] BUILD SUCCESS\n+ mvn test -B -Dtest=a.B#two\n+ mvn test -B -Dtest=a.B#three -q\n[INFO] BUILD FAILURE\n[INFO] BUILD SUCCESS\n+ mvn test -Dtest=a.B#four\n";
        insta::assert_debug_snapshot!(parse(log), @r#"
        {
            "a.B#one": Passed,
            "a.B#three": Passed,
            "a.B#two": Failed,
        }
        "#);
        let overtaken = parse("[INFO] BUILD FAILURE\n+ mvn test -Dtest=a.B#one\n");
        assert_eq!(overtaken["a.B#one"], Status::Failed);
    }
}
