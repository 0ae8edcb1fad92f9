//! The senders whose datagrams a policy admits, as ports of addresses, for a filter in the kernel.
//!
//! [`Policy::udp_source_allowed`] and [`Policy::raw_source_allowed`] decide on each datagram and
//! have the last word. [`Senders`] never admits less than they allow. [`Senders::exact_v4`] and
//! [`Senders::exact_v6`] say whether it admits no more.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::index::Ports;

/// What a socket carries. It decides which rules name the socket's senders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Carried {
    /// Datagrams with ports: `udp-receive` and `udp-send`.
    Udp,
    /// Packets of this IP protocol: `raw`.
    Packets(u8),
}

/// A set of ports: sorted ranges that neither overlap nor touch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PortSet(Vec<(u16, u16)>);

impl PortSet {
    /// Every port.
    pub fn all() -> Self {
        Self(vec![(0, u16::MAX)])
    }

    /// Returns whether every port is in the set.
    pub fn is_all(&self) -> bool {
        self.0 == [(0, u16::MAX)]
    }

    /// Returns whether no port is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ranges, the lowest first.
    pub fn ranges(&self) -> &[(u16, u16)] {
        &self.0
    }

    pub(super) fn contains(&self, port: u16) -> bool {
        self.0.iter().any(|&(low, high)| low <= port && port <= high)
    }

    pub(crate) fn of(ports: impl Iterator<Item = Ports>) -> Self {
        Self::merged(ports.map(|ports| (ports.low, ports.high)).collect())
    }

    fn merged(mut ranges: Vec<(u16, u16)>) -> Self {
        ranges.sort_unstable();
        let mut merged: Vec<(u16, u16)> = Vec::new();
        for (low, high) in ranges {
            match merged.last_mut() {
                Some((_, end)) if low <= end.saturating_add(1) => *end = high.max(*end),
                _ => merged.push((low, high)),
            }
        }
        Self(merged)
    }

    pub(crate) fn union(&self, other: &Self) -> Self {
        Self::merged([&self.0[..], &other.0[..]].concat())
    }

    pub(crate) fn without(&self, other: &Self) -> Self {
        let mut left = Vec::new();
        for &(low, high) in &self.0 {
            let mut next = u32::from(low);
            for &(from, to) in other.0.iter().filter(|(from, to)| *to >= low && *from <= high) {
                if u32::from(from) > next {
                    left.push((next as u16, from - 1));
                }
                next = next.max(u32::from(to) + 1);
            }
            if next <= u32::from(high) {
                left.push((next as u16, high));
            }
        }
        Self(left)
    }

    /// The ports from the lowest to the highest.
    fn hull(&self) -> Self {
        match (self.0.first(), self.0.last()) {
            (Some(&(low, _)), Some(&(_, high))) => Self(vec![(low, high)]),
            _ => Self::default(),
        }
    }
}

/// Addresses that follow the previous span's, and what their ports are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The last address.
    pub high: u128,
    /// The ports from which the span's addresses may send.
    pub ports: PortSet,
}

/// Whose datagrams may be received: spans that cover all addresses of each IP version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Senders {
    /// The IPv4 senders, in ascending order, without overlaps.
    pub v4: Vec<Span>,
    /// The IPv6 senders, in ascending order, without overlaps.
    pub v6: Vec<Span>,
    /// Whether the spans hold no IPv4 sender that the policy does not allow.
    pub exact_v4: bool,
    /// The same of IPv6.
    pub exact_v6: bool,
}

/// How many bits an address has.
const V4_BITS: u32 = 32;

const V6_BITS: u32 = 128;

impl Senders {
    /// Returns whether every sender is allowed.
    pub fn is_everyone(&self) -> bool {
        [&self.v4, &self.v6]
            .into_iter()
            .all(|spans| matches!(&spans[..], [span] if span.ports.is_all()))
    }

    /// How often [`coarser`](Self::coarser) can be asked for.
    pub const STEPS: usize = Self::COARSER.len();

    /// The prefixes of the networks that are told apart, and whether the ports of each are one
    /// range.
    const COARSER: [(u32, u32, bool); 5] =
        [(24, 64, false), (16, 48, false), (16, 48, true), (8, 32, true), (0, 0, true)];

