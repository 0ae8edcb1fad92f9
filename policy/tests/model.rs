//! Random policies and acts, decided by the crate and by a model: lists that are searched from the
//! start, without any index, cache or order of evaluation that saves work.
//!
//! `SANDSOCK_CASES` is the number of policies, and `SANDSOCK_SEED` the first seed. A failure prints
//! the seed of its policy.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a test takes the time, reads its seed and prints it"
)]

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use sandsock_policy::{LocalAddress, Pins, Policy, PolicyBuilder, Request, Restriction};

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

/// Addresses that rules, pins and acts have in common: public and private ones, and IPv6 forms that
/// hold an IPv4 address.
const ADDRESSES: &[&str] = &[
    "203.0.113.1",
    "203.0.113.2",
    "203.0.112.9",
    "198.51.100.7",
    "10.0.0.1",
    "10.0.0.2",
    "127.0.0.1",
    "127.0.0.2",
    "0.0.0.0",
    "169.254.169.254",
    "168.63.129.16",
    "224.0.0.5",
    "2001:db8::1",
    "2001:db8::2",
    "2001:db8:1::1",
    "fd00::1",
    "fe80::1",
    "::1",
    "::",
    "::ffff:203.0.113.1",
    "::ffff:10.0.0.1",
    "::ffff:0.0.0.0",
    "::203.0.113.1",
    "64:ff9b::203.0.113.1",
    "64:ff9b::10.0.0.1",
    "2002:cb00:7101::1",
    "8.8.8.8",
    "2600::1",
    "64:ff9b::8.8.8.8",
];

/// Sets, and which of [`ADDRESSES`] they hold. The last one is the policy's own. An IPv6 address that
/// holds an IPv4 address is public if that is, and in no other set of the table.
const SETS: &[(&str, &[&str])] = &[
    ("public", &["203.0.112.9", "8.8.8.8", "2600::1", "64:ff9b::8.8.8.8"]),
    ("private", &["10.0.0.1", "10.0.0.2", "fd00::1"]),
    ("loopback", &["127.0.0.1", "127.0.0.2", "::1"]),
    ("link-local", &["169.254.169.254", "fe80::1"]),
    ("multicast", &["224.0.0.5"]),
    ("own", &["203.0.113.1", "203.0.113.2", "2001:db8::1"]),
];

/// What a denial of the first set holds for as well: forms that are global themselves, whatever IPv4
/// address they hold.
const PUBLIC_BY_FORM: &[&str] = &["64:ff9b::203.0.113.1", "64:ff9b::10.0.0.1", "2002:cb00:7101::1"];

/// How the policy's own set is made.
const OWN_SET: &str = "own=203.0.113.0/30,2001:db8::1";

const NETWORKS: &[&str] = &[
    "0.0.0.0/0",
    "203.0.112.0/23",
    "203.0.113.0/24",
    "203.0.113.0/30",
    "10.0.0.0/8",
    "127.0.0.0/8",
    "128.0.0.0/1",
    "::/0",
    "2001:db8::/32",
    "2001:db8::/127",
    "64:ff9b::/96",
    "fc00::/7",
];

const NAMES: &[&str] =
    &["a.example", "b.example", "x.a.example", "y.x.a.example", "example", "other.test"];

const PORTS: &[u16] = &[0, 1, 79, 80, 81, 443, 65534, 65535];

