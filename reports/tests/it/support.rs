//! A deterministic run to test with: a fast and a slow simulated endpoint on
//! the same tasks, made from a small model of where time goes.

use timeslip_datasets::run::calibration::{Calibration, ErrorQuantiles, StreamCalibration};
use timeslip_datasets::run::journal::{
    Act, ActCheck, ActKind, EndedBy, Keystroke, Outcome, Race, Reported, StopWay, StreamShape,
    TcpSample,
};
use timeslip_reports::data::{
    ClientCost, ConnectionFacts, EndpointData, ExchangeData, FirstOfKind, Role, RunData, Span,
    StageValue, TrialData,
};
use timeslip_reports::render::CsvTable;
use timeslip_reports::stages::{Provenance, Stage};

/// Milliseconds as nanoseconds.
const MS: f64 = 1e6;
const MS_NS: u64 = 1_000_000;

/// What distinguishes an endpoint in the model.
#[derive(Clone, Copy)]
pub struct Speed {
    /// Output tokens per second.
    pub tokens_per_second: f64,
    /// Mean prefill of a turn in milliseconds.
    pub prefill_ms: f64,
    /// Mean queueing of a turn in milliseconds.
    pub queue_ms: f64,
    /// Share of tasks resolved.
    pub resolves: f64,
}

/// The fast endpoint.
pub const FAST: Speed = Speed {
    tokens_per_second: 1000.0,
    prefill_ms: 45.0,
    queue_ms: 6.0,
    resolves: 0.58,
};

/// The slow endpoint.
pub const SLOW: Speed = Speed {
    tokens_per_second: 68.0,
    prefill_ms: 180.0,
    queue_ms: 25.0,
    resolves: 0.79,
};

/// A small deterministic generator: uniform values in 0..1.
pub struct Uniform(u64);

impl Uniform {
    pub fn new(seed: u64) -> Self {
        Uniform(seed)
    }

    /// SplitMix64.
    pub fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Between `low` and `high`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.next()
    }
}

const TASKS: [&str; 24] = [
    "kestrel__router-214",
    "kestrel__router-231",
    "lumen__template-88",
    "lumen__template-97",
    "orchard__dates-412",
    "orchard__dates-430",
    "pebble__cache-19",
    "pebble__cache-27",
    "quill__markdown-301",
    "quill__markdown-318",
    "rivet__units-52",
    "rivet__units-66",
    "count-log-errors",
    "csv-to-json",
    "fix-broken-makefile",
    "git-bisect-regression",
    "merge-sorted-files",
    "parse-access-log",
    "recover-deleted-branch",
    "rename-by-date",
    "repair-patch-series",
    "resolve-merge-conflict",
    "shell-quoting",
    "word-frequency",
];

/// The standard run: 24 tasks on two simulated endpoints.
pub fn run() -> RunData {
    run_with(
        &[
            ("spark-sim", Role::Candidate, FAST),
            ("gpu-sim", Role::Baseline, SLOW),
        ],
        24,
        1,
    )
}

/// The standard run with everything that servers and price lists may tell.
pub fn full_run() -> RunData {
    let mut run = run();
    for trial in &mut run.trials {
        let price = if trial.endpoint == "spark-sim" {
            3e-5
        } else {
            1e-5
        };
        let tokens = trial.exchanges.iter().filter_map(|e| e.output_tokens);
        trial.cost_usd = Some(tokens.sum::<u64>() as f64 * price);
        for exchange in &mut trial.exchanges {
            exchange.reported.decode_ns = exchange.decode_ns.map(|ns| ns / 10 * 9);
        }
    }
    hold_sessions(&mut run);
    run
}

fn act(number: u32, kind: ActKind, began_ms: u64, ended_ms: u64) -> Act {
    let name = format!("{}-{number}", kind.name());
    let mut act = Act::begun(number, name, kind, began_ms * MS_NS);
    act.marks.told = Some(began_ms * MS_NS);
    act.marks.ended = ended_ms * MS_NS;
    act
}

