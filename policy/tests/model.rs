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

mod random;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use sandsock_policy::{
    Allowed, Denial, LocalAddress, Pins, Policy, PolicyBuilder, Request, Restriction, TlsRequest,
};

use crate::random::{Random, policies};

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
    "239.1.2.3",
    "ff02::1",
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
    ("multicast", &["224.0.0.5", "239.1.2.3", "ff02::1"]),
    ("own", &["203.0.113.1", "203.0.113.2", "2001:db8::1"]),
];

/// The names that the policy's own set holds: this one, and every name below the other one.
const OWN_NAMES: (&str, &str) = ("b.example", "a.example");

/// What a denial of the first set holds for as well: forms that are global themselves, whatever IPv4
/// address they hold.
const PUBLIC_BY_FORM: &[&str] = &["64:ff9b::203.0.113.1", "64:ff9b::10.0.0.1", "2002:cb00:7101::1"];

/// How the policy's own set is made.
const OWN_SET: &str = "own=203.0.113.0/30,2001:db8::1,b.example,*.a.example";

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
    "224.0.0.0/4",
    "ff00::/8",
];

const NAMES: &[&str] =
    &["a.example", "b.example", "x.a.example", "y.x.a.example", "example", "other.test"];

const PORTS: &[u16] = &[0, 1, 79, 80, 81, 443, 65534, 65535];

const VERBS: &[&str] = &[
    "tcp-connect",
    "udp-send",
    "udp-receive",
    "tcp-listen",
    "tls-listen",
    "udp-bind",
    "tls-connect",
    "tls-insecure",
    "tls-upgrade",
    "resolve",
    "reverse-resolve",
    "multicast",
];

/// The verbs that take a budget.
const CARRYING: &[&str] = &[
    "tcp-connect",
    "tcp-listen",
    "tls-listen",
    "udp-send",
    "udp-receive",
    "tls-connect",
    "tls-insecure",
    "tls-upgrade",
];

/// The verbs about the guest's own addresses.
const LOCAL: &[&str] = &["tcp-listen", "tls-listen", "udp-bind"];

/// The verbs of which a rule names no port.
const PORTLESS: &[&str] = &["resolve", "reverse-resolve", "multicast"];

/// The verbs about TLS with a server.
const TLS: &[&str] = &["tls-connect", "tls-insecure", "tls-upgrade"];

/// The verbs of which a rule by a name implies that the name may be looked up.
const IMPLYING: &[&str] =
    &["tcp-connect", "udp-send", "tls-connect", "tls-insecure", "tls-upgrade"];

/// The place of the policy's own set in [`SETS`].
const OWN: usize = SETS.len() - 1;

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
    /// Whether the rule lends an identity.
    lends: bool,
}

impl ModelRule {
    fn random(random: &mut Random, verb: &'static str, allows: bool) -> Self {
        let is_local = LOCAL.contains(&verb);
        let is_group = verb == "multicast";
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
                // Names are no local addresses and no groups, and addresses are not looked up.
                Host::Name(_) | Host::Below(_) if is_local || is_group => {}
                Host::Net(..) if verb == "resolve" => {}
                Host::Set(set) if verb == "resolve" && set != OWN => {}
                Host::Net(IpAddr::V4(v4), length)
                    if is_group && !(v4.is_multicast() && length >= 4) => {}
                Host::Net(IpAddr::V6(v6), length)
                    if is_group && !(v6.is_multicast() && length >= 8) => {}
                // These are refused as destinations, because they stand for the loopback. A mapped
                // address is refused too: rules have the IPv4 form.
                Host::Net(address, 32 | 128)
                    if address.is_unspecified()
                        && !is_local
                        && !matches!(verb, "udp-receive" | "reverse-resolve") => {}
                Host::Net(IpAddr::V6(v6), _) if v6.to_ipv4_mapped().is_some() => {}
                host => break host,
            }
        };
        let (low, high) = match random.below(5) {
            _ if PORTLESS.contains(&verb) => (0, u16::MAX),
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
        let budget = allows && CARRYING.contains(&verb) && random.one_in(3);
        let lends = allows && verb == "tls-listen";
        Self { verb, host, low, high, budget, lends }
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
        if PORTLESS.contains(&self.verb) {
            return format!("{}={host}", self.verb);
        }
        let ports = match (self.low, self.high) {
            (0, u16::MAX) => "*".to_owned(),
            (low, high) if low == high => low.to_string(),
            (low, high) => format!("{low}-{high}"),
        };
        let budget = if self.budget { ";bytes=1MiB" } else { "" };
        let identity = if self.lends { ";identity=web" } else { "" };
        format!("{}={host}:{ports}{budget}{identity}", self.verb)
    }

    fn has_port(&self, port: u16) -> bool {
        (self.low..=self.high).contains(&port)
    }

    fn has_name(&self, name: &str) -> bool {
        match self.host {
            Host::Name(own) => own == name,
            Host::Below(own) => name.len() > own.len() && name.ends_with(&format!(".{own}")),
            Host::Set(OWN) => name == OWN_NAMES.0 || name.ends_with(&format!(".{}", OWN_NAMES.1)),
            Host::Any | Host::Net(..) | Host::Set(_) => false,
        }
    }

    /// How specific the rule is, which stands at this place of the list. The lowest rank is the most
    /// specific: networks by their length, then whole names, then names below others by the number of
    /// labels, then sets, then `*`. Among equals fewer ports, then the earlier rule.
    fn rank(&self, at: usize) -> (u8, usize, u16, usize) {
        let (class, precision) = match self.host {
            Host::Net(_, length) => (0, usize::from(length)),
            Host::Name(_) => (1, 0),
            Host::Below(own) => (2, own.split('.').count()),
            Host::Set(_) => (3, 0),
            Host::Any => (4, 0),
        };
        (class, usize::MAX - precision, self.high - self.low, at)
    }

    /// Whether it holds for an address as a rule that denies.
    fn denies_address(&self, address: IpAddr) -> bool {
        self.has_address(address)
            || inside(address).is_some_and(|v4| self.has_address(v4))
            || self.host == Host::Set(0) && PUBLIC_BY_FORM.iter().any(|form| ip(form) == address)
    }

    /// Whether the rule is about this very address.
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

