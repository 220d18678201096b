//! What `NO_PROXY` excepts from proxies.

use std::net::IpAddr;

use super::Target;

/// Whether a list names a target: by its host, a domain it belongs to, its address or a
/// network (`10.0.0.0/8`), each with or without a port, or by `*`.
pub(super) fn name(list: &str, target: &Target) -> bool {
    let mut entries = list.split([',', ' ']).filter(|entry| !entry.is_empty());
    entries.any(|entry| {
        let (place, port) = port(entry);
        let here = place == "*"
            || is_host(place, &target.host)
            || target
                .host
                .parse()
                .is_ok_and(|address| is_in_network(place, address));
        here && port.is_none_or(|port| port == target.port)
    })
}

/// Takes the port off an entry, and the brackets off an address.
fn port(entry: &str) -> (&str, Option<u16>) {
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

fn is_host(place: &str, host: &str) -> bool {
    let lower = |name: &str| name.trim_end_matches('.').to_ascii_lowercase();
    let domain = lower(place.trim_start_matches('*').trim_start_matches('.'));
    let host = lower(host);
    !domain.is_empty()
        && host
            .strip_suffix(&domain)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn is_in_network(place: &str, address: IpAddr) -> bool {
    let (network, length) = place.split_once('/').unwrap_or((place, "128"));
    let (Ok(network), Ok(length)) = (network.parse::<IpAddr>(), length.parse::<u32>()) else {
        return false;
    };
    // Left-aligned, so that both kinds of addresses are compared from their first bit.
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    };
    let host_bits = 128 - length.min(128);
    let differing = bits(network) ^ bits(address);
    network.is_ipv4() == address.is_ipv4() && differing.checked_shr(host_bits).unwrap_or(0) == 0
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
            assert_eq!(name(list, target), excepted, "{} in {list}", target.host);
        }
    }
}
