//! The acts at addresses: whether one policy allows an address, a port and names that another does
//! not.
//!
//! The ports are split where a rule begins or ends. In each part the rules about addresses are
//! cubes, and the search for an address in some of them and outside of others is exact. Names are
//! symbols: see [`super::names`]. Addresses that stand for others or have fixed names are tried one
//! by one.

use std::collections::{BTreeSet, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::covers::cube::{Cube, Search};
use crate::covers::forms::{PRIVATE_V4, Space};
use crate::covers::{Compared, Excess, Found, Names, Undecided};
use crate::endpoints::{LocalAddress, LocalIndex};
use crate::index::Endpoints;
use crate::policy::Policy;
use crate::sets::Addresses;
use crate::verbs::{Request, Rules, Verb};

/// The port of an act, and whether the kernel chose it after the guest had asked for port 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Port {
    pub(crate) number: u16,
    pub(crate) kernel_chosen: bool,
}

/// Rules about addresses and names.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part<'p> {
    /// Those that hold a port.
    At(&'p Endpoints, u16),
    /// Those of any port. They don't hold for the other names of a name.
    Anywhere(&'p Endpoints),
    /// A rule about everything.
    Whole,
}

/// The rules that decide on an act at a port.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deciding<'p> {
    /// Each part allows, except for what the parts beside it deny.
    pub(crate) allow: Vec<(Vec<Part<'p>>, Vec<Part<'p>>)>,
    /// What denies, whatever allows.
    pub(crate) deny: Vec<Part<'p>>,
}

/// What a verb asks of its addresses.
pub(crate) struct AddressVerb<'p, R, Q> {
    /// The rules that decide, of both policies, for the ports where they begin and end.
    pub(crate) ports_of: Vec<&'p Endpoints>,
    /// Ports beside those of the rules.
    pub(crate) more_ports: &'static [u16],
    /// Whether the kernel may choose the port.
    pub(crate) binds: bool,
    /// Returns a policy's rules that decide at a port.
    pub(crate) rules: R,
    /// Makes the requests at an address and a port.
    pub(crate) requests: Q,
    /// The verbs whose terms are about the acts.
    pub(crate) terms_of: &'static [Verb],
}

impl<'p> Part<'p> {
    /// Returns whether it holds a name.
    fn has(self, name: &str) -> bool {
        match self {
            Self::At(rules, port) => rules.names.find(name, port).is_some(),
            Self::Anywhere(rules) => rules.names.all(name).next().is_some(),
            // It needs no name.
            Self::Whole => false,
        }
    }

    /// Returns whether it denies by one of the names.
    fn touches(self, names: Names<'_>) -> bool {
        let alias = names.alias.filter(|_| matches!(self, Self::At(..)));
        names.looked_up().chain(alias).any(|name| self.has(name))
    }

    /// Returns the networks of one IP version that it holds by themselves.
    fn networks(self, v6: bool) -> Vec<Cube> {
        let (rules, port) = match self {
            Self::At(rules, port) => (rules, Some(port)),
            Self::Anywhere(rules) => (rules, None),
            Self::Whole => return vec![whole(v6)],
        };
        let cube = |(low, length): (u128, u8)| match v6 {
            true => Cube::v6(low, length.into()),
            false => Cube::v4(low as u32, length.into()),
        };
        rules.networks(v6, port).map(cube).collect()
    }

    /// Returns the sets that it holds.
    fn sets(self) -> impl Iterator<Item = &'p Addresses> {
        let (rules, port) = match self {
            Self::At(rules, port) => (Some(rules), Some(port)),
            Self::Anywhere(rules) => (Some(rules), None),
            Self::Whole => (None, None),
        };
        rules.into_iter().flat_map(move |rules| rules.sets(port))
    }

    /// Returns the addresses of one IP version that it denies, without those that embed IPv4.
    fn denied(self, v6: bool) -> Vec<Cube> {
        let sets = self.sets().flat_map(|set| ranges(set, v6));
        self.networks(v6).into_iter().chain(sets).collect()
    }
}

/// Returns all addresses of an IP version.
fn whole(v6: bool) -> Cube {
    if v6 { Cube::V6 } else { Cube::V4 }
}

