//! A real agent: all of it runs in the trial's sandbox, and reaches its model through a
//! recording proxy alone.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;

use serde_json::Value;
use timeslip_datasets::run::journal::{AgentRun, EndedBy, Event, Exchange};
use timeslip_datasets::run::plan::{PlannedAgent, PlannedEndpoint};
use timeslip_proxy::Seen;
use timeslip_suites::sandbox::{Observed, Ports};
use timeslip_suites::{Cancel, Capabilities, Execution, Exit, Invocation, Limits, Mount, Quota};
use timeslip_wire::{clock, says_context_limit};

use super::door::{Door, NO_DOOR};
use super::{Assignment, Bench, Stop, Work, transcript};
use crate::agents::{self, Adapter, Layer, Layers, Pointing, Speaks, Values};
use crate::console;
use crate::error::Error;
use crate::record::{self, Lines, Process, Processes, Recording};
use crate::run::endpoints;

/// Its home directory, in a sandbox with files of its own.
const HOME: &str = "/home/agent";

/// Mebibytes that an agent itself may take, beside what its tools may.
const MEMORY_MB: u64 = 3072;

/// Characters that are kept of what an agent printed last.
const LAST_WORDS: usize = 400;

/// A real agent, installed.
#[derive(Debug)]
pub struct External {
    adapter: Adapter,
    way: Speaks,
    layer: Layer,
}

impl External {
    /// The agent of a planned endpoint; it is installed where it is not, after `before` was
    /// called.
    ///
    /// # Errors
    /// [`Error::Agent`] when it cannot be installed, [`Error::Config`] when its adapter in the
    /// plan cannot be read.
    pub fn of(
        planned: &PlannedAgent,
        endpoint: &PlannedEndpoint,
        layers: &Layers,
        before: impl FnOnce(&Adapter),
    ) -> Result<Self, Error> {
        let wrong = |problem: String| Error::Config {
            place: format!("agent '{}' of the plan", planned.name),
            problem,
        };
        let adapter: Adapter = serde_json::from_value(Value::Object(planned.adapter.clone()))
            .map_err(|error| wrong(error.to_string()))?;
        let way = adapter
            .way(&endpoint.protocol, &endpoint.transport)
            .ok_or_else(|| wrong(format!("does not speak {}", endpoint.protocol)))?
            .clone();
        let layer = layers.install(&adapter, || before(&adapter))?;
        Ok(External {
            adapter,
            way,
            layer,
        })
    }

    /// Says what is wrong with a sandbox that agents cannot run in.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub fn check(capabilities: &Capabilities) -> Result<(), String> {
        match capabilities.ports {
            Ports::Own | Ports::Machine => Ok(()),
            Ports::None => Err(NO_DOOR.to_owned()),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.adapter.name
    }

