//! Prompts that a server's cache knew before their endpoint had sent them.
//!
//! What an endpoint has sent of other tasks shares only its beginning with a new prompt, the
//! instructions and the tools, which is no longer than the shortest of those others. More
//! than that in the cache came from somebody else.

use std::collections::BTreeMap;

use timeslip_datasets::run::journal::Trial;
use timeslip_datasets::run::plan::{Plan, PlannedEndpoint};

use crate::format::{one_line, plural};

/// One in so many first prompts has to be known before anything is said: an attempt that was
/// cut off before a run was resumed is not in the journal.
const WORTH_SAYING: usize = 4;

/// What has to be said of endpoints that share a prompt cache with somebody else.
pub(crate) fn known_before<'a>(
    plan: &Plan,
    first_prompts: impl Fn(&str) -> Option<&'a FirstPrompts>,
) -> Vec<String> {
    let said = plan.endpoints.iter().filter_map(|endpoint| {
        let firsts = first_prompts(&endpoint.name)?.told();
        let known = known(&firsts, plan.concurrency == 1);
        if known.is_empty() || known.len() * WORTH_SAYING < firsts.len() {
            return None;
        }
        let sum = |tokens: fn(&First) -> u64| {
            let all = known.iter().map(|first| tokens(first));
            all.fold(0, u64::saturating_add)
        };
        let advice = match endpoint.options.salt {
            true => "",
            false => "; `salt = true` in its table keeps runs and endpoints apart",
        };
        Some(format!(
            "{}: of {}, {} known to the server's prompt cache before this endpoint had sent them ({} of their {} tokens), {}. Its times to first token are those of known prompts{advice}.",
            one_line(&endpoint.name),
            plural(firsts.len(), "first prompt"),
            match known.len() {
                1 => "1 was".to_owned(),
                count => format!("{count} were"),
            },
            sum(|first| first.cached),
            sum(|first| first.input),
            from_where(plan, endpoint),
        ))
    });
    said.collect()
}

/// Who may have sent them.
fn from_where(plan: &Plan, endpoint: &PlannedEndpoint) -> String {
    let others = plan
        .endpoints
        .iter()
        .filter(|other| other.name != endpoint.name && other.may_share_cache_with(endpoint));
    let others: Vec<String> = others.map(|other| one_line(&other.name)).collect();
    match others.is_empty() {
        true => "by an earlier run, another client or an endpoint on the same engine".to_owned(),
        false => format!("which it may share with {}", others.join(", ")),
    }
}

/// Of every task of an endpoint the prompt that was sent first, by suite and task.
#[derive(Debug, Default)]
pub(crate) struct FirstPrompts(BTreeMap<(String, String), FirstOfTask>);

/// The first trial of a task.
#[derive(Debug)]
struct FirstOfTask {
    /// When it began, RFC 3339 UTC without the `Z`, so that texts sort as times.
    at: String,
    trials: usize,
    /// Where the server says what it knew of its first prompt.
    prompt: Option<Prompt>,
}

#[derive(Clone, Copy, Debug)]
struct Prompt {
    input: u64,
    cached: u64,
    /// Instructions and tools were sent ahead.
    warmed_up: bool,
}

impl Prompt {
    fn of(trial: &Trial) -> Option<Self> {
        let asked = trial.exchanges.iter().find(|exchange| !exchange.warm_up)?;
        let usage = asked.usage.filter(|_| asked.error.is_none())?;
        Some(Prompt {
            input: usage.input()?,
            cached: usage.cached_tokens.unwrap_or(0),
            warmed_up: trial.exchanges.iter().any(|exchange| exchange.warm_up),
        })
    }
}

impl FirstPrompts {
    /// Takes in a trial of the endpoint.
    pub(crate) fn add(&mut self, trial: &Trial) {
        let task = (trial.key.suite.clone(), trial.key.task.clone());
        let at = trial.started.at.trim_end_matches('Z');
        let first = || FirstOfTask {
            at: at.to_owned(),
            trials: 0,
            prompt: Prompt::of(trial),
        };
        let kept = self.0.entry(task).or_insert_with(first);
        if at < kept.at.as_str() {
            *kept = FirstOfTask {
                trials: kept.trials,
                ..first()
            };
        }
        kept.trials += 1;
    }

    /// Those of which the server says something.
    fn told(&self) -> Vec<First<'_>> {
        let told = self.0.values().filter_map(|task| {
            let Prompt {
                input,
                cached,
                warmed_up,
            } = task.prompt?;
            Some(First {
                at: &task.at,
                input,
                cached,
                warmed_up,
                alone: task.trials == 1,
            })
        });
        told.collect()
    }
}

/// The first prompt of a task on an endpoint.
struct First<'a> {
    at: &'a str,
    input: u64,
    cached: u64,
    warmed_up: bool,
    /// The task was tried once only.
    alone: bool,
}

/// Those of which the cache knew more than the endpoint's own prompts explain.
fn known<'a>(firsts: &'a [First<'a>], one_at_a_time: bool) -> Vec<&'a First<'a>> {
    let earliest = firsts.iter().map(|first| first.at).min();
    let known = firsts.iter().enumerate().filter(|(index, first)| {
        let others = firsts.iter().enumerate();
        let others = others.filter(|(other, _)| other != index);
        let shared = others.map(|(_, other)| other.input).min();
        // Before the very first one, nothing was sent.
        let nothing_before = match shared {
            None => first.alone,
            Some(_) => one_at_a_time && earliest == Some(first.at),
        };
        match (nothing_before && !first.warmed_up, shared) {
            (true, _) => first.cached > 0,
            (false, Some(shared)) => first.cached > shared,
            (false, None) => false,
        }
    });
    known.map(|(_, first)| first).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(at: &str, input: u64, cached: u64) -> First<'_> {
        First {
            at,
            input,
            cached,
            warmed_up: false,
            alone: true,
        }
    }

    fn count(firsts: &[First<'_>], one_at_a_time: bool) -> usize {
        known(firsts, one_at_a_time).len()
    }

    #[test]
    fn what_prompts_have_in_common_is_no_news() {
        // 900 tokens of instructions and tools, and a task of its own.
        let own = [
            first("10", 1_000, 0),
            first("11", 1_400, 896),
            first("12", 1_200, 896),
        ];
        assert_eq!((count(&own, true), count(&own, false)), (0, 0));
        let shared = [
            first("10", 1_000, 992),
            first("11", 1_400, 1_392),
            first("12", 1_200, 1_184),
        ];
        // The shortest one is told apart only where nothing came before it.
        assert_eq!((count(&shared, true), count(&shared, false)), (3, 2));
    }

    #[test]
    fn the_first_of_all_prompts_is_known_to_nobody() {
        let alone = [first("10", 1_000, 16)];
        assert_eq!((count(&alone, true), count(&alone, false)), (1, 1));
        let repeated = [First {
            alone: false,
            ..first("10", 1_000, 16)
        }];
        assert_eq!(count(&repeated, false), 0);
        let warmed_up = [First {
            warmed_up: true,
            ..first("10", 1_000, 900)
        }];
        assert_eq!(count(&warmed_up, true), 0);
        assert_eq!(count(&[], true), 0);
    }
}
