//! From the tools of the recordings to the tools a client offers.
//!
//! Recordings call `shell`, `edit_file` and `submit`. A client that has them gets them;
//! any other gets shell commands, in the shape of its own shell tool, and a text to
//! end with.

use serde_json::{Map, Value, json};

use super::output::Output;

/// The command by which an agent that runs until a command says so is told to end.
const COMPLETION: &str = "COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT";

/// A tool on offer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tool {
    /// Name.
    pub name: String,
    /// JSON Schema of its arguments.
    pub parameters: Value,
}

impl Tool {
    /// Reads a tool from the object that holds its name and the field with its schema.
    #[must_use]
    pub fn read(value: &Value, schema: &str) -> Option<Self> {
        Some(Tool {
            name: value["name"].as_str()?.to_owned(),
            parameters: value[schema].clone(),
        })
    }

    /// The property that takes a shell command, when this is a shell.
    fn command(&self) -> Option<&'static str> {
        let name = self.name.to_ascii_lowercase();
        let shell = [
            "shell",
            "bash",
            "exec_command",
            "execute_command",
            "terminal",
        ]
        .iter()
        .any(|word| name.contains(word));
        let properties = &self.parameters["properties"];
        let known = |field: &&&str| properties[**field].is_object();
        ["command", "cmd"]
            .iter()
            .find(known)
            .copied()
            .filter(|_| shell)
    }

    /// Something for every argument that must be there.
    fn required(&self) -> Map<String, Value> {
        let properties = &self.parameters["properties"];
        let required = self.parameters["required"].as_array().into_iter().flatten();
        let required = required.filter_map(Value::as_str);
        required
            .map(|name| (name.to_owned(), placeholder(&properties[name])))
            .collect()
    }

    /// A call that runs a command.
    fn run(&self, field: &str, command: &str) -> Output {
        let properties = &self.parameters["properties"];
        let mut arguments = self.required();
        let command = if takes(&properties[field], "string") {
            json!(command)
        } else {
            json!(["bash", "-lc", command])
        };
        arguments.insert(field.to_owned(), command);
        Output::Call {
            name: self.name.clone(),
            arguments: Value::Object(arguments).to_string(),
        }
    }
}

/// A tool by which clients begin another agent.
struct AgentTool {
    name: &'static str,
    /// The argument that says what that agent is to do.
    prompt: &'static str,
    /// The kind of agent that can run commands, where there are several.
    kind: Option<&'static str>,
}

/// The clients that have one, and how it is called.
const AGENT_TOOLS: &[AgentTool] = &[
    // Claude Code, since 2.1.
    AgentTool {
        name: "Agent",
        prompt: "prompt",
        kind: Some("general-purpose"),
    },
    // Claude Code before.
    AgentTool {
        name: "Task",
        prompt: "prompt",
        kind: Some("general-purpose"),
    },
    // Qwen Code.
    AgentTool {
        name: "agent",
        prompt: "prompt",
        kind: Some("general-purpose"),
    },
    // OpenCode.
    AgentTool {
        name: "task",
        prompt: "prompt",
        kind: Some("general"),
    },
    // goose.
    AgentTool {
        name: "delegate",
        prompt: "instructions",
        kind: None,
    },
];

/// A schema allows this type, or does not say.
fn takes(schema: &Value, kind: &str) -> bool {
    match &schema["type"] {
        Value::String(only) => only.eq_ignore_ascii_case(kind),
        Value::Array(several) => several.iter().any(|one| one == kind),
        _ => true,
    }
}

/// Something for an argument that must be there and does not matter.
fn placeholder(schema: &Value) -> Value {
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    match schema["type"]
        .as_str()
        .map(str::to_ascii_lowercase)
        .as_deref()
    {
        Some("boolean") => json!(false),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(1)),
        Some("array") => json!([]),
        Some("object") => json!({}),
        _ => json!("A step of the task"),
    }
}

/// How to speak to one client.
#[derive(Clone, Copy, Debug)]
pub struct Toolbox<'a> {
    tools: &'a [Tool],
    /// The client ends when a command prints [`COMPLETION`].
    ends_by_command: bool,
}

