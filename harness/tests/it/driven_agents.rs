//! Agents that are driven through sessions: a small one of the Agent Client Protocol, and some
//! that keep to nothing. `scripts/real-time` drives those that people use.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::timeslip;

const PROFILE: &str = r#"
model = "paced"
decode_tokens_per_second = 100.0
resolve_rate = 1.0
prefill_tokens_per_second = 200000.0
cached_tokens_per_second = 2000000.0
tokens_per_event = 1
jitter = 0.0
queue_slots = 8
request_overhead_ms = 1.0
link_round_trip_ms = 0.0
"#;

const CONFIG: &str = r#"
[run]
directory = "runs"
[limits]
client_lag_ms = 5000.0
[endpoint.paced]
simulate = "paced.toml"
protocol = "chat-completions"
"#;

/// Stopped in text, asked again; stopped while a tool runs, asked again.
fn session(words: usize) -> String {
    let story: Vec<String> = (0..words).map(|number| format!("word{number}")).collect();
    format!(
        r#"
repository = "empty"
seconds = 100
[[act]]
name = "ask"
kind = "ask"
text = "Tell the long story."
[[act.answer]]
say = "{story}"
[[act]]
name = "read"
kind = "wait"
until = {{ tokens = 5 }}
[[act]]
name = "stop"
kind = "interrupt"
[[act]]
name = "again"
kind = "ask"
text = "Say hello."
check = {{ says = "Hello" }}
[[act.answer]]
say = "Hello there."
[[act]]
name = "job"
kind = "ask"
text = "Run the job."
[[act.answer]]
run = "sleep 3"
[[act.answer]]
say = "Done."
[[act]]
name = "runs"
kind = "wait"
until = {{ tool = "shell" }}
[[act]]
name = "a moment"
kind = "wait"
until = {{ ms = 500 }}
[[act]]
name = "stop the job"
kind = "interrupt"
[[act]]
name = "last"
kind = "ask"
text = "Say goodbye."
check = {{ says = "Goodbye" }}
[[act.answer]]
say = "Goodbye."
"#,
        story = story.join(" ")
    )
}

/// Drives an agent, whose file has this command, through a session; the journal's lines.
fn drive(command: &str, session: &str, sandbox: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let layer = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/driven_agent.py");
    write(
        "agent/driven_agent.py",
        &std::fs::read_to_string(layer).unwrap(),
    );
    write(
        "agent/own.toml",
        &format!(
            "name = \"own\"\nversion = \"1\"\nfolder = \".\"\n[control]\nprotocol = \"acp\"\n\
             command = {command}\n[[speaks]]\nprotocol = \"chat-completions\"\n"
        ),
    );
    write("paced.toml", PROFILE);
    write("timeslip.toml", CONFIG);
    write(
        "suite.toml",
        "name = \"own\"\nformat = \"sessions\"\nsource = \"sessions\"\n",
    );
    write("sessions/only.toml", session);
    write("sessions/repositories/empty/README.md", "Nothing.\n");
    let dockerfile = "FROM scratch\nWORKDIR /app\nCOPY README.md /app/README.md\n";
    write("sessions/repositories/empty/Dockerfile", dockerfile);
    let output = timeslip()
        .current_dir(folder)
        .env("XDG_CACHE_HOME", folder)
        .args(["run", "--suite", "suite.toml", "--agent", "agent/own.toml"])
        .args([
            "--endpoint",
            "paced",
            "--attempts",
            "1",
            "--sandbox",
            sandbox,
        ])
        .output()
        .unwrap();
    let journal: PathBuf = folder.join("runs/latest/journal.jsonl");
    let journal = std::fs::read_to_string(journal);
    let journal = journal.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let lines = journal.lines().skip(1);
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn of<'a>(lines: &'a [Value], event: &'a str) -> impl Iterator<Item = &'a Value> {
    lines.iter().filter(move |line| line["event"] == event)
}

fn act<'a>(lines: &'a [Value], name: &str) -> &'a Value {
    let mut acts = of(lines, "act");
    acts.find(|act| act["name"] == name)
        .unwrap_or_else(|| panic!("no act {name}: {lines:#?}"))
}

const WELL_BEHAVED: &str = r#"["python3", "{layer}/driven_agent.py", "{base_url}", "{model}"]"#;
const HEEDLESS: &str =
    r#"["python3", "{layer}/driven_agent.py", "{base_url}", "{model}", "heedless"]"#;

#[test]
fn an_agent_is_stopped_and_seen_from_its_server_its_client_and_its_processes() {
    for sandbox in ["bubblewrap", "process"] {
        if sandbox == "bubblewrap" && which::which("bwrap").is_err() {
            continue;
        }
        let lines = drive(WELL_BEHAVED, &session(2000), sandbox);
        let finished = of(&lines, "trial_finished").next().unwrap();
        assert_eq!(finished["outcome"], "resolved", "{finished}");
        for (name, in_tool) in [("stop", false), ("stop the job", true)] {
            let stop = act(&lines, name);
            let told = (&stop["race"], &stop["way"]);
            assert_eq!(
                told,
                (&json!("applied"), &json!("agent_interrupt")),
                "{stop}"
            );
            assert_eq!(stop["in_tool"] == json!(true), in_tool, "{stop}");
            let mark = |name: &str| stop["marks"][name].as_u64();
            assert!(mark("confirmed") >= mark("told"), "{stop}");
            let gone = mark("tool_gone");
            assert_eq!(gone.is_some(), in_tool, "{stop}");
            assert!(gone.is_none_or(|gone| Some(gone) >= mark("told")), "{stop}");
            assert!(mark("redirected") > mark("told"), "{stop}");
        }
        let number = &act(&lines, "stop")["act"];
        let cut: Vec<&Value> = of(&lines, "exchange")
            .filter(|exchange| &exchange["ended_by_act"] == number)
            .collect();
        assert_eq!(cut.len(), 1, "{cut:#?}");
        assert_eq!(cut[0]["ended_by"], "interrupted");
        assert_eq!(
            (&cut[0]["act"], &cut[0]["error"]),
            (&json!(1), &Value::Null)
        );
        let run = of(&lines, "agent_run").next().unwrap();
        assert_eq!(run["status"], "exit 0", "{run}");
    }
}

#[test]
fn an_agent_that_does_not_stop_is_exposed() {
    let lines = drive(HEEDLESS, &session(100), "auto");
    let stop = act(&lines, "stop");
    assert_eq!(stop["race"], "missed", "{stop}");
    assert!(
        stop["counts"]["stale_events"].as_u64().unwrap() > 10,
        "{stop}"
    );
    let job = act(&lines, "stop the job");
    assert_eq!(job["race"], "missed", "{job}");
    let mark = |name: &str| job["marks"][name].as_u64().unwrap();
    assert!(mark("tool_gone") > mark("told") + 1_000_000_000, "{job}");
    let finished = of(&lines, "trial_finished").next().unwrap();
    assert_eq!(finished["outcome"], "resolved", "{finished}");
}

#[test]
fn one_that_cannot_be_talked_with_costs_its_trial_alone() {
    for (script, expected) in [
        ("exit 3", "it closed its standard output"),
        (
            "head -c 9000000 /dev/zero; sleep 100",
            "a line of its standard output is too long",
        ),
    ] {
        let command = format!(r#"["bash", "-c", "{script}"]"#);
        let lines = drive(&command, &session(1), "auto");
        let finished = of(&lines, "trial_finished").next().unwrap();
        assert_eq!(finished["ended_by"], "harness", "{finished}");
        let detail = finished["detail"].as_str().unwrap();
        assert!(detail.contains(expected), "{detail}");
    }
}
