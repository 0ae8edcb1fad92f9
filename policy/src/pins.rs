//! Which addresses a name was looked up to: what a grant by name opens.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::address::canonical;
use crate::name::normalise_name;

/// The time that a pin lasts after its last use.
const LIFETIME: Duration = Duration::from_secs(5 * 60);
/// The most addresses of a name.
pub(super) const ADDRESSES: usize = 64;
/// The most other names that are kept of a name. The oldest are dropped.
const OTHERS: usize = 64;
/// The most names that are kept, because a guest with `*.example.com` could ask for any number.
const NAMES: usize = 1024;

/// The addresses that an instance's look-ups gave, each bound to the name that was asked for.
///
/// An address counts for five minutes after its last use. After that it is kept as expired, so that
/// a denial can ask the caller to look the name up once more.
#[derive(Debug)]
pub struct Pins {
    origin: Instant,
    names: HashMap<Box<str>, (Arc<Name>, Vec<IpAddr>)>,
    addresses: HashMap<IpAddr, Vec<Pin>>,
    /// How often an address was added or forgotten.
    changes: u64,
}

/// A name, shared by its pins.
#[derive(Debug)]
struct Name {
    text: Box<str>,
    used: AtomicU64,
    /// The other names that look-ups of it gave, for deny rules alone.
    others: Mutex<Arc<[Box<str>]>>,
}

/// One name of an address.
#[derive(Debug)]
pub(super) struct Pin {
    owner: Arc<Name>,
    /// Nanoseconds from the table's origin. A decision has the table only shared and still notes
    /// the use.
    used: AtomicU64,
}

impl Pin {
    pub(super) fn name(&self) -> &str {
        &self.owner.text
    }

    /// The other names of the name: for rules that deny.
    pub(super) fn others(&self) -> Arc<[Box<str>]> {
        Arc::clone(&self.owner.others.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Searches by the name, then by its other names.
    pub(super) fn any_name<R>(&self, find: impl Fn(&str) -> Option<R>) -> Option<R> {
        find(self.name()).or_else(|| self.others().iter().find_map(|other| find(other)))
    }
}

impl Pins {
    /// Returns whether no address is pinned.
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    /// How many addresses are pinned, fresh or not.
    pub fn count(&self) -> usize {
        self.addresses.len()
    }

    /// Returns a number that changes whenever an address is added or forgotten.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// When it was made.
    pub fn origin(&self) -> Instant {
        self.origin
    }

    /// An empty table. Times before `now` count as `now`.
    pub fn new(now: Instant) -> Self {
        Self { origin: now, names: HashMap::new(), addresses: HashMap::new(), changes: 0 }
    }

    fn age(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.origin).as_nanos()).unwrap_or(u64::MAX)
    }

    /// Pins the addresses that a look-up of `name` gave, after
    /// [`Policy::judge_answers`](super::Policy::judge_answers) judged them.
    ///
    /// Addresses of an earlier look-up stay until they expire; of more than 64, those used longest
    /// ago go. A text that is no host name pins nothing.
    pub fn pin(&mut self, name: &str, addresses: &[IpAddr], now: Instant) {
        let Ok(name) = normalise_name(name) else { return };
        let (owner, mut list) = self.names.remove(&*name).unwrap_or_else(|| {
            self.make_room();
            (
                Arc::new(Name {
                    text: (&*name).into(),
                    used: AtomicU64::new(0),
                    others: Mutex::default(),
                }),
                Vec::new(),
            )
        });
        let age = self.age(now);
        owner.used.fetch_max(age, Ordering::Relaxed);
        // An expired address that the new answer lacks no longer belongs to the name.
        list.retain(|address| {
            let keep = self.of(*address, &owner).is_some_and(|pin| self.is_fresh(pin, now));
            if !keep {
                self.forget(*address, &owner);
            }
            keep
        });
        for address in addresses.iter().copied().map(canonical).take(ADDRESSES) {
            match self.of(address, &owner) {
                Some(pin) => self.touch(pin, now),
                None => {
                    let pin = Pin { owner: Arc::clone(&owner), used: AtomicU64::new(age) };
                    self.addresses.entry(address).or_default().push(pin);
                    list.push(address);
                    self.changes += 1;
                }
            }
        }
        if let Some(excess) = list.len().checked_sub(ADDRESSES) {
            list.sort_by_cached_key(|address| {
                self.of(*address, &owner).map_or(0, |pin| pin.used.load(Ordering::Relaxed))
            });
            for address in list.drain(..excess) {
                self.forget(address, &owner);
            }
        }
        self.names.insert(name.into(), (owner, list));
    }

