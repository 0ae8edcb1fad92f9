//! The rules of one verb, laid out so that a look-up costs the logarithm of their number.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use crate::address::embedded;
use crate::host::{EndpointPattern, HostPattern};
use crate::name::NamePattern;
use crate::port::PortRange;

/// A rule by its place in the policy's list.
pub(super) type RuleId = u32;

/// Ports that one rule covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) low: u16,
    pub(super) high: u16,
    pub(super) rule: RuleId,
}

impl Ports {
    fn new(range: PortRange, rule: RuleId) -> Self {
        Self { low: range.low(), high: range.high(), rule }
    }

    /// Them without the rule.
    pub(super) fn range(self) -> PortRange {
        PortRange::new(self.low, self.high)
    }
}

/// Makes a list sorted and disjoint; where two overlap, one of them keeps the ports.
fn merge(ports: &mut Vec<Ports>) {
    ports.sort_by_key(|p| (p.low, u16::MAX - p.high, p.rule));
    let mut next_free: u32 = 0;
    ports.retain_mut(|p| {
        if u32::from(p.high) < next_free {
            return false;
        }
        p.low = p.low.max(u16::try_from(next_free).unwrap_or(u16::MAX));
        next_free = u32::from(p.high) + 1;
        true
    });
}

/// The entry of a merged list that holds `port`.
fn find(ports: &[Ports], port: u16) -> Option<Ports> {
    let at = ports.partition_point(|p| p.high < port);
    ports.get(at).copied().filter(|p| p.low <= port)
}

/// Returns whether some port of `wanted` is left. `taken` returns what covers a port.
pub(super) fn any_left(wanted: Ports, taken: impl Fn(u16) -> Option<Ports>) -> bool {
    let mut port = wanted.low;
    loop {
        let Some(cover) = taken(port) else {
            return true;
        };
        if cover.high >= wanted.high {
            return false;
        }
        port = cover.high + 1;
    }
}

/// A network: its place in the tree and its ports.
#[derive(Clone, Debug)]
struct Node<K> {
    high: K,
    length: u8,
    /// The smallest network around it.
    parent: Option<u32>,
    first: u32,
    end: u32,
}

/// Networks of one family, sorted by their first address, each knowing the one around it.
#[derive(Clone, Debug)]
struct Networks<K> {
    lows: Vec<K>,
    nodes: Vec<Node<K>>,
    ports: Vec<Ports>,
}

impl<K> Default for Networks<K> {
    fn default() -> Self {
        Self { lows: Vec::new(), nodes: Vec::new(), ports: Vec::new() }
    }
}

impl<K: Copy + Ord> Networks<K> {
    fn build(mut entries: Vec<(K, K, u8, Ports)>) -> Self {
        entries.sort_by_key(|(low, _, length, _)| (*low, *length));
        let mut built = Self::default();
        let mut around: Vec<u32> = Vec::new();
        for group in entries.chunk_by(|a, b| (a.0, a.2) == (b.0, b.2)) {
            let Some(&(low, high, length, _)) = group.first() else {
                continue;
            };
            while around.last().is_some_and(|at| built.nodes[*at as usize].high < low) {
                around.pop();
            }
            let mut ports: Vec<Ports> = group.iter().map(|entry| entry.3).collect();
            merge(&mut ports);
            let (at, first) = (index(built.nodes.len()), index(built.ports.len()));
            built.ports.append(&mut ports);
            let end = index(built.ports.len());
            built.nodes.push(Node { high, length, parent: around.last().copied(), first, end });
            built.lows.push(low);
            around.push(at);
        }
        built
    }

    /// The networks that hold `key`, the smallest first.
    fn around(&self, key: K) -> impl Iterator<Item = &Node<K>> {
        // The last network that begins at or before the key is either around it or a neighbour
        // inside all that are.
        let last = self.lows.partition_point(|low| *low <= key).checked_sub(1);
        let mut next = last.and_then(|at| self.nodes.get(at));
        std::iter::from_fn(move || {
            loop {
                let node = next?;
                next = node.parent.and_then(|at| self.nodes.get(at as usize));
                if key <= node.high {
                    return Some(node);
                }
            }
        })
    }

    /// The addresses from which on another list of networks holds, in no order.
    fn starts(&self) -> impl Iterator<Item = u128>
    where
        K: Into<u128>,
    {
        let ends =
            self.nodes.iter().filter_map(|node| Into::<u128>::into(node.high).checked_add(1));
        self.lows.iter().map(|low| (*low).into()).chain(ends)
    }

