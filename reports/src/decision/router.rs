//! Router what-if: what both endpoints together would give, from the same paired trials.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::attempts::Expected;
use super::by_tag::{ByTag, Route};
use super::figures::PolicyFigures;
use super::paired_attempts::PairedAttempts;
use super::pareto::{Choice, front};
use super::retries::expect;
use crate::data::{Role, RunData};
use crate::pairing::{Sides, paired_tasks};

/// Ways to use both endpoints, all computed over the same tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Routing {
    /// The endpoint that is tried beside the baseline. Untrusted text.
    #[serde(default)]
    pub candidate: String,
    /// Tasks with at least one attempt finished on both sides.
    pub tasks: usize,
    /// Every policy, the simplest first.
    pub policies: Vec<Policy>,
    /// Which endpoint each tag is routed to; empty when nothing is routed by tag.
    pub routes: Vec<Route>,
    /// Why nothing is routed by tag, when nothing is.
    pub not_by_tag: Option<String>,
}

/// One way to use the endpoints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Policy {
    /// In words, with the endpoints' names. Untrusted text.
    pub name: String,
    /// What kind it is.
    pub kind: PolicyKind,
    /// What it gives.
    #[serde(flatten)]
    pub figures: PolicyFigures,
    /// Whether no other policy is at least as good in share solved, mean time and (where
    /// known for all) cost, and better in one of them. By the estimates alone.
    pub on_front: bool,
}

/// The kinds of policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PolicyKind {
    /// The candidate alone, one attempt.
    CandidateOnly,
    /// The baseline alone, one attempt.
    BaselineOnly,
    /// The candidate alone, again until solved, up to some number of attempts.
    CandidateRetried,
    /// The baseline alone, likewise.
    BaselineRetried,
    /// The candidate first, the baseline where it failed.
    CandidateThenBaseline,
    /// Each tag to the endpoint that was better on the other half of the tasks.
    ByTag,
}

/// `None` without a task tried on both.
pub(super) fn routing(run: &RunData, sides: Sides) -> Option<Routing> {
    let Sides {
        candidate,
        baseline,
    } = sides;
    let paired = paired_tasks(&run.trials, &candidate.name, &baseline.name);
    let tasks: Vec<PairedAttempts> = paired.iter().map(PairedAttempts::of).collect();
    if tasks.is_empty() {
        return None;
    }
    let pairs: usize = paired.iter().map(|task| task.pairs.len()).sum();
    let names = [&candidate.name, &baseline.name];
    let mut policies = without_tags(&tasks, names, pairs);
    let by_tag = ByTag::learn(&tasks, run.seed);
    let (routes, not_by_tag) = match &by_tag {
        Ok(by_tag) => {
            let expected = by_tag.expected(&tasks);
            let name = "routed by tag".to_owned();
            policies.push(policy(name, PolicyKind::ByTag, pairs, expected));
            (by_tag.routes(names), None)
        }
        Err(reason) => (Vec::new(), Some(reason.clone())),
    };
    mark_front(&mut policies);
    Some(Routing {
        candidate: candidate.name.clone(),
        tasks: tasks.len(),
        policies,
        routes,
        not_by_tag,
    })
}

/// One endpoint, once or several times, and one after the other.
fn without_tags(tasks: &[PairedAttempts], names: [&String; 2], pairs: usize) -> Vec<Policy> {
    let each =
        |value: &dyn Fn(&PairedAttempts) -> Expected| tasks.iter().map(value).collect::<Vec<_>>();
    let mut policies = vec![
        policy(
            format!("{} only", names[0]),
            PolicyKind::CandidateOnly,
            pairs,
            each(&|task| task.once(Role::Candidate)),
        ),
        policy(
            format!("{} only", names[1]),
            PolicyKind::BaselineOnly,
            pairs,
            each(&|task| task.once(Role::Baseline)),
        ),
    ];
    let attempts = tasks.iter().map(|task| task.candidate.len()).min();
    for up_to in 2..=attempts.unwrap_or(1) {
        let kinds = [PolicyKind::CandidateRetried, PolicyKind::BaselineRetried];
        for ((side, name), kind) in [Role::Candidate, Role::Baseline]
            .into_iter()
            .zip(names)
            .zip(kinds)
        {
            let expected = each(&|task| expect(task.side(side), up_to).unwrap_or_default());
            policies.push(policy(
                format!("{name}, up to {up_to} times"),
                kind,
                pairs,
                expected,
            ));
        }
    }
    policies.push(policy(
        format!("{}, then {} on failure", names[0], names[1]),
        PolicyKind::CandidateThenBaseline,
        2 * pairs,
        each(&|task| task.fallback(Role::Candidate, Role::Baseline)),
    ));
    policies
}

fn policy(name: String, kind: PolicyKind, trials: usize, expected: Vec<Expected>) -> Policy {
    Policy {
        name,
        kind,
        figures: PolicyFigures::of(&expected, trials),
        on_front: false,
    }
}

fn mark_front(policies: &mut [Policy]) {
    let choices: Option<Vec<Choice>> = policies
        .iter()
        .map(|Policy { figures, .. }| {
            Some(Choice {
                solved: figures.solved.point?,
                ms: figures.time_per_task_ms.point?,
                cost_usd: figures
                    .cost_per_task_usd
                    .as_ref()
                    .and_then(|cost| cost.point),
            })
        })
        .collect();
    let on_front = front(&choices.unwrap_or_default());
    for (policy, on_front) in policies.iter_mut().zip(on_front) {
        policy.on_front = on_front;
    }
}
