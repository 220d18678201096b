//! Sessions of the real-time mode: whatever happens in whatever order, nothing of an old
//! answer is taken for a part of a new one; and a run of sessions is a run like any other.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use timeslip::run::agent::{Assignment, Bench};
use timeslip::run::interactive::{
    Ask, Driver, EndpointDriver, Observation, Observed, SteerAnswer, StopAnswer,
};
use timeslip_datasets::atif::Trajectory;
use timeslip_datasets::run::journal::{Act, ActKind, Event, Exchange, ExchangeEnd, Journal, Race};
use timeslip_simulator::{Emission, KnownTask, Model, Options, Profile};
use timeslip_suites::sandbox::by_name;
use timeslip_suites::{Limits, Sandbox, Suite, SuiteFile, Workspace};
use timeslip_wire::clock;
use tokio::sync::mpsc::{self, UnboundedReceiver};

use crate::server::endpoint_of;
use crate::support::timeslip;

/// Tokens of an answer; each is the number of its question.
const TOKENS: usize = 200;
/// Questions that the model knows.
const QUESTIONS: u32 = 60;

fn question(act: u32) -> String {
    format!("Question number {act}, please.")
}

fn word(act: u32) -> String {
    format!("k{act:03}")
}

/// What a developer does after asking and waiting for a while.
#[derive(Clone, Copy, Debug)]
enum Then {
    LetItEnd,
    Stop,
    StopTwice,
    Steer,
    SteerAndStop,
    StopAndSteer,
}

const THEN: [Then; 6] = [
    Then::LetItEnd,
    Then::Stop,
    Then::StopTwice,
    Then::Steer,
    Then::SteerAndStop,
    Then::StopAndSteer,
];

/// A server that answers each question with its number, again and again.
fn model() -> Model {
    let known = |act: u32| {
        let recording = json!({
            "schema_version": "ATIF-v1.6",
            "agent": { "name": "a", "version": "1" },
            "steps": [
                { "step_id": 1, "source": "user", "message": question(act) },
                { "step_id": 2, "source": "agent", "message": word(act).repeat(TOKENS) },
            ],
            "extra": { "resolves": true },
        });
        let recording = Trajectory::parse(&recording.to_string(), std::path::Path::new("test"));
        KnownTask {
            id: "s/t".into(),
            instruction: question(act),
            recordings: vec![recording.unwrap()],
            continuation: None,
        }
    };
    Model::new((1..=QUESTIONS).map(known).collect(), "test", 1, 1.0)
}

/// A workspace that nothing is done in.
fn bench(place: &std::path::Path) -> Bench {
    let sandbox = Sandbox::new(by_name("process").unwrap()).unwrap();
    let suite = Suite::load(&SuiteFile::shipped("edit-mini").unwrap(), place).unwrap();
    let workspace = &suite.tasks[0].workspace;
    let workspace = Workspace::prepare(workspace, &sandbox, &place.join("trial")).unwrap();
    Bench {
        workspace: Arc::new(workspace),
        sandbox,
        limits: Limits {
            wall: Duration::from_secs(20),
            output_bytes: 1 << 16,
            memory_mb: 1024,
        },
        disk_mb: 1024,
    }
}

/// What has been seen of a session.
#[derive(Default)]
struct Seen {
    texts: HashMap<u32, String>,
    ended: HashSet<u32>,
    stopped: HashMap<u32, StopAnswer>,
    steered: HashMap<u32, SteerAnswer>,
    exchanges: Vec<Exchange>,
}

impl Seen {
    fn take(&mut self, observation: Observation) {
        let Observation { act, what, .. } = observation;
        match what {
            Observed::Output { text, .. } => {
                assert!(!self.ended.contains(&act), "output of {act} after its end");
                self.texts.entry(act).or_default().push_str(&text);
            }
            Observed::Ended { .. } => assert!(self.ended.insert(act), "{act} ends twice"),
            Observed::Stopped(answer) => drop(self.stopped.insert(act, answer)),
            Observed::Steered(answer) => drop(self.steered.insert(act, answer)),
            Observed::Record(Event::Exchange(exchange)) => self.exchanges.push(*exchange),
            other => panic!("{other:?}"),
        }
    }

