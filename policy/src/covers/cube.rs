//! Sets of addresses as bits: which are fixed and which are free.
//!
//! A network fixes the first bits. The IPv6 addresses that embed one of a network of IPv4 fix bits
//! in the middle too. Both are cubes, and so one search finds an address in some and outside of
//! others.

use crate::covers::Undecided;

/// The bits of an address of IPv4 stand at the end, behind zeros.
const WIDTH_V4: u32 = 32;

/// Addresses that have the bits of `value` where `mask` has ones. Elsewhere they have any bits, and
/// `value` has zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Cube {
    value: u128,
    mask: u128,
}

impl Cube {
    /// Every address of IPv6.
    pub(crate) const V6: Self = Self { value: 0, mask: 0 };
    /// Every address of IPv4.
    pub(crate) const V4: Self = Self { value: 0, mask: u128::MAX << WIDTH_V4 };

    pub(crate) const fn new(value: u128, mask: u128) -> Self {
        Self { value: value & mask, mask }
    }

    /// The addresses of IPv6 that begin with the first `length` bits of `value`.
    pub(crate) const fn v6(value: u128, length: u32) -> Self {
        let mask = match u128::MAX.checked_shl(128 - length) {
            Some(mask) => mask,
            None => 0,
        };
        Self::new(value, mask)
    }

    /// The addresses of IPv4 that begin with the first `length` bits of `value`.
    pub(crate) const fn v4(value: u32, length: u32) -> Self {
        Self::v6(value as u128, 128 - WIDTH_V4 + length)
    }

    /// The fewest cubes that make up the addresses from `low` to `high`, of the version that `whole`
    /// is all of.
    pub(crate) fn of_range(whole: Self, low: u128, high: u128) -> Vec<Self> {
        let mut cubes = Vec::new();
        let mut next = Some(low);
        while let Some(low) = next.filter(|low| *low <= high) {
            // The largest network that begins here and ends in the range.
            let aligned = low.trailing_zeros().min(whole.mask.count_zeros());
            let fitting = match (high - low).checked_add(1) {
                Some(size) => size.ilog2(),
                None => 128,
            };
            let free = aligned.min(fitting);
            let cube = Self::v6(low, 128 - free);
            cubes.push(cube);
            next = (cube.value | !cube.mask).checked_add(1);
        }
        cubes
    }

    /// One address.
    pub(crate) const fn one(value: u128) -> Self {
        Self { value, mask: u128::MAX }
    }

    /// The bits of the IPv4 network that this is, and which of them are fixed.
    pub(crate) const fn low(self) -> (u32, u32) {
        (self.value as u32, self.mask as u32)
    }

    /// The addresses in both. None if there are none.
    pub(crate) fn and(self, other: Self) -> Option<Self> {
        let meet = (self.value ^ other.value) & self.mask & other.mask == 0;
        meet.then_some(Self { value: self.value | other.value, mask: self.mask | other.mask })
    }

    /// Returns whether all addresses of `other` are in it.
    pub(crate) fn holds(self, other: Self) -> bool {
        self.mask & !other.mask == 0 && (self.value ^ other.value) & self.mask == 0
    }

    /// Its addresses with one more bit fixed.
    fn with(self, bit: u128, set: bool) -> Self {
        Self { value: self.value | if set { bit } else { 0 }, mask: self.mask | bit }
    }

    /// An address of it: `like` where the bits are free.
    pub(crate) fn filled(self, like: u128) -> u128 {
        self.value | (like & !self.mask)
    }
}

/// A search for addresses, with a bound on its work.
#[derive(Debug)]
pub(crate) struct Search {
    steps: u32,
}

impl Search {
    /// Some seconds of work.
    const STEPS: u32 = 50_000_000;

    pub(crate) fn new() -> Self {
        Self { steps: Self::STEPS }
    }

    pub(crate) fn step(&mut self, by: usize) -> Result<(), Undecided> {
        let by = u32::try_from(by).unwrap_or(u32::MAX);
        self.steps = self.steps.checked_sub(by).ok_or(Undecided::TooLarge)?;
        Ok(())
    }

