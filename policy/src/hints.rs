//! Every hint that a denial gives is a rule, and with it the same request is allowed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Instant;

use proptest::prelude::*;
use sandsock_abi::constants::*;

use super::*;

/// What is granted and denied from the start, besides nothing at all: rules that leave much to be
/// asked for.
const ALLOW: [&str; 7] = [
    "tcp-connect=db.example:5432-5433",
    "raw=icmp:db.example",
    "raw=icmp6:six.example",
    "resolve=*.example",
    "unix-bind=/base/granted/*",
    "packet=lo:arp",
    "netlink=route:read",
];
const DENY: [&str; 5] = [
    "tcp-connect=10.9.9.9:*",
    "udp-bind=*:7",
    "unix-connect=/base/denied",
    "resolve=no.example",
    "unix-bind=@00001",
];

fn policy(allow: &[String], deny: &[&str]) -> Policy {
    let mut builder = Policy::builder();
    builder.base_directory("/base").unwrap();
    for rule in allow {
        builder.allow(rule).unwrap_or_else(|e| panic!("the hint {rule} is refused: {e}"));
    }
    for rule in deny {
        builder.deny(rule).unwrap();
    }
    builder.build()
}

/// The grants that a sentence names behind `--allow`, as a shell would read them.
fn named(reason: &str) -> Vec<String> {
    let after = reason.split("--allow ").skip(1);
    let word = |text: &str| match text.strip_prefix('\'') {
        // A word may end in a comma of its own; the sentence goes on only with `, or by`.
        None => {
            let word = text.split(", or by").next().unwrap_or_default();
            word.split(' ').next().unwrap_or_default().to_owned()
        }
        Some(quoted) => {
            // A quote inside is written '\''.
            let whole = quoted.replace(r"'\''", "\u{1}");
            whole.split('\'').next().unwrap_or_default().replace('\u{1}', "'")
        }
    };
    after.map(word).collect()
}

/// Demands of a denial's hints that they are rules, and that each lets the request through.
fn demand(request: &Request<'_>, pins: &Pins, now: Instant) {
    for (allow, deny) in [(&[][..], &[][..]), (&ALLOW[..], &[][..]), (&ALLOW[..], &DENY[..])] {
        let allow: Vec<String> = allow.iter().map(|rule| (*rule).to_owned()).collect();
        let Err(denial) = policy(&allow, deny).decide(request, pins, now) else { continue };
        let hints = named(&denial.reason);
        assert_eq!(denial.grant.as_ref(), hints.first(), "{denial}");
        for hint in hints {
            assert!(denial.rule.is_none(), "no grant helps against a rule: {denial}");
            let with: Vec<String> = allow.iter().cloned().chain([hint.clone()]).collect();
            let result = policy(&with, deny).decide(request, pins, now).map(drop);
            assert!(result.is_ok(), "{request:?}: {denial}; with {hint}: {result:?}");
        }
    }
}

fn demand_alone(request: &Request<'_>) {
    let now = Instant::now();
    demand(request, &Pins::new(now), now);
}

fn addresses() -> impl Strategy<Value = IpAddr> {
    let special = prop::sample::select(
        "0.0.0.0 127.0.0.1 10.9.9.9 255.255.255.255 224.0.0.1 169.254.169.254 :: ::1 ::ffff:0.0.0.0 ::ffff:127.0.0.1 \
         ::127.0.0.1 64:ff9b::a09:909 2002:a09:909:: fe80::1 ff02::1 fd00::1 203.0.113.1 2001:db8::1"
            .split_whitespace()
            .map(|text| text.parse().unwrap())
            .collect::<Vec<IpAddr>>(),
    );
    prop_oneof![
        special,
        any::<u32>().prop_map(|bits| Ipv4Addr::from(bits).into()),
        any::<u128>().prop_map(|bits| Ipv6Addr::from(bits).into()),
    ]
}

fn ports() -> impl Strategy<Value = u16> {
    prop_oneof![prop::sample::select(vec![0, 1, 7, 58, 255, 256, 5432, u16::MAX]), any::<u16>()]
}

/// Text with what has a meaning to rules, shells and terminals.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        r"[a-z0-9.*?@:/\\'\[\] _-]{0,24}",
        any::<String>(),
        r"[a-z]{1,8}(\.[a-z0-9]{1,8}){0,3}\.?"
    ]
}

