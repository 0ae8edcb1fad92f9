//! The forms of IPv6 addresses that embed IPv4, and private space, as cubes.
//!
//! [`crate::address`] decides by the same forms. The tests compare both.

use ipnet::Ipv6Net;

use crate::address::Nat64;
use crate::covers::cube::Cube;

/// Where an IPv6 address has an IPv4 address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    /// The bytes, the first being 0.
    bytes: [usize; 4],
    /// Whether the bits are inverted.
    inverted: bool,
    /// What the rest of the address must be.
    with: Cube,
}

/// A part of IPv6's addresses that embed IPv4 in the same way, as a policy knows it.
#[derive(Clone, Debug)]
pub(super) struct Space {
    pub(super) within: Cube,
    pub(super) except: Vec<Cube>,
    slots: Vec<Slot>,
    private: Vec<Cube>,
}

const fn slot(bytes: [usize; 4]) -> Slot {
    Slot { bytes, inverted: false, with: Cube::V6 }
}

const LAST: Slot = slot([12, 13, 14, 15]);

/// The prefixes whose addresses embed IPv4.
const PREFIXES: [(Cube, &[Slot]); 6] = [
    // v4-compatible
    (Cube::v6(0, 96), &[LAST]),
    // SIIT
    (Cube::v6(0xffff << 48, 96), &[LAST]),
    // NAT64, and its local prefixes (RFC 8215)
    (Cube::v6(0x64_ff9b << 96, 96), &[LAST]),
    (
        Cube::v6(0x64_ff9b_0001 << 80, 48),
        &[LAST, slot([6, 7, 9, 10]), slot([7, 9, 10, 11]), slot([9, 10, 11, 12])],
    ),
    // 6to4
    (Cube::v6(0x2002 << 112, 16), &[slot([2, 3, 4, 5])]),
    // Teredo
    (Cube::v6(0x2001 << 112, 32), &[slot([4, 5, 6, 7]), Slot { inverted: true, ..LAST }]),
];

/// IPv4-mapped addresses are judged as IPv4.
const MAPPED: Cube = Cube::v6(0xffff << 32, 96);

/// ISATAP: the first half of the interface's identifier.
const ISATAP: &[Slot] = &[
    Slot { with: Cube::new(0x5efe << 32, 0xffff_ffff << 32), ..LAST },
    Slot { with: Cube::new(0x0200_5efe << 32, 0xffff_ffff << 32), ..LAST },
];

/// The unspecified address and the loopback. They embed nothing, although they begin as
/// v4-compatible addresses do.
const PLAIN: [Cube; 2] = [Cube::one(0), Cube::one(1)];

/// Private networks of IPv4.
pub(super) const PRIVATE_V4: [Cube; 11] = [
    Cube::v4(0, 8),
    Cube::v4(0x0a00_0000, 8),
    Cube::v4(0x7f00_0000, 8),
    Cube::v4(0x6440_0000, 10),
    Cube::v4(0xa9fe_0000, 16),
    Cube::v4(0xac10_0000, 12),
    Cube::v4(0xc000_0000, 24),
    Cube::v4(0xc0a8_0000, 16),
    Cube::v4(0xc612_0000, 15),
    Cube::v4(0xe000_0000, 3),
    Cube::v4(0xa83f_8110, 32),
];

/// Private networks of IPv6, without those that embed private IPv4 and without the loopback.
const PRIVATE_V6: [Cube; 4] = [
    Cube::v6(0xfc << 120, 7),
    Cube::v6(0xfe80 << 112, 9),
    Cube::v6(0xff << 120, 8),
    Cube::v6(0x64_ff9b_0001 << 80, 48),
];

impl Slot {
    /// Returns the IPv6 addresses that have an address of an IPv4 network here.
    fn holding(self, network: Cube) -> Option<Cube> {
        let (value, mask) = network.low();
        let value = if self.inverted { !value & mask } else { value };
        let spread = |bits: u32| {
            let bytes = bits.to_be_bytes().into_iter().zip(self.bytes);
            bytes.fold(0, |all, (byte, at)| all | u128::from(byte) << (8 * (15 - at)))
        };
        Cube::new(spread(value), spread(mask)).and(self.with)
    }
}

