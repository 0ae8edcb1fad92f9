use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::super::senders::Carried;
use super::super::{Pins, Policy};
use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const UDP: Layout = Layout { v6: true, ports: true };

/// A datagram, as a filter sees it.
struct Packet {
    ip: Vec<u8>,
    data: Vec<u8>,
}

impl Packet {
    fn from(source: SocketAddr) -> Self {
        let mut ip = match source.ip() {
            IpAddr::V4(_) => vec![0x45; 20],
            IpAddr::V6(_) => vec![0x60; 40],
        };
        match source.ip() {
            IpAddr::V4(v4) => ip[12..16].copy_from_slice(&v4.octets()),
            IpAddr::V6(v6) => ip[8..24].copy_from_slice(&v6.octets()),
        }
        Self { ip, data: [&source.port().to_be_bytes()[..], &[0; 6], b"data"].concat() }
    }

    fn load(&self, at: u32, size: usize) -> Option<u32> {
        let (bytes, at) = match at.checked_sub(NET_OFF) {
            Some(at) => (&self.ip, at as usize),
            None => (&self.data, at as usize),
        };
        Some(bytes.get(at..at + size)?.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)))
    }
}

/// Runs a program as the kernel does: how many bytes of the packet it lets in.
fn run(program: &[Instruction], packet: &Packet) -> u32 {
    let (mut a, mut at) = (0xdead_beefu32, 0);
    loop {
        let Instruction { code, jt, jf, k } = program[at];
        at += 1;
        let size = match code {
            LD_WORD => 4,
            LD_HALF => 2,
            _ => 1,
        };
        let jump = |taken| usize::from(if taken { jt } else { jf });
        match code {
            LD_WORD | LD_HALF | LD_BYTE => match packet.load(k, size) {
                Some(value) => a = value,
                None => return 0,
            },
            LD_IMM => a = k,
            LDX_IMM => {}
            SHIFT_RIGHT => a >>= k,
            JUMP => at += k as usize,
            JUMP_EQUAL => at += jump(a == k),
            JUMP_GREATER => at += jump(a > k),
            RETURN => return k,
            code => panic!("no instruction {code:#x}"),
        }
    }
}

fn lets_in(program: &[Instruction], source: SocketAddr) -> bool {
    run(program, &Packet::from(source)) > 0
}

fn policy(allow: &[String], deny: &[String], everything: bool) -> Policy {
    let mut builder = Policy::builder();
    builder.set("own=10.0.0.0/30,b.example,public").unwrap();
    builder.host_networks(["2a00:1::/64".parse().unwrap()]);
    for rule in allow {
        builder.allow(rule).unwrap_or_else(|error| panic!("{rule}: {error}"));
    }
    for rule in deny {
        builder.deny(rule).unwrap_or_else(|error| panic!("{rule}: {error}"));
    }
    builder.resolve("fixed.example=192.0.2.9").unwrap();
    builder.resolve("fixed.example=10.0.0.9").unwrap();
    if everything {
        builder.allow_all();
    }
    builder.build()
}

fn texts(rules: &[&str]) -> Vec<String> {
    rules.iter().map(|rule| (*rule).to_owned()).collect()
}

/// Addresses that lie in and around what the rules below name.
fn address() -> impl Strategy<Value = IpAddr> {
    prop::sample::select(
        [
            "0.0.0.0",
            "9.255.255.255",
            "10.0.0.0",
            "10.0.0.1",
            "10.0.0.2",
            "10.0.0.9",
            "10.255.255.255",
            "11.0.0.0",
            "127.0.0.1",
            "192.0.2.0",
            "192.0.2.1",
            "192.0.2.9",
            "192.0.2.255",
            "203.0.113.7",
            "255.255.255.255",
            "::",
            "::1",
            "2001:db8::",
            "2001:db8::1",
            "2001:db8:0:1::",
            "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
            "2001:db9::",
            "64:ff9b::a00:1",
            "64:ff9b::808:808",
            "2002:a00:1::",
            "2002:808:808::",
            "2001:0:808:808::f5ff:fffe",
            "2a00::5efe:a00:1",
            "2a00:1::1",
            "8.8.8.8",
            "fe80::1",
            "ff02::1",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        ]
        .map(|text| text.parse().unwrap())
        .to_vec(),
    )
}