    /// Everything has been answered that was asked or told.
    fn is_settled(&self, asked: u32, stops: &[u32], steers: &[u32]) -> bool {
        let steered = |act: &u32| match self.steered.get(act) {
            Some(SteerAnswer::Accepted) => self.ended.contains(act),
            other => other.is_some(),
        };
        self.ended.contains(&asked)
            && stops.iter().all(|act| self.stopped.contains_key(act))
            && steers.iter().all(steered)
    }
}

async fn hold(
    mut driver: EndpointDriver,
    mut observations: UnboundedReceiver<Observation>,
    script: &[(u64, Then)],
) -> Seen {
    let steers = driver.abilities().steers.is_some();
    let (mut seen, mut act) = (Seen::default(), 0);
    driver.start().await.unwrap();
    for (wait_us, then) in script {
        act += 1;
        let asked = act;
        let (text, suggestion) = (question(asked), false);
        let ask = Ask {
            act,
            text,
            suggestion,
        };
        driver.ask(ask).await.unwrap();
        tokio::time::sleep(Duration::from_micros(*wait_us)).await;
        let (mut stops, mut steering) = (Vec::new(), Vec::new());
        let tells: &[bool] = match then {
            Then::LetItEnd => &[],
            Then::Stop => &[true],
            Then::StopTwice => &[true, true],
            Then::Steer => &[false],
            Then::SteerAndStop => &[false, true],
            Then::StopAndSteer => &[true, false],
        };
        for stop in tells {
            if *stop {
                act += 1;
                stops.push(act);
                driver.interrupt(act, ExchangeEnd::Interrupted).await;
            } else if steers {
                act += 1;
                steering.push(act);
                driver.steer(act, &question(act)).await;
            }
        }
        while !seen.is_settled(asked, &stops, &steering) {
            let next = tokio::time::timeout(Duration::from_secs(30), observations.recv());
            seen.take(next.await.expect("something is said").expect("it goes on"));
        }
    }
    Box::new(driver).close().await;
    while let Some(observation) = observations.recv().await {
        seen.take(observation);
    }
    seen
}

fn check(seen: &Seen, log: &[Emission]) {
    for (act, text) in &seen.texts {
        let own = word(*act).repeat(TOKENS);
        assert!(own.starts_with(text.as_str()), "{act} says {text}");
    }
    let mut ids = HashSet::new();
    for exchange in &seen.exchanges {
        let act = exchange.act.expect("of an act");
        assert_eq!(exchange.error, None, "{act}");
        let Some(id) = &exchange.response_id else {
            assert!(exchange.events.as_slice().is_empty(), "{act}");
            continue;
        };
        assert!(ids.insert(id), "{id} is two exchanges");
        let truth = log.iter().find(|truth| &truth.response_id == id).unwrap();
        let events = exchange.events.as_slice();
        assert!(events.len() <= truth.events_ns.len(), "{act}");
        let whole = events.len() == TOKENS;
        assert_eq!(
            exchange.ended_by.is_none(),
            whole,
            "{act}: {:?}",
            exchange.ended_by
        );
    }
}

