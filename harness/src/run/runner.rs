//! Runs the trials of a plan and emits what happens.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use timeslip_datasets::atif::Trajectory;
use timeslip_datasets::run::journal::{
    EndedBy, Event, Outcome, Record, TrialFinished, TrialKey, TrialStarted,
};
use timeslip_datasets::run::plan::Plan;
use timeslip_datasets::session::Session;
use timeslip_suites::sandbox::Scratch;
use timeslip_suites::steps::{self, StepGrade};
use timeslip_suites::{Limits, Sandbox, Suite, Task, Workspace};
use timeslip_wire::clock;
use timeslip_wire::{Endpoint, Redaction};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::run::admission::Admission;
use crate::run::agent::{self, Agent, Assignment, Bench, Stop};
use crate::run::apart::apart;
use crate::run::interactive::{self, Played};

/// Something the runner did.
#[derive(Debug)]
pub enum RunEvent {
    /// A trial is being prepared.
    Preparing(TrialKey),
    /// A line for the journal.
    Record(Record),
    /// What a finished trial said and did; comes before its last record.
    Transcript(TrialKey, Box<Trajectory>),
    /// The change that a trial made, as a patch; comes before its last record.
    Patch(TrialKey, String),
}

/// Where a run works.
#[derive(Debug)]
pub struct Place {
    /// Its id.
    pub run_id: String,
    /// Keeps tools and graders apart.
    pub sandbox: Sandbox,
    /// An existing folder for what trials work with.
    pub scratch: PathBuf,
    /// The runtime that reads streams.
    pub measuring: Handle,
}

/// Everything a trial needs, shared by all of them.
struct RunContext {
    plan: Plan,
    tasks: HashMap<(String, String), Task>,
    endpoints: HashMap<String, Endpoint>,
    agents: HashMap<String, Agent>,
    place: Place,
    admission: Admission,
    next: AtomicUsize,
    todo: Vec<TrialKey>,
    events: mpsc::Sender<RunEvent>,
}

/// Runs every trial of the plan that is not in `finished`, `plan.concurrency` at a
/// time; `agents` are those of its endpoints, by name. Ends early when nobody listens to
/// `events` any more.
pub async fn run(
    plan: &Plan,
    suites: Vec<Suite>,
    endpoints: Vec<Endpoint>,
    agents: HashMap<String, Agent>,
    place: Place,
    finished: &HashSet<TrialKey>,
    events: mpsc::Sender<RunEvent>,
) {
    let tasks = suites.into_iter().flat_map(|suite| suite.tasks);
    let shared = Arc::new(RunContext {
        plan: plan.clone(),
        tasks: tasks
            .map(|task| ((task.suite.clone(), task.id.clone()), task))
            .collect(),
        endpoints: endpoints
            .into_iter()
            .map(|endpoint| (endpoint.name.clone(), endpoint))
            .collect(),
        agents,
        place,
        admission: Admission::per_core(),
        next: AtomicUsize::new(0),
        todo: plan
            .trials
            .iter()
            .filter(|trial| !finished.contains(trial))
            .cloned()
            .collect(),
        events,
    });
    let mut workers = JoinSet::new();
    for _ in 0..shared.todo.len().min(plan.concurrency as usize) {
        workers.spawn(work(Arc::clone(&shared)));
    }
    while workers.join_next().await.is_some() {}
}

async fn work(shared: Arc<RunContext>) {
    while let Some(key) = shared.todo.get(shared.next.fetch_add(1, Ordering::Relaxed)) {
        if shared
            .events
            .send(RunEvent::Preparing(key.clone()))
            .is_err()
        {
            return;
        }
        let (trial_shared, trial_key) = (Arc::clone(&shared), key.clone());
        // A task of its own, so that a crash costs this trial and not the worker; in a
        // set, so that it ends with the worker.
        let mut task = JoinSet::new();
        task.spawn(async move { trial(&trial_shared, &trial_key).await });
        if let Some(Err(error)) = task.join_next().await {
            let event = Event::TrialFinished(failed(format!("timeslip itself failed: {error}"), 0));
            let trial = key.clone();
            let _ = shared
                .events
                .send(RunEvent::Record(Record { trial, event }));
        }
    }
}

