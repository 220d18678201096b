//! A proxy on the way, as the environment names it, passed by a tunnel (`CONNECT`).
//!
//! The machine itself, by its loopback addresses, is always reached directly. So is
//! whatever is spoken to without TLS, unless `HTTP_PROXY` is set: that is mostly a server
//! nearby, and most proxies open tunnels to port 443 alone.

use data_encoding::BASE64;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{Target, exceptions};

/// No honest answer to `CONNECT` is longer.
const MAX_ANSWER: usize = 8 << 10;

/// Where a proxy listens.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Proxy {
    pub host: String,
    pub port: u16,
    /// `user:password`. Never printed.
    credentials: Option<Vec<u8>>,
}

impl Proxy {
    /// The proxy that `variable` names for `target`: `HTTPS_PROXY`, else `ALL_PROXY`,
    /// with TLS; `HTTP_PROXY` without; unless `NO_PROXY` excepts it; any case.
    pub(super) fn of(
        target: &Target,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, String> {
        let either = |name: &str| {
            let value = variable(&name.to_ascii_lowercase()).or_else(|| variable(name));
            value.filter(|value| !value.trim().is_empty())
        };
        let names: &[&str] = match target.tls {
            true => &["HTTPS_PROXY", "ALL_PROXY"],
            false => &["HTTP_PROXY"],
        };
        let Some((name, url)) = names.iter().find_map(|name| Some((name, either(name)?))) else {
            return Ok(None);
        };
        let excepted = either("NO_PROXY").is_some_and(|list| exceptions::name(&list, target));
        if excepted || is_own(&target.host) {
            return Ok(None);
        }
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
            let credentials = BASE64.encode(credentials);
            request.push_str(&format!("Proxy-Authorization: Basic {credentials}\r\n"));
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

fn parse(url: &str) -> Option<Proxy> {
    let url = if url.contains("://") {
        url.to_owned()
    } else {
        format!("http://{url}")
    };
    let uri: hyper::Uri = url.parse().ok()?;
    let credentials = uri.authority()?.as_str().rsplit_once('@');
    Some(Proxy {
        host: uri
            .host()
            .filter(|host| !host.is_empty() && uri.scheme_str() == Some("http"))?
            .trim_matches(['[', ']'])
            .to_owned(),
        port: uri.port_u16().unwrap_or(80),
        credentials: credentials.map(|(credentials, _)| percent_decoded(credentials)),
    })
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let mut parts = text.split('%');
    let mut bytes: Vec<u8> = parts.next().unwrap_or_default().into();
    for part in parts {
        match part
            .get(..2)
            .and_then(|code| u8::from_str_radix(code, 16).ok())
        {
            Some(byte) => bytes.extend(std::iter::once(byte).chain(part.bytes().skip(2))),
            None => bytes.extend(std::iter::once(b'%').chain(part.bytes())),
        }
    }
    bytes
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
