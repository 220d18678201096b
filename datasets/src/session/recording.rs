//! What the simulated model says to an act, as the recordings it plays.

use serde_json::{Value, json};

use super::{AnswerStep, Does, ScriptedAct, Session, Typed};
use crate::atif::Trajectory;

/// Tokens of a repeated text at most, and bytes of one.
const MOST_TOKENS: usize = 65_536;
const TOKEN_BYTES: usize = 4;

impl ScriptedAct {
    /// The text by which the act is recognised in what a client sends; absent where the
    /// model is not asked.
    #[must_use]
    pub fn recognised_by(&self) -> Option<String> {
        match &self.does {
            Does::Ask { text } | Does::Steer { text } => Some(text.clone()),
            Does::Type(typed) => Some(typed.after.clone()),
            Does::Wait { .. } | Does::Interrupt | Does::Accept | Does::Reject | Does::Undo => None,
        }
    }

    /// The recordings of the act: of an attempt that solves the session, and of one
    /// that does not.
    #[must_use]
    pub fn recordings(&self) -> Vec<Trajectory> {
        let wrong = match self.wrong.is_empty() {
            true => &self.answer,
            false => &self.wrong,
        };
        let both = [
            recording(self, &self.answer, true),
            recording(self, wrong, false),
        ];
        let read = |recording| serde_json::from_value(recording).ok();
        both.into_iter().filter_map(read).collect()
    }
}

fn recording(act: &ScriptedAct, answer: &[AnswerStep], resolves: bool) -> Value {
    let asked = act.recognised_by().unwrap_or_default();
    let user = json!({"step_id": 1, "source": "user", "message": asked});
    let steps = answer.iter().enumerate().map(|(index, step)| {
        let call = |command: &String| {
            json!([{
                "tool_call_id": format!("call_{index}"),
                "function_name": "shell",
                "arguments": {"command": command},
            }])
        };
        json!({
            "step_id": index + 2,
            "source": "agent",
            "message": said(step),
            "reasoning_content": step.think,
            "tool_calls": step.run.as_ref().map_or_else(|| json!([]), call),
        })
    });
    json!({
        "schema_version": "ATIF-v1.6",
        "agent": {"name": "reference", "version": "1"},
        "steps": std::iter::once(user).chain(steps).collect::<Vec<_>>(),
        "extra": {"resolves": resolves},
    })
}

/// A text, repeated until it is as long as it has to be.
fn said(step: &AnswerStep) -> String {
    let length = step.tokens.min(MOST_TOKENS) * TOKEN_BYTES;
    let times = length.div_ceil(step.say.len().max(1)).max(1);
    step.say.repeat(times)
}

impl Session {
    /// The commands that bring a workspace to where the session's last check holds: those
    /// of the answers that are neither stopped nor taken back.
    #[must_use]
    pub fn solution(&self) -> String {
        let mut kept: Vec<String> = Vec::new();
        let mut offered: Option<&Typed> = None;
        for act in &self.acts {
            match &act.does {
                Does::Ask { .. } => kept.push(commands(&act.answer)),
                // A redirection takes the place of what it redirects.
                Does::Steer { .. } => {
                    kept.pop();
                    kept.push(commands(&act.answer));
                }
                Does::Interrupt | Does::Undo => drop(kept.pop()),
                Does::Type(typed) => kept.push(insertion(&typed.file, &typed.after, &typed.text)),
                Does::Accept => kept.extend(offered.map(|typed| {
                    let typed_so_far = format!("{}{}", typed.after, typed.text);
                    insertion(&typed.file, &typed_so_far, &typed.suggestion)
                })),
                // What was only offered is not in the file.
                Does::Reject if offered.is_some() => {}
                Does::Reject => drop(kept.pop()),
                Does::Wait { .. } => continue,
            }
            offered = match &act.does {
                Does::Type(typed) => Some(typed),
                _ => None,
            };
        }
        kept.concat()
    }
}

/// The command that puts a text into a file, behind another that is in it once.
fn insertion(file: &str, after: &str, text: &str) -> String {
    let script = "import sys; f, a, t = sys.argv[1:]; s = open(f).read(); \
                  assert s.count(a) == 1; open(f, 'w').write(s.replace(a, a + t))";
    let words = [script, file, after, text];
    let quoted = words.map(|word| format!("'{}'", word.replace('\'', r"'\''")));
    format!("python3 -c {}\n", quoted.join(" "))
}

fn commands(answer: &[AnswerStep]) -> String {
    let commands = answer.iter().filter_map(|step| step.run.as_deref());
    commands.map(|command| format!("{command}\n")).collect()
}
