//! Numbers that verifiers give, by name.

use std::collections::BTreeMap;

/// Numbers by name; a verifier with a single one calls it `reward`.
pub type Rewards = BTreeMap<String, f64>;

/// What a verifier with a single number calls it.
pub(crate) const REWARD: &str = "reward";

/// How the rewards of several steps become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CombinedRewards {
    /// The mean over the steps that were tried, name by name; a missing name is 0.
    #[default]
    Mean,
    /// Those of the last step that was tried.
    Final,
}

/// Whether rewards count as solved: the one named `reward` decides, else all do.
pub(crate) fn solves(rewards: &Rewards, from: f64) -> bool {
    match rewards.get(REWARD) {
        Some(reward) => *reward >= from,
        None => !rewards.is_empty() && rewards.values().all(|reward| *reward >= from),
    }
}

/// The rewards as one number: the one named `reward`, else their mean.
pub(crate) fn single(rewards: &Rewards) -> Option<f64> {
    rewards.get(REWARD).copied().or_else(|| {
        let sum: f64 = rewards.values().sum();
        (!rewards.is_empty()).then_some(sum / rewards.len() as f64)
    })
}

/// Whether rewards reach what the next step asks of them.
pub(crate) fn reach(rewards: &Rewards, least: &Rewards) -> bool {
    least.iter().all(|(name, least)| {
        let reward = rewards.get(name);
        reward.is_some_and(|reward| reward >= least)
    })
}

/// `0.5`, or each of several by its name.
pub(crate) fn shown(rewards: &Rewards) -> String {
    match rewards.get(REWARD) {
        Some(reward) if rewards.len() == 1 => reward.to_string(),
        _ => {
            let each = rewards.iter();
            let each: Vec<String> = each
                .map(|(name, reward)| format!("{name} {reward}"))
                .collect();
            each.join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_step_asks_for_every_named_reward() {
        let rewards = |named: &[(&str, f64)]| -> Rewards {
            let owned = |(name, reward): &(&str, f64)| ((*name).to_owned(), *reward);
            named.iter().map(owned).collect()
        };
        let least = rewards(&[("reward", 0.5)]);
        assert!(reach(&rewards(&[("reward", 0.5), ("x", 0.0)]), &least));
        assert!(!reach(&rewards(&[("reward", 0.4)]), &least));
        assert!(!reach(&rewards(&[("x", 1.0)]), &least));
        assert!(reach(&rewards(&[]), &rewards(&[])));
    }
}
