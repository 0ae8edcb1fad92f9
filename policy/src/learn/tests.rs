//! What is learnt allows what was done, and little else.

use std::net::SocketAddr;
use std::time::{Instant, SystemTime};

use proptest::prelude::*;
use sandsock_abi::constants::*;

use super::*;
use crate::pins::Pins;
use crate::unix::UnixTarget;
use crate::{LocalAddress, RawRequest};

/// What a guest does: requests and sockets, with the names that it looked up.
struct Guest {
    /// What would be enforced, without anything that is granted.
    known: Policy,
    pins: Pins,
    now: Instant,
    learner: Learner,
}

impl Guest {
    fn new(known: Policy) -> Self {
        let now = Instant::now();
        Self { known, pins: Pins::new(now), now, learner: Learner::new() }
    }

    fn does(&mut self, request: Request<'_>, call: &str) {
        let answer = self.known.decide(&request, &self.pins, self.now);
        let decision = Decision::of_request(SystemTime::UNIX_EPOCH, &request, &answer).passed();
        self.learner.saw(&Decision { call: Some(call), ..decision });
    }

    fn connects(&mut self, to: &str) {
        self.does(Request::TcpConnect(to.parse().unwrap()), "connect");
    }

    /// Looks a name up, as the host does.
    fn looks_up(&mut self, name: &str, addresses: &[&str]) {
        self.does(Request::Resolve(name), "get-address-info");
        let addresses: Vec<IpAddr> = addresses.iter().map(|a| a.parse().unwrap()).collect();
        for dropped in self.known.judge_answers(name, addresses.clone()).dropped {
            let target = format!("{name}={}", dropped.address);
            let time = SystemTime::UNIX_EPOCH;
            self.learner.saw(&Decision::denied(time, "resolve", target, &dropped.denial).passed());
        }
        self.pins.pin(name, &addresses, self.now);
    }

    fn makes(&mut self, socket: SocketArguments) {
        let (family, type_, protocol) = socket;
        let answer = self.known.may_create(family, type_, protocol);
        self.learner.saw(&Decision::of_socket(SystemTime::UNIX_EPOCH, socket, &answer).passed());
    }

    fn rules(&self) -> Vec<String> {
        self.generalised(&[])
    }

    fn generalised(&self, how: &[Generalise]) -> Vec<String> {
        self.learner.learnt(&self.known, how).rules.into_iter().map(|rule| rule.rule).collect()
    }
}

fn bare() -> Guest {
    Guest::new(Policy::of_rules(&[], &[]))
}

#[test]
fn a_name_is_learnt_in_place_of_its_addresses() {
    let mut guest = bare();
    guest.looks_up("db.example", &["203.0.113.1", "203.0.113.2"]);
    guest.connects("203.0.113.1:5432");
    guest.connects("203.0.113.2:5432");
    guest.connects("203.0.113.3:80");
    assert_eq!(guest.rules(), ["tcp-connect=203.0.113.3:80", "tcp-connect=db.example:5432"]);
    let learnt = guest.learner.learnt(&guest.known, &[]);
    assert_eq!(learnt.rules[1].comment, "seen 2 times, by connect");
    // A name that is only looked up is learnt too.
    guest.looks_up("other.example", &["203.0.113.9"]);
    assert_eq!(guest.rules().last().map(String::as_str), Some("resolve=other.example"));
}

#[test]
fn a_name_in_private_space_needs_its_address() {
    let mut guest = bare();
    guest.looks_up("localhost", &["127.0.0.1", "::1"]);
    guest.connects("[::1]:80");
    guest.connects("127.0.0.1:80");
    let learnt = guest.learner.learnt(&guest.known, &[]);
    assert_eq!(
        guest.rules(),
        ["tcp-connect=127.0.0.1:80", "tcp-connect=[::1]:80", "resolve=localhost"]
    );
    assert!(learnt.resolve.is_empty(), "{learnt:?}");
    // Without an act at its address, only a fixed answer lets the guest have it.
    guest.looks_up("intranet.example", &["10.0.0.1"]);
    let learnt = guest.learner.learnt(&guest.known, &[]);
    let address = "10.0.0.1".parse().unwrap();
    assert_eq!(learnt.resolve, [("intranet.example".to_owned(), vec![address])]);
}

