//! Dialogues with agents as they were seen: what they said, and what is made of it.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// A dialogue, and all that is written to the agent.
struct Talk {
    dialogue: Box<dyn Dialogue>,
    written: Vec<Value>,
}

impl Talk {
    fn begin(protocol: &str, mode: Option<&str>) -> Self {
        let session = Session {
            directory: "/app".to_owned(),
            mode: mode.map(str::to_owned),
        };
        let mut dialogue = (by_name(protocol).unwrap().begin)(session);
        let written = dialogue.open();
        let mut talk = Talk {
            dialogue,
            written: Vec::new(),
        };
        talk.note(written);
        talk
    }

    fn note(&mut self, messages: Vec<Message>) {
        self.written
            .extend(messages.into_iter().map(|message| match message {
                Message::Line(line) => line,
                Message::Post { call, path, body } => {
                    json!({"call": call, "path": path, "body": body})
                }
            }));
    }

    fn says(&mut self, line: &Value) -> Vec<(u32, Said)> {
        let taken = self
            .dialogue
            .take(Came::Message(line.to_string().as_bytes()));
        self.note(taken.write);
        taken
            .said
            .into_iter()
            .map(|told| (told.ask, told.said))
            .collect()
    }

    fn answers(&mut self, call: u64, status: u16, body: &Value) -> Vec<(u32, Said)> {
        let body = body.to_string();
        let body = body.as_bytes();
        let taken = self.dialogue.take(Came::Answer { call, status, body });
        self.note(taken.write);
        taken
            .said
            .into_iter()
            .map(|told| (told.ask, told.said))
            .collect()
    }

    fn ask(&mut self, text: &str) {
        let messages = self.dialogue.ask(text);
        self.note(messages);
    }

    fn interrupt(&mut self) {
        let messages = self.dialogue.interrupt();
        self.note(messages);
    }

    fn steer(&mut self, text: &str) {
        let messages = self.dialogue.steer(text);
        self.note(messages);
    }

    /// What was written since the last time.
    fn wrote(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.written)
    }
}

fn text(ask: u32, text: &str) -> (u32, Said) {
    (ask, Said::Text(text.to_owned()))
}

fn started(ask: u32, id: &str, name: &str) -> (u32, Said) {
    let (id, name) = (id.to_owned(), name.to_owned());
    (ask, Said::ToolStarted { id, name })
}

fn ended(ask: u32, id: &str) -> (u32, Said) {
    (ask, Said::ToolEnded { id: id.to_owned() })
}

mod acp {
    use super::*;

    fn begun() -> Talk {
        let mut talk = Talk::begin("acp", Some("yes"));
        let wrote = talk.wrote();
        assert_eq!(wrote[0]["method"], "initialize");
        assert_eq!(wrote[0]["params"]["protocolVersion"], 1);
        talk.says(&json!({"jsonrpc": "2.0", "id": 1, "result": {"protocolVersion": 1}}));
        let new = json!({
            "jsonrpc": "2.0", "id": 2, "method": "session/new",
            "params": {"cwd": "/app", "mcpServers": []},
        });
        assert_eq!(talk.wrote(), [new]);
        talk.says(&json!({"jsonrpc": "2.0", "id": 2, "result": {"sessionId": "s"}}));
        let params = &talk.wrote()[0]["params"];
        assert_eq!(*params, json!({"sessionId": "s", "modeId": "yes"}));
        let ready = talk.says(&json!({"jsonrpc": "2.0", "id": 3, "result": {}}));
        assert_eq!(ready, [(0, Said::Ready)]);
        talk
    }

    fn update(fields: Value) -> Value {
        json!({
            "jsonrpc": "2.0", "method": "session/update",
            "params": {"sessionId": "s", "update": fields},
        })
    }

    fn chunk(text: &str) -> Value {
        update(json!({
            "sessionUpdate": "agent_message_chunk",
            "content": {"type": "text", "text": text},
        }))
    }

