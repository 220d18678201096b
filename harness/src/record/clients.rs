//! How clients say whose a request is: one row a client.

use serde_json::Value;

use super::Asked;

/// A place of a request.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// An id of the body, as [`RequestSeen`](timeslip_wire::protocols::RequestSeen) names it.
    Body(&'static str),
    /// A header.
    Header(&'static str),
    /// A field of a header that is a JSON object.
    HeaderField(&'static str, &'static str),
}

/// Where a client says what, the best source first: a body speaks for itself, headers of a
/// WebSocket only for the request that opened it.
struct Client {
    name: &'static str,
    /// What all agents of one conversation have in common.
    session: &'static [Source],
    /// The agent. A client that names its session alone there has one agent without a name.
    agent: &'static [Source],
    /// The agent that began this one; of a client that never says, it has to be found out.
    parent: Parent,
    /// What the request is for.
    purpose: &'static [Source],
}

/// How a client tells which agent began another.
enum Parent {
    /// By its name.
    Named(&'static [Source]),
    /// It is the agent without a name, unless the call that began it says better.
    Nameless,
    /// It does not.
    Untold,
}

use Source::{Body, Header, HeaderField};

static CLIENTS: &[Client] = &[
    Client {
        name: "codex",
        session: &[
            Body("client_metadata.session_id"),
            Header("session-id"),
            Header("session_id"),
        ],
        agent: &[
            Body("client_metadata.thread_id"),
            Header("thread-id"),
            Header("conversation_id"),
        ],
        parent: Parent::Named(&[
            Body("client_metadata.x-codex-parent-thread-id"),
            Body("client_metadata.x-codex-turn-metadata.parent_thread_id"),
            Header("x-codex-parent-thread-id"),
        ]),
        purpose: &[
            Body("client_metadata.x-codex-turn-metadata.request_kind"),
            HeaderField("x-codex-turn-metadata", "request_kind"),
        ],
    },
    Client {
        name: "claude-code",
        session: &[Header("x-claude-code-session-id")],
        agent: &[Header("x-claude-code-agent-id")],
        parent: Parent::Nameless,
        purpose: &[],
    },
    Client {
        name: "opencode",
        session: &[],
        agent: &[Header("x-session-id")],
        parent: Parent::Named(&[Header("x-parent-session-id")]),
        purpose: &[],
    },
    Client {
        name: "goose",
        session: &[],
        agent: &[Header("agent-session-id")],
        parent: Parent::Untold,
        purpose: &[],
    },
];

/// Headers that count the tries of a request.
const RETRIES: &[&str] = &["x-stainless-retry-count"];

/// What names an agent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub client: &'static str,
    pub session: Option<String>,
    pub agent: Option<String>,
}

/// Who began an agent, in the words of its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Begun {
    /// It is the root of a conversation.
    ByNobody,
    /// Another agent.
    By(Key),
    /// Some agent of its session: this one, unless a call says better.
    InSession(Option<Key>),
}

/// What a client says of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// The agent.
    pub key: Key,
    /// Who began it.
    pub begun: Begun,
    /// What the request is for, in the client's words.
    pub purpose: Option<String>,
}

/// Whose a request is, in the words of its client; `None` where it says nothing.
pub(super) fn identity(asked: &Asked) -> Option<Identity> {
    CLIENTS.iter().find_map(|client| {
        let session = said(client.session, asked);
        let agent = said(client.agent, asked);
        if session.is_none() && agent.is_none() {
            return None;
        }
        let key = |agent: Option<String>| Key {
            client: client.name,
            session: session.clone(),
            agent,
        };
        let begun = match client.parent {
            Parent::Named(sources) => match said(sources, asked) {
                Some(parent) => Begun::By(key(Some(parent))),
                None => Begun::ByNobody,
            },
            Parent::Nameless if agent.is_none() => Begun::ByNobody,
            Parent::Nameless => Begun::InSession(Some(key(None))),
            Parent::Untold => Begun::InSession(None),
        };
        let of_itself = |source: &&Source| !asked.is_message || matches!(source, Body(_));
        let mut purposes = client.purpose.iter().filter(of_itself);
        Some(Identity {
            key: key(agent),
            begun,
            purpose: purposes.find_map(|source| source.read(asked)),
        })
    })
}

/// How often the client tried before, where it counts.
pub(super) fn retries(asked: &Asked) -> u32 {
    let mut counts = RETRIES.iter().filter_map(|name| asked.header(name));
    counts
        .find_map(|count| count.trim().parse().ok())
        .unwrap_or(0)
}

fn said(sources: &[Source], asked: &Asked) -> Option<String> {
    sources.iter().find_map(|source| source.read(asked))
}

impl Source {
    fn read(self, asked: &Asked) -> Option<String> {
        let text = match self {
            Body(name) => asked.seen.as_ref()?.ids.get(name)?.clone(),
            Header(name) => asked.header(name)?.to_owned(),
            HeaderField(name, field) => {
                let fields: Value = serde_json::from_str(asked.header(name)?).ok()?;
                fields[field].as_str()?.to_owned()
            }
        };
        (!text.is_empty()).then_some(text)
    }
}
