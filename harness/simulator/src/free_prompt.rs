//! Prompts that are about no known task: an answer of the length that is asked for, or a
//! command that is asked to be run.

use super::dialect::ModelRequest;
use super::output::Output;
use super::tokens;
use super::tools::Toolbox;

/// Tokens of an answer at most.
const MOST_TOKENS: u64 = 65_536;

/// Units in which a length is asked for, and tokens in one.
const UNITS: &[(&str, u64)] = &[
    ("token", 1),
    ("word", 1),
    ("sentence", 12),
    ("line", 10),
    ("paragraph", 80),
    ("page", 500),
];

/// What is said to a prompt that asks for a length, as "in 500 words", or for a command, as
/// "run `sleep 5`"; nothing to any other.
pub(super) fn answer(call: &ModelRequest, toolbox: Toolbox<'_>) -> Option<Vec<Output>> {
    let mut texts = call.user.iter().enumerate().rev();
    let (index, what) = texts.find_map(|(index, text)| Some((index, wanted(text)?)))?;
    Some(match what {
        Wanted::Tokens(count) => vec![Output::Text(tokens::text(count))],
        Wanted::Command(command) => {
            let run = toolbox
                .run(command)
                .filter(|_| call.calls_since(index) == 0);
            vec![run.unwrap_or_else(|| Output::Text("It has been run.".into()))]
        }
    })
}

#[derive(Debug, PartialEq)]
enum Wanted<'a> {
    Tokens(u64),
    Command(&'a str),
}

fn wanted(text: &str) -> Option<Wanted<'_>> {
    command(text)
        .map(Wanted::Command)
        .or_else(|| length(text).map(Wanted::Tokens))
}

/// The command of "run `…`".
fn command(text: &str) -> Option<&str> {
    let quoted = text.split_once('`')?;
    let before = quoted.0.trim_end().trim_end_matches(':').trim_end();
    let verb = before.rsplit(|c: char| !c.is_alphanumeric()).next()?;
    let asked = verb.eq_ignore_ascii_case("run") || verb.eq_ignore_ascii_case("command");
    let (command, _) = quoted.1.split_once('`')?;
    Some(command).filter(|command| asked && !command.trim().is_empty())
}

/// The last length that is asked for, in tokens.
fn length(text: &str) -> Option<u64> {
    let mut words = text.split(|c: char| c.is_whitespace() || c == '-').rev();
    let mut unit = None;
    words.find_map(|word| {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric());
        let lower = word.to_ascii_lowercase();
        let known = UNITS.iter().find(|(name, _)| {
            lower
                .strip_prefix(name)
                .is_some_and(|rest| matches!(rest, "" | "s"))
        });
        let number: Option<u64> = word.replace([',', '_', '\''], "").parse().ok();
        match (number, std::mem::replace(&mut unit, known)) {
            (Some(number), Some((_, each))) => Some(number.saturating_mul(*each).min(MOST_TOKENS)),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_commands_are_found_however_they_are_asked_for() {
        for (text, expected) in [
            (
                "Tell me about sorting in 500 words.",
                Some(Wanted::Tokens(500)),
            ),
            ("A 300-word essay, please", Some(Wanted::Tokens(300))),
            ("Write 1,000 tokens", Some(Wanted::Tokens(1000))),
            ("In 2 sentences.", Some(Wanted::Tokens(24))),
            ("99999999999 pages", Some(Wanted::Tokens(MOST_TOKENS))),
            ("0 words", Some(Wanted::Tokens(0))),
            ("Run `sleep 5`", Some(Wanted::Command("sleep 5"))),
            ("please run: `ls -l` now", Some(Wanted::Command("ls -l"))),
            (
                "Use the shell to run the command `make`",
                Some(Wanted::Command("make")),
            ),
            ("What does `make` do?", None),
            ("run ``", None),
            ("Who are you?", None),
            ("In other words, 5 apples", None),
        ] {
            assert_eq!(wanted(text), expected, "{text}");
        }
    }
}
