//! Sets of hosts: those that every policy has, and those that the operator names.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv6Net};

use crate::address::{Nat64, canonical};
use crate::host::HostPattern;
use crate::name::NamePattern;

/// A set that every policy has: its word, and what it holds.
#[derive(Clone, Copy, Debug)]
pub struct SetInfo {
    /// Its word.
    pub name: &'static str,
    /// What it holds.
    pub about: &'static str,
    v4: &'static [(Ipv4Addr, u8)],
    v6: &'static [(Ipv6Addr, u8)],
}

/// The sets that every policy has.
pub const SETS: &[SetInfo] = &[
    SetInfo {
        name: PUBLIC,
        about: "what is globally reachable by IANA's registries, without this host's own networks",
        v4: &[],
        v6: &[],
    },
    SetInfo {
        name: "private",
        about: "private-use networks: 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10, fc00::/7, fec0::/10",
        v4: &[
            (Ipv4Addr::new(10, 0, 0, 0), 8),
            (Ipv4Addr::new(172, 16, 0, 0), 12),
            (Ipv4Addr::new(192, 168, 0, 0), 16),
            (Ipv4Addr::new(100, 64, 0, 0), 10),
        ],
        v6: &[(v6(0xfc00, 0, 0), 7), (v6(0xfec0, 0, 0), 10)],
    },
    SetInfo {
        name: "loopback",
        about: "127.0.0.0/8 and ::1",
        v4: &[(Ipv4Addr::new(127, 0, 0, 0), 8)],
        v6: &[(Ipv6Addr::LOCALHOST, 128)],
    },
    SetInfo {
        name: "link-local",
        about: "169.254.0.0/16 and fe80::/10",
        v4: &[(Ipv4Addr::new(169, 254, 0, 0), 16)],
        v6: &[(v6(0xfe80, 0, 0), 10)],
    },
    SetInfo {
        name: "multicast",
        about: "224.0.0.0/4 and ff00::/8",
        v4: &[(Ipv4Addr::new(224, 0, 0, 0), 4)],
        v6: &[(v6(0xff00, 0, 0), 8)],
    },
];

/// The word of the set that needs this host's own networks.
pub(crate) const PUBLIC: &str = "public";

const fn v6(a: u16, b: u16, c: u16) -> Ipv6Addr {
    Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)
}

/// IPv4 that is not globally reachable: IANA's special-purpose registry (RFC 6890), multicast, the
/// addresses that private space holds ([`is_private`](crate::is_private)), and 192.88.99.0/24,
/// which RFC 7526 withdrew.
const NOT_PUBLIC_V4: [(Ipv4Addr, u8); 16] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(168, 63, 129, 16), 32),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// IPv6 that is globally reachable, in the order in which it is taken in and left out again: global
/// unicast (RFC 4291), without IANA's special-purpose registry, of which some parts are global.
/// NAT64, 6to4 and Teredo belong to it if the IPv4 addresses inside do.
const PUBLIC_V6: [(bool, Ipv6Addr, u8); 14] = [
    (true, v6(0x2000, 0, 0), 3),
    (false, v6(0x2001, 0, 0), 23),
    (true, v6(0x2001, 0, 0), 32),
    (true, Ipv6Addr::new(0x2001, 1, 0, 0, 0, 0, 0, 1), 128),
    (true, Ipv6Addr::new(0x2001, 1, 0, 0, 0, 0, 0, 2), 128),
    (true, Ipv6Addr::new(0x2001, 1, 0, 0, 0, 0, 0, 3), 128),
    (true, v6(0x2001, 3, 0), 32),
    (true, v6(0x2001, 4, 0x112), 48),
    (true, v6(0x2001, 0x20, 0), 28),
    (true, v6(0x2001, 0x30, 0), 28),
    (false, v6(0x2001, 0xdb8, 0), 32),
    (false, v6(0x3fff, 0, 0), 20),
    (true, v6(0x64, 0xff9b, 0), 96),
    // The whole of 6to4 is in global unicast already.
    (true, v6(0x2002, 0, 0), 16),
];

/// Sorted ranges of addresses that do not overlap.
type Ranges = Vec<(u128, u128)>;