fn rule() -> impl Strategy<Value = String> {
    let hosts = prop_oneof![
        Just("*".to_owned()),
        Just("a.example".to_owned()),
        Just("*.example".to_owned()),
        Just("fixed.example".to_owned()),
        prop::sample::select(vec!["public", "private", "loopback", "multicast", "own"])
            .prop_map(str::to_owned),
        prop::sample::select(vec!["10.0.0.0/8", "10.0.0.0/31", "0.0.0.0/0", "192.0.2.0/24"])
            .prop_map(str::to_owned),
        prop::sample::select(vec!["[2001:db8::/32]", "[2001:db8::/64]", "[::/0]", "[fe80::/10]"])
            .prop_map(str::to_owned),
        address().prop_filter("a destination", |ip| !ip.is_unspecified()).prop_map(|ip| match ip {
            IpAddr::V4(v4) => v4.to_string(),
            IpAddr::V6(v6) => format!("[{v6}]"),
        }),
    ];
    let ports = prop_oneof![
        Just("*".to_owned()),
        (1u16..12).prop_map(|port| port.to_string()),
        (1u16..6, 6u16..12).prop_map(|(low, high)| format!("{low}-{high}")),
        Just("65535".to_owned()),
    ];
    (prop::sample::select(vec!["udp-send", "udp-receive"]), hosts, ports)
        .prop_map(|(verb, host, port)| format!("{verb}={host}:{port}"))
}

fn port() -> impl Strategy<Value = u16> {
    prop_oneof![0u16..14, Just(65534), Just(65535)]
}

proptest! {
    #[test]
    fn program_lets_in_whom_the_policy_allows(
        allow in prop::collection::vec(rule(), 0..8),
        deny in prop::collection::vec(rule(), 0..4),
        everything in any::<bool>(),
        pinned in prop::collection::vec((prop::sample::select(vec!["a.example", "b.example"]), address(), any::<bool>()), 0..4),
        sources in prop::collection::vec((address(), port()), 1..40),
    ) {
        let policy = policy(&allow, &deny, everything);
        let start = Instant::now();
        let now = start + 8 * MINUTE;
        let mut pins = Pins::new(start);
        // Some of the pins have expired by now.
        for (name, address, fresh) in &pinned {
            pins.pin(name, &[*address], if *fresh { start + 7 * MINUTE } else { start });
        }
        let followed = policy.senders_pinned(Carried::Udp, &pins, now);
        if let Some(until) = followed.1 {
            prop_assert!(until >= now && until <= now + 5 * MINUTE);
        }
        let any_name = policy.senders_of_any_name(Carried::Udp);
        for (senders, follows) in [(&followed.0, true), (&any_name, false)] {
            for step in 0..=Senders::STEPS {
                let program = program(senders, UDP, &[], step).expect("a short one");
                for (ip, port) in &sources {
                    let source = SocketAddr::new(*ip, *port);
                    let (allowed, passes) =
                        (policy.udp_source_allowed(source, &pins, now), lets_in(&program.instructions, source));
                    if program.exact && follows {
                        prop_assert_eq!(allowed, passes, "{} of {:?} {:?}", source, allow, deny);
                    }
                    prop_assert!(passes || !allowed, "{} is left out at step {} of {:?} {:?}", source, step, allow, deny);
                }
            }
        }
        if !policy.restricts_senders(Carried::Udp) {
            for (ip, port) in sources {
                prop_assert!(policy.udp_source_allowed(SocketAddr::new(ip, port), &pins, now));
            }
        }
    }
}

#[test]
fn program_of_plain_rules_is_exact() {
    let policy = policy(
        &texts(&[
            "udp-receive=10.0.0.0/8:53",
            "udp-send=[2001:db8::1]:1-5",
            "udp-send=192.0.2.1:*",
        ]),
        &texts(&["udp-receive=10.0.0.2:*", "udp-send=[2001:db8::1]:3"]),
        false,
    );
    for (v6, exact) in [(false, true), (true, false)] {
        // An IPv6 address may hold the denied IPv4 address.
        let program = policy.sender_program(Carried::Udp, Layout { v6, ports: true });
        assert_eq!(program.exact, exact);
        let passes = |text: &str| lets_in(&program.instructions, text.parse().unwrap());
        assert!(
            passes("10.0.0.1:53")
                && !passes("10.0.0.2:53")
                && !passes("10.0.0.1:54")
                && !passes("11.0.0.1:53")
        );
        assert!(passes("192.0.2.1:0") && passes("192.0.2.1:65535") && !passes("192.0.2.2:0"));
        if v6 {
            assert!(
                passes("[2001:db8::1]:2")
                    && passes("[2001:db8::1]:5")
                    && !passes("[2001:db8::1]:3")
            );
            assert!(!passes("[2001:db8::1]:6") && !passes("[2001:db8::2]:2"));
        }
    }
}

