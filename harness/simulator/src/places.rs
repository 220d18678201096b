//! What there is at each path, and by which methods.

use hyper::Method;

use super::dialect::Dialect;
use super::dialects;

/// What a path leads to.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// Whether the server is there.
    Health,
    /// The list of models.
    Models,
    /// One model, by its name.
    Model(&'a str),
    /// Ollama's list of models, and of loaded ones.
    Tags,
    Loaded,
    /// Ollama's description of the model that the body names.
    Show,
    /// Ollama's version.
    Version,
    /// A response made in the background, by its id.
    Response(&'a str),
    /// Where it is cancelled.
    Cancel(&'a str),
    /// A conversation over a WebSocket, or a request of it over HTTP.
    Responses(&'static dyn Dialect),
    /// A request to a model.
    Ask(&'static dyn Dialect),
}

/// Paths that stand for themselves.
const FIXED: &[(&str, Place<'static>)] = &[
    ("/", Place::Health),
    ("/health", Place::Health),
    ("/v1/models", Place::Models),
    ("/v1beta/models", Place::Models),
    ("/v1alpha/models", Place::Models),
    ("/api/tags", Place::Tags),
    ("/api/ps", Place::Loaded),
    ("/api/show", Place::Show),
    ("/api/version", Place::Version),
];
/// Below these, a path goes on with the name of a model.
const MODELS: &[&str] = &["/v1/models/", "/v1beta/models/", "/v1alpha/models/"];
/// Below this, a path goes on with the id of a response.
const RESPONSES: &str = "/v1/responses/";
/// The path at which an upgrade to a WebSocket may be asked for.
const WEBSOCKET: &str = "/v1/responses";

/// Finds out what a path leads to.
pub(super) fn at(path: &str) -> Option<Place<'_>> {
    if let Some((_, place)) = FIXED.iter().find(|(fixed, _)| *fixed == path) {
        return Some(*place);
    }
    let dialect = dialects::of_path(path);
    if path == WEBSOCKET {
        return Some(Place::Responses(dialect));
    }
    if dialect.takes(path) {
        return Some(Place::Ask(dialect));
    }
    if let Some(id) = path.strip_prefix(RESPONSES) {
        let cancelled = id.strip_suffix("/cancel").filter(|id| !id.contains('/'));
        return match cancelled {
            Some(id) => Some(Place::Cancel(id)),
            None => (!id.is_empty() && !id.contains('/')).then_some(Place::Response(id)),
        };
    }
    let mut models = MODELS.iter();
    let name = models.find_map(|prefix| path.strip_prefix(prefix))?;
    (!name.is_empty()).then_some(Place::Model(name))
}

impl Place<'_> {
    /// The methods that are allowed there, as the `allow` header lists them.
    pub(super) fn allowed(self) -> &'static str {
        match self {
            Place::Show | Place::Ask(_) | Place::Responses(_) | Place::Cancel(_) => "POST, OPTIONS",
            Place::Health
            | Place::Models
            | Place::Model(_)
            | Place::Response(_)
            | Place::Tags
            | Place::Loaded
            | Place::Version => "GET, HEAD, OPTIONS",
        }
    }

    /// A method is one of them.
    pub(super) fn allows(self, method: &Method) -> bool {
        let mut allowed = self.allowed().split(", ");
        allowed.any(|name| name == method.as_str())
    }
}