    /// Some more senders, in fewer spans: for a program that would be too long. The last step has
    /// one range of ports for all addresses of an IP version.
    pub fn coarser(&self, step: usize) -> Self {
        let (v4, v6, one_range) = Self::COARSER.get(step).copied().unwrap_or((0, 0, true));
        let mut coarse = Self {
            v4: coarsened(&self.v4, V4_BITS, v4),
            v6: coarsened(&self.v6, V6_BITS, v6),
            exact_v4: false,
            exact_v6: false,
        };
        for spans in [&mut coarse.v4, &mut coarse.v6].into_iter().filter(|_| one_range) {
            for span in spans.iter_mut() {
                span.ports = span.ports.hull();
            }
            merge(spans);
        }
        coarse
    }

    /// With other ports for single addresses.
    pub(crate) fn overlaid(&self, overrides: &BTreeMap<IpAddr, PortSet>) -> Self {
        let of = |wanted_v6: bool| {
            overrides
                .iter()
                .filter(move |(address, _)| address.is_ipv6() == wanted_v6)
                .map(|(address, ports)| (bits(*address), ports))
        };
        Self { v4: overlaid(&self.v4, of(false)), v6: overlaid(&self.v6, of(true)), ..*self }
    }

    /// With these ports at every address.
    pub(crate) fn with_ports_everywhere(mut self, ports: &PortSet) -> Self {
        for spans in [&mut self.v4, &mut self.v6] {
            for span in spans.iter_mut() {
                span.ports = span.ports.union(ports);
            }
            merge(spans);
        }
        (self.exact_v4, self.exact_v6) = (false, false);
        self
    }
}

/// An address as a number.
pub(crate) fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

pub(crate) fn address(bits: u128, v6: bool) -> IpAddr {
    // An IPv4 span ends at 32 bits.
    if v6 { IpAddr::V6(bits.into()) } else { IpAddr::V4((bits as u32).into()) }
}

/// Joins neighbours with the same ports.
pub(crate) fn merge(spans: &mut Vec<Span>) {
    spans.dedup_by(|next, kept| {
        let same = next.ports == kept.ports;
        if same {
            kept.high = next.high;
        }
        same
    });
}

/// The spans with bounds at multiples of a network of this prefix alone: one that is cut has the
/// ports of all its parts.
fn coarsened(spans: &[Span], width: u32, prefix: u32) -> Vec<Span> {
    let size = width - prefix;
    let mut coarse: Vec<Span> = Vec::new();
    let mut low = 0u128;
    for span in spans {
        // A shift by all 128 bits leaves nothing.
        let network = |at: u128| at.checked_shr(size).unwrap_or(0);
        let end = |network: u128| {
            network.checked_shl(size).unwrap_or(0) | (u128::MAX >> (V6_BITS - size))
        };
        let (mut first, last) = (network(low), network(span.high));
        low = span.high.wrapping_add(1);
        if let Some(before) = coarse.last_mut()
            && before.high == end(first)
        {
            before.ports = before.ports.union(&span.ports);
            if first == last {
                continue;
            }
            first += 1;
        }
        // A network that ends within others has to be one of its own, for what follows in it.
        let cut = span.high != end(last);
        if cut && last > first {
            coarse.push(Span { high: end(last - 1), ports: span.ports.clone() });
        }
        coarse.push(Span { high: end(last), ports: span.ports.clone() });
    }
    merge(&mut coarse);
    coarse
}

/// The spans with other ports at single addresses, which are sorted.
fn overlaid<'a>(spans: &[Span], overrides: impl Iterator<Item = (u128, &'a PortSet)>) -> Vec<Span> {
    let mut overrides = overrides.peekable();
    let mut all: Vec<Span> = Vec::new();
    let mut low = 0u128;
    for span in spans {
        while let Some((at, ports)) = overrides.next_if(|(at, _)| *at <= span.high) {
            if at > low {
                all.push(Span { high: at - 1, ports: span.ports.clone() });
            }
            all.push(Span { high: at, ports: ports.clone() });
            low = at.wrapping_add(1);
        }
        if all.last().is_none_or(|last| last.high < span.high) {
            all.push(span.clone());
        }
        low = span.high.wrapping_add(1);
    }
    merge(&mut all);
    all
}