proptest! {
    #[test]
    fn of_addresses(address in addresses(), port in ports(), v6only: bool, kernel_chosen: bool) {
        let to = SocketAddr::new(address, port);
        let local = LocalAddress { address: to, v6only, kernel_chosen, published: None };
        for request in [
            Request::TcpConnect(to),
            Request::UdpSend(to),
            Request::UdpReceive(to),
            Request::TcpListen(local),
            Request::TlsListen(local),
            Request::UdpBind(local),
            Request::Raw(RawRequest::Packet(to)),
            Request::ReverseResolve(address),
            Request::Multicast(Some(address)),
            Request::Multicast(None),
        ] {
            demand_alone(&request);
        }
        for protocol in 0..=255 {
            demand_alone(&Request::Raw(RawRequest::Packet(SocketAddr::new(address, protocol))));
        }
    }

    #[test]
    fn of_addresses_that_have_names(address in addresses(), port in ports(), name in texts()) {
        let now = Instant::now();
        for name in [name.as_str(), "db.example", "six.example", "other.example", "ends.123"] {
            let mut pins = Pins::new(now);
            pins.pin(name, &[address], now);
            let to = SocketAddr::new(address, port);
            for request in [Request::TcpConnect(to), Request::UdpSend(to), Request::Raw(RawRequest::Packet(to)), Request::UdpReceive(to)] {
                demand(&request, &pins, now);
            }
        }
    }

    #[test]
    fn of_names_and_paths(text in texts(), bytes in prop::collection::vec(any::<u8>(), 0..108)) {
        for bytes in [text.as_bytes(), &bytes] {
            for target in [UnixTarget::Path(bytes), UnixTarget::Abstract(bytes), UnixTarget::Unnamed] {
                demand_alone(&Request::UnixConnect(target));
                demand_alone(&Request::UnixBind(target));
            }
        }
        demand_alone(&Request::Resolve(&text));
        demand_alone(&Request::Packet(PacketRequest { interface: Some(&text), protocol: 0 }));
        demand_alone(&Request::Netlink(NetlinkRequest::Generic(&text)));
        demand_alone(&Request::Netlink(NetlinkRequest::Other(&text)));
        for interface in [CanInterface::Name(&text), CanInterface::All, CanInterface::Unknown(3)] {
            for protocol in -1..9 {
                demand_alone(&Request::Can(CanRequest { interface, protocol }));
            }
        }
        for kind in ["hash", "skcipher", text.as_str()] {
            demand_alone(&Request::Family(FamilyTarget::Alg { kind, name: &text }));
        }
    }

    #[test]
    fn of_numbers(number: i32, other: u32, protocol: u16, named: bool) {
        demand_alone(&Request::Inherit(DescriptorNumber(number)));
        demand_alone(&Request::Inherit(DescriptorNumber(number & 0xff)));
        demand_alone(&Request::Packet(PacketRequest { interface: named.then_some("eth0"), protocol }));
        for cid in [0, 1, 2, u32::MAX, other] {
            for port in [0, 1024, u32::MAX, other] {
                for purpose in [VsockUse::Connect, VsockUse::Listen] {
                    demand_alone(&Request::Family(FamilyTarget::Vsock { purpose, cid, same: &[cid], port }));
                }
            }
        }
        for target in [
            BluetoothTarget::L2cap,
            BluetoothTarget::Rfcomm,
            BluetoothTarget::Sco,
            BluetoothTarget::Hci(protocol),
            BluetoothTarget::Hci(protocol % 6),
        ] {
            demand_alone(&Request::Family(FamilyTarget::Bluetooth(target)));
        }
    }

    /// A look-up's answer, with the name granted: the address, or the fixed answer, makes it one
    /// that the guest gets.
    #[test]
    fn of_answers(address in addresses(), name in prop::sample::select(vec!["db.example", "six.example", "other.example"])) {
        for deny in [&[][..], &DENY[..], &["tcp-connect=0.0.0.0/0:*"], &["tcp-connect=*:5432", "raw=icmp"]] {
            let allow = ALLOW.map(str::to_owned).to_vec();
            let judged = policy(&allow, deny).judge_answers(name, vec![address]);
            let Some(denial) = judged.denial() else { continue };
            for hint in named(&denial.reason) {
                assert_eq!(denial.grant.as_ref(), Some(&hint));
                let with: Vec<String> = allow.iter().cloned().chain([hint.clone()]).collect();
                let result = policy(&with, deny).judge_answers(name, vec![address]);
                prop_assert!(result.denial().is_none(), "{denial}; with {hint}: {result:?}");
                // And the guest may go there.
                let Ok(Grant::TcpConnect(pattern)) = hint.parse() else { continue };
                let to = Request::TcpConnect(SocketAddr::new(address, pattern.ports.low()));
                let now = Instant::now();
                prop_assert!(deny.len() > 1 || policy(&with, deny).decide(&to, &Pins::new(now), now).is_ok(), "{hint}");
            }
            if let Some((_, fixed)) = denial.reason.split_once("--resolve ") {
                let mut builder = Policy::builder();
                for rule in ALLOW {
                    builder.allow(rule).unwrap();
                }
                for rule in deny {
                    builder.deny(rule).unwrap();
                }
                builder.resolve(fixed).unwrap();
                let policy = builder.build();
                let answers = policy.fixed(name).unwrap().to_vec();
                prop_assert_eq!(policy.judge_answers(name, answers.clone()).kept, answers, "{}", fixed);
            }
        }
    }
}

#[test]
fn of_every_verb() {
    for request in Request::samples() {
        demand_alone(&request);
    }
}

#[test]
fn of_sockets() {
    let none = policy(&[], &[]);
    let mut hinted = 0;
    for family in -1..46 {
        for kind in 0..11 {
            for protocol in (-1..300).chain([i32::from(3u16.to_be()), i32::from(0x88f7u16.to_be())])
            {
                let Err(denial) = none.may_create(family, kind, protocol) else { continue };
                for hint in named(&denial.reason) {
                    let with = policy(std::slice::from_ref(&hint), &[]);
                    assert!(
                        with.may_create(family, kind, protocol).is_ok(),
                        "{family} {kind} {protocol}: {denial}"
                    );
                    hinted += 1;
                }
            }
        }
        let denial = none.no_input(family);
        assert_eq!(named(&denial.reason), [denial.grant.clone().unwrap()]);
        assert!(policy(&[denial.grant.unwrap()], &[]).has_grant_for(
            if [AF_UNIX, AF_INET6].contains(&family) { family } else { AF_INET },
            SOCK_DGRAM,
            0
        ));
    }
    assert!(hinted > 700, "{hinted}");
}
