//! Helpers shared by the tests of the command line.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A profile that is quick enough for tests and still has every stage.
pub const QUICK_PROFILE: &str = r#"
model = "quick"
decode_tokens_per_second = 20000.0
resolve_rate = 1.0
prefill_tokens_per_second = 200000.0
cached_tokens_per_second = 2000000.0
tokens_per_event = 2
jitter = 0.1
queue_slots = 8
request_overhead_ms = 2.0
link_round_trip_ms = 3.0
"#;

/// Writes a configuration with a fast and a slower quick endpoint. Tests share their
/// machine, so a client that lags is no reason to fail.
pub fn quick_config(folder: &Path) -> std::path::PathBuf {
    let slow = QUICK_PROFILE
        .replace("20000.0", "2000.0")
        .replace("resolve_rate = 1.0", "resolve_rate = 0.0");
    std::fs::write(folder.join("fast.toml"), QUICK_PROFILE).unwrap();
    std::fs::write(folder.join("slow.toml"), slow).unwrap();
    let config = folder.join("timeslip.toml");
    let text = format!(
        "[run]\nendpoints = [\"fast\", \"slow\"]\ndirectory = {runs:?}\n\
         [limits]\nclient_lag_ms = 2000.0\n\
         [endpoint.fast]\nsimulate = {fast:?}\ntransport = \"websocket\"\n\
         [endpoint.slow]\nsimulate = {slow:?}\ntransport = \"http-sse\"\n",
        runs = folder.join("runs"),
        fast = folder.join("fast.toml"),
        slow = folder.join("slow.toml"),
    );
    std::fs::write(&config, text).unwrap();
    config
}

/// A recording that ends with the test, however that ends.
pub struct Recording(pub Child);

impl Drop for Recording {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A recording that serves any client, before the server at a base URL; where it listens.
pub fn record(folder: &Path, arguments: &[&str], upstream: &str) -> (Recording, SocketAddr) {
    let child = Command::new(env!("CARGO_BIN_EXE_timeslip"))
        .current_dir(folder)
        .args(["record", "--listen", "127.0.0.1:0", "--upstream", upstream])
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut recording = Recording(child.unwrap());
    let mut words = BufReader::new(recording.0.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("base URL http://") {
        line.clear();
        assert!(words.read_line(&mut line).unwrap() > 0, "it ended");
    }
    std::thread::spawn(move || words.read_to_end(&mut Vec::new()));
    let (_, url) = line.split_once("http://").unwrap();
    let address = url.split([';', '/']).next().unwrap().trim().parse();
    (recording, address.unwrap())
}

/// The `timeslip` command.
pub fn timeslip() -> assert_cmd::Command {
    assert_cmd::Command::new(env!("CARGO_BIN_EXE_timeslip"))
}
