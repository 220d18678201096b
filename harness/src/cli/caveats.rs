//! What tasks ask for and do not get, for a person.

use std::collections::BTreeMap;

use timeslip_datasets::text::plural;
use timeslip_suites::{Capabilities, Task};

/// Names that are shown of the tasks that something holds of.
const SHOWN: usize = 3;

/// One sentence for every thing that some of the tasks ask for and do not get. A task
/// that cannot be tried at all is left out.
pub(super) fn of<'a>(
    tasks: impl IntoIterator<Item = &'a Task>,
    capabilities: &Capabilities,
) -> Vec<String> {
    let mut found: BTreeMap<&'static str, Vec<&str>> = BTreeMap::new();
    for task in tasks {
        let caveats = task.workspace.caveats(capabilities);
        for caveat in caveats.unwrap_or_default() {
            found.entry(caveat).or_default().push(&task.id);
        }
    }
    let sentences = found.iter();
    let sentences = sentences.map(|(caveat, tasks)| sentence(tasks, caveat));
    sentences.collect()
}

/// `a network is wanted, but there is none: 4 tasks (a, b, c, …)`.
fn sentence(tasks: &[&str], caveat: &str) -> String {
    let mut names = tasks[..tasks.len().min(SHOWN)].join(", ");
    if tasks.len() > SHOWN {
        names.push_str(", …");
    }
    format!("{caveat}: {} ({names})", plural(tasks.len(), "task"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_names_are_shown() {
        insta::assert_snapshot!(sentence(&["a"], "it is wanted"), @"it is wanted: 1 task (a)");
        insta::assert_snapshot!(sentence(&["a", "b", "c", "d"], "it is wanted"), @"it is wanted: 4 tasks (a, b, c, …)");
    }
}
