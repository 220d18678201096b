//! A real agent in a sandbox: a small one, on real sockets. `scripts/agents` tries those that
//! people use.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::server::{canned, http};
use crate::support::{quick_config, timeslip};

/// The example of the documentation.
fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples/my-agent/my-agent.toml")
}

/// An agent that is a script; `from` is the beginning of its file.
fn script_at(folder: &Path, text: &str) -> PathBuf {
    let agent = folder.join("own.toml");
    let text = format!(
        "name = \"own\"\nversion = \"1\"\ncommand = ['bash', '-c', '''{text}''', 'own', \
         '{{instruction}}']\n[[speaks]]\nprotocol = \"chat-completions\"\n[speaks.environment]\n\
         ORIGIN = \"{{origin}}\"\nKEY = \"{{key}}\"\n"
    );
    std::fs::write(&agent, text).unwrap();
    agent
}

/// Runs one task with an agent on the fast endpoint; gives its standard error, the journal's
/// lines and the summary.
fn run(folder: &Path, agent: &Path, arguments: &[&str]) -> (String, Vec<Value>, Value) {
    let config = quick_config(folder);
    let output = timeslip()
        .current_dir(folder)
        .env("XDG_CACHE_HOME", folder)
        .args(["run", "--config", config.to_str().unwrap()])
        .args(["--suite", "terminal-mini", "--task", "word-tally"])
        .args(["--agent", agent.to_str().unwrap()])
        .args(arguments)
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    let read = |name: &str| {
        let path = folder.join("runs/latest").join(name);
        std::fs::read_to_string(path).unwrap_or_else(|_| panic!("{error}"))
    };
    let journal = read("journal.jsonl");
    let lines = journal
        .lines()
        .skip(1)
        .map(|line| serde_json::from_str(line).unwrap());
    let (lines, summary) = (
        lines.collect(),
        serde_json::from_str(&read("summary.json")).unwrap(),
    );
    (error, lines, summary)
}

fn of<'a>(lines: &'a [Value], event: &'a str) -> impl Iterator<Item = &'a Value> {
    lines.iter().filter(move |line| line["event"] == event)
}

#[test]
fn an_agent_of_ones_own_solves_a_task_in_its_sandbox() {
    for sandbox in ["bubblewrap", "process"] {
        let folder = tempfile::tempdir().unwrap();
        let arguments = ["--endpoint", "fast", "--sandbox", sandbox];
        let (error, lines, summary) = run(folder.path(), &example(), &arguments);
        if sandbox == "bubblewrap" && error.contains("bwrap is not installed") {
            continue;
        }
        let finished = of(&lines, "trial_finished").next().unwrap();
        assert_eq!(
            (&finished["outcome"], &finished["ended_by"]),
            (&json!("resolved"), &json!("agent")),
            "{error}{finished}"
        );
        let ran = of(&lines, "agent_run").next().unwrap();
        assert_eq!(ran["status"], "exit 0", "{ran}");
        let at = |name: &str| ran[name].as_u64().unwrap();
        let marks = [
            "start",
            "command_start",
            "first_request",
            "command_end",
            "end",
        ]
        .map(at);
        assert!(marks.is_sorted(), "{ran}");
        assert!(of(&lines, "exchange").count() >= 2);
        let endpoint = &summary["endpoints"]["fast"];
        assert_eq!(endpoint["resolve_rate"]["point"], 1.0);
    }
}

