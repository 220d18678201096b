//! Writes a run directory as a run of many trials leaves it: two endpoints, each task once on
//! either, about twelve turns a trial with a tool call each, about ten output events a turn.
//! What it says is drawn by a fixed seed; what it took to read it is measured with
//!
//! ```text
//! cargo run --release -p timeslip-reports --example large_run -- /tmp/large 10000
//! /usr/bin/time -v timeslip report /tmp/large/latest
//! ```

use std::error::Error;
use std::path::Path;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::json;
use timeslip_datasets::run::RunDirectory;
use timeslip_datasets::run::journal::{
    EndedBy, Event, EventColumns, EventKind, Exchange, Marks, Outcome, Record, Reported,
    StreamEvent, StreamShape, TcpSample, Tool, TrialFinished, TrialKey, TrialStarted, Usage,
    Warmth, Writer,
};
use timeslip_datasets::run::plan::{Plan, PlannedEndpoint, PlannedSuite};

const SUITE: &str = "swe-bench-verified";
const SEED: u64 = 11;

/// Trials at once: their lines lie between each other's.
const CONCURRENCY: usize = 8;

const US: u64 = 1_000;
const MS: u64 = 1_000_000;

/// An endpoint and its speed.
struct Speed {
    name: &'static str,
    protocol: &'static str,
    transport: &'static str,
    ttft: u64,
    gap: u64,
    /// Of a hundred trials so many are resolved.
    resolved: u64,
}

const SPEEDS: [Speed; 2] = [
    Speed {
        name: "fast",
        protocol: "responses",
        transport: "websocket",
        ttft: 90 * MS,
        gap: MS,
        resolved: 58,
    },
    Speed {
        name: "slow",
        protocol: "chat-completions",
        transport: "http-sse",
        ttft: 230 * MS,
        gap: 15 * MS,
        resolved: 77,
    },
];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [parent, trials] = arguments.as_slice() else {
        return Err("usage: large_run PARENT TRIALS".into());
    };
    let plan = plan(trials.parse()?)?;
    let keys = plan.trials.clone();
    let (directory, _) =
        RunDirectory::create(Path::new(parent), "process", Vec::new(), Vec::new(), plan)?;
    let journal = directory.journal();
    let mut writer = Writer::resume(&journal, std::fs::metadata(&journal)?.len())?;
    let mut draw = Draw(ChaCha8Rng::seed_from_u64(SEED));
    for at_once in keys.chunks(CONCURRENCY) {
        let mut events: Vec<_> = at_once
            .iter()
            .map(|key| (key, trial(key, &mut draw).into_iter()))
            .collect();
        let mut under_way = true;
        while under_way {
            under_way = false;
            for (key, events) in &mut events {
                if let Some(event) = events.next() {
                    let trial = (*key).clone();
                    writer.append(&Record { trial, event })?;
                    under_way = true;
                }
            }
        }
    }
    println!("{}", directory.path().display());
    Ok(())
}

fn plan(trials: usize) -> Result<Plan, Box<dyn Error>> {
    let endpoints = SPEEDS.iter().map(|speed| {
        serde_json::from_value::<PlannedEndpoint>(json!({
            "name": speed.name, "model": format!("{}-model", speed.name),
            "protocol": speed.protocol, "transport": speed.transport,
            "base_url": "http://127.0.0.1:1/v1", "headers": {}, "body": {},
            "price": {"input": 1.0, "cached_input": 0.1, "output": 8.0, "priced_at": "2026-11"},
        }))
    });
    let key = |index: usize| TrialKey {
        suite: SUITE.into(),
        task: format!("maintainers__library-{}", 10_000 + index / SPEEDS.len()),
        endpoint: SPEEDS[index % SPEEDS.len()].name.into(),
        attempt: 1,
    };
    Ok(Plan {
        suites: vec![PlannedSuite::of(
            &json!({"name": SUITE, "source": "made up"}),
        )?],
        endpoints: endpoints.collect::<Result<_, _>>()?,
        attempts: 1,
        concurrency: CONCURRENCY as u32,
        arrivals: Default::default(),
        seed: SEED,
        limits: Default::default(),
        suite_limits: Default::default(),
        trials: (0..trials).map(key).collect(),
        tags: Default::default(),
    })
}

struct Draw(ChaCha8Rng);

impl Draw {
    /// From `low` up to below `high`.
    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.0.next_u64() % (high - low)
    }

    /// A duration around this one, seldom far above it.
    fn around(&mut self, ns: u64) -> u64 {
        let usual = self.between(ns * 4 / 5, ns * 6 / 5);
        match self.between(0, 100) {
            0 => usual * 5,
            _ => usual,
        }
    }

    fn id(&mut self, prefix: &str) -> String {
        format!("{prefix}_{:048x}", self.0.next_u64())
    }
}