    fn ports_of(&self, node: &Node<K>) -> &[Ports] {
        &self.ports[node.first as usize..node.end as usize]
    }

    fn find(&self, key: K, port: u16, accept: impl Fn(u8) -> bool) -> Option<Ports> {
        self.around(key)
            .filter(|node| accept(node.length))
            .find_map(|node| find(self.ports_of(node), port))
    }
}

/// Indices of tables that hold a few entries a rule; four thousand million of them don't fit in
/// memory.
fn index(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Names with their ports.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    exact: HashMap<Box<str>, Vec<Ports>>,
    below: HashMap<Box<str>, Vec<Ports>>,
}

impl Names {
    pub(super) fn add(&mut self, pattern: &NamePattern, ports: PortRange, rule: RuleId) {
        let list = match pattern {
            NamePattern::Exact(name) => self.exact.entry(name.clone()).or_default(),
            NamePattern::Below(name) => self.below.entry(name.clone()).or_default(),
        };
        list.push(Ports::new(ports, rule));
    }

    pub(super) fn finish(&mut self) {
        self.exact.values_mut().chain(self.below.values_mut()).for_each(merge);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.below.is_empty()
    }

    /// The lists of every pattern that holds `name`.
    fn lists(&self, name: &str) -> impl Iterator<Item = &[Ports]> {
        let exact = if self.exact.is_empty() { None } else { self.exact.get(name) };
        let mut rest = if self.below.is_empty() { None } else { Some(name) };
        let below = std::iter::from_fn(move || {
            loop {
                let (_, suffix) = rest?.split_once('.')?;
                rest = Some(suffix);
                if let Some(list) = self.below.get(suffix) {
                    return Some(list);
                }
            }
        });
        exact.into_iter().chain(below).map(Vec::as_slice)
    }

    /// Returns whether a pattern is this very name.
    pub(super) fn has_exact(&self, name: &str) -> bool {
        self.exact.contains_key(name)
    }

    pub(super) fn find(&self, name: &str, port: u16) -> Option<Ports> {
        self.lists(name).find_map(|list| find(list, port))
    }

    /// The ports of every name.
    pub(super) fn ports(&self) -> impl Iterator<Item = Ports> {
        self.exact.values().chain(self.below.values()).flatten().copied()
    }

    fn has_port(&self, port: u16) -> bool {
        self.exact.values().chain(self.below.values()).any(|list| find(list, port).is_some())
    }

    /// Returns the ports of every rule about `name`.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = Ports> {
        self.lists(name).flatten().copied()
    }
}

/// The rules of one verb about endpoints.
#[derive(Clone, Debug, Default)]
pub(super) struct Endpoints {
    v4: Networks<u32>,
    v6: Networks<u128>,
    /// The ports of every IPv4 rule, and of every IPv6 rule: what a wildcard's deny rules are.
    any_v4: Vec<Ports>,
    any_v6: Vec<Ports>,
    pub(super) names: Names,
}

