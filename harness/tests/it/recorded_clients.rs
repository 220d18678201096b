//! What real clients sent, told apart, and against what the clients themselves recorded.

use std::path::{Path, PathBuf};

use serde_json::Value;
use timeslip::record::{AnsweredCall, Asked, Conversations, Role, Side, ToolTimes};
use timeslip_wire::protocols::{Digest, RequestSeen, ToolCall};

/// A client's requests as a proxy would have seen them, and what each is.
fn recording(name: &str) -> Vec<(Asked, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("wire/tests/it/recordings");
    let text = std::fs::read_to_string(folder.join(format!("{name}.jsonl"))).unwrap();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut path = String::new();
    let mut requests: Vec<(Asked, String)> = lines
        .map(|line| {
            let mut words = line["line"].as_str().unwrap().split(' ');
            let method = words.next().unwrap().to_owned();
            // A message goes over what was opened before it.
            let is_message = method == "websocket";
            if !is_message {
                path = words.next().unwrap().to_owned();
            }
            let body = line["request"].to_string();
            let time = |name: &str| line[name].as_u64();
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let calls = line["calls"].as_array().into_iter().flatten();
            let headers = line["headers"].as_object().unwrap().iter();
            let asked = Asked {
                began: time("sent_first_ns").unwrap(),
                done: time("end_ns").unwrap(),
                method,
                path: path.clone(),
                is_message,
                headers: headers
                    .map(|(name, value)| (name.clone(), text(value)))
                    .collect(),
                seen: RequestSeen::read(&path, body.as_bytes()).map(|(_, seen)| seen),
                body: Some(Digest::of_text(&body)),
                calls: calls
                    .map(|call| AnsweredCall {
                        call: ToolCall {
                            call_id: text(&call["call_id"]),
                            name: text(&call["name"]),
                            arguments: text(&call["arguments"]),
                        },
                        at: time("last_tool_call_ns").unwrap(),
                    })
                    .collect(),
                text: String::new(),
                response_id: line["response_id"].as_str().map(str::to_owned),
                status: Some(200),
                is_cut: false,
            };
            (asked, text(&line["kind"]))
        })
        .collect();
    requests.sort_by_key(|(asked, _)| asked.began);
    requests
}

fn names() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("wire/tests/it/recordings");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let name = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let recordings = files.filter(|path| path.extension().is_some_and(|end| end == "jsonl"));
    let mut names: Vec<String> = recordings.map(name).collect();
    names.sort();
    assert_eq!(names.len(), 17);
    names
}

fn requests(recording: &[(Asked, String)]) -> Vec<Asked> {
    recording.iter().map(|(asked, _)| asked.clone()).collect()
}

/// Turns of each agent, and for each but the first whose it is.
fn agents(conversations: &Conversations) -> Vec<(u32, Option<usize>)> {
    let agents = conversations.agents.iter();
    agents.map(|agent| (agent.turns, agent.parent)).collect()
}

/// What the clients' own recordings say: agents, and their turns.
fn expected(name: &str) -> Vec<(u32, Option<usize>)> {
    match name {
        "claude-early" | "opencode-early" => vec![(2, None)],
        "codex-sse-early" => vec![(3, None)],
        "codex-sse-slow" => vec![(5, None)],
        "codex-sse-sub" => vec![(4, None), (2, Some(0)), (2, Some(0))],
        sub if sub.ends_with("-sub") => vec![(2, None), (2, Some(0)), (2, Some(0))],
        _ => vec![(6, None)],
    }
}

#[test]
fn agents_and_turns_are_those_of_the_clients_own_recordings() {
    for name in names() {
        let recording = recording(&name);
        let conversations = Conversations::of(&requests(&recording));
        assert_eq!(
            agents(&conversations),
            expected(&name),
            "{name} {conversations:#?}"
        );
        for ((asked, kind), placed) in recording.iter().zip(&conversations.placed) {
            let is = match placed.role {
                Role::Turn { retry: 0, .. } => "turn",
                Role::Turn { .. } => "retry",
                Role::Side(Side::Title) => "side",
                Role::Side(Side::Models) => "other",
                Role::Side(Side::Upgrade) => "upgrade",
                Role::Side(Side::Prewarm) => "prewarm",
                Role::Side(side) => side.name(),
            };
            assert_eq!(is, kind, "{name} at {}", asked.began);
        }
    }
}

/// What clients wrote down of sessions like these, by `scripts/own_logs.py`: turns, each with the
/// tools that were called. `scripts/own-logs` holds live recordings against them, tokens too.
#[test]
fn turns_and_calls_are_those_that_clients_wrote_down() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("wire/tests/it/recordings");
    let text = std::fs::read_to_string(folder.join("own-logs.json")).unwrap();
    let logs: Value = serde_json::from_str(&text).unwrap();
    for (name, turns) in logs.as_object().unwrap() {
        let requests = requests(&recording(name));
        let conversations = Conversations::of(&requests);
        let placed = requests.iter().zip(&conversations.placed);
        let own: Vec<Vec<&str>> = placed
            .filter(|(_, placed)| matches!(placed.role, Role::Turn { retry: 0, .. }))
            .map(|(asked, _)| asked.calls.iter().map(|call| &*call.call.name).collect())
            .collect();
        let turns: Vec<Vec<&str>> = turns
            .as_array()
            .unwrap()
            .iter()
            .map(|turn| {
                let calls = turn["calls"].as_array().unwrap().iter();
                calls.map(|call| call.as_str().unwrap()).collect()
            })
            .collect();
        assert_eq!(own.len(), turns.len(), "{name}");
        // The calls of the last answer are in no later request.
        let before_last = turns.len() - 1;
        assert_eq!(own[..before_last], turns[..before_last], "{name}");
    }
}

