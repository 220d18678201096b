//! The integration tests of the wire.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod any_json;
mod arrivals;
mod call_arrivals;
mod exchange;
mod hostile_payloads;
mod hostile_streams;
mod http2;
mod lanes;
mod other_values;
mod protocol_requests;
mod protocol_streams;
mod recorded;
mod requests_seen;
mod scripted;
mod server_connections;
mod server_streams;
mod support;
mod talk;
mod websocket;
mod whole_answers;
