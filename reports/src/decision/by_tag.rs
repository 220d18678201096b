//! Routing by tag: learnt on one half of the tasks, reported on the other.

use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::attempts::Expected;
use super::paired_attempts::PairedAttempts;
use crate::data::Role;

/// Tasks a tag needs before it may decide: two in each half.
const MIN_TAG_TASKS: usize = 4;

/// Where one tag is routed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Route {
    /// The tag; `null` for tasks without one that may decide. Untrusted text.
    pub tag: Option<String>,
    /// Its tasks.
    pub tasks: usize,
    /// The endpoint chosen on the first half of the tasks, used on the second.
    pub chosen_on_first_half: String,
    /// The endpoint chosen on the second half, used on the first.
    pub chosen_on_second_half: String,
}

/// Tasks routed by tag, cross-fitted: each half by what was learnt on the other.
pub(super) struct ByTag<'a> {
    /// The tag that decides for each task.
    tag_of: Vec<Option<&'a str>>,
    /// 0 or 1 for each task.
    half_of: Vec<usize>,
    /// What each half taught, by tag.
    learnt: [BTreeMap<Option<&'a str>, Role>; 2],
}

impl<'a> ByTag<'a> {
    pub(super) fn learn(tasks: &[PairedAttempts<'a>], seed: u64) -> Result<Self, String> {
        let tag_of = deciding_tags(tasks);
        if tag_of.iter().all(Option::is_none) {
            return Err(format!(
                "no tag is shared by at least {MIN_TAG_TASKS} tasks but not by all"
            ));
        }
        let half_of = halves(&tag_of, seed);
        let learn = |half: usize| {
            let within = |index: &usize| half_of.get(*index) == Some(&half);
            let better = |tag: Option<Option<&str>>| {
                let indices = (0..tasks.len()).filter(within);
                let kept = indices.filter(|index| tag.is_none_or(|tag| tag_of[*index] == tag));
                better_side(kept.filter_map(|index| tasks.get(index)))
            };
            // A tag that this half does not have goes where the whole half would.
            let overall = better(None).unwrap_or(Role::Candidate);
            tag_of
                .iter()
                .map(|tag| (*tag, better(Some(*tag)).unwrap_or(overall)))
                .collect()
        };
        let learnt = [learn(0), learn(1)];
        Ok(ByTag {
            tag_of,
            half_of,
            learnt,
        })
    }

    pub(super) fn expected(&self, tasks: &[PairedAttempts]) -> Vec<Expected> {
        let places = self.tag_of.iter().zip(&self.half_of);
        tasks
            .iter()
            .zip(places)
            .map(|(task, (tag, half))| {
                let side = self.learnt[1 - half].get(tag);
                task.once(side.copied().unwrap_or(Role::Candidate))
            })
            .collect()
    }

    pub(super) fn routes(&self, names: [&String; 2]) -> Vec<Route> {
        let [first, second] = &self.learnt;
        let name = |side: Option<&Role>| match side {
            Some(Role::Baseline) => names[1].clone(),
            Some(Role::Candidate) | None => names[0].clone(),
        };
        let mut routes: Vec<Route> = first
            .keys()
            .map(|tag| Route {
                tag: tag.map(str::to_owned),
                tasks: self.tag_of.iter().filter(|other| *other == tag).count(),
                chosen_on_first_half: name(first.get(tag)),
                chosen_on_second_half: name(second.get(tag)),
            })
            .collect();
        // The remaining tasks last.
        routes.sort_by_key(|route| (route.tag.is_none(), std::cmp::Reverse(route.tasks)));
        routes
    }
}

/// For each task the first of its tags that enough tasks share, but not all of them.
fn deciding_tags<'a>(tasks: &[PairedAttempts<'a>]) -> Vec<Option<&'a str>> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for task in tasks {
        let distinct: BTreeSet<&str> = task.tags.iter().map(String::as_str).collect();
        for tag in distinct {
            *counts.entry(tag).or_default() += 1;
        }
    }
    let decides = |tag: &&str| {
        let count = counts.get(tag).copied().unwrap_or(0);
        (MIN_TAG_TASKS..tasks.len()).contains(&count)
    };
    tasks
        .iter()
        .map(|task| task.tags.iter().map(String::as_str).find(decides))
        .collect()
}