    /// Returns an address of `cube` that is in none of the others: one like `like`, if that is
    /// possible.
    ///
    /// # Errors
    ///
    /// The search takes too long.
    pub(crate) fn outside(
        &mut self,
        cube: Cube,
        others: &[Cube],
        like: u128,
    ) -> Result<Option<u128>, Undecided> {
        self.step(others.len() + 1)?;
        let mut near: Vec<Cube> =
            others.iter().filter(|other| other.and(cube).is_some()).copied().collect();
        if near.iter().any(|other| other.holds(cube)) {
            return Ok(None);
        }
        // Large ones first: they leave the least.
        near.sort_unstable_by_key(|other| (other.mask.count_ones(), other.value));
        near.dedup();
        self.escape(cube, &near, like)
    }

    fn escape(
        &mut self,
        cube: Cube,
        others: &[Cube],
        like: u128,
    ) -> Result<Option<u128>, Undecided> {
        let Some(at) = others.iter().position(|other| other.and(cube).is_some()) else {
            self.step(others.len() + 1)?;
            return Ok(Some(cube.filled(like)));
        };
        self.step(at + 1)?;
        let (other, rest) = (others[at], &others[at + 1..]);
        // What is left of the cube is in pieces: each has one more bit as the other does not have
        // it, and the bits before as the other has them. The pieces that `like` is in come first.
        let free = other.mask & !cube.mask;
        let unlike = (like ^ other.value) & free;
        let mut left = cube;
        for bits in [unlike, free & !unlike] {
            let mut bits = bits;
            while bits != 0 {
                // The last bit is the one that changes the address least.
                let bit = 1 << bits.trailing_zeros();
                bits &= !bit;
                let has = other.value & bit != 0;
                if let Some(found) = self.escape(left.with(bit, !has), rest, like)? {
                    return Ok(Some(found));
                }
                left = left.with(bit, has);
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Cubes of eight bits, so that all addresses can be tried.
    fn cube() -> impl Strategy<Value = Cube> {
        (any::<u8>(), any::<u8>(), any::<u8>())
            .prop_map(|(value, a, b)| Cube::new(value.into(), (a & b) as u128 | !0xff))
    }

    fn has(cube: Cube, address: u128) -> bool {
        (cube.value ^ address) & cube.mask == 0
    }

    proptest! {
        #[test]
        fn an_address_is_found_if_there_is_one(of in cube(), others in prop::collection::vec(cube(), 0..12), like: u8) {
            let found = Search::new().outside(of, &others, like.into()).unwrap();
            let right = |address: u128| has(of, address) && !others.iter().any(|other| has(*other, address));
            match found {
                Some(address) => prop_assert!(right(address)),
                None => prop_assert!(!(0..=0xff).any(right)),
            }
            if right(like.into()) {
                prop_assert_eq!(found, Some(like.into()));
            }
        }

        #[test]
        fn what_two_have_in_common_is_a_cube(a in cube(), b in cube()) {
            let both = a.and(b);
            for address in 0..=0xff {
                prop_assert_eq!(both.is_some_and(|both| has(both, address)), has(a, address) && has(b, address));
            }
            prop_assert_eq!(a.holds(b), (0..=0xff).all(|address| has(a, address) || !has(b, address)));
        }
    }

    #[test]
    fn networks_are_cubes() {
        assert_eq!(Cube::v6(0, 0), Cube::V6);
        assert_eq!(Cube::v4(0, 0), Cube::V4);
        assert_eq!(Cube::v4(0x0a00_0000, 8).low(), (0x0a00_0000, 0xff00_0000));
        assert_eq!(Cube::v6(1, 128), Cube::one(1));
    }

    #[test]
    fn a_search_that_takes_too_long_ends() {
        // Every second address of many is taken away.
        let odd = |bit: u32| Cube::new(1 << bit | 1, (1 << bit) | 1);
        let others: Vec<Cube> = (1..100).map(odd).collect();
        let mut search = Search { steps: 50 };
        assert!(search.outside(Cube::V6, &others, 1).is_err());
    }
}