    /// The version that it prints itself.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.layer.version
    }

    /// Runs the agent until it ends or something stops it.
    pub(super) async fn work(
        &self,
        assignment: Assignment<'_>,
        origin: u64,
        mut record: impl FnMut(Event),
    ) -> Work {
        let mut transcript = transcript::start(
            (&self.adapter.name, &self.layer.version),
            &assignment.cache_key,
            &assignment.endpoint.model,
            assignment.prompt,
        );
        let mut ran = match self.run(&assignment, origin).await {
            Ok(ran) => ran,
            Err(problem) => {
                let why = format!("{} could not be started: {problem}", self.adapter.name);
                return Work {
                    stop: Stop::because(EndedBy::Harness, why),
                    transcript,
                    turns: assignment.turns_before,
                    end: clock::now(),
                };
            }
        };
        record(Event::AgentRun(ran.agent_run(origin)));
        ran.lines.events.drain(..).for_each(&mut record);
        for (answer, results) in &ran.lines.answers {
            transcript::add_turn(&mut transcript, answer, results);
        }
        Work {
            stop: self.stop(&assignment, &ran),
            transcript,
            turns: assignment.turns_before + ran.lines.turns,
            end: clock::since_origin(ran.execution.ended),
        }
    }

    /// Starts the agent in its sandbox, and records what it says until it has ended.
    async fn run(&self, assignment: &Assignment<'_>, origin: u64) -> io::Result<Ran> {
        let Assignment {
            endpoint, bench, ..
        } = assignment;
        let capabilities = bench.sandbox.capabilities();
        let directory = bench.workspace.own_directory("agent");
        let directory = directory.map_err(io::Error::other)?;
        // Of each step its own: what an earlier one left is not followed.
        let fresh = || Ok::<_, io::Error>(tempfile::tempdir_in(&directory)?.keep());
        let (home, door) = (fresh()?, Door::new(&capabilities, &fresh()?)?);
        let inside = match capabilities.ports {
            Ports::Own => PathBuf::from(HOME),
            Ports::Machine | Ports::None => home.clone(),
        };
        let base_path = endpoint.protocol.base_path();
        let proxied = format!("http://{}", door.address);
        let layer = self.layer.path.clone().unwrap_or_default();
        let pointing = self.adapter.pointing(
            &self.way,
            &Values {
                origin: &proxied,
                base_url: &format!("{proxied}{base_path}"),
                model: &endpoint.model,
                context_tokens: endpoint.options.context_tokens,
                key: agents::KEY,
                home: &inside.to_string_lossy(),
                layer: &layer.to_string_lossy(),
                instruction: assignment.prompt,
            },
        );
        pointing.write_files(&inside, &home)?;
        let cancel = Cancel::new()?;
        let invocation = self.invocation(assignment, pointing, &door, (&home, &inside), &cancel)?;
        let sandbox = bench.sandbox.clone();
        let start = clock::now() - origin;
        let mut running = tokio::task::spawn_blocking(move || sandbox.run(&invocation));
        let ended = |ended: Result<timeslip_suites::Result<Execution>, _>| {
            ended.map_err(io::Error::other)?.map_err(io::Error::other)
        };
        let listener = tokio::select! {
            opened = door.opened() => opened?,
            execution = &mut running => {
                let execution = ended(execution)?;
                let words = last_words(&execution);
                return Err(io::Error::other(format!("it {}{words}", execution.exit)));
            }
        };
        let (told, seen) = record::channel();
        let proxy = timeslip_proxy::start(timeslip_proxy::Options {
            listeners: vec![listener],
            upstream: endpoints::upstream(endpoint),
            origin,
            limits: timeslip_proxy::Limits::default(),
            seen: told,
        })?;
        let turns = assignment.turns.saturating_sub(assignment.turns_before);
        let redaction = endpoint.redaction();
        let keeper = assignment.keeper.clone();
        let recording = tokio::task::spawn_blocking(move || {
            let mut recording = Recording::new(redaction, keeper);
            follow(&mut recording, seen, turns, &cancel).map(|()| recording)
        });
        let execution = running.await;
        // Ends what the agent's death has not, and with it the recording.
        let dropped = tokio::task::spawn_blocking(move || drop(proxy)).await;
        debug_assert!(dropped.is_ok());
        let recording = recording.await.map_err(io::Error::other)??;
        let mut execution = ended(execution)?;
        let observed = execution.observed.as_mut();
        let processes = observed.map_or_else(Processes::default, |it| processes(it, origin));
        Ok(Ran {
            start,
            execution,
            lines: recording.with_processes(processes).finish(),
        })
    }

    /// The command that runs the agent.
    fn invocation(
        &self,
        assignment: &Assignment<'_>,
        pointing: Pointing,
        door: &Door,
        (home, inside): (&Path, &Path),
        cancel: &Cancel,
    ) -> io::Result<Invocation> {
        let Bench {
            workspace,
            limits,
            disk_mb,
            ..
        } = &assignment.bench;
        let mut command = pointing.command.into_iter();
        let program = command.next().unwrap_or_default();
        let words = self.layer.program(&program).into_iter();
        let words = words.chain(pointing.arguments).chain(command).collect();
        let limits = Limits {
            wall: assignment.time,
            memory_mb: limits.memory_mb.saturating_add(MEMORY_MB),
            ..*limits
        };
        let mut invocation = workspace.invocation(&door.command(words, pointing.input)?, limits);
        invocation.disk = invocation.disk.map(|disk| disk.at_most(*disk_mb));
        invocation.quota = Quota {
            reserves_memory: true,
            ..invocation.quota
        };
        invocation.cancel = Some(cancel.clone());
        invocation.observed = true;
        let layers = self.layer.path.iter().chain(&self.layer.needs);
        invocation.mounts.extend(layers.map(|path| Mount {
            host: path.clone(),
            inside: path.to_string_lossy().into_owned(),
            writable: false,
        }));
        invocation.mounts.push(Mount {
            host: home.to_owned(),
            inside: inside.to_string_lossy().into_owned(),
            writable: true,
        });
        invocation.mounts.extend(door.mounts.iter().cloned());
        let home = [("HOME", inside.to_string_lossy().into_owned())];
        let own = home.into_iter().chain([("TERM", "dumb".to_owned())]);
        let own = own.map(|(name, value)| (name.to_owned(), value));
        invocation.environment.extend(own);
        invocation.environment.extend(pointing.environment);
        Ok(invocation)
    }

    /// Who ended its work.
    fn stop(&self, assignment: &Assignment<'_>, ran: &Ran) -> Stop {
        let execution = &ran.execution;
        let exit = match execution.exit {
            Exit::TimedOut => return Stop::out_of_time(assignment.time),
            Exit::DiskLimit => return Stop::out_of_disk(assignment.bench.disk_mb),
            Exit::Cancelled => return Stop::out_of_turns(assignment.turns),
            exit => exit,
        };
        let name = &self.adapter.name;
        let note = execution.exceeded.note();
        let note = note.map(|note| format!(", {note}")).unwrap_or_default();
        let why = format!("{name} {exit}{note}{}", last_words(execution));
        match (&ran.lines.failure, exit) {
            (Some(failure), _) if says_context_limit(failure) => {
                Stop::because(EndedBy::ContextLimit, failure.clone())
            }
            (Some(failure), _) => Stop::because(EndedBy::Endpoint, format!("{failure}; {why}")),
            (None, _) if ran.lines.first_request.is_none() => {
                let why = format!("{why}; it asked its model for nothing");
                Stop::because(EndedBy::Harness, why)
            }
            (None, Exit::Code(0)) => Stop::FINISHED,
            (None, _) => Stop::because(EndedBy::Agent, why),
        }
    }
}