#[test]
fn agents_and_endpoints_are_arms_of_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--agent", "builtin", "--endpoint", "fast"];
    let (error, lines, summary) = run(folder.path(), &example(), &arguments);
    let endpoints = of(&lines, "trial_finished").map(|line| line["trial"]["endpoint"].as_str());
    let mut endpoints: Vec<&str> = endpoints.map(Option::unwrap).collect();
    endpoints.sort_unstable();
    assert_eq!(endpoints, ["builtin@fast", "my-agent@fast"], "{error}");
    assert!(
        summary["endpoints"]["my-agent@fast"].is_object(),
        "{summary}"
    );
    let manifest = std::fs::read_to_string(folder.path().join("runs/latest/run.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["plan"]["endpoints"][0]["agent"]["version"], "1");
    let facts = manifest["environment"].as_array().unwrap();
    assert!(facts.contains(&json!(["agent my-agent", "1"])), "{facts:?}");
}

/// An agent that does one thing and tells how long it took, by its own clock.
const TIMED: &str = r#"
import json, subprocess, sys, time, urllib.request

def ask(messages):
    body = json.dumps({"model": "m", "messages": messages, "tools": [{"type": "function", "function": {"name": "shell"}}]})
    request = urllib.request.Request(sys.argv[1] + "/chat/completions", body.encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request) as response:
        return json.load(response)["choices"][0]["message"]

messages = [{"role": "user", "content": sys.stdin.read()}]
message = ask(messages)
call = message["tool_calls"][0]
time.sleep(0.2)
before = time.monotonic_ns()
subprocess.run(["bash", "-c", json.loads(call["function"]["arguments"])["command"]])
took = time.monotonic_ns() - before
time.sleep(0.3)
ask(messages + [message, {"role": "tool", "tool_call_id": call["id"], "content": "took=%d." % took}])
"#;

#[test]
fn the_kernel_says_when_the_tool_of_an_agent_ran() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("timed.py"), TIMED).unwrap();
    let agent = folder.path().join("timed.toml");
    let adapter = "name = \"timed\"\nversion = \"1\"\nfolder = \".\"\ninput = \"{instruction}\"\n\
                   command = [\"python3\", \"{layer}/timed.py\", \"{base_url}\"]\n\
                   [[speaks]]\nprotocol = \"chat-completions\"\n";
    std::fs::write(&agent, adapter).unwrap();
    let answer = |message: Value| {
        let choice = json!({ "index": 0, "finish_reason": "stop", "message": message });
        let body = json!({ "choices": [choice] }).to_string();
        let head = format!(
            "content-type: application/json\r\ncontent-length: {}\r\n",
            body.len()
        );
        http("200 OK", &head, &body)
    };
    let arguments = json!({ "command": "sleep 0.4; true" }).to_string();
    let function = json!({ "name": "shell", "arguments": arguments });
    let call = json!({ "id": "c", "type": "function", "function": function });
    let (port, server) = canned(vec![
        answer(json!({ "role": "assistant", "content": null, "tool_calls": [call] })),
        answer(json!({ "role": "assistant", "content": "Done." })),
    ]);
    let output = timeslip()
        .current_dir(folder.path())
        .args(["run", "--suite", "terminal-mini", "--task", "word-tally"])
        .args(["--base-url", &format!("http://127.0.0.1:{port}/v1")])
        .args(["--model", "m", "--protocol", "chat-completions"])
        .args(["--agent", agent.to_str().unwrap(), "--directory", "runs"])
        .args(["--no-check"])
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    let requests = server.join().unwrap();
    let took = requests[1].split_once("took=").unwrap().1;
    let took: u64 = took.split_once('.').unwrap().0.parse().unwrap();
    let journal = std::fs::read_to_string(folder.path().join("runs/latest/journal.jsonl"));
    let journal = journal.unwrap_or_else(|_| panic!("{error}"));
    let lines = journal.lines().skip(1);
    let lines: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let tool = of(&lines, "tool").next().unwrap();
    assert_eq!(tool["kind"], "run", "{tool}");
    let at = |name: &str| tool[name].as_u64();
    let (Some(began), Some(ended)) = (at("command_start"), at("command_end")) else {
        eprintln!("SKIPPED: the kernel tells nothing of processes here: {tool}");
        return;
    };
    // It slept so long, and the agent waited no less.
    let ran = ended - began;
    assert!(
        (400_000_000..=took).contains(&ran),
        "{ran} of {took}: {tool}"
    );
    println!("the process ran for {ran} ns, the agent waited for {took} ns");
    assert!(began - at("start").unwrap() >= 200_000_000, "{tool}");
    assert!(at("end").unwrap() - ended >= 300_000_000, "{tool}");
    let summary = std::fs::read_to_string(folder.path().join("runs/latest/summary.json")).unwrap();
    let summary: Value = serde_json::from_str(&summary).unwrap();
    let endpoints = summary["endpoints"].as_object().unwrap();
    let metrics = endpoints.values().next().unwrap()["metrics"]
        .as_array()
        .unwrap();
    let figure = |name: &str| {
        let found = metrics.iter().find(|level| level["metric"] == name);
        found.unwrap_or_else(|| panic!("{name}: {metrics:?}"))["value"]
            .as_f64()
            .unwrap()
    };
    assert!(figure("overhead_before_tools") >= 200e6);
    assert!(figure("overhead_after_tools") >= 300e6);
}

/// What such an agent prints when it fails is told, in the trial's detail.
fn said(text: &str, arguments: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let agent = script_at(folder.path(), text);
    let arguments = [&["--endpoint", "fast"][..], arguments].concat();
    let (_, lines, _) = run(folder.path(), &agent, &arguments);
    of(&lines, "trial_finished").next().unwrap().clone()
}

#[test]
fn an_agent_that_asks_for_nothing_is_a_fault_of_the_harness() {
    let finished = said("echo broken >&2; exit 3", &[]);
    assert_eq!(finished["ended_by"], "harness");
    let detail = finished["detail"].as_str().unwrap();
    assert_eq!(
        detail,
        "own exited with code 3: broken; it asked its model for nothing"
    );
}

#[test]
fn an_agent_that_takes_too_long_is_ended_with_all_it_started() {
    let finished = said("setsid sleep 600 & sleep 600", &["--trial-seconds", "2"]);
    assert_eq!(finished["ended_by"], "time_limit", "{finished}");
    assert!(finished["wall_ns"].as_u64().unwrap() < 60_000_000_000);
}