#[test]
fn nothing_of_an_old_answer_is_taken_for_a_new_one() {
    let place = tempfile::tempdir().unwrap();
    let bench = bench(place.path());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let step = (0_u64..60_000, (0..THEN.len()).prop_map(|then| THEN[then]));
    let scripts = prop::collection::vec(step, 1..8);
    let ways = ["http-sse", "http2-sse", "websocket"];
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        ..Config::with_cases(10)
    });
    let result = runner.run(&(scripts, 0..ways.len()), |(script, way)| {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log.jsonl");
        let profile = Profile {
            decode_tokens_per_second: 5_000.0,
            request_overhead_ms: 2.0,
            link_round_trip_ms: 4.0,
            stop_reaction_ms: 3.0,
            ..Profile::load("spark-sim").unwrap()
        };
        let server = timeslip_simulator::start(Options {
            log: Some(log.clone()),
            ..Options::new(profile, model())
        })
        .unwrap();
        let endpoint = endpoint_of("responses", server.address.port(), ways[way]);
        let seen = runtime.block_on(async {
            let (observer, observations) = mpsc::unbounded_channel();
            let assignment = Assignment {
                measuring: &tokio::runtime::Handle::current(),
                run_id: "r",
                endpoint: &endpoint,
                prompt: "",
                bench: bench.clone(),
                cache_key: "key#1".into(),
                turns_before: 0,
                turns: 1000,
                time: Duration::from_secs(120),
            };
            let driver = EndpointDriver::new(&assignment, clock::now(), observer);
            hold(driver, observations, &script).await
        });
        drop(server);
        let log = timeslip_datasets::run::emissions::read(&log).unwrap();
        check(&seen, &log);
        Ok(())
    });
    result.unwrap();
}

/// The acts and exchanges of a trial, and how it finished.
type Played = (Vec<Act>, Vec<Exchange>, Value);

/// Each trial of a run, by its task and endpoint.
fn acts(run: &std::path::Path) -> HashMap<(String, String), Played> {
    let journal = Journal::open(&run.join("journal.jsonl")).unwrap();
    let trials = journal.map(|trial| {
        let trial = trial.unwrap();
        let finished = serde_json::to_value(&trial.finished).unwrap();
        let key = (trial.key.task, trial.key.endpoint);
        (key, (trial.acts, trial.exchanges, finished))
    });
    trials.collect()
}

#[test]
fn sessions_are_played_graded_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let config = crate::support::quick_config(folder.path());
    let tasks = [
        "interrupt-an-explanation",
        "interrupt-a-long-tool",
        "no-the-other-one",
        "a-stop-that-comes-too-late",
        "accept-and-undo",
    ];
    let mut command = timeslip();
    command
        .args(["run", "--suite", "edit-mini", "--config"])
        .arg(config);
    for task in tasks {
        command.args(["--task", task]);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("report.html"), "{text}");
    let found = acts(&folder.path().join("runs/latest"));
    assert_eq!(found.len(), 2 * tasks.len());
    for ((task, endpoint), (acts, exchanges, finished)) in &found {
        let place = format!("{task} on {endpoint}: {finished}");
        // The slow one is to fail.
        let expected = if endpoint == "fast" {
            "resolved"
        } else {
            "unresolved"
        };
        assert_eq!(finished["outcome"], expected, "{place}");
        let numbers: Vec<u32> = acts.iter().map(|act| act.act).collect();
        let mut sorted = numbers.clone();
        sorted.sort_unstable();
        assert_eq!(
            sorted,
            (1..=acts.len() as u32).collect::<Vec<_>>(),
            "{place}"
        );
        assert!(
            exchanges.iter().all(|exchange| exchange.act.is_some()),
            "{place}"
        );
        for act in acts {
            assert_eq!(act.race.is_some(), act.kind.stops(), "{place}: {act:?}");
            assert!(act.marks.began <= act.marks.ended, "{place}: {act:?}");
            let stops = act.kind.stops() && act.race == Some(Race::Applied);
            assert!(!stops || act.marks.told.is_some(), "{place}: {act:?}");
        }
        let kind = |kind| acts.iter().filter(move |act| act.kind == kind);
        if task == "a-stop-that-comes-too-late" {
            let races: Vec<_> = kind(ActKind::Interrupt).map(|act| act.race).collect();
            assert_eq!(races, [Some(Race::TooLate)], "{place}");
        }
        if task == "interrupt-a-long-tool" {
            let stop = kind(ActKind::Interrupt).next().unwrap();
            assert!(
                stop.in_tool && stop.marks.tool_gone.is_some(),
                "{place}: {stop:?}"
            );
        }
    }
}
