//! The server that a proxy stands before.

use timeslip_wire::Secret;
use timeslip_wire::connection::Target;

use crate::credential::is_credential;

/// Where requests go.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// The server's base URL.
    pub target: Target,
    /// The path that clients have in its place, such as `/v1`; without a slash at its end.
    pub mount: String,
    /// Headers of every request, the credentials among them, in the place of the client's
    /// own: those of the same names and all credentials go no further. Where this is absent,
    /// the client's own pass through.
    pub headers: Option<Vec<(String, Secret)>>,
}

impl Upstream {
    /// A server whose paths are the same as the proxy's: clients have its base URL with the
    /// proxy's host in place of its own.
    #[must_use]
    pub fn at_its_own_path(target: Target) -> Self {
        Upstream {
            mount: target.path.clone(),
            target,
            headers: None,
        }
    }

    /// The headers that it is given in the place of the client's.
    pub(crate) fn own_headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let headers = self.headers.iter().flatten();
        headers.map(|(name, Secret(value))| (name.as_str(), value.as_str()))
    }

    /// Whether a header of the client's goes no further.
    pub(crate) fn replaces(&self, name: &str) -> bool {
        let own = |(other, _): (&str, &str)| other.eq_ignore_ascii_case(name);
        self.headers.is_some() && (is_credential(name) || self.own_headers().any(own))
    }

    /// What a request is asked for upstream that a client asks for at `asked`. What is not
    /// below the mount is asked for at the same path of the server's host.
    pub(crate) fn resource(&self, asked: &str) -> String {
        let asked = without_authority(asked);
        let below = asked.strip_prefix(&*self.mount);
        let below = below.filter(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
        let path = match below {
            Some(rest) => format!("{}{rest}", self.target.path),
            None => asked.to_owned(),
        };
        let path = if path.is_empty() || path.starts_with('?') {
            format!("/{path}")
        } else {
            path
        };
        let query = &self.target.query;
        match (query.is_empty(), path.contains('?')) {
            (true, _) => path,
            (false, true) => format!("{path}&{query}"),
            (false, false) => format!("{path}?{query}"),
        }
    }
}

/// The path and query of a request that may name a whole URL.
fn without_authority(asked: &str) -> &str {
    let Some((_, rest)) = asked.split_once("://").filter(|_| !asked.starts_with('/')) else {
        return asked;
    };
    rest.find(['/', '?']).map_or("/", |at| &rest[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_gives_way_to_the_base_path() {
        let upstream = |url: &str, mount: &str| Upstream {
            target: Target::parse(url).unwrap(),
            mount: mount.into(),
            headers: None,
        };
        let codex = upstream("https://chatgpt.com/backend-api/codex", "/v1");
        let azure = upstream("https://a.test/openai/?api-version=1", "/v1");
        let bare = upstream("http://a.test", "");
        for (upstream, asked, expected) in [
            (&codex, "/v1/responses", "/backend-api/codex/responses"),
            (&codex, "/v1?a=b", "/backend-api/codex?a=b"),
            (&codex, "/v1beta/models", "/v1beta/models"),
            (&codex, "/", "/"),
            (&codex, "*", "*"),
            (
                &codex,
                "http://127.0.0.1:1/v1/x?u=a://b",
                "/backend-api/codex/x?u=a://b",
            ),
            (&codex, "/v1/a://b", "/backend-api/codex/a://b"),
            (&azure, "/v1/x", "/openai/x?api-version=1"),
            (&azure, "/v1/x?b=2", "/openai/x?b=2&api-version=1"),
            (&bare, "http://127.0.0.1", "/"),
            (&bare, "/a/b", "/a/b"),
        ] {
            assert_eq!(upstream.resource(asked), expected, "{asked}");
        }
        let same = Upstream::at_its_own_path(Target::parse("http://a.test/v1").unwrap());
        assert_eq!(same.resource("/v1/messages"), "/v1/messages");
    }
}
