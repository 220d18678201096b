//! The real-time mode: a developer stays in the loop, asks, interrupts, redirects, types.
//!
//! ```text
//! session file ─► player ─► driver ─► endpoint or agent
//!                   ▲          │
//!                   └─ observations, dated ─┘
//! ```
//!
//! The player does what the session file says, at its times, and decides what an observation
//! means for an act. A [`Driver`] carries it out and tells what it sees; it knows no session
//! file, no marks of acts and no checks.

mod agent;
mod driver;
mod endpoint;
mod player;

pub use agent::AgentDriver;
pub use driver::{
    Abilities, Ask, Boxed, Closed, Driver, Observation, Observed, Observer, SteerAnswer,
    StopAnswer, Told,
};
pub use endpoint::EndpointDriver;
pub use player::{Played, Stage, play};

use timeslip_datasets::run::journal::{EndedBy, Event};
use timeslip_datasets::session::Session;
use timeslip_suites::Task;
use tokio::sync::mpsc;

use crate::run::agent::{Agent, Assignment, Stop};

/// Holds a session of a task: what is journalled goes to `record`.
///
/// # Errors
/// Why none can be held.
pub async fn hold(
    agent: &Agent,
    assignment: Assignment<'_>,
    (task, session): (&Task, &Session),
    origin: u64,
    record: &mut (dyn FnMut(Event) + Send),
) -> Result<Played, Stop> {
    let (observer, observations) = mpsc::unbounded_channel();
    let driver = driver_of(agent, &assignment, origin, observer)?;
    let stage = Stage {
        task,
        session,
        bench: assignment.bench,
        origin,
        time: assignment.time,
    };
    Ok(play(stage, driver, observations, record).await)
}

/// What drives an agent, or an endpoint by itself.
fn driver_of(
    agent: &Agent,
    assignment: &Assignment<'_>,
    origin: u64,
    observer: Observer,
) -> Result<Box<dyn Driver>, Stop> {
    match agent {
        Agent::BuiltIn => Ok(Box::new(EndpointDriver::new(assignment, origin, observer))),
        Agent::External(agent) => match AgentDriver::of(agent, assignment, origin, observer) {
            Some(driver) => Ok(Box::new(driver)),
            None => {
                let name = agent.name();
                let why = format!("{name} has no control protocol to hold a session by");
                Err(Stop::because(EndedBy::Harness, why))
            }
        },
    }
}
