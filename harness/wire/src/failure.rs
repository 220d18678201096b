//! The ways an exchange can end without an answer.

use std::time::Duration;

use crate::protocols::StreamError;

/// What servers call an error that passes, where they give no status with it.
const PASSING: [&str; 10] = [
    "overloaded",
    "overloaded_error",
    "rate_limit_error",
    "rate_limit_exceeded",
    "server_error",
    "server_is_overloaded",
    "service_unavailable_error",
    "slow_down",
    "RESOURCE_EXHAUSTED",
    "UNAVAILABLE",
];

/// Why an exchange gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No connection.
    #[error("{0}")]
    Connect(String),
    /// An HTTP status other than success.
    #[error("HTTP {status}: {message}")]
    Status {
        /// The status.
        status: u16,
        /// The start of the body. Untrusted.
        message: String,
        /// How long the server asks to wait, when it says so.
        retry_after: Option<Duration>,
    },
    /// The stream said something wrong.
    #[error("{0}")]
    Stream(#[from] StreamError),
    /// The connection ended before the terminal event.
    #[error("the stream ended early: {0}")]
    Closed(String),
    /// Nothing came for too long.
    #[error("no byte for {0:?}")]
    Idle(Duration),
    /// The trial's time is over.
    #[error("cut off: the trial's time is over")]
    Deadline,
    /// More data than any honest answer has.
    #[error("the response exceeds {0} MiB")]
    TooLarge(usize),
}

impl Failure {
    /// Whether another try may help.
    #[must_use]
    pub fn retryable(&self) -> bool {
        let transient = |status: u16| matches!(status, 408 | 409 | 425 | 429 | 500..=599);
        match self {
            Failure::Connect(_) | Failure::Closed(_) | Failure::Idle(_) => true,
            Failure::Status { status, .. } => transient(*status),
            Failure::Stream(StreamError::Server { status, code, .. }) => {
                self.lost_state()
                    || status.is_some_and(transient)
                    || PASSING.contains(&code.as_str())
            }
            Failure::Stream(StreamError::Malformed { .. })
            | Failure::Deadline
            | Failure::TooLarge(_) => false,
        }
    }

    /// Whether the connection, and what the server remembered on it, is all that was
    /// lost: the same request, whole and on a new connection, is expected to work.
    #[must_use]
    pub fn lost_state(&self) -> bool {
        self.code() == Some("previous_response_not_found") || self.connection_limit()
    }

    /// Whether the connection has reached a limit of its own: no request will be
    /// answered on it any more.
    #[must_use]
    pub fn connection_limit(&self) -> bool {
        matches!(
            self.code(),
            Some("websocket_connection_limit_reached" | "websocket_stream_limit_reached")
        )
    }

    fn code(&self) -> Option<&str> {
        match self {
            Failure::Stream(StreamError::Server { code, .. }) => Some(code),
            _ => None,
        }
    }

    /// How long the server asks to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Failure::Status { retry_after, .. }
            | Failure::Stream(StreamError::Server { retry_after, .. }) => *retry_after,
            _ => None,
        }
    }
}