const VERBS: &[&str] =
    &["tcp-connect", "udp-send", "udp-receive", "tcp-listen", "udp-bind", "resolve"];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Host {
    Any,
    Net(IpAddr, u8),
    Name(&'static str),
    /// Every name below this one.
    Below(&'static str),
    /// A set, by its place in [`SETS`].
    Set(usize),
}

/// A rule, as the model knows it.
#[derive(Clone, Debug)]
struct ModelRule {
    verb: &'static str,
    host: Host,
    low: u16,
    high: u16,
    budget: bool,
}

impl ModelRule {
    fn random(random: &mut Random, verb: &'static str, allows: bool) -> Self {
        let is_local = matches!(verb, "tcp-listen" | "udp-bind");
        let host = loop {
            let host = match random.below(12) {
                0 => Host::Any,
                1..=3 => {
                    let address = ip(random.pick(ADDRESSES));
                    Host::Net(address, if address.is_ipv4() { 32 } else { 128 })
                }
                4..=5 => {
                    let (address, length) =
                        random.pick(NETWORKS).split_once('/').expect("a network");
                    Host::Net(ip(address), length.parse().expect("a length"))
                }
                6..=7 => Host::Name(random.pick(NAMES)),
                8..=9 => Host::Set(random.below(SETS.len())),
                _ => Host::Below(random.pick(&["example", "a.example", "test"])),
            };
            match host {
                // Names are no local addresses, and addresses are not looked up.
                Host::Name(_) | Host::Below(_) if is_local => {}
                Host::Net(..) | Host::Set(_) if verb == "resolve" => {}
                // These are refused as destinations, because they stand for the loopback. A mapped
                // address is refused too: rules have the IPv4 form.
                Host::Net(address, 32 | 128)
                    if address.is_unspecified() && !is_local && verb != "udp-receive" => {}
                Host::Net(IpAddr::V6(v6), _) if v6.to_ipv4_mapped().is_some() => {}
                host => break host,
            }
        };
        let (low, high) = match random.below(5) {
            0..=2 => (0, u16::MAX),
            3 => {
                let (a, b) = (random.pick(PORTS), random.pick(PORTS));
                // A range from 0 would grant a port of the kernel's choice by the way.
                let (low, high) = (a.min(b).max(1), a.max(b).max(1));
                (low, high)
            }
            _ => {
                let port = random.pick(PORTS);
                (port, port)
            }
        };
        let budget = allows
            && matches!(verb, "tcp-connect" | "udp-send" | "udp-receive" | "tcp-listen")
            && random.one_in(3);
        Self { verb, host, low, high, budget }
    }

    fn text(&self) -> String {
        let host = match self.host {
            Host::Any => "*".to_owned(),
            Host::Net(IpAddr::V4(v4), 32) => v4.to_string(),
            Host::Net(IpAddr::V6(v6), 128) => format!("[{v6}]"),
            Host::Net(IpAddr::V4(v4), length) => format!("{v4}/{length}"),
            Host::Net(IpAddr::V6(v6), length) => format!("[{v6}/{length}]"),
            Host::Name(name) => name.to_owned(),
            Host::Below(name) => format!("*.{name}"),
            Host::Set(set) => SETS[set].0.to_owned(),
        };
        if self.verb == "resolve" {
            return format!("resolve={host}");
        }
        let ports = match (self.low, self.high) {
            (0, u16::MAX) => "*".to_owned(),
            (low, high) if low == high => low.to_string(),
            (low, high) => format!("{low}-{high}"),
        };
        let budget = if self.budget { ";bytes=1MiB" } else { "" };
        format!("{}={host}:{ports}{budget}", self.verb)
    }

    fn has_port(&self, port: u16) -> bool {
        (self.low..=self.high).contains(&port)
    }

    fn has_name(&self, name: &str) -> bool {
        match self.host {
            Host::Name(own) => own == name,
            Host::Below(own) => name.len() > own.len() && name.ends_with(&format!(".{own}")),
            Host::Any | Host::Net(..) | Host::Set(_) => false,
        }
    }

    /// Whether the rule is about this very address.
    /// Whether it holds for an address as a rule that denies.
    fn denies_address(&self, address: IpAddr) -> bool {
        self.has_address(address)
            || inside(address).is_some_and(|v4| self.has_address(v4))
            || self.host == Host::Set(0) && PUBLIC_BY_FORM.iter().any(|form| ip(form) == address)
    }

    fn has_address(&self, address: IpAddr) -> bool {
        match self.host {
            Host::Any => true,
            Host::Net(net, length) => first_bits(net, length) == first_bits(address, length),
            Host::Name(_) | Host::Below(_) => false,
            Host::Set(set) => SETS[set].1.iter().any(|own| ip(own) == address),
        }
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// The first bits of an address as text, with its version.
fn first_bits(address: IpAddr, length: u8) -> String {
    let bits = match address {
        IpAddr::V4(v4) => format!("4:{:032b}", u32::from(v4)),
        IpAddr::V6(v6) => format!("6:{:0128b}", u128::from(v6)),
    };
    bits[..2 + usize::from(length).min(bits.len() - 2)].to_owned()
}

/// IPv4-mapped addresses are IPv4.
fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        v4 => v4,
    }
}

/// The unspecified address as a destination is the loopback.
fn reached(address: IpAddr) -> IpAddr {
    match plain(address) {
        IpAddr::V4(v4) if v4 == Ipv4Addr::UNSPECIFIED => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(v6) if v6 == Ipv6Addr::UNSPECIFIED => Ipv6Addr::LOCALHOST.into(),
        other => other,
    }
}

/// The addresses that hold an IPv4 address, and which.
const HOLDING: &[(&str, &str)] = &[
    ("::203.0.113.1", "203.0.113.1"),
    ("64:ff9b::203.0.113.1", "203.0.113.1"),
    ("2002:cb00:7101::1", "203.0.113.1"),
    ("64:ff9b::10.0.0.1", "10.0.0.1"),
    ("64:ff9b::8.8.8.8", "8.8.8.8"),
];

/// The addresses to which a name may lead.
const PUBLIC: &[&str] = &[
    "203.0.113.1",
    "203.0.113.2",
    "203.0.112.9",
    "198.51.100.7",
    "2001:db8::1",
    "2001:db8::2",
    "2001:db8:1::1",
    "::203.0.113.1",
    "64:ff9b::203.0.113.1",
    "2002:cb00:7101::1",
    "8.8.8.8",
    "2600::1",
    "64:ff9b::8.8.8.8",
];

/// The IPv4 address that one of [`ADDRESSES`] holds.
fn inside(address: IpAddr) -> Option<IpAddr> {
    let found = HOLDING.iter().find(|(own, _)| ip(own) == address);
    found.map(|(_, held)| ip(held))
}

/// Whether one of [`ADDRESSES`] is one to which no name leads.
fn is_private(address: IpAddr) -> bool {
    !PUBLIC.iter().any(|own| ip(own) == address)
}

/// A name's address, in the order in which they were added.
#[derive(Clone, Debug)]
struct ModelPin {
    name: &'static str,
    address: IpAddr,
    /// When it was used last, in milliseconds.
    used: u64,
}

const LIFETIME: u64 = 5 * 60 * 1000;

/// Everything that a decision depends on.
#[derive(Clone, Debug, Default)]
struct Model {
    allow: Vec<ModelRule>,
    deny: Vec<ModelRule>,
    everything: bool,
    fixed: Vec<(&'static str, IpAddr)>,
    /// The rules that each restriction keeps.
    kept: Vec<Vec<ModelRule>>,
    pins: Vec<ModelPin>,
    now: u64,
}

/// What allows an act: the place of a rule, `allow-all`, or something that is no rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Denied,
    Rule(usize),
    Everything,
    Other,
}

impl Model {
    fn fixed_names(&self, address: IpAddr) -> Vec<&'static str> {
        let here = self.fixed.iter().filter(|(_, own)| plain(*own) == address);
        here.map(|(name, _)| *name).collect()
    }

    fn is_fresh(&self, pin: &ModelPin) -> bool {
        self.now <= pin.used + LIFETIME
    }

    /// Whether a rule denies this address and port: by the address, by an IPv4 address inside it, or
    /// by any name that it has or had.
    fn is_denied(&self, verb: &str, address: IpAddr, port: u16) -> bool {
        let names: Vec<_> = self
            .fixed_names(address)
            .into_iter()
            .chain(self.pins.iter().filter(|pin| pin.address == address).map(|pin| pin.name))
            .collect();
        self.deny.iter().filter(|rule| rule.verb == verb && rule.has_port(port)).any(|rule| {
            rule.denies_address(address) || names.iter().any(|name| rule.has_name(name))
        })
    }

    /// The most specific of these rules that allows an address, and the pin by which it does:
    /// networks by their length, then whole names, then names below others by the number of labels,
    /// then sets, then `*`. Among equals fewer ports, then the earlier rule. A pin that is used lives on.
    fn find(
        &self,
        rules: &[ModelRule],
        verb: &str,
        address: IpAddr,
        port: u16,
    ) -> Option<(usize, Option<usize>)> {
        let mut found = Vec::new();
        for (at, rule) in rules.iter().enumerate() {
            if rule.verb != verb || !rule.has_port(port) {
                continue;
            }
            let width = rule.high - rule.low;
            let mut add = |class: u8, precision: usize, pin: Option<usize>| {
                found.push(((class, usize::MAX - precision, width, at), pin));
            };
            match rule.host {
                Host::Any => add(4, 0, None),
                Host::Set(_) if rule.has_address(address) => add(3, 0, None),
                Host::Set(_) => {}
                Host::Net(_, length) if rule.has_address(address) => {
                    add(0, usize::from(length), None)
                }
                Host::Net(..) => {}
                Host::Name(own) | Host::Below(own) => {
                    let class = if matches!(rule.host, Host::Name(_)) { 1 } else { 2 };
                    let labels = if class == 1 { 0 } else { own.split('.').count() };
                    if self.fixed_names(address).iter().any(|name| rule.has_name(name)) {
                        add(class, labels, None);
                    }
                    for (place, pin) in self.pins.iter().enumerate() {
                        let counts = pin.address == address
                            && self.is_fresh(pin)
                            && !is_private(address)
                            && rule.has_name(pin.name);
                        if counts {
                            add(class, labels, Some(place));
                        }
                    }
                }
            }
        }
        // The first of equals is the fixed name, then the pin that was added first.
        let best = found.iter().min_by_key(|(rank, pin)| (*rank, pin.map_or(0, |pin| pin + 1)))?;
        Some((best.0.3, best.1))
    }

    fn touch(&mut self, pin: Option<usize>) {
        if let Some(pin) = pin {
            self.pins[pin].used = self.pins[pin].used.max(self.now);
        }
    }

    /// Decides on an act that has an address.
    fn reach(&mut self, verb: &'static str, to: SocketAddr) -> Verdict {
        let is_destination = verb != "udp-receive";
        let address = if is_destination { reached(to.ip()) } else { plain(to.ip()) };
        let port = to.port();
        let denied = self.is_denied(verb, address, port)
            // A rule may name the address as it was given.
            || is_destination
                && reached(to.ip()) != plain(to.ip())
                && self.deny.iter().any(|rule| {
                    rule.verb == verb && rule.has_port(port) && rule.has_address(plain(to.ip()))
                });
        if denied {
            return Verdict::Denied;
        }
        let own = self.allow.clone();
        let verdict = self.allowed(&own, verb, address, port);
        let verdict = match verdict {
            Verdict::Denied if self.everything => Verdict::Everything,
            verdict => verdict,
        };
        if verdict == Verdict::Denied {
            return verdict;
        }
        for kept in self.kept.clone() {
            // Restrictions have no rules that deny.
            let deny = std::mem::take(&mut self.deny);
            let by_guest = self.allowed(&kept, verb, address, port);
            self.deny = deny;
            if by_guest == Verdict::Denied {
                return by_guest;
            }
        }
        verdict
    }

    fn allowed(&mut self, rules: &[ModelRule], verb: &str, address: IpAddr, port: u16) -> Verdict {
        let mut found = self.find(rules, verb, address, port);
        if verb == "udp-receive" && found.is_none() && !self.is_denied("udp-send", address, port) {
            // It may be the answer to what was sent.
            found = self.find(rules, "udp-send", address, port);
        }
        match found {
            Some((rule, pin)) => {
                self.touch(pin);
                Verdict::Rule(rule)
            }
            None => Verdict::Denied,
        }
    }

    /// Decides on a bind or a listen.
    fn local(&self, verb: &'static str, local: LocalAddress) -> Verdict {
        let address = plain(local.address.ip());
        let asked = if local.kernel_chosen { 0 } else { local.address.port() };
        // A wildcard takes in every address of its version. A socket of both versions takes in both.
        let takes = |rule: &ModelRule| match (rule.host, address) {
            (Host::Any, _) => true,
            // Each set has addresses of both versions.
            (Host::Set(_), wildcard) if wildcard.is_unspecified() => true,
            (Host::Net(net, _), IpAddr::V4(v4)) if v4.is_unspecified() => net.is_ipv4(),
            (Host::Net(net, _), IpAddr::V6(v6)) if v6.is_unspecified() => {
                net.is_ipv6() || !local.v6only
            }
            (Host::Net(..) | Host::Set(_), address) => rule.denies_address(address),
            _ => false,
        };
        let denied = self.deny.iter().any(|rule| {
            rule.verb == verb
                && (rule.has_port(local.address.port()) || rule.has_port(asked))
                && takes(rule)
        });
        if denied {
            return Verdict::Denied;
        }
        let by = |rules: &[ModelRule]| {
            let whole = |rule: &ModelRule, v4: bool| match rule.host {
                Host::Any => true,
                Host::Net(net, length) => {
                    net.is_ipv4() == v4
                        && net.is_unspecified()
                        && (length == 0 || length == if v4 { 32 } else { 128 })
                }
                _ => false,
            };
            let any = |port: u16, holds: &dyn Fn(&ModelRule) -> bool| {
                rules.iter().any(|rule| rule.verb == verb && rule.has_port(port) && holds(rule))
            };
            [asked, local.address.port()].into_iter().any(|port| match address {
                IpAddr::V4(v4) if v4.is_unspecified() => any(port, &|rule| whole(rule, true)),
                IpAddr::V6(v6) if v6.is_unspecified() => {
                    let by_name = |rule: &ModelRule| {
                        matches!(rule.host, Host::Net(net, 128) if net.is_unspecified())
                    };
                    any(port, &by_name)
                        || any(port, &|rule| whole(rule, false))
                            && (local.v6only || any(port, &|rule| whole(rule, true)))
                }
                address => any(port, &|rule| rule.has_address(address)),
            })
        };
        let allowed = (self.everything || by(&self.allow)) && self.kept.iter().all(|kept| by(kept));
        if allowed { Verdict::Other } else { Verdict::Denied }
    }

    /// Decides on a look-up.
    fn resolve(&self, name: &str) -> Verdict {
        if self
            .deny
            .iter()
            .any(|rule| rule.verb == "resolve" && (rule.host == Host::Any || rule.has_name(name)))
        {
            return Verdict::Denied;
        }
        let by = |rules: &[ModelRule], deny: &[ModelRule]| {
            rules.iter().any(|rule| match rule.verb {
                "resolve" => rule.host == Host::Any || rule.has_name(name),
                "tcp-connect" | "udp-send" => {
                    let is_open = |port: u16| {
                        !deny.iter().any(|denial| {
                            denial.verb == rule.verb
                                && denial.has_port(port)
                                && denial.has_name(name)
                        })
                    };
                    rule.has_name(name) && (rule.low..=rule.high).any(is_open)
                }
                _ => false,
            }) || self.fixed.iter().any(|(own, _)| *own == name)
        };
        let allowed = (self.everything || by(&self.allow, &self.deny))
            && self.kept.iter().all(|kept| by(kept, &[]));
        if allowed { Verdict::Other } else { Verdict::Denied }
    }

    /// A look-up of `name` gave these addresses.
    fn pin(&mut self, name: &'static str, addresses: &[IpAddr]) {
        let now = self.now;
        let fresh: Vec<bool> = self.pins.iter().map(|pin| self.is_fresh(pin)).collect();
        let mut kept = fresh.into_iter();
        // Expired addresses of the name are gone, even those that the answer has again.
        self.pins.retain(|pin| kept.next().unwrap_or(false) || pin.name != name);
        for address in addresses.iter().map(|address| plain(*address)) {
            match self.pins.iter_mut().find(|pin| pin.name == name && pin.address == address) {
                Some(pin) => pin.used = pin.used.max(now),
                None => self.pins.push(ModelPin { name, address, used: now }),
            }
        }
    }
}

/// Makes a random policy, and its model.
fn policy(random: &mut Random, main: &'static str) -> (Policy, Model, String) {
    let mut builder: PolicyBuilder = Policy::builder();
    builder.set(OWN_SET).expect("a set");
    let mut model = Model { everything: random.one_in(6), ..Model::default() };
    let mut shown = String::new();
    if model.everything {
        builder.allow_all();
        shown.push_str("allow-all\n");
    }
    let rules = |random: &mut Random, count: usize, allows: bool| -> Vec<ModelRule> {
        (0..random.below(count + 1))
            .map(|_| {
                let verb = if random.one_in(4) { random.pick(VERBS) } else { main };
                ModelRule::random(random, verb, allows)
            })
            .collect()
    };
    model.allow = rules(random, 12, true);
    model.deny = rules(random, 3, false);
    for rule in &model.allow {
        builder.allow(&rule.text()).unwrap_or_else(|error| panic!("{}: {error}", rule.text()));
        writeln!(shown, "allow {}", rule.text()).expect("a string");
    }
    for rule in &model.deny {
        builder.deny(&rule.text()).unwrap_or_else(|error| panic!("{}: {error}", rule.text()));
        writeln!(shown, "deny {}", rule.text()).expect("a string");
    }
    if random.one_in(3) {
        let (name, address) = (random.pick(NAMES), ip(random.pick(ADDRESSES)));
        if builder.resolve(&format!("{name}={address}")).is_ok() {
            model.fixed.push((name, plain(address)));
            writeln!(shown, "resolve {name}={address}").expect("a string");
        }
    }
    let mut policy = builder.build_with(&|path| Ok(path.to_owned()));
    while random.one_in(4) {
        let kept: Vec<ModelRule> = rules(random, 6, true)
            .into_iter()
            .map(|rule| ModelRule { budget: false, ..rule })
            .collect();
        let texts: Vec<String> = kept.iter().map(ModelRule::text).collect();
        let restriction = Restriction::new(&policy, &texts).expect("good rules");
        policy = policy.restricted(restriction);
        writeln!(shown, "restrict {texts:?}").expect("a string");
        model.kept.push(kept);
    }
    (policy, model, shown)
}

/// An address for an act or a pin: often one of the few to which a name may lead.
fn some_address(random: &mut Random) -> IpAddr {
    let few = random.one_in(2);
    ip(random.pick(if few { &PUBLIC[..4] } else { ADDRESSES }))
}

/// How many acts of each kind were compared.
#[derive(Debug, Default)]
struct Compared {
    denied: usize,
    by_rule: usize,
    /// By a rule with a name, and a pin of that name.
    by_pin: usize,
    by_everything: usize,
}

/// Compares a policy's decisions with the model's, while time goes by and names are looked up.
fn compare(seed: u64, compared: &mut Compared) {
    let random = &mut Random(seed);
    // One verb in most rules and acts, so that they meet.
    let main = random.pick(VERBS);
    let (policy, mut model, mut shown) = policy(random, main);
    let start = Instant::now();
    let mut pins = Pins::new(start);
    for _ in 0..48 {
        let now = start + Duration::from_millis(model.now);
        let address = some_address(random);
        let to = SocketAddr::new(address, random.pick(PORTS));
        let choice = match main {
            _ if random.one_in(2) => random.below(12),
            "resolve" => 2,
            "tcp-listen" | "udp-bind" => 3,
            "tcp-connect" => 6,
            "udp-send" => 9,
            _ => 11,
        };
        match choice {
            0 => {
                let step = random.pick(&[1, 1, 1000, 60_000, LIFETIME - 60_000, LIFETIME + 1]);
                model.now += step;
                writeln!(shown, "after {step} ms").expect("a string");
            }
            1 => {
                let name = random.pick(NAMES);
                let addresses: Vec<IpAddr> =
                    (0..random.below(5)).map(|_| some_address(random)).collect();
                pins.pin(name, &addresses, now);
                model.pin(name, &addresses);
                writeln!(shown, "pin {name} {addresses:?}").expect("a string");
            }
            2 => {
                let name = random.pick(NAMES);
                let request = Request::Resolve(name);
                let found = policy.decide(&request, &pins, now).is_ok();
                let expected = model.resolve(name) != Verdict::Denied;
                assert_eq!(found, expected, "seed {seed}: resolve {name}\n{shown}");
            }
            3..=5 => {
                let local = LocalAddress {
                    address: to,
                    v6only: random.one_in(2),
                    kernel_chosen: random.one_in(3),
                    published: None,
                };
                let (verb, request) = match random.one_in(2) {
                    true => ("tcp-listen", Request::TcpListen(local)),
                    false => ("udp-bind", Request::UdpBind(local)),
                };
                let found = policy.decide(&request, &pins, now).is_ok();
                let expected = model.local(verb, local) != Verdict::Denied;
                assert_eq!(found, expected, "seed {seed}: {verb} {local:?}\n{shown}");
                assert_eq!(policy.judge_local(&request).is_ok(), expected, "seed {seed}");
            }
            choice => {
                let (verb, request) = match choice {
                    6..=8 => ("tcp-connect", Request::TcpConnect(to)),
                    9..=10 => ("udp-send", Request::UdpSend(to)),
                    _ => ("udp-receive", Request::UdpReceive(to)),
                };
                let mut by_source = model.clone();
                let expected = model.reach(verb, to);
                if verb == "udp-receive" {
                    // The check of every datagram is a function of its own.
                    let allowed = policy.udp_source_allowed(to, &pins, now);
                    let expected = by_source.reach(verb, to) != Verdict::Denied;
                    assert_eq!(allowed, expected, "seed {seed}: a datagram of {to}\n{shown}");
                }
                let rule = match expected {
                    Verdict::Rule(rule) => by_source.allow.get(rule),
                    _ => None,
                };
                let is_pinned = rule.is_some_and(|rule| {
                    matches!(rule.host, Host::Name(_) | Host::Below(_)) && model.fixed.is_empty()
                });
                match expected {
                    Verdict::Denied => compared.denied += 1,
                    Verdict::Rule(_) if is_pinned => compared.by_pin += 1,
                    Verdict::Rule(_) => compared.by_rule += 1,
                    Verdict::Everything | Verdict::Other => compared.by_everything += 1,
                }
                let found = policy.decide(&request, &pins, now);
                let text = |rule: usize| policy.allowed()[rule].to_string();
                let what = || format!("seed {seed}: {verb} {to}: {expected:?}\n{shown}");
                match (&found, expected) {
                    (Err(_), Verdict::Denied) => {}
                    // Which of the two verbs lets a datagram in is not compared.
                    (Ok(_), Verdict::Rule(_)) if verb == "udp-receive" => {}
                    (Ok(allowed), Verdict::Rule(rule)) => {
                        assert_eq!(allowed.rule, Some(text(rule).as_str()), "{}", what());
                        // Budgets are numbered in the order of their rules.
                        let before = model.allow[..rule].iter().filter(|rule| rule.budget);
                        let budget = model.allow[rule].budget.then(|| before.count());
                        assert_eq!(allowed.budget.map(|id| id.index()), budget, "{}", what());
                    }
                    (Ok(allowed), Verdict::Everything) => {
                        assert_eq!(allowed.rule, Some("allow-all"), "{}", what());
                    }
                    (found, _) => panic!("{found:?} {}", what()),
                }
                writeln!(shown, "{verb} {to}: {expected:?}").expect("a string");
            }
        }
    }
}

#[test]
fn decisions_are_the_models() {
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
    };
    let (first, cases) = (number("SANDSOCK_SEED", 1), number("SANDSOCK_CASES", 5_000));
    println!("policies from seed {first} to {}", first + cases - 1);
    let mut compared = Compared::default();
    for seed in first..first + cases {
        compare(seed, &mut compared);
    }
    println!("{compared:?}");
    let Compared { denied, by_rule, by_pin, by_everything } = compared;
    let least = [denied, by_rule, by_pin, by_everything].into_iter().min().unwrap_or(0);
    assert!(least as u64 >= cases / 10, "some kind of act is hardly compared");
}