/// An ask, a stop in its tool, a redirection and typing; on the slow side all takes eight
/// times as long, with some noise of the task's own.
fn session(index: u64, slow: bool) -> Vec<Act> {
    let pace = |ms: u64| ms * if slow { 8 } else { 1 } + index * if slow { 5 } else { 3 };
    let mut ask = act(1, ActKind::Ask, 0, pace(500));
    ask.marks.first_output = Some(pace(90) * MS_NS);
    ask.check = Some(ActCheck {
        passed: !index.is_multiple_of(4) || !slow,
        reason: None,
        took_ns: MS_NS,
    });
    let stop_ms = pace(300);
    let mut stop = act(2, ActKind::Interrupt, stop_ms, stop_ms + 60);
    stop.of = Some(1);
    stop.race = Some(Race::Applied);
    stop.way = Some(StopWay::Close);
    stop.in_tool = true;
    stop.marks.last_event = Some((stop_ms + 4) * MS_NS);
    stop.marks.tool_gone = Some((stop_ms + 60) * MS_NS);
    stop.counts.stale_tokens = 2;
    let mut steer = act(3, ActKind::Steer, pace(600), pace(900));
    steer.race = Some(if index == 0 {
        Race::TooLate
    } else {
        Race::Applied
    });
    steer.marks.redirected = Some((pace(640) + index) * MS_NS);
    let mut typed = act(4, ActKind::Type, pace(1_000), pace(2_000));
    typed.marks.told = None;
    typed.marks.last_keystroke = Some(pace(1_500) * MS_NS);
    typed.marks.first_output = Some(pace(1_550) * MS_NS);
    typed.counts.cancelled = 1;
    typed.keystrokes = [1_000, 1_500]
        .map(|at| Keystroke {
            at: pace(at) * MS_NS,
            asked: Some((pace(at) + 75) * MS_NS),
            shown: (at == 1_500).then_some(pace(1_550) * MS_NS),
            ..Keystroke::default()
        })
        .to_vec();
    let accept = act(5, ActKind::Accept, pace(2_100), pace(2_100));
    vec![ask, stop, steer, typed, accept]
}

/// Makes every trial of a run a session.
pub fn hold_sessions(run: &mut RunData) {
    for (index, pair) in run.trials.chunks_mut(2).enumerate() {
        for trial in pair {
            trial.acts = session(index as u64, trial.endpoint == "gpu-sim");
        }
    }
}

/// A run of the first `tasks` tasks, `attempts` times, on any endpoints.
pub fn run_with(endpoints: &[(&str, Role, Speed)], tasks: usize, attempts: u32) -> RunData {
    let mut trials = Vec::new();
    for (index, task) in TASKS.iter().cycle().take(tasks).enumerate() {
        let task = match index / TASKS.len() {
            0 => (*task).to_owned(),
            round => format!("{task}-{round}"),
        };
        for attempt in 1..=attempts {
            for (name, _, speed) in endpoints {
                trials.push(trial(index as u64, &task, name, attempt, *speed));
            }
        }
    }
    RunData {
        run_id: "20261121-093000-mini".to_owned(),
        started_at: "2026-11-21T09:30:00Z".to_owned(),
        timeslip_version: "0.1.0".to_owned(),
        seed: 7,
        sandbox: "bubblewrap".to_owned(),
        concurrency: 1,
        planned_trials: trials.len(),
        trial_limit_ns: 900_000_000_000,
        environment: vec![
            (
                "Operating system".to_owned(),
                "Linux 6.18, x86_64".to_owned(),
            ),
            ("Processor".to_owned(), "2 cores".to_owned()),
        ],
        calibration: Some(Calibration {
            arrivals: None,
            clock_resolution_ns: 25,
            priority: None,
            during: Vec::new(),
            emitted: Vec::new(),
            settings: vec![StreamCalibration {
                protocol: "responses".to_owned(),
                transport: "websocket".to_owned(),
                streams: 1,
                events_per_second: 1_000,
                ttft_ns: quantiles(50_061_000, 50_240_000),
                ttft_error: quantiles(61_000, 240_000),
                inter_event_ns: quantiles(1_000_000, 1_300_000),
                inter_event_error: quantiles(18_000, 95_000),
                end_error: quantiles(80_000, 300_000),
                client_lag: Some(quantiles(55_000, 210_000)),
                loop_lag: Some(quantiles(70_000, 400_000)),
                cpu_ns_per_event: None,
            }],
        }),
        client_lag: Some(quantiles(60_000, 250_000)),
        invalid: Vec::new(),
        warnings: Vec::new(),
        endpoints: endpoints
            .iter()
            .map(|(name, role, _)| endpoint(name, *role))
            .collect(),
        trials,
    }
}