impl Space {
    /// Returns the parts that all addresses of IPv6 are in, but for the mapped ones, the unspecified
    /// one and the loopback. All policies have the same parts.
    pub(super) fn all(nat64: &Nat64) -> Vec<Self> {
        let own = |(prefix, bytes): (Ipv6Net, [usize; 4])| Slot {
            with: Cube::v6(prefix.network().into(), prefix.prefix_len().into()),
            ..slot(bytes)
        };
        let own: Vec<Slot> = nat64.slots().map(own).collect();
        let space = |within, except: Vec<Cube>, slots: &[Slot]| {
            let slots = [slots, &own].concat();
            let mut space = Self { within, except, slots, private: PRIVATE_V6.to_vec() };
            let embedding: Vec<Cube> =
                PRIVATE_V4.iter().flat_map(|network| space.embedding(*network)).collect();
            space.private.extend(embedding);
            space
        };
        let of_prefixes =
            PREFIXES.into_iter().map(|(within, slots)| space(within, PLAIN.to_vec(), slots));
        let mut all: Vec<Self> = of_prefixes.collect();
        let except = PREFIXES.iter().map(|(prefix, _)| *prefix).chain([MAPPED]).collect();
        all.push(space(Cube::V6, except, ISATAP));
        all
    }

    /// Returns the addresses that embed one of an IPv4 network.
    pub(super) fn embedding(&self, network: Cube) -> impl Iterator<Item = Cube> {
        self.slots.iter().filter_map(move |slot| slot.holding(network))
    }

    /// Private space.
    pub(super) fn private(&self) -> &[Cube] {
        &self.private
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn any_v6() -> impl Strategy<Value = u128> {
        let prefixes: Vec<Cube> =
            PREFIXES.iter().map(|(prefix, _)| *prefix).chain([MAPPED, Cube::V6]).collect();
        let tail = prop_oneof![
            any::<u128>(),
            (0u128..3),
            any::<u64>().prop_map(|low| u128::from(low as u32) | 0x5efe << 32),
            (any::<u128>(), any::<u32>())
                .prop_map(|(high, low)| high << 64 | 0x0200_5efe << 32 | u128::from(low)),
        ];
        (prop::sample::select(prefixes), tail).prop_map(|(prefix, tail)| prefix.filled(tail))
    }

    /// Addresses at the edges of networks, and any others.
    fn any_v4() -> impl Strategy<Value = u32> {
        let edges: Vec<u32> = PRIVATE_V4
            .iter()
            .flat_map(|network| {
                let (value, mask) = network.low();
                let last = value | !mask;
                [value.wrapping_sub(1), value, last, last.wrapping_add(1)]
            })
            .collect();
        prop_oneof![prop::sample::select(edges), any::<u32>()]
    }

    proptest! {
        #[test]
        fn each_address_is_in_one_space_that_has_what_it_embeds(
            address in any_v6(),
            prefixes in prop::sample::subsequence(vec!["64:ff9b::/32", "2001:db8::/40", "2001:db8::/56", "fe80::/64", "::/96"], 0..3),
        ) {
            let prefixes: Vec<Ipv6Net> = prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect();
            let nat64 = Nat64::new(&prefixes);
            let one = Cube::one(address);
            let v6 = Ipv6Addr::from(address);
            let spaces = Space::all(&nat64);
            let is_in = |space: &&Space| {
                space.within.and(one).is_some() && !space.except.iter().any(|other| other.and(one).is_some())
            };
            let found: Vec<_> = spaces.iter().filter(is_in).collect();
            if address <= 1 || v6.to_ipv4_mapped().is_some() {
                prop_assert!(found.is_empty());
                return Ok(());
            }
            prop_assert_eq!(found.len(), 1);
            let inside: Vec<Ipv4Addr> = nat64.embedded(v6).collect();
            for v4 in &inside {
                let held = found[0].embedding(Cube::v4((*v4).into(), 32)).any(|cube| cube.and(one).is_some());
                prop_assert!(held, "{v6} holds {v4}");
            }
            for v4 in [0, 0x0a00_0001, address as u32, !(address as u32)] {
                let held = found[0].embedding(Cube::v4(v4, 32)).any(|cube| cube.and(one).is_some());
                prop_assert_eq!(held, inside.contains(&v4.into()), "{} and {}", v6, Ipv4Addr::from(v4));
            }
            let private = found[0].private().iter().any(|cube| cube.and(one).is_some());
            prop_assert_eq!(private, nat64.is_private(v6.into()), "{}", v6);
        }

        #[test]
        fn private_space_of_ipv4_is_the_same(address in any_v4()) {
            let one = Cube::v4(address, 32);
            let private = PRIVATE_V4.iter().any(|network| network.and(one).is_some());
            prop_assert_eq!(private, Nat64::default().is_private(IpAddr::V4(address.into())), "{}", Ipv4Addr::from(address));
        }
    }
}