#[test]
fn a_fixed_name_and_what_is_published_go_to_the_file() {
    let mut builder = Policy::builder();
    builder.resolve("db.example=10.0.0.5").unwrap().publish("0.0.0.0:80=127.0.0.1:8000").unwrap();
    let mut guest = Guest::new(builder.build());
    guest.looks_up("db.example", &["10.0.0.5"]);
    guest.connects("10.0.0.5:5432");
    let local = LocalAddress {
        published: Some("0.0.0.0:80".parse().unwrap()),
        ..LocalAddress::from("127.0.0.1:8000".parse::<SocketAddr>().unwrap())
    };
    guest.does(Request::TcpListen(local), "bind");
    let learnt = guest.learner.learnt(&guest.known, &[]);
    assert_eq!(guest.rules(), ["tcp-connect=db.example:5432"]);
    assert_eq!(learnt.resolve, [("db.example".to_owned(), vec!["10.0.0.5".parse().unwrap()])]);
    assert_eq!(learnt.publish, ["0.0.0.0:80=127.0.0.1:8000"]);
}

#[test]
fn replies_are_implied_by_what_was_sent() {
    let mut guest = bare();
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    guest.does(Request::UdpReceive(address("192.0.2.1:53")), "receive-from");
    guest.does(Request::UdpSend(address("192.0.2.1:53")), "send-to");
    guest.does(Request::UdpReceive(address("192.0.2.2:53")), "receive-from");
    guest.does(Request::UdpBind(address("0.0.0.0:0").into()), "bind");
    assert_eq!(
        guest.rules(),
        ["udp-bind=0.0.0.0:0", "udp-send=192.0.2.1:53", "udp-receive=192.0.2.2:53"]
    );
}

#[test]
fn what_a_rule_denies_is_not_learnt() {
    let mut guest = Guest::new(Policy::of_rules(&[], &["tcp-connect=10.0.0.0/8:*"]));
    let request = Request::TcpConnect("10.1.2.3:80".parse().unwrap());
    let answer = guest.known.decide(&request, &guest.pins, guest.now);
    guest.learner.saw(&Decision::of_request(SystemTime::UNIX_EPOCH, &request, &answer));
    assert!(guest.rules().is_empty());
}

