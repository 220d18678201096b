//! A real agent that runs: its sandbox, the proxy in front of its model, and what is recorded.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use timeslip_datasets::run::Keeper;
use timeslip_datasets::run::journal::{AgentRun, Exchange};
use timeslip_proxy::Seen;
use timeslip_suites::sandbox::{Observed, Ports};
use timeslip_suites::{Cancel, Execution, Exit, Invocation, Limits, Mount, Quota};
use timeslip_wire::{Endpoint, clock};
use tokio::task::JoinHandle;

use super::{External, last_words};
use crate::agents::{self, Pointing, Values};
use crate::control::Carrier;
use crate::record::{self, Lines, Process, Processes, Recording};
use crate::run::agent::Bench;
use crate::run::agent::door::{Door, Ends, Talk};
use crate::run::endpoints;

/// Its home directory, in a sandbox with files of its own.
const HOME: &str = "/home/agent";

/// Mebibytes that an agent itself may take, beside what its tools may.
const MEMORY_MB: u64 = 3072;

/// How an agent is started.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    /// Where its model is.
    pub endpoint: &'a Endpoint,
    /// Where it runs.
    pub bench: &'a Bench,
    /// Answered model calls after which it is ended.
    pub turns: u32,
    /// Most time.
    pub time: Duration,
    /// What is kept of what is said.
    pub keeper: &'a Keeper,
    /// What it is to do; absent where it is driven.
    pub instruction: Option<&'a str>,
}

/// An agent that runs.
#[derive(Debug)]
pub(crate) struct Live {
    /// Its process, where it is driven.
    pub process: Option<u32>,
    /// Through what it is talked with, where it is driven.
    pub ends: Option<Ends>,
    start: u64,
    running: JoinHandle<timeslip_suites::Result<Execution>>,
    cancel: Cancel,
    proxy: timeslip_proxy::Running,
    recording: JoinHandle<io::Result<Recording>>,
    /// The trial's start.
    origin: u64,
}

/// What came of a run of an agent.
#[derive(Debug)]
pub(crate) struct Ran {
    /// When its sandbox was asked to start.
    start: u64,
    pub execution: Execution,
    pub lines: Lines,
}

impl Live {
    /// Starts an agent in its sandbox, and records what it says to its model.
    pub async fn begin(agent: &External, launch: &Launch<'_>, origin: u64) -> io::Result<Self> {
        let Launch {
            endpoint, bench, ..
        } = launch;
        let capabilities = bench.sandbox.capabilities();
        let directory = bench.workspace.own_directory("agent");
        let directory = directory.map_err(io::Error::other)?;
        // Of each step its own: what an earlier one left is not followed.
        let fresh = || Ok::<_, io::Error>(tempfile::tempdir_in(&directory)?.keep());
        let talk = match launch.instruction {
            Some(_) => None,
            None => agent.control().map(|(protocol, _)| match protocol.carrier {
                Carrier::Pipes => Talk::Pipes,
                Carrier::Http => Talk::Server,
            }),
        };
        let (home, door) = (fresh()?, Door::new(&capabilities, &fresh()?, talk)?);
        let inside = match capabilities.ports {
            Ports::Own => PathBuf::from(HOME),
            Ports::Machine | Ports::None => home.clone(),
        };
        let proxied = format!("http://{}", door.address);
        let layer = agent.layer.path.clone().unwrap_or_default();
        let values = Values {
            origin: &proxied,
            base_url: &format!("{proxied}{}", endpoint.protocol.base_path()),
            model: &endpoint.model,
            context_tokens: endpoint.options.context_tokens,
            key: agents::KEY,
            home: &inside.to_string_lossy(),
            layer: &layer.to_string_lossy(),
            port: &door.own.port().to_string(),
            instruction: launch.instruction.unwrap_or_default(),
        };
        let pointing = match talk {
            None => Some(agent.adapter.pointing(&agent.way, &values)),
            Some(_) => agent.adapter.pointing_driven(&agent.way, &values),
        };
        let pointing = pointing.ok_or_else(|| io::Error::other("it cannot be driven"))?;
        pointing.write_files(&inside, &home)?;
        let cancel = Cancel::new()?;
        let invocation = agent.invocation(launch, pointing, &door, (&home, &inside), &cancel)?;
        let sandbox = bench.sandbox.clone();
        let start = clock::now() - origin;
        let mut running = tokio::task::spawn_blocking(move || sandbox.run(&invocation));
        let opened = tokio::select! {
            opened = door.opened() => opened?,
            execution = &mut running => {
                let execution = ended(execution)?;
                let words = last_words(&execution);
                return Err(io::Error::other(format!("it {}{words}", execution.exit)));
            }
        };
        let (told, seen) = record::channel();
        let proxy = timeslip_proxy::start(timeslip_proxy::Options {
            listeners: vec![opened.listener],
            upstream: endpoints::upstream(endpoint),
            origin,
            limits: timeslip_proxy::Limits::default(),
            seen: told,
        })?;
        let (turns, redaction) = (launch.turns, endpoint.redaction());
        let keeper = launch.keeper.clone();
        let cancelled = cancel.clone();
        let recording = tokio::task::spawn_blocking(move || {
            let mut recording = Recording::new(redaction, keeper);
            follow(&mut recording, seen, turns, &cancelled).map(|()| recording)
        });
        Ok(Live {
            process: opened.process,
            ends: opened.ends,
            start,
            running,
            cancel,
            proxy,
            recording,
            origin,
        })
    }

    /// Ends it if it has not ended after some time.
    pub async fn end_within(mut self, patience: Duration) -> io::Result<Ran> {
        // What it was talked with through is closed: it is told to end.
        drop(self.ends.take());
        let cancel = self.cancel.clone();
        let late = tokio::spawn(async move {
            tokio::time::sleep(patience).await;
            cancel.cancel();
        });
        let ran = self.end().await;
        late.abort();
        ran
    }

    /// Waits until it has ended, and for all that was recorded of it.
    pub async fn end(self) -> io::Result<Ran> {
        let execution = self.running.await;
        // Ends what the agent's death has not, and with it the recording.
        let proxy = self.proxy;
        let dropped = tokio::task::spawn_blocking(move || drop(proxy)).await;
        debug_assert!(dropped.is_ok());
        let recording = self.recording.await.map_err(io::Error::other)??;
        let mut execution = ended(execution)?;
        let observed = execution.observed.as_mut();
        let processes = observed.map_or_else(Processes::default, |it| processes(it, self.origin));
        // To tell a long conversation's requests apart takes a while, and others wait here.
        let finishing =
            tokio::task::spawn_blocking(move || recording.with_processes(processes).finish());
        Ok(Ran {
            start: self.start,
            execution,
            lines: finishing.await.map_err(io::Error::other)?,
        })
    }
}

fn ended(
    ended: Result<timeslip_suites::Result<Execution>, tokio::task::JoinError>,
) -> io::Result<Execution> {
    ended.map_err(io::Error::other)?.map_err(io::Error::other)
}

impl External {
    /// The command that runs the agent.
    fn invocation(
        &self,
        launch: &Launch<'_>,
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
        } = launch.bench;
        let mut command = pointing.command.into_iter();
        let program = command.next().unwrap_or_default();
        let words = self.layer.program(&program).into_iter();
        let words = words.chain(pointing.arguments).chain(command).collect();
        let limits = Limits {
            wall: launch.time,
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
}

impl Ran {
    /// What it printed last, for a sentence.
    pub fn last_words(&self) -> String {
        last_words(&self.execution)
    }

    /// The journal's line about it.
    pub fn agent_run(&self, origin: u64) -> AgentRun {
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
