//! A server that behaves as the back end to which Codex talks when it is signed in with ChatGPT:
//! its path, its headers, what it refuses, and where tokens are made new. As far as that is
//! publicly known; nothing of it was seen at the provider.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Message, WebSocket};

pub const ACCOUNT: &str = "acct-5f0c2b7e-91d4";
pub const REFRESH: &str = "rt_2pWq8ZbNn7LsTt4k";
pub const NEXT_REFRESH: &str = "rt_9XcVb3MmQq1LzR6h";
pub const COOKIE: &str = "cfbm-Q7d2Jk90sXy-1764";

/// A token as the provider's own: three parts, of which the second says whose it is.
fn token(name: &str, expires: u64) -> String {
    let part = |value: Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let own = json!({
        "sub": name, "exp": expires, "email": "somebody@example.org",
        "https://api.openai.com/auth": {
            "chatgpt_plan_type": "pro", "chatgpt_account_id": ACCOUNT,
            "chatgpt_user_id": "user-1", "user_id": "user-1",
        },
    });
    let head = json!({ "alg": "RS256", "typ": "JWT" });
    let signature = BASE64URL_NOPAD.encode(format!("signature of {name}").as_bytes());
    format!("{}.{}.{signature}", part(head), part(own))
}

/// A token that has expired.
pub fn old_token() -> String {
    token("old", 1_700_000_000)
}

/// What it is exchanged for.
pub fn new_token() -> String {
    token("new", 4_000_000_000)
}

/// All that must be found nowhere.
pub fn secrets() -> Vec<String> {
    let tokens = [old_token(), new_token()];
    let signatures = tokens.iter().map(|token| token.rsplit_once('.').unwrap().1);
    let mut secrets: Vec<String> = signatures.map(str::to_owned).collect();
    secrets.extend([ACCOUNT, REFRESH, NEXT_REFRESH, COOKIE].map(str::to_owned));
    secrets.extend(tokens);
    secrets
}

/// What the server was asked: a line for each request and each message of a WebSocket.
pub type Asked = Arc<Mutex<Vec<String>>>;

/// Starts the server.
pub fn start() -> (SocketAddr, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Asked::default();
    let told = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, told) = (stream.unwrap(), Arc::clone(&told));
            std::thread::spawn(move || serve(&stream, &told));
        }
    });
    (address, asked)
}

struct Request {
    line: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Request {
    fn read(stream: &mut BufReader<&TcpStream>) -> Option<Self> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).ok()? == 0 {
                return None;
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let headers = lines.iter().skip(1).filter_map(|line| line.split_once(':'));
        let headers: BTreeMap<String, String> = headers
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let length = headers.get("content-length");
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        stream.read_exact(&mut body).ok()?;
        Some(Request {
            line: lines.first()?.clone(),
            headers,
            body,
        })
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Whoever asks is told the token that is refused, as some servers do.
    fn refusal(&self) -> Option<(&'static str, Value)> {
        let token = self.header("authorization");
        if token != format!("Bearer {}", new_token()) {
            let why = format!("the token {token} has expired");
            return Some((
                "401 Unauthorized",
                json!({ "error": { "code": "token_expired", "message": why } }),
            ));
        }
        let account = self.header("chatgpt-account-id");
        (account != ACCOUNT).then(|| ("403 Forbidden", json!({ "detail": "no such account" })))
    }
}

fn serve(stream: &TcpStream, asked: &Asked) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = Request::read(&mut reader) {
        let encoding = request.header("content-encoding").to_owned();
        let cookie = match request.header("cookie").contains(COOKIE) {
            true => " cookie",
            false => "",
        };
        let tell = |what: &str| {
            let line = request.line.trim_end_matches(" HTTP/1.1");
            let line = format!("{line} {encoding}{cookie} {what}");
            let line: Vec<&str> = line.split_whitespace().collect();
            asked.lock().unwrap().push(line.join(" "));
        };
        let path = request.line.split(' ').nth(1).unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        if path == "/oauth/token" {
            tell("refreshed");
            let tokens = json!({
                "id_token": new_token(), "access_token": new_token(), "refresh_token": NEXT_REFRESH,
            });
            respond(stream, "200 OK", "application/json", &tokens.to_string());
            continue;
        }
        if path != "/backend-api/codex/responses" {
            tell("404");
            respond(stream, "404 Not Found", "application/json", "{}");
            continue;
        }
        if let Some((status, body)) = request.refusal() {
            tell(&status[..3]);
            respond(stream, status, "application/json", &body.to_string());
            continue;
        }
        if request.header("upgrade").eq_ignore_ascii_case("websocket") {
            tell("101");
            let key = derive_accept_key(request.header("sec-websocket-key").as_bytes());
            let head = format!(
                "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
                 set-cookie: __cf_bm={COOKIE}; path=/; secure\r\nsec-websocket-accept: {key}\r\n\r\n"
            );
            (&mut &*stream).write_all(head.as_bytes()).unwrap();
            return converse(stream, asked);
        }
        let body = match encoding.as_str() {
            "zstd" => zstd::decode_all(&*request.body).unwrap(),
            _ => request.body.clone(),
        };
        match events(&serde_json::from_slice(&body).unwrap()) {
            Ok((events, what)) => {
                tell(what);
                let events = events.iter();
                let text: String = events.map(|event| format!("data: {event}\n\n")).collect();
                respond(stream, "200 OK", "text/event-stream", &text);
            }
            Err(why) => {
                tell("400");
                let body = json!({ "detail": why }).to_string();
                respond(stream, "400 Bad Request", "application/json", &body);
            }
        }
    }
}