/// Returns the ranges of a set.
fn ranges(set: &Addresses, v6: bool) -> Vec<Cube> {
    let ranges = set.ranges(v6).iter();
    ranges.flat_map(|(low, high)| Cube::of_range(whole(v6), *low, *high)).collect()
}

/// Returns the IPv4 addresses that are not in a set.
fn missing_v4(set: &Addresses) -> Vec<Cube> {
    let mut missing = Vec::new();
    let mut next = 0;
    for (low, high) in set.ranges(false) {
        if *low > next {
            missing.extend(Cube::of_range(Cube::V4, next, low - 1));
        }
        next = high + 1;
    }
    if next <= u32::MAX.into() {
        missing.extend(Cube::of_range(Cube::V4, next, u32::MAX.into()));
    }
    missing
}

/// What a policy does with the addresses of one IP version that have certain names.
struct Decided {
    /// Each part allows its first list, except for its second one.
    allow: Vec<(Vec<Cube>, Vec<Cube>)>,
    deny: Vec<Cube>,
}

/// The addresses that are looked at in one search, as a policy knows them.
struct Where<'a> {
    v6: bool,
    /// None for IPv4.
    space: Option<&'a Space>,
}

impl<'a> Where<'a> {
    /// Returns the parts that all addresses are in.
    fn all(spaces: &'a [Space]) -> Vec<Self> {
        let v6 = spaces.iter().map(|space| Self { v6: true, space: Some(space) });
        std::iter::once(Self { v6: false, space: None }).chain(v6).collect()
    }

    fn within(&self) -> Cube {
        self.space.map_or(Cube::V4, |space| space.within)
    }

