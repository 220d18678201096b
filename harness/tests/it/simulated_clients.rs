//! A client with nothing but a shell tool of its own works on the bundled tasks: what the
//! recordings do must come out the same through its tool.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use timeslip::run::endpoints;
use timeslip_simulator::Profile;
use timeslip_suites::{Limits, Sandbox, Suite, SuiteFile, Workspace, grade, sandbox};

const LIMITS: Limits = Limits {
    wall: Duration::from_secs(60),
    output_bytes: 64 * 1024,
    memory_mb: 4096,
};

fn ask(server: SocketAddr, messages: &[Value]) -> Value {
    let parameters = json!({
        "type": "object",
        "properties": { "command": { "type": "string" }, "description": { "type": "string" } },
        "required": ["command", "description"],
    });
    let function = json!({ "name": "Bash", "parameters": parameters });
    let tools = json!([{ "type": "function", "function": function }]);
    let body = json!({ "model": "m", "messages": messages, "tools": tools }).to_string();
    let mut stream = TcpStream::connect(server).unwrap();
    write!(
        stream,
        "POST /v1/chat/completions HTTP/1.0\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    let mut answer: Value = serde_json::from_str(body).unwrap();
    answer["choices"][0]["message"].take()
}

/// Works until the model says something without calling the tool.
fn work(server: SocketAddr, instruction: &str, workspace: &Workspace, sandbox: &Sandbox) {
    let mut messages = vec![json!({ "role": "user", "content": instruction })];
    loop {
        let message = ask(server, &messages);
        messages.push(message.clone());
        let Some(call) = message["tool_calls"].get(0) else {
            return;
        };
        assert!(message["tool_calls"].get(1).is_none(), "one at a time");
        let arguments = call["function"]["arguments"].as_str().unwrap();
        let arguments: Value = serde_json::from_str(arguments).unwrap();
        assert!(arguments["description"].is_string());
        let command = arguments["command"].as_str().unwrap();
        let ran = sandbox.run(&workspace.invocation(command, LIMITS)).unwrap();
        messages.push(json!({
            "role": "tool", "tool_call_id": call["id"], "content": ran.text(),
        }));
        assert!(messages.len() < 200, "the recording never ends");
    }
}

fn check(suite: &str) {
    let backend = sandbox::by_name("bubblewrap").filter(|backend| backend.check().is_ok());
    let backend = backend.or(sandbox::by_name("process")).unwrap();
    let sandbox = Sandbox::new(backend).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let suite = Suite::load(&SuiteFile::shipped(suite).unwrap(), scratch.path()).unwrap();
    for solves in [true, false] {
        let profile = Profile {
            resolve_rate: f64::from(u8::from(solves)),
            decode_tokens_per_second: 1e6,
            request_overhead_ms: 0.0,
            link_round_trip_ms: 0.0,
            ..Profile::load("spark-sim").unwrap()
        };
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let suites = std::slice::from_ref(&suite);
        let server = endpoints::simulate(address, "p", profile, 1, suites, None).unwrap();
        for task in &suite.tasks {
            let scratch = tempfile::tempdir().unwrap();
            let workspace =
                Workspace::prepare(&task.workspace, &sandbox, &scratch.path().join("trial"))
                    .unwrap();
            work(
                server.address,
                &task.steps[0].instruction,
                &workspace,
                &sandbox,
            );
            let grade = grade(task, &workspace, &sandbox).unwrap();
            assert_eq!(grade.resolved, solves, "{}: {grade:?}", task.id);
        }
    }
}

#[test]
fn swe_mini_through_a_shell_tool() {
    check("swe-mini");
}

#[test]
fn terminal_mini_through_a_shell_tool() {
    check("terminal-mini");
}