fn respond(mut stream: &TcpStream, status: &str, media: &str, body: &str) {
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {media}\r\nset-cookie: __cf_bm={COOKIE}; path=/; \
         secure\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(answer.as_bytes());
}

fn converse(stream: &TcpStream, asked: &Asked) {
    let mut socket = WebSocket::from_raw_socket(stream, Role::Server, None);
    let mut tools = Value::Null;
    while let Ok(message) = socket.read() {
        let Message::Text(text) = message else {
            continue;
        };
        let mut request: Value = serde_json::from_str(&text).unwrap();
        // What goes on from an earlier response need not repeat them.
        match request["tools"].is_array() {
            true => tools.clone_from(&request["tools"]),
            false => request["tools"].clone_from(&tools),
        }
        let (events, what) = match events(&request) {
            Ok(answer) => answer,
            Err(why) => (
                vec![json!({ "type": "error", "status": 400, "error": { "message": why } })],
                "400",
            ),
        };
        asked.lock().unwrap().push(format!("message {what}"));
        for event in events {
            if socket.send(Message::text(event.to_string())).is_err() {
                return;
            }
        }
    }
}

/// The answer to a request: a call of whichever shell there is, and once its result has come a
/// text.
fn events(request: &Value) -> Result<(Vec<Value>, &'static str), String> {
    if !request["max_output_tokens"].is_null() {
        return Err("Unsupported parameter: max_output_tokens".to_owned());
    }
    if request["store"] != false {
        return Err("Store must be set to false".to_owned());
    }
    let Some(input) = request["input"].as_array() else {
        return Err("Input must be a list".to_owned());
    };
    static ANSWERS: AtomicU32 = AtomicU32::new(1);
    let id = format!("resp_{}", ANSWERS.fetch_add(1, Relaxed));
    let is_result = |item: &Value| item["type"] == "function_call_output";
    let (item, what) = match input.iter().any(is_result) {
        true => {
            let content =
                json!([{ "type": "output_text", "text": "It is done.", "annotations": [] }]);
            let message = json!({
                "type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                "content": content,
            });
            (Some(message), "text")
        }
        false if request["generate"] == false => (None, "prewarm"),
        false => {
            let no_shell = || format!("no shell is offered: {}", request["tools"]);
            let call = shell(&request["tools"]).ok_or_else(no_shell)?;
            (Some(call), "call")
        }
    };
    let mut events = vec![json!({ "type": "response.created", "response": { "id": id } })];
    events.extend(item.map(
        |item| json!({ "type": "response.output_item.done", "output_index": 0, "item": item }),
    ));
    let usage = json!({
        "input_tokens": 900, "input_tokens_details": { "cached_tokens": 800 },
        "output_tokens": 30, "output_tokens_details": { "reasoning_tokens": 0 },
        "total_tokens": 930,
    });
    events.push(json!({
        "type": "response.completed",
        "response": { "id": id, "status": "completed", "output": [], "usage": usage },
    }));
    Ok((events, what))
}

fn shell(tools: &Value) -> Option<Value> {
    let names = tools
        .as_array()?
        .iter()
        .filter_map(|tool| tool["name"].as_str());
    let (name, arguments) = names.into_iter().find_map(|name| {
        let arguments = match name {
            "exec_command" => json!({ "cmd": "echo done" }),
            "shell_command" => json!({ "command": "echo done" }),
            "shell" => json!({ "command": ["bash", "-c", "echo done"] }),
            _ => return None,
        };
        Some((name.to_owned(), arguments))
    })?;
    Some(json!({
        "type": "function_call", "id": "fc_1", "call_id": "call_1", "name": name,
        "arguments": arguments.to_string(), "status": "completed",
    }))
}
