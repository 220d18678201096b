//! A proxy on the way, as the environment names it, passed by a tunnel (`CONNECT`).
//!
//! The machine itself, by its loopback addresses, is always reached directly. So is
//! whatever is spoken to without TLS, unless `HTTP_PROXY` is set: that is mostly a server
//! nearby, and most proxies open tunnels to port 443 alone.

use hyper_util::client::proxy::matcher::Matcher;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{Target, no_proxy};

/// No honest answer to `CONNECT` is longer.
const MAX_ANSWER: usize = 8 << 10;

/// Where a proxy listens.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Proxy {
    pub host: String,
    pub port: u16,
    /// The value of `Proxy-Authorization`. Never printed.
    credentials: Option<String>,
    /// All of it as a URL. Never printed.
    url: String,
}

impl Proxy {
    /// All of it as a URL, which may hold a password.
    pub(super) fn into_url(self) -> String {
        self.url
    }

    /// The proxy that `variable` names for `target`: `HTTPS_PROXY`, else `ALL_PROXY`,
    /// with TLS; `HTTP_PROXY` without; unless `NO_PROXY` excepts it; any case.
    pub(super) fn of(
        target: &Target,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, String> {
        let Some((name, url)) = named(target, variable) else {
            return Ok(None);
        };
        // The value may hold a password: no error repeats it.
        parse(url.trim())
            .map(Some)
            .ok_or_else(|| format!("{name} is not a proxy that is known: write http://host:port"))
    }

    /// Has the proxy open a tunnel to `target` through `stream`.
    pub(super) async fn tunnel(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        target: &Target,
    ) -> Result<(), String> {
        let proxy = format!("the proxy {}:{}", self.host, self.port);
        let failed = |error: std::io::Error| format!("{proxy} failed: {error}");
        let place = match target.host.contains(':') {
            true => format!("[{}]:{}", target.host, target.port),
            false => format!("{}:{}", target.host, target.port),
        };
        let mut request = format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n");
        if let Some(credentials) = &self.credentials {
            request.push_str(&format!("Proxy-Authorization: {credentials}\r\n"));
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await.map_err(failed)?;
        let mut answer = Vec::new();
        // Byte by byte: what follows belongs to the tunnel.
        while !answer.ends_with(b"\r\n\r\n") {
            if answer.len() >= MAX_ANSWER {
                return Err(format!("{proxy} gives no answer to CONNECT"));
            }
            answer.push(stream.read_u8().await.map_err(failed)?);
        }
        let answer = String::from_utf8_lossy(&answer);
        let line: String = answer
            .lines()
            .next()
            .unwrap_or_default()
            .chars()
            .take(100)
            .collect();
        match line.split(' ').nth(1) {
            Some(status) if line.starts_with("HTTP/1.") && status.starts_with('2') => Ok(()),
            _ => Err(format!(
                "{proxy} opens no tunnel to {place}: {line}; a host in NO_PROXY is reached \
                 directly"
            )),
        }
    }
}

/// The variable that names a proxy for a target, and its value.
fn named(
    target: &Target,
    variable: impl Fn(&str) -> Option<String>,
) -> Option<(&'static str, String)> {
    let either = |name: &str| {
        let value = variable(&name.to_ascii_lowercase()).or_else(|| variable(name));
        value.filter(|value| !value.trim().is_empty())
    };
    let names: &[&'static str] = match target.tls {
        true => &["HTTPS_PROXY", "ALL_PROXY"],
        false => &["HTTP_PROXY"],
    };
    let found = names.iter().find_map(|name| Some((*name, either(name)?)))?;
    let excepted = either("NO_PROXY").is_some_and(|list| no_proxy::excepts(&list, target));
    (!excepted && !is_own(&target.host)).then_some(found)
}

/// Takes the URL of a proxy apart.
fn parse(url: &str) -> Option<Proxy> {
    let url = if url.contains("://") {
        url.to_owned()
    } else {
        format!("http://{url}")
    };
    // A proxy of everything: which targets it is for has been settled.
    let matcher = Matcher::builder().all(&url).build();
    let proxy = matcher.intercept(&hyper::Uri::from_static("http://any/"))?;
    let credentials = proxy.basic_auth().map(|value| value.to_str());
    Some(Proxy {
        host: proxy
            .uri()
            .host()
            .filter(|host| !host.is_empty() && proxy.uri().scheme_str() == Some("http"))?
            .trim_matches(['[', ']'])
            .to_owned(),
        port: proxy.uri().port_u16().unwrap_or(80),
        credentials: credentials.transpose().ok()?.map(str::to_owned),
        url,
    })
}

fn is_own(host: &str) -> bool {
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost" || host.ends_with(".localhost") || address.is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(url: &str, variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let variable = |name: &str| {
            let (_, value) = variables.iter().find(|(known, _)| *known == name)?;
            Some((*value).to_owned())
        };
        let proxy = Proxy::of(&Target::parse(url).unwrap(), variable)?;
        Ok(proxy.map(|proxy| format!("{}:{}", proxy.host, proxy.port)))
    }

