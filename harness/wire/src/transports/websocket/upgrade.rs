//! Opening a WebSocket, and what it says when it ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::header;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};

use crate::clock;
use crate::connection::{Application, Duplex, Probe, Steps};
use crate::failure::Failure;
use crate::framing::MAX_PAYLOAD;
use crate::framing::deflate::{self, Agreement, Deflated};
use crate::protocols::{StreamError, WebSocketForm};
use crate::recorder::Recorder;
use crate::transports::{self, Endpoint, http};

/// Bytes read from a connection at once.
const READ_BUFFER: usize = 16 << 10;
/// What a message counts against the limit of a response, however short it is: each costs
/// memory or time.
pub(super) const MESSAGE_COST: usize = 64;

/// The bytes of a WebSocket, as messages.
pub(super) type Messages = WebSocketStream<Box<dyn Duplex>>;

/// When and how a WebSocket was opened.
pub(super) struct Opening {
    /// Times of its bytes.
    pub probe: Arc<Probe>,
    /// Steps of its connection.
    pub steps: Steps,
    /// End of the upgrade, on [`clock::now`].
    pub upgraded: u64,
    /// Messages are compressed.
    pub compressed: bool,
    opened: Instant,
    max_age: Duration,
}

impl Opening {
    /// Whether the server would end the connection soon anyway.
    pub(super) fn is_old(&self) -> bool {
        self.opened.elapsed() > self.max_age
    }
}

/// Opens a WebSocket.
pub(super) async fn open(
    endpoint: &Endpoint,
    recorder: &mut Recorder,
) -> Result<(Messages, Opening), Failure> {
    let Some(form) = endpoint.protocol.websocket() else {
        let name = endpoint.protocol.name();
        let problem = format!("{name} does not travel over a WebSocket; use http-sse");
        return Err(Failure::Connect(problem));
    };
    let connection = transports::open(endpoint, Application::Http1).await?;
    recorder.connected(connection.steps, None);
    connection
        .remark
        .into_iter()
        .for_each(|what| recorder.remark(what));
    let request = upgrade_request(endpoint, form).map_err(Failure::Connect)?;
    let agreement = Agreement::default();
    let stream: Box<dyn Duplex> = if endpoint.options.deflate {
        Box::new(Deflated::new(connection.stream, agreement.clone()))
    } else {
        connection.stream
    };
    // Small reads: the fewer frames one of them brings, the sooner a flood of empty ones is
    // interrupted by the time that a trial has.
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_message_size(Some(MAX_PAYLOAD))
        .max_frame_size(Some(MAX_PAYLOAD));
    let handshake = tokio_tungstenite::client_async_with_config(request, stream, Some(config));
    let (messages, response) = tokio::time::timeout(endpoint.idle_timeout, handshake)
        .await
        .map_err(|_| Failure::Idle(endpoint.idle_timeout))?
        .map_err(|error| upgrade_failure(endpoint, error))?;
    let upgraded = clock::now();
    let chosen = response.headers().get(header::SEC_WEBSOCKET_EXTENSIONS);
    let compressed = chosen
        .map(|chosen| chosen.to_str().unwrap_or_default())
        .filter(|_| endpoint.options.deflate);
    // What a server misunderstands once, it misunderstands again: not worth a retry.
    let compressed = agreement.settle(compressed).map_err(|problem| {
        Failure::Stream(StreamError::Malformed {
            event: "WebSocket upgrade".into(),
            problem,
        })
    })?;
    recorder.connected(connection.steps, Some(upgraded));
    let opening = Opening {
        probe: connection.probe,
        steps: connection.steps,
        upgraded,
        compressed,
        opened: Instant::now(),
        max_age: form.max_age,
    };
    Ok((messages, opening))
}

fn upgrade_request(
    endpoint: &Endpoint,
    form: WebSocketForm,
) -> Result<tungstenite::handshake::client::Request, String> {
    let target = &endpoint.target;
    let scheme = if target.tls { "wss" } else { "ws" };
    let url = format!(
        "{scheme}://{}{}",
        target.authority(),
        target.resource(form.path)
    );
    let mut request = url
        .into_client_request()
        .map_err(|error| error.to_string())?;
    let own = form.headers.iter().copied();
    let own = own.chain([(header::USER_AGENT.as_str(), transports::USER_AGENT)]);
    let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let offer = (
        header::SEC_WEBSOCKET_EXTENSIONS.to_string(),
        deflate::OFFER.to_owned(),
    );
    let offer = Some(offer).filter(|_| endpoint.options.deflate);
    for (name, value) in own.chain(offer).chain(transports::headers(endpoint)) {
        let bad = |what: &str| format!("endpoint {}: header {name}: {what}", endpoint.name);
        let header = header::HeaderName::try_from(&name).map_err(|_| bad("not a header name"))?;
        let value = header::HeaderValue::try_from(value).map_err(|_| bad("not a header value"))?;
        request.headers_mut().insert(header, value);
    }
    Ok(request)
}

fn upgrade_failure(endpoint: &Endpoint, error: tungstenite::Error) -> Failure {
    match error {
        tungstenite::Error::Http(response) => {
            let body = response.body().as_deref().unwrap_or_default();
            let (protocol, status) = (endpoint.protocol, response.status().as_u16());
            let mut failure = http::refusal(protocol, status, response.headers(), body);
            if let Failure::Status { message, .. } = &mut failure
                && message.is_empty()
            {
                *message = "the server refuses the WebSocket upgrade".into();
            }
            failure
        }
        other => Failure::Connect(format!("WebSocket upgrade failed: {other}")),
    }
}

/// A connection that broke.
pub(super) fn closed(error: tungstenite::Error) -> Failure {
    match error {
        tungstenite::Error::Capacity(_) => Failure::TooLarge(MAX_PAYLOAD >> 20),
        other => Failure::Closed(other.to_string()),
    }
}

/// A connection that the server closed, with a reason or by its end alone.
pub(super) fn closed_by_server(frame: Option<&CloseFrame>) -> Failure {
    match frame {
        Some(frame) => Failure::ClosedBy {
            code: frame.code.into(),
            reason: frame.reason.to_string(),
        },
        None => Failure::Closed("closed by the server".into()),
    }
}
