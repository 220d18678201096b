//! Who does the work of a trial: the built-in agent, or a real one in the trial's sandbox.

pub(in crate::run) mod builtin;
mod door;
mod external;
pub(in crate::run) mod transcript;

pub(crate) use door::Ends;
pub use door::{Opening, go_through};
pub use external::External;
pub(crate) use external::{Launch, Live};
pub(crate) use transcript::append;

use std::sync::Arc;
use std::time::Duration;

use timeslip_datasets::atif::Trajectory;
use timeslip_datasets::run::Keeper;
use timeslip_datasets::run::journal::{EndedBy, Event};
use timeslip_suites::{Limits, Sandbox, Workspace};
use timeslip_wire::Endpoint;
use tokio::runtime::Handle;

/// An agent.
#[derive(Clone, Debug)]
pub enum Agent {
    /// The one that is part of timeslip: its tools run in the sandbox, itself outside.
    BuiltIn,
    /// A real one: all of it runs in the sandbox, behind a recording proxy.
    External(Arc<External>),
}

/// One trial's worth of work.
#[derive(Debug)]
pub struct Assignment<'a> {
    /// Where its streams are read.
    pub measuring: &'a Handle,
    /// Id of the run that it is part of.
    pub run_id: &'a str,
    /// Keeps what a real agent and its model say.
    pub keeper: &'a Keeper,
    /// Where the model is.
    pub endpoint: &'a Endpoint,
    /// What the model is told.
    pub prompt: &'a str,
    /// Where commands run.
    pub bench: Bench,
    /// Stable id of the conversation.
    pub cache_key: String,
    /// Model calls that the trial has made already, for a task of several steps.
    pub turns_before: u32,
    /// Most model calls of the trial.
    pub turns: u32,
    /// Most time.
    pub time: Duration,
}

/// Where commands run.
#[derive(Clone, Debug)]
pub struct Bench {
    /// The task's files.
    pub workspace: Arc<Workspace>,
    /// What runs commands.
    pub sandbox: Sandbox,
    /// Bounds of one command.
    pub limits: Limits,
    /// Mebibytes that all of them may write.
    pub disk_mb: u64,
}

/// Why the agent stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Who ended its work.
    pub by: EndedBy,
    /// In words, where it was not the agent itself.
    pub why: Option<String>,
}

impl Stop {
    /// The model called submit, or said something without calling a tool.
    pub const FINISHED: Stop = Stop {
        by: EndedBy::Agent,
        why: None,
    };

    pub(in crate::run) fn because(by: EndedBy, why: String) -> Self {
        Stop { by, why: Some(why) }
    }

    pub(in crate::run) fn out_of_time(time: Duration) -> Self {
        let why = format!("the trial's {} s are over", time.as_secs());
        Stop::because(EndedBy::TimeLimit, why)
    }

    pub(in crate::run) fn out_of_turns(turns: u32) -> Self {
        let why = format!("the trial's {turns} turns are over");
        Stop::because(EndedBy::TurnLimit, why)
    }

    pub(in crate::run) fn out_of_disk(disk_mb: u64) -> Self {
        let why = format!("disk limit: the trial wrote more than {disk_mb} MiB");
        Stop::because(EndedBy::DiskLimit, why)
    }
}

/// What came of an assignment.
#[derive(Debug)]
pub struct Work {
    /// Why it ended.
    pub stop: Stop,
    /// What was said and done.
    pub transcript: Trajectory,
    /// Model calls that the trial has made so far.
    pub turns: u32,
    /// When it ended, on the run's clock. Reading what was recorded of it takes longer.
    pub end: u64,
}

impl Agent {
    /// Works until the agent says that it is done or something stops it. `origin` is the
    /// trial's start on the run's clock; everything timed goes to `record`.
    pub async fn work(
        &self,
        assignment: Assignment<'_>,
        origin: u64,
        record: impl FnMut(Event),
    ) -> Work {
        match self {
            Agent::BuiltIn => builtin::work(assignment, origin, record).await,
            Agent::External(agent) => agent.work(assignment, origin, record).await,
        }
    }
}