impl Endpoints {
    pub(super) fn build<'a>(rules: impl Iterator<Item = (RuleId, &'a EndpointPattern)>) -> Self {
        let (mut v4, mut v6, mut names) = (Vec::new(), Vec::new(), Names::default());
        for (rule, pattern) in rules {
            let ports = Ports::new(pattern.ports, rule);
            match &pattern.host {
                HostPattern::Any => {
                    v4.push((0, u32::MAX, 0, ports));
                    v6.push((0, u128::MAX, 0, ports));
                }
                HostPattern::Net(IpNet::V4(net)) => {
                    v4.push((
                        net.network().to_bits(),
                        net.broadcast().to_bits(),
                        net.prefix_len(),
                        ports,
                    ));
                }
                HostPattern::Net(IpNet::V6(net)) => {
                    v6.push((
                        net.network().to_bits(),
                        net.broadcast().to_bits(),
                        net.prefix_len(),
                        ports,
                    ));
                }
                HostPattern::Name(name) => names.add(name, pattern.ports, rule),
            }
        }
        names.finish();
        let mut any_v4: Vec<Ports> = v4.iter().map(|entry| entry.3).collect();
        let mut any_v6: Vec<Ports> = v6.iter().map(|entry| entry.3).collect();
        merge(&mut any_v4);
        merge(&mut any_v6);
        Self { v4: Networks::build(v4), v6: Networks::build(v6), any_v4, any_v6, names }
    }

    /// Returns whether a rule is about addresses of IPv6, or of IPv4.
    pub(super) fn has_family(&self, v6: bool) -> bool {
        let has_networks = if v6 { !self.v6.nodes.is_empty() } else { !self.v4.nodes.is_empty() };
        has_networks || !self.names.is_empty()
    }

    /// Returns whether there is no rule.
    pub(super) fn is_empty(&self) -> bool {
        self.v4.nodes.is_empty() && self.v6.nodes.is_empty() && self.names.is_empty()
    }

    /// Returns whether a rule names IPv4 addresses.
    pub(super) fn has_v4(&self) -> bool {
        !self.v4.nodes.is_empty()
    }

    /// The addresses of one IP version from which on other rules may hold than before, in no order.
    pub(super) fn starts(&self, v6: bool) -> impl Iterator<Item = u128> {
        let v4 = (!v6).then(|| self.v4.starts());
        let v6 = v6.then(|| self.v6.starts());
        v4.into_iter().flatten().chain(v6.into_iter().flatten())
    }

    /// The rule about this very address. It must be canonical.
    pub(super) fn at(&self, address: IpAddr, port: u16) -> Option<Ports> {
        match address {
            IpAddr::V4(v4) => self.v4.find(v4.to_bits(), port, |_| true),
            IpAddr::V6(v6) => self.v6.find(v6.to_bits(), port, |_| true),
        }
    }

    /// The rule about this address or an IPv4 address inside it: how deny rules are asked.
    pub(super) fn touching(&self, address: IpAddr, port: u16) -> Option<Ports> {
        self.at(address, port).or_else(|| match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(v6) if self.v4.nodes.is_empty() || !may_embed(v6) => None,
            IpAddr::V6(v6) => {
                embedded(v6).find_map(|v4| self.v4.find(v4.to_bits(), port, |_| true))
            }
        })
    }

    /// A rule about this address, or an IPv4 address inside it, at any port.
    pub(super) fn touching_anywhere(&self, address: IpAddr) -> Option<Ports> {
        let inside = match address {
            IpAddr::V6(v6) if may_embed(v6) => Some(v6),
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        };
        let embedded =
            inside.into_iter().flat_map(embedded).find_map(|v4| self.all_at(v4.into()).next());
        self.all_at(address).next().or(embedded)
    }

    /// Returns whether some rule holds a port, be it at one address alone.
    pub(super) fn has_port(&self, port: u16) -> bool {
        self.any_v4(port).is_some() || self.any_v6(port).is_some() || self.names.has_port(port)
    }

    /// Every entry about an address.
    pub(super) fn all_at(&self, address: IpAddr) -> impl Iterator<Item = Ports> {
        let (v4, v6) = match address {
            IpAddr::V4(v4) => (Some(v4.to_bits()), None),
            IpAddr::V6(v6) => (None, Some(v6.to_bits())),
        };
        let v4 = v4
            .into_iter()
            .flat_map(|key| self.v4.around(key).flat_map(|node| self.v4.ports_of(node)));
        let v6 = v6
            .into_iter()
            .flat_map(|key| self.v6.around(key).flat_map(|node| self.v6.ports_of(node)));
        v4.chain(v6).copied()
    }

    /// The rule that covers the IPv4 wildcard: it says `0.0.0.0`, or every IPv4 address.
    pub(super) fn wildcard_v4(&self, port: u16) -> Option<Ports> {
        self.v4.find(0, port, |length| matches!(length, 0 | 32))
    }

    /// The rule that covers the IPv6 wildcard. One that takes IPv4 too needs `[::]` by name, or
    /// IPv4's wildcard beside.
    pub(super) fn wildcard_v6(&self, port: u16, dual_stack: bool) -> Option<Ports> {
        let whole = || self.v6.find(0, port, |length| length == 0);
        self.v6.find(0, port, |length| length == 128).or_else(|| match dual_stack {
            false => whole(),
            true => whole().filter(|_| self.wildcard_v4(port).is_some()),
        })
    }

    /// A rule about any part of the IPv4 wildcard.
    pub(super) fn any_v4(&self, port: u16) -> Option<Ports> {
        find(&self.any_v4, port)
    }

    /// A rule about any part of the IPv6 wildcard.
    pub(super) fn any_v6(&self, port: u16) -> Option<Ports> {
        find(&self.any_v6, port)
    }
}

