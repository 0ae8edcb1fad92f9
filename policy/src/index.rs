//! The rules of one verb, laid out so that a look-up costs the logarithm of their number.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;

use crate::address::Nat64;
use crate::host::{EndpointPattern, HostPattern};
use crate::name::NamePattern;
use crate::port::PortRange;
use crate::sets::{Addresses, BuiltSets};

/// A rule by its place in the policy's list.
pub(super) type RuleId = u32;

/// Ports that one rule covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) low: u16,
    pub(super) high: u16,
    /// Whether the rule names a set, which holds this name.
    of_set: bool,
    /// How many ports the rule has beside one, here or elsewhere.
    width: u16,
    pub(super) rule: RuleId,
}

impl Ports {
    pub(super) fn new(range: PortRange, rule: RuleId) -> Self {
        let (low, high) = (range.low(), range.high());
        Self { low, high, of_set: false, width: high - low, rule }
    }

    /// Them without the rule.
    pub(super) fn range(self) -> PortRange {
        PortRange::new(self.low, self.high)
    }

    /// Returns the order of rules about one host: sets come last, fewer ports come first, then the
    /// earlier rule.
    fn order(self) -> Order {
        (self.of_set, self.width, self.rule)
    }
}

/// See [`Ports::order`].
type Order = (bool, u16, RuleId);