/// How a rule has an address. Of several ways, the first one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum By {
    /// By a name whose address the operator has fixed.
    FixedName,
    /// By a name that was looked up, the one that was pinned first.
    Pin(usize),
    Address,
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
    /// by any name that it has or had. Groups have no names.
    fn is_denied(&self, verb: &str, address: IpAddr, port: u16) -> bool {
        let pinned = self.pins.iter().filter(|pin| pin.address == address).map(|pin| pin.name);
        let names: Vec<_> = self.fixed_names(address).into_iter().chain(pinned).collect();
        self.deny.iter().filter(|rule| rule.verb == verb && rule.has_port(port)).any(|rule| {
            rule.denies_address(address)
                || verb != "multicast" && names.iter().any(|name| rule.has_name(name))
        })
    }

    /// Whether a rule denies a destination: by what it reaches, or as it was given.
    fn is_destination_denied(&self, verb: &str, to: SocketAddr) -> bool {
        let as_given = |rule: &ModelRule| {
            rule.verb == verb && rule.has_port(to.port()) && rule.has_address(plain(to.ip()))
        };
        self.is_denied(verb, reached(to.ip()), to.port())
            || reached(to.ip()) != plain(to.ip()) && self.deny.iter().any(as_given)
    }

    /// The most specific of these rules that allows an address, and how the rule has it. `names` is
    /// whether it may have it by a name.
    fn find(
        &self,
        rules: &[ModelRule],
        verb: &str,
        address: IpAddr,
        port: u16,
        names: bool,
    ) -> Option<(usize, By)> {
        let mut found = Vec::new();
        for (at, rule) in rules.iter().enumerate() {
            if rule.verb != verb || !rule.has_port(port) {
                continue;
            }
            let mut add = |by: By| found.push((rule.rank(at), by));
            if rule.has_address(address) {
                add(By::Address);
            }
            if names && self.fixed_names(address).iter().any(|name| rule.has_name(name)) {
                add(By::FixedName);
            }
            for (place, pin) in self.pins.iter().enumerate() {
                let counts = pin.address == address && self.is_fresh(pin) && !is_private(address);
                if names && counts && rule.has_name(pin.name) {
                    add(By::Pin(place));
                }
            }
        }
        let ((_, _, _, at), by) = found.into_iter().min()?;
        Some((at, by))
    }

    /// Decides in the steps of every decision. `by` is what rules that allow say, those of the policy
    /// or those that the guest has kept. What the guest has kept has no rules that deny.
    fn decide(&mut self, denied: bool, by: impl Fn(&mut Self, &[ModelRule]) -> Verdict) -> Verdict {
        if denied {
            return Verdict::Denied;
        }
        let verdict = match by(self, &self.allow.clone()) {
            Verdict::Denied if self.everything => Verdict::Everything,
            verdict => verdict,
        };
        if verdict == Verdict::Denied {
            return verdict;
        }
        let deny = std::mem::take(&mut self.deny);
        let is_kept = self.kept.clone().iter().all(|kept| by(self, kept) != Verdict::Denied);
        self.deny = deny;
        if is_kept { verdict } else { Verdict::Denied }
    }

    /// What rules say that allow an address. A pin that is used lives on.
    fn allowed(&mut self, rules: &[ModelRule], verb: &str, address: IpAddr, port: u16) -> Verdict {
        let names = verb != "multicast";
        let mut found = self.find(rules, verb, address, port, names);
        if verb == "udp-receive" && found.is_none() && !self.is_denied("udp-send", address, port) {
            // It may be the answer to what was sent.
            found = self.find(rules, "udp-send", address, port, names);
        }
        match found {
            Some((rule, by)) => {
                if let By::Pin(pin) = by {
                    self.pins[pin].used = self.pins[pin].used.max(self.now);
                }
                Verdict::Rule(rule)
            }
            // The operator has said which name the address has.
            None if verb == "reverse-resolve" && !self.fixed_names(address).is_empty() => {
                Verdict::Other
            }
            None => Verdict::Denied,
        }
    }

    /// Decides on an act that has an address.
    fn reach(&mut self, verb: &str, to: SocketAddr) -> Verdict {
        let is_destination = !matches!(verb, "udp-receive" | "reverse-resolve" | "multicast");
        let address = if is_destination { reached(to.ip()) } else { plain(to.ip()) };
        let denied = match is_destination {
            true => self.is_destination_denied(verb, to),
            false => self.is_denied(verb, address, to.port()),
        };
        self.decide(denied, |model, rules| model.allowed(rules, verb, address, to.port()))
    }

    /// Decides on a handshake that proves an address: no name helps.
    fn prove_address(&mut self, verb: &str, to: SocketAddr) -> Verdict {
        let denied = self.is_destination_denied(verb, to);
        self.decide(denied, |model, rules| {
            let found = model.find(rules, verb, plain(to.ip()), to.port(), false);
            found.map_or(Verdict::Denied, |(rule, _)| Verdict::Rule(rule))
        })
    }

    /// Decides on a handshake that proves a name: the rules about it decide, and those about any host.
    fn prove_name(&mut self, verb: &str, name: &str, port: u16) -> Verdict {
        let holds = |rule: &ModelRule| {
            let is_about = rule.host == Host::Any || rule.has_name(name);
            rule.verb == verb && rule.has_port(port) && is_about
        };
        let denied = self.deny.iter().any(holds);
        self.decide(denied, |_, rules| {
            let found = rules.iter().enumerate().filter(|(_, rule)| holds(rule));
            let best = found.min_by_key(|(at, rule)| rule.rank(*at));
            best.map_or(Verdict::Denied, |(at, _)| Verdict::Rule(at))
        })
    }

    /// Decides on the membership in some group: any rule about a group is enough.
    fn join_some_group(&mut self) -> Verdict {
        self.decide(false, |_, rules| match rules.iter().any(|rule| rule.verb == "multicast") {
            true => Verdict::Other,
            false => Verdict::Denied,
        })
    }

    /// Decides on a bind or a listen.
    fn local(&self, verb: &str, local: LocalAddress) -> Verdict {
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
                verb if IMPLYING.contains(&verb) => {
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
            .map(|rule| ModelRule { budget: false, lends: false, ..rule })
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
    /// How many acts of each verb were denied, and how many were allowed.
    verbs: BTreeMap<&'static str, [usize; 2]>,
}

impl Compared {
    fn count(&mut self, model: &Model, request: &Request<'_>, verdict: Verdict) {
        let host = match verdict {
            Verdict::Rule(rule) => model.allow.get(rule).map(|rule| rule.host),
            _ => None,
        };
        let is_pinned =
            matches!(host, Some(Host::Name(_) | Host::Below(_))) && model.fixed.is_empty();
        *match verdict {
            Verdict::Denied => &mut self.denied,
            Verdict::Rule(_) if is_pinned => &mut self.by_pin,
            Verdict::Rule(_) => &mut self.by_rule,
            Verdict::Everything | Verdict::Other => &mut self.by_everything,
        } += 1;
        let allowed = usize::from(verdict != Verdict::Denied);
        self.verbs.entry(request.verb().name()).or_default()[allowed] += 1;
    }
}

/// Makes the request of an act that has an address.
fn request(verb: &str, to: SocketAddr) -> Request<'static> {
    match verb {
        "tcp-connect" => Request::TcpConnect(to),
        "udp-send" => Request::UdpSend(to),
        "udp-receive" => Request::UdpReceive(to),
        "reverse-resolve" => Request::ReverseResolve(to.ip()),
        "multicast" => Request::Multicast(Some(to.ip())),
        verb => tls_request(verb, TlsRequest::Connect(to)),
    }
}