/// Addresses of one set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Addresses {
    v4: Ranges,
    v6: Ranges,
    /// Whether an IPv6 address belongs to the set only if the IPv4 addresses in it do too.
    by_reach: bool,
    nat64: Nat64,
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn range(net: IpNet) -> (u128, u128) {
    (bits(net.network()), bits(net.broadcast()))
}

fn contains(ranges: &Ranges, at: u128) -> bool {
    let next = ranges.partition_point(|(_, high)| *high < at);
    ranges.get(next).is_some_and(|(low, _)| *low <= at)
}

/// Adds a range, and joins it with those that it touches.
fn add(ranges: &mut Ranges, (mut low, mut high): (u128, u128)) {
    ranges.retain(|&(from, to)| {
        let apart = to.checked_add(1).is_some_and(|next| next < low)
            || high.checked_add(1).is_some_and(|next| next < from);
        if !apart {
            (low, high) = (low.min(from), high.max(to));
        }
        apart
    });
    let at = ranges.partition_point(|(from, _)| *from < low);
    ranges.insert(at, (low, high));
}

/// Takes a range away.
fn remove(ranges: &mut Ranges, (low, high): (u128, u128)) {
    let rest = |&(from, to): &(u128, u128)| {
        let before = (from < low).then(|| (from, to.min(low - 1)));
        let after = (to > high).then(|| (from.max(high + 1), to));
        [before, after].into_iter().flatten()
    };
    *ranges = ranges.iter().flat_map(rest).collect();
}

impl Addresses {
    fn of(networks: impl Iterator<Item = IpNet>) -> Self {
        let mut all = Self::default();
        networks.for_each(|net| all.add(net));
        all
    }

    fn side(&mut self, net: IpNet) -> &mut Ranges {
        if net.addr().is_ipv6() { &mut self.v6 } else { &mut self.v4 }
    }

    fn add(&mut self, net: IpNet) {
        add(self.side(net), range(net));
    }

    fn remove(&mut self, net: IpNet) {
        remove(self.side(net), range(net));
    }

    /// Returns what is public, without these networks.
    fn public(own: &[IpNet], nat64: &Nat64) -> Self {
        let mut all = Self { by_reach: true, nat64: nat64.clone(), ..Self::default() };
        all.v4.push((0, u32::MAX.into()));
        NOT_PUBLIC_V4.into_iter().for_each(|part| all.remove(net(part)));
        for (taken, address, length) in PUBLIC_V6 {
            let net = net((address, length));
            if taken { all.add(net) } else { all.remove(net) }
        }
        nat64.prefixes().for_each(|prefix| all.add(prefix.into()));
        own.iter().for_each(|net| all.remove(*net));
        all
    }

    /// Returns whether a canonical address is in the set.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.spans(address)
            && match address {
                IpAddr::V6(v6) if self.by_reach => {
                    self.nat64.embedded(v6).all(|v4| contains(&self.v4, v4.to_bits().into()))
                }
                _ => true,
            }
    }

    /// As [`contains`](Self::contains), without a look at the IPv4 addresses inside. It holds for
    /// all addresses from one of [`starts`](Self::starts) to the next.
    pub(crate) fn spans(&self, address: IpAddr) -> bool {
        contains(if address.is_ipv6() { &self.v6 } else { &self.v4 }, bits(address))
    }

    /// Returns whether ranges alone don't say which IPv6 addresses are in the set.
    pub(crate) fn is_by_reach(&self) -> bool {
        self.by_reach
    }

    /// The ranges of one IP version, sorted, without a look at the IPv4 addresses inside.
    pub(crate) fn ranges(&self, v6: bool) -> &[(u128, u128)] {
        if v6 { &self.v6 } else { &self.v4 }
    }

    /// Returns whether some address of IPv6, or of IPv4, is in the set.
    pub(crate) fn has_family(&self, v6: bool) -> bool {
        !if v6 { &self.v6 } else { &self.v4 }.is_empty()
    }

    /// The addresses of one IP version from which on another answer may hold, in no order.
    pub(crate) fn starts(&self, v6: bool) -> impl Iterator<Item = u128> {
        let ranges = if v6 { &self.v6 } else { &self.v4 };
        let next = |&(low, high): &(u128, u128)| [Some(low), high.checked_add(1)];
        ranges.iter().flat_map(next).flatten()
    }
}

/// Makes a network of an address and a length that fits.
fn net(parts: (impl Into<IpAddr>, u8)) -> IpNet {
    let address = parts.0.into();
    IpNet::new(address, parts.1).unwrap_or_else(|_| address.into())
}