/// Runs one trial. Whatever goes wrong ends in a record, never in a lost trial.
async fn trial(shared: &RunContext, key: &TrialKey) {
    let emit = |event| {
        // Without a listener the worker stops before its next trial.
        let _ = shared.events.send(RunEvent::Record(Record {
            trial: key.clone(),
            event,
        }));
    };
    let preparing;
    let prepared = {
        let _admitted = shared.admission.wait().await;
        preparing = clock::now();
        prepare(shared, key).await
    };
    let origin = clock::now();
    let started = |setup_ns, warmth| {
        let at = OffsetDateTime::now_utc()
            .format(&Rfc3339)
            .unwrap_or_default();
        Event::TrialStarted(TrialStarted {
            at,
            setup_ns,
            warmth,
        })
    };
    let warmth = prepared.as_ref().map(|(.., workspace)| workspace.warmth());
    emit(started(origin - preparing, warmth.ok()));
    let (endpoint, agent, task, directory, workspace) = match prepared {
        Ok(prepared) => prepared,
        Err(problem) => {
            emit(Event::TrialFinished(failed(problem, 0)));
            return;
        }
    };
    let place = TrialSite {
        shared,
        key,
        endpoint,
        agent,
        redaction: endpoint.redaction(),
        task,
        workspace: Arc::new(workspace),
    };
    let (mut finished, transcript) = place.work(origin, &emit).await;
    let redaction = &place.redaction;
    finished.detail = finished.detail.map(|text| redaction.work(text));
    let failed_tests = finished.failed_tests.into_iter();
    finished.failed_tests = failed_tests.map(|text| redaction.work(text)).collect();
    let workspace = place.workspace;
    if let Some(transcript) = transcript {
        let _ = shared
            .events
            .send(RunEvent::Transcript(key.clone(), Box::new(transcript)));
    }
    emit(Event::TrialFinished(finished));
    // Removing thousands of files takes time that belongs to no trial.
    let _admitted = shared.admission.wait().await;
    let removed = tokio::task::spawn_blocking(move || {
        // Its mounts are in the directory.
        drop(workspace);
        drop(directory);
    })
    .await;
    debug_assert!(removed.is_ok());
}

/// Tells conversations apart for the server's prompt cache, the same way in every run
/// of a seed. Providers refuse more than 64 characters, so names are hashed.
fn cache_key(seed: u64, key: &TrialKey, step: usize) -> String {
    let step = match step {
        0 => String::new(),
        later => format!("#{later}"),
    };
    let hash = Sha256::digest(format!("{seed}/{}/{}{step}", key.suite, key.task));
    let hash = HEXLOWER.encode(&hash[..12]);
    format!("timeslip-{hash}#{}", key.attempt)
}

async fn prepare<'a>(
    shared: &'a RunContext,
    key: &TrialKey,
) -> Result<(&'a Endpoint, &'a Agent, &'a Task, Scratch, Workspace), String> {
    let endpoint = shared
        .endpoints
        .get(&key.endpoint)
        .ok_or("the plan names an unknown endpoint")?;
    let agent = shared
        .agents
        .get(&key.endpoint)
        .ok_or("the plan names an unknown agent")?;
    let task = shared
        .tasks
        .get(&(key.suite.clone(), key.task.clone()))
        .ok_or("the task is no longer part of its suite")?;
    let directory =
        Scratch::within(&shared.place.scratch, "trial-").map_err(|error| error.to_string())?;
    let (task_, sandbox, path) = (
        task.clone(),
        shared.place.sandbox.clone(),
        directory.path().to_owned(),
    );
    let workspace = apart(move || steps::begin(&task_, &sandbox, &path)).await?;
    Ok((endpoint, agent, task, directory, workspace))
}