    /// Notes other names of a pinned name: canonical names and aliases. A rule that denies one of
    /// them holds for the name's addresses.
    pub fn note_others(&mut self, name: &str, others: &[String]) {
        let Ok(name) = normalise_name(name) else { return };
        let Some((owner, _)) = self.names.get(&*name) else { return };
        let mut known = owner.others.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<Box<str>> = known.to_vec();
        for other in others.iter().filter_map(|other| normalise_name(other).ok()) {
            if *other != *name && !all.iter().any(|known| **known == *other) {
                all.push((&*other).into());
            }
        }
        if all.len() > known.len() {
            let excess = all.len().saturating_sub(OTHERS);
            *known = all.split_off(excess).into();
            drop(known);
            self.changes += 1;
        }
    }

    /// Forgets the names about which `keep` says no. It gets the name and each of its other names.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        let gone: Vec<Box<str>> = self
            .names
            .values()
            .filter(|(owner, _)| {
                let others = owner.others.lock().unwrap_or_else(PoisonError::into_inner);
                !keep(&owner.text) && !others.iter().any(|other| keep(other))
            })
            .map(|(owner, _)| owner.text.clone())
            .collect();
        for name in gone {
            if let Some((owner, list)) = self.names.remove(&name) {
                list.into_iter().for_each(|address| self.forget(address, &owner));
            }
        }
    }

    /// The fresh addresses of a name, for a caller that lists them.
    pub fn addresses(&self, name: &str, now: Instant) -> Vec<IpAddr> {
        let Ok(name) = normalise_name(name) else { return Vec::new() };
        let Some((owner, list)) = self.names.get(&*name) else { return Vec::new() };
        let fresh =
            |address: &IpAddr| self.of(*address, owner).is_some_and(|pin| self.is_fresh(pin, now));
        list.iter().copied().filter(fresh).collect()
    }

    /// The names of a canonical address, expired ones too.
    pub(super) fn at(&self, address: IpAddr) -> &[Pin] {
        self.addresses.get(&address).map_or(&[], Vec::as_slice)
    }

    /// Every pinned address with its names, expired ones too.
    pub(super) fn all(&self) -> impl Iterator<Item = (IpAddr, &[Pin])> {
        self.addresses.iter().map(|(address, pins)| (*address, pins.as_slice()))
    }

    /// The last instant at which a pin counts, if it is not used again.
    pub(super) fn expiry(&self, pin: &Pin) -> Instant {
        self.origin + Duration::from_nanos(pin.used.load(Ordering::Relaxed)) + LIFETIME
    }

    fn of(&self, address: IpAddr, owner: &Arc<Name>) -> Option<&Pin> {
        self.at(address).iter().find(|pin| Arc::ptr_eq(&pin.owner, owner))
    }

    pub(super) fn is_fresh(&self, pin: &Pin, now: Instant) -> bool {
        let lifetime = u64::try_from(LIFETIME.as_nanos()).unwrap_or(u64::MAX);
        self.age(now) <= pin.used.load(Ordering::Relaxed).saturating_add(lifetime)
    }

    pub(super) fn touch(&self, pin: &Pin, now: Instant) {
        let age = self.age(now);
        pin.used.fetch_max(age, Ordering::Relaxed);
        pin.owner.used.fetch_max(age, Ordering::Relaxed);
    }

    fn forget(&mut self, address: IpAddr, owner: &Arc<Name>) {
        self.changes += 1;
        if let Some(pins) = self.addresses.get_mut(&address) {
            pins.retain(|pin| !Arc::ptr_eq(&pin.owner, owner));
            if pins.is_empty() {
                self.addresses.remove(&address);
            }
        }
    }

    /// Drops the least recently used name if the table is full.
    fn make_room(&mut self) {
        while self.names.len() >= NAMES {
            let oldest = self
                .names
                .values()
                .map(|(owner, _)| owner)
                .min_by_key(|owner| owner.used.load(Ordering::Relaxed));
            let Some(owner) = oldest.map(Arc::clone) else { return };
            for address in self.names.remove(&owner.text).map(|(_, list)| list).unwrap_or_default()
            {
                self.forget(address, &owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn v4(n: u8) -> IpAddr {
        IpAddr::from([203, 0, 113, n])
    }

    #[test]
    fn pin_expires_five_minutes_after_its_last_use() {
        let start = Instant::now();
        let mut pins = Pins::new(start);
        pins.pin("db.example", &[v4(1)], start);
        assert_eq!(pins.addresses("db.example", start + 5 * MINUTE), [v4(1)]);
        pins.touch(&pins.at(v4(1))[0], start + 4 * MINUTE);
        assert_eq!(pins.addresses("db.example", start + 9 * MINUTE), [v4(1)]);
        let late = start + 9 * MINUTE + Duration::from_nanos(1);
        assert!(pins.addresses("db.example", late).is_empty());
        assert!(!pins.is_fresh(&pins.at(v4(1))[0], late));
    }

    #[test]
    fn pin_again_keeps_the_fresh_and_drops_the_expired() {
        let start = Instant::now();
        let mut pins = Pins::new(start);
        pins.pin("db.example", &[v4(1), v4(2)], start);
        pins.pin("db.example", &[v4(2), v4(3)], start + 3 * MINUTE);
        assert_eq!(pins.addresses("db.example", start + 3 * MINUTE).len(), 3);
        pins.pin("db.example", &[v4(4)], start + 7 * MINUTE);
        assert!(pins.at(v4(1)).is_empty());
        let mut left = pins.addresses("db.example", start + 7 * MINUTE);
        left.sort();
        assert_eq!(left, [v4(2), v4(3), v4(4)]);
    }

    #[test]
    fn pin_more_than_64_addresses_drops_the_oldest() {
        let start = Instant::now();
        let mut pins = Pins::new(start);
        pins.pin("a.example", &(0..64).map(v4).collect::<Vec<_>>(), start);
        pins.touch(&pins.at(v4(0))[0], start + MINUTE);
        pins.pin("a.example", &[v4(200)], start + MINUTE);
        let now = pins.addresses("a.example", start + MINUTE);
        assert_eq!(now.len(), 64);
        assert!(now.contains(&v4(0)) && now.contains(&v4(200)) && !now.contains(&v4(1)));
        pins.pin("b.example", &(0..=255).map(v4).collect::<Vec<_>>(), start);
        assert_eq!(pins.addresses("b.example", start).len(), 64);
    }

    #[test]
    fn pin_of_one_name_is_not_anothers() {
        let start = Instant::now();
        let mut pins = Pins::new(start);
        pins.pin("a.example", &[v4(1)], start);
        pins.pin("b.example", &[v4(1)], start);
        assert_eq!(pins.at(v4(1)).len(), 2);
        pins.pin("a.example", &[v4(2)], start + 6 * MINUTE);
        assert_eq!(pins.at(v4(1)).iter().map(Pin::name).collect::<Vec<_>>(), ["b.example"]);
    }

    #[test]
    fn pin_matches_mapped_addresses_and_any_spelling_of_the_name() {
        let start = Instant::now();
        let mut pins = Pins::new(start);
        pins.pin("Bücher.Example.", &[ip("::ffff:203.0.113.9")], start);
        assert_eq!(pins.addresses("xn--bcher-kva.example", start), [v4(9)]);
        pins.pin("no name at all", &[v4(1)], start);
        assert!(pins.at(v4(1)).is_empty());
    }

    #[test]
    fn pins_of_names_that_are_not_kept_are_gone() {
        let start = Instant::now();
        let mut pins = Pins::new(start);
        pins.pin("a.example", &[v4(1)], start);
        pins.pin("b.example", &[v4(1), v4(2)], start);
        pins.pin("c.example", &[v4(3)], start);
        pins.note_others("c.example", &["a.example".to_owned()]);
        pins.retain(|name| name == "a.example");
        assert_eq!(pins.at(v4(1)).iter().map(Pin::name).collect::<Vec<_>>(), ["a.example"]);
        assert!(pins.at(v4(2)).is_empty() && pins.addresses("b.example", start).is_empty());
        assert_eq!(pins.addresses("c.example", start), [v4(3)]);
        assert_eq!(pins.count(), 2);
    }

    #[test]
    fn pin_too_many_names_drops_the_one_used_longest_ago() {
        let start = Instant::now();
        let mut pins = Pins::new(start);
        for n in 0..NAMES + 10 {
            pins.pin(
                &format!("n{n}.example"),
                &[v4(1), v4(2)],
                start + Duration::from_millis(n as u64),
            );
        }
        let now = start + MINUTE;
        assert_eq!(pins.names.len(), NAMES);
        assert_eq!(pins.at(v4(1)).len(), NAMES);
        assert!(pins.addresses("n0.example", now).is_empty());
        assert!(!pins.addresses("n10.example", now).is_empty());
    }
}