fn quantiles(p50_ns: u64, p99_ns: u64) -> ErrorQuantiles {
    ErrorQuantiles {
        n: 400,
        mean_ns: None,
        p50_ns,
        p95_ns: None,
        p99_ns,
        max_ns: 2 * p99_ns,
    }
}

/// An endpoint of the standard run.
pub fn endpoint(name: &str, role: Role) -> EndpointData {
    EndpointData {
        name: name.to_owned(),
        role,
        model: format!("{name}-coder"),
        protocol: "responses".to_owned(),
        transport: match role {
            Role::Candidate => "websocket".to_owned(),
            Role::Baseline => "http-sse".to_owned(),
        },
        simulated: true,
        identity: None,
        notes: vec!["Rates are round figures chosen for the test.".to_owned()],
    }
}

/// One trial; task and attempt decide the work, the endpoint how long it takes.
pub fn trial(task_index: u64, task: &str, endpoint: &str, attempt: u32, speed: Speed) -> TrialData {
    let mut work = Uniform::new(1000 + task_index * 31 + u64::from(attempt));
    let name_salt = endpoint.bytes().map(u64::from).sum::<u64>();
    let mut noise = Uniform::new(task_index * 977 + name_salt * 13 + u64::from(attempt));
    let mut builder = Builder::default();
    builder.span(Stage::ConnectDns, 1.5 * MS, 1, "");
    builder.span(Stage::ConnectTcp, 22.0 * MS, 1, "");
    builder.span(Stage::ConnectTls, 48.0 * MS, 1, "");
    let turns = 4 + (work.next() * 4.0) as u32;
    let heaviness = work.between(0.5, 1.8);
    for turn in 1..=turns {
        let tokens = (work.between(60.0, 230.0) * heaviness) as u64;
        builder.exchange(turn, tokens, speed, &mut noise);
        builder.tool(turn, &mut work, heaviness, &mut noise);
        builder.span(Stage::Harness, noise.between(1.0, 5.0) * MS, turn, "");
    }
    // Hard tasks are hard for both.
    let resolved = 0.7 * work.next() + 0.3 * noise.next() < speed.resolves;
    let outcome = match (resolved, noise.next() < 0.12) {
        (true, _) => Outcome::Resolved,
        (false, true) => Outcome::LimitReached,
        (false, false) => Outcome::Unresolved,
    };
    let warm = task_index % 2 == 1;
    TrialData {
        suite: if task_index % 24 < 12 {
            "swe-mini"
        } else {
            "terminal-mini"
        }
        .to_owned(),
        task: task.to_owned(),
        tags: vec![if heaviness < 1.1 { "easy" } else { "hard" }.to_owned()],
        endpoint: endpoint.to_owned(),
        attempt,
        outcome,
        ended_by: Some(match outcome {
            Outcome::LimitReached => EndedBy::TurnLimit,
            _ => EndedBy::Agent,
        }),
        detail: (outcome == Outcome::LimitReached)
            .then(|| "stopped after the last allowed turn".to_owned()),
        wall_ns: builder.clock,
        setup_ns: if warm { 20_000_000 } else { 180_000_000 },
        warm: Some(warm),
        grading_ns: 420_000_000,
        stages: builder.stages(),
        spans: builder.spans,
        exchanges: builder.exchanges,
        unusual: Default::default(),
        tool_sum_ns: builder.tool_sum,
        tool_calls: turns,
        calls_by_kind: None,
        changes: None,
        solution_changes: None,
        client: ClientCost::default(),
        acts: Vec::new(),
        cost_usd: None,
    }
}

/// What a table's file holds.
pub fn csv(table: &CsvTable) -> Vec<u8> {
    let mut content = Vec::new();
    table.write(&mut content).unwrap();
    content
}

#[derive(Default)]
struct Builder {
    clock: u64,
    spans: Vec<Span>,
    exchanges: Vec<ExchangeData>,
    tool_sum: u64,
}

impl Builder {
    fn span(&mut self, stage: Stage, ns: f64, turn: u32, label: &str) {
        let end = self.clock + ns as u64;
        self.spans.push(Span {
            start_ns: self.clock,
            end_ns: end,
            stage,
            turn,
            label: label.into(),
        });
        self.clock = end;
    }

