//! The tools the built-in agent offers, and how they run.

use std::time::Duration;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error};
use serde_json::{Value, json};
use timeslip_datasets::run::journal::Tool;
use timeslip_suites::{Cancel, Exit};
use timeslip_wire::clock;
use timeslip_wire::protocols::{ToolCall, ToolSpec, mend};

use super::contention;
use super::edit::{self, Edited};
use crate::run::agent::Bench;

/// The tools as the model sees them.
#[must_use]
pub fn specs() -> Vec<ToolSpec> {
    let text = |about: &str| json!({ "type": "string", "description": about });
    let object = |properties: serde_json::Value, required: &[&str]| {
        json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        })
    };
    vec![
        ToolSpec {
            name: "shell",
            description: "Runs a bash command in the working directory and returns its output and exit code. Every call starts a new shell.",
            parameters: object(
                json!({
                    "command": text("The command."),
                    "timeout_seconds": { "type": "integer", "description": "Give up after this many seconds." },
                }),
                &["command"],
            ),
        },
        ToolSpec {
            name: "edit_file",
            description: "Replaces the one exact occurrence of old_text in a file by new_text. With an empty old_text the file is created or overwritten.",
            parameters: object(
                json!({
                    "path": text("Path relative to the working directory."),
                    "old_text": text("Text that occurs exactly once in the file."),
                    "new_text": text("Text to put in its place."),
                }),
                &["path", "old_text", "new_text"],
            ),
        },
        ToolSpec {
            name: "submit",
            description: "Ends the task. Call it when the work is done and checked.",
            parameters: object(
                json!({ "summary": text("One sentence on what was done.") }),
                &["summary"],
            ),
        },
    ]
}

#[derive(Deserialize)]
struct ShellArguments {
    command: String,
    #[serde(default, deserialize_with = "whole_seconds")]
    timeout_seconds: Option<u64>,
}

/// Seconds as models write them: `30`, `30.0` or `"30"`; a part of one is one.
fn whole_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let seconds = match &value {
        Value::Null => return Ok(None),
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_f64(),
    };
    match seconds.filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0) {
        // The cast ends at the type's bound, which is for ever.
        Some(seconds) => Ok(Some(seconds.ceil() as u64)),
        None => Err(D::Error::custom(format!(
            "timeout_seconds is {value}, not a number of seconds"
        ))),
    }
}

#[derive(Deserialize)]
struct EditArguments {
    path: String,
    old_text: String,
    new_text: String,
}

/// What came of a call.
#[derive(Clone, Debug)]
pub struct Done {
    /// The journal's line.
    pub tool: Tool,
    /// What the model is told.
    pub output: String,
    /// The model says it is finished.
    pub submitted: bool,
    /// The trial has written more than it may.
    pub over_disk: bool,
    /// When nothing of its command was left, on [`clock::now`]; only where it ran one.
    pub gone_at: Option<u64>,
}

/// Runs one call, until it ends or is cancelled. Bad arguments are answered to the model, not raised.
///
/// `remaining` is what is left of the trial's time.
pub async fn call(
    bench: &Bench,
    turn: u32,
    call: &ToolCall,
    origin: u64,
    remaining: Duration,
    cancel: Option<Cancel>,
) -> Done {
    let bench = bench.clone();
    let request = call.clone();
    let start = clock::now() - origin;
    let task =
        tokio::task::spawn_blocking(move || run(&bench, &request, origin, remaining, cancel));
    let ran = task
        .await
        .unwrap_or_else(|_| Ran::refused("the tool crashed".into()));
    Done {
        tool: Tool {
            turn,
            call_id: clip(&call.call_id, 200),
            name: clip(&call.name, 80),
            start,
            command_start: ran.command_start,
            command_end: ran.command_end,
            end: clock::now() - origin,
            cores_waited_for_ns: ran.cores_waited_for.and_then(nanoseconds),
            status: ran.status,
            output_bytes: ran.output_bytes,
            ..Tool::default()
        },
        output: ran.output,
        submitted: ran.submitted,
        over_disk: ran.over_disk,
        gone_at: ran.gone_at,
    }
}

fn nanoseconds(time: Duration) -> Option<u64> {
    u64::try_from(time.as_nanos()).ok()
}

