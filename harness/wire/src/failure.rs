//! The ways an exchange can end without an answer.

mod context_limit;

use std::time::Duration;

use crate::protocols::StreamError;

pub use context_limit::says_context_limit;

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
    /// The server closed a WebSocket and said why.
    #[error("the stream ended early: closed by the server: {code} {reason}")]
    ClosedBy {
        /// The code of its close frame.
        code: u16,
        /// Its words. Untrusted.
        reason: String,
    },
    /// Nothing came for too long.
    #[error("no byte for {0:?}")]
    Idle(Duration),
    /// Only keep-alives came for too long.
    #[error("stalled: nothing but keep-alives for {0:?}")]
    Stalled(Duration),
    /// The answer was whole, and nothing was in it.
    #[error("the answer is empty: no reasoning, no text and no call")]
    Empty,
    /// The server does something that no other try changes.
    #[error("{0}")]
    Unsuitable(String),
    /// It was stopped because that was wanted.
    #[error("stopped")]
    Stopped,
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
        if self.context_limit() {
            return false;
        }
        match self {
            Failure::Connect(_)
            | Failure::Closed(_)
            | Failure::Idle(_)
            | Failure::Stalled(_)
            | Failure::Empty => true,
            Failure::ClosedBy { code, .. } => !lasts(*code, transient),
            Failure::Status { status, .. } => transient(*status),
            Failure::Stream(StreamError::Server { status, code, .. }) => {
                self.lost_state()
                    || status.is_some_and(transient)
                    || PASSING.contains(&code.as_str())
            }
            Failure::Stream(StreamError::Malformed { .. })
            | Failure::Unsuitable(_)
            | Failure::Stopped
            | Failure::Deadline
            | Failure::TooLarge(_) => false,
        }
    }

    /// Whether the server says that the conversation is longer than the model takes: a limit
    /// of the model, and no fault.
    #[must_use]
    pub fn context_limit(&self) -> bool {
        // Who asks, and how often, is refused by these whatever the words.
        let other = |status: u16| matches!(status, 401..=404 | 407 | 408 | 429);
        match self {
            Failure::Status {
                status, message, ..
            } => !other(*status) && says_context_limit(message),
            Failure::Stream(StreamError::Server {
                status,
                code,
                message,
                ..
            }) => {
                !status.is_some_and(other)
                    && (says_context_limit(code) || says_context_limit(message))
            }
            Failure::ClosedBy { reason, .. } => says_context_limit(reason),
            _ => false,
        }
    }

    /// Whether nothing that moves the answer came for too long: all of that is waiting.
    #[must_use]
    pub fn is_stall(&self) -> bool {
        matches!(self, Failure::Idle(_) | Failure::Stalled(_))
    }

    /// Whether a server says that there is no WebSocket here: neither that the key is wrong,
    /// nor that the server is busy or broken just now.
    #[must_use]
    pub fn refuses_upgrade(&self) -> bool {
        let Failure::Status { status, .. } = self else {
            return false;
        };
        match status {
            401 | 402 | 407 | 408 | 409 | 425 | 429 => false,
            500..=599 => matches!(status, 501 | 505),
            _ => true,
        }
    }

    /// Whether the request was too big for the server's WebSocket.
    #[must_use]
    pub fn too_big_for_socket(&self) -> bool {
        matches!(self, Failure::ClosedBy { code: 1009, .. })
    }

    /// Whether the connection was lost, by whichever end.
    #[must_use]
    pub fn lost_connection(&self) -> bool {
        matches!(self, Failure::Closed(_) | Failure::ClosedBy { .. })
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

/// Close codes that say the same of every other try: of the protocol, the data, a policy,
/// the size, an extension, and of who may connect.
const LASTING: [u16; 8] = [1002, 1003, 1007, 1008, 1009, 1010, 3000, 3003];

/// Whether a close code says that another try changes nothing. An application's own codes
/// are an HTTP status and four thousand, where they are anything that is known.
fn lasts(code: u16, transient: impl Fn(u16) -> bool) -> bool {
    match code.checked_sub(4_000) {
        Some(status @ 400..=599) => !transient(status),
        _ => LASTING.contains(&code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_codes_mean_what_they_say() {
        for (code, again) in [
            (1000, true),
            (1001, true),
            (1011, true),
            (1012, true),
            (1013, true),
            (1002, false),
            (1003, false),
            (1007, false),
            (1008, false),
            (1010, false),
            (3000, false),
            (4000, true),
            (4401, false),
            (4429, true),
            (4503, true),
        ] {
            let reason = String::new();
            let failure = Failure::ClosedBy { code, reason };
            assert_eq!(failure.retryable(), again, "{code}");
        }
    }
}