    fn exchange(&mut self, turn: u32, tokens: u64, speed: Speed, noise: &mut Uniform) {
        self.span(Stage::Send, 0.2 * MS, turn, "");
        let sent = self.clock;
        self.span(Stage::Network, noise.between(38.0, 46.0) * MS, turn, "");
        self.span(
            Stage::Queue,
            speed.queue_ms * noise.between(0.2, 2.2) * MS,
            turn,
            "",
        );
        self.span(
            Stage::Prefill,
            speed.prefill_ms * noise.between(0.6, 1.5) * MS,
            turn,
            "",
        );
        self.span(Stage::Residue, noise.between(2.0, 9.0) * MS, turn, "");
        let first_token = self.clock;
        let gap = 1e9 / speed.tokens_per_second;
        // Four tokens an event, as servers that batch their output send them.
        let events = (tokens / 4).max(2);
        let gaps: Vec<u64> = (1..events)
            .map(|_| (4.0 * gap * noise.between(0.4, 1.6)) as u64)
            .collect();
        let decode = gaps.iter().sum::<u64>() as f64;
        self.span(Stage::DecodeReasoning, decode * 0.35, turn, "");
        self.span(Stage::DecodeText, decode * 0.15, turn, "");
        let rest = first_token as f64 + decode - self.clock as f64;
        self.span(Stage::DecodeToolArguments, rest, turn, "");
        self.exchanges.push(ExchangeData {
            spoilt: false,
            too_late_by_ns: None,
            turn,
            ttft_ns: Some(first_token - sent),
            first: FirstOfKind {
                admitted_ns: Some((first_token - sent) / 2),
                reasoning_ns: Some(first_token - sent),
                tool_arguments_ns: Some(first_token - sent + 5_000_000),
                ..FirstOfKind::default()
            },
            output_events: gaps.len() as u64 + 1,
            stream: StreamShape {
                output_reads: gaps.len() as u32 + 1,
                ..StreamShape::default()
            },
            connection: ConnectionFacts {
                reused: turn > 1,
                tcp: Some(TcpSample {
                    min_rtt_ns: 20_000_000,
                    ..TcpSample::default()
                }),
                response_bytes: Some(40_000),
                ..ConnectionFacts::default()
            },
            reported: Reported {
                prefill_ns: Some((first_token - sent) / 3),
                ..Reported::default()
            },
            contradicted: false,
            streamed: true,
            inter_event_ns: gaps.into_iter().collect(),
            decode_ns: Some(self.clock - first_token),
            output_tokens: Some(tokens),
            streamed_tokens: Some(tokens),
            input_tokens: Some(1800 + u64::from(turn) * 600),
            cached_tokens: Some(u64::from(turn - 1) * 600),
            request_bytes: Some(9_000 + u64::from(turn) * 2_400),
            cut_short: false,
            transport: if speed.tokens_per_second > 500.0 {
                "websocket"
            } else {
                "http-sse"
            }
            .to_owned(),
        });
        self.span(Stage::Tail, noise.between(0.5, 2.0) * MS, turn, "");
    }

    fn tool(&mut self, turn: u32, work: &mut Uniform, heaviness: f64, noise: &mut Uniform) {
        let start = self.clock;
        self.span(
            Stage::ToolSandbox,
            noise.between(4.0, 7.0) * MS,
            turn,
            "shell",
        );
        // Mostly quick commands, now and then a test run of seconds.
        let command = work.between(3.0, 8.2).exp() * heaviness * noise.between(0.95, 1.05);
        self.span(Stage::ToolCommand, command * MS, turn, "shell");
        self.tool_sum += self.clock - start;
    }

    fn stages(&self) -> Vec<StageValue> {
        Stage::ALL
            .into_iter()
            .filter_map(|stage| {
                let ns: u64 = self
                    .spans
                    .iter()
                    .filter(|span| span.stage == stage)
                    .map(|span| span.end_ns - span.start_ns)
                    .sum();
                let (provenance, error_ns) = match stage {
                    Stage::Prefill | Stage::Queue => (Provenance::Reported, Some(ns / 50)),
                    Stage::Network => (Provenance::Estimated, Some(ns / 20)),
                    _ => (Provenance::Measured, None),
                };
                (ns > 0).then_some(StageValue {
                    stage,
                    ns,
                    provenance,
                    error_ns,
                })
            })
            .collect()
    }
}