#[test]
fn program_of_packets_goes_by_the_protocol_alone() {
    let policy = policy(&texts(&["raw=icmp:127.0.0.0/8", "raw=icmp6:::1", "raw=89"]), &[], false);
    for (protocol, source, allowed) in [
        (1, "127.9.9.9:0", true),
        (1, "128.0.0.0:0", false),
        (58, "[::1]:0", true),
        (58, "[::2]:0", false),
        (89, "[::2]:0", true),
    ] {
        let program =
            policy.sender_program(Carried::Packets(protocol), Layout { v6: true, ports: false });
        assert!(program.exact);
        assert_eq!(
            lets_in(&program.instructions, source.parse().unwrap()),
            allowed,
            "{protocol} {source}"
        );
    }
    assert!(
        policy.restricts_senders(Carried::Packets(1))
            && !policy.restricts_senders(Carried::Packets(89))
    );
}

#[test]
fn program_of_ports_that_it_cannot_see_lets_them_in_and_says_so() {
    let policy = policy(&texts(&["udp-receive=10.0.0.1:53"]), &[], false);
    let program = policy.sender_program(Carried::Udp, Layout { v6: false, ports: false });
    assert!(!program.exact && lets_in(&program.instructions, "10.0.0.1:54".parse().unwrap()));
    assert!(!lets_in(&program.instructions, "10.0.0.2:53".parse().unwrap()));
}

#[test]
fn program_of_many_rules_is_short_and_leaves_nobody_out() {
    let rules: Vec<String> = (0..3000u32)
        .map(|n| {
            let v4 = std::net::Ipv4Addr::from(0x0a00_0000 + n * 0x1003);
            let v6 = std::net::Ipv6Addr::from((0x2001_0db8u128 << 96) + (u128::from(n) << 50));
            if n % 2 == 0 {
                format!("udp-receive={v4}:{}", n + 1)
            } else {
                format!("udp-send=[{v6}]:{}", n + 1)
            }
        })
        .collect();
    let policy = policy(&rules, &[], false);
    let program = policy.sender_program(Carried::Udp, UDP);
    assert!(
        program.instructions.len() <= EXACT && !program.exact,
        "{}",
        program.instructions.len()
    );
    for rule in rules {
        let source: SocketAddr = rule.split_once('=').unwrap().1.parse().unwrap();
        assert!(lets_in(&program.instructions, source), "{rule}");
    }
    // A network that no rule is near is still told apart.
    assert!(!lets_in(&program.instructions, "203.0.113.1:1".parse().unwrap()));
    assert!(policy.restricts_senders(Carried::Udp));
}

#[test]
fn program_has_the_guests_own_behind_it() {
    let policy = policy(&texts(&["udp-receive=10.0.0.1:53"]), &[], false);
    let senders = policy.senders(Carried::Udp);
    // Both registers are 0 at the start of the guest's program, which lets in 7 bytes.
    let zero = |yes, no| Instruction { code: JUMP_EQUAL, jt: yes, jf: no, k: 0 };
    let ret = |k| Instruction { code: RETURN, jt: 0, jf: 0, k };
    let guest = [zero(0, 1), ret(7), ret(0)];
    let program = program(&senders, UDP, &guest, 0).expect("there is room");
    assert!(program.instructions.ends_with(&guest) && program.exact);
    let of = |text: &str| run(&program.instructions, &Packet::from(text.parse().unwrap()));
    assert_eq!((of("10.0.0.1:53"), of("10.0.0.1:54"), of("10.0.0.2:53")), (7, 0, 0));
    for (length, fits) in
        [(LONGEST_PROGRAM - 30, true), (LONGEST_PROGRAM - 2, false), (LONGEST_PROGRAM, false)]
    {
        let long = vec![ret(7); length];
        let program = super::program(&senders, UDP, &long, 0);
        assert_eq!(program.is_some(), fits, "{length}");
        assert!(program.is_none_or(|program| program.instructions.len() <= LONGEST_PROGRAM));
    }
}

#[test]
fn program_reaches_over_long_distances() {
    // Each address has a list of ports of its own: the leaves lie far from the tree.
    let rules: Vec<String> = (0..90u16)
        .map(|n| format!("udp-receive=10.0.{n}.1:{}-{}", 10 * n + 1, 10 * n + 5))
        .collect();
    let policy = policy(&rules, &[], false);
    let program = policy.sender_program(Carried::Udp, UDP);
    assert!(program.exact && program.instructions.len() > 400, "{}", program.instructions.len());
    for n in 0..90u16 {
        for (port, allowed) in
            [(10 * n, false), (10 * n + 1, true), (10 * n + 5, true), (10 * n + 6, false)]
        {
            let source = SocketAddr::new(IpAddr::from([10, 0, n as u8, 1]), port);
            assert_eq!(lets_in(&program.instructions, source), allowed, "{source}");
        }
    }
}