/// A set, as rules use it.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostSet {
    /// The addresses. A set may hold several of the sets that every policy has.
    pub(crate) addresses: Vec<Arc<Addresses>>,
    pub(crate) names: Vec<NamePattern>,
}

/// What the sets of a policy are made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sets {
    /// The sets that the operator named.
    pub(crate) named: BTreeMap<Box<str>, Vec<HostPattern>>,
    /// This host's addresses and networks.
    pub(crate) own_networks: Vec<IpNet>,
    /// The network's own NAT64 prefixes.
    pub(crate) nat64: Vec<Ipv6Net>,
}

/// The sets of one side of a policy, by their words.
#[derive(Clone, Debug, Default)]
pub(crate) struct BuiltSets {
    sets: BTreeMap<Box<str>, HostSet>,
    pub(crate) nat64: Nat64,
}

impl BuiltSets {
    /// Returns a set by its word.
    pub(crate) fn get(&self, word: &str) -> Option<&HostSet> {
        self.sets.get(word)
    }
}

impl Sets {
    /// Makes the sets for the rules of one side.
    ///
    /// In a rule that denies, `public` also holds IPv6 addresses whose IPv4 address inside is not
    /// public, because a denial need not tell them apart.
    pub(crate) fn build(&self, deny: bool) -> BuiltSets {
        let nat64 = Nat64::new(&self.nat64);
        let mut built = BuiltSets { sets: BTreeMap::new(), nat64 };
        for info in SETS {
            let mut addresses = if info.name == PUBLIC {
                Addresses::public(&self.own_networks, &built.nat64)
            } else {
                let v4 = info.v4.iter().map(|part| net(*part));
                Addresses::of(v4.chain(info.v6.iter().map(|part| net(*part))))
            };
            addresses.by_reach &= !deny;
            let set = HostSet { addresses: vec![Arc::new(addresses)], names: Vec::new() };
            built.sets.insert(info.name.into(), set);
        }
        for (word, hosts) in &self.named {
            let mut set = HostSet::default();
            let mut own = Addresses::default();
            for host in hosts {
                match host {
                    HostPattern::Any => {
                        own.add(net((Ipv4Addr::UNSPECIFIED, 0)));
                        own.add(net((Ipv6Addr::UNSPECIFIED, 0)));
                    }
                    HostPattern::Net(net) => own.add(*net),
                    HostPattern::Name(name) => set.names.push(name.clone()),
                    HostPattern::Set(word) => {
                        let inner = built.sets.get(word).map(|set| set.addresses.clone());
                        set.addresses.extend(inner.unwrap_or_default());
                    }
                }
            }
            if own != Addresses::default() {
                set.addresses.push(Arc::new(own));
            }
            built.sets.insert(word.clone(), set);
        }
        built
    }
}