    #[test]
    fn an_answer_is_cancelled_and_the_next_one_is_another() {
        let mut talk = begun();
        talk.ask("one");
        let prompt = json!({
            "sessionId": "s", "prompt": [{"type": "text", "text": "one"}],
        });
        assert_eq!(talk.wrote()[0]["params"], prompt);
        assert_eq!(talk.says(&chunk("a")), [(1, Said::Started), text(1, "a")]);
        talk.interrupt();
        let cancel = json!({
            "method": "session/cancel", "params": {"sessionId": "s"}, "jsonrpc": "2.0",
        });
        assert_eq!(talk.wrote(), [cancel]);
        assert_eq!(talk.says(&chunk("b")), [text(1, "b")]);
        let end = json!({"jsonrpc": "2.0", "id": 4, "result": {"stopReason": "cancelled"}});
        let over = [(1, Said::Confirmed), (1, Said::Ended(End::Stopped))];
        assert_eq!(talk.says(&end), over);
        talk.ask("two");
        assert_eq!(talk.says(&chunk("c")), [(2, Said::Started), text(2, "c")]);
        let end = json!({"jsonrpc": "2.0", "id": 5, "result": {"stopReason": "end_turn"}});
        assert_eq!(talk.says(&end), [(2, Said::Ended(End::Finished))]);
    }

    #[test]
    fn tools_run_and_may() {
        let mut talk = begun();
        talk.ask("one");
        talk.wrote();
        let call = json!({
            "sessionUpdate": "tool_call", "toolCallId": "t", "title": "sleep 6",
            "kind": "execute", "status": "in_progress",
        });
        let said = [(1, Said::Started), started(1, "t", "sleep 6")];
        assert_eq!(talk.says(&update(call)), said);
        talk.says(&json!({
            "jsonrpc": "2.0", "id": "q", "method": "session/request_permission",
            "params": {"sessionId": "s", "toolCall": {"toolCallId": "t"}, "options": [
                {"optionId": "n", "name": "No", "kind": "reject_once"},
                {"optionId": "y", "name": "Yes", "kind": "allow_once"},
            ]},
        }));
        talk.says(&json!({"jsonrpc": "2.0", "id": 9, "method": "fs/read_text_file", "params": {}}));
        let answers = [
            json!({
                "id": "q", "jsonrpc": "2.0",
                "result": {"outcome": {"outcome": "selected", "optionId": "y"}},
            }),
            json!({
                "id": 9, "jsonrpc": "2.0", "error": {"code": -32601, "message": "not offered"},
            }),
        ];
        assert_eq!(talk.wrote(), answers);
        for (status, said) in [("in_progress", vec![]), ("failed", vec![ended(1, "t")])] {
            let call = json!({
                "sessionUpdate": "tool_call_update", "toolCallId": "t", "status": status,
            });
            assert_eq!(talk.says(&update(call)), said);
        }
        let unknown = update(json!({"sessionUpdate": "news"}));
        assert_eq!(talk.says(&unknown), [(1, Said::Unknown("news".into()))]);
    }

    #[test]
    fn another_prompt_before_the_end_is_refused_or_comes_next() {
        let mut talk = begun();
        talk.ask("one");
        talk.says(&chunk("a"));
        talk.steer("no");
        let refused = talk.says(&json!({
            "jsonrpc": "2.0", "id": 5, "error": {"code": -32602, "message": "busy"},
        }));
        assert_eq!(
            refused,
            [(2, Said::Steered(Steered::Refused("busy".into())))]
        );
        talk.steer("no");
        assert_eq!(talk.says(&chunk("b")), [text(1, "b")]);
        talk.says(&json!({"jsonrpc": "2.0", "id": 4, "result": {"stopReason": "end_turn"}}));
        let applied = [
            (3, Said::Steered(Steered::Applied)),
            (3, Said::Started),
            text(3, "c"),
        ];
        assert_eq!(talk.says(&chunk("c")), applied);
    }
}

mod codex {
    use super::*;

    fn begun() -> Talk {
        let mut talk = Talk::begin("codex", None);
        talk.says(&json!({"id": 1, "result": {}}));
        let wrote = talk.wrote();
        assert_eq!(wrote[0]["params"]["capabilities"]["experimentalApi"], true);
        assert_eq!(wrote[1], json!({"method": "initialized"}));
        assert_eq!(wrote[2]["params"]["cwd"], "/app");
        let ready = talk.says(&json!({"id": 2, "result": {"thread": {"id": "T"}}}));
        assert_eq!(ready, [(0, Said::Ready)]);
        talk
    }

    fn told(method: &str, mut params: Value) -> Value {
        params["threadId"] = json!("T");
        json!({"method": method, "params": params})
    }

    fn delta(turn: &str, text: &str) -> Value {
        told(
            "item/agentMessage/delta",
            json!({"turnId": turn, "delta": text}),
        )
    }

    fn over(turn: &str, status: &str) -> Value {
        told(
            "turn/completed",
            json!({"turn": {"id": turn, "status": status}}),
        )
    }

