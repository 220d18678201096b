//! Which of some choices are not worse in everything than another.

/// One choice: more solved, less time and less cost are better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Choice {
    pub(super) solved: f64,
    pub(super) ms: f64,
    /// Compared only when every choice has one.
    pub(super) cost_usd: Option<f64>,
}

/// For each choice whether it is on the Pareto front: none other is at least as good in
/// everything and better in something.
pub(super) fn front(choices: &[Choice]) -> Vec<bool> {
    let costed = choices.iter().all(|choice| choice.cost_usd.is_some());
    let cost = |choice: &Choice| choice.cost_usd.filter(|_| costed).unwrap_or(0.0);
    let dominates = |a: &Choice, b: &Choice| {
        let as_good = a.solved >= b.solved && a.ms <= b.ms && cost(a) <= cost(b);
        as_good && (a.solved > b.solved || a.ms < b.ms || cost(a) < cost(b))
    };
    choices
        .iter()
        .map(|choice| !choices.iter().any(|other| dominates(other, choice)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn choice((solved, ms, cost): (u8, u8, Option<u8>)) -> Choice {
        Choice {
            solved: f64::from(solved),
            ms: f64::from(ms),
            cost_usd: cost.map(f64::from),
        }
    }

    #[test]
    fn a_cost_counts_only_when_all_are_known() {
        let cheap_but_slow = [(1, 9, Some(1)), (1, 5, Some(7))].map(choice);
        assert_eq!(front(&cheap_but_slow), [true, true]);
        let unknown = [(1, 9, Some(1)), (1, 5, None)].map(choice);
        assert_eq!(front(&unknown), [false, true]);
        assert!(front(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn no_member_is_dominated_and_every_other_is_by_a_member(
            choices in prop::collection::vec((0..6_u8, 0..6_u8, Just(Some(3_u8))), 1..12),
        ) {
            let choices: Vec<Choice> = choices.into_iter().map(choice).collect();
            let on_front = front(&choices);
            let beats = |a: &Choice, b: &Choice| {
                a != b && a.solved >= b.solved && a.ms <= b.ms
            };
            let members: Vec<&Choice> = choices
                .iter()
                .zip(&on_front)
                .filter_map(|(choice, on)| on.then_some(choice))
                .collect();
            prop_assert!(!members.is_empty());
            for (choice, on) in choices.iter().zip(&on_front) {
                prop_assert_eq!(*on, !members.iter().any(|member| beats(member, choice)));
            }
        }
    }
}