#[test]
fn clients_name_their_agents() {
    for name in names() {
        let conversations = Conversations::of(&requests(&recording(&name)));
        let client = match name.split('-').next().unwrap() {
            "claude" => Some("claude-code"),
            name @ ("codex" | "opencode" | "goose") => Some(name),
            _ => None,
        };
        for agent in &conversations.agents {
            assert_eq!(agent.client, client, "{name}");
            assert_eq!(agent.id.is_some(), client.is_some(), "{name}");
            assert_eq!(agent.begun_by.is_some(), agent.parent.is_some(), "{name}");
        }
    }
}

/// Who says nothing of its requests is told apart by the context that grows.
#[test]
fn without_names_the_context_tells_the_same() {
    for name in names() {
        let mut requests = requests(&recording(&name));
        let named = Conversations::of(&requests);
        for asked in &mut requests {
            asked.headers.retain(|(name, _)| name == "upgrade");
            if let Some(seen) = &mut asked.seen {
                seen.ids.clear();
            }
        }
        let nameless = Conversations::of(&requests);
        assert_eq!(agents(&nameless), agents(&named), "{name} {nameless:#?}");
        for (nameless, named) in nameless.placed.iter().zip(&named.placed) {
            assert_eq!(nameless.role, named.role, "{name}");
            if matches!(named.role, Role::Turn { .. }) {
                assert_eq!(nameless.agent, named.agent, "{name}");
            }
        }
    }
}

/// From the last byte of the last call to the next request, in milliseconds, for the first, the
/// third and the fifth call, as they were found by hand in the whole recordings.
#[test]
fn tools_take_from_their_last_byte_to_their_result() {
    for (name, expected) in [
        ("codex-ws-slow", [1288, 50, 3328]),
        ("claude-slow", [1408, 64, 3519]),
        ("opencode-slow", [1757, 185, 3793]),
        ("mini-slow", [1359, 55, 3628]),
        ("gemini-slow", [1416, 50, 3552]),
        ("qwen-slow", [1631, 168, 3651]),
        ("pi-slow", [1368, 73, 3654]),
        ("goose-slow", [1402, 63, 3736]),
    ] {
        let requests = requests(&recording(name));
        let times = ToolTimes::of(&requests, &Conversations::of(&requests));
        assert_eq!(
            (times.tools.len(), times.unanswered.len()),
            (5, 0),
            "{name}"
        );
        for (call, expected) in [0, 2, 4].into_iter().zip(expected) {
            let tool = &times.tools[call];
            let took = (tool.end - tool.start) as f64 / 1e6;
            assert!(
                (took - f64::from(expected)).abs() < 1.0,
                "{name} {took} {expected}"
            );
            assert_eq!(
                (tool.turn, tool.agent),
                (call as u32 + 1, Some(0)),
                "{name}"
            );
            assert!(tool.output_bytes > 0, "{name}");
        }
        let of_client: Vec<_> = times
            .tools
            .iter()
            .filter_map(|tool| tool.reported_ns)
            .collect();
        let reports = match name {
            "codex-ws-slow" => vec![1_094_000_000, 0, 0, 0, 3_160_000_000],
            _ => Vec::new(),
        };
        let close = of_client
            .iter()
            .zip(&reports)
            .all(|(is, expected): (&u64, &u64)| is.abs_diff(*expected) < 1_000_000);
        assert!(
            of_client.len() == reports.len() && close,
            "{name} {of_client:?}"
        );
    }
}

#[test]
fn tools_of_several_agents_are_kept_apart() {
    for name in [
        "claude-sub",
        "codex-sse-sub",
        "goose-sub",
        "opencode-sub",
        "qwen-sub",
    ] {
        let requests = requests(&recording(name));
        let conversations = Conversations::of(&requests);
        let times = ToolTimes::of(&requests, &conversations);
        assert_eq!(times.unanswered, [], "{name}");
        for agent in 1..=2 {
            let own: Vec<_> = times
                .tools
                .iter()
                .filter(|tool| tool.agent == Some(agent))
                .collect();
            let [tool] = own[..] else {
                panic!("{name} {times:#?}")
            };
            // `sleep 0.4`, or what the client took for starting it.
            assert!(tool.end - tool.start > 300_000_000, "{name} {tool:?}");
        }
        // What began an agent is answered after the agent's end, unless it runs beside its parent.
        let begun = conversations.agents[1].begun_by.as_deref().unwrap();
        let call = times
            .tools
            .iter()
            .find(|tool| tool.call_id == begun)
            .unwrap();
        let of_agent = requests
            .iter()
            .zip(&conversations.placed)
            .filter(|(_, placed)| placed.agent == Some(1));
        let done = of_agent.map(|(asked, _)| asked.done).max().unwrap();
        assert_eq!(call.end > done, name != "codex-sse-sub", "{name}");
        assert_eq!(call.began, Some(1), "{name}");
        // Whoever goes on beside its parent is waited for by another call.
        let waiting = times.tools.iter().filter(|tool| tool.name == "wait_agent");
        let waited_for: Vec<_> = waiting.map(|tool| tool.began).collect();
        let expected = if name == "codex-sse-sub" {
            vec![Some(2)]
        } else {
            Vec::new()
        };
        assert_eq!(waited_for, expected, "{name}");
    }
}
