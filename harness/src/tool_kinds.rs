//! What a tool call is for, by the tool's name and, where it runs a command, by that command.
//!
//! Both are tables. What stands in none of them is [`ToolKind::Other`], or of a command
//! [`ToolKind::Run`]: nothing is guessed from what a tool or a program is called alike.

mod command;

use serde_json::{Map, Value};
use timeslip_datasets::run::journal::ToolKind;

/// Tools of agents by their names, in lower case and without punctuation.
const TOOLS: &[(ToolKind, &[&str])] = &[
    (
        ToolKind::Read,
        &[
            "read",
            "readfile",
            "readmanyfiles",
            "view",
            "viewfile",
            "viewimage",
            "cat",
            "notebookread",
        ],
    ),
    (
        ToolKind::Search,
        &[
            "grep",
            "grepsearch",
            "searchfilecontent",
            "glob",
            "find",
            "findfiles",
            "filesearch",
            "codesearch",
            "search",
            "ls",
            "list",
            "listdirectory",
            "listfiles",
            "tree",
            "analyze",
        ],
    ),
    (
        ToolKind::Edit,
        &[
            "edit",
            "editfile",
            "multiedit",
            "notebookedit",
            "write",
            "writefile",
            "create",
            "createfile",
            "deletefile",
            "replace",
            "strreplace",
            "insert",
            "patch",
            "applypatch",
        ],
    ),
    (
        // What goes on with a command that runs.
        ToolKind::Run,
        &["bashoutput", "killbash", "killshell", "writestdin"],
    ),
    (
        ToolKind::Delegate,
        &[
            "task",
            "agent",
            "subagent",
            "dispatchagent",
            "delegate",
            "delegatetoagent",
            "spawnagent",
            "sendinput",
            "wait",
            "waitagent",
            "closeagent",
            "taskoutput",
        ],
    ),
    (
        ToolKind::Plan,
        &[
            "todoread",
            "todowrite",
            "writetodos",
            "updateplan",
            "taskcreate",
            "taskupdate",
            "tasklist",
            "enterplanmode",
            "exitplanmode",
        ],
    ),
    (
        ToolKind::Web,
        &[
            "webfetch",
            "fetch",
            "websearch",
            "googlewebsearch",
            "browser",
        ],
    ),
    (
        ToolKind::Finish,
        &[
            "submit",
            "finish",
            "done",
            "completetask",
            "attemptcompletion",
        ],
    ),
];

/// Tools that view and edit alike; which of it, their argument `command` says.
const EDITORS: &[&str] = &[
    "texteditor",
    "strreplaceeditor",
    "strreplacebasededittool",
    "fileeditor",
    "editor",
];

/// What a call's arguments hold a command in.
const COMMAND: [&str; 2] = ["command", "cmd"];

/// What a call is for.
#[must_use]
pub fn of(name: &str, arguments: &str) -> ToolKind {
    let plain = plain(name);
    if EDITORS.contains(&plain.as_str()) {
        let arguments = object(arguments);
        let verb = arguments.get(COMMAND[0]).and_then(Value::as_str);
        return match verb {
            Some("view") => ToolKind::Read,
            Some(_) => ToolKind::Edit,
            None => ToolKind::Other,
        };
    }
    let mut known = TOOLS.iter();
    let known = known.find(|(_, names)| names.contains(&plain.as_str()));
    match (known, command(name, arguments)) {
        (Some((kind, _)), _) => *kind,
        (None, Some(command)) => command::kind(&command),
        (None, None) => ToolKind::Other,
    }
}

/// The command that a call runs; `None` of a tool that runs none.
#[must_use]
pub fn command(name: &str, arguments: &str) -> Option<String> {
    let plain = plain(name);
    let is_other = |names: &[&str]| names.contains(&plain.as_str());
    if is_other(EDITORS) || TOOLS.iter().any(|(_, names)| is_other(names)) {
        return None;
    }
    let arguments = object(arguments);
    let value = COMMAND.iter().find_map(|field| arguments.get(*field))?;
    match value {
        Value::String(command) => Some(command.clone()),
        // The words of a program's command line.
        Value::Array(words) => {
            let words = words.iter().filter_map(Value::as_str);
            Some(words.collect::<Vec<_>>().join(" "))
        }
        _ => None,
    }
}

fn object(arguments: &str) -> Map<String, Value> {
    serde_json::from_str(arguments).unwrap_or_default()
}

/// A tool's name without whose it is (`developer__shell`, `functions.shell`) and without
/// punctuation.
fn plain(name: &str) -> String {
    let name = name.rsplit("__").next().unwrap_or(name);
    let name = name.rsplit(['.', '/', ':']).next().unwrap_or(name);
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|letter| letter.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tools_of_agents_are_known_by_name_and_shells_by_their_command() {
        use ToolKind::{Delegate, Edit, Finish, Other, Plan, Read, Run, Search, Test, Web};
        for (name, arguments, kind) in [
            ("Read", "{}", Read),
            ("read_many_files", "{}", Read),
            ("Grep", r#"{"pattern":"x"}"#, Search),
            ("list_directory", "{}", Search),
            ("MultiEdit", "{}", Edit),
            ("edit_file", r#"{"path":"a"}"#, Edit),
            ("apply_patch", r#"{"command":["x"]}"#, Edit),
            ("Task", r#"{"prompt":"x"}"#, Delegate),
            ("spawn_agent", "{}", Delegate),
            ("TodoWrite", "{}", Plan),
            ("update_plan", "{}", Plan),
            ("google_web_search", "{}", Web),
            ("submit", "{}", Finish),
            ("str_replace_editor", r#"{"command":"view"}"#, Read),
            ("developer__text_editor", r#"{"command":"insert"}"#, Edit),
            ("shell", r#"{"command":["bash","-lc","pytest -q"]}"#, Test),
            ("developer__shell", r#"{"command":"ls -la"}"#, Search),
            ("exec_command", r#"{"cmd":"make"}"#, Run),
            ("Bash", r#"{"command":"cat a.py"}"#, Read),
            ("run_shell_command", r#"{"command":"make"}"#, Run),
            ("whatever", "{}", Other),
            ("whatever", "no JSON", Other),
        ] {
            assert_eq!(of(name, arguments), kind, "{name} {arguments}");
        }
    }

    #[test]
    fn no_tool_is_in_two_rows() {
        let mut all: Vec<&str> = TOOLS
            .iter()
            .flat_map(|(_, names)| *names)
            .copied()
            .collect();
        all.extend(EDITORS);
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert!(all.iter().all(|name| plain(name) == *name));
    }

    proptest! {
        #[test]
        fn no_call_makes_it_stumble(name in ".{0,20}", arguments in ".{0,60}") {
            let _ = of(&name, &arguments);
        }
    }
}
