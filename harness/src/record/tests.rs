use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// A session in the writing: requests one after the other, each answered before the next.
#[derive(Default)]
struct Session {
    requests: Vec<Asked>,
    clock: u64,
}

fn user(text: &str) -> Value {
    json!({ "role": "user", "content": text })
}

fn assistant(text: &str) -> Value {
    json!({ "role": "assistant", "content": text })
}

/// The message in which the model calls `tool`.
fn calling(id: &str, tool: &str, arguments: &Value) -> Value {
    let function = json!({ "name": tool, "arguments": arguments.to_string() });
    json!({ "role": "assistant", "content": null, "tool_calls": [{ "id": id, "function": function }] })
}

fn result(id: &str, text: &str) -> Value {
    json!({ "role": "tool", "tool_call_id": id, "content": text })
}

impl Session {
    /// A request of Chat Completions with tools; its answer calls nothing.
    fn ask(&mut self, messages: &[Value]) -> &mut Asked {
        self.body(&json!({ "messages": messages, "tools": [{ "type": "function", "function": { "name": "shell" } }] }))
    }

    /// The same without tools.
    fn plain(&mut self, messages: &[Value]) -> &mut Asked {
        self.body(&json!({ "messages": messages }))
    }

    fn body(&mut self, body: &Value) -> &mut Asked {
        let path = match body["input"].is_null() {
            true => "/v1/chat/completions",
            false => "/v1/responses",
        };
        let text = body.to_string();
        let seen = RequestSeen::read(path, text.as_bytes()).map(|(_, seen)| seen);
        self.push(Asked {
            method: "POST".into(),
            path: path.into(),
            seen,
            body: Some(Digest::of_text(&text)),
            ..Asked::default()
        })
    }

    fn push(&mut self, asked: Asked) -> &mut Asked {
        self.clock += 100;
        self.requests.push(Asked {
            began: self.clock,
            done: self.clock + 50,
            status: Some(200),
            ..asked
        });
        self.requests.last_mut().unwrap()
    }

    fn told(&self) -> Conversations {
        Conversations::of(&self.requests)
    }

    /// What each request is: the agent and the turn, or the side.
    fn roles(&self) -> Vec<String> {
        let told = self.told();
        let words = told
            .placed
            .iter()
            .map(|placed| match (placed.role, placed.agent) {
                (Role::Turn { turn, retry: 0 }, Some(agent)) => format!("{agent}.{turn}"),
                (Role::Turn { turn, retry }, Some(agent)) => format!("{agent}.{turn} try {retry}"),
                (Role::Turn { .. }, None) => "nobody's turn".into(),
                (Role::Side(side), Some(agent)) => format!("{agent} {}", side.name()),
                (Role::Side(side), None) => side.name().into(),
            });
        words.collect()
    }
}

impl Asked {
    /// Its answer calls a tool, 10 before its end.
    fn calls(&mut self, id: &str, tool: &str, arguments: Value) -> &mut Self {
        self.calls.push(AnsweredCall {
            call: ToolCall {
                call_id: id.into(),
                name: tool.into(),
                arguments: arguments.to_string(),
            },
            at: self.done - 10,
        });
        self
    }

    fn says(&mut self, text: &str) -> &mut Self {
        self.text = text.into();
        self
    }

    fn cut(&mut self) -> &mut Self {
        self.is_cut = true;
        self
    }

