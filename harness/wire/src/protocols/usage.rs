//! Token counts as servers report them: under several names, in part, beside each other.

use timeslip_datasets::run::journal::{MissingCount, Usage};

use super::fields::Number;

/// No honest count of tokens is larger.
const MAX_TOKENS: u64 = 1 << 36;

/// The counts of one report, in the terms in which most servers make them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Prompt tokens.
    pub input: Number,
    /// Of these from a cache.
    pub cached: Number,
    /// Output tokens.
    pub output: Number,
    /// Tokens of reasoning, among the output or beside it.
    pub reasoning: Number,
    /// All tokens.
    pub total: Number,
}

/// The first of several fields that holds a count.
pub(super) fn first(fields: &[Number]) -> Number {
    let mut fields = fields.iter().copied();
    fields
        .find(|field| field.count().is_some())
        .unwrap_or_default()
}

/// A count of tokens; an absurd one is none.
pub(super) fn tokens(number: Number) -> Option<u64> {
    number.count().filter(|count| *count <= MAX_TOKENS)
}

impl Counts {
    /// The same with a prompt that was counted in parts.
    pub fn with_input(self, tokens: Option<u64>) -> Self {
        let input = tokens.map_or_else(Number::default, Number::of);
        Counts { input, ..self }
    }

    /// In our terms, where reasoning is output; `None` without any of the two counts that
    /// matter.
    pub fn usage(self) -> Option<Usage> {
        let [input, cached_tokens, output, reasoning, total] = [
            self.input,
            self.cached,
            self.output,
            self.reasoning,
            self.total,
        ]
        .map(tokens);
        let missing = match (input, output) {
            (Some(_), Some(_)) => None,
            (None, Some(_)) => Some(MissingCount::Input),
            (Some(_), None) => Some(MissingCount::Output),
            (None, None) => return None,
        };
        let (input, shown) = (input.unwrap_or(0), output.unwrap_or(0));
        let beside = match missing {
            None => beside(input, shown, cached_tokens, reasoning, total),
            Some(_) => 0,
        };
        Some(Usage {
            input_tokens: input,
            cached_tokens,
            output_tokens: shown.saturating_add(beside),
            reasoning_tokens: reasoning.or((beside > 0).then_some(beside)),
            missing,
        })
    }
}

/// Tokens of reasoning that the output does not contain: xAI and Google's compatible
/// server count them in the total alone.
fn beside(
    input: u64,
    shown: u64,
    cached: Option<u64>,
    reasoning: Option<u64>,
    total: Option<u64>,
) -> u64 {
    let rest = total.and_then(|total| total.checked_sub(input)?.checked_sub(shown));
    match (rest, reasoning) {
        // A total that counts the cached prompt again says nothing of the output.
        (Some(rest), None) => rest * u64::from(Some(rest) != cached),
        (Some(rest), Some(reasoning)) if rest > 0 => match rest >= reasoning {
            true => rest,
            false => 0,
        },
        // More reasoning than output, of which it would be a part.
        (_, Some(reasoning)) if reasoning > shown => reasoning,
        (_, Some(_)) | (None, None) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::{Value, json};

    fn read(counts: [Value; 5]) -> Option<Usage> {
        let [input, cached, output, reasoning, total] =
            counts.map(|value| Number::deserialize(&value).unwrap());
        let counts = Counts {
            input,
            cached,
            output,
            reasoning,
            total,
        };
        counts.usage()
    }

    #[test]
    fn reasoning_is_output_wherever_it_is_counted() {
        let of = |counts: [Value; 5]| {
            let usage = read(counts).unwrap();
            (usage.output_tokens, usage.reasoning_tokens)
        };
        let none = Value::Null;
        assert_eq!(
            of([json!(10), none.clone(), json!(307), json!(300), json!(317)]),
            (307, Some(300))
        );
        assert_eq!(
            of([json!(10), none.clone(), json!(7), json!(300), json!(317)]),
            (307, Some(300))
        );
        assert_eq!(
            of([json!(10), none.clone(), json!(7), json!(300), none.clone()]),
            (307, Some(300))
        );
        assert_eq!(
            of([json!(10), none.clone(), json!(7), none.clone(), json!(21)]),
            (11, Some(4))
        );
        assert_eq!(
            of([json!(10), json!(4), json!(7), none.clone(), json!(21)]),
            (7, None)
        );
        assert_eq!(
            of([json!(10), none.clone(), json!(7), json!(2), json!(17)]),
            (7, Some(2))
        );
    }

    #[test]
    fn counts_are_read_one_by_one_and_absurd_ones_are_none() {
        let none = Value::Null;
        let usage = read([
            none.clone(),
            json!(90),
            json!(10.0),
            none.clone(),
            none.clone(),
        ]);
        let usage = usage.unwrap();
        assert_eq!((usage.input(), usage.output()), (None, Some(10)));
        assert_eq!(usage.contradiction(), None);
        let usage = read([
            json!("8"),
            json!(18_901),
            json!(u64::MAX),
            none.clone(),
            none.clone(),
        ]);
        let usage = usage.unwrap();
        assert_eq!((usage.input(), usage.output()), (Some(8), None));
        assert!(usage.contradiction().is_some());
        assert_eq!(
            read([json!(-1), json!(1), json!("x"), none.clone(), none]),
            None
        );
    }
}
