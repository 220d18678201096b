//! The integration tests of the application.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod agents;
mod bad_input;
mod conformance;
mod datasets;
mod doc_examples;
mod driven_agents;
mod first_request;
mod gate;
mod grade;
mod help;
mod history;
mod instrument;
mod main_job;
mod nightly;
mod probe;
mod prompt_cache;
mod proxy;
mod real_time;
mod record;
mod recorded_clients;
mod report_in_browser;
#[path = "../../wire/tests/it/scripted.rs"]
mod scripted;
mod secrets;
#[path = "../../wire/tests/it/support.rs"]
mod server;
mod signals;
mod simulated_clients;
mod stages_of_exchanges;
mod stops;
mod suites;
mod support;
#[path = "../../wire/tests/it/talk.rs"]
mod talk;
mod trial_endings;