    #[test]
    fn what_is_late_is_of_its_own_turn() {
        let mut talk = begun();
        talk.ask("one");
        talk.wrote();
        // Before the turn has a name it cannot be interrupted.
        talk.interrupt();
        assert_eq!(talk.wrote(), [] as [Value; 0]);
        talk.says(&json!({"id": 3, "result": {"turn": {"id": "U"}}}));
        let interrupt = json!({
            "id": 4, "method": "turn/interrupt", "params": {"threadId": "T", "turnId": "U"},
        });
        assert_eq!(talk.wrote(), [interrupt]);
        assert_eq!(
            talk.says(&json!({"id": 4, "result": {}})),
            [(1, Said::Confirmed)]
        );
        assert_eq!(
            talk.says(&over("U", "interrupted")),
            [(1, Said::Ended(End::Stopped))]
        );
        talk.ask("two");
        talk.says(&json!({"id": 5, "result": {"turn": {"id": "V"}}}));
        assert_eq!(talk.says(&delta("V", "new")), [text(2, "new")]);
        assert_eq!(talk.says(&delta("U", "old")), [text(1, "old")]);
        let other = json!({"method": "turn/completed", "params": {"threadId": "X", "turn": {}}});
        assert_eq!(talk.says(&other), []);
        assert_eq!(
            talk.says(&over("V", "completed")),
            [(2, Said::Ended(End::Finished))]
        );
    }

    #[test]
    fn a_steer_is_taken_and_then_applied() {
        let mut talk = begun();
        talk.ask("one");
        talk.says(&json!({"id": 3, "result": {"turn": {"id": "U"}}}));
        talk.wrote();
        talk.steer("no");
        let params = &talk.wrote()[0]["params"];
        assert_eq!(params["expectedTurnId"], "U");
        let id = params["clientUserMessageId"].clone();
        let taken = talk.says(&json!({"id": 4, "result": {"turnId": "U"}}));
        assert_eq!(taken, [(1, Said::Steered(Steered::Taken))]);
        let item = json!({"type": "userMessage", "id": "i", "clientId": id});
        let applied = talk.says(&told("item/started", json!({"turnId": "U", "item": item})));
        assert_eq!(applied, [(1, Said::Steered(Steered::Applied))]);
        let speaks = json!({"turnId": "U", "item": {"type": "agentMessage", "id": "m"}});
        assert_eq!(talk.says(&told("item/started", speaks)), []);
        talk.steer("and again no");
        let id = talk.wrote()[0]["params"]["clientUserMessageId"].clone();
        let item = json!({"type": "userMessage", "id": "j", "clientId": id});
        let cut = talk.says(&told("item/started", json!({"turnId": "U", "item": item})));
        assert_eq!(cut, [(1, Said::Steered(Steered::Cut))]);
        talk.steer("late");
        let why = "no active turn to steer";
        let refused = talk.says(&json!({"id": 6, "error": {"code": -32600, "message": why}}));
        let expected = [(1, Said::Steered(Steered::Refused(why.into())))];
        assert_eq!(refused, expected);
    }

    #[test]
    fn tools_are_the_items_that_do_something() {
        let mut talk = begun();
        talk.ask("one");
        talk.says(&json!({"id": 3, "result": {"turn": {"id": "U"}}}));
        let item = |kind: &str| json!({"turnId": "U", "item": {"type": kind, "id": "i"}});
        let begins = talk.says(&told("item/started", item("commandExecution")));
        assert_eq!(begins, [started(1, "i", "commandExecution")]);
        let ends = talk.says(&told("item/completed", item("commandExecution")));
        assert_eq!(ends, [ended(1, "i")]);
        assert_eq!(talk.says(&told("item/started", item("reasoning"))), []);
    }
}

mod claude {
    use super::*;

    fn begun() -> Talk {
        let mut talk = Talk::begin("claude", None);
        let id = talk.wrote()[0]["request_id"].clone();
        let ready = talk.says(&json!({
            "type": "control_response", "response": {"subtype": "success", "request_id": id},
        }));
        assert_eq!(ready, [(0, Said::Ready)]);
        talk
    }

    fn stream(event: Value) -> Value {
        json!({"type": "stream_event", "event": event, "parent_tool_use_id": null})
    }

    fn delta(text: &str) -> Value {
        let delta = json!({"type": "text_delta", "text": text});
        stream(json!({"type": "content_block_delta", "index": 0, "delta": delta}))
    }