/// Returns the network that holds what the kernel reaches by an own address of this host.
pub(crate) fn own_network(given: IpNet) -> IpNet {
    match (given, canonical(given.addr()), given.prefix_len().checked_sub(96)) {
        (IpNet::V6(_), IpAddr::V4(v4), Some(length)) => net((v4, length)).trunc(),
        _ => given.trunc(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn holds(sets: &Sets, word: &str, address: &str) -> bool {
        let built = sets.build(false);
        built.get(word).unwrap().addresses.iter().any(|part| part.contains(ip(address)))
    }

    #[test]
    fn sets_have_the_words_that_hosts_are_parsed_by() {
        assert!(SETS.iter().map(|info| info.name).eq(crate::name::SET_WORDS));
    }

    #[test]
    fn public_is_what_is_globally_reachable() {
        let sets = Sets::default();
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "168.63.129.15",
            "168.63.129.17",
            "192.0.1.1",
            "192.31.196.1",
            "192.52.193.1",
            "192.175.48.1",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "2001:1::1",
            "2001:3::1",
            "2001:4:112::1",
            "2001:20::1",
            "2001:3f:ffff::1",
            "2620:4f:8000::1",
            "3ffe::1",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
            "2001:0:808:808:0:0:f7f7:f7f7",
        ] {
            assert!(holds(&sets, PUBLIC, public), "{public}");
        }
        for not in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "168.63.129.16",
            "169.254.169.254",
            "192.0.0.9",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::8.8.8.8",
            "::ffff:0:8.8.8.8",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::8.8.8.8",
            "100::1",
            "100:0:0:1::1",
            "2001:2::1",
            "2001:10::1",
            "2001:1::4",
            "2001:4:113::1",
            "2001:db8::1",
            "2002:a00:1::1",
            "2001:0:808:808:0:0:f5ff:fffe",
            "2001:0:a00:1:0:0:f7f7:f7f7",
            "2606:4700::5efe:10.0.0.1",
            "3fff::1",
            "5f00::1",
            "4000::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!holds(&sets, PUBLIC, not), "{not}");
        }
    }

    #[test]
    fn public_is_without_own_networks_by_every_form() {
        let own_networks =
            ["203.1.2.0/24", "2a00:1::/64"].map(|net| net.parse::<IpNet>().unwrap()).to_vec();
        let nat64 = vec!["2a00:64::/96".parse().unwrap()];
        let sets = Sets { own_networks, nat64, ..Sets::default() };
        for own in [
            "203.1.2.9",
            "2a00:1::9",
            "64:ff9b::203.1.2.9",
            "2a00:64::203.1.2.9",
            "2002:cb01:209::1",
            "2a00:64::10.0.0.1",
        ] {
            assert!(!holds(&sets, PUBLIC, own), "{own}");
        }
        for public in ["203.1.3.1", "2a00:1:0:1::1", "2a00:64::8.8.8.8", "2a00:64:0:1::8.8.8.8"] {
            assert!(holds(&sets, PUBLIC, public), "{public}");
        }
    }

    #[test]
    fn private_space_is_not_public() {
        for set in &SETS[1..] {
            let first = set.v4.iter().map(|part| net(*part)).chain(set.v6.iter().map(|p| net(*p)));
            for net in first {
                assert!(crate::is_private(net.network()), "{net}");
                assert!(!holds(&Sets::default(), PUBLIC, &net.network().to_string()));
                assert!(!holds(&Sets::default(), PUBLIC, &net.broadcast().to_string()));
            }
        }
    }

    #[test]
    fn named_set_holds_networks_names_and_sets() {
        let mut sets = Sets::default();
        let hosts = ["10.0.0.0/24", "db.example", "loopback"];
        let hosts = hosts.map(|host| crate::host::parse_lone_host(host).unwrap()).to_vec();
        sets.named.insert("backends".into(), hosts);
        assert!(holds(&sets, "backends", "10.0.0.9") && holds(&sets, "backends", "127.0.0.1"));
        assert!(!holds(&sets, "backends", "10.0.1.9"));
        assert_eq!(sets.build(false).get("backends").unwrap().names.len(), 1);
    }

    proptest! {
        #[test]
        fn nothing_is_public_and_in_private_space(v4: u32, v6: u128, prefix in prop::sample::select(vec![
            0u128, 0x64_ff9b << 96, 0x2002 << 112, 0x2001 << 112, 0x2000 << 112,
        ])) {
            let sets = Sets::default().build(false);
            let public = &sets.get(PUBLIC).unwrap().addresses[0];
            let (bits, v4) = (u128::from(v4), Ipv4Addr::from(v4));
            for v6 in [prefix | bits, prefix | (bits << 80), v6, prefix | (v6 >> 16)] {
                let v6 = canonical(Ipv6Addr::from(v6).into());
                prop_assert!(!(public.contains(v6) && crate::is_private(v6)), "{v6}");
            }
            prop_assert!(!(public.contains(v4.into()) && crate::is_private(v4.into())), "{v4}");
        }

        #[test]
        fn ranges_are_as_a_list_of_all_would_be(parts in prop::collection::vec((any::<bool>(), 0u128..40, 0u128..9), 0..12)) {
            let (mut ranges, mut all) = (Ranges::new(), [false; 64]);
            for (taken, low, length) in parts {
                let part = (low, low + length);
                if taken { add(&mut ranges, part) } else { remove(&mut ranges, part) }
                (low..=low + length).for_each(|at| all[at as usize] = taken);
            }
            for (at, held) in (0..).zip(all) {
                prop_assert_eq!(contains(&ranges, at), held, "{} in {:?}", at, ranges);
            }
            prop_assert!(ranges.windows(2).all(|two| two[0].1 < two[1].0));
        }
    }
}
