//! The built-in agent: ask the model, run the tools it calls, until it submits.

mod contention;
mod edit;
pub(in crate::run) mod tools;

use std::borrow::Cow;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use timeslip_datasets::atif::Trajectory;
use timeslip_datasets::run::journal::{EndedBy, Event};
use timeslip_wire::protocols::Item;
use timeslip_wire::{Endpoint, Failure, Session, clock, says_context_limit};
use tokio::time::Instant;

use super::{Assignment, Stop, Work, transcript};

const INSTRUCTIONS: &str = "You are a software engineer working alone in a sandbox without network. \
Solve the task in the working directory. Look before you change anything, make the smallest change that is right, \
check it by running it, and call submit when you are done. Nobody answers questions.";

/// Instructions after a salt of the run's and the endpoint's own, where it is wanted: a
/// prompt cache knows a prompt by its beginning.
pub(in crate::run) fn salted(
    endpoint: &Endpoint,
    run_id: &str,
    instructions: &'static str,
) -> Cow<'static, str> {
    if !endpoint.options.salt {
        return instructions.into();
    }
    let hash = Sha256::digest(format!("{run_id}/{}", endpoint.name));
    format!("Session {}.\n{instructions}", HEXLOWER.encode(&hash[..8])).into()
}

/// All that one trial says, answers and results together; neither a hostile server nor
/// thousands of calls may fill memory.
const MAX_CONVERSATION: usize = 32 << 20;

/// Works until the model submits or something stops it. `origin` is the trial's
/// start on the run's clock; everything timed goes to `record` as it happens.
pub(super) async fn work(
    assignment: Assignment<'_>,
    origin: u64,
    mut record: impl FnMut(Event),
) -> Work {
    let mut turn = assignment.turns_before;
    let mut transcript = transcript::start(
        ("timeslip", env!("CARGO_PKG_VERSION")),
        &assignment.cache_key,
        &assignment.endpoint.model,
        assignment.prompt,
    );
    let stop = converse(assignment, origin, &mut record, &mut transcript, &mut turn).await;
    Work {
        stop,
        transcript,
        turns: turn,
        end: clock::now(),
    }
}

/// The conversation; `turn` is the last one that was begun.
async fn converse(
    assignment: Assignment<'_>,
    origin: u64,
    record: &mut impl FnMut(Event),
    transcript: &mut Trajectory,
    turn: &mut u32,
) -> Stop {
    let Assignment {
        measuring,
        run_id,
        endpoint,
        prompt,
        bench,
        cache_key,
        turns_before,
        turns,
        time,
    } = assignment;
    let deadline = Instant::now() + time;
    let specs = tools::specs();
    let disk_mb = bench.disk_mb;
    let mut session = Session::new(endpoint, cache_key, origin).on(measuring);
    let redaction = endpoint.redaction();
    let instructions = salted(endpoint, run_id, INSTRUCTIONS);
    let mut items = vec![Item::User(prompt.to_owned())];
    let mut kept = 0;
    session
        .warm_up(&instructions, &specs, deadline, |exchange| {
            record(Event::Exchange(Box::new(exchange)));
        })
        .await;
    for next in turns_before + 1..=turns {
        *turn = next;
        let asked = session.ask(next, &instructions, &specs, &items, deadline, |exchange| {
            record(Event::Exchange(Box::new(exchange)));
        });
        let answer = match asked.await {
            Ok(answer) => answer,
            Err(Failure::Deadline) => return Stop::out_of_time(time),
            Err(failure) => return failed(endpoint, &failure),
        };
        let mut results = Vec::with_capacity(answer.calls.len());
        let (mut submitted, mut over_disk) = (false, false);
        for call in &answer.calls {
            let remaining = deadline.saturating_duration_since(Instant::now());
            if remaining.is_zero() || kept > MAX_CONVERSATION {
                break;
            }
            let working = tools::call(&bench, next, call, origin, remaining, None);
            let mut done = session.during(working).await;
            // No sandbox has a key, but a server may have told one in a way of its own.
            redaction.tool(&mut done.tool, &mut done.output);
            record(Event::Tool(done.tool));
            submitted |= done.submitted;
            over_disk |= done.over_disk;
            kept += done.output.len();
            results.push(Item::ToolResult {
                call_id: call.call_id.clone(),
                output: done.output,
            });
            if over_disk {
                break;
            }
        }
        transcript::add_turn(transcript, &answer, &results);
        if let (true, Some(reason)) = (answer.calls.is_empty(), &answer.incomplete) {
            let reason: String = endpoint.redact(reason).chars().take(80).collect();
            let by = match says_context_limit(&reason) {
                true => EndedBy::ContextLimit,
                false => EndedBy::OutputLimit,
            };
            return Stop::because(by, format!("the server cut the answer short: {reason}"));
        }
        if over_disk {
            return Stop::out_of_disk(disk_mb);
        }
        if submitted || answer.calls.is_empty() {
            return Stop::FINISHED;
        }
        kept += answer
            .items
            .iter()
            .map(|item| item.to_string().len())
            .sum::<usize>();
        if kept > MAX_CONVERSATION {
            let limit = MAX_CONVERSATION >> 20;
            let why = format!("the conversation exceeds {limit} MiB");
            return Stop::because(EndedBy::ContextLimit, why);
        }
        if results.len() < answer.calls.len() {
            return Stop::out_of_time(time);
        }
        items.extend(answer.items.into_iter().map(Item::Output));
        items.extend(results);
    }
    Stop::out_of_turns(turns)
}

/// What ended the last try of a turn, with the server's words.
pub(in crate::run) fn failed(endpoint: &Endpoint, failure: &Failure) -> Stop {
    let by = match failure.context_limit() {
        true => EndedBy::ContextLimit,
        false => EndedBy::Endpoint,
    };
    Stop::because(by, endpoint.redact(&failure.to_string()))
}