    #[test]
    fn an_interrupted_turn_is_no_failure() {
        let mut talk = begun();
        talk.ask("one");
        assert_eq!(talk.wrote()[0]["message"]["content"][0]["text"], "one");
        let start = stream(json!({"type": "message_start"}));
        assert_eq!(talk.says(&start), [(1, Said::Started)]);
        assert_eq!(talk.says(&delta("a")), [text(1, "a")]);
        talk.interrupt();
        let id = talk.wrote()[0]["request_id"].clone();
        let confirmed = talk.says(&json!({
            "type": "control_response", "response": {"subtype": "success", "request_id": id},
        }));
        assert_eq!(confirmed, [(1, Said::Confirmed)]);
        let result = json!({
            "type": "result", "subtype": "error_during_execution", "is_error": true,
            "terminal_reason": "aborted_streaming",
        });
        assert_eq!(talk.says(&result), [(1, Said::Ended(End::Stopped))]);
    }

    #[test]
    fn what_has_priority_cuts_the_answer() {
        let mut talk = begun();
        talk.ask("one");
        talk.says(&stream(json!({"type": "message_start"})));
        talk.wrote();
        talk.steer("no");
        assert_eq!(talk.wrote()[0]["priority"], "now");
        assert_eq!(talk.says(&delta("old")), [text(1, "old")]);
        let result = json!({
            "type": "result", "subtype": "success", "is_error": false,
            "terminal_reason": "aborted_streaming",
        });
        assert_eq!(talk.says(&result), [(1, Said::Ended(End::Stopped))]);
        let applied = [(2, Said::Steered(Steered::Applied)), (2, Said::Started)];
        assert_eq!(
            talk.says(&stream(json!({"type": "message_start"}))),
            applied
        );
        assert_eq!(talk.says(&delta("new")), [text(2, "new")]);
        let result = json!({"type": "result", "subtype": "success", "is_error": false});
        assert_eq!(talk.says(&result), [(2, Said::Ended(End::Finished))]);
    }

    #[test]
    fn tools_are_blocks_of_messages() {
        let mut talk = begun();
        talk.ask("one");
        let message =
            |role: &str, part: Value| json!({"type": role, "message": {"content": [part]}});
        let call = json!({"type": "tool_use", "id": "t", "name": "Bash", "input": {}});
        assert_eq!(
            talk.says(&message("assistant", call)),
            [started(1, "t", "Bash")]
        );
        let result = json!({"type": "tool_result", "tool_use_id": "t", "content": "x"});
        assert_eq!(talk.says(&message("user", result)), [ended(1, "t")]);
    }
}

mod opencode {
    use super::*;

    fn begun() -> Talk {
        let mut talk = Talk::begin("opencode", None);
        let session = json!({"call": 1, "path": "/session", "body": {"title": "timeslip"}});
        assert_eq!(talk.wrote(), [session]);
        let ready = talk.answers(1, 200, &json!({"id": "ses"}));
        assert_eq!(ready, [(0, Said::Ready)]);
        talk
    }

    fn event(kind: &str, mut properties: Value) -> Value {
        properties["sessionID"] = json!("ses");
        json!({"type": kind, "properties": properties})
    }

    fn message(id: &str, role: &str, parent: &str) -> Value {
        let info = json!({"id": id, "role": role, "parentID": parent, "sessionID": "ses"});
        event("message.updated", json!({"info": info}))
    }

    fn delta(message: &str, part: &str, text: &str) -> Value {
        let fields = json!({"messageID": message, "partID": part, "field": "text", "delta": text});
        event("message.part.delta", fields)
    }

