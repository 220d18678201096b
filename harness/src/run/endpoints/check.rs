//! A word with every real endpoint before a run, so that a wrong key, model or path is
//! found once and not in every trial.
//!
//! It goes the way of a trial's requests, with one tool of its own. Nothing of it is
//! measured or recorded, and it begins as no request of a trial does: no prompt cache knows
//! more afterwards.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use timeslip_datasets::run::journal::Exchange;
use timeslip_datasets::run::plan::PlannedEndpoint;
use timeslip_wire::connection::Target;
use timeslip_wire::protocols::{Item, StreamError, ToolSpec};
use timeslip_wire::{Endpoint, Failure, Session, clock};
use tokio::time::Instant;

use super::{endpoint, secrets};
use crate::error::Error;

/// How long an endpoint may take for its word.
const PATIENCE: Duration = Duration::from_secs(60);
/// Output tokens that are asked for: fewer are refused by some.
const MAX_TOKENS: u32 = 16;
const INSTRUCTIONS: &str = "This is a test of the connection.";
const QUESTION: &str = "Answer with the word yes.";

/// Checks what can be checked before anything is written: variables are set, and, where
/// `asking`, real servers answer. Gives what is to be said of those that did not answer
/// for a reason that passes. Embedded servers are not asked.
///
/// # Errors
/// [`Error::Config`] for a missing key, [`Error::Unreachable`] for a server that refuses,
/// [`Error::Several`] where more than one endpoint is wrong.
pub async fn check(planned: &[PlannedEndpoint], asking: bool) -> Result<Vec<String>, Error> {
    let mut problems = Vec::new();
    let mut real = Vec::new();
    for one in planned {
        let opened = match one.base_url.as_deref() {
            Some(url) => endpoint(one, url).map(|endpoint| real.push((one, url, endpoint))),
            None => secrets(one).map(|_| ()),
        };
        problems.extend(opened.err());
    }
    let mut passing = Vec::new();
    if asking {
        let asked = real.iter().map(|(_, _, endpoint)| word(endpoint));
        let answers = join_all(asked).await;
        for ((planned, url, endpoint), answer) in real.iter().zip(answers) {
            let Err(failure) = answer else { continue };
            let words = endpoint.redact(&failure.to_string());
            let words = words.trim_end_matches('.');
            let problem = format!("{}: {words}", asked_url(endpoint, url));
            if passes(&failure) {
                passing.push(format!(
                    "endpoint {} did not answer a first request, and is tried again in the run: \
                     {problem}",
                    planned.name
                ));
            } else {
                problems.push(Error::Unreachable {
                    endpoint: planned.name.clone(),
                    problem: problem + &advice(&failure, planned),
                });
            }
        }
    }
    match problems.len() {
        0 => Ok(passing),
        1 => Err(problems.remove(0)),
        _ => Err(Error::Several(problems)),
    }
}

/// Asks for a word, with a limit to the output unless that is what is refused.
async fn word(endpoint: &Endpoint) -> Result<(), Failure> {
    let mut limited = endpoint.clone();
    let protocol = endpoint.protocol;
    protocol.bound_output(&mut limited.extra, MAX_TOKENS);
    match ask(&limited).await {
        Err(failure) if may_refuse_limit(&failure) => ask(endpoint).await,
        // Any connection may be lost once.
        Err(failure) if failure.lost_connection() => ask(&limited).await,
        answer => answer,
    }
}

async fn ask(endpoint: &Endpoint) -> Result<(), Failure> {
    let mut endpoint = endpoint.clone();
    endpoint.options.retries = 0;
    let tools = [ToolSpec {
        name: "nothing",
        description: "Does nothing.",
        parameters: json!({
            "type": "object",
            "properties": {},
            "required": [],
            "additionalProperties": false,
        }),
    }];
    let items = [Item::User(QUESTION.to_owned())];
    let mut session = Session::new(&endpoint, "timeslip-check#1".to_owned(), clock::now());
    let deadline = Instant::now() + PATIENCE;
    let mut begun = false;
    let see = |exchange: Exchange| begun |= exchange.marks.first_token.is_some();
    let asked = session.ask(1, INSTRUCTIONS, &tools, &items, deadline, see);
    let answer = asked.await;
    match answer {
        // What is asked for may all go into reasoning that is not shown.
        Ok(_) | Err(Failure::Empty) => Ok(()),
        Err(Failure::Deadline) if begun => Ok(()),
        Err(Failure::Deadline) => Err(Failure::Idle(PATIENCE)),
        Err(failure) => Err(failure),
    }
}

/// The HTTP status of a refusal, or what stands for one.
fn status(failure: &Failure) -> Option<u16> {
    match failure {
        Failure::Status { status, .. } => Some(*status),
        Failure::Stream(StreamError::Server { status, .. }) => *status,
        _ => None,
    }
}

/// Whether the limit to the output may be what a server refuses.
fn may_refuse_limit(failure: &Failure) -> bool {
    let refused = matches!(failure, Failure::Status { .. } | Failure::Stream(_));
    refused && !failure.retryable() && matches!(status(failure), None | Some(400 | 422))
}

/// Whether a failure says nothing of what was asked: a busy or slow server.
fn passes(failure: &Failure) -> bool {
    match failure {
        Failure::Idle(_) | Failure::Stalled(_) => true,
        Failure::Status { .. } | Failure::Stream(_) => failure.retryable(),
        _ => false,
    }
}

/// The URL that was asked, without the parameters that may be secret.
fn asked_url(endpoint: &Endpoint, base_url: &str) -> String {
    let path = endpoint.protocol.path(&endpoint.model);
    let Ok(target) = Target::parse(base_url) else {
        return base_url.to_owned();
    };
    let scheme = if target.tls { "https" } else { "http" };
    format!(
        "{scheme}://{}{}",
        target.authority(),
        target.resource(&path)
    )
}

/// What to do about a refusal, as far as its status says.
fn advice(failure: &Failure, planned: &PlannedEndpoint) -> String {
    match (status(failure), &planned.api_key_env) {
        (Some(401 | 403), Some(name)) => format!("; correct the key in {name}"),
        (Some(401 | 403), None) if planned.headers.is_empty() && planned.query.is_empty() => {
            "; name the variable that holds its key in `api_key_env`".to_owned()
        }
        (Some(404 | 405), _) => "; correct `base_url`, `model` or `protocol`".to_owned(),
        _ => String::new(),
    }
}