/// What one trial works with.
struct TrialSite<'a> {
    shared: &'a RunContext,
    key: &'a TrialKey,
    endpoint: &'a Endpoint,
    agent: &'a Agent,
    /// Whatever comes out of a sandbox may hold what a server wrote into it.
    redaction: Redaction,
    task: &'a Task,
    workspace: Arc<Workspace>,
}

impl TrialSite<'_> {
    /// Works through every step. Between two of them the trial's clock stands still:
    /// grading is not the agent's time.
    async fn work(
        &self,
        mut origin: u64,
        mut emit: impl FnMut(Event) + Send,
    ) -> (TrialFinished, Option<Trajectory>) {
        let limits = self.shared.plan.limits_of(&self.key.suite);
        let whole = Duration::from_secs(limits.trial_seconds);
        let (mut grades, mut transcript): (Vec<StepGrade>, Option<Trajectory>) = (Vec::new(), None);
        let (mut stop, mut ended_early) = (None, None);
        let (mut turns, mut wall_ns, mut grading_ns) = (0, 0, 0);
        let mut step = 0;
        while let Some(asked) = self.task.steps.get(step) {
            if step > 0 {
                let pausing = clock::now();
                let _admitted = self.shared.admission.wait().await;
                if let Err(problem) = self.begin(step).await {
                    ended_early = Some(problem);
                    break;
                }
                origin += clock::now() - pausing;
            }
            let left = whole.saturating_sub(Duration::from_nanos(wall_ns));
            let assignment = Assignment {
                measuring: &self.shared.place.measuring,
                run_id: &self.shared.place.run_id,
                endpoint: self.endpoint,
                prompt: &asked.instruction,
                bench: Bench {
                    workspace: Arc::clone(&self.workspace),
                    sandbox: self.shared.place.sandbox.clone(),
                    limits: Limits {
                        wall: Duration::from_secs(limits.command_seconds),
                        output_bytes: limits.output_kib << 10,
                        memory_mb: limits.memory_mb.min(self.task.workspace.needs.memory_mb),
                    },
                    disk_mb: limits.disk_mb.min(self.task.workspace.needs.disk_mb),
                },
                cache_key: cache_key(self.shared.plan.seed, self.key, step),
                turns_before: turns,
                turns: limits.turns,
                time: left.min(asked.time),
            };
            let (work, played) = match &asked.session {
                Some(session) => {
                    let played = self.play(assignment, session, &mut origin, &mut emit).await;
                    grading_ns += played.checking_ns;
                    (played.work, Some(played.grade))
                }
                None => (self.agent.work(assignment, origin, &mut emit).await, None),
            };
            turns = work.turns;
            wall_ns = work.end.saturating_sub(origin);
            match &mut transcript {
                Some(transcript) => agent::append(transcript, work.transcript),
                None => transcript = Some(work.transcript),
            }
            let ended = &*stop.insert(work.stop);
            let pausing = work.end;
            let admitted = self.shared.admission.wait().await;
            let grading = clock::now();
            let graded = match played {
                Some(grade) => Ok(StepGrade { grade, go_on: true }),
                None => self.grade(step).await,
            };
            drop(admitted);
            grading_ns += clock::now() - grading;
            origin += clock::now() - pausing;
            let grade = match graded {
                Ok(grade) => grade,
                Err(problem) => {
                    let before = ended.why.iter().map(|why| format!("{why}; "));
                    let problem = before.chain([problem]).collect();
                    let finished = TrialFinished {
                        grading_ns,
                        ..failed(problem, wall_ns)
                    };
                    return (finished, transcript);
                }
            };
            let over = Duration::from_nanos(wall_ns) >= whole || turns >= limits.turns;
            let out_of_room = ended.by == EndedBy::DiskLimit;
            let go_on = grade.go_on && !over && !out_of_room && !ended.by.fault();
            grades.push(grade);
            if !go_on {
                break;
            }
            step += 1;
        }
        let grade = steps::combine(self.task, grades);
        if let Some(patch) = grade.patch {
            let _ = self.shared.events.send(RunEvent::Patch(
                self.key.clone(),
                self.redaction.work(patch),
            ));
        }
        let stop = stop.unwrap_or(Stop::FINISHED);
        let finished = TrialFinished {
            outcome: outcome(stop.by, grade.resolved, grade.verifier_failed),
            ended_by: Some(stop.by),
            detail: stop.why.or(ended_early).or(grade.detail),
            wall_ns,
            grading_ns,
            reward: grade.reward,
            failed_tests: grade.failed_tests,
        };
        (finished, transcript)
    }

    /// Plays a session; the trial's start moves by the time that its clock stood still.
    async fn play(
        &self,
        assignment: Assignment<'_>,
        session: &Session,
        origin: &mut u64,
        emit: &mut (dyn FnMut(Event) + Send),
    ) -> Played {
        let turns = assignment.turns_before;
        let held = (self.task, session);
        match interactive::hold(self.agent, assignment, held, *origin, emit).await {
            Ok(played) => {
                *origin += played.stood_still_ns;
                played
            }
            Err(stop) => Played::never(stop, turns, &self.key.task),
        }
    }

    async fn begin(&self, step: usize) -> Result<(), String> {
        let begin = move |task: &Task, workspace: &Workspace, sandbox: &Sandbox| {
            steps::begin_step(task, step, workspace, sandbox)
        };
        self.apart(begin).await
    }

    async fn grade(&self, step: usize) -> Result<StepGrade, String> {
        let grade = move |task: &Task, workspace: &Workspace, sandbox: &Sandbox| {
            steps::grade_step(task, step, workspace, sandbox)
        };
        self.apart(grade).await
    }

    /// Runs what takes long on a thread of its own.
    async fn apart<T: Send + 'static>(
        &self,
        run: impl FnOnce(&Task, &Workspace, &Sandbox) -> timeslip_suites::Result<T> + Send + 'static,
    ) -> Result<T, String> {
        let (task, workspace) = (self.task.clone(), Arc::clone(&self.workspace));
        let sandbox = self.shared.place.sandbox.clone();
        apart(move || run(&task, &workspace, &sandbox)).await
    }
}