/// A seeded half for each task, the tasks of each tag split evenly.
fn halves(tag_of: &[Option<&str>], seed: u64) -> Vec<usize> {
    let mut strata: BTreeMap<Option<&str>, Vec<usize>> = BTreeMap::new();
    for (index, tag) in tag_of.iter().enumerate() {
        strata.entry(*tag).or_default().push(index);
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut half_of = vec![0; tag_of.len()];
    let mut next = 0;
    for indices in strata.values_mut() {
        for last in (1..indices.len()).rev() {
            let other = (random.next_u64() % (last as u64 + 1)) as usize;
            indices.swap(last, other);
        }
        for index in indices.iter() {
            half_of[*index] = next;
            next = 1 - next;
        }
    }
    half_of
}

/// The side with less time for every task solved; `None` without tasks.
fn better_side<'a, 'b: 'a>(tasks: impl Iterator<Item = &'a PairedAttempts<'b>>) -> Option<Role> {
    let mut sums = [(0.0, 0.0); 2];
    let mut any = false;
    for task in tasks {
        any = true;
        for (sum, side) in sums.iter_mut().zip([Role::Candidate, Role::Baseline]) {
            let once = task.once(side);
            *sum = (sum.0 + once.ms, sum.1 + once.solved);
        }
    }
    let [
        (candidate_ms, candidate_solved),
        (baseline_ms, baseline_solved),
    ] = sums;
    // Multiplied out, so that a side that solves nothing loses to one that does.
    let (candidate, baseline) = if candidate_solved == 0.0 && baseline_solved == 0.0 {
        (candidate_ms, baseline_ms)
    } else {
        (
            candidate_ms * baseline_solved,
            baseline_ms * candidate_solved,
        )
    };
    let side = if candidate <= baseline {
        Role::Candidate
    } else {
        Role::Baseline
    };
    any.then_some(side)
}

#[cfg(test)]
mod tests {
    use super::super::attempts::Attempt;
    use super::super::figures::PolicyFigures;
    use super::*;
    use proptest::prelude::*;

    fn attempt((solved, ms): (bool, f64)) -> Attempt {
        Attempt {
            solved,
            ms,
            cost_usd: Some(ms / 100.0),
        }
    }

    fn tried(tags: &[String], candidate: (bool, f64), baseline: (bool, f64)) -> PairedAttempts<'_> {
        PairedAttempts {
            tags,
            candidate: vec![attempt(candidate)],
            baseline: vec![attempt(baseline)],
        }
    }

    #[test]
    fn a_clear_rule_is_learnt_on_either_half_and_applied_to_the_other() {
        let (easy, hard) = (["easy".to_owned()], ["hard".to_owned()]);
        let tasks: Vec<PairedAttempts> = (0..12)
            .map(|index| {
                if index % 3 == 0 {
                    tried(&hard, (false, 10.0), (true, 50.0))
                } else {
                    tried(&easy, (true, 10.0), (true, 50.0))
                }
            })
            .collect();
        let by_tag = ByTag::learn(&tasks, 7).unwrap();
        let figures = PolicyFigures::of(&by_tag.expected(&tasks), 12);
        assert_eq!(figures.solved.point, Some(1.0));
        let mean = (8.0 * 10.0 + 4.0 * 50.0) / 12.0;
        assert!((figures.time_per_task_ms.point.unwrap() - mean).abs() < 1e-9);
        let names = ["fast".to_owned(), "slow".to_owned()];
        let routes = by_tag.routes([&names[0], &names[1]]);
        assert_eq!(routes.len(), 2);
        for route in routes {
            let expected = if route.tag.as_deref() == Some("hard") {
                "slow"
            } else {
                "fast"
            };
            assert_eq!(route.chosen_on_first_half, expected);
            assert_eq!(route.chosen_on_second_half, expected);
        }
    }

    #[test]
    fn no_task_is_routed_by_what_it_taught_itself() {
        // One task of each half shows the opposite of all others: its own outcome must
        // not decide where it goes.
        let tags = [vec!["a".to_owned()], vec!["b".to_owned()]];
        let mut tasks: Vec<PairedAttempts> = (0..16)
            .map(|index| tried(&tags[index % 2], (true, 10.0), (true, 50.0)))
            .collect();
        let before = ByTag::learn(&tasks, 3).unwrap();
        tasks[0] = tried(&tags[0], (false, 1e9), (true, 1.0));
        let after = ByTag::learn(&tasks, 3).unwrap();
        let other = 1 - after.half_of[0];
        assert_eq!(before.half_of, after.half_of);
        assert_eq!(before.learnt[other], after.learnt[other]);
        assert_eq!(after.learnt[1 - other][&Some("a")], Role::Baseline);
        assert_eq!(after.expected(&tasks)[0].ms, 1e9);
    }

    #[test]
    fn without_a_tag_that_separates_nothing_is_routed() {
        let same = ["same".to_owned()];
        let tasks: Vec<PairedAttempts> = (0..8)
            .map(|_| tried(&same, (true, 1.0), (true, 2.0)))
            .collect();
        assert!(ByTag::learn(&tasks, 1).is_err());
    }

    proptest! {
        #[test]
        fn halves_are_even_in_every_tag(tags in prop::collection::vec(0..4_usize, 0..60), seed: u64) {
            let names = ["a", "b", "c", "d"];
            let tag_of: Vec<Option<&str>> = tags.iter().map(|tag| Some(names[*tag])).collect();
            let half_of = halves(&tag_of, seed);
            for name in names {
                let count = |half| {
                    tag_of.iter().zip(&half_of).filter(|(t, h)| **t == Some(name) && **h == half).count()
                };
                prop_assert!(count(0).abs_diff(count(1)) <= 1);
            }
        }
    }
}