    fn private(&self) -> &'a [Cube] {
        self.space.map_or(&PRIVATE_V4, |space| space.private())
    }

    /// Returns the addresses that embed IPv4 addresses.
    fn embedding(&self, networks: Vec<Cube>) -> Vec<Cube> {
        let space = self.space.into_iter();
        space.flat_map(|space| networks.iter().flat_map(|one| space.embedding(*one))).collect()
    }

    /// Returns the addresses that rules which deny hold: the IPv6 addresses that embed IPv4 too.
    fn touched(&self, part: Part<'_>) -> Vec<Cube> {
        let mut cubes = part.denied(self.v6);
        cubes.extend(self.embedding(part.denied(false)));
        cubes
    }

    /// Returns what a policy decides for addresses with these names. None if it denies them all.
    fn decided(&self, rules: &Deciding<'_>, names: Names<'_>) -> Option<Decided> {
        if rules.deny.iter().any(|part| part.touches(names)) {
            return None;
        }
        let touched =
            |parts: &[Part<'_>]| parts.iter().flat_map(|part| self.touched(*part)).collect();
        let mut allow: Vec<(Vec<Cube>, Vec<Cube>)> = Vec::new();
        for (parts, except) in &rules.allow {
            if except.iter().any(|part| part.touches(names)) {
                continue;
            }
            let except: Vec<Cube> = touched(except);
            let networks = parts.iter().flat_map(|part| part.networks(self.v6)).collect();
            for set in parts.iter().flat_map(|part| part.sets()) {
                // An IPv6 address is public if the IPv4 addresses in it are.
                let unreached = if set.is_by_reach() { missing_v4(set) } else { Vec::new() };
                let except = [&except[..], &self.embedding(unreached)].concat();
                allow.push((ranges(set, self.v6), except));
            }
            let by_name = |part: &Part<'_>| names.looked_up().any(|name| part.has(name));
            if parts.iter().any(by_name) {
                // A name alone opens no private address.
                let except = [&except[..], self.private()].concat();
                allow.push((vec![self.within()], except));
            }
            allow.push((networks, except));
        }
        Some(Decided { allow, deny: touched(&rules.deny) })
    }

    /// Returns an address that the left policy allows and the right one does not. `apart` are
    /// addresses to leave out.
    fn uncovered(
        &self,
        search: &mut Search,
        left: &Decided,
        right: Option<&Decided>,
        apart: &[Cube],
    ) -> Found<IpAddr> {
        let mut apart = [apart, &left.deny].concat();
        apart.extend(self.space.iter().flat_map(|space| &space.except));
        for (networks, except) in &left.allow {
            let apart = [&apart[..], except].concat();
            for network in networks.iter().filter_map(|network| network.and(self.within())) {
                let found = match right {
                    None => search.outside(network, &apart, self.like())?,
                    Some(right) => self.not_allowed(search, network, &apart, right)?,
                };
                if let Some(bits) = found {
                    return Ok(Some(self.address(bits)));
                }
            }
        }
        Ok(None)
    }

    /// Returns an address of each part that the left policy does not deny, and in which no rule about
    /// addresses makes a difference: each network without those inside, in and outside of each set.
    fn samples(
        &self,
        search: &mut Search,
        [left, right]: [&Deciding<'_>; 2],
    ) -> Result<Vec<IpAddr>, Undecided> {
        let mut apart: Vec<Cube> = left.deny.iter().flat_map(|part| self.touched(*part)).collect();
        apart.extend(self.space.iter().flat_map(|space| &space.except));
        let mut networks = vec![self.within()];
        let mut sets: Vec<Vec<Cube>> = vec![self.private().to_vec()];
        for (parts, except) in left.allow.iter().chain(&right.allow) {
            networks.extend(parts.iter().flat_map(|part| part.networks(self.v6)));
            sets.push(except.iter().flat_map(|part| self.touched(*part)).collect());
            for set in parts.iter().flat_map(|part| part.sets()) {
                sets.push(ranges(set, self.v6));
                if set.is_by_reach() {
                    sets.push(self.embedding(missing_v4(set)));
                }
            }
        }
        let mut known = HashSet::new();
        let within = networks.iter().filter_map(|cube| cube.and(self.within()));
        let networks: Vec<Cube> = within.filter(|cube| known.insert(*cube)).collect();
        let mut known = HashSet::new();
        sets.retain(|set| !set.is_empty() && known.insert(set.clone()));
        let mut samples = Vec::new();
        for network in &networks {
            let is_inside = |other: &&Cube| *other != network && network.holds(**other);
            let inner: Vec<Cube> = networks.iter().filter(is_inside).copied().collect();
            let mut apart = [&apart[..], &inner].concat();
            self.sample_sets(search, &sets, vec![*network], &mut apart, &mut samples)?;
        }
        Ok(samples)
    }

    /// Adds an address of each part of some cubes, in and outside of each set, that is in none of
    /// `apart`.
    fn sample_sets(
        &self,
        search: &mut Search,
        sets: &[Vec<Cube>],
        cubes: Vec<Cube>,
        apart: &mut Vec<Cube>,
        samples: &mut Vec<IpAddr>,
    ) -> Result<(), Undecided> {
        let Some((set, rest)) = sets.split_first() else {
            for cube in cubes {
                if let Some(bits) = search.outside(cube, apart, self.like())? {
                    samples.push(self.address(bits));
                    break;
                }
            }
            return Ok(());
        };
        search.step(cubes.len() * set.len())?;
        let meets = cubes.iter().flat_map(|cube| set.iter().filter_map(|other| other.and(*cube)));
        let inside: Vec<Cube> = meets.collect();
        let length = apart.len();
        if !inside.is_empty() {
            self.sample_sets(search, rest, inside, apart, samples)?;
            apart.extend(set);
        }
        self.sample_sets(search, rest, cubes, apart, samples)?;
        apart.truncate(length);
        Ok(())
    }

    /// Returns the address with these bits.
    fn address(&self, bits: u128) -> IpAddr {
        match self.v6 {
            true => Ipv6Addr::from(bits).into(),
            false => Ipv4Addr::from(bits as u32).into(),
        }
    }

    /// Returns an address of a network that a policy does not allow.
    fn not_allowed(
        &self,
        search: &mut Search,
        network: Cube,
        apart: &[Cube],
        right: &Decided,
    ) -> Found<u128> {
        for deny in right.deny.iter().filter_map(|deny| deny.and(network)) {
            let found = search.outside(deny, apart, self.like())?;
            if found.is_some() {
                return Ok(found);
            }
        }
        self.outside_all(search, network, apart.to_vec(), &right.allow)
    }

    /// Returns an address that is in no list of those that allow, or in the list beside.
    fn outside_all(
        &self,
        search: &mut Search,
        network: Cube,
        apart: Vec<Cube>,
        allow: &[(Vec<Cube>, Vec<Cube>)],
    ) -> Found<u128> {
        let Some(((networks, except), rest)) = allow.split_first() else {
            return search.outside(network, &apart, self.like());
        };
        let beside = [&apart[..], networks].concat();
        let found = self.outside_all(search, network, beside, rest)?;
        if found.is_some() {
            return Ok(found);
        }
        for cube in except.iter().filter_map(|cube| cube.and(network)) {
            let found = self.outside_all(search, cube, apart.clone(), rest)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// An address that readers know: those of documentation (RFC 5737, RFC 3849).
    fn like(&self) -> u128 {
        match self.v6 {
            true => 0x2001_0db8 << 96 | 1,
            false => 0xcb00_7101,
        }
    }
}

impl<'p, R, Q> AddressVerb<'p, R, Q>
where
    R: Fn(&'p Policy, Port) -> Deciding<'p>,
    Q: Fn(IpAddr, Port) -> Vec<Request<'static>>,
{
    /// Returns an act that the left policy allows and the right one does not.
    pub(crate) fn excess(&self, compared: &Compared<'p>) -> Found<Excess> {
        let spaces = compared.policies().map(|policy| Space::all(&policy.nat64));
        let [places, others] = [0, 1].map(|of| Where::all(&spaces[of]));
        let special = compared.special_addresses();
        let apart = [false, true].map(|v6| {
            let of_version = special.iter().filter(|address| address.is_ipv6() == v6);
            of_version.map(|address| cube(*address)).collect::<Vec<_>>()
        });
        let looked_up: Vec<&str> = compared.looked_up().collect();
        let mut search = Search::new();
        for port in self.ports() {
            let [left, right] = compared.policies().map(|policy| self.decides(policy, port));
            for names in name_sets(compared, &looked_up, &left, &right, false) {
                let first = |address| {
                    let mut requests = (self.requests)(address, port).into_iter();
                    requests.find_map(|request| compared.excess_at(&request, address, names))
                };
                for (place, other) in places.iter().zip(&others) {
                    let Some(decided) = place.decided(&left, names) else { continue };
                    let other = other.decided(&right, names);
                    let apart = &apart[usize::from(place.v6)];
                    let found = place.uncovered(&mut search, &decided, other.as_ref(), apart)?;
                    if let Some(address) = found {
                        let unconfirmed = || format!("{address} at {}", port.number);
                        let found = first(address);
                        return found
                            .map(Some)
                            .ok_or_else(|| Undecided::Unconfirmed(unconfirmed()));
                    }
                }
                if let Some(found) = special.iter().find_map(|address| first(*address)) {
                    return Ok(Some(found));
                }
            }
        }
        if compared.has_terms(self.terms_of) {
            return self.charge(compared);
        }
        Ok(None)
    }

    /// Notes to which budgets both policies charge the acts, and returns an act whose TLS may be
    /// what the right policy does not allow. It asks about an act of each part of the addresses in
    /// which no rule makes a difference.
    fn charge(&self, compared: &Compared<'p>) -> Found<Excess> {
        let spaces = compared.policies().map(|policy| Space::all(&policy.nat64));
        let places: Vec<Where<'_>> = spaces.iter().flat_map(|spaces| Where::all(spaces)).collect();
        let special = compared.special_addresses();
        let looked_up: Vec<&str> = compared.looked_up().collect();
        let mut search = Search::new();
        for port in self.ports() {
            let [left, right] = compared.policies().map(|policy| self.decides(policy, port));
            let mut all = Vec::new();
            for place in &places {
                all.extend(place.samples(&mut search, [&left, &right])?);
            }
            all.extend(&special);
            for names in name_sets(compared, &looked_up, &left, &right, true) {
                for address in &all {
                    for request in (self.requests)(*address, port) {
                        compared.charge(&request, Some((*address, names)));
                        let found = compared.wider_tls(&request, Some((*address, names)));
                        if found.is_some() {
                            return Ok(found);
                        }
                    }
                }
            }
        }
        Ok(None)
    }

    /// Returns the rules of a policy that decide at a port.
    fn decides(&self, policy: &'p Policy, port: Port) -> Deciding<'p> {
        let mut rules = (self.rules)(policy, port);
        if policy.everything {
            rules.allow.push((vec![Part::Whole], Vec::new()));
        }
        rules
    }

    /// Returns one port of each range in which the same rules hold.
    fn ports(&self) -> Vec<Port> {
        let starts = self.ports_of.iter().flat_map(|rules| rules.port_starts());
        let numbers: BTreeSet<u16> =
            starts.chain(self.more_ports.iter().copied()).chain([0]).collect();
        let asked = numbers.iter().map(|number| Port { number: *number, kernel_chosen: false });
        let chosen = numbers.iter().map(|number| Port { number: *number, kernel_chosen: true });
        // The kernel does not choose port 0.
        asked.chain(chosen.filter(|port| self.binds && port.number > 0)).collect()
    }
}

/// Returns an address as a cube.
fn cube(address: IpAddr) -> Cube {
    match address {
        IpAddr::V4(v4) => Cube::v4(v4.into(), 32),
        IpAddr::V6(v6) => Cube::one(v6.into()),
    }
}

impl Deciding<'_> {
    /// Returns whether a rule denies every address with these names.
    fn denies(&self, names: Names<'_>) -> bool {
        self.deny.iter().any(|part| part.touches(names))
    }

    /// Returns whether a rule takes something away from addresses with these names.
    fn takes_from(&self, names: Names<'_>) -> bool {
        let except = self.allow.iter().flat_map(|(_, except)| except);
        self.denies(names) || except.into_iter().any(|part| part.touches(names))
    }

    /// Returns whether a rule allows addresses by this name.
    fn opens(&self, name: &str) -> bool {
        self.allow.iter().flat_map(|(parts, _)| parts).any(|part| part.has(name))
    }
}

/// Returns the sets of names that matter at a port: none; a name by which the left policy allows; a
/// name by which the right one denies; and both. An address can have a name that the guest may not
/// look up, if it is another name of one that it may. `charges` says that names matter too by which
/// the right policy allows.
fn name_sets<'a>(
    compared: &'a Compared<'_>,
    looked_up: &[&'a str],
    left: &Deciding<'_>,
    right: &Deciding<'_>,
    charges: bool,
) -> Vec<Names<'a>> {
    let usable = |name: &&'a str| !left.denies(Names::one(name));
    let opening: Vec<&str> =
        looked_up.iter().copied().filter(|name| left.opens(name)).filter(usable).collect();
    let mut all = vec![Names::default()];
    all.extend(opening.iter().map(|name| Names::one(name)));
    let closing = compared.names.iter().map(|name| &**name);
    let matters =
        |name: &&'a str| right.takes_from(Names::one(name)) || (charges && right.opens(name));
    for name in closing.filter(matters).filter(usable) {
        if looked_up.contains(&name) {
            all.push(Names::one(name));
            let with = |open: &&'a str| Names { looked_up: [Some(open), Some(name)], alias: None };
            all.extend(opening.iter().map(with));
        } else if compared.may_stand_for(name) {
            let any = looked_up.iter().find(|other| usable(other));
            let with = |open: &&'a str| Names { looked_up: [Some(open), None], alias: Some(name) };
            all.extend(any.into_iter().chain(&opening).map(with));
        }
    }
    all
}

/// Compares what a verb about destinations decides.
pub(crate) fn remote<'p>(
    compared: &Compared<'p>,
    of: fn(&'p Rules) -> &'p Endpoints,
    request: fn(SocketAddr) -> Request<'static>,
) -> Found<Excess> {
    AddressVerb {
        ports_of: compared.rules().into_iter().map(of).collect(),
        more_ports: &[],
        binds: false,
        rules: |policy: &'p Policy, port: Port| Deciding {
            allow: vec![(vec![Part::At(of(&policy.allow), port.number)], Vec::new())],
            deny: vec![Part::At(of(&policy.deny), port.number)],
        },
        requests: |address, port: Port| vec![request(SocketAddr::new(address, port.number))],
        terms_of: &[
            Verb::TcpConnect,
            Verb::TlsConnect,
            Verb::TlsInsecure,
            Verb::TlsUpgrade,
            Verb::UdpSend,
        ],
    }
    .excess(compared)
}

/// Compares what a verb about addresses without ports decides.
pub(crate) fn portless<'p>(
    compared: &Compared<'p>,
    of: fn(&'p Rules) -> &'p Endpoints,
    request: fn(IpAddr) -> Request<'static>,
) -> Found<Excess> {
    AddressVerb {
        ports_of: Vec::new(),
        more_ports: &[],
        binds: false,
        rules: |policy: &'p Policy, _: Port| Deciding {
            allow: vec![(vec![Part::At(of(&policy.allow), 0)], Vec::new())],
            deny: vec![Part::At(of(&policy.deny), 0)],
        },
        requests: |address, _: Port| vec![request(address)],
        terms_of: &[],
    }
    .excess(compared)
}

/// Compares what a verb about local addresses decides, and what is published.
pub(crate) fn local<'p>(
    compared: &Compared<'p>,
    of: fn(&'p Rules) -> &'p LocalIndex,
    request: fn(LocalAddress) -> Request<'static>,
) -> Found<Excess> {
    let parts = |rules: &'p Rules, port: Port| {
        // The guest asked for port 0.
        let asked = port.kernel_chosen.then_some(0);
        let ports = asked.into_iter().chain([port.number]);
        ports.map(|port| Part::At(&of(rules).all, port)).collect::<Vec<_>>()
    };
    let verb = AddressVerb {
        ports_of: compared.rules().into_iter().map(|rules| &of(rules).all).collect(),
        more_ports: &[],
        binds: true,
        rules: |policy: &'p Policy, port: Port| Deciding {
            allow: vec![(parts(&policy.allow, port), Vec::new())],
            deny: parts(&policy.deny, port),
        },
        requests: |address, port: Port| {
            let address = SocketAddr::new(address, port.number);
            let local = LocalAddress { kernel_chosen: port.kernel_chosen, ..address.into() };
            [false, true].map(|v6only| request(LocalAddress { v6only, ..local })).into()
        },
        terms_of: &[Verb::TcpListen, Verb::TlsListen],
    };
    let found = verb.excess(compared)?;
    if found.is_some() {
        return Ok(found);
    }
    let ports: Vec<u16> = verb.ports().into_iter().map(|port| port.number).collect();
    let Compared { left, right, .. } = compared;
    let any = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
    let word = request(any.into()).verb();
    for (guest, host) in left.published.of(word) {
        // If the host's port is 0, the kernel chooses it.
        let chosen = ports.iter().copied().filter(|_| host.port() == 0);
        for port in chosen.chain([host.port()]) {
            let host = SocketAddr::new(host.ip(), port);
            for v6only in [false, true] {
                let local = LocalAddress { published: Some(host), v6only, ..guest.into() };
                let condition = format!("published as {host}");
                let found = compared.excess_if(&request(local), &condition);
                if found.is_some() {
                    return Ok(found);
                }
            }
        }
        if right.published(word, guest) != Some(host) {
            let local = LocalAddress { published: Some(host), ..guest.into() };
            let found = compared.excess_without(
                &request(local),
                format!("published as {host}"),
                format!("{word} on {guest} is not published as {host}"),
            );
            if found.is_some() {
                return Ok(found);
            }
        }
    }
    Ok(None)
}

/// Returns a public address that no rule of a policy names by itself or by a small network.
pub(crate) fn unnamed(policy: &Policy) -> Ipv4Addr {
    /// An address of documentation (RFC 5737).
    const LIKE: u32 = 0xcb00_7101;
    let rules = [&policy.allow, &policy.deny].into_iter().flat_map(|rules| rules.endpoints());
    let networks = rules.flat_map(|rules| Part::Anywhere(rules).denied(false));
    // A rule about everything says nothing of this address.
    let networks: Vec<Cube> =
        networks.filter(|network| *network != Cube::V4).chain(PRIVATE_V4).collect();
    let found = Search::new().outside(Cube::V4, &networks, LIKE.into());
    found.ok().flatten().map_or(LIKE, |bits| bits as u32).into()
}
