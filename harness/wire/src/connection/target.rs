//! Where to connect.

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
                "a URL must not carry credentials; name an environment variable in `api_key_env`"
                    .into(),
            );
        }
        if uri.query().is_some() {
            return Err("a base URL must not carry a query".into());
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
        })
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
            ("http://x/v1?a=b", "query"),
        ] {
            let error = Target::parse(bad).unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }
}