/// What came of a run of the agent.
struct Ran {
    /// When its sandbox was asked to start.
    start: u64,
    execution: Execution,
    lines: Lines,
}

impl Ran {
    fn agent_run(&self, origin: u64) -> AgentRun {
        let Execution {
            command_started,
            command_ended,
            ended,
            exit,
            output_total_bytes,
            ref observed,
            ..
        } = self.execution;
        let used = observed.as_ref();
        let cpu = used.and_then(|observed| observed.cpu);
        let offset = |at| clock::since_origin(at).saturating_sub(origin);
        AgentRun {
            start: self.start,
            command_start: command_started.map(offset),
            first_request: self.lines.first_request,
            command_end: command_ended.map(offset),
            end: offset(ended),
            status: match exit {
                Exit::Code(code) => format!("exit {code}"),
                Exit::Signal(signal) => format!("signal {signal}"),
                other => other.to_string(),
            },
            output_bytes: output_total_bytes,
            cpu_ns: cpu.and_then(|cpu| u64::try_from(cpu.as_nanos()).ok()),
            peak_memory_bytes: used.and_then(|observed| observed.peak_memory_bytes),
        }
    }
}

/// What was seen of processes, on the trial's clock.
fn processes(observed: &mut Observed, origin: u64) -> Processes {
    let offset = |at| clock::since_origin(at).saturating_sub(origin);
    let lives = observed.processes.take().unwrap_or_default().into_iter();
    let lives = lives.map(|life| Process {
        parent: life.parent,
        start: offset(life.started),
        end: life.ended.map(offset),
        words: life.words,
    });
    Processes::new(lives.collect())
}

/// Takes what the proxy tells until it ends, and cancels the agent when an answer that asks
/// for more has used up its turns.
fn follow(
    recording: &mut Recording,
    told: Receiver<Seen>,
    turns: u32,
    cancel: &Cancel,
) -> io::Result<()> {
    let mut answers = 0;
    for seen in told {
        let exchange = seen.exchange.as_ref();
        // A warm-up is answered without output.
        let answered = |one: &Exchange| one.error.is_none() && one.marks.first_token.is_some();
        answers += u32::from(exchange.is_some_and(answered));
        let answer = seen.answer.as_ref();
        let goes_on = answer.is_some_and(|answer| !answer.calls.is_empty());
        if answers >= turns && goes_on {
            cancel.cancel();
        }
        recording.take(seen)?;
    }
    Ok(())
}

/// What it printed last, for a sentence.
fn last_words(execution: &Execution) -> String {
    let text = execution.text();
    let text = text.trim();
    let skipped = text.chars().count().saturating_sub(LAST_WORDS);
    let end: String = text.chars().skip(skipped).collect();
    match end.is_empty() {
        true => String::new(),
        false => format!(": {}", console::one_line(&end)),
    }
}