    #[test]
    fn what_is_late_is_of_its_own_answer() {
        let mut talk = begun();
        talk.ask("one");
        let prompt = json!({
            "call": 2, "path": "/session/ses/prompt_async",
            "body": {"parts": [{"type": "text", "text": "one"}]},
        });
        assert_eq!(talk.wrote(), [prompt]);
        assert_eq!(talk.says(&message("q1", "user", "")), []);
        assert_eq!(
            talk.says(&message("a1", "assistant", "q1")),
            [(1, Said::Started)]
        );
        let thought = json!({"id": "r", "type": "reasoning", "messageID": "a1"});
        assert_eq!(
            talk.says(&event("message.part.updated", json!({"part": thought}))),
            []
        );
        assert_eq!(talk.says(&delta("a1", "r", "hm")), [(1, Said::Reasoning)]);
        assert_eq!(talk.says(&delta("a1", "p", "a")), [text(1, "a")]);
        talk.interrupt();
        let abort = json!({"call": 3, "path": "/session/ses/abort", "body": {}});
        assert_eq!(talk.wrote(), [abort]);
        assert_eq!(talk.answers(3, 200, &json!(true)), [(1, Said::Confirmed)]);
        let error = json!({"error": {"name": "MessageAbortedError", "data": {}}});
        assert_eq!(talk.says(&event("session.error", error)), []);
        let idle = event("session.idle", json!({}));
        assert_eq!(talk.says(&idle), [(1, Said::Ended(End::Stopped))]);
        talk.ask("two");
        // After an abort it is idle twice.
        assert_eq!(talk.says(&idle), []);
        talk.says(&message("q2", "user", ""));
        assert_eq!(
            talk.says(&message("a2", "assistant", "q2")),
            [(2, Said::Started)]
        );
        assert_eq!(talk.says(&delta("a1", "p", "old")), [text(1, "old")]);
        assert_eq!(talk.says(&delta("a2", "p2", "new")), [text(2, "new")]);
        assert_eq!(talk.says(&idle), [(2, Said::Ended(End::Finished))]);
    }

    #[test]
    fn a_tool_is_told_of_once() {
        let mut talk = begun();
        talk.ask("one");
        talk.says(&message("q1", "user", ""));
        talk.says(&message("a1", "assistant", "q1"));
        let tool = |status: &str| {
            let part = json!({
                "id": "p", "type": "tool", "callID": "t", "tool": "bash", "messageID": "a1",
                "state": {"status": status},
            });
            event("message.part.updated", json!({"part": part}))
        };
        assert_eq!(talk.says(&tool("pending")), []);
        assert_eq!(talk.says(&tool("running")), [started(1, "t", "bash")]);
        assert_eq!(talk.says(&tool("running")), []);
        assert_eq!(talk.says(&tool("completed")), [ended(1, "t")]);
    }
}

proptest! {
    /// Whatever an agent says, in whatever order, nothing panics, and nothing is of an ask that
    /// was never made.
    #[test]
    fn whatever_an_agent_says_is_taken(
        protocol in 0..PROTOCOLS.len(),
        acts in proptest::collection::vec(0_u8..4, 0..12),
        lines in proptest::collection::vec(hostile(), 0..30),
    ) {
        let mut dialogue = (PROTOCOLS[protocol].begin)(Session::default());
        dialogue.open();
        for (index, line) in lines.iter().enumerate() {
            let written = match acts.get(index) {
                Some(0) => dialogue.ask("a"),
                Some(1) => dialogue.steer("b"),
                Some(2) => dialogue.interrupt(),
                _ => Vec::new(),
            };
            drop(written);
            let call = index as u64;
            let taken = dialogue.take(Came::Message(line));
            let answer = dialogue.take(Came::Answer { call, status: 200, body: line });
            for told in taken.said.iter().chain(&answer.said) {
                prop_assert!(told.ask <= dialogue.asks());
            }
        }
    }
}

/// Lines as an agent could write them: right, nearly right, or anything.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let words = [
        "jsonrpc",
        "id",
        "method",
        "params",
        "result",
        "error",
        "update",
        "sessionUpdate",
        "agent_message_chunk",
        "session/update",
        "tool_call",
        "type",
        "stream_event",
        "event",
        "result",
        "assistant",
        "message",
        "content",
        "turn",
        "turnId",
        "threadId",
        "item",
        "turn/completed",
        "turn/started",
        "item/started",
        "properties",
        "sessionID",
        "part",
        "message.updated",
        "message.part.updated",
        "session.idle",
        "control_response",
        "control_request",
        "response",
        "request_id",
        "subtype",
        "delta",
        "text",
        "s",
        "",
        "1",
    ];
    let word = proptest::sample::select(words.to_vec());
    let leaf = prop_oneof![
        word.clone().prop_map(Value::from),
        (0_u64..6).prop_map(Value::from),
        Just(Value::Null),
        Just(Value::Bool(true)),
    ];
    let value = leaf.prop_recursive(3, 16, 4, move |inner| {
        let pair = (word.clone(), inner.clone());
        let fields = proptest::collection::vec(pair, 0..4);
        prop_oneof![
            proptest::collection::vec(inner, 0..3).prop_map(Value::from),
            fields.prop_map(|fields| {
                Value::Object(
                    fields
                        .into_iter()
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect(),
                )
            }),
        ]
    });
    prop_oneof![
        value.prop_map(|value| value.to_string().into_bytes()),
        proptest::collection::vec(any::<u8>(), 0..20),
    ]
}
