//! `timeslip probe` against servers whose profile is known.

use timeslip_simulator::Profile;

use crate::support::timeslip;

const PROFILE: &str = r#"
model = "known"
decode_tokens_per_second = 400.0
decode_slowdown_per_1k_context = 0.05
resolve_rate = 0.5
prefill_tokens_per_second = 20000.0
cached_tokens_per_second = 200000.0
tokens_per_event = 2
jitter = 0.1
queue_slots = 8
request_overhead_ms = 30.0
link_round_trip_ms = 20.0
"#;

/// Probes an endpoint with the known profile and reads the profile that comes out.
fn probed(protocol: &str, transport: &str) -> Profile {
    let folder = tempfile::tempdir().unwrap();
    let known = folder.path().join("known.toml");
    std::fs::write(&known, PROFILE).unwrap();
    let config = folder.path().join("timeslip.toml");
    std::fs::write(
        &config,
        format!(
            "[endpoint.known]\nsimulate = {known:?}\nprotocol = \"{protocol}\"\ntransport = \"{transport}\"\n"
        ),
    )
    .unwrap();
    let output = folder.path().join("probed.toml");
    let run = timeslip()
        .args(["probe", "known", "--context", "6000", "--repetitions", "2"])
        .args(["--tokens", "64"])
        .arg("--config")
        .arg(&config)
        .arg("--output")
        .arg(&output)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&run.stdout);
    assert!(
        run.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&run.stderr)
    );
    assert!(text.contains("SIMULATED"), "{text}");
    // What `serve` reads is what was written.
    Profile::load(output.to_str().unwrap()).unwrap()
}

/// Tries of one endpoint: a machine that stalls disturbs some, a wrong estimate all.
const TRIES: usize = 3;

fn close(what: &str, found: f64, known: f64, share: f64) -> Result<(), String> {
    match (found / known - 1.0).abs() <= share {
        true => Ok(()),
        false => Err(format!("{what}: found {found}, known {known}")),
    }
}

fn check(protocol: &str, transport: &str) {
    let mut problems = Vec::new();
    for _ in 0..TRIES {
        match compare(protocol, &probed(protocol, transport)) {
            Ok(()) => return,
            Err(problem) => problems.push(problem),
        }
    }
    panic!("{protocol} over {transport}: {problems:?}");
}

fn compare(protocol: &str, found: &Profile) -> Result<(), String> {
    // What is small beside them is found less exactly.
    let silent = found
        .notes
        .iter()
        .any(|note| note.contains("no cached tokens"));
    assert_eq!(
        silent,
        protocol == "ollama",
        "which reports none: {:?}",
        found.notes
    );
    assert_eq!((found.model.as_str(), found.tokens_per_event), ("known", 2));
    close("prefill", found.prefill_tokens_per_second, 20_000.0, 0.05)?;
    close("round trip", found.link_round_trip_ms, 20.0, 0.05)?;
    close("decode", found.decode_tokens_per_second, 400.0, 0.05)?;
    if !silent {
        close("cached", found.cached_tokens_per_second, 200_000.0, 0.5)?;
    }
    close("overhead", found.request_overhead_ms, 30.0, 0.25)?;
    close("slowdown", found.decode_slowdown_per_1k_context, 0.05, 0.5)
}

#[test]
fn a_websocket_endpoint_is_found_out() {
    check("responses", "websocket");
}

#[test]
fn an_http_endpoint_is_found_out() {
    check("chat-completions", "http-sse");
}

#[test]
fn every_other_protocol_is_found_out_as_well() {
    let others = timeslip_wire::protocols::names()
        .filter(|name| !["responses", "chat-completions"].contains(name));
    std::thread::scope(|scope| {
        for protocol in others {
            scope.spawn(move || check(protocol, "http-sse"));
        }
    });
}