#[test]
fn a_socket_that_is_only_made_needs_some_grant() {
    let mut guest = bare();
    guest.makes((AF_INET, SOCK_STREAM, 0));
    assert!(guest.rules().is_empty());
    guest.makes((AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
    guest.makes((AF_VSOCK, SOCK_STREAM, 0));
    let rules = guest.rules();
    let policy = Policy::of_rules(&rules.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
    assert!(policy.may_create(AF_INET, SOCK_DGRAM, IPPROTO_ICMP).is_ok(), "{rules:?}");
    assert!(policy.may_create(AF_VSOCK, SOCK_STREAM, 0).is_ok(), "{rules:?}");
    // An act with it is enough, and no example is added.
    let mut guest = bare();
    guest.makes((AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
    let to = RawRequest::Packet("192.0.2.1:1".parse().unwrap());
    guest.does(Request::Raw(to), "send-to");
    assert_eq!(guest.rules(), ["raw=icmp:192.0.2.1"]);
    // No rule can name this one.
    let mut guest = bare();
    guest.makes((AF_INET, SOCK_STREAM, 262));
    let learnt = guest.learner.learnt(&guest.known, &[]);
    assert!(learnt.rules.is_empty() && learnt.unnamed[0].contains("no verb"), "{learnt:?}");
}

#[test]
fn descriptors_of_granted_kinds_need_no_wider_grant() {
    let receives = |guest: &mut Guest, socket| {
        let request = Request::Ancillary(crate::Ancillary::RightsReceiveAny);
        let answer = guest.known.decide(&request, &guest.pins, guest.now);
        let decision = Decision::of_request(SystemTime::UNIX_EPOCH, &request, &answer).passed();
        guest.learner.saw(&decision.on(Some(socket)));
    };
    let mut guest = bare();
    guest.connects("192.0.2.1:80");
    receives(&mut guest, (AF_INET, SOCK_STREAM, IPPROTO_TCP));
    assert_eq!(guest.rules()[1], "ancillary=rights:receive");
    receives(&mut guest, (AF_INET, SOCK_DGRAM, IPPROTO_UDP));
    assert_eq!(guest.rules()[1], "ancillary=rights:receive,any");
}

#[test]
fn rules_are_generalised_where_that_is_asked_for() {
    let mut guest = bare();
    for to in ["192.0.2.1:80", "192.0.2.1:81", "192.0.2.2:80", "198.51.100.1:80"] {
        guest.connects(to);
    }
    let paths: [&[u8]; 3] = [b"/run/a/x.sock", b"/run/a/y.sock", b"/run/b/z.sock"];
    for path in paths {
        guest.does(Request::UnixConnect(UnixTarget::Path(path)), "connect");
    }
    assert_eq!(guest.rules().len(), 7);
    assert_eq!(
        guest.generalised(&[Generalise::Ports])[0..3],
        ["tcp-connect=192.0.2.1:*", "tcp-connect=192.0.2.2:80", "tcp-connect=198.51.100.1:80"]
    );
    assert_eq!(
        guest.generalised(&[Generalise::Networks])[0..3],
        ["tcp-connect=192.0.2.0/24:80", "tcp-connect=192.0.2.1:81", "tcp-connect=198.51.100.1:80"]
    );
    assert_eq!(
        guest.generalised(&[Generalise::Folders])[4..],
        ["unix-connect=/run/a/*", "unix-connect=/run/b/z.sock"]
    );
    let learnt = guest.learner.learnt(&guest.known, &[Generalise::Ports]);
    assert_eq!(learnt.rules[0].comment, "seen 2 times, by connect, in place of 2 rules");
    assert!("port".parse::<Generalise>().unwrap_err().ends_with("did you mean ports?"));
}

#[test]
fn too_many_different_acts_are_counted_and_left_out() {
    let mut guest = bare();
    for port in 0..MOST + 10 {
        let to = SocketAddr::from(([192, 0, 2, 1], u16::try_from(port).unwrap()));
        guest.does(Request::TcpConnect(to), "connect");
    }
    let learnt = guest.learner.learnt(&guest.known, &[]);
    assert_eq!((learnt.rules.len(), learnt.beyond), (MOST, 10));
}

#[test]
fn file_is_added_to_and_keeps_its_comments() {
    let mut guest = bare();
    guest.connects("192.0.2.1:80");
    guest.looks_up("intranet.example", &["10.0.0.1"]);
    let learnt = guest.learner.learnt(&guest.known, &[]);
    let mut text = PolicyText::new("A comment.\nAnother one.");
    assert_eq!(text.add(&learnt).len(), 3);
    let first = text.to_string();
    assert_eq!(
        first,
        "# A comment.\n# Another one.\nallow = [\n    # seen once, by connect\n    \"tcp-connect=192.0.2.1:80\",\n    # seen once, by get-address-info\n    \"resolve=intranet.example\",\n]\n\n[resolve]\n\"intranet.example\" = \"10.0.0.1\"\n"
    );
    let again = |text: &str| PolicyText::parse(Path::new("p.toml"), text).unwrap();
    assert_eq!(again(&first).add(&learnt), [""; 0], "nothing is new");
    for (before, after) in [
        ("", "allow = [\n    # seen once, by connect\n    \"tcp-connect=192.0.2.1:80\",\n]\n"),
        (
            "allow = []  # nothing yet\n[limits]\ndescriptors = 4 # few\n",
            "allow = [\n    # seen once, by connect\n    \"tcp-connect=192.0.2.1:80\",\n]  # nothing yet\n[limits]\ndescriptors = 4 # few\n",
        ),
        (
            "allow = [\"interfaces\"]\n",
            "allow = [\"interfaces\",\n    # seen once, by connect\n    \"tcp-connect=192.0.2.1:80\",\n]\n",
        ),
        (
            "allow = [\n  # Why.\n  'interfaces', # indeed\n  # More to come.\n]\n",
            "allow = [\n  # Why.\n  'interfaces', # indeed\n  # More to come.\n    # seen once, by connect\n    \"tcp-connect=192.0.2.1:80\",\n]\n",
        ),
        (
            "allow = [\n  'interfaces' # indeed\n]\n",
            "allow = [\n  'interfaces' # indeed\n,\n    # seen once, by connect\n    \"tcp-connect=192.0.2.1:80\",\n]\n",
        ),
    ] {
        let mut text = again(before);
        assert!(text.allow("tcp-connect=192.0.2.1:80", "seen once, by connect"));
        assert_eq!(text.to_string(), after);
        again(after);
    }
    let tables = "[[allow]]\nverb = 'interfaces'\n";
    let mut text = again(tables);
    assert!(text.allow("tcp-connect=192.0.2.1:80", "Why."));
    assert!(!text.allow("tcp-connect=192.0.2.1:80", "Why.") && !text.allow("interfaces", ""));
    let added = "\n# Why.\n[[allow]]\nverb = \"tcp-connect\"\ntarget = \"192.0.2.1:80\"\n";
    assert_eq!(text.to_string(), format!("{tables}{added}"));
    again(&text.to_string());
    let refused = PolicyText::parse(Path::new("p.toml"), "allow = []\nallow = []");
    let refused = refused.unwrap_err().to_string();
    assert!(refused.starts_with("p.toml:2:1: duplicate key"), "{refused}");
}

fn addresses() -> impl Strategy<Value = IpAddr> {
    let special = prop::sample::select(
        "0.0.0.0 127.0.0.1 10.9.9.9 224.0.0.1 :: ::1 ::ffff:127.0.0.1 64:ff9b::a09:909 fe80::1 ff02::1 203.0.113.1 203.0.113.2 2001:db8::1 2001:db8::2"
            .split_whitespace()
            .map(|text| text.parse().unwrap())
            .collect::<Vec<IpAddr>>(),
    );
    prop_oneof![4 => special, 1 => any::<u32>().prop_map(|n| IpAddr::from(n.to_be_bytes()))]
}

fn ports() -> impl Strategy<Value = u16> {
    prop_oneof![prop::sample::select(vec![0, 1, 7, 80, 5432]), 0..40_000u16]
}

/// Acts with an address, by number.
fn act(number: u8, at: SocketAddr) -> Request<'static> {
    // A port that the kernel chose is none of those that are asked for.
    let chosen = SocketAddr::new(at.ip(), 40_000);
    let local = match number % 2 {
        0 => LocalAddress { kernel_chosen: true, ..LocalAddress::from(chosen) },
        _ => LocalAddress::from(at),
    };
    match number % 9 {
        0 => Request::TcpConnect(at),
        1 => Request::TcpListen(local),
        2 => Request::UdpBind(local),
        3 => Request::UdpSend(at),
        4 => Request::UdpReceive(at),
        5 => Request::ReverseResolve(at.ip()),
        6 => Request::Multicast(Some(at.ip())),
        7 => Request::Raw(RawRequest::Packet(SocketAddr::new(at.ip(), at.port() & 0xff))),
        _ => Request::Multicast(None),
    }
}

proptest! {
    /// Every act that a rule can name is allowed by what was learnt, generalised or not.
    #[test]
    fn what_was_done_is_allowed(
        acts in prop::collection::vec((any::<u8>(), addresses(), ports()), 1..20),
        names in prop::collection::vec((prop::sample::select(vec!["a.example", "b.example", "localhost"]), addresses()), 0..4),
        more in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        how in prop::collection::vec(prop::sample::select(vec![Generalise::Ports, Generalise::Networks, Generalise::Folders]), 0..3),
    ) {
        let samples = Request::samples();
        let mut guest = bare();
        for (name, address) in &names {
            guest.looks_up(name, &[&address.to_string()]);
        }
        let acts: Vec<Request<'_>> = acts
            .iter()
            .map(|(number, address, port)| act(*number, SocketAddr::new(*address, *port)))
            .chain(more.iter().map(|index| samples[index.index(samples.len())]))
            .collect();
        for request in &acts {
            guest.does(*request, "call");
        }
        let learnt = guest.learner.learnt(&guest.known, &how);
        let mut builder = Policy::builder();
        builder.base_directory("/base").unwrap();
        for rule in &learnt.rules {
            builder.allow(&rule.rule).unwrap();
        }
        for (name, addresses) in &learnt.resolve {
            for address in addresses {
                builder.resolve(&format!("{name}={address}")).unwrap();
            }
        }
        let policy = builder.build();
        for request in &acts {
            let nameable = guest.known.decide(request, &guest.pins, guest.now)
                .err().is_some_and(|denial| denial.grant.is_some());
            if nameable {
                let answer = policy.decide(request, &guest.pins, guest.now);
                prop_assert!(answer.is_ok(), "{request:?}: {answer:?} by {learnt:?}");
            }
        }
        for (name, address) in &names {
            let judged = policy.judge_answers(name, vec![*address]);
            prop_assert!(policy.decide(&Request::Resolve(name), &guest.pins, guest.now).is_ok());
            let other = names.iter().any(|(same, other)| same == name && other != address);
            prop_assert!(other || judged.denial().is_none(), "{name} {address}: {judged:?} by {learnt:?}");
        }
        // The smallest: without any one rule, some act or look-up is denied.
        if how.is_empty() && more.is_empty() {
            for left_out in &learnt.rules {
                let rest = learnt.rules.iter().filter(|rule| *rule != left_out);
                let rest: Vec<&str> = rest.map(|rule| rule.rule.as_str()).collect();
                let smaller = Policy::of_rules(&rest, &[]);
                let denied = acts.iter().any(|act| smaller.decide(act, &guest.pins, guest.now).is_err())
                    || names.iter().any(|(name, _)| smaller.decide(&Request::Resolve(name), &guest.pins, guest.now).is_err());
                prop_assert!(denied, "{} is not needed in {learnt:?}", left_out.rule);
            }
        }
    }
}
