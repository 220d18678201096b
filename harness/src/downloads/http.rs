//! One GET, redirects followed.

use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response, Uri, header};
use hyper_util::rt::TokioIo;

use crate::connection::{self, Application, Target};

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
    patience: Duration,
) -> Result<Response<Incoming>, Problem> {
    let mut uri: Uri = url
        .parse()
        .map_err(|error| Problem::Lasting(format!("{url} is no URL: {error}")))?;
    for _ in 0..=MAX_REDIRECTS {
        let asked = tokio::time::timeout(patience, ask(&uri, from));
        let response = asked
            .await
            .map_err(|_| Problem::Passing(format!("{uri} did not answer within {patience:?}")))?
            .map_err(|problem| Problem::Passing(format!("{uri}: {problem}")))?;
        if !response.status().is_redirection() {
            return Ok(response);
        }
        let location = response.headers().get(header::LOCATION);
        let location = location
            .and_then(|location| location.to_str().ok())
            .ok_or_else(|| Problem::Lasting(format!("{uri} redirects to nowhere")))?;
        uri = follow(&uri, location).map_err(Problem::Lasting)?;
    }
    Err(Problem::Lasting(format!(
        "{url} redirects more than {MAX_REDIRECTS} times"
    )))
}

/// Where a redirect leads; never from an encrypted connection to an open one.
fn follow(from: &Uri, location: &str) -> Result<Uri, String> {
    let wrong = |why: &str| format!("{from} redirects to {location}, {why}");
    let scheme = from.scheme_str().unwrap_or_default();
    let authority = from.authority().map_or("", |authority| authority.as_str());
    let whole = if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        location.to_owned()
    };
    let to: Uri = whole.parse().map_err(|_| wrong("which is no URL"))?;
    match (scheme, to.scheme_str()) {
        ("https", Some("http")) => Err(wrong("which is not encrypted")),
        (_, Some("http" | "https")) => Ok(to),
        _ => Err(wrong("which is no web address")),
    }
}

async fn ask(uri: &Uri, from: Option<&From>) -> Result<Response<Incoming>, String> {
    let scheme = uri.scheme_str().ok_or("is not a whole URL")?;
    let authority = uri.authority().ok_or("has no host")?;
    let target = Target::parse(&format!("{scheme}://{authority}"))?;
    let connection = connection::open(&target, Application::Http1).await?;
    let (mut sender, driver) = http1::handshake(TokioIo::new(connection.stream))
        .await
        .map_err(|error| error.to_string())?;
    // Ends with the response's body.
    tokio::spawn(driver);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::get(path)
        .header(header::HOST, target.authority())
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, "*/*");
    if let Some(from) = from {
        request = request
            .header(header::RANGE, format!("bytes={}-", from.byte))
            .header(header::IF_RANGE, &from.tag);
    }
    let request = request
        .body(Empty::<Bytes>::new().boxed())
        .map_err(|error| error.to_string())?;
    sender
        .send_request(request)
        .await
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_encrypted() {
        let from: Uri = "https://a.b/c/d?e=f".parse().unwrap();
        let to = |location: &str| follow(&from, location).map(|uri| uri.to_string());
        assert_eq!(to("/x?y=z").unwrap(), "https://a.b/x?y=z");
        assert_eq!(to("//q.r/x").unwrap(), "https://q.r/x");
        assert_eq!(to("https://q.r/x?s").unwrap(), "https://q.r/x?s");
        assert!(to("http://q.r/x").unwrap_err().contains("not encrypted"));
        assert!(to("file:///etc/passwd").is_err());
        assert!(to("ftp://q.r/x").is_err());
    }
}
