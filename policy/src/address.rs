//! IP addresses: the form in which they are judged, and which of them are private.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ipnet::Ipv6Net;

/// An address in the form in which it is judged: IPv4-mapped IPv6 is IPv4, everything else stays.
pub fn canonical(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

/// Returns where a connect or a send to `address` leads: the unspecified address is the loopback.
///
/// The kernel must be given this address and not the guest's. It would read `0.0.0.0` as the
/// address that the socket is bound to, and `::` on a socket bound to an IPv4-mapped address as
/// `127.0.0.1`. Neither of them was judged.
pub fn destination(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(mut v4) if v4.ip().is_unspecified() => {
            v4.set_ip(Ipv4Addr::LOCALHOST);
            SocketAddr::V4(v4)
        }
        SocketAddr::V6(mut v6) => {
            if v6.ip().is_unspecified() {
                v6.set_ip(Ipv6Addr::LOCALHOST);
            } else if v6.ip().to_ipv4_mapped().is_some_and(|v4| v4.is_unspecified()) {
                v6.set_ip(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
            }
            SocketAddr::V6(v6)
        }
        SocketAddr::V4(_) => address,
    }
}

/// The IPv4 addresses that an IPv6 address may carry a packet to: v4-compatible, SIIT, NAT64 (with
/// its local prefixes), 6to4, Teredo's client and server, ISATAP.
fn embedded(address: Ipv6Addr) -> impl Iterator<Item = Ipv4Addr> {
    let o = address.octets();
    let at = |a: usize, b: usize, c: usize, d: usize| Some(Ipv4Addr::new(o[a], o[b], o[c], o[d]));
    let last = at(12, 13, 14, 15);
    let s = address.segments();
    let found = match s {
        [0, 0, 0, 0, 0, 0, ..] if !address.is_unspecified() && !address.is_loopback() => {
            [last, None, None, None]
        }
        [0, 0, 0, 0, 0xffff, 0, ..] => [last, None, None, None],
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => [last, None, None, None],
        // RFC 8215 leaves the length of the prefixes in it to the network: one address for each
        // that RFC 6052 allows.
        [0x64, 0xff9b, 1, ..] => [last, at(6, 7, 9, 10), at(7, 9, 10, 11), at(9, 10, 11, 12)],
        [0x2002, ..] => [at(2, 3, 4, 5), None, None, None],
        [0x2001, 0, ..] => {
            let client = Ipv4Addr::new(!o[12], !o[13], !o[14], !o[15]);
            [at(4, 5, 6, 7), Some(client), None, None]
        }
        [_, _, _, _, 0 | 0x200, 0x5efe, ..] => [last, None, None, None],
        _ => [None; 4],
    };
    found.into_iter().flatten()
}

/// The NAT64 prefixes of the network that the host is in, beside the well-known ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Nat64(Arc<[Ipv6Net]>);

impl Nat64 {
    /// The lengths of prefixes that RFC 6052 allows, and the bytes of an address behind them that
    /// the IPv4 address is in. Byte 8 is none of them.
    const LENGTHS: [(u8, [usize; 4]); 6] = [
        (32, [4, 5, 6, 7]),
        (40, [5, 6, 7, 9]),
        (48, [6, 7, 9, 10]),
        (56, [7, 9, 10, 11]),
        (64, [9, 10, 11, 12]),
        (96, [12, 13, 14, 15]),
    ];

    /// Takes prefixes whose length [`is_length`](Self::is_length) agrees to.
    pub(crate) fn new(prefixes: &[Ipv6Net]) -> Self {
        Self(prefixes.into())
    }

    /// Returns whether a prefix may have this length.
    pub(crate) fn is_length(length: u8) -> bool {
        Self::LENGTHS.iter().any(|(known, _)| *known == length)
    }

    /// The prefixes.
    pub(crate) fn prefixes(&self) -> impl Iterator<Item = Ipv6Net> {
        self.0.iter().copied()
    }

    /// The prefixes, each with the bytes of an address that the IPv4 address is in.
    pub(crate) fn slots(&self) -> impl Iterator<Item = (Ipv6Net, [usize; 4])> {
        self.prefixes().filter_map(|prefix| {
            let mut lengths = Self::LENGTHS.iter();
            let (_, bytes) = lengths.find(|(known, _)| *known == prefix.prefix_len())?;
            Some((prefix, *bytes))
        })
    }

    /// Returns whether an address lies in one of the prefixes.
    pub(crate) fn covers(&self, address: Ipv6Addr) -> bool {
        self.0.iter().any(|prefix| prefix.contains(&address))
    }

    /// As the function [`embedded`], with these prefixes too.
    pub(crate) fn embedded(&self, address: Ipv6Addr) -> impl Iterator<Item = Ipv4Addr> {
        let own = self.0.iter().filter(move |prefix| prefix.contains(&address));
        let own = own.filter_map(move |prefix| {
            let (_, at) = Self::LENGTHS.iter().find(|(known, _)| *known == prefix.prefix_len())?;
            Some(Ipv4Addr::from(at.map(|at| address.octets()[at])))
        });
        embedded(address).chain(own)
    }

    /// As the function [`is_private`], with these prefixes too.
    pub(crate) fn is_private(&self, address: IpAddr) -> bool {
        is_private(address)
            || match canonical(address) {
                IpAddr::V6(v6) => self.embedded(v6).any(is_private_v4),
                IpAddr::V4(_) => false,
            }
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let o = address.octets();
    // 168.63.129.16 is Azure's host; 192.0.0.0/24 has Oracle's metadata, 100.64.0.0/10 Alibaba's.
    matches!(
        o,
        [0 | 10 | 127, ..]
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 0, 0, _]
            | [192, 168, ..]
            | [198, 18..=19, ..]
            | [224..=255, ..]
            | [168, 63, 129, 16]
    )
}

/// Returns whether an address lies in space that no public name should lead to: loopback,
/// link-local, private, shared, unique local, multicast, reserved, a cloud's metadata service, or
/// an IPv6 form of one of them.
pub fn is_private(address: IpAddr) -> bool {
    match canonical(address) {
        IpAddr::V4(v4) => is_private_v4(v4),
        IpAddr::V6(v6) => {
            let s = v6.segments();
            v6.is_unspecified()
                || v6.is_loopback()
                || matches!(s[0], 0xfc00..=0xfdff | 0xfe80..=0xfeff | 0xff00..=0xffff)
                || s[..3] == [0x64, 0xff9b, 1]
                || embedded(v6).any(is_private_v4)
        }
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn canonical_rewrites_v4_mapped_alone() {
        assert_eq!(canonical(ip("::ffff:10.0.0.1")), ip("10.0.0.1"));
        for other in [
            "::10.0.0.1",
            "64:ff9b::10.0.0.1",
            "2002:a00:1::",
            "::ffff:0:10.0.0.1",
            "::1",
            "10.0.0.1",
        ] {
            assert_eq!(canonical(ip(other)), ip(other));
        }
    }

    #[test]
    fn destination_of_the_unspecified_is_the_loopback() {
        for (given, judged) in [
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:1", "[::1]:1"),
            ("[::ffff:0.0.0.0]:1", "[::ffff:127.0.0.1]:1"),
            ("[fe80::1%7]:1", "[fe80::1%7]:1"),
            ("0.0.0.1:1", "0.0.0.1:1"),
        ] {
            assert_eq!(destination(given.parse().unwrap()), judged.parse().unwrap(), "{given}");
        }
    }

    #[test]
    fn embedded_finds_the_ipv4_of_every_transition_form() {
        for text in [
            "::10.1.2.3",
            "::ffff:0:10.1.2.3",
            "64:ff9b::10.1.2.3",
            "64:ff9b:1::10.1.2.3",
            "64:ff9b:1:a01:2:300::",
            "64:ff9b:1:a:1:203::",
            "64:ff9b:1:0:a:102:300::",
            "2002:a01:203::1",
            "2001:0:a01:203::",
            "2001:0:1:1:0:0:f5fe:fdfc",
            "fe80::5efe:10.1.2.3",
            "2001:db8::200:5efe:a01:203",
        ] {
            let IpAddr::V6(v6) = ip(text) else { panic!("{text}") };
            assert!(
                embedded(v6).any(|v4| v4 == Ipv4Addr::new(10, 1, 2, 3)),
                "{text}: {:?}",
                embedded(v6).collect::<Vec<_>>()
            );
            assert!(is_private(v6.into()), "{text}");
        }
        for text in ["::", "::1", "2001:db8::10.1.2.3", "2606:4700::1"] {
            let IpAddr::V6(v6) = ip(text) else { panic!("{text}") };
            assert_eq!(embedded(v6).count(), 0, "{text}");
        }
    }

    #[test]
    fn own_nat64_prefix_of_each_length_has_its_place_for_ipv4() {
        // RFC 6052, section 2.4, with 10.0.2.33 in place of 192.0.2.33.
        for (prefix, address) in [
            ("2001:db8::/32", "2001:db8:a00:221::"),
            ("2001:db8:100::/40", "2001:db8:10a:2:21::"),
            ("2001:db8:122::/48", "2001:db8:122:a00:2:2100::"),
            ("2001:db8:122:300::/56", "2001:db8:122:30a:0:221::"),
            ("2001:db8:122:344::/64", "2001:db8:122:344:a:2:2100::"),
            ("2001:db8:122:344::/96", "2001:db8:122:344::10.0.2.33"),
        ] {
            let prefix: Ipv6Net = prefix.parse().unwrap();
            let nat64 = Nat64::new(&[prefix]);
            assert!(Nat64::is_length(prefix.prefix_len()));
            let IpAddr::V6(v6) = ip(address) else { panic!("{address}") };
            let inside: Vec<_> = nat64.embedded(v6).collect();
            assert_eq!(inside, [Ipv4Addr::new(10, 0, 2, 33)], "{address}");
            assert!(nat64.covers(v6) && nat64.is_private(v6.into()) && !is_private(v6.into()));
            assert!(!nat64.covers(Ipv6Addr::LOCALHOST));
            assert_eq!(nat64.embedded(Ipv6Addr::LOCALHOST).count(), 0);
        }
        assert!(!Nat64::is_length(0) && !Nat64::is_length(33) && !Nat64::is_length(128));
    }

    #[test]
    fn private_space_holds_what_no_public_name_leads_to() {
        for text in [
            "127.0.0.1",
            "127.255.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.100.100.200",
            "0.0.0.0",
            "0.1.2.3",
            "192.0.0.192",
            "224.0.0.1",
            "239.1.2.3",
            "255.255.255.255",
            "240.0.0.1",
            "198.18.0.1",
            "168.63.129.16",
            "::",
            "::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "fd00:ec2::254",
            "fc00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:7f00:1::",
        ] {
            assert!(is_private(ip(text)), "{text}");
        }
        for text in [
            "1.1.1.1",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "192.0.2.1",
            "192.0.1.1",
            "203.0.113.1",
            "223.255.255.255",
            "11.0.0.0",
            "2606:4700::1111",
            "2001:db8::1",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
            "2002:101:101::",
        ] {
            assert!(!is_private(ip(text)), "{text}");
        }
    }
}