/// Makes the request of a verb about TLS.
fn tls_request<'a>(verb: &str, asked: TlsRequest<'a>) -> Request<'a> {
    match verb {
        "tls-connect" => Request::TlsConnect(asked),
        "tls-insecure" => Request::TlsInsecure(asked),
        "tls-upgrade" => Request::TlsUpgrade(asked),
        verb => panic!("{verb} is no verb about TLS"),
    }
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
        let name = random.pick(NAMES);
        let mut to = SocketAddr::new(some_address(random), random.pick(PORTS));
        let verb = if random.one_in(2) { random.pick(VERBS) } else { main };
        let (request, expected) = match random.below(16) {
            0 => {
                let step = random.pick(&[1, 1, 1000, 60_000, LIFETIME - 60_000, LIFETIME + 1]);
                model.now += step;
                writeln!(shown, "after {step} ms").expect("a string");
                continue;
            }
            1 => {
                let addresses: Vec<IpAddr> =
                    (0..random.below(5)).map(|_| some_address(random)).collect();
                pins.pin(name, &addresses, now);
                model.pin(name, &addresses);
                writeln!(shown, "pin {name} {addresses:?}").expect("a string");
                continue;
            }
            _ if verb == "resolve" => (Request::Resolve(name), model.resolve(name)),
            _ if LOCAL.contains(&verb) => {
                let local = LocalAddress {
                    address: to,
                    v6only: random.one_in(2),
                    kernel_chosen: random.one_in(3),
                    published: None,
                };
                let request = match verb {
                    "tcp-listen" => Request::TcpListen(local),
                    "tls-listen" => Request::TlsListen(local),
                    _ => Request::UdpBind(local),
                };
                let expected = model.local(verb, local);
                let judged = policy.judge_local(&request).is_ok();
                assert_eq!(judged, expected != Verdict::Denied, "seed {seed}: {request:?}");
                (request, expected)
            }
            2 | 3 if verb == "multicast" => (Request::Multicast(None), model.join_some_group()),
            2..=5 if TLS.contains(&verb) => {
                let asked = TlsRequest::Name(name, to.port());
                (tls_request(verb, asked), model.prove_name(verb, name, to.port()))
            }
            6..=8 if TLS.contains(&verb) => {
                (tls_request(verb, TlsRequest::Address(to)), model.prove_address(verb, to))
            }
            _ => {
                if PORTLESS.contains(&verb) {
                    to.set_port(0);
                }
                if verb == "udp-receive" {
                    // The check of every datagram is a function of its own.
                    let allowed = policy.udp_source_allowed(to, &pins, now);
                    let expected = model.clone().reach(verb, to) != Verdict::Denied;
                    assert_eq!(allowed, expected, "seed {seed}: a datagram of {to}\n{shown}");
                }
                (request(verb, to), model.reach(verb, to))
            }
        };
        compared.count(&model, &request, expected);
        check(&policy, &model, verb, expected, policy.decide(&request, &pins, now), &|| {
            format!("seed {seed}: {request:?}: {expected:?}\n{shown}")
        });
        writeln!(shown, "{request:?}: {expected:?}").expect("a string");
    }
}