    fn headed(&mut self, name: &str, value: &str) -> &mut Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

#[test]
fn the_same_body_again_after_a_failure_is_another_try() {
    let mut session = Session::default();
    let first = [user("do it")];
    session.ask(&first).cut();
    session.ask(&first).status = Some(529);
    session.ask(&first).status = None;
    session.ask(&first).calls("a", "shell", json!({}));
    let second = [
        user("do it"),
        calling("a", "shell", &json!({})),
        result("a", "ok"),
    ];
    session.ask(&second).cut();
    session.ask(&second);
    assert_eq!(
        session.roles(),
        [
            "0.1",
            "0.1 try 1",
            "0.1 try 2",
            "0.1 try 3",
            "0.2",
            "0.2 try 1"
        ]
    );
    let firsts: Vec<_> = session
        .told()
        .placed
        .iter()
        .map(|placed| placed.repeats)
        .collect();
    assert_eq!(firsts, [None, Some(0), Some(0), Some(0), None, Some(4)]);
    // Of the tries one result came.
    let times = ToolTimes::of(&session.requests, &session.told());
    assert_eq!((times.tools.len(), times.unanswered.len()), (1, 0));
    assert_eq!(
        (times.tools[0].turn, times.tools[0].end),
        (1, session.requests[4].began)
    );
}

#[test]
fn the_same_body_again_after_an_answer_is_another_conversation() {
    let mut session = Session::default();
    session.ask(&[user("do it")]);
    session.ask(&[user("do it")]);
    assert_eq!(session.roles(), ["0.1", "1.1"]);
    // Unless the client says that it tried before.
    session
        .ask(&[user("do it")])
        .headed("x-stainless-retry-count", "1");
    assert_eq!(session.roles()[2], "1.1 try 1");
}

#[test]
fn a_turn_sent_anew_as_a_whole_after_a_lost_connection_is_another_try() {
    let input = |items: Value, previous: Option<&str>| {
        let mut body = json!({
            "type": "response.create", "input": items, "tools": [{ "type": "function", "name": "shell" }],
            "client_metadata": { "thread_id": "t", "session_id": "t" },
        });
        if let Some(previous) = previous {
            body["previous_response_id"] = json!(previous);
        }
        body
    };
    let said = json!({ "role": "user", "content": "do it" });
    let call =
        json!({ "type": "function_call", "call_id": "a", "name": "shell", "arguments": "{}" });
    let answer = json!({ "type": "function_call_output", "call_id": "a", "output": "ok" });
    let mut session = Session::default();
    session
        .body(&input(json!([said]), None))
        .calls("a", "shell", json!({}))
        .response_id = Some("r1".into());
    session.body(&input(json!([answer]), Some("r1"))).cut();
    session
        .body(&input(json!([said, call, answer]), None))
        .says("done, and here is what I did");
    session.body(&input(json!([said, call, answer, { "role": "assistant", "content": "done, and here is what I did" }, { "role": "user", "content": "more" }]), None));
    assert_eq!(session.roles(), ["0.1", "0.2", "0.2 try 1", "0.3"]);
    assert_eq!(session.told().agents[0].compactions, 0);
}

#[test]
fn a_history_that_was_summed_up_starts_no_new_agent() {
    let summary = "The user wants the slots repaired; free.py was read.";
    let grown = [
        user("do it"),
        calling("a", "shell", &json!({})),
        result("a", "ok"),
    ];
    // Offered tools and named, like Claude Code.
    let mut session = Session::default();
    let named = |asked: &mut Asked| {
        asked.headed("x-claude-code-session-id", "s");
    };
    named(session.ask(&[user("do it")]).calls("a", "shell", json!({})));
    named(session.ask(&grown).says("done"));
    let ask = [
        &grown[..],
        &[
            assistant("done"),
            user("Write a detailed summary of all this"),
        ],
    ]
    .concat();
    named(
        session
            .ask(&ask)
            .says(&format!("<summary>\n{summary}\n</summary>")),
    );
    named(
        session
            .ask(&[
                user(&format!("This session goes on. {summary}\n")),
                user("more"),
            ])
            .says("well"),
    );
    assert_eq!(session.roles(), ["0.1", "0.2", "0 compaction", "0.3"]);
    assert_eq!(session.told().agents[0].compactions, 1);
    // Without tools and without names, like pi: of what was kept the calls tell whose it is.
    let mut session = Session::default();
    session.ask(&[user("do it")]).calls("a", "shell", json!({}));
    session.ask(&grown).calls("b", "shell", json!({}));
    session
        .plain(&[user("Conversation: the user said to do it. Summarize.")])
        .says(summary);
    let kept = [
        user(&format!("Before: {summary}")),
        calling("b", "shell", &json!({})),
        result("b", "ok"),
    ];
    session.ask(&kept).says("done");
    // And where nothing was kept, the summary.
    let all = [
        &kept[..],
        &[assistant("done"), user("Compress the history")],
    ]
    .concat();
    session
        .ask(&all)
        .says("A draft of the summary which is not used");
    session
        .plain(&[user("Check this draft and write it anew")])
        .says("All of it is done but for the tests.");
    session.ask(&[
        user("So far: All of it is done but for the tests."),
        user("go on"),
    ]);
    assert_eq!(
        session.roles(),
        [
            "0.1",
            "0.2",
            "0 compaction",
            "0.3",
            "0 compaction",
            "0 compaction",
            "0.4"
        ]
    );
    assert_eq!(session.told().agents.len(), 1);
    // In the client's own words, like Codex.
    let mut session = Session::default();
    let body = |text: &str, purpose: &str| {
        let metadata = json!({ "request_kind": purpose, "thread_id": "t" }).to_string();
        json!({ "input": text, "client_metadata": { "thread_id": "t", "x-codex-turn-metadata": metadata }, "tools": [{ "name": "f" }] })
    };
    for (text, purpose) in [
        ("ahead", "prewarm"),
        ("do it", "turn"),
        ("sum it up", "compaction"),
        ("summed up", "turn"),
    ] {
        session.body(&body(text, purpose));
    }
    assert_eq!(session.roles(), ["0 prewarm", "0.1", "0 compaction", "0.2"]);
}

#[test]
fn twins_with_the_same_words_are_told_apart_by_their_calls() {
    let mut session = Session::default();
    let task = json!({ "prompt": "run the command" });
    session
        .ask(&[user("start both")])
        .calls("x", "task", task.clone())
        .calls("y", "task", task.clone());
    let twin = [user("run the command")];
    let after = |id: &str| {
        [
            user("run the command"),
            calling(id, "shell", &json!({})),
            result(id, "ok"),
        ]
    };
    session.ask(&twin).calls("a", "shell", json!({}));
    session.ask(&twin).calls("b", "shell", json!({}));
    session.ask(&after("b"));
    session.ask(&after("a"));
    let both = [
        user("start both"),
        calling("x", "task", &task),
        calling("y", "task", &task),
        result("x", "ok"),
        result("y", "ok"),
    ];
    session.ask(&both);
    assert_eq!(session.roles(), ["0.1", "1.1", "2.1", "2.2", "1.2", "0.2"]);
    let told = session.told();
    let begun: Vec<_> = told
        .agents
        .iter()
        .map(|agent| (agent.parent, agent.begun_by.as_deref()))
        .collect();
    assert_eq!(
        begun,
        [(None, None), (Some(0), Some("x")), (Some(0), Some("y"))]
    );
    assert_eq!(told.root(2), 0);
    let times = ToolTimes::of(&session.requests, &told);
    let of: Vec<_> = times
        .tools
        .iter()
        .map(|tool| {
            (
                tool.agent.unwrap(),
                tool.call_id.as_str(),
                tool.end - tool.start,
            )
        })
        .collect();
    assert_eq!(
        of,
        [(2, "b", 60), (1, "a", 260), (0, "x", 460), (0, "y", 460)]
    );
    assert!(times.tools.iter().all(|tool| tool.overlap_ns == Some(10)));
}

#[test]
fn an_agent_of_an_agent_belongs_to_the_one_whose_call_began_it() {
    let mut session = Session::default();
    let named = |asked: &mut Asked, agent: Option<&str>| {
        asked.headed("x-claude-code-session-id", "s");
        if let Some(agent) = agent {
            asked.headed("x-claude-code-agent-id", agent);
        }
    };
    named(
        session.ask(&[user("start")]).calls(
            "x",
            "Task",
            json!({ "prompt": "look into the tests" }),
        ),
        None,
    );
    named(
        session.ask(&[user("look into the tests")]).calls(
            "y",
            "Task",
            json!({ "prompt": "count them all" }),
        ),
        Some("one"),
    );
    named(session.ask(&[user("count them all")]), Some("two"));
    named(
        session.ask(&[user("something that nobody handed on")]),
        Some("three"),
    );
    let told = session.told();
    let parents: Vec<_> = told.agents.iter().map(|agent| agent.parent).collect();
    assert_eq!(parents, [None, Some(0), Some(1), Some(0)]);
    assert_eq!(told.root(2), 0);
}

#[test]
fn agents_of_a_session_that_do_not_name_themselves_are_told_apart_by_their_context() {
    let mut session = Session::default();
    let mut named = |messages: &[Value], call: Option<(&str, &str)>| {
        let asked = session
            .ask(messages)
            .headed("x-claude-code-session-id", "s");
        if let Some((id, prompt)) = call {
            asked.calls(id, "Task", json!({ "prompt": prompt }));
        }
    };
    let (one, two) = ("look into the tests", "count the lines");
    let after = |text: &str, id: &str| {
        let call = calling(id, "Task", &json!({ "prompt": "ls" }));
        [user(text), call, result(id, "ok")]
    };
    named(&[user("start")], Some(("x", one)));
    named(&[user(one)], Some(("a", "ls")));
    named(&after(one, "a"), None);
    let mut root = vec![
        user("start"),
        calling("x", "Task", &json!({ "prompt": one })),
        result("x", "ok"),
    ];
    named(&root, Some(("y", two)));
    named(&[user(two)], Some(("b", "ls")));
    named(&after(two, "b"), None);
    root.extend([
        calling("y", "Task", &json!({ "prompt": two })),
        result("y", "ok"),
    ]);
    named(&root, None);
    // Another session with the same words.
    session
        .ask(&[user("start")])
        .headed("x-claude-code-session-id", "t");
    assert_eq!(
        session.roles(),
        ["0.1", "1.1", "1.2", "0.2", "2.1", "2.2", "0.3", "3.1"]
    );
    let told = session.told();
    let parents: Vec<_> = told.agents.iter().map(|agent| agent.parent).collect();
    assert_eq!(parents, [None, Some(0), Some(0), None]);
    assert!(
        told.agents
            .iter()
            .all(|agent| agent.client == Some("claude-code"))
    );
    let times = ToolTimes::of(&session.requests, &told);
    let began: Vec<_> = times
        .tools
        .iter()
        .map(|tool| (tool.call_id.as_str(), tool.began))
        .collect();
    assert_eq!(
        began,
        [("a", None), ("x", Some(1)), ("b", None), ("y", Some(2))]
    );
}

#[test]
fn ids_that_a_server_gives_again_confuse_nobody() {
    let mut session = Session::default();
    let call = |command: &str| calling("call_0", "shell", &json!({ "command": command }));
    session
        .ask(&[user("do it")])
        .calls("call_0", "shell", json!({ "command": "ls" }));
    session
        .ask(&[user("other work")])
        .calls("call_0", "shell", json!({ "command": "pwd" }));
    session
        .ask(&[user("do it"), call("ls"), result("call_0", "ok")])
        .calls("call_0", "shell", json!({ "command": "make" }));
    session.ask(&[user("other work"), call("pwd"), result("call_0", "ok")]);
    session.ask(&[
        user("do it"),
        call("ls"),
        result("call_0", "ok"),
        call("make"),
        result("call_0", "done"),
    ]);
    assert_eq!(session.roles(), ["0.1", "1.1", "0.2", "1.2", "0.3"]);
    let times = ToolTimes::of(&session.requests, &session.told());
    let tools: Vec<_> = times
        .tools
        .iter()
        .map(|tool| (tool.agent.unwrap(), tool.turn, tool.end - tool.start))
        .collect();
    assert_eq!(tools, [(0, 1, 160), (1, 1, 160), (0, 2, 160)]);
}

#[test]
fn a_context_that_a_client_shortens_is_still_the_same() {
    let mut session = Session::default();
    let call = |id: &str| calling(id, "shell", &json!({}));
    session.ask(&[user("do it")]).calls("a", "shell", json!({}));
    session
        .ask(&[user("do it"), call("a"), result("a", "a long output")])
        .calls("b", "shell", json!({}));
    session
        .ask(&[
            user("do it"),
            call("a"),
            result("a", "(cleared)"),
            call("b"),
            result("b", "ok"),
        ])
        .says("done");
    session.ask(&[
        user("do it"),
        call("a"),
        result("a", "(cleared)"),
        call("b"),
        result("b", "ok"),
        assistant("done"),
        user("more"),
    ]);
    // The beginning is gone, but not the calls.
    session.ask(&[
        user("(the history is cut)"),
        call("b"),
        result("b", "ok"),
        user("more"),
    ]);
    // Somebody else, while nobody waits.
    session.ask(&[user("another task")]);
    assert_eq!(session.roles(), ["0.1", "0.2", "0.3", "0.4", "0.5", "1.1"]);
    assert_eq!(session.told().agents[1].parent, None);
}

#[test]
fn without_any_tools_every_request_is_a_turn() {
    let mut session = Session::default();
    session.plain(&[user("change it")]).says("like this");
    session.plain(&[user("change it"), assistant("like this"), user("thanks")]);
    assert_eq!(session.roles(), ["0.1", "0.2"]);
    // Beside those that have some, none is.
    session.ask(&[user("do it")]).calls("a", "shell", json!({}));
    session.plain(&[user("Generate a title: do it")]);
    session.plain(&[user("Is this page of use?")]);
    assert_eq!(session.roles(), ["title", "title", "0.1", "title", "other"]);
    // What is asked of a conversation in passing is no turn of it; its last words are.
    let mut session = Session::default();
    let grown = [user("do it"), assistant("done")];
    session.ask(&grown[..1]).says("done");
    let with = |text: &str| [&grown[..], &[user(text)]].concat();
    session.plain(&with("Who speaks next?")).says("the user");
    session.ask(&with("more")).says("more");
    let last = [
        &with("more")[..],
        &[assistant("more"), user("no more tools: say goodbye")],
    ]
    .concat();
    session.plain(&last);
    assert_eq!(session.roles(), ["0.1", "0 other", "0.2", "0.3"]);
}

#[test]
fn side_requests_are_told_apart_and_counted() {
    let mut session = Session::default();
    for (method, path, headers) in [
        ("HEAD", "/", &[][..]),
        ("GET", "/", &[]),
        ("HEAD", "/api/hello", &[]),
        ("GET", "/v1/models?limit=1", &[]),
        ("GET", "/v1/models/gpt-5", &[]),
        ("GET", "/api/tags", &[]),
        ("POST", "/v1/messages/count_tokens?beta=true", &[]),
        ("POST", "/v1beta/models/m:countTokens", &[]),
        ("POST", "/api/event_logging/batch", &[]),
        ("POST", "/v1/traces", &[]),
        ("GET", "/v1/responses", &[("upgrade", "websocket")]),
        ("POST", "/v1/files", &[]),
    ] {
        session.push(Asked {
            method: method.into(),
            path: path.into(),
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..Asked::default()
        });
    }
    let counts: Vec<_> = session
        .told()
        .sides()
        .into_iter()
        .map(|(side, count)| (side.name(), count))
        .collect();
    let expected = [
        ("token_count", 2),
        ("models", 3),
        ("probe", 3),
        ("upgrade", 1),
        ("telemetry", 2),
        ("other", 1),
    ];
    assert_eq!(counts, expected);
    // A body that looks like a turn does not make one of a count.
    let mut counting = Session::default();
    counting.ask(&[user("do it")]).path = "/v1/messages/count_tokens".into();
    assert_eq!(counting.roles(), ["token_count"]);
}

#[test]
fn results_without_ids_come_in_the_order_of_the_calls_and_calls_may_stay_unanswered() {
    let gemini = |contents: &Value| {
        let body = json!({ "contents": contents, "tools": [{ "functionDeclarations": [{ "name": "shell" }] }] });
        let path = "/v1beta/models/m:streamGenerateContent";
        let seen = RequestSeen::read(path, body.to_string().as_bytes()).map(|(_, seen)| seen);
        Asked {
            path: path.into(),
            method: "POST".into(),
            seen,
            ..Asked::default()
        }
    };
    let said = json!({ "role": "user", "parts": [{ "text": "do it" }] });
    let called =
        |name: &str, n: u32| json!({ "functionCall": { "name": name, "args": { "n": n } } });
    let calls = json!({ "role": "model", "parts": [called("shell", 1), called("edit", 1), called("shell", 2)] });
    let answered = |name: &str, output: &str| json!({ "functionResponse": { "name": name, "response": { "output": output } } });
    let results = json!({ "role": "user", "parts": [answered("shell", "one"), answered("shell", "three"), answered("edit", "tw")] });
    let mut session = Session::default();
    let first = session.push(gemini(&json!([said])));
    first.calls("r-call-0", "shell", json!({ "n": 1 }));
    first.calls("r-call-1", "edit", json!({ "n": 1 }));
    first.calls("r-call-2", "shell", json!({ "n": 2 }));
    session
        .push(gemini(&json!([said, calls, results])))
        .calls("r-call-0", "submit", json!({}));
    let cut = session.push(gemini(
        &json!([{ "role": "user", "parts": [{ "text": "another" }] }]),
    ));
    cut.cut().calls("never run", "shell", json!({}));
    let times = ToolTimes::of(&session.requests, &session.told());
    let tools: Vec<_> = times
        .tools
        .iter()
        .map(|tool| (tool.call_id.as_str(), tool.name.as_str(), tool.output_bytes))
        .collect();
    assert_eq!(
        tools,
        [
            ("r-call-0", "shell", 3),
            ("r-call-2", "shell", 5),
            ("r-call-1", "edit", 2)
        ]
    );
    let unanswered: Vec<_> = times
        .unanswered
        .iter()
        .map(|call| (call.turn, call.call.call.name.as_str()))
        .collect();
    assert_eq!(unanswered, [(2, "submit")]);
}

fn anything() -> impl Strategy<Value = Vec<Asked>> {
    let id = prop::sample::select(&["a", "b", "c"][..]);
    let text =
        prop::sample::select(&["do it", "run the command", "summarize all of it", "title"][..]);
    let message = prop_oneof![
        text.clone().prop_map(user),
        text.clone().prop_map(assistant),
        (id.clone(), text.clone()).prop_map(|(id, text)| calling(
            id,
            "shell",
            &json!({ "prompt": text })
        )),
        (id.clone(), text.clone()).prop_map(|(id, text)| result(id, text)),
    ];
    let asked = (
        prop::collection::vec(message, 0..5),
        prop::collection::vec((id.clone(), text.clone()), 0..3),
        (
            any::<bool>(),
            any::<bool>(),
            prop::option::of(id.clone()),
            prop::option::of(id.clone()),
        ),
        (0_u64..200, 0_u64..200, text),
    );
    let asked = asked.prop_map(
        |(messages, calls, (tools, cut, session, agent), (began, took, says))| {
            let mut body = json!({ "messages": messages });
            if tools {
                body["tools"] = json!([{ "name": "f" }]);
            }
            let seen = RequestSeen::read("/v1/chat/completions", body.to_string().as_bytes())
                .map(|(_, seen)| seen);
            let mut asked = Asked {
                began,
                done: began + took,
                method: "POST".into(),
                path: "/v1/chat/completions".into(),
                seen,
                body: Some(Digest::of_text(&body.to_string())),
                status: Some(200),
                is_cut: cut,
                ..Asked::default()
            };
            asked.says(says);
            for (id, text) in calls {
                asked.calls.push(AnsweredCall {
                    call: ToolCall {
                        call_id: id.into(),
                        name: "shell".into(),
                        arguments: json!({ "prompt": text }).to_string(),
                    },
                    at: began + took / 2,
                });
            }
            for (name, value) in [("x-session-id", session), ("x-parent-session-id", agent)] {
                value.map(|value| asked.headed(name, value));
            }
            asked
        },
    );
    prop::collection::vec(asked, 0..12).prop_map(|mut requests| {
        requests.sort_by_key(|asked| asked.began);
        requests
    })
}

proptest! {
    /// However requests are mixed, every one has a place, and turns are counted without a gap.
    #[test]
    fn every_request_has_a_place(requests in anything()) {
        let told = Conversations::of(&requests);
        prop_assert_eq!(told.placed.len(), requests.len());
        let mut turns = vec![0; told.agents.len()];
        for placed in &told.placed {
            if let Role::Turn { turn, retry } = placed.role {
                let turns = &mut turns[placed.agent.unwrap()];
                *turns += u32::from(retry == 0);
                prop_assert!(turn <= *turns && turn > 0);
                prop_assert_eq!(retry > 0, placed.repeats.is_some());
            }
        }
        let counted: Vec<u32> = told.agents.iter().map(|agent| agent.turns).collect();
        prop_assert_eq!(turns, counted);
        for (agent, known) in told.agents.iter().enumerate() {
            prop_assert!(known.parent.is_none_or(|parent| parent < agent));
            prop_assert!(told.agents[told.root(agent)].parent.is_none());
        }
        let times = ToolTimes::of(&requests, &told);
        prop_assert!(times.tools.iter().all(|tool| tool.start <= tool.end));
        let made: usize = requests.iter().map(|asked| asked.calls.len()).sum();
        prop_assert!(times.tools.len() + times.unanswered.len() <= made);
    }
}