fn trial(key: &TrialKey, draw: &mut Draw) -> Vec<Event> {
    let speed = SPEEDS.iter().find(|speed| speed.name == key.endpoint);
    let speed = speed.unwrap_or(&SPEEDS[0]);
    let mut events = vec![Event::TrialStarted(TrialStarted {
        at: "2026-11-29T00:59:43.579843584Z".into(),
        setup_ns: draw.around(40 * MS),
        warmth: Some(Warmth::Warm),
    })];
    let fails = draw.between(0, 100) == 0;
    let mut now = draw.around(MS);
    let mut prompt = draw.between(600, 2_000);
    for turn in 1..=draw.between(9, 16) as u32 {
        if draw.between(0, 200) == 0 {
            let (refused, until) = refused(turn, now, speed, draw);
            events.push(Event::Exchange(Box::new(refused)));
            now = until;
        }
        let exchange = exchange(turn, now, prompt, speed, draw);
        now = exchange.marks.done + draw.around(200 * US);
        prompt += draw.between(50, 400);
        events.push(Event::Exchange(Box::new(exchange)));
        let tool = tool(turn, now, draw);
        now = tool.end + draw.around(300 * US);
        events.push(Event::Tool(tool));
    }
    let outcome = match draw.between(0, 100) {
        _ if fails => Outcome::Error,
        chance if chance < speed.resolved => Outcome::Resolved,
        _ => Outcome::Unresolved,
    };
    events.push(Event::TrialFinished(TrialFinished {
        outcome,
        ended_by: Some(if fails {
            EndedBy::Endpoint
        } else {
            EndedBy::Agent
        }),
        detail: (outcome != Outcome::Resolved).then(|| "3 hidden tests failed".into()),
        wall_ns: now,
        grading_ns: draw.around(300 * MS),
        reward: None,
        failed_tests: Vec::new(),
        changes: None,
        solution_changes: None,
    }));
    events
}

/// A try that was refused, and when the next one begins.
fn refused(turn: u32, start: u64, speed: &Speed, draw: &mut Draw) -> (Exchange, u64) {
    let done = start + draw.around(50 * MS);
    let until = done + draw.around(500 * MS);
    let exchange = Exchange {
        turn,
        transport: speed.transport.into(),
        reused_connection: true,
        marks: Marks {
            start,
            sent: Some(start + 90 * US),
            done,
            ..Marks::default()
        },
        remarks: vec!["retried: the server asked for patience".into()],
        error: Some("429: rate limit".into()),
        backoff_until: Some(until),
        ..Exchange::default()
    };
    (exchange, until)
}

fn exchange(turn: u32, start: u64, prompt: u64, speed: &Speed, draw: &mut Draw) -> Exchange {
    let connected = (turn == 1).then(|| start + draw.around(40 * MS));
    let sent = connected.unwrap_or(start) + draw.around(90 * US);
    let cached = if turn == 1 { 0 } else { prompt * 3 / 4 };
    let prefill = (prompt - cached) * 40 * US;
    let queue = draw.between(0, 2) * draw.around(2 * MS);
    let first_token = sent + draw.around(speed.ttft) + prefill + queue;
    let mut events = EventColumns::default();
    let mut at = first_token;
    let count = draw.between(6, 15);
    for event in 0..count {
        events.push(StreamEvent {
            at,
            kind: match event * 3 / count {
                0 => EventKind::Reasoning,
                1 => EventKind::Text,
                _ => EventKind::ToolArguments,
            },
            bytes: draw.between(2, 6) as u32,
            tokens: None,
            lag_ns: Some(draw.around(80 * US) as u32),
        });
        at += draw.around(speed.gap);
    }
    let last_token = events.as_slice().last().map_or(at, |event| event.at);
    let segments = count as u32 + 4;
    Exchange {
        turn,
        transport: speed.transport.into(),
        reused_connection: turn > 1,
        incremental: turn > 1,
        marks: Marks {
            start,
            tcp: connected.map(|_| start + 200 * US),
            upgraded: connected,
            sent: Some(sent),
            first_byte: Some(first_token - 20 * US),
            admitted: Some(first_token - 20 * US),
            first_token: Some(first_token),
            last_token: Some(last_token),
            done: last_token + draw.around(500 * US),
            ..Marks::default()
        },
        events,
        shape: StreamShape {
            payloads: segments + 8,
            keep_alives: 0,
            output_reads: count as u32,
            merged: 0,
        },
        usage: Some(Usage {
            input_tokens: prompt,
            cached_tokens: Some(cached),
            output_tokens: count,
            reasoning_tokens: Some(count / 3),
            missing: None,
        }),
        // One of them reports its times; the other one's are fitted.
        reported: match speed.protocol {
            "responses" => Reported {
                link_ns: Some(40 * MS),
                queue_ns: Some(queue),
                prefill_ns: Some(prefill),
                decode_ns: Some(last_token - first_token),
                ..Reported::default()
            },
            _ => Reported::default(),
        },
        tcp: Some(TcpSample {
            min_rtt_ns: 12 * US,
            rtt_ns: draw.around(90 * US),
            retransmits: 0,
            segments_in: segments,
            data_segments_in: segments,
            segments_out: segments,
        }),
        ping_ns: (speed.transport == "websocket").then(|| draw.around(41 * MS)),
        request_bytes: Some(prompt * 4),
        response_bytes: Some(count * 200),
        response_id: Some(draw.id("resp")),
        served_model: Some(format!("{}-model", speed.name)),
        served_tier: Some("default".into()),
        ..Exchange::default()
    }
}

fn tool(turn: u32, start: u64, draw: &mut Draw) -> Tool {
    let command_start = start + draw.around(8 * MS);
    let command_end = command_start + draw.around(40 * MS);
    Tool {
        turn,
        call_id: draw.id("call"),
        name: if draw.between(0, 3) == 0 {
            "edit_file".into()
        } else {
            "shell".into()
        },
        start,
        command_start: Some(command_start),
        command_end: Some(command_end),
        end: command_end + draw.around(2 * MS),
        status: "exit 0".into(),
        output_bytes: draw.between(10, 3_000),
        ..Tool::default()
    }
}