    #[test]
    fn the_environment_names_the_proxy() {
        let named = |proxy: &str| Ok(Some(proxy.to_owned()));
        let proxies = [("HTTPS_PROXY", "http://a:3128"), ("http_proxy", "b")];
        assert_eq!(chosen("https://x.org/v1", &proxies), named("a:3128"));
        assert_eq!(chosen("http://x.org/v1", &proxies), named("b:80"));
        assert_eq!(chosen("http://127.0.0.1:1/v1", &proxies), Ok(None));
        assert_eq!(chosen("https://localhost/v1", &proxies), Ok(None));
        assert_eq!(chosen("https://x.org/v1", &[]), Ok(None));
        assert_eq!(
            chosen("https://x.org/v1", &[("ALL_PROXY", "c:9")]),
            named("c:9")
        );
        for (exceptions, direct) in [
            ("x.org", true),
            (".x.org", true),
            ("a.b, *.x.org", true),
            ("*", true),
            ("ax.org", false),
            ("", false),
        ] {
            let variables = [("ALL_PROXY", "c:9"), ("NO_PROXY", exceptions)];
            let proxy = chosen("https://api.x.org/v1", &variables).unwrap();
            assert_eq!(proxy.is_none(), direct, "{exceptions}");
        }
        let everything = [("ALL_PROXY", "c:9"), ("HTTPS_PROXY", "a:1")];
        assert_eq!(chosen("http://gpu-box:8000/v1", &everything), Ok(None));
        let secret = [("HTTPS_PROXY", "socks5://user:hunter2@a:1")];
        let error = chosen("https://x.org/v1", &secret).unwrap_err();
        assert!(
            error.contains("HTTPS_PROXY") && !error.contains("hunter2"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_tunnel_is_asked_for_and_nothing_of_it_is_read() {
        let target = Target::parse("https://x.org/v1").unwrap();
        for (answer, opens) in [
            ("HTTP/1.1 200 OK\r\na: b\r\n\r\nnext", true),
            ("HTTP/1.0 407 Who are you?\r\n\r\n", false),
            ("SSH-2.0\r\n\r\n", false),
            ("HTTP/1.1 2", false),
        ] {
            let (mut near, mut far) = tokio::io::duplex(20 << 10);
            far.write_all(answer.as_bytes()).await.unwrap();
            let proxy = parse("http://me:a%3Ab@p:1").unwrap();
            let opened = async {
                let opened = proxy.tunnel(&mut near, &target).await;
                let mut rest = [0; 4];
                if opened.is_ok() {
                    near.read_exact(&mut rest).await.unwrap();
                    assert_eq!(rest, *b"next");
                }
                drop(near);
                opened
            };
            let asked = async {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(far.read_u8().await.unwrap());
                }
                far.shutdown().await.unwrap();
                String::from_utf8(head).unwrap()
            };
            let (opened, asked) = tokio::join!(opened, asked);
            assert_eq!(opened.is_ok(), opens, "{opened:?}");
            assert!(asked.starts_with("CONNECT x.org:443 HTTP/1.1\r\nHost: x.org:443\r\n"));
            assert!(
                asked.ends_with("Proxy-Authorization: Basic bWU6YTpi\r\n\r\n"),
                "{asked}"
            );
        }
    }
}
