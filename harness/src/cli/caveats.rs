//! What tasks ask for and do not get, for a person.

use std::collections::BTreeMap;

use timeslip_datasets::run::plan::Plan;
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

/// One sentence for every endpoint that is told things which the real agent in front of it
/// does not follow: it writes its own requests.
pub(super) fn of_agents(plan: &Plan) -> impl Iterator<Item = String> {
    plan.endpoints.iter().filter_map(|endpoint| {
        let agent = endpoint.agent.as_ref()?;
        let options = &endpoint.options;
        let told = [
            ("body", !endpoint.body.is_empty()),
            ("prewarm", options.prewarm),
            ("deflate", options.deflate),
            ("shared_connection", options.shared_connection),
            ("salt", options.salt),
        ];
        let told = told.iter().filter(|(_, is_told)| *is_told);
        let told: Vec<String> = told.map(|(field, _)| format!("`{field}`")).collect();
        let sentence = format!(
            "endpoint {}: {} does not follow {}, it writes its own requests",
            endpoint.name,
            agent.name,
            told.join(", ")
        );
        (!told.is_empty()).then_some(sentence)
    })
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
