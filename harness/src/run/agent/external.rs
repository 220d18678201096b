//! A real agent: all of it runs in the trial's sandbox, and reaches its model through a
//! recording proxy alone.

mod live;

use std::io;

use serde_json::Value;
use timeslip_datasets::run::journal::{EndedBy, Event};
use timeslip_datasets::run::plan::{PlannedAgent, PlannedEndpoint};
use timeslip_suites::sandbox::Ports;
use timeslip_suites::{Capabilities, Execution, Exit};
use timeslip_wire::{clock, says_context_limit};

use super::door::NO_DOOR;
use super::{Assignment, Stop, Work, transcript};
use crate::agents::{Adapter, Control, Layer, Layers, Speaks};
use crate::console;
use crate::control::{self, Protocol};
use crate::error::Error;

pub(crate) use live::{Launch, Live, Ran};

/// Why an agent cannot do a task that nobody drives it through.
const CAN_ONLY_BE_DRIVEN: &str =
    "it has no command for a task that is done without a person; give it sessions, as edit-mini";

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

    /// How it is driven, where it can be.
    #[must_use]
    pub fn control(&self) -> Option<(&'static Protocol, &Control)> {
        let control = self.adapter.control.as_ref()?;
        Some((control::by_name(&control.protocol)?, control))
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
        let launch = Launch {
            endpoint: assignment.endpoint,
            bench: &assignment.bench,
            turns: assignment.turns.saturating_sub(assignment.turns_before),
            time: assignment.time,
            keeper: assignment.keeper,
            instruction: Some(assignment.prompt),
        };
        let ran = async {
            if self.adapter.command.is_empty() {
                return Err(io::Error::other(CAN_ONLY_BE_DRIVEN));
            }
            Live::begin(self, &launch, origin).await?.end().await
        };
        let mut ran = match ran.await {
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

    /// Who ended its work.
    pub(super) fn stop(&self, assignment: &Assignment<'_>, ran: &Ran) -> Stop {
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