/// Excludes most addresses that carry no IPv4 address.
fn may_embed(address: Ipv6Addr) -> bool {
    let s = address.segments();
    matches!(s[0], 0 | 0x64 | 0x2001 | 0x2002) || s[5] == 0x5efe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::Grant;
    use proptest::prelude::*;

    fn build(texts: &[String]) -> (Endpoints, Vec<EndpointPattern>) {
        let patterns: Vec<EndpointPattern> = texts
            .iter()
            .map(|text| match format!("tcp-listen={text}").parse() {
                Ok(Grant::TcpListen(pattern)) => pattern,
                other => panic!("{text}: {other:?}"),
            })
            .collect();
        let rules = patterns.iter().enumerate().map(|(at, pattern)| (index(at), pattern));
        (Endpoints::build(rules), patterns)
    }

    fn holds(pattern: &EndpointPattern, address: IpAddr, port: u16) -> bool {
        let host = match &pattern.host {
            HostPattern::Any => true,
            HostPattern::Net(net) => net.contains(&address),
            HostPattern::Name(_) => false,
        };
        host && pattern.ports.contains(port)
    }

    #[test]
    fn ports_merge_keeps_every_port_and_no_other() {
        let mut ports = vec![
            Ports { low: 10, high: 20, rule: 0 },
            Ports { low: 0, high: u16::MAX, rule: 1 },
            Ports { low: 15, high: 30, rule: 2 },
        ];
        merge(&mut ports);
        assert_eq!(ports.len(), 1);
        let mut ports =
            vec![Ports { low: 10, high: 20, rule: 0 }, Ports { low: 15, high: 30, rule: 1 }];
        merge(&mut ports);
        assert_eq!(find(&ports, 20).map(|p| p.rule), Some(0));
        assert_eq!(find(&ports, 21).map(|p| p.rule), Some(1));
        assert_eq!(find(&ports, 9), None);
        assert_eq!(find(&ports, 31), None);
    }

    #[test]
    fn any_left_sees_the_last_gap() {
        let taken = |port: u16| match port {
            0..=99 => Some(Ports { low: 0, high: 99, rule: 0 }),
            101.. => Some(Ports { low: 101, high: u16::MAX, rule: 0 }),
            100 => None,
        };
        assert!(any_left(Ports { low: 0, high: u16::MAX, rule: 0 }, taken));
        assert!(!any_left(Ports { low: 0, high: 99, rule: 0 }, taken));
        assert!(!any_left(Ports { low: 101, high: u16::MAX, rule: 0 }, taken));
    }

    fn target() -> impl Strategy<Value = String> {
        let ports = prop_oneof![
            Just("*".to_owned()),
            (0u16..20).prop_map(|p| p.to_string()),
            (0u16..10, 10u16..20).prop_map(|(a, b)| format!("{a}-{b}"))
        ];
        // Few distinct bits, so that networks nest and collide.
        let v4 = (
            prop::sample::select(vec![
                0u32,
                1,
                0x8000_0000,
                0xc000_0000,
                0xffff_ffff,
                0x0a00_0000,
                0x0a00_0001,
            ]),
            0u8..=32,
        )
            .prop_map(|(bits, length)| {
                ipnet::Ipv4Net::new(bits.into(), length).unwrap().trunc().to_string()
            });
        let v6 =
            (prop::sample::select(vec![0u128, 1, 1 << 127, u128::MAX, 0x2001 << 112]), 0u8..=128)
                .prop_map(|(bits, length)| {
                    format!("[{}]", ipnet::Ipv6Net::new(bits.into(), length).unwrap().trunc())
                });
        (prop_oneof![Just("*".to_owned()), v4, v6], ports)
            .prop_map(|(host, ports)| format!("{host}:{ports}"))
    }

    proptest! {
        #[test]
        fn networks_answer_as_a_scan_of_the_rules_does(
            texts in prop::collection::vec(target(), 0..40),
            v4 in prop::sample::select(vec![0u32, 1, 2, 0x7fff_ffff, 0x8000_0000, 0xc000_0001, 0xffff_ffff, 0x0a00_0000, 0x0a00_0002]),
            v6 in prop::sample::select(vec![0u128, 1, 2, 1 << 127, u128::MAX, (0x2001 << 112) + 5]),
            port in 0u16..22,
        ) {
            let (index, patterns) = build(&texts);
            for address in [IpAddr::from(std::net::Ipv4Addr::from(v4)), IpAddr::from(Ipv6Addr::from(v6))] {
                let found = index.at(address, port);
                prop_assert_eq!(found.is_some(), patterns.iter().any(|p| holds(p, address, port)));
                if let Some(found) = found {
                    prop_assert!(holds(&patterns[found.rule as usize], address, port));
                }
                for port in 0..22 {
                    let all = index.all_at(address).any(|p| p.low <= port && port <= p.high);
                    prop_assert_eq!(all, index.at(address, port).is_some());
                }
            }
        }
    }
}
