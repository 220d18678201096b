//! Requests beside the conversation.

use super::Asked;

/// What a request beside the conversation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// A name for the session.
    Title,
    /// A summary that replaces the history.
    Compaction,
    /// The prompt is to be read ahead of the first turn.
    Prewarm,
    /// How many tokens a prompt has.
    TokenCount,
    /// Which models there are.
    Models,
    /// Whether there is a server.
    Probe,
    /// The opening of a WebSocket.
    Upgrade,
    /// What the client tells of itself.
    Telemetry,
    /// Anything else.
    Other,
}

impl Side {
    /// The name used in every machine-readable output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Side::Title => "title",
            Side::Compaction => "compaction",
            Side::Prewarm => "prewarm",
            Side::TokenCount => "token_count",
            Side::Models => "models",
            Side::Probe => "probe",
            Side::Upgrade => "upgrade",
            Side::Telemetry => "telemetry",
            Side::Other => "other",
        }
    }

    /// By the purpose that a client names.
    pub(super) fn of_purpose(purpose: &str) -> Option<Side> {
        match purpose {
            "prewarm" => Some(Side::Prewarm),
            "compaction" => Some(Side::Compaction),
            _ => None,
        }
    }
}

/// Ends of paths, without a slash at the end.
const ENDS: &[(&str, Side)] = &[
    ("/responses/compact", Side::Compaction),
    ("/count_tokens", Side::TokenCount),
    (":countTokens", Side::TokenCount),
    ("/input_tokens", Side::TokenCount),
    ("/tokenize", Side::TokenCount),
    ("/models", Side::Models),
    ("/api/tags", Side::Models),
    ("/api/show", Side::Models),
    ("/api/version", Side::Models),
    ("/hello", Side::Probe),
    ("/health", Side::Probe),
    ("/v1/traces", Side::Telemetry),
    ("/v1/metrics", Side::Telemetry),
    ("/v1/logs", Side::Telemetry),
];

/// Parts of paths.
const PARTS: &[(&str, Side)] = &[
    ("/models/", Side::Models),
    ("telemetry", Side::Telemetry),
    ("event_logging", Side::Telemetry),
    ("analytics", Side::Telemetry),
    ("statsig", Side::Telemetry),
];

/// What a request is for by its method, its path, and its asking for no output; `None` for one
/// that asks for output.
pub(super) fn of_request(asked: &Asked) -> Option<Side> {
    let path = asked.path.split(['?', '#']).next().unwrap_or_default();
    let path = path.trim_end_matches('/');
    if matches!(asked.method.as_str(), "HEAD" | "OPTIONS") {
        return Some(Side::Probe);
    }
    let mut ends = ENDS.iter();
    if let Some((_, side)) = ends.find(|(end, _)| path.ends_with(end)) {
        return Some(*side);
    }
    if asked.seen.is_some() {
        return None;
    }
    if asked.header("upgrade").is_some() && !asked.is_message {
        return Some(Side::Upgrade);
    }
    if path.is_empty() {
        return Some(Side::Probe);
    }
    let mut parts = PARTS.iter();
    let part = parts.find(|(part, _)| path.contains(part));
    Some(part.map_or(Side::Other, |(_, side)| *side))
}
