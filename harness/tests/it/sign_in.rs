//! A client with a sign-in of its own: it works through the proxy, and nothing of it is stored.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use timeslip_datasets::run::RunDirectory;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::chatgpt::{self, ACCOUNT, COOKIE, new_token, old_token};
use crate::record::walk;
use crate::support::{record, timeslip};

const PATH: &str = "/backend-api/codex/responses";

/// The headers of a client that is signed in.
fn head(token: &str) -> String {
    format!(
        "authorization: Bearer {token}\r\nchatgpt-account-id: {ACCOUNT}\r\noriginator: codex_exec\r\n\
         session_id: 019a-1\r\nversion: 0.171.0\r\n"
    )
}

fn body(input: &[Value]) -> Value {
    let tool = json!({ "type": "function", "name": "exec_command", "parameters": {} });
    json!({
        "model": "gpt-5.3-codex", "stream": true, "store": false, "input": input,
        "tools": [tool], "client_metadata": { "account": ACCOUNT },
    })
}

fn post(stream: &mut TcpStream, headers: &str, body: &[u8]) -> (u16, String) {
    let length = body.len();
    write!(
        stream,
        "POST {PATH} HTTP/1.1\r\nhost: x\r\n{headers}content-type: application/json\r\n\
         content-length: {length}\r\n\r\n"
    )
    .unwrap();
    stream.write_all(body).unwrap();
    let mut reader = BufReader::new(stream);
    let (mut status, mut length) = (String::new(), 0);
    reader.read_line(&mut status).unwrap();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut answer = vec![0; length];
    reader.read_exact(&mut answer).unwrap();
    let status = status.split(' ').nth(1).unwrap().parse().unwrap();
    (status, String::from_utf8(answer).unwrap())
}

/// Nothing of a sign-in is in any file of a run.
fn assert_nothing_is_stored(run: &Path) {
    let bodies = RunDirectory::open(run).unwrap().0.read_bodies().unwrap();
    let mut texts: Vec<(String, Vec<u8>)> = walk(run)
        .into_iter()
        .map(|path| (path.display().to_string(), std::fs::read(path).unwrap()))
        .collect();
    let mut bodies = bodies.unwrap();
    for line in std::fs::read_to_string(run.join("bodies.jsonl"))
        .unwrap()
        .lines()
    {
        let line: Value = serde_json::from_str(line).unwrap();
        if let Some(name) = line["body"].as_str() {
            texts.push((name.to_owned(), bodies.read(name).unwrap().unwrap()));
        }
    }
    for secret in chatgpt::secrets() {
        for (place, text) in &texts {
            let found = text
                .windows(secret.len())
                .any(|part| part == secret.as_bytes());
            assert!(!found, "{secret} is in {place}");
        }
    }
}

fn exchanges(run: &Path) -> Vec<Value> {
    let journal = std::fs::read_to_string(run.join("journal.jsonl")).unwrap();
    let lines = journal
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["event"] == "exchange").collect()
}