#[test]
fn an_agents_network_is_the_proxy_alone() {
    let folder = tempfile::tempdir().unwrap();
    // Another server of this machine.
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let text = format!(
        "exec 2>&1; (echo >/dev/tcp/127.0.0.1/{port}) && echo reached; \
         (echo >/dev/tcp/1.1.1.1/53) && echo away; \
         (echo >${{ORIGIN/http:\\/\\//\\/dev\\/tcp\\/}}) ; env | grep -c '^HOME=/home/agent$'; \
         ls -A \"$HOME\" | wc -l; exit 7"
    );
    let agent = script_at(folder.path(), &text);
    let arguments = ["--endpoint", "fast", "--sandbox", "bubblewrap"];
    let (error, lines, _) = run(folder.path(), &agent, &arguments);
    let Some(finished) = of(&lines, "trial_finished").next() else {
        assert!(error.contains("bwrap"), "{error}");
        return;
    };
    let detail = finished["detail"].as_str().unwrap();
    assert!(
        !detail.contains("reached") && !detail.contains("away"),
        "{detail}"
    );
}

#[test]
fn an_agent_that_uses_up_its_turns_is_ended_and_graded() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--endpoint", "fast", "--turns", "1"];
    let (error, lines, _) = run(folder.path(), &example(), &arguments);
    let finished = of(&lines, "trial_finished").next().unwrap();
    assert_eq!(finished["ended_by"], "turn_limit", "{error}");
    assert_eq!(finished["outcome"], "limit_reached");
    assert_eq!(finished["detail"], "the trial's 1 turns are over");
}

#[test]
fn the_endpoints_key_is_put_in_outside_of_the_sandbox() {
    let key = "sk-never-inside-4711";
    let answer = r#"{"choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"Done."}}]}"#;
    let head = format!(
        "content-type: application/json\r\ncontent-length: {}\r\n",
        answer.len()
    );
    let (port, server) = canned(vec![http("200 OK", &head, answer)]);
    let folder = tempfile::tempdir().unwrap();
    let script = r#"
exec 3<>/dev/tcp/127.0.0.1/${ORIGIN##*:}
body="{\"model\":\"m\",\"messages\":[]}"
printf "%s\r\n" "POST /v1/chat/completions HTTP/1.1" "host: x" "x-api-key: $KEY" \
    "authorization: Bearer $KEY" "content-length: ${#body}" "connection: close" "" >&3
printf %s "$body" >&3
cat <&3
env
exit 3
"#;
    let agent = script_at(folder.path(), script);
    let output = timeslip()
        .current_dir(folder.path())
        .env("MY_KEY", key)
        .args([
            "run",
            "--suite",
            "terminal-mini",
            "--task",
            "word-tally",
            "--no-check",
        ])
        .args([
            "--base-url",
            &format!("http://127.0.0.1:{port}/v1"),
            "--model",
            "m",
        ])
        .args(["--protocol", "chat-completions", "--api-key-env", "MY_KEY"])
        .args(["--agent", agent.to_str().unwrap(), "--directory", "runs"])
        .output()
        .unwrap();
    let requests = server.join().unwrap();
    let sent = requests[0].to_ascii_lowercase();
    assert!(
        sent.contains(&format!("authorization: bearer {key}\r\n")),
        "{sent}"
    );
    assert!(
        !sent.contains("bearer timeslip") && !sent.contains("x-api-key"),
        "{sent}"
    );
    let error = String::from_utf8(output.stderr).unwrap();
    let journal = std::fs::read_to_string(folder.path().join("runs/latest/journal.jsonl"));
    let journal = journal.unwrap_or_else(|_| panic!("{error}"));
    assert!(!journal.contains(key), "{journal}");
    let last: Value = serde_json::from_str(journal.lines().last().unwrap()).unwrap();
    let detail = last["detail"].as_str().unwrap();
    assert!(detail.starts_with("own exited with code 3: "), "{detail}");
}

#[test]
fn what_is_wrong_with_an_agent_is_told_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let agent = folder.path().join("own.toml");
    let refused = |text: &str| {
        std::fs::write(&agent, text).unwrap();
        let output = timeslip()
            .current_dir(folder.path())
            .args(["run", "--dry-run", "--suite", "terminal-mini"])
            .args(["--agent", "./own.toml"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    let error = refused("name = \"own\"\n");
    assert!(
        error.contains("./own.toml: ") && error.contains("`version`"),
        "{error}"
    );
    let error = refused(
        "name = \"own\"\nversion = \"1\"\ncommand = [\"x\", \"{task}\"]\n[[speaks]]\nprotocol = \"gemini\"\n",
    );
    assert!(
        error.contains("./own.toml: line 3: {task} is not known"),
        "{error}"
    );
}
