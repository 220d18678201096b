//! What `NO_PROXY` excepts from proxies.
//!
//! The comparison is hyper-util's. It takes entries with a port, `*.domain`, spaces between
//! entries and addresses in brackets for host names, and `*` for names alone: those are
//! seen to here.

use hyper::Uri;
use hyper_util::client::proxy::matcher::Matcher;

use super::Target;

/// Whether a list names a target: by its host, a domain it belongs to, its address or a
/// network (`10.0.0.0/8`), each with or without a port, or by `*`.
pub(super) fn excepts(list: &str, target: &Target) -> bool {
    let entries = list.split([',', ' ']).filter_map(|entry| {
        let (place, port) = split_port(entry);
        port.is_none_or(|port| port == target.port).then_some(place)
    });
    let mut plain = Vec::new();
    for place in entries {
        if place == "*" {
            return true;
        }
        plain.push(place.trim_start_matches('*').trim_end_matches('.'));
    }
    let host = target.host.trim_end_matches('.');
    let authority = match host.contains(':') {
        true => format!("[{host}]"),
        false => host.to_owned(),
    };
    let Ok(place) = format!("http://{authority}/").parse::<Uri>() else {
        return false;
    };
    let matcher = Matcher::builder().all("http://any").no(plain.join(","));
    matcher.build().intercept(&place).is_none()
}

/// Takes the port off an entry, and the brackets off an address.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    let bare = |place: &str| place.ends_with(']') || !place.contains(':');
    let (place, port) = match entry.rsplit_once(':') {
        Some((place, port)) if bare(place) => match port.parse() {
            Ok(port) => (place, Some(port)),
            Err(_) => (entry, None),
        },
        _ => (entry, None),
    };
    (place.trim_matches(['[', ']']), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_domains_networks_and_ports() {
        let target = |url: &str| Target::parse(url).unwrap();
        let (host, v4, v6) = (
            target("https://API.x.org/v1"),
            target("http://10.1.2.3:8000/v1"),
            target("http://[fd00::5]:8000/v1"),
        );
        for (target, list, excepted) in [
            (&host, "x.org", true),
            (&host, "a.b, *.X.ORG", true),
            (&host, "x.org:443", true),
            (&host, "x.org:8443", false),
            (&host, "ax.org,i.x.org", false),
            (&host, "10.0.0.0/8", false),
            (&host, "*", true),
            (&host, " ,.,", false),
            (&v4, "10.1.2.3", true),
            (&v4, "10.1.2.3:8000", true),
            (&v4, "10.1.2.3:80", false),
            (&v4, "10.0.0.0/8", true),
            (&v4, "11.0.0.0/8", false),
            (&v4, "10.1.2.2/31", true),
            (&v4, "10.1.2.4/31", false),
            (&v4, "0.0.0.0/0", true),
            (&v4, "::/0", false),
            (&v4, "10.0.0.0/x", false),
            (&v6, "fd00::/8", true),
            (&v6, "fd00::5", true),
            (&v6, "[fd00::5]:8000", true),
            (&v6, "[fd00::5]:80", false),
            (&v6, "fd01::/16", false),
        ] {
            assert_eq!(excepts(list, target), excepted, "{} in {list}", target.host);
        }
    }
}