fn clip(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

struct Ran {
    command_start: Option<u64>,
    command_end: Option<u64>,
    cores_waited_for: Option<Duration>,
    status: String,
    output: String,
    output_bytes: u64,
    submitted: bool,
    over_disk: bool,
    gone_at: Option<u64>,
}

impl Ran {
    fn at_once(status: &str, output: String) -> Self {
        let output_bytes = output.len() as u64;
        Ran {
            command_start: None,
            command_end: None,
            cores_waited_for: None,
            status: status.into(),
            output,
            output_bytes,
            submitted: false,
            over_disk: false,
            gone_at: None,
        }
    }

    fn refused(problem: String) -> Self {
        // Errors quote what they did not expect, however long that is.
        Ran::at_once("refused", format!("error: {}", clip(&problem, 1_000)))
    }
}

fn run(
    bench: &Bench,
    call: &ToolCall,
    origin: u64,
    remaining: Duration,
    cancel: Option<Cancel>,
) -> Ran {
    match call.name.as_str() {
        "shell" => parsed(call, |arguments| {
            shell(bench, &arguments, origin, remaining, cancel)
        }),
        "edit_file" => parsed(call, |arguments| edit_file(bench, &arguments, origin)),
        "submit" => Ran {
            submitted: true,
            ..Ran::at_once("submitted", "Submitted.".into())
        },
        other => {
            let other = clip(other, 80);
            Ran::refused(format!(
                "there is no tool '{other}'; use shell, edit_file or submit"
            ))
        }
    }
}

fn parsed<T: DeserializeOwned>(call: &ToolCall, run: impl FnOnce(T) -> Ran) -> Ran {
    let read = serde_json::from_str(&call.arguments);
    // Half a surrogate pair damages a text, and nothing else.
    let mended = |error| match mend(call.arguments.as_bytes()) {
        Some(mended) => serde_json::from_str(&mended),
        None => Err(error),
    };
    match read.or_else(mended) {
        Ok(arguments) => run(arguments),
        Err(error) => Ran::refused(format!(
            "the arguments are not what the tool takes: {error}"
        )),
    }
}

fn shell(
    bench: &Bench,
    arguments: &ShellArguments,
    origin: u64,
    remaining: Duration,
    cancel: Option<Cancel>,
) -> Ran {
    let mut limits = bench.limits;
    let asked = arguments
        .timeout_seconds
        .map_or(limits.wall, |seconds| Duration::from_secs(seconds.max(1)));
    limits.wall = limits.wall.min(asked).min(remaining);
    let mut invocation = bench.workspace.invocation(&arguments.command, limits);
    invocation.disk = invocation.disk.map(|disk| disk.at_most(bench.disk_mb));
    invocation.cancel = cancel;
    let before = contention::waited();
    let execution = match bench.sandbox.run(&invocation) {
        Ok(execution) => execution,
        Err(error) => return Ran::refused(format!("the sandbox failed: {error}")),
    };
    let status = match execution.exit {
        Exit::Code(code) => format!("exit {code}"),
        Exit::Signal(signal) => format!("signal {signal}"),
        Exit::TimedOut => format!("timed out after {} s", limits.wall.as_secs()),
        Exit::DiskLimit | Exit::Cancelled => "killed".to_owned(),
    };
    let status = match execution.exceeded.note() {
        Some(note) => format!("{status}, {note}"),
        None => status,
    };
    let offset = |at| clock::since_origin(at).saturating_sub(origin);
    Ran {
        command_start: execution.command_started.map(offset),
        command_end: execution.command_ended.map(offset),
        cores_waited_for: before.and_then(|before| contention::waited()?.checked_sub(before)),
        output: format!(
            "{}\n[{status}]",
            String::from_utf8_lossy(&execution.output).trim_end()
        ),
        output_bytes: execution.output_total_bytes,
        status,
        submitted: false,
        over_disk: execution.exceeded.disk,
        gone_at: Some(clock::since_origin(execution.ended)),
    }
}

fn edit_file(bench: &Bench, arguments: &EditArguments, origin: u64) -> Ran {
    let EditArguments {
        path,
        old_text,
        new_text,
    } = arguments;
    let start = clock::now() - origin;
    let result = edit::apply(&*bench.workspace, path, old_text, new_text);
    let end = clock::now() - origin;
    let ran = match result {
        Ok(edited) => {
            let word = match edited {
                Edited::Created => "Created",
                Edited::Overwritten => "Overwrote",
                Edited::Replaced => "Edited",
            };
            Ran::at_once("edited", format!("{word} {path}."))
        }
        Err(error) => Ran::refused(error.to_string()),
    };
    // The edit happens in this process: all of it is the tool itself.
    Ran {
        command_start: Some(start),
        command_end: Some(end),
        ..ran
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_read_however_models_write_them() {
        let read = |seconds: &str| {
            let text = format!(r#"{{"command":"x","timeout_seconds":{seconds}}}"#);
            let arguments: Result<ShellArguments, _> = serde_json::from_str(&text);
            arguments.map(|arguments| arguments.timeout_seconds).ok()
        };
        for (seconds, expected) in [
            ("30", Some(Some(30))),
            ("30.0", Some(Some(30))),
            ("0.5", Some(Some(1))),
            ("\"30\"", Some(Some(30))),
            ("1e300", Some(Some(u64::MAX))),
            ("null", Some(None)),
            ("-1", None),
            ("[30]", None),
            ("\"soon\"", None),
        ] {
            assert_eq!(read(seconds), expected, "{seconds}");
        }
    }
}
