//! The headers of a TCP segment over IPv4 (RFC 791) or IPv6 (RFC 8200).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Length of IPv6's header.
const IPV6_HEADER: usize = 40;
/// The flag that opens a connection (RFC 9293).
const SYN: u8 = 0x02;

/// What is known of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TcpSegment {
    /// Who sent it.
    pub from: (IpAddr, u16),
    /// The port it is for.
    pub to: u16,
    /// Sequence number of its first byte, or of the opening before it.
    pub sequence: u32,
    /// It opens the connection.
    pub opens: bool,
    /// Bytes it brings.
    pub length: u32,
}

impl TcpSegment {
    /// Reads the head of a packet that is `length` bytes long. `None` for what is no whole
    /// header of a segment.
    pub(super) fn parse(head: &[u8], length: u32) -> Option<Self> {
        let (from, ip_header, said): (IpAddr, usize, u32) = match head.first()? >> 4 {
            4 => {
                let from: [u8; 4] = head.get(12..16)?.try_into().ok()?;
                let header = usize::from(head[0] & 0xf) * 4;
                (Ipv4Addr::from(from).into(), header, word(head, 2)?.into())
            }
            6 => {
                let from: [u8; 16] = head.get(8..24)?.try_into().ok()?;
                let said = match u32::from(word(head, 4)?) {
                    0 => 0,
                    payload => payload + IPV6_HEADER as u32,
                };
                (Ipv6Addr::from(from).into(), IPV6_HEADER, said)
            }
            _ => return None,
        };
        let tcp = head.get(ip_header..)?;
        let tcp_header = usize::from(*tcp.get(12)? >> 4) * 4;
        let sequence: [u8; 4] = tcp.get(4..8)?.try_into().ok()?;
        // A packet too long for its field says 0; a short one may be padded.
        let whole = if said == 0 { length } else { said };
        Some(TcpSegment {
            from: (from, word(tcp, 0)?),
            to: word(tcp, 2)?,
            sequence: u32::from_be_bytes(sequence),
            opens: tcp.get(13)? & SYN != 0,
            length: whole.checked_sub((ip_header + tcp_header) as u32)?,
        })
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    let word = bytes.get(at..at + 2)?.try_into().ok()?;
    Some(u16::from_be_bytes(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A segment from port 443 to port 50,000 with 8 bytes of options, as IPv4 with 4 bytes
    /// of options or as IPv6.
    fn packet(v6: bool, payload: u16, flags: u8) -> Vec<u8> {
        let mut packet = Vec::new();
        let tcp_length = 28 + payload;
        if v6 {
            packet.extend([0x60, 0, 0, 0]);
            packet.extend(tcp_length.to_be_bytes());
            packet.extend([6, 64]);
            packet.extend(Ipv6Addr::LOCALHOST.octets());
            packet.extend(Ipv6Addr::LOCALHOST.octets());
        } else {
            packet.extend([0x46, 0]);
            packet.extend((24 + tcp_length).to_be_bytes());
            packet.extend([
                0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 127, 0, 0, 1, 1, 1, 1, 1,
            ]);
        }
        packet.extend(443_u16.to_be_bytes());
        packet.extend(50_000_u16.to_be_bytes());
        packet.extend(0xffff_fff0_u32.to_be_bytes());
        packet.extend([0, 0, 0, 0, 0x70, flags]);
        packet.extend([0; 14]);
        packet
    }

    #[test]
    fn headers_of_both_families_are_read() {
        for v6 in [false, true] {
            let head = packet(v6, 1_000, 0x10);
            // Padded on its way.
            let segment = TcpSegment::parse(&head, 9_999).unwrap();
            let from: IpAddr = match v6 {
                true => Ipv6Addr::LOCALHOST.into(),
                false => Ipv4Addr::new(10, 0, 0, 1).into(),
            };
            let expected = TcpSegment {
                from: (from, 443),
                to: 50_000,
                sequence: 0xffff_fff0,
                opens: false,
                length: 1_000,
            };
            assert_eq!(segment, expected);
            assert!(TcpSegment::parse(&packet(v6, 0, 0x12), 0).unwrap().opens);
            // Longer than its field can say.
            let mut jumbo = packet(v6, 0, 0x10);
            let field = if v6 { 4..6 } else { 2..4 };
            jumbo[field].fill(0);
            let length = if v6 { 68 } else { 52 } + 100_000;
            assert_eq!(TcpSegment::parse(&jumbo, length).unwrap().length, 100_000);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(head: Vec<u8>, length: u32) {
            let _ = TcpSegment::parse(&head, length);
        }

        #[test]
        fn a_cut_head_is_no_segment(v6: bool, cut in 0_usize..68) {
            let whole = packet(v6, 5, 0x10);
            let needed = if v6 { 40 } else { 24 } + 14;
            let head = &whole[..cut.min(whole.len())];
            prop_assert_eq!(TcpSegment::parse(head, 0).is_some(), head.len() >= needed);
        }
    }
}
