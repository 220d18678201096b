//! The route that cancels a response which is made in the background: closing its connection
//! would not end it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;

use super::{Endpoint, Transport, http};
use crate::clock;
use crate::connection::Application;
use crate::live::MAX_STOPPING;

/// How often is looked whether the response has a name by now.
const LOOKS: Duration = Duration::from_millis(1);

/// The route of one response.
#[derive(Debug)]
pub(crate) struct CancelRoute<'e> {
    endpoint: &'e Endpoint,
    id: Arc<OnceLock<String>>,
}

impl<'e> CancelRoute<'e> {
    /// The route, where the endpoint's responses are made in the background.
    pub(crate) fn of(
        endpoint: &'e Endpoint,
        transport: &dyn Transport,
        id: Arc<OnceLock<String>>,
    ) -> Option<Self> {
        let background = endpoint.extra.get("background") == Some(&Value::Bool(true));
        let has_route = endpoint.protocol.cancel_path("").is_some();
        (background && has_route && !transport.keeps_state())
            .then_some(CancelRoute { endpoint, id })
    }

    /// Calls it, on a connection of its own; when the server said yes.
    ///
    /// # Errors
    /// Why it did not, in words.
    pub(crate) async fn call(self) -> Result<u64, String> {
        let cancelled = tokio::time::timeout(MAX_STOPPING, self.post());
        let silent = |_| "the route that cancels did not answer".to_owned();
        cancelled.await.map_err(silent)?
    }

    async fn post(self) -> Result<u64, String> {
        let id = loop {
            match self.id.get() {
                Some(id) => break id,
                None => tokio::time::sleep(LOOKS).await,
            }
        };
        let endpoint = self.endpoint;
        let no_route = || "there is no route that cancels".to_owned();
        let path = endpoint.protocol.cancel_path(id).ok_or_else(no_route)?;
        let connection = super::open(endpoint, Application::Http1).await;
        let connection = connection.map_err(|failure| failure.to_string())?;
        let (mut sender, driver) = http1::handshake(TokioIo::new(connection.stream))
            .await
            .map_err(|error| error.to_string())?;
        let mut request =
            http::head_at(endpoint, "", "", &path).map_err(|failure| failure.to_string())?;
        *request.method_mut() = Method::POST;
        let host = header::HeaderValue::try_from(endpoint.target.authority());
        let host = host.map_err(|error| error.to_string())?;
        request.headers_mut().insert(header::HOST, host);
        let exchange = async {
            let response = sender.send_request(request.map(|()| Empty::<Bytes>::new()));
            let response = response.await.map_err(|error| error.to_string())?;
            let (at, status) = (clock::now(), response.status());
            if status.is_success() {
                return Ok(at);
            }
            let body = http_body_util::Limited::new(response.into_body(), http::MAX_ERROR_BODY);
            let body = body
                .collect()
                .await
                .map(|body| body.to_bytes())
                .unwrap_or_default();
            let headers = header::HeaderMap::new();
            Err(http::refusal(endpoint.protocol, status.as_u16(), &headers, &body).to_string())
        };
        tokio::select! {
            answered = exchange => answered,
            ended = driver => Err(match ended {
                Err(error) => error.to_string(),
                Ok(()) => "the connection was closed".to_owned(),
            }),
        }
    }
}