/// Compares one decision with the model's.
fn check(
    policy: &Policy,
    model: &Model,
    verb: &str,
    expected: Verdict,
    found: Result<Allowed<'_>, Denial>,
    what: &dyn Fn() -> String,
) {
    match (found, expected) {
        (Err(_), Verdict::Denied) => {}
        // Which of the two verbs lets a datagram in is not compared.
        (Ok(_), Verdict::Rule(_)) if verb == "udp-receive" => {}
        (Ok(_), Verdict::Other) => {}
        (Ok(allowed), Verdict::Rule(rule)) => {
            let text = policy.allowed()[rule].to_string();
            assert_eq!(allowed.rule, Some(&*text), "{}", what());
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
}

#[test]
fn decisions_are_the_models() {
    let seeds = policies(5_000);
    let cases = seeds.end - seeds.start;
    let mut compared = Compared::default();
    seeds.for_each(|seed| compare(seed, &mut compared));
    println!("{compared:?}");
    let Compared { denied, by_rule, by_pin, by_everything, verbs } = compared;
    let least = [denied, by_rule, by_pin, by_everything].into_iter().min().unwrap_or(0);
    assert!(least as u64 >= cases / 10, "some kind of act is hardly compared");
    for verb in VERBS {
        let [denied, allowed] = verbs.get(verb).copied().unwrap_or_default();
        assert!(denied.min(allowed) as u64 >= cases / 10, "{verb} is hardly compared");
    }
}