#[test]
fn a_sign_in_passes_through_and_is_stored_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let (backend, asked) = chatgpt::start();
    let upstream = format!("http://{backend}/backend-api/codex");
    let (mut recording, proxy) = record(folder.path(), &["--agent", "codex"], &upstream);
    let recording = &mut recording.0;
    let question = json!({ "type": "message", "role": "user", "content": "Say done." });
    let call = json!({
        "type": "function_call", "call_id": "call_1", "name": "exec_command",
        "arguments": "{\"cmd\":\"echo done\"}",
    });
    let result = json!({ "type": "function_call_output", "call_id": "call_1", "output": "done" });
    let first = body(std::slice::from_ref(&question));
    let second = body(&[question, call, result.clone()]);
    let zstd = |body: &Value| zstd::encode_all(body.to_string().as_bytes(), 3).unwrap();
    let mut stream = TcpStream::connect(proxy).unwrap();
    let compressed = |token: &str| head(token) + "content-encoding: zstd\r\n";
    let (status, answer) = post(&mut stream, &compressed(&old_token()), &zstd(&first));
    assert_eq!(status, 401);
    assert!(
        answer.contains(&old_token()),
        "the answer passes as it came"
    );
    let cookie = format!("cookie: __cf_bm={COOKIE}\r\n");
    let headers = compressed(&new_token()) + &cookie;
    let (status, answer) = post(&mut stream, &headers, &zstd(&first));
    assert!(
        status == 200 && answer.contains("function_call"),
        "{answer}"
    );
    let (status, answer) = post(&mut stream, &headers, &zstd(&second));
    assert!(status == 200 && answer.contains("It is done."), "{answer}");
    let mut refused = second.clone();
    refused["max_output_tokens"] = json!(5);
    let plain = head(&new_token()) + &cookie;
    let (status, answer) = post(&mut stream, &plain, refused.to_string().as_bytes());
    assert!(
        status == 400 && answer.contains("Unsupported parameter"),
        "{answer}"
    );

    let mut request = format!("ws://{proxy}{PATH}").into_client_request().unwrap();
    for line in (plain + "session_id: 019a-2\r\n").lines() {
        let (name, value) = line.split_once(": ").unwrap();
        let name: tokio_tungstenite::tungstenite::http::HeaderName = name.parse().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let socket = TcpStream::connect(proxy).unwrap();
    let (mut socket, _) = tokio_tungstenite::tungstenite::client(request, socket).unwrap();
    let mut message = second.clone();
    message["type"] = json!("response.create");
    socket.send(Message::text(message.to_string())).unwrap();
    while !socket
        .read()
        .unwrap()
        .to_text()
        .unwrap()
        .contains("response.completed")
    {}
    drop((socket, stream));
    kill_process(Pid::from_child(recording), Signal::INT).unwrap();
    assert!(recording.wait().unwrap().success());

    let post = format!("POST {PATH}");
    assert_eq!(
        *asked.lock().unwrap(),
        [
            format!("{post} zstd 401"),
            format!("{post} zstd cookie call"),
            format!("{post} zstd cookie text"),
            format!("{post} cookie 400"),
            format!("GET {PATH} cookie 101"),
            "message text".to_owned(),
        ]
    );
    let run = folder.path().join("runs/latest");
    let exchanges = exchanges(&run);
    let told: Vec<_> = exchanges
        .iter()
        .map(|one| {
            (
                one["transport"].as_str().unwrap(),
                one["error"].as_str().is_some(),
            )
        })
        .collect();
    let (sse, websocket) = ("http-sse", "websocket");
    assert_eq!(
        told,
        [
            (sse, true),
            (sse, false),
            (sse, false),
            (sse, true),
            // Its opening, and the message over it.
            (websocket, false),
            (websocket, false)
        ]
    );
    let (directory, manifest) = RunDirectory::open(&run).unwrap();
    let endpoint = &manifest.plan.endpoints[0];
    assert_eq!(
        (&*endpoint.protocol, &*endpoint.model),
        ("responses", "gpt-5.3-codex")
    );
    let mut bodies = directory.read_bodies().unwrap().unwrap();
    let name = exchanges[1]["request_body"].as_str().unwrap();
    let kept: Value = serde_json::from_slice(&bodies.read(name).unwrap().unwrap()).unwrap();
    assert_eq!(kept["input"], first["input"], "its encoding is undone");
    assert_nothing_is_stored(&run);
}

/// Where `scripts/clients` has installed Codex.
fn codex() -> Option<PathBuf> {
    let home = std::env::var_os("CLIENTS_HOME").map(PathBuf::from);
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/clients");
    let program = home.unwrap_or(own).join("npm/node_modules/.bin/codex");
    program.exists().then_some(program)
}

#[test]
fn codex_itself_is_recorded_as_it_is_signed_in() {
    let Some(codex) = codex() else {
        eprintln!("skipped: Codex is not installed; scripts/clients codex-http does it");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (backend, asked) = chatgpt::start();
    let home = folder.path().join("codex");
    std::fs::create_dir(&home).unwrap();
    let auth = json!({
        "auth_mode": "chatgpt", "OPENAI_API_KEY": null, "last_refresh": "2026-01-01T00:00:00Z",
        "tokens": {
            "id_token": old_token(), "access_token": old_token(),
            "refresh_token": chatgpt::REFRESH, "account_id": ACCOUNT,
        },
    });
    std::fs::write(home.join("auth.json"), auth.to_string()).unwrap();
    let output = timeslip()
        .current_dir(folder.path())
        .env("CODEX_HOME", &home)
        .env(
            "CODEX_REFRESH_TOKEN_URL_OVERRIDE",
            format!("http://{backend}/oauth/token"),
        )
        .env_remove("OPENAI_API_KEY")
        .args([
            "record",
            "--upstream",
            &format!("http://{backend}/backend-api/codex"),
            "--",
        ])
        .arg(codex)
        .args([
            "exec",
            "--skip-git-repo-check",
            "--dangerously-bypass-approvals-and-sandbox",
        ])
        .args(["--model", "gpt-5.3-codex", "Say done."])
        .timeout(std::time::Duration::from_secs(120))
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let asked = asked.lock().unwrap().join("\n");
    assert!(output.status.success(), "{words}\n{asked}");
    assert!(
        asked.contains("refreshed") && asked.contains(" text"),
        "{words}\n{asked}"
    );
    let run = folder.path().join("runs/latest");
    let turns = exchanges(&run);
    let turns = turns.iter().filter(|one| one["turn"].as_u64() > Some(0));
    let errors: Vec<&Value> = turns.map(|one| &one["error"]).collect();
    assert_eq!(errors, [&Value::Null; 2], "{words}\n{asked}");
    assert_nothing_is_stored(&run);
}