/// Both facts in one word: what the verifier found, and who ended the work where it found
/// nothing good.
fn outcome(ended_by: EndedBy, resolved: bool, no_verdict: bool) -> Outcome {
    if resolved {
        Outcome::Resolved
    } else if no_verdict || ended_by.fault() {
        Outcome::Error
    } else if ended_by.limit() {
        Outcome::LimitReached
    } else {
        Outcome::Unresolved
    }
}

/// A trial that came to no verdict by the harness's own fault.
fn failed(problem: String, wall_ns: u64) -> TrialFinished {
    TrialFinished {
        outcome: Outcome::Error,
        ended_by: Some(EndedBy::Harness),
        detail: Some(problem),
        wall_ns,
        grading_ns: 0,
        reward: None,
        failed_tests: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_keys_are_short_stable_and_apart() {
        let key = |task: &str, attempt| {
            let (suite, endpoint) = ("swe-bench-verified".to_owned(), "e".to_owned());
            cache_key(
                1,
                &TrialKey {
                    suite,
                    task: task.to_owned(),
                    endpoint,
                    attempt,
                },
                0,
            )
        };
        let long = key(&"scikit-learn__scikit-learn-25638".repeat(4), u32::MAX);
        assert!(long.len() <= 64 && long.ends_with("#4294967295"), "{long}");
        assert_eq!(key("a", 1), key("a", 1));
        assert_ne!(key("a", 1), key("a", 2));
        assert_ne!(key("a", 1), key("b", 1));
    }
}