impl<'a> Toolbox<'a> {
    /// Looks through the tools on offer and what the user said about them.
    #[must_use]
    pub fn new(tools: &'a [Tool], user: &[String]) -> Self {
        Toolbox {
            tools,
            ends_by_command: user.iter().any(|text| text.contains(COMPLETION)),
        }
    }

    /// The client has the recordings' own tools, and runs several calls in order.
    #[must_use]
    pub fn is_native(&self) -> bool {
        ["shell", "edit_file", "submit"]
            .iter()
            .all(|name| self.tools.iter().any(|tool| tool.name == *name))
    }

    /// The client can run commands.
    #[must_use]
    pub fn has_shell(&self) -> bool {
        self.shell().is_some()
    }

    fn shell(&self) -> Option<(&Tool, &'static str)> {
        let mut tools = self.tools.iter();
        tools.find_map(|tool| Some((tool, tool.command()?)))
    }

    /// The client can hand work to other agents, several at once.
    #[must_use]
    pub fn has_agents(&self) -> bool {
        self.agent().is_some()
    }

    fn agent(&self) -> Option<(&Tool, &'static AgentTool)> {
        let mut tools = self.tools.iter();
        tools.find_map(|tool| {
            let mut known = AGENT_TOOLS.iter();
            let known = known.find(|known| known.name == tool.name)?;
            let prompt = &tool.parameters["properties"][known.prompt];
            prompt.is_object().then_some((tool, known))
        })
    }

    /// A call that hands work to another agent, if the client can.
    fn delegate(&self, description: &str, prompt: &str) -> Option<Output> {
        let (tool, known) = self.agent()?;
        let mut arguments = tool.required();
        let properties = &tool.parameters["properties"];
        let given = [
            ("description", json!(description)),
            (known.prompt, json!(prompt)),
        ];
        let kind = known.kind.map(|kind| ("subagent_type", json!(kind)));
        let waits = ("run_in_background", json!(false));
        for (field, value) in given.into_iter().chain(kind).chain([waits]) {
            if properties[field].is_object() {
                arguments.insert(field.to_owned(), value);
            }
        }
        Some(Output::Call {
            name: tool.name.clone(),
            arguments: Value::Object(arguments).to_string(),
        })
    }

    /// A call that runs a command, if the client can.
    #[must_use]
    pub fn run(&self, command: &str) -> Option<Output> {
        let (tool, field) = self.shell()?;
        Some(tool.run(field, command))
    }

    /// The end of the work.
    #[must_use]
    pub fn submit(&self, summary: &str) -> Output {
        if self.is_native() {
            return Output::Call {
                name: "submit".into(),
                arguments: json!({ "summary": summary }).to_string(),
            };
        }
        let command = self
            .ends_by_command
            .then(|| self.run(&format!("echo {COMPLETION}")));
        command
            .flatten()
            .unwrap_or_else(|| Output::Text(summary.to_owned()))
    }

    /// A recorded call in the client's own tools; nothing where it has none for it.
    #[must_use]
    pub fn translate(&self, name: &str, arguments: &Map<String, Value>) -> Option<Output> {
        let text = |field: &str| arguments.get(field).and_then(Value::as_str).unwrap_or("");
        if self.is_native() && name != "delegate" {
            return Some(Output::Call {
                name: name.to_owned(),
                arguments: Value::Object(arguments.clone()).to_string(),
            });
        }
        if name == "delegate"
            && let Some(call) = self.delegate(text("description"), text("prompt"))
        {
            return Some(call);
        }
        match name {
            // Who has no other agents does the work itself.
            "shell" | "delegate" => self.run(text("command")),
            "edit_file" => self.run(&edit(text("path"), text("old_text"), text("new_text"))),
            _ => Some(self.submit(text("summary"))),
        }
    }
}

/// A shell command that does what `edit_file` does.
fn edit(path: &str, old: &str, new: &str) -> String {
    let [path, old, new] = [path, old, new].map(python);
    format!(
        r#"python3 - <<'END_OF_EDIT'
import os
path, old, new = {path}, {old}, {new}
if old:
    with open(path, encoding="utf-8", newline="") as file:
        text = file.read()
    if text.count(old) != 1:
        raise SystemExit("the old text occurs %d times" % text.count(old))
    new = text.replace(old, new)
elif os.path.dirname(path):
    os.makedirs(os.path.dirname(path), exist_ok=True)
with open(path, "w", encoding="utf-8", newline="") as file:
    file.write(new)
print("Edited", path)
END_OF_EDIT"#
    )
}