/// Makes a list sorted and disjoint. Where several overlap, the first by [`Ports::order`] keeps the
/// ports.
fn merge(ports: &mut Vec<Ports>) {
    if ports.len() < 2 {
        return;
    }
    ports.sort_by_key(|p| p.low);
    let mut coming = std::mem::take(ports).into_iter().peekable();
    // Those that hold the next port, the first by their order on top.
    let mut holding: BinaryHeap<Reverse<(Order, u16)>> = BinaryHeap::new();
    let mut next: u32 = 0;
    loop {
        while holding.peek().is_some_and(|Reverse((_, high))| u32::from(*high) < next) {
            holding.pop();
        }
        if holding.is_empty() {
            let Some(first) = coming.peek() else { return };
            next = first.low.into();
        }
        while let Some(p) = coming.next_if(|p| u32::from(p.low) <= next) {
            holding.push(Reverse((p.order(), p.high)));
        }
        // The order of what ends before the next port does not matter.
        let Some(Reverse(((of_set, width, rule), high))) =
            holding.peek().filter(|Reverse((_, high))| u32::from(*high) >= next).copied()
        else {
            continue;
        };
        // Another one may come before its end.
        let end = coming.peek().map_or(high, |p| high.min(p.low - 1));
        // `next` is at most `high`, which is a port.
        let low = next as u16;
        match ports.last_mut() {
            Some(last) if last.rule == rule && u32::from(last.high) + 1 == next => last.high = end,
            _ => ports.push(Ports { low, high: end, of_set, width, rule }),
        }
        next = u32::from(end) + 1;
    }
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

/// The reach of `*`, which is less specific than `0.0.0.0/0`.
const EVERYWHERE: u8 = 0;

/// Returns the reach of a network. Of two networks around an address, the one with the greater
/// reach is the more specific one.
fn reach(net: IpNet) -> u8 {
    net.prefix_len() + 1
}

/// A network: its place in the tree and its ports.
#[derive(Clone, Debug)]
struct Node<K> {
    high: K,
    /// [`EVERYWHERE`], or one more than the length of the prefix.
    reach: u8,
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
        entries.sort_by_key(|(low, _, reach, _)| (*low, *reach));
        let mut built = Self::default();
        let mut around: Vec<u32> = Vec::new();
        for group in entries.chunk_by(|a, b| (a.0, a.2) == (b.0, b.2)) {
            let Some(&(low, high, reach, _)) = group.first() else {
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
            built.nodes.push(Node { high, reach, parent: around.last().copied(), first, end });
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

    fn networks(&self, port: Option<u16>) -> impl Iterator<Item = (u128, u8)>
    where
        K: Into<u128>,
    {
        let holds =
            move |node: &Node<K>| port.is_none_or(|port| find(self.ports_of(node), port).is_some());
        let networks = self.lows.iter().zip(&self.nodes).filter(move |(_, node)| holds(node));
        // `*` has no length, and is every address.
        networks.map(|(low, node)| ((*low).into(), node.reach.saturating_sub(1)))
    }

    fn ports_of(&self, node: &Node<K>) -> &[Ports] {
        &self.ports[node.first as usize..node.end as usize]
    }

    fn find(&self, key: K, port: u16, accept: impl Fn(u8) -> bool) -> Option<Ports> {
        self.around(key)
            .filter(|node| accept(node.reach))
            .find_map(|node| find(self.ports_of(node), port))
    }
}

/// Indices of tables that hold a few entries a rule; four thousand million of them don't fit in
/// memory.
fn index(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// How specific a rule about a name is. The lowest is the most specific.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NameRank {
    /// Whether the rule names a set that holds the name. Such rules come last, in the order of their
    /// ports alone.
    of_set: bool,
    /// The labels that a pattern fixes. None, which comes first, if the rule has the whole name.
    labels: Option<Reverse<usize>>,
    ports: Order,
}

impl NameRank {
    /// Returns whether a rule about a set comes before this one.
    pub(super) fn follows(self, set: Ports) -> bool {
        self.of_set && set.order() < self.ports
    }
}

/// Names with their ports.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    exact: HashMap<Box<str>, Vec<Ports>>,
    below: HashMap<Box<str>, Vec<Ports>>,
}

impl Names {
    pub(super) fn add(&mut self, pattern: &NamePattern, ports: PortRange, rule: RuleId) {
        self.list(pattern).push(Ports::new(ports, rule));
    }

    /// As [`add`](Self::add), for a name in a set that the rule names.
    pub(super) fn add_of_set(&mut self, pattern: &NamePattern, ports: PortRange, rule: RuleId) {
        self.list(pattern).push(Ports { of_set: true, ..Ports::new(ports, rule) });
    }

    fn list(&mut self, pattern: &NamePattern) -> &mut Vec<Ports> {
        match pattern {
            NamePattern::Exact(name) => self.exact.entry(name.clone()).or_default(),
            NamePattern::Below(name) => self.below.entry(name.clone()).or_default(),
        }
    }

    pub(super) fn finish(&mut self) {
        self.exact.values_mut().chain(self.below.values_mut()).for_each(merge);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.below.is_empty()
    }

    /// The lists of every pattern that holds `name`, the most specific first. A list of names below
    /// another one has that name.
    fn lists<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (Option<&'a str>, &'a [Ports])> {
        let exact = if self.exact.is_empty() { None } else { self.exact.get(name) };
        let exact = exact.map(|list| (None, list.as_slice()));
        let mut rest = if self.below.is_empty() { None } else { Some(name) };
        let below = std::iter::from_fn(move || {
            loop {
                let (_, suffix) = rest?.split_once('.')?;
                rest = Some(suffix);
                if let Some(list) = self.below.get(suffix) {
                    return Some((Some(suffix), list.as_slice()));
                }
            }
        });
        exact.into_iter().chain(below)
    }

    /// The names that patterns spell out.
    pub(super) fn exact(&self) -> impl Iterator<Item = &str> {
        self.exact.keys().map(|name| &**name)
    }

    /// The names whose subdomains patterns hold.
    pub(super) fn below(&self) -> impl Iterator<Item = &str> {
        self.below.keys().map(|name| &**name)
    }

    /// Returns whether a pattern is this very name.
    pub(super) fn has_exact(&self, name: &str) -> bool {
        self.exact.contains_key(name)
    }

    /// The most specific rule about a name.
    pub(super) fn find(&self, name: &str, port: u16) -> Option<Ports> {
        self.lists(name).find_map(|(_, list)| find(list, port))
    }

    /// As [`find`](Self::find), with what tells which name's rule is the more specific one, if an
    /// address has several names.
    pub(super) fn find_ranked(&self, name: &str, port: u16) -> Option<(NameRank, Ports)> {
        let ranked = self.lists(name).filter_map(|(below, list)| {
            let found = find(list, port)?;
            let labels = below.map(|below| Reverse(below.split('.').count()));
            let labels = labels.filter(|_| !found.of_set);
            Some((NameRank { of_set: found.of_set, labels, ports: found.order() }, found))
        });
        ranked.min_by_key(|(rank, _)| *rank)
    }

    /// The ports of every name.
    pub(super) fn ports(&self) -> impl Iterator<Item = Ports> {
        self.exact.values().chain(self.below.values()).flatten().copied()
    }

    fn has_port(&self, port: u16) -> bool {
        self.exact.values().chain(self.below.values()).any(|list| find(list, port).is_some())
    }

    /// Returns the ports of every rule about `name`.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Ports> + use<'a> {
        self.lists(name).flat_map(|(_, list)| list).copied()
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
    /// The rules that name sets, by set.
    sets: Vec<(Arc<Addresses>, Vec<Ports>)>,
    nat64: Nat64,
}

impl Endpoints {
    pub(super) fn build<'a>(
        rules: impl Iterator<Item = (RuleId, &'a EndpointPattern)>,
        known: &BuiltSets,
    ) -> Self {
        let (mut v4, mut v6, mut names) = (Vec::new(), Vec::new(), Names::default());
        let mut sets: Vec<(Arc<Addresses>, Vec<Ports>)> = Vec::new();
        for (rule, pattern) in rules {
            let ports = Ports::new(pattern.ports, rule);
            match &pattern.host {
                HostPattern::Any => {
                    v4.push((0, u32::MAX, EVERYWHERE, ports));
                    v6.push((0, u128::MAX, EVERYWHERE, ports));
                }
                HostPattern::Net(IpNet::V4(net)) => {
                    let (low, high) = (net.network().to_bits(), net.broadcast().to_bits());
                    v4.push((low, high, reach((*net).into()), ports));
                }
                HostPattern::Net(IpNet::V6(net)) => {
                    let (low, high) = (net.network().to_bits(), net.broadcast().to_bits());
                    v6.push((low, high, reach((*net).into()), ports));
                }
                HostPattern::Name(name) => names.add(name, pattern.ports, rule),
                HostPattern::Set(word) => {
                    // The builder takes rules about known sets alone.
                    let Some(set) = known.get(word) else { continue };
                    let ports = Ports { of_set: true, ..ports };
                    for addresses in &set.addresses {
                        match sets.iter_mut().find(|(same, _)| Arc::ptr_eq(same, addresses)) {
                            Some((_, list)) => list.push(ports),
                            None => sets.push((Arc::clone(addresses), vec![ports])),
                        }
                    }
                    let each = set.names.iter();
                    each.for_each(|name| names.add_of_set(name, pattern.ports, rule));
                }
            }
        }
        names.finish();
        let any = |entries: Vec<Ports>, v6: bool| {
            let sets = sets.iter().filter(|(set, _)| set.has_family(v6));
            let mut any = entries;
            any.extend(sets.flat_map(|(_, ports)| ports).copied());
            merge(&mut any);
            any
        };
        let any_v4 = any(v4.iter().map(|entry| entry.3).collect(), false);
        let any_v6 = any(v6.iter().map(|entry| entry.3).collect(), true);
        sets.iter_mut().for_each(|(_, ports)| merge(ports));
        let (v4, v6, nat64) = (Networks::build(v4), Networks::build(v6), known.nat64.clone());
        Self { v4, v6, any_v4, any_v6, names, sets, nat64 }
    }

    /// Returns whether a rule is about addresses of IPv6, or of IPv4.
    pub(super) fn has_family(&self, v6: bool) -> bool {
        self.has_addresses(v6) || !self.names.is_empty()
    }

    /// As [`has_family`](Self::has_family), without rules about names.
    fn has_addresses(&self, v6: bool) -> bool {
        !if v6 { &self.any_v6 } else { &self.any_v4 }.is_empty()
    }

    /// Returns whether there is no rule.
    pub(super) fn is_empty(&self) -> bool {
        self.any_v4.is_empty() && self.any_v6.is_empty() && self.names.is_empty()
    }

    /// Returns whether a rule names IPv4 addresses.
    pub(super) fn has_v4(&self) -> bool {
        self.has_addresses(false)
    }

    /// Returns whether ranges alone don't say which IPv6 addresses rules hold.
    pub(super) fn is_by_reach(&self) -> bool {
        self.sets.iter().any(|(set, _)| set.is_by_reach())
    }

    /// Returns the IPv4 addresses that an IPv6 address may carry a packet to.
    pub(super) fn embedded(&self, address: Ipv6Addr) -> impl Iterator<Item = Ipv4Addr> {
        self.nat64.embedded(address)
    }

    fn may_embed(&self, address: Ipv6Addr) -> bool {
        may_embed(address) || self.nat64.covers(address)
    }

    /// The addresses of one IP version from which on other rules may hold than before, in no order.
    pub(super) fn starts(&self, is_v6: bool) -> impl Iterator<Item = u128> {
        let v4 = (!is_v6).then(|| self.v4.starts());
        let v6 = is_v6.then(|| self.v6.starts());
        let sets = self.sets.iter().flat_map(move |(set, _)| set.starts(is_v6));
        v4.into_iter().flatten().chain(v6.into_iter().flatten()).chain(sets)
    }

    /// The networks of one IP version that rules hold at a port, or at any port: the first address
    /// and the length of each.
    pub(super) fn networks(&self, v6: bool, port: Option<u16>) -> impl Iterator<Item = (u128, u8)> {
        let v4 = (!v6).then(|| self.v4.networks(port));
        let v6 = v6.then(|| self.v6.networks(port));
        v4.into_iter().flatten().chain(v6.into_iter().flatten())
    }

    /// The sets that rules hold at a port, or at any port.
    pub(super) fn sets(&self, port: Option<u16>) -> impl Iterator<Item = &Addresses> {
        let holds = move |ports: &[Ports]| port.is_none_or(|port| find(ports, port).is_some());
        self.sets.iter().filter(move |(_, ports)| holds(ports)).map(|(set, _)| &**set)
    }

    /// The ports from which on other rules may hold than before, in no order.
    pub(super) fn port_starts(&self) -> impl Iterator<Item = u16> {
        let networks = self.v4.ports.iter().chain(&self.v6.ports);
        let sets = self.sets.iter().flat_map(|(_, ports)| ports);
        let ports = networks.chain(sets).copied().chain(self.names.ports());
        ports.flat_map(|ports| [Some(ports.low), ports.high.checked_add(1)]).flatten()
    }

    /// The most specific rule about this very address. It must be canonical.
    pub(super) fn at(&self, address: IpAddr, port: u16) -> Option<Ports> {
        self.near(address, port)
            .or_else(|| self.in_set(address, port))
            .or_else(|| self.find(address, port, |reach| reach == EVERYWHERE))
    }

    /// The most specific rule about every host.
    pub(super) fn everywhere(&self, port: u16) -> Option<Ports> {
        self.v4.find(0, port, |reach| reach == EVERYWHERE)
    }

    /// The most specific rule about this address or a network around it.
    pub(super) fn near(&self, address: IpAddr, port: u16) -> Option<Ports> {
        self.find(address, port, |reach| reach != EVERYWHERE)
    }

    /// The most specific rule about a set that holds this address. A policy has few sets, so each is
    /// asked.
    pub(super) fn in_set(&self, address: IpAddr, port: u16) -> Option<Ports> {
        let holding = self
            .sets
            .iter()
            .filter_map(|(set, ports)| find(ports, port).filter(|_| set.contains(address)));
        holding.min_by_key(|ports| ports.order())
    }

    fn find(&self, address: IpAddr, port: u16, accept: impl Fn(u8) -> bool) -> Option<Ports> {
        match address {
            IpAddr::V4(v4) => self.v4.find(v4.to_bits(), port, accept),
            IpAddr::V6(v6) => self.v6.find(v6.to_bits(), port, accept),
        }
    }

    /// The rule about this address or an IPv4 address inside it: how deny rules are asked.
    pub(super) fn touching(&self, address: IpAddr, port: u16) -> Option<Ports> {
        self.at(address, port).or_else(|| match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(v6) if !self.has_v4() || !self.may_embed(v6) => None,
            IpAddr::V6(v6) => self.embedded(v6).find_map(|v4| self.at(v4.into(), port)),
        })
    }

    /// A rule about this address, or an IPv4 address inside it, at any port.
    pub(super) fn touching_anywhere(&self, address: IpAddr) -> Option<Ports> {
        let inside = match address {
            IpAddr::V6(v6) if self.may_embed(v6) => Some(v6),
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        };
        let embedded = inside.into_iter().flat_map(|v6| self.embedded(v6));
        let embedded = embedded.into_iter().find_map(|v4| self.all_at(v4.into()).next());
        self.all_at(address).next().or(embedded)
    }

    /// Returns whether some rule holds a port, be it at one address alone.
    pub(super) fn has_port(&self, port: u16) -> bool {
        self.any_v4(port).is_some() || self.any_v6(port).is_some() || self.names.has_port(port)
    }

    /// Every entry about an address.
    pub(super) fn all_at(&self, address: IpAddr) -> impl Iterator<Item = Ports> {
        let sets = self.sets.iter().filter(move |(set, _)| set.contains(address));
        self.networks_at(address).chain(sets.flat_map(|(_, ports)| ports).copied())
    }

    /// Every entry about the addresses from this one to the next of [`starts`](Self::starts). If the
    /// rules [are by reach](Self::is_by_reach), some of the entries hold for some of them alone.
    pub(super) fn all_from(&self, address: IpAddr) -> impl Iterator<Item = Ports> {
        let sets = self.sets.iter().filter(move |(set, _)| set.spans(address));
        self.networks_at(address).chain(sets.flat_map(|(_, ports)| ports).copied())
    }

    fn networks_at(&self, address: IpAddr) -> impl Iterator<Item = Ports> {
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
        self.v4.find(0, port, |reach| matches!(reach, EVERYWHERE | 1 | 33))
    }

    /// The rule that covers the IPv6 wildcard. One that takes IPv4 too needs `[::]` by name, or
    /// IPv4's wildcard beside.
    pub(super) fn wildcard_v6(&self, port: u16, dual_stack: bool) -> Option<Ports> {
        let whole = || self.v6.find(0, port, |reach| matches!(reach, EVERYWHERE | 1));
        self.v6.find(0, port, |reach| reach == 129).or_else(|| match dual_stack {
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
        (Endpoints::build(rules, &BuiltSets::default()), patterns)
    }

    fn holds(pattern: &EndpointPattern, address: IpAddr, port: u16) -> bool {
        let host = match &pattern.host {
            HostPattern::Any => true,
            HostPattern::Net(net) => net.contains(&address),
            HostPattern::Name(_) | HostPattern::Set(_) => false,
        };
        host && pattern.ports.contains(port)
    }

    fn ports(low: u16, high: u16, rule: RuleId) -> Ports {
        Ports::new(PortRange::new(low, high), rule)
    }

    #[test]
    fn ports_merge_keeps_every_port_and_no_other() {
        let mut list = vec![ports(0, u16::MAX, 1), ports(10, 20, 0), ports(15, 15, 2)];
        merge(&mut list);
        let owners: Vec<_> = list.iter().map(|p| (p.low, p.high, p.rule)).collect();
        assert_eq!(owners, [(0, 9, 1), (10, 14, 0), (15, 15, 2), (16, 20, 0), (21, u16::MAX, 1)]);
        let mut list = vec![ports(10, 20, 0), ports(15, 30, 1)];
        merge(&mut list);
        assert_eq!(find(&list, 20).map(|p| p.rule), Some(0));
        assert_eq!(find(&list, 21).map(|p| p.rule), Some(1));
        assert_eq!(find(&list, 9), None);
        assert_eq!(find(&list, 31), None);
    }

    #[test]
    fn any_left_sees_the_last_gap() {
        let taken = |port: u16| match port {
            0..=99 => Some(ports(0, 99, 0)),
            101.. => Some(ports(101, u16::MAX, 0)),
            100 => None,
        };
        assert!(any_left(ports(0, u16::MAX, 0), taken));
        assert!(!any_left(ports(0, 99, 0), taken));
        assert!(!any_left(ports(101, u16::MAX, 0), taken));
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
        fn ports_merged_belong_to_the_narrowest_and_then_the_first(
            ranges in prop::collection::vec((0u16..24, 0u16..24), 0..12),
        ) {
            let all: Vec<Ports> = (0..)
                .zip(ranges)
                .map(|(rule, (a, b))| ports(a.min(b), a.max(b), rule))
                .collect();
            let mut merged = all.clone();
            merge(&mut merged);
            prop_assert!(merged.windows(2).all(|two| two[0].high < two[1].low));
            for port in 0..26 {
                let holding = all.iter().filter(|p| (p.low..=p.high).contains(&port));
                let best = holding.min_by_key(|p| p.order()).map(|p| p.rule);
                prop_assert_eq!(find(&merged, port).map(|p| p.rule), best, "{}", port);
            }
        }

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
                let specific = |pattern: &EndpointPattern| {
                    let length = match &pattern.host {
                        HostPattern::Net(net) => i32::from(net.prefix_len()),
                        HostPattern::Any | HostPattern::Name(_) | HostPattern::Set(_) => -1,
                    };
                    (-length, pattern.ports.high() - pattern.ports.low())
                };
                let holding = (0..).zip(&patterns).filter(|(_, p)| holds(p, address, port));
                let best = holding.min_by_key(|(rule, p)| (specific(p), *rule));
                prop_assert_eq!(found.map(|found| found.rule), best.map(|(rule, _)| rule));
                for port in 0..22 {
                    let all = index.all_at(address).any(|p| p.low <= port && port <= p.high);
                    prop_assert_eq!(all, index.at(address, port).is_some());
                }
            }
        }
    }
}
