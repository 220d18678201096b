//! Where to connect.

use std::path::PathBuf;

/// Where to connect, taken from a base URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Encrypt with TLS.
    pub tls: bool,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path of the base URL, without a slash at its end.
    pub path: String,
    /// Query of every request, without the question mark; empty when there is none.
    pub query: String,
    /// File of further certificates to trust, in PEM.
    pub ca_file: Option<PathBuf>,
}

impl Target {
    /// Takes a base URL apart.
    ///
    /// # Errors
    /// A sentence on what is wrong with the URL.
    pub fn parse(base_url: &str) -> Result<Self, String> {
        let uri: hyper::Uri = base_url
            .parse()
            .map_err(|error| format!("not a URL: {error}"))?;
        let scheme = uri
            .scheme_str()
            .ok_or("not a whole URL; write http://… or https://…")?;
        let tls = match scheme {
            "https" | "wss" => true,
            "http" | "ws" => false,
            other => {
                return Err(format!(
                    "scheme '{other}' is not supported; use http or https"
                ));
            }
        };
        if uri
            .authority()
            .is_some_and(|authority| authority.as_str().contains('@'))
        {
            return Err(
                "a URL must not carry credentials; name an environment variable in `api_key_env`, or \
                 write headers = { authorization = \"Basic $NAME\" }"
                    .into(),
            );
        }
        let host = uri
            .host()
            .filter(|host| !host.is_empty())
            .ok_or("no host")?;
        Ok(Target {
            tls,
            host: host
                .trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned(),
            port: uri.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            path: uri.path().trim_end_matches('/').to_owned(),
            query: uri.query().unwrap_or_default().to_owned(),
            ca_file: None,
        })
    }

    /// The same with further parameters in its query; one that is there already is replaced.
    #[must_use]
    pub fn with_query<'a>(self, parameters: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut query = self.query;
        for (name, value) in parameters {
            let name = percent_encoded(name);
            let other = |given: &&str| given.split('=').next() != Some(name.as_str());
            let mut kept: Vec<&str> = query.split('&').filter(|part| !part.is_empty()).collect();
            kept.retain(other);
            let added = format!("{name}={}", percent_encoded(value));
            kept.push(&added);
            query = kept.join("&");
        }
        Target { query, ..self }
    }

    /// Path and query of a resource below the base URL, which may have a query of its own.
    #[must_use]
    pub fn resource(&self, path: &str) -> String {
        let separator = match (self.query.is_empty(), path.contains('?')) {
            (true, _) => "",
            (false, true) => "&",
            (false, false) => "?",
        };
        format!("{}{path}{separator}{}", self.path, self.query)
    }

    /// The `Host` header.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(byte.into());
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls() {
        let target = Target::parse("https://api.example.org/v1/").unwrap();
        assert_eq!(
            (target.tls, target.port, target.path.as_str()),
            (true, 443, "/v1")
        );
        assert_eq!(target.authority(), "api.example.org");
        assert_eq!(
            Target::parse("http://[::1]:8080/v1").unwrap().authority(),
            "[::1]:8080"
        );
        for (bad, why) in [
            ("ftp://x/", "scheme"),
            ("https://key@x/v1", "credentials"),
            ("x", "not a whole URL"),
            ("http://a b/", "not a URL"),
        ] {
            let error = Target::parse(bad).unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }

    #[test]
    fn queries_go_with_every_request() {
        let url = "https://x.openai.azure.com/openai/deployments/d/?api-version=1&b=2";
        let target = Target::parse(url).unwrap();
        let path = "/openai/deployments/d/chat/completions";
        assert_eq!(
            target.resource("/chat/completions"),
            format!("{path}?api-version=1&b=2")
        );
        let parameters = [("api-version", "2024-10-21"), ("c", "a b&")];
        let target = target.with_query(parameters.into_iter());
        assert_eq!(
            target.resource("/m?alt=sse"),
            "/openai/deployments/d/m?alt=sse&b=2&api-version=2024-10-21&c=a%20b%26"
        );
        let plain = Target::parse("http://x/v1").unwrap();
        assert_eq!(plain.resource("/responses"), "/v1/responses");
    }
}
