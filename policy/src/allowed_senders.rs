//! The senders that a policy allows, and the kernel's programs that drop the others.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use crate::address::canonical;
use crate::index::{Endpoints, Ports};
use crate::pins::{Pin, Pins};
use crate::policy::Policy;
use crate::program::{Layout, Program};
use crate::sender_cache::{Known, SenderRules, Standing};
use crate::senders::{Carried, PortSet, Senders, Span};
use crate::{program, senders};

impl Policy {
    fn sender_rules(&self, carried: Carried) -> SenderRules<'_> {
        match carried {
            Carried::Udp => SenderRules {
                allow: vec![
                    (&self.allow.udp_receive, None),
                    (&self.allow.udp_send, Some(&self.deny.udp_send)),
                ],
                deny: &self.deny.udp_receive,
            },
            Carried::Packets(_) => SenderRules {
                allow: vec![(&self.allow.raw.packets, None)],
                deny: &self.deny.raw.packets,
            },
        }
    }

    /// Returns whether some sender is not allowed, whatever is pinned.
    pub fn restricts_senders(&self, carried: Carried) -> bool {
        if self.restrictions.iter().any(|kept| kept.restricts_senders(carried)) {
            return true;
        }
        // The common answers need no lock.
        let rules = self.sender_rules(carried);
        if self.everything {
            !rules.deny.is_empty()
        } else {
            self.known(carried).restricted || !rules.deny.is_empty()
        }
    }

    /// Returns whether the pins change which senders are allowed.
    pub fn names_senders(&self, carried: Carried) -> bool {
        self.sender_rules(carried).all().any(|rules| !rules.names.is_empty())
    }

    fn known(&self, carried: Carried) -> Arc<Known> {
        let find = || Arc::new(Known::new(self.find_senders(carried)));
        match carried {
            Carried::Udp => Arc::clone(self.senders.udp.get_or_init(find)),
            Carried::Packets(protocol) => {
                let mut known = self.senders.packets.lock().unwrap_or_else(PoisonError::into_inner);
                Arc::clone(known.entry(protocol).or_insert_with(find))
            }
        }
    }

    /// Returns the senders that are allowed without any pin, in at most the spans that a program
    /// has room for.
    pub fn senders(&self, carried: Carried) -> Arc<Senders> {
        Arc::clone(&self.known(carried).senders)
    }

    /// Returns the program that admits the senders which are allowed without any pin.
    pub fn sender_program(&self, carried: Carried, layout: Layout) -> Arc<Program> {
        let known = self.known(carried);
        let mut programs = known.programs.lock().unwrap_or_else(PoisonError::into_inner);
        let program = programs
            .entry(layout)
            .or_insert_with(|| Arc::new(program::fitted(&known.senders, layout)));
        Arc::clone(program)
    }

    /// Returns the senders that are allowed with these pins, and until when, because pins expire.
    pub fn senders_pinned(
        &self,
        carried: Carried,
        pins: &Pins,
        now: Instant,
    ) -> (Senders, Option<Instant>) {
        let rules = self.sender_rules(carried);
        let mut until: Option<Instant> = None;
        let mut overrides = BTreeMap::new();
        for (address, list) in pins.all() {
            let known = |name: &str| {
                rules.all().any(|rules| rules.names.all(name).next().is_some()).then_some(())
            };
            let named = |pin: &Pin| pin.any_name(known).is_some();
            if !list.iter().any(named) {
                continue;
            }
            let fresh = list.iter().filter(|pin| pins.is_fresh(pin, now));
            until = fresh.map(|pin| pins.expiry(pin)).chain(until).min();
            let names = list.iter().map(|pin| {
                (
                    pin.name(),
                    if pins.is_fresh(pin, now) { Standing::Fresh } else { Standing::Expired },
                )
            });
            // Like an expired name, the other names of a name count for rules that deny.
            let others: Vec<_> = list.iter().map(Pin::others).collect();
            let others = others
                .iter()
                .flat_map(|others| others.iter().map(|other| (&**other, Standing::Expired)));
            let names: Vec<_> = names.chain(others).chain(self.fixed_standings(address)).collect();
            overrides.insert(address, self.ports_at(carried, &rules, address, &names, true));
        }
        (self.senders(carried).overlaid(&overrides), until)
    }

    /// Returns the senders that names may allow, wherever the names lead. This is for a filter that
    /// does not follow the pins.
    pub fn senders_of_any_name(&self, carried: Carried) -> Senders {
        let rules = self.sender_rules(carried);
        let named = PortSet::of(rules.allow.iter().flat_map(|(allow, _)| allow.names.ports()));
        (*self.senders(carried)).clone().with_ports_everywhere(&carried.ports(named))
    }

    fn fixed_standings(&self, address: IpAddr) -> impl Iterator<Item = (&str, Standing)> {
        self.fixed_names(address).iter().map(|name| (&**name, Standing::Fixed))
    }

    fn find_senders(&self, carried: Carried) -> Senders {
        let rules = self.sender_rules(carried);
        let fixed: Vec<IpAddr> = self.fixed_addresses().map(canonical).collect();
        let spans = |v6: bool| {
            let last = if v6 { u128::MAX } else { u32::MAX.into() };
            let singles = fixed
                .iter()
                .filter(|address| address.is_ipv6() == v6)
                .map(|address| senders::bits(*address));
            let mut starts: Vec<u128> = rules.all().flat_map(|rules| rules.starts(v6)).collect();
            starts.extend(singles.flat_map(|at| [Some(at), at.checked_add(1)]).flatten());
            starts.retain(|start| *start > 0 && *start <= last);
            starts.sort_unstable();
            starts.dedup();
            let highs = starts.iter().map(|start| start - 1).chain([last]);
            let mut low = 0;
            let mut spans: Vec<Span> = highs
                .map(|high| {
                    let first = senders::address(low, v6);
                    let names: Vec<_> = self.fixed_standings(first).collect();
                    let ports = self.ports_at(carried, &rules, first, &names, low == high);
                    low = high.wrapping_add(1);
                    Span { high, ports }
                })
                .collect();
            senders::merge(&mut spans);
            spans
        };
        // A rule that denies IPv4 addresses also denies the IPv6 addresses that hold one, which are
        // no spans.
        let exact_v6 =
            !rules.denying().any(Endpoints::has_v4) && !rules.all().any(Endpoints::is_by_reach);
        Senders { v4: spans(false), v6: spans(true), exact_v4: true, exact_v6 }
    }

    /// Returns the allowed ports of an address with these names. `single` means that the address
    /// stands for itself and not for a span.
    fn ports_at(
        &self,
        carried: Carried,
        rules: &SenderRules<'_>,
        address: IpAddr,
        names: &[(&str, Standing)],
        single: bool,
    ) -> PortSet {
        let private = self.is_private(address);
        // A span stands for many addresses, of which a set may hold some alone.
        let about = |rules: &Endpoints| -> Vec<Ports> {
            if single { rules.all_at(address).collect() } else { rules.all_from(address).collect() }
        };
        let allowed = |rules: &Endpoints| {
            let counts = |standing: Standing| match standing {
                Standing::Fixed => true,
                // A name alone does not open a private address.
                Standing::Fresh => !private,
                Standing::Expired => false,
            };
            let named = names
                .iter()
                .filter(|(_, standing)| counts(*standing))
                .flat_map(|(name, _)| rules.names.all(name));
            PortSet::of(about(rules).into_iter().chain(named))
        };
        let denied = |rules: &Endpoints| {
            let inside = match address {
                IpAddr::V6(v6) if single => Some(v6),
                IpAddr::V4(_) | IpAddr::V6(_) => None,
            };
            let inside = inside.into_iter().flat_map(|v6| rules.embedded(v6));
            let inside = inside.flat_map(|v4| rules.all_at(v4.into()));
            let named = names.iter().flat_map(|(name, _)| rules.names.all(name));
            PortSet::of(about(rules).into_iter().chain(inside).chain(named))
        };
        let mut ports = if self.everything { PortSet::all() } else { PortSet::default() };
        for (allow, deny) in &rules.allow {
            let granted = allowed(allow);
            let granted =
                deny.map_or_else(|| granted.clone(), |deny| granted.without(&denied(deny)));
            ports = ports.union(&granted);
        }
        carried.ports(ports.without(&denied(rules.deny)))
    }
}
