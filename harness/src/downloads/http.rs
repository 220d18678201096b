//! One GET, redirects followed.

use std::error::Error as _;
use std::time::Duration;

use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Proxy, Response, Url, header};
use timeslip_wire::connection::{self, Target};

/// Redirects that are followed, one after another.
const MAX_REDIRECTS: usize = 8;

const USER_AGENT: &str = concat!("timeslip/", env!("CARGO_PKG_VERSION"));

/// From which byte on, if the file is still the one of this tag.
#[derive(Clone, Debug)]
pub(super) struct From {
    pub(super) byte: u64,
    pub(super) tag: String,
}

/// Why there is no response.
pub(super) enum Problem {
    /// The network's doing, which may pass.
    Passing(String),
    /// The same would happen again.
    Lasting(String),
}

/// Asks for `url`; gives the response of whatever it leads to.
pub(super) async fn get(
    url: &str,
    from: Option<&From>,
    silence: Duration,
) -> Result<Response, Problem> {
    let parsed = Url::parse(url)
        .map_err(|error| Problem::Lasting(format!("{url} is not a URL: {error}")))?;
    // A proxy that cannot be used is told of here: the client has no way to.
    proxy_of(&parsed).map_err(Problem::Lasting)?;
    let client = client().map_err(|error| Problem::Lasting(in_words(&error)))?;
    let mut request = client.get(parsed);
    if let Some(from) = from {
        request = request
            .header(header::RANGE, format!("bytes={}-", from.byte))
            .header(header::IF_RANGE, &from.tag);
    }
    let answered = tokio::time::timeout(silence, request.send()).await;
    answered
        .map_err(|_| Problem::Passing(format!("{url} did not answer within {silence:?}")))?
        .map_err(|error| match error.is_redirect() || error.is_builder() {
            true => Problem::Lasting(in_words(&error)),
            false => Problem::Passing(format!("{url}: {}", in_words(&error))),
        })
}

fn client() -> reqwest::Result<Client> {
    let roots = rustls::RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.into(),
    };
    let tls = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(USER_AGENT)
        .redirect(Policy::custom(follow))
        .proxy(Proxy::custom(|url| proxy_of(url).ok().flatten()))
        .build()
}

/// The proxy on the way to a URL, by the same rules as for an exchange.
fn proxy_of(url: &Url) -> Result<Option<String>, String> {
    let origin = url.origin().ascii_serialization();
    connection::proxy(&Target::parse(&origin)?)
}

fn follow(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let Some(from) = attempt.previous().last() else {
        return attempt.follow();
    };
    if attempt.previous().len() > MAX_REDIRECTS {
        let problem = format!("{from} redirects more than {MAX_REDIRECTS} times");
        return attempt.error(problem);
    }
    match refusal(from, attempt.url()) {
        Some(problem) => attempt.error(problem),
        None => attempt.follow(),
    }
}

/// Why a redirect is not followed, where it is not: never from an encrypted connection to
/// an open one.
fn refusal(from: &Url, to: &Url) -> Option<String> {
    let why = match (from.scheme(), to.scheme()) {
        ("https", "http") => "which is not encrypted",
        (_, "http" | "https") => return None,
        _ => "which is no web address",
    };
    Some(format!("{from} redirects to {to}, {why}"))
}

/// What went wrong, from the innermost cause: the outer ones only say that a request failed.
fn in_words(error: &reqwest::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        words = inner.to_string();
        cause = inner.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_encrypted() {
        let from = Url::parse("https://a.b/c/d?e=f").unwrap();
        let to = |location: &str| refusal(&from, &from.join(location).unwrap());
        assert_eq!(to("/x?y=z"), None);
        assert_eq!(to("//q.r/x"), None);
        assert_eq!(to("https://q.r/x?s"), None);
        assert!(to("http://q.r/x").unwrap().contains("not encrypted"));
        assert!(to("file:///etc/passwd").is_some());
        assert!(to("ftp://q.r/x").is_some());
    }
}