/// A Python string literal: one line, nothing but ASCII, nothing a shell would touch.
fn python(text: &str) -> String {
    use std::fmt::Write as _;
    let mut literal = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => literal.extend(['\\', character]),
            ' '..='~' => literal.push(character),
            // Writing into a string cannot fail.
            _ => _ = write!(literal, "\\U{:08x}", u32::from(character)),
        }
    }
    literal.push('"');
    literal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(name: &str, parameters: Value) -> Tool {
        Tool {
            name: name.into(),
            parameters,
        }
    }

    fn call(output: Option<Output>) -> (String, Value) {
        match output {
            Some(Output::Call { name, arguments }) => {
                (name, serde_json::from_str(&arguments).unwrap())
            }
            other => panic!("no call: {other:?}"),
        }
    }

    #[test]
    fn every_shell_is_called_in_its_own_shape() {
        for (name, parameters, expected) in [
            (
                "exec_command",
                json!({"properties": {"cmd": {"type": "string"}, "workdir": {"type": "string"}}, "required": ["cmd"]}),
                json!({"cmd": "ls"}),
            ),
            (
                "Bash",
                json!({"properties": {"command": {"type": "string"}, "description": {"type": "string"}}, "required": ["command", "description"]}),
                json!({"command": "ls", "description": "A step of the task"}),
            ),
            (
                "shell",
                json!({"properties": {"command": {"type": "array"}}, "required": ["command"]}),
                json!({"command": ["bash", "-lc", "ls"]}),
            ),
            (
                "run_shell_command",
                json!({"properties": {"command": {"type": "STRING"}, "is_background": {"type": "BOOLEAN"}}, "required": ["command", "is_background"]}),
                json!({"command": "ls", "is_background": false}),
            ),
        ] {
            let tools = [
                tool("KillShell", json!({"properties": {"shell_id": {}}})),
                tool(name, parameters),
            ];
            let toolbox = Toolbox::new(&tools, &[]);
            let arguments = json!({"command": "ls"});
            let said = toolbox.translate("shell", arguments.as_object().unwrap());
            assert_eq!(call(said), (name.to_owned(), expected));
            assert_eq!(toolbox.submit("Done."), Output::Text("Done.".into()));
        }
    }

    #[test]
    fn a_client_that_ends_by_a_command_is_ended_by_one() {
        let parameters = json!({"properties": {"command": {"type": "string"}}});
        let tools = [tool("bash", parameters)];
        let told = [format!("To finish, run `echo {COMPLETION}`.")];
        let ended = call(Some(Toolbox::new(&tools, &told).submit("Done.")));
        assert_eq!(ended.1["command"], format!("echo {COMPLETION}"));
        assert!(Toolbox::new(&[], &told).run("ls").is_none());
    }

    /// What a real shell and a real Python make of an edit.
    #[test]
    fn an_edit_survives_every_quote() {
        let folder = tempfile::tempdir().unwrap();
        let run = |path: &str, old: &str, new: &str| {
            std::process::Command::new("bash")
                .args(["-c", &edit(path, old, new)])
                .current_dir(&folder)
                .output()
                .unwrap()
        };
        let awkward = "a \"b\" 'c' `d` $e \\n \\\\ {f}\r\n\tEND_OF_EDIT\nEND_OF_EDIT\n%s é 😀\u{0}";
        let file = folder.path().join("sub/x.txt");
        assert!(run("sub/x.txt", "", awkward).status.success());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), awkward);
        assert!(run("sub/x.txt", "$e \\n", awkward).status.success());
        let edited = awkward.replace("$e \\n", awkward);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), edited);
        let twice = run("sub/x.txt", "END_OF_EDIT", "");
        assert!(!twice.status.success());
        assert!(String::from_utf8_lossy(&twice.stderr).contains("occurs 4 times"));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), edited);
    }
}
