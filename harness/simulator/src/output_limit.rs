//! The request's output limit: no model says more than it was allowed.

use super::output::Output;
use super::tokens;

/// Leaves of what a model says as many tokens as the request allows, and whether that
/// was less than all. A call that cannot be sent in part is not sent when it does not fit.
#[must_use]
pub fn within(
    outputs: Vec<Output>,
    limit: Option<u64>,
    streams_arguments: bool,
) -> (Vec<Output>, bool) {
    let mut left = limit.unwrap_or(u64::MAX);
    let mut said = Vec::with_capacity(outputs.len());
    for output in outputs {
        let tokens = output.tokens();
        if tokens <= left {
            left -= tokens;
            said.push(output);
            continue;
        }
        let whole = matches!(output, Output::Call { .. }) && !streams_arguments;
        if left > 0 && !whole {
            said.push(first(output, left));
        }
        return (said, true);
    }
    (said, false)
}

/// The first tokens of an output.
fn first(output: Output, tokens: u64) -> Output {
    let cut = |text: String| -> String {
        let tokens = usize::try_from(tokens).unwrap_or(usize::MAX);
        tokens::split(&text).take(tokens).collect()
    };
    match output {
        Output::Reasoning(text) => Output::Reasoning(cut(text)),
        Output::Text(text) => Output::Text(cut(text)),
        Output::Call { name, arguments } => Output::Call {
            name,
            arguments: cut(arguments),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said() -> Vec<Output> {
        vec![
            Output::Text("12345678".into()),
            Output::Call {
                name: "f".into(),
                arguments: "{\"a\":12}".into(),
            },
        ]
    }

    #[test]
    fn an_answer_ends_at_its_limit() {
        let call = |arguments: &str| Output::Call {
            name: "f".into(),
            arguments: arguments.into(),
        };
        let text = |text: &str| Output::Text(text.into());
        for (limit, streams, expected, cut) in [
            (None, true, said(), false),
            (Some(4), true, said(), false),
            (Some(3), true, vec![text("12345678"), call("{\"a\"")], true),
            (Some(3), false, vec![text("12345678")], true),
            (Some(2), true, vec![text("12345678")], true),
            (Some(1), true, vec![text("1234")], true),
            (Some(0), true, vec![], true),
        ] {
            assert_eq!(within(said(), limit, streams), (expected, cut), "{limit:?}");
        }
    }
}