impl Carried {
    /// The ports of a sender, where rules speak of these: all of them or none for packets, whose
    /// protocol stands for the port.
    pub(crate) fn ports(self, ports: PortSet) -> PortSet {
        match self {
            Self::Udp => ports,
            Self::Packets(protocol) if ports.contains(protocol.into()) => PortSet::all(),
            Self::Packets(_) => PortSet::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set() -> impl Strategy<Value = PortSet> {
        let edge = prop_oneof![0u16..12, 65530u16..=65535];
        prop::collection::vec((edge.clone(), edge), 0..5).prop_map(|pairs| {
            PortSet::merged(pairs.into_iter().map(|(a, b)| (a.min(b), a.max(b))).collect())
        })
    }

    fn spans() -> impl Strategy<Value = Vec<Span>> {
        prop::collection::btree_set(0u128..0xffff_ffff, 0..12).prop_flat_map(|highs| {
            let count = highs.len() + 1;
            (Just(highs), prop::collection::vec(set(), count)).prop_map(|(highs, sets)| {
                let highs = highs.into_iter().chain([u32::MAX.into()]);
                let mut spans: Vec<_> =
                    highs.zip(sets).map(|(high, ports)| Span { high, ports }).collect();
                merge(&mut spans);
                spans
            })
        })
    }

    fn at(spans: &[Span], address: u128) -> &PortSet {
        &spans.iter().find(|span| address <= span.high).expect("they cover all").ports
    }

    proptest! {
        #[test]
        fn sets_of_ports_are_as_a_list_of_all_would_be(a in set(), b in set()) {
            let (union, rest) = (a.union(&b), a.without(&b));
            for port in (0..14).chain(65528..=65535) {
                prop_assert_eq!(union.contains(port), a.contains(port) || b.contains(port));
                prop_assert_eq!(rest.contains(port), a.contains(port) && !b.contains(port));
                prop_assert!(a.hull().contains(port) || !a.contains(port));
            }
            for set in [&union, &rest] {
                prop_assert!(set.0.windows(2).all(|two| u32::from(two[0].1) + 1 < u32::from(two[1].0)));
            }
        }

        #[test]
        fn coarser_spans_cover_all_and_hold_no_less(spans in spans(), prefix in prop::sample::select(vec![0u32, 8, 16, 24])) {
            let coarse = coarsened(&spans, V4_BITS, prefix);
            prop_assert_eq!(coarse.last().map(|span| span.high), Some(u32::MAX.into()));
            prop_assert!(coarse.windows(2).all(|two| two[0].high < two[1].high));
            let mask = u128::from(u32::MAX >> prefix.min(31)) >> u32::from(prefix > 31);
            prop_assert!(coarse.iter().all(|span| span.high & mask == mask));
            for near in spans.iter().flat_map(|span| [span.high.saturating_sub(1), span.high, (span.high + 1).min(u32::MAX.into())]) {
                let (fine, rough) = (at(&spans, near), at(&coarse, near));
                prop_assert_eq!(&fine.union(rough), rough);
            }
        }

        #[test]
        fn overlaid_addresses_have_their_own_ports(spans in spans(), singles in prop::collection::btree_map(0u128..=0xffff_ffff, set(), 0..6)) {
            let all = overlaid(&spans, singles.iter().map(|(at, ports)| (*at, ports)));
            prop_assert_eq!(all.last().map(|span| span.high), Some(u32::MAX.into()));
            prop_assert!(all.windows(2).all(|two| two[0].high < two[1].high));
            for near in singles.keys().chain(spans.iter().map(|span| &span.high)).flat_map(|at| [at.saturating_sub(1), *at, (at + 1).min(u32::MAX.into())]) {
                prop_assert_eq!(at(&all, near), singles.get(&near).unwrap_or_else(|| at(&spans, near)));
            }
        }
    }
}
