//! Two endpoints at one server share its prompt cache: the report says so, and a salt keeps
//! them apart.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use serde_json::Value;
use timeslip::run::endpoints;
use timeslip_simulator::{Options, Profile, Running};
use timeslip_suites::Suite;

use crate::support::{QUICK_PROFILE, timeslip};

fn serve(folder: &Path) -> Running {
    let profile = folder.join("quick.toml");
    std::fs::write(&profile, QUICK_PROFILE).unwrap();
    let profile = Profile::load(profile.to_str().unwrap()).unwrap();
    let suites = Suite::shipped(folder).unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let options = endpoints::simulated(address, "quick", profile, 1, &suites, None).unwrap();
    endpoints::serve(Options {
        any_model: true,
        ..options
    })
    .unwrap()
}

/// What the report of a run warns of, and the cached tokens of its very first prompts.
fn run(folder: &Path, server: &Running, fields: &str) -> (Vec<String>, Vec<Option<u64>>) {
    let url = format!("base_url = \"http://{}/v1\"\nmodel = \"m\"", server.address);
    let config = format!(
        "[run]\nendpoints = [\"a\", \"b\"]\nconcurrency = 1\n[limits]\nclient_lag_ms = 2000.0\n\
         [endpoint.a]\n{url}\n{fields}\n[endpoint.b]\n{url}\ntransport = \"websocket\"\n{fields}\n"
    );
    std::fs::write(folder.join("timeslip.toml"), config).unwrap();
    let output = timeslip()
        .current_dir(folder)
        .args(["run", "--suite", "terminal-mini", "--task", "word-tally"])
        .output()
        .unwrap();
    let run = folder.join("runs/latest");
    let read = |name: &str| std::fs::read_to_string(run.join(name)).unwrap();
    let summary: Value = serde_json::from_str(&read("summary.json")).unwrap();
    let warnings = summary["warnings"].as_array().unwrap().iter();
    let warnings: Vec<String> = warnings
        .map(|warning| warning.as_str().unwrap().to_owned())
        .collect();
    let terminal = String::from_utf8(output.stdout).unwrap();
    let page = read("report.html");
    for warning in warnings.iter().filter(|text| text.contains("prompt cache")) {
        let start = &warning[..40];
        assert!(
            terminal.contains(start) && page.contains(start),
            "{terminal}"
        );
    }
    let journal = read("journal.jsonl");
    let lines = journal.lines().skip(1);
    let lines = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
    let first = lines.filter(|line| line["event"] == "exchange" && line["turn"] == 1);
    let cached = first.map(|line| line["usage"]["cached_tokens"].as_u64());
    (warnings, cached.collect())
}

#[test]
fn a_shared_prompt_cache_is_told_and_a_salt_keeps_prompts_apart() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path());
    let (warnings, cached) = run(folder.path(), &server, "");
    let told: Vec<&String> = warnings
        .iter()
        .filter(|text| text.contains("cache"))
        .collect();
    assert!(cached[0] == Some(0) && cached[1] > Some(0), "{cached:?}");
    assert_eq!(told.len(), 1, "{warnings:?}");
    let told = told[0];
    assert!(
        told.starts_with("b: of 1 first prompt, 1 was known"),
        "{told}"
    );
    assert!(
        told.contains("which it may share with a") && told.contains("`salt = true`"),
        "{told}"
    );

    // Both know the prompts of the run before.
    let (warnings, _) = run(folder.path(), &server, "");
    let known = warnings.iter().filter(|text| text.contains("prompt cache"));
    assert_eq!(known.count(), 2, "{warnings:?}");

    let (warnings, cached) = run(folder.path(), &server, "salt = true");
    assert_eq!(cached, [Some(0), Some(0)]);
    assert!(
        !warnings.iter().any(|text| text.contains("cache")),
        "{warnings:?}"
    );
}
