use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use proptest::prelude::*;
use sandsock_abi::constants::*;

use super::*;
use crate::address::{canonical, destination};
use crate::*;
use sandsock_abi::option;
use sandsock_abi::option::Access;
use std::net::SocketAddr;

const MINUTE: Duration = Duration::from_secs(60);

/// A policy with pins and a time, to ask about.
struct Case {
    policy: Policy,
    pins: Pins,
    now: Instant,
}

fn case(allow: &[&str], deny: &[&str]) -> Case {
    case_of(allow, deny, |_| ())
}

fn case_of(allow: &[&str], deny: &[&str], more: impl FnOnce(&mut PolicyBuilder)) -> Case {
    let mut builder = Policy::builder();
    builder.base_directory("/base").unwrap();
    for rule in allow {
        builder.allow(rule).unwrap();
    }
    for rule in deny {
        builder.deny(rule).unwrap();
    }
    more(&mut builder);
    let now = Instant::now();
    Case { policy: builder.build(), pins: Pins::new(now), now }
}

fn everything(builder: &mut PolicyBuilder) {
    builder.allow_all();
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// A request from the words of a policy.
fn request(text: &str) -> Request<'_> {
    let (verb, target) = text.split_once('=').unwrap_or((text, ""));
    let unix = || match target.strip_prefix('@') {
        Some(name) => UnixTarget::Abstract(name.as_bytes()),
        None if target.is_empty() => UnixTarget::Unnamed,
        None => UnixTarget::Path(target.as_bytes()),
    };
    match verb {
        "tcp-connect" => Request::TcpConnect(at(target)),
        "tcp-listen" => Request::TcpListen(at(target).into()),
        "tls-listen" => Request::TlsListen(at(target).into()),
        "udp-bind" => Request::UdpBind(at(target).into()),
        "udp-send" => Request::UdpSend(at(target)),
        "udp-receive" => Request::UdpReceive(at(target)),
        "unix-connect" => Request::UnixConnect(unix()),
        "unix-bind" => Request::UnixBind(unix()),
        "can" => {
            let pattern = CanPattern::parse(target).unwrap();
            let (name, _) = target.split_once(':').unwrap_or((target, ""));
            let interface = if name == "*" { CanInterface::All } else { CanInterface::Name(name) };
            Request::Can(CanRequest { interface, protocol: pattern.protocol.unwrap_or(CAN_RAW) })
        }
        "family" => Request::Family(match target.split(':').collect::<Vec<_>>()[..] {
            ["alg", kind, name] => FamilyTarget::Alg { kind, name },
            ["tipc"] => FamilyTarget::Tipc,
            ["vsock", purpose, cid, port] => FamilyTarget::Vsock {
                purpose: if purpose == "listen" { VsockUse::Listen } else { VsockUse::Connect },
                cid: cid.parse().unwrap(),
                same: &[],
                port: port.parse().unwrap(),
            },
            ["bluetooth", "l2cap"] => FamilyTarget::Bluetooth(BluetoothTarget::L2cap),
            ["bluetooth", "rfcomm"] => FamilyTarget::Bluetooth(BluetoothTarget::Rfcomm),
            ["bluetooth", "sco"] => FamilyTarget::Bluetooth(BluetoothTarget::Sco),
            ["bluetooth", "hci", channel] => {
                let channels = ["raw", "user", "monitor", "control", "logging"];
                let at = channels.iter().position(|word| *word == channel).unwrap();
                FamilyTarget::Bluetooth(BluetoothTarget::Hci(at as u16))
            }
            ["rds"] => FamilyTarget::Rds,
            ["qipcrtr"] => FamilyTarget::Qipcrtr,
            _ => panic!("{text}"),
        }),
        "resolve" => Request::Resolve(target),
        "reverse-resolve" => Request::ReverseResolve(ip(target)),
        "interfaces" => Request::Interfaces(Alone),
        "hostname" if target == "read" => Request::Hostname(Hostname::Read),
        "hostname" => Request::Hostname(Hostname::Set),
        "option" => {
            let (level, name) = target.split_once('/').unwrap();
            let row = option::by_name(level, name).unwrap();
            Request::Option(OptionRequest::Set {
                family: AF_INET,
                level: row.level,
                number: row.number,
                datagram: false,
            })
        }
        "raw" => match target.split_once(':') {
            None => Request::Raw(RawRequest::Packet(SocketAddr::new(ip("127.0.0.1"), 255))),
            Some((protocol, address)) => {
                let protocol = if protocol == "icmp" { 1 } else { protocol.parse().unwrap() };
                Request::Raw(RawRequest::Packet(SocketAddr::new(ip(address), protocol)))
            }
        },
        "packet" => Request::Packet(PacketRequest { interface: Some(target), protocol: 3 }),
        "netlink" => Request::Netlink(NetlinkRequest::RouteRead),
        "multicast" => Request::Multicast(Some(ip(target))),
        "ioctl" => Request::Ioctl(sandsock_abi::ioctl::by_name(target).unwrap()),
        "ancillary" => match target {
            "rights:send" => Request::Ancillary(Ancillary::RightsSend),
            "rights:receive" => Request::Ancillary(Ancillary::RightsReceive),
            "rights:receive,any" => Request::Ancillary(Ancillary::RightsReceiveAny),
            _ => Request::Ancillary(Ancillary::CredentialsForge),
        },
        "inherit" => Request::Inherit(target.parse().unwrap()),
        "tls-identity" => Request::TlsIdentity(target),
        _ => panic!("{text}"),
    }
}

impl Case {
    fn decide(&self, text: &str) -> Result<Allowed<'_>, Denial> {
        let result = self.policy.decide(&request(text), &self.pins, self.now);
        if let Request::UdpReceive(source) = request(text) {
            assert_eq!(
                result.is_ok(),
                self.policy.udp_source_allowed(source, &self.pins, self.now),
                "{text}"
            );
        }
        result
    }

    #[track_caller]
    fn allows(&self, texts: &[&str]) {
        for text in texts {
            if let Err(denial) = self.decide(text) {
                panic!("{text}: {denial}");
            }
        }
    }

    #[track_caller]
    fn denies(&self, texts: &[&str]) {
        for text in texts {
            assert!(self.decide(text).is_err(), "{text}");
        }
    }

    fn local(
        &self,
        address: &str,
        v6only: bool,
        kernel_chosen: bool,
    ) -> Result<Allowed<'_>, Denial> {
        let local = LocalAddress { v6only, kernel_chosen, ..at(address).into() };
        let (tcp, udp) = (Request::TcpListen(local), Request::UdpBind(local));
        let tcp = self.policy.decide(&tcp, &self.pins, self.now);
        assert!(
            tcp.is_ok()
                || self.policy.decide(&udp, &self.pins, self.now).is_err()
                || self.policy.allow.udp_bind.all.is_empty()
        );
        tcp
    }

    /// Looks a name up as the host does: decide, judge, pin. Gives what the guest gets.
    fn look_up(&mut self, name: &str, answers: &[&str]) -> Result<Vec<IpAddr>, Denial> {
        self.policy.decide(&Request::Resolve(name), &self.pins, self.now)?;
        let judged = self.policy.judge_answers(name, answers.iter().map(|a| ip(a)).collect());
        if let Some(denial) = judged.denial() {
            return Err(denial.clone());
        }
        self.pins.pin(name, &judged.kept, self.now);
        Ok(judged.kept)
    }
}

// Each verb.

#[test]
fn each_verb_granted_is_allowed_and_another_target_denied() {
    for (grant, other) in [
        ("tcp-connect=127.0.0.1:80", "tcp-connect=127.0.0.1:81"),
        ("tcp-listen=127.0.0.1:80", "tcp-listen=127.0.0.2:80"),
        ("udp-bind=127.0.0.1:53", "udp-bind=0.0.0.0:53"),
        ("udp-send=127.0.0.1:53", "udp-send=127.0.0.1:54"),
        ("udp-receive=127.0.0.1:53", "udp-receive=127.0.0.1:54"),
        ("unix-connect=/run/a.sock", "unix-connect=/run/b.sock"),
        ("unix-connect=@a", "unix-connect=@b"),
        ("unix-bind=/run/a.sock", "unix-bind=/run/b.sock"),
        ("unix-bind=@a", "unix-bind=/@a"),
        ("can=vcan0:raw", "can=vcan1:raw"),
        ("can=vcan0:bcm", "can=vcan0:raw"),
        ("can=vcan0:isotp", "can=*:isotp"),
        ("can=*:j1939", "can=vcan0:bcm"),
        ("family=alg:hash:sha256", "family=alg:hash:sha512"),
        ("family=tipc", "family=rds"),
        ("family=rds", "family=qipcrtr"),
        ("family=qipcrtr", "family=tipc"),
        ("family=vsock:connect:3:5", "family=vsock:connect:4:5"),
        ("family=vsock:connect:3:5", "family=vsock:listen:3:5"),
        ("family=vsock:listen:3:5", "family=vsock:listen:3:6"),
        ("family=bluetooth:l2cap", "family=bluetooth:rfcomm"),
        ("family=bluetooth:rfcomm", "family=bluetooth:sco"),
        ("family=bluetooth:sco", "family=bluetooth:hci:raw"),
        ("family=bluetooth:hci:raw", "family=bluetooth:hci:user"),
        ("resolve=db.example", "resolve=db.example.com"),
        ("reverse-resolve=192.0.2.7", "reverse-resolve=192.0.2.8"),
        ("reverse-resolve=2001:db8::1", "reverse-resolve=2001:db8::2"),
        ("interfaces", "hostname=read"),
        ("hostname=read", "hostname=set"),
        ("hostname=set", "hostname=read"),
        ("option=SOL_SOCKET/SO_MARK", "option=SOL_SOCKET/SO_REUSEPORT"),
        ("ancillary=rights:send", "ancillary=rights:receive"),
        ("ancillary=rights:receive", "ancillary=rights:receive,any"),
        ("ancillary=rights:receive,any", "ancillary=rights:send"),
        ("ancillary=credentials:forge", "ancillary=rights:send"),
        ("inherit=fd:3", "inherit=fd:4"),
        ("inherit=stdin", "inherit=fd:1"),
    ] {
        let case = case(&[grant], &[]);
        assert_eq!(case.decide(grant), Ok(Allowed::by(grant)));
        let denial = case.decide(other).unwrap_err();
        assert_eq!(denial.rule, None);
        let wanted = denial.grant.clone().expect(other);
        assert!(denial.reason.contains("is not granted; allow it with --allow "), "{denial}");
        // The grant that the denial names does allow it.
        case_of(&[&wanted], &[], |_| ()).allows(&[other]);
    }
}

#[test]
fn no_grant_allows_what_another_verb_asks() {
    let verbs = [
        "tcp-connect=127.0.0.1:80",
        "tcp-listen=127.0.0.1:80",
        "udp-bind=127.0.0.1:80",
        "udp-send=127.0.0.1:80",
        "udp-receive=127.0.0.1:80",
        "unix-connect=/run/a",
        "unix-bind=/run/a",
        "can=vcan0:raw",
        "family=tipc",
        "resolve=db.example",
        "option=SOL_SOCKET/SO_MARK",
        "ancillary=rights:send",
        "inherit=fd:3",
        "reverse-resolve=127.0.0.1",
        "interfaces",
        "hostname=read",
        "hostname=set",
    ];
    for grant in verbs {
        for asked in verbs {
            let replies = (grant, asked) == (verbs[3], verbs[4]);
            assert_eq!(
                case(&[grant], &[]).decide(asked).is_ok(),
                grant == asked || replies,
                "{grant} {asked}"
            );
        }
    }
}

#[test]
fn empty_list_denies_everything() {
    let case = case(&[], &[]);
    case.denies(&[
        "tcp-connect=127.0.0.1:80",
        "tcp-listen=127.0.0.1:0",
        "udp-bind=0.0.0.0:0",
        "udp-send=127.0.0.1:80",
        "udp-receive=127.0.0.1:80",
        "unix-connect=/x",
        "unix-connect=@x",
        "unix-bind=/x",
        "unix-bind=@x",
        "unix-bind=",
        "resolve=localhost",
        "reverse-resolve=127.0.0.1",
        "reverse-resolve=::1",
        "interfaces",
        "hostname=read",
        "hostname=set",
        "option=SOL_SOCKET/SO_MARK",
        "ancillary=rights:send",
        "ancillary=rights:receive",
        "ancillary=credentials:forge",
        "inherit=stdin",
    ]);
    for family in [AF_UNIX, AF_INET, AF_INET6] {
        for kind in (0..16).filter(|kind| ![SOCK_STREAM, SOCK_DGRAM].contains(kind)) {
            assert!(case.policy.may_create(family, kind, 0).is_err());
        }
    }
}

#[test]
fn allow_all_allows_and_deny_wins() {
    let asked = [
        "tcp-connect=10.0.0.1:80",
        "tcp-listen=10.0.0.1:80",
        "udp-bind=10.0.0.1:80",
        "udp-send=10.0.0.1:80",
        "udp-receive=10.0.0.1:80",
        "unix-connect=/run/a",
        "unix-connect=@a",
        "unix-bind=/run/a",
        "resolve=db.example",
        "reverse-resolve=10.0.0.1",
        "reverse-resolve=2001:db8::1",
        "interfaces",
        "hostname=read",
        "hostname=set",
        "option=SOL_SOCKET/SO_MARK",
        "ancillary=rights:send",
        "ancillary=rights:receive",
        "ancillary=rights:receive,any",
        "ancillary=credentials:forge",
    ];
    let all = case_of(&[], &[], everything);
    for one in asked {
        assert_eq!(all.decide(one), Ok(Allowed::by("allow-all")), "{one}");
        let denied = case_of(&[one], &[one], everything);
        let denial = denied.decide(one).unwrap_err();
        assert_eq!((denial.grant, denial.rule.as_deref()), (None, Some(one)));
        assert!(denial.reason.contains("is denied by the rule"));
        // A rule that denies does so without allow-all too.
        case(&[one], &[one]).denies(&[one]);
    }
}

#[test]
fn denial_names_the_grant_in_one_sentence() {
    let case = case(&["tcp-connect=127.0.0.1:80"], &["udp-send=10.0.0.0/8:*"]);
    for (asked, reason) in [
        (
            "tcp-connect=127.0.0.1:81",
            "tcp-connect to 127.0.0.1:81 is not granted; allow it with --allow tcp-connect=127.0.0.1:81",
        ),
        (
            "tcp-listen=[::1]:81",
            "tcp-listen on [::1]:81 is not granted; allow it with --allow 'tcp-listen=[::1]:81'",
        ),
        (
            "udp-send=10.0.0.1:1",
            "udp-send to 10.0.0.1:1 is denied by the rule udp-send=10.0.0.0/8:*",
        ),
        (
            "udp-receive=1.1.1.1:1",
            "udp-receive from 1.1.1.1:1 is not granted; allow it with --allow udp-receive=1.1.1.1:1",
        ),
        (
            "unix-connect=/run/a b",
            "unix-connect to /run/a b is not granted; allow it with --allow 'unix-connect=/run/a b'",
        ),
        (
            "unix-bind=@a*",
            r"unix-bind to @a\x2a is not granted; allow it with --allow 'unix-bind=@a\x2a'",
        ),
        (
            "resolve=DB.example.",
            "resolve of DB.example. is not granted; allow it with --allow resolve=db.example, or by what it is looked up for, as in tcp-connect=db.example:443",
        ),
        (
            "option=SOL_SOCKET/SO_MARK",
            "option SOL_SOCKET/SO_MARK is not granted; allow it with --allow option=SOL_SOCKET/SO_MARK",
        ),
        (
            "ancillary=rights:receive,any",
            "ancillary rights:receive,any is not granted; allow it with --allow ancillary=rights:receive,any",
        ),
        (
            "tcp-connect=[fe80::1%3]:1",
            "tcp-connect to [fe80::1%3]:1 is not granted; allow it with --allow 'tcp-connect=[fe80::1]:1'",
        ),
        (
            "tcp-connect=[::ffff:1.2.3.4]:1",
            "tcp-connect to [::ffff:1.2.3.4]:1 is not granted; allow it with --allow tcp-connect=1.2.3.4:1",
        ),
        ("unix-connect=/run/a*", "unix-connect to /run/a* is not granted"),
    ] {
        assert_eq!(case.decide(asked).unwrap_err().reason, reason);
    }
}

#[test]
fn denial_escapes_what_the_guest_chose() {
    let case = case(&[], &[]);
    for asked in ["resolve=a\n\x1b[31m", "unix-connect=/a\n\x1b[31m", "unix-bind=@a\n\x1b"] {
        let denial = case.decide(asked).unwrap_err();
        assert!(!denial.reason.contains(['\n', '\x1b']), "{}", denial.reason);
    }
}

// Addresses.

#[test]
fn merged_grants_of_send_and_receive_stay_apart() {
    let receive = case(&["udp-receive=*:*"], &[]);
    receive.allows(&["udp-receive=10.0.0.1:1"]);
    receive.denies(&["udp-send=10.0.0.1:1", "udp-bind=0.0.0.0:0"]);
    let send = case(&["udp-send=10.0.0.1:53"], &[]);
    send.allows(&["udp-receive=10.0.0.1:53", "udp-receive=[::ffff:10.0.0.1]:53"]);
    send.denies(&["udp-receive=10.0.0.1:54", "udp-receive=10.0.0.2:53", "udp-bind=127.0.0.1:0"]);
    // No reply is to be had from where nothing may be sent to.
    case(&["udp-send=*:*"], &["udp-send=10.0.0.1:53"]).denies(&["udp-receive=10.0.0.1:53"]);
    case(&["udp-send=*:*"], &["udp-receive=10.0.0.1:53"]).denies(&["udp-receive=10.0.0.1:53"]);
    case(&["udp-send=*:*", "udp-receive=*:*"], &["udp-send=10.0.0.1:53"])
        .allows(&["udp-receive=10.0.0.1:53"]);
    case(&["udp-bind=*:*"], &[]).denies(&["udp-receive=127.0.0.1:1", "udp-send=127.0.0.1:1"]);
}

#[test]
fn v4_mapped_is_judged_as_ipv4() {
    let v4 = case(
        &["tcp-connect=10.0.0.0/8:80", "tcp-listen=10.0.0.1:80"],
        &["tcp-connect=10.1.0.0/16:*"],
    );
    v4.allows(&["tcp-connect=[::ffff:10.0.0.1]:80", "tcp-listen=[::ffff:10.0.0.1]:80"]);
    v4.denies(&["tcp-connect=[::ffff:10.1.0.1]:80", "tcp-connect=[::ffff:11.0.0.1]:80"]);
    case(&["tcp-connect=[::/0]:*"], &[])
        .denies(&["tcp-connect=[::ffff:10.0.0.1]:80", "tcp-connect=10.0.0.1:80"]);
    case(&["tcp-connect=[::ffff:10.0.0.1]:80"], &[]).allows(&["tcp-connect=10.0.0.1:80"]);
}

#[test]
fn other_embedded_forms_need_an_ipv6_rule_and_are_denied_by_both() {
    let forms = [
        "::10.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::10.0.0.1",
        "2002:a00:1::",
        "2001:0:1:1:0:0:f5ff:fffe",
        "::ffff:0:10.0.0.1",
        "fe80::5efe:10.0.0.1",
    ];
    for form in forms {
        let asked = format!("tcp-connect=[{form}]:80");
        case(&["tcp-connect=10.0.0.1:80", "tcp-connect=0.0.0.0/0:*"], &[]).denies(&[&asked]);
        case(&[&asked], &[]).allows(&[&asked]);
        case(&["tcp-connect=[::/0]:80"], &[]).allows(&[&asked]);
        for deny in ["tcp-connect=10.0.0.0/8:*", &asked, "tcp-connect=[::/0]:*"] {
            case(&["tcp-connect=*:*", &asked], &[deny]).denies(&[&asked]);
            case_of(&[], &[deny], everything).denies(&[&asked]);
        }
        case(&["tcp-connect=*:*"], &["tcp-connect=10.0.0.2:*"]).allows(&[&asked]);
    }
}

#[test]
fn unspecified_destination_is_the_loopback() {
    let loopback = case(&["tcp-connect=127.0.0.1:80", "udp-send=[::1]:80"], &[]);
    loopback.allows(&[
        "tcp-connect=0.0.0.0:80",
        "tcp-connect=[::ffff:0.0.0.0]:80",
        "udp-send=[::]:80",
    ]);
    loopback.denies(&[
        "tcp-connect=[::]:80",
        "udp-send=0.0.0.0:80",
        "tcp-connect=0.0.0.0:81",
        "udp-receive=0.0.0.0:80",
    ]);
    for deny in ["tcp-connect=127.0.0.0/8:*", "tcp-connect=0.0.0.0/8:*"] {
        case(&["tcp-connect=*:*"], &[deny])
            .denies(&["tcp-connect=0.0.0.0:80", "tcp-connect=[::ffff:0.0.0.0]:80"]);
    }
    case(&["tcp-connect=*:*"], &["tcp-connect=[::1]:*"]).denies(&["tcp-connect=[::]:80"]);
    // A network that holds 0.0.0.0 is no grant for the loopback.
    case(&["tcp-connect=0.0.0.0/8:80"], &[])
        .denies(&["tcp-connect=0.0.0.0:80", "tcp-connect=127.0.0.1:80"]);
}

#[test]
fn zone_of_a_request_is_not_looked_at() {
    let case =
        case(&["tcp-connect=[fe80::/10]:80", "udp-bind=[fe80::1]:1"], &["tcp-connect=[fe80::2]:*"]);
    case.allows(&[
        "tcp-connect=[fe80::1%1]:80",
        "tcp-connect=[fe80::1%9]:80",
        "udp-bind=[fe80::1%4]:1",
    ]);
    case.denies(&["tcp-connect=[fe80::2%9]:80"]);
}

#[test]
fn port_zero_and_star_at_bind() {
    let zero = case(&["tcp-listen=127.0.0.1:0"], &[]);
    zero.allows(&["tcp-listen=127.0.0.1:0"]);
    zero.denies(&["tcp-listen=127.0.0.1:40000", "tcp-listen=127.0.0.1:1"]);
    assert!(zero.local("127.0.0.1:40000", false, true).is_ok());
    assert!(zero.local("127.0.0.2:40000", false, true).is_err());
    case(&["tcp-listen=127.0.0.1:*"], &[])
        .allows(&["tcp-listen=127.0.0.1:0", "tcp-listen=127.0.0.1:9"]);
    case(&["tcp-listen=127.0.0.1:1-65535"], &[]).denies(&["tcp-listen=127.0.0.1:0"]);
    let denied = case(&["tcp-listen=127.0.0.1:0"], &["tcp-listen=*:40000-50000"]);
    denied.allows(&["tcp-listen=127.0.0.1:0"]);
    assert!(denied.local("127.0.0.1:40000", false, true).is_err());
    assert!(denied.local("127.0.0.1:39999", false, true).is_ok());
    assert!(
        case(&["tcp-listen=127.0.0.1:*"], &["tcp-listen=*:0"])
            .local("127.0.0.1:40000", false, true)
            .is_err()
    );
}

#[test]
fn wildcard_bind_needs_a_rule_that_says_so() {
    for verb in ["tcp-listen", "udp-bind"] {
        let one = |allow: &str| case(&[&format!("{verb}={allow}")], &[]);
        let v4 = format!("{verb}=0.0.0.0:80");
        let v6 = format!("{verb}=[::]:80");
        for allow in ["*:80", "*:*"] {
            one(allow).allows(&[&v4, &v6]);
        }
        for allow in ["0.0.0.0:80", "0.0.0.0/0:80"] {
            one(allow).allows(&[&v4, &format!("{verb}=[::ffff:0.0.0.0]:80")]);
            one(allow).denies(&[&v6]);
        }
        one("[::]:80").allows(&[&v6]);
        one("[::]:80").denies(&[&v4, &format!("{verb}=[::1]:80")]);
        for allow in [
            "0.0.0.0/1:80",
            "0.0.0.0/31:80",
            "[::/1]:80",
            "[::/127]:80",
            "127.0.0.0/8:80",
            "*:81",
            "0.0.0.0:0",
        ] {
            one(allow).denies(&[&v4, &v6]);
        }
        one("0.0.0.0:80").denies(&[&format!("{verb}=127.0.0.1:80")]);
    }
}

#[test]
fn wildcard_dual_stack_needs_ipv4_too() {
    let whole = case(&["tcp-listen=[::/0]:80", "udp-bind=[::/0]:80"], &[]);
    assert!(whole.local("[::]:80", false, false).is_err());
    assert!(whole.local("[::]:80", true, false).is_ok());
    assert!(
        case(&["tcp-listen=[::/0]:80", "tcp-listen=0.0.0.0:80"], &[])
            .local("[::]:80", false, false)
            .is_ok()
    );
    assert!(case(&["tcp-listen=[::]:80"], &[]).local("[::]:80", false, false).is_ok());
}

#[test]
fn wildcard_is_denied_by_a_rule_about_any_part_of_it() {
    let with = |deny: &str| case(&["tcp-listen=*:*"], &[deny]);
    for deny in ["tcp-listen=127.0.0.1:80", "tcp-listen=10.0.0.0/8:1-100", "tcp-listen=0.0.0.0:80"]
    {
        with(deny).denies(&["tcp-listen=0.0.0.0:80", "tcp-listen=[::]:80"]);
        with(deny).allows(&[
            "tcp-listen=0.0.0.0:101",
            "tcp-listen=[::1]:80",
            "tcp-listen=1.1.1.1:80",
        ]);
        assert!(with(deny).local("[::]:80", true, false).is_ok());
    }
    with("tcp-listen=[::1]:80").denies(&["tcp-listen=[::]:80"]);
    with("tcp-listen=[::1]:80").allows(&["tcp-listen=0.0.0.0:80"]);
    assert!(with("tcp-listen=[::1]:80").local("[::]:80", true, false).is_err());
    case_of(&[], &["udp-bind=127.0.0.1:53"], everything)
        .denies(&["udp-bind=0.0.0.0:53", "udp-bind=[::]:53"]);
}

#[test]
fn metadata_service_needs_an_address_rule() {
    let case = case(&["tcp-connect=*.example.com:80", "tcp-connect=1.0.0.0/8:*"], &[]);
    case.denies(&[
        "tcp-connect=169.254.169.254:80",
        "tcp-connect=[::ffff:169.254.169.254]:80",
        "tcp-connect=[fd00:ec2::254]:80",
    ]);
}

// Names.

#[test]
fn name_granted_is_open_after_its_look_up_at_its_port_alone() {
    let mut case = case(&["tcp-connect=db.example:5432", "udp-send=time.example:123"], &[]);
    case.denies(&["tcp-connect=203.0.113.1:5432"]);
    assert_eq!(case.look_up("db.example", &["203.0.113.1"]).unwrap(), [ip("203.0.113.1")]);
    case.allows(&["tcp-connect=203.0.113.1:5432", "tcp-connect=[::ffff:203.0.113.1]:5432"]);
    case.denies(&[
        "tcp-connect=203.0.113.1:5433",
        "udp-send=203.0.113.1:5432",
        "tcp-connect=203.0.113.2:5432",
        "tcp-connect=203.0.113.1:123",
    ]);
    case.look_up("time.example", &["203.0.113.2"]).unwrap();
    case.allows(&["udp-send=203.0.113.2:123", "udp-receive=203.0.113.2:123"]);
    case.denies(&[
        "udp-receive=203.0.113.2:124",
        "udp-receive=203.0.113.1:123",
        "tcp-connect=203.0.113.2:5432",
    ]);
}

#[test]
fn name_implies_its_look_up_and_no_other() {
    let case = case(
        &[
            "tcp-connect=*.example.com:443",
            "udp-send=time.example:123",
            "udp-receive=logs.example:1",
        ],
        &[],
    );
    case.allows(&["resolve=a.example.com", "resolve=A.B.Example.COM.", "resolve=time.example"]);
    case.denies(&[
        "resolve=example.com",
        "resolve=evilexample.com",
        "resolve=a.example.com.evil",
        "resolve=logs.example",
        "resolve=localhost",
    ]);
}

#[test]
fn name_in_other_case_with_a_dot_or_in_unicode_is_the_same() {
    let case = case(&["resolve=bücher.example"], &[]);
    case.allows(&[
        "resolve=BÜCHER.Example.",
        "resolve=xn--bcher-kva.example",
        "resolve=XN--BCHER-KVA.EXAMPLE",
    ]);
    case.denies(&[
        "resolve=bucher.example",
        "resolve=xbücher.example",
        "resolve=b\u{fc}cher.example.evil",
    ]);
    let deny = case_of(&[], &["resolve=*.bücher.example"], everything);
    deny.denies(&["resolve=a.xn--bcher-kva.example.", "resolve=A.BÜCHER.EXAMPLE"]);
}

#[test]
fn numeric_host_needs_no_resolve_and_other_notations_are_names() {
    let none = case(&[], &[]);
    for text in ["127.0.0.1", "::1", "fe80::1"] {
        assert_eq!(
            none.policy.decide(&Request::Resolve(text), &none.pins, none.now),
            Ok(Allowed::FREE)
        );
    }
    for text in ["2130706433", "0x7f.1", "127.1", "017700000001", "１２７.0.0.1"] {
        let denial = none.policy.decide(&Request::Resolve(text), &none.pins, none.now).unwrap_err();
        assert_eq!(denial.grant, None, "{text}");
    }
    // Should a resolver read one as an address after all, its answer is judged as private.
    let mut any = case(&["resolve=*"], &[]);
    assert!(any.look_up("2130706433", &["127.0.0.1"]).is_err());
}

#[test]
fn resolve_of_no_name_is_denied() {
    let case = case_of(&[], &[], everything);
    case.denies(&[
        "resolve=",
        "resolve=a b",
        "resolve=a..b",
        "resolve=fe80::1%eth0",
        "resolve=a\0b",
        "resolve=[::1]",
    ]);
}

#[test]
fn resolves_any_is_said_of_every_name_alone() {
    for (allow, deny, all) in [
        (&["resolve=*"][..], &[][..], true),
        (&["resolve=*"], &["resolve=*.example"], true),
        (&["resolve=*"], &["resolve=*"], false),
        (&["resolve=*.example", "tcp-connect=*:*"], &[], false),
        (&[], &[], false),
    ] {
        assert_eq!(case(allow, deny).policy.resolves_any(), all, "{allow:?} {deny:?}");
    }
    assert!(case_of(&[], &[], everything).policy.resolves_any());
    assert!(!case_of(&[], &["resolve=*"], everything).policy.resolves_any());
}

// Reverse look-ups.

#[test]
fn reverse_resolve_holds_networks_and_nothing_beside() {
    let held = case(
        &["reverse-resolve=192.0.2.0/24", "reverse-resolve=2001:db8::/32"],
        &["reverse-resolve=192.0.2.128/25"],
    );
    held.allows(&[
        "reverse-resolve=192.0.2.1",
        "reverse-resolve=::ffff:192.0.2.1",
        "reverse-resolve=2001:db8:1::1",
    ]);
    held.denies(&[
        "reverse-resolve=192.0.2.200",
        "reverse-resolve=192.0.3.1",
        "reverse-resolve=2001:db9::1",
    ]);
    held.denies(&["reverse-resolve=::192.0.2.1", "reverse-resolve=::ffff:192.0.2.200"]);
    let all = case(&["reverse-resolve=*"], &["reverse-resolve=10.0.0.0/8"]);
    all.allows(&[
        "reverse-resolve=127.0.0.1",
        "reverse-resolve=::1",
        "reverse-resolve=2001:db8::1",
    ]);
    // The resolver asks for the IPv4 address inside.
    all.denies(&[
        "reverse-resolve=10.0.0.1",
        "reverse-resolve=::10.0.0.1",
        "reverse-resolve=64:ff9b::10.0.0.1",
    ]);
    let denial = held.decide("reverse-resolve=::ffff:10.0.0.1").unwrap_err();
    assert_eq!(denial.grant.as_deref(), Some("reverse-resolve=10.0.0.1"));
}

#[test]
fn reverse_resolve_by_a_name_holds_for_what_it_was_looked_up_to() {
    let mut named = case(&["reverse-resolve=db.example", "resolve=db.example"], &[]);
    named.denies(&["reverse-resolve=203.0.113.1"]);
    named.look_up("db.example", &["203.0.113.1"]).unwrap();
    named.allows(&["reverse-resolve=203.0.113.1"]);
    named.denies(&["reverse-resolve=203.0.113.2", "tcp-connect=203.0.113.1:80"]);
    // A name alone opens no private address, and a reverse look-up opens nothing to a look-up.
    named.pins.pin("db.example", &[ip("10.0.0.1")], named.now);
    named.denies(&["reverse-resolve=10.0.0.1"]);
    let mut private = case(&["reverse-resolve=10.0.0.0/8", "resolve=db.example"], &[]);
    assert!(private.look_up("db.example", &["10.0.0.1"]).is_err());
    // A rule that denies by a name holds for its addresses, whatever allows them.
    let mut denied = case(&["reverse-resolve=*", "resolve=*"], &["reverse-resolve=db.example"]);
    denied.look_up("db.example", &["203.0.113.1"]).unwrap();
    denied.denies(&["reverse-resolve=203.0.113.1"]);
    denied.allows(&["reverse-resolve=203.0.113.2"]);
}

#[test]
fn reverse_resolve_of_a_fixed_address_is_answered_with_its_names() {
    let fixed = |deny: &[&str]| {
        case_of(&[], deny, |builder| {
            for pair in ["db.example=10.0.0.5", "cache.example=10.0.0.5", "db.example=::5"] {
                builder.resolve(pair).unwrap();
            }
        })
    };
    let case = fixed(&[]);
    assert_eq!(case.decide("reverse-resolve=10.0.0.5"), Ok(Allowed::by("resolve=db.example")));
    case.allows(&["reverse-resolve=::5", "reverse-resolve=::ffff:10.0.0.5"]);
    case.denies(&["reverse-resolve=10.0.0.6"]);
    assert_eq!(
        case.policy.fixed_names_of(ip("::ffff:10.0.0.5")),
        ["db.example".into(), "cache.example".into()]
    );
    assert!(case.policy.fixed_names_of(ip("10.0.0.6")).is_empty());
    fixed(&["reverse-resolve=10.0.0.0/8"]).denies(&["reverse-resolve=10.0.0.5"]);
    fixed(&["reverse-resolve=cache.example"]).denies(&["reverse-resolve=10.0.0.5"]);
}

#[test]
fn resolve_denied_wins_over_the_implied() {
    let case = case(&["tcp-connect=*.example:80", "resolve=*"], &["resolve=*.evil.example"]);
    case.allows(&["resolve=a.example", "resolve=evil.example"]);
    case.denies(&["resolve=x.evil.example", "resolve=secret.x.evil.example"]);
}

#[test]
fn resolve_is_not_implied_where_deny_leaves_no_port() {
    let allow = ["tcp-connect=*.example:80-90"];
    case(&allow, &["tcp-connect=a.example:80-89"]).allows(&["resolve=a.example"]);
    for deny in [
        &["tcp-connect=a.example:*"][..],
        &["tcp-connect=a.example:80-85", "tcp-connect=*.example:86-90"],
    ] {
        case(&allow, deny).denies(&["resolve=a.example"]);
    }
    case(&allow, &["tcp-connect=a.example:*"]).allows(&["resolve=b.example"]);
}

#[test]
fn name_to_private_space_opens_nothing() {
    for address in [
        "127.0.0.1",
        "10.0.0.5",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "0.0.0.0",
        "255.255.255.255",
        "192.0.0.192",
        "::1",
        "::",
        "fe80::1",
        "fd00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "64:ff9b::169.254.169.254",
        "2002:7f00:1::",
    ] {
        let mut case = case(&["tcp-connect=db.example:80", "tcp-connect=8.8.8.8:80"], &[]);
        let denial = case.look_up("db.example", &[address]).unwrap_err();
        assert!(
            denial.reason.contains("which is private")
                && denial.reason.contains(&format!(
                    "--resolve db.example={}",
                    canonical(destination(SocketAddr::new(ip(address), 0)).ip())
                )),
            "{denial}"
        );
        let wanted = denial.grant.unwrap();
        assert!(wanted.starts_with("tcp-connect=") && wanted.ends_with(":80"), "{wanted}");
        // Nor does it open anything where it is pinned all the same.
        case.pins.pin("db.example", &[ip(address)], case.now);
        case.denies(&[&format!("tcp-connect={}", SocketAddr::new(ip(address), 80))]);
    }
}

#[test]
fn name_to_private_space_with_an_address_grant_is_as_open_as_that() {
    let mut case = case(&["tcp-connect=db.example:80", "tcp-connect=10.0.0.0/24:443"], &[]);
    assert_eq!(case.look_up("db.example", &["10.0.0.5", "10.0.1.5"]).unwrap(), [ip("10.0.0.5")]);
    case.allows(&["tcp-connect=10.0.0.5:443"]);
    case.denies(&["tcp-connect=10.0.0.5:80", "tcp-connect=10.0.1.5:443"]);
    // The address that a server listens on may be looked up as well.
    let mut own = case_of(&["tcp-listen=127.0.0.1:80", "resolve=localhost"], &[], |_| ());
    assert_eq!(own.look_up("localhost", &["::1", "127.0.0.1"]).unwrap(), [ip("127.0.0.1")]);
}

#[test]
fn name_fixed_opens_its_address_be_it_private() {
    let case = case_of(&["tcp-connect=db.example:80"], &[], |builder| {
        builder.resolve("DB.Example.=10.0.0.5").unwrap().resolve("db.example=[fd00::5]").unwrap();
        builder.resolve("other.example=10.0.0.6").unwrap();
    });
    assert_eq!(case.policy.fixed("db.example").unwrap(), [ip("10.0.0.5"), ip("fd00::5")]);
    assert_eq!(case.policy.fixed("x.example"), None);
    case.allows(&["resolve=db.example", "tcp-connect=10.0.0.5:80", "tcp-connect=[fd00::5]:80"]);
    case.denies(&["tcp-connect=10.0.0.5:81", "tcp-connect=10.0.0.6:80", "udp-send=10.0.0.5:80"]);
    let fixed = case.policy.fixed("db.example").unwrap().to_vec();
    assert_eq!(case.policy.judge_answers("db.example", fixed).kept.len(), 2);
    // To fix a name is to let it be looked up, which deny rules still forbid.
    assert_eq!(case.decide("resolve=other.example"), Ok(Allowed::by("resolve=other.example")));
    let late = case.now + 600 * MINUTE;
    assert!(case.policy.decide(&request("tcp-connect=10.0.0.5:80"), &case.pins, late).is_ok());
    let denied = case_of(
        &["tcp-connect=db.example:80"],
        &["resolve=db.example", "tcp-connect=10.0.0.5:80"],
        |builder| {
            builder.resolve("db.example=10.0.0.5").unwrap();
        },
    );
    denied.denies(&["resolve=db.example", "tcp-connect=10.0.0.5:80"]);
}

#[test]
fn fixed_address_that_is_none_is_refused() {
    let mut builder = Policy::builder();
    for (text, character) in [
        ("db", 3),
        ("db=", 4),
        ("db=x", 4),
        ("=1.1.1.1", 1),
        ("a b=1.1.1.1", 1),
        ("db=fe80::1%1", 4),
        ("1.1=1.1.1.1", 1),
    ] {
        let error = builder.resolve(text).unwrap_err();
        assert_eq!(error.character(), character, "{error}");
        assert!(error.to_string().ends_with("write NAME=ADDRESS, as in db.example=10.0.0.5"));
    }
}

#[test]
fn name_allowed_and_its_address_denied_is_denied() {
    let mut case = case(&["tcp-connect=db.example:443"], &["tcp-connect=203.0.113.0/25:*"]);
    let denial = case.look_up("db.example", &["203.0.113.1"]).unwrap_err();
    assert_eq!(denial.rule.as_deref(), Some("tcp-connect=203.0.113.0/25:*"));
    assert_eq!(
        case.look_up("db.example", &["203.0.113.1", "203.0.113.200"]).unwrap(),
        [ip("203.0.113.200")]
    );
    case.pins.pin("db.example", &[ip("203.0.113.1")], case.now);
    case.denies(&["tcp-connect=203.0.113.1:443"]);
    case.allows(&["tcp-connect=203.0.113.200:443"]);
}

#[test]
fn answers_stay_where_a_port_is_left() {
    let judge = |allow: &[&str], deny: &[&str]| {
        !case(allow, deny)
            .policy
            .judge_answers("a.example", vec![ip("203.0.113.1")])
            .kept
            .is_empty()
    };
    assert!(judge(&["tcp-connect=a.example:80-90"], &["tcp-connect=203.0.113.1:80-89"]));
    assert!(!judge(
        &["tcp-connect=a.example:80-90"],
        &["tcp-connect=203.0.113.1:80-89", "tcp-connect=203.0.0.0/16:90-100"]
    ));
    assert!(judge(&["tcp-connect=a.example:80"], &["tcp-connect=203.0.113.1:22"]));
    assert!(judge(
        &["tcp-connect=a.example:80", "udp-send=a.example:53"],
        &["tcp-connect=203.0.113.1:*"]
    ));
    assert!(judge(
        &["tcp-connect=a.example:80", "tcp-connect=203.0.113.1:90"],
        &["tcp-connect=203.0.113.1:80"]
    ));
    assert!(!judge(&["tcp-connect=a.example:80"], &["tcp-connect=a.example:80"]));
    assert!(judge(&["resolve=a.example"], &["tcp-connect=*:*"]));
    assert!(!judge(&["resolve=a.example"], &["tcp-connect=*:*", "udp-send=203.0.113.1:*"]));
    assert!(!judge(&["tcp-connect=*:*", "resolve=*"], &["tcp-connect=*:*"]));
}

#[test]
fn answers_under_allow_all_are_judged_by_deny_rules() {
    let case = case_of(&[], &["tcp-connect=10.0.0.0/8:*", "udp-send=10.0.0.0/8:*"], everything);
    let judged = case.policy.judge_answers(
        "a.example",
        ["10.0.0.1", "192.168.0.1", "127.0.0.1", "64:ff9b::10.0.0.1"].map(ip).to_vec(),
    );
    assert_eq!(judged.kept, ["192.168.0.1", "127.0.0.1"].map(ip));
    assert_eq!(judged.dropped.len(), 2);
}

#[test]
fn answers_beyond_64_are_left_out_as_the_pins_would() {
    let case = case(&["tcp-connect=a.example:80"], &[]);
    let judged = case
        .policy
        .judge_answers("a.example", (0..=99).map(|n| IpAddr::from([203, 0, 113, n])).collect());
    assert_eq!((judged.kept.len(), judged.dropped.len()), (64, 36));
    assert!(judged.denial().is_none());
}

#[test]
fn rebinding_between_look_up_and_connect_opens_nothing() {
    let mut case = case(&["tcp-connect=evil.example:80"], &[]);
    case.look_up("evil.example", &["203.0.113.1"]).unwrap();
    // The name server turns round: what it says now is judged as the first answer was.
    assert!(case.look_up("evil.example", &["127.0.0.1"]).is_err());
    case.allows(&["tcp-connect=203.0.113.1:80"]);
    case.denies(&["tcp-connect=127.0.0.1:80", "tcp-connect=203.0.113.2:80"]);
}

#[test]
fn pin_expired_asks_for_one_more_resolution() {
    let mut case = case(&["tcp-connect=db.example:80", "udp-send=db.example:53"], &[]);
    case.look_up("db.example", &["203.0.113.1"]).unwrap();
    let asked = Request::TcpConnect(at("203.0.113.1:80"));
    assert!(case.policy.decide(&asked, &case.pins, case.now + 5 * MINUTE).is_ok());
    // That use gave it five minutes more.
    case.now += 10 * MINUTE;
    case.allows(&["tcp-connect=203.0.113.1:80"]);
    case.now += 5 * MINUTE + Duration::from_nanos(1);
    let denial = case.decide("tcp-connect=203.0.113.1:80").unwrap_err();
    assert_eq!(denial.expired_name.as_deref(), Some("db.example"));
    case.denies(&["udp-receive=203.0.113.1:53"]);
    assert_eq!(case.decide("tcp-connect=203.0.113.1:81").unwrap_err().expired_name, None);
    assert_eq!(case.decide("tcp-connect=203.0.113.2:80").unwrap_err().expired_name, None);
    // The name has moved: the old address is nobody's.
    case.look_up("db.example", &["203.0.113.2"]).unwrap();
    assert_eq!(case.decide("tcp-connect=203.0.113.1:80").unwrap_err().expired_name, None);
    case.allows(&["tcp-connect=203.0.113.2:80"]);
    case.now += 6 * MINUTE;
    case.look_up("db.example", &["203.0.113.2"]).unwrap();
    case.allows(&["tcp-connect=203.0.113.2:80"]);
}

#[test]
fn name_denied_holds_for_its_addresses() {
    let mut case = case(&["tcp-connect=*:443", "resolve=*"], &["tcp-connect=bad.example:443"]);
    case.pins.pin("bad.example", &[ip("203.0.113.1")], case.now);
    case.pins.pin("good.example", &[ip("203.0.113.1"), ip("203.0.113.2")], case.now);
    case.denies(&["tcp-connect=203.0.113.1:443"]);
    case.allows(&["tcp-connect=203.0.113.2:443"]);
    case.now += 60 * MINUTE;
    case.denies(&["tcp-connect=203.0.113.1:443"]);
}

#[test]
fn star_is_no_name() {
    let mut case = case(&["tcp-connect=*:443"], &[]);
    case.denies(&["resolve=db.example"]);
    assert!(case.look_up("db.example", &["203.0.113.1"]).is_err());
}

// UNIX.

#[test]
fn unix_path_is_judged_from_the_base_and_dot_dot_never_matches() {
    let case =
        case(&["unix-connect=run/*.sock", "unix-bind=/run/**"], &["unix-bind=/run/private/**"]);
    case.allows(&[
        "unix-connect=run/a.sock",
        "unix-connect=/base/run/a.sock",
        "unix-connect=./run//a.sock",
        "unix-bind=/run/a/b",
    ]);
    case.denies(&[
        "unix-connect=run/../run/a.sock",
        "unix-connect=/run/a.sock",
        "unix-connect=run/a",
        "unix-connect=run/b/a.sock",
        "unix-bind=/run",
        "unix-bind=/run/../etc/x",
        "unix-bind=/run/private/a",
        "unix-bind=/run/./private/a",
        "unix-bind=//run//private//a",
        "unix-bind=/runx/a",
        "unix-connect=@run/a.sock",
        "unix-connect=/base/run/a.sock\0",
    ]);
    let denial = case.decide("unix-bind=/run/../etc/x").unwrap_err();
    assert!(denial.reason.contains("`..` never matches"), "{denial}");
}

#[test]
fn unix_name_of_the_kernels_choice_needs_every_name() {
    case(&["unix-bind=@*"], &[]).allows(&["unix-bind=", "unix-bind=@x"]);
    case(&["unix-bind=@a*"], &[]).denies(&["unix-bind="]);
    case(&["unix-bind=@"], &[]).denies(&["unix-bind="]);
    case(&["unix-connect=@*"], &[]).denies(&["unix-connect=", "unix-bind="]);
    for deny in ["unix-bind=@*", "unix-bind=@0*", "unix-bind=@00abc"] {
        case(&["unix-bind=@*"], &[deny]).denies(&["unix-bind="]);
    }
    for deny in ["unix-bind=@dbus*", "unix-bind=@00abcd", "unix-bind=@abc", "unix-bind=/x"] {
        case(&["unix-bind=@*"], &[deny]).allows(&["unix-bind="]);
    }
}

// Options and ancillary data.

#[test]
fn option_of_each_access_is_judged_by_it() {
    let none = case(&[], &[]);
    let all = case_of(&[], &[], everything);
    let mut seen = [0; 7];
    for row in option::OPTIONS {
        let grant = format!("option={row}");
        let granted = case(&[&grant], &[]);
        let denied = case_of(&[&grant], &[&grant], everything);
        for (access, asked) in [
            (
                row.get,
                Request::Option(OptionRequest::Get {
                    family: AF_INET,
                    level: row.level,
                    number: row.number,
                }),
            ),
            (
                row.set.on(SOCK_STREAM),
                Request::Option(OptionRequest::Set {
                    family: AF_INET,
                    level: row.level,
                    number: row.number,
                    datagram: false,
                }),
            ),
            (
                row.set.on(SOCK_DGRAM),
                Request::Option(OptionRequest::Set {
                    family: AF_INET,
                    level: row.level,
                    number: row.number,
                    datagram: true,
                }),
            ),
        ] {
            let ok = |case: &Case| case.policy.decide(&asked, &case.pins, case.now).is_ok();
            assert!(!ok(&denied), "{row}");
            let expected = match access {
                Access::Ordinary | Access::Absent => [true, true, true],
                Access::Granted | Access::GrantedOnDatagrams => [false, true, true],
                Access::Refused(_) => [false, false, false],
                Access::Header => [false, false, true],
                // The group in a value is judged by itself.
                Access::Multicast => [row.shape.names_group(), row.shape.names_group(), true],
            };
            seen[match access {
                Access::Ordinary => 0,
                Access::Absent => 1,
                Access::Granted => 2,
                Access::GrantedOnDatagrams => 3,
                Access::Refused(_) => 4,
                Access::Header => 5,
                Access::Multicast => 6,
            }] += 1;
            assert_eq!([ok(&none), ok(&granted), ok(&all)], expected, "{row} {access:?}");
        }
    }
    assert!(seen[0] > 0 && seen[2] > 0 && seen[4] > 0, "{seen:?}");
}

#[test]
fn option_reuse_address_on_datagrams_needs_a_grant() {
    let row = option::by_name("SOL_SOCKET", "SO_REUSEADDR").unwrap();
    let ask = |case: &Case, datagram| {
        case.policy
            .decide(
                &Request::Option(OptionRequest::Set {
                    family: AF_INET,
                    level: row.level,
                    number: row.number,
                    datagram,
                }),
                &case.pins,
                case.now,
            )
            .is_ok()
    };
    let none = case(&[], &[]);
    assert!(ask(&none, false) && !ask(&none, true));
    assert!(ask(&case(&["option=SOL_SOCKET/SO_REUSEADDR"], &[]), true));
}

/// SOL_SCO/SCO_OPTIONS has the numbers of an option of UDP's level, SOL_L2CAP's of TCP's.
#[test]
fn option_of_bluetooth_is_no_option_of_ip() {
    let ask = |case: &Case, family| {
        let asked = Request::Option(OptionRequest::Set {
            family,
            level: IPPROTO_TCP,
            number: 1,
            datagram: false,
        });
        case.policy.decide(&asked, &case.pins, case.now).map(|_| ())
    };
    let all = case_of(&[], &[], everything);
    assert_eq!(ask(&all, AF_INET), Ok(()));
    assert!(ask(&all, AF_BLUETOOTH).unwrap_err().reason.contains("SOL_L2CAP/L2CAP_OPTIONS"));
    let denied = case_of(&[], &["option=IPPROTO_TCP/TCP_NODELAY"], everything);
    assert!(ask(&denied, AF_INET).is_err());
    let codec = case(&["option=SOL_BLUETOOTH/BT_CODEC"], &[]);
    let asked = Request::Option(OptionRequest::Set {
        family: AF_BLUETOOTH,
        level: 274,
        number: 19,
        datagram: false,
    });
    assert!(codec.policy.decide(&asked, &codec.pins, codec.now).is_ok());
    assert!(case(&[], &[]).policy.decide(&asked, &codec.pins, codec.now).is_err());
}

#[test]
fn option_outside_the_table_is_denied_under_allow_all_too() {
    let case = case_of(&[], &[], everything);
    for (level, number) in [(0, 64), (0, 200), (1, 9999), (i32::MIN, i32::MAX), (41, 64)] {
        for asked in [
            Request::Option(OptionRequest::Get { family: AF_INET, level, number }),
            Request::Option(OptionRequest::Set { family: AF_INET, level, number, datagram: false }),
            Request::Option(OptionRequest::Control { level, number }),
        ] {
            let denial = case.policy.decide(&asked, &case.pins, case.now).unwrap_err();
            assert!(denial.reason.contains("not in the table"), "{denial}");
        }
    }
}

#[test]
fn control_message_is_judged_as_its_option_is() {
    let ask = |case: &Case, level, number| {
        case.policy
            .decide(
                &Request::Option(OptionRequest::Control { level, number }),
                &case.pins,
                case.now,
            )
            .is_ok()
    };
    let none = case(&[], &[]);
    for (level, name) in
        [("SOL_SOCKET", "SO_MARK"), ("IPPROTO_IP", "IP_PKTINFO"), ("IPPROTO_IPV6", "IPV6_RTHDR")]
    {
        let row = option::by_name(level, name).unwrap();
        assert!(!ask(&none, row.level, row.number), "{name}");
        assert!(
            ask(&case(&[&format!("option={level}/{name}")], &[]), row.level, row.number),
            "{name}"
        );
    }
    let row = option::by_name("IPPROTO_IP", "IP_TTL").unwrap();
    assert!(ask(&none, row.level, row.number));
    // An option that is no control message is none, however ordinary.
    let row = option::by_name("SOL_SOCKET", "SO_KEEPALIVE").unwrap();
    assert!(!ask(&none, row.level, row.number));
}

#[test]
fn control_message_with_raw_descriptors_is_never_allowed() {
    let all = case_of(&["ancillary=rights:send"], &[], everything);
    let ask = |number| {
        all.policy
            .decide(
                &Request::Option(OptionRequest::Control { level: SOL_SOCKET, number }),
                &all.pins,
                all.now,
            )
            .is_ok()
    };
    assert!(!ask(SCM_RIGHTS) && ask(SCM_CREDENTIALS));
}

#[test]
fn rights_receive_any_includes_receive_and_deny_goes_the_other_way() {
    case(&["ancillary=rights:receive,any"], &[])
        .allows(&["ancillary=rights:receive", "ancillary=rights:receive,any"]);
    let any = ["ancillary=rights:receive,any"];
    case(&any, &["ancillary=rights:receive"])
        .denies(&["ancillary=rights:receive", "ancillary=rights:receive,any"]);
    let both = case(&["ancillary=rights:receive", any[0]], &any);
    both.allows(&["ancillary=rights:receive"]);
    both.denies(&any);
}

// Sockets.

/// The sockets that reach nothing by themselves, with the verbs' first word by which something may
/// be done with them.
const PLAIN: [(&str, i32, i32, [i32; 2]); 6] = [
    ("tcp", AF_INET, SOCK_STREAM, [0, IPPROTO_TCP]),
    ("tcp", AF_INET6, SOCK_STREAM, [0, IPPROTO_TCP]),
    ("udp", AF_INET, SOCK_DGRAM, [0, IPPROTO_UDP]),
    ("udp", AF_INET6, SOCK_DGRAM, [0, IPPROTO_UDP]),
    ("unix", AF_UNIX, SOCK_STREAM, [0, AF_UNIX]),
    ("unix", AF_UNIX, SOCK_DGRAM, [0, AF_UNIX]),
];

#[test]
fn socket_of_the_default_protocol_needs_no_grant() {
    let none = case(&[], &["tcp-connect=*:*", "udp-bind=*:*", "unix-bind=/**"]).policy;
    for (_, family, kind, protocols) in PLAIN {
        for (protocol, flags) in protocols.into_iter().zip([0, 0o2004000]) {
            assert_eq!(
                none.may_create(family, kind | flags, protocol).map(|allowed| allowed.rule),
                Ok(None)
            );
            assert!(!none.has_grant_for(family, kind | flags, protocol));
        }
    }
    for (family, kind, protocol) in [
        (AF_INET, SOCK_STREAM, IPPROTO_UDP),
        (AF_INET, SOCK_DGRAM, IPPROTO_TCP),
        (AF_INET, SOCK_STREAM, 262),
        (AF_INET6, SOCK_STREAM, 132),
        (AF_INET, SOCK_DGRAM, 136),
        (AF_INET, SOCK_DGRAM, 1),
        (AF_INET6, SOCK_DGRAM, 58),
        (AF_INET, SOCK_SEQPACKET, 0),
        (AF_INET, 3, IPPROTO_TCP),
        (AF_UNIX, SOCK_SEQPACKET, 0),
        (AF_UNIX, 3, 0),
        (AF_UNIX, SOCK_STREAM, 2),
        (AF_PACKET, SOCK_DGRAM, 0),
        (AF_VSOCK, SOCK_STREAM, 0),
        (43, SOCK_STREAM, 0),
    ] {
        assert!(none.may_create(family, kind, protocol).is_err(), "{family} {kind} {protocol}");
    }
}

#[test]
fn grants_are_about_the_sockets_of_their_verb() {
    let grants = [
        "tcp-connect=127.0.0.1:1",
        "tcp-listen=*:1",
        "tcp-connect=a.example:1",
        "udp-bind=*:1",
        "udp-send=*:1",
        "udp-receive=*:1",
        "unix-connect=/x",
        "unix-bind=@x",
    ];
    for grant in grants {
        let policy = case(&[grant], &[]).policy;
        let verb = grant.split('-').next().unwrap();
        for (own, family, kind, protocols) in PLAIN {
            for protocol in protocols {
                assert_eq!(
                    policy.has_grant_for(family, kind | 0o2004000, protocol),
                    verb == own,
                    "{grant}"
                );
            }
        }
        // A sequence of packets is no stream and no datagram: it is judged when it is made.
        assert_eq!(
            policy.may_create(AF_UNIX, SOCK_SEQPACKET, 0).is_ok(),
            verb == "unix",
            "{grant}"
        );
    }
    assert!(case_of(&[], &[], everything).policy.has_grant_for(43, SOCK_STREAM, 0));
}

#[test]
fn socket_of_another_protocol_for_the_same_service_is_denied() {
    let grants = [
        "tcp-connect=*:*",
        "tcp-listen=*:*",
        "udp-send=*:*",
        "udp-bind=*:*",
        "unix-bind=@*",
        "unix-connect=@*",
    ];
    let (policy, all) = (case(&grants, &[]).policy, case_of(&[], &[], everything).policy);
    for (family, kind, protocol) in [
        (AF_INET, SOCK_STREAM, 262),
        (AF_INET, SOCK_STREAM, 132),
        (AF_INET6, SOCK_SEQPACKET, 132),
        (AF_INET, SOCK_DGRAM, 136),
        (AF_INET, 6, 33),
        (AF_INET, SOCK_STREAM, 256),
        (43, SOCK_STREAM, 0),
        (43, SOCK_STREAM, 1),
        (AF_INET, SOCK_DGRAM, 1),
        (AF_INET6, SOCK_DGRAM, 58),
        (AF_INET, 3, 255),
        (AF_INET, 10, 0),
        (AF_INET, SOCK_STREAM, IPPROTO_UDP),
        (AF_INET, SOCK_DGRAM, IPPROTO_TCP),
        (AF_UNIX, 3, 0),
        (17, 3, 768),
        (16, 3, 0),
        (0, SOCK_STREAM, 0),
        (-1, -1, -1),
    ] {
        assert!(policy.may_create(family, kind, protocol).is_err(), "{family} {kind} {protocol}");
        assert!(all.may_create(family, kind, protocol).is_ok());
    }
}

#[test]
fn can_of_every_interface_is_denied_by_a_rule_about_any() {
    let rules = case(&["can=*", "can=vcan0"], &["can=vcan1:raw", "can=*:bcm"]);
    rules.allows(&["can=vcan0:raw", "can=vcan1:isotp", "can=*:isotp"]);
    rules.denies(&["can=vcan1:raw", "can=*:raw", "can=vcan0:bcm", "can=*:bcm"]);
    assert!(
        rules.policy.names_interface("vcan0")
            && !case(&["can=vcan0"], &[]).policy.names_interface("vcan1")
    );
    assert!(!case(&["can=vcan0"], &["interfaces"]).policy.names_interface("vcan0"));
    let unknown =
        Request::Can(CanRequest { interface: CanInterface::Unknown(7), protocol: CAN_RAW });
    let ask = |case: &Case| {
        case.policy
            .decide(&unknown, &case.pins, case.now)
            .map(|_| ())
            .map_err(|denial| denial.grant)
    };
    assert_eq!(
        ask(&case(&["can=vcan0"], &[])),
        Err(None),
        "it names nothing that could be granted"
    );
    assert_eq!(ask(&case(&["can=*:raw"], &[])), Ok(()));
}

#[test]
fn algorithms_are_granted_by_patterns() {
    let rules = case(
        &["family=alg:hash:sha*", "family=alg:skcipher", "family=alg:*:*(aes)"],
        &["family=alg:hash:sha1"],
    );
    rules.allows(&[
        "family=alg:hash:sha256",
        "family=alg:skcipher:cbc(des)",
        "family=alg:aead:gcm(aes)",
    ]);
    rules.denies(&["family=alg:hash:sha1", "family=alg:hash:md5", "family=alg:rng:stdrng"]);
    case(&["family=alg"], &[]).allows(&["family=alg:rng:stdrng"]);
    case_of(&[], &["family=alg:rng"], everything).denies(&["family=alg:rng:stdrng"]);
    case_of(&[], &["family=alg:rng"], everything).allows(&["family=alg:hash:md5"]);
}

#[test]
fn socket_of_a_family_needs_a_grant_of_that_family() {
    let sockets = [
        ("can=vcan0:raw", AF_CAN, SOCK_RAW, CAN_RAW),
        ("can=*:bcm", AF_CAN, SOCK_DGRAM, 2),
        ("can=vcan0:isotp", AF_CAN, SOCK_DGRAM, 6),
        ("can=vcan0:j1939", AF_CAN, SOCK_DGRAM, 7),
        ("family=alg:hash:sha256", AF_ALG, SOCK_SEQPACKET, 0),
        ("family=tipc", AF_TIPC, SOCK_RDM, 0),
        ("family=vsock:connect:2:1024", AF_VSOCK, SOCK_STREAM, 0),
        ("family=bluetooth:l2cap", AF_BLUETOOTH, SOCK_SEQPACKET, 0),
        ("family=bluetooth:hci:raw", AF_BLUETOOTH, SOCK_RAW, 1),
        ("family=bluetooth:sco", AF_BLUETOOTH, SOCK_SEQPACKET, 2),
        ("family=bluetooth:rfcomm", AF_BLUETOOTH, SOCK_STREAM, 3),
        ("family=rds", AF_RDS, SOCK_SEQPACKET, 0),
        ("family=qipcrtr", AF_QIPCRTR, SOCK_DGRAM, 0),
    ];
    for (grant, ..) in sockets {
        let policy = case(&[grant], &[]).policy;
        for (own, family, kind, protocol) in sockets {
            assert_eq!(
                policy.may_create(family, kind, protocol).is_ok(),
                own == grant,
                "{grant} {own}"
            );
        }
        assert!(policy.may_create(AF_CAN, SOCK_RAW, 0).is_err());
        assert!(policy.may_create(AF_ALG, SOCK_STREAM, 0).is_err());
    }
    let policy = case(&["can=vcan0"], &[]).policy;
    assert!(
        [CAN_RAW, 2, 6, 7]
            .into_iter()
            .all(|protocol| policy.may_create(AF_CAN, SOCK_DGRAM, protocol).is_ok())
    );
}

#[test]
fn policy_following_another_has_the_next_generation() {
    let first = case(&[], &[]).policy;
    assert_eq!(first.generation(), 0);
    let second = case(&[], &[]).policy.following(&first);
    assert_eq!(second.generation(), 1);
    assert_eq!(second.following(&case(&[], &[]).policy).generation(), 1);
}

#[test]
fn policy_is_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Policy>();
    shared::<Pins>();
    shared::<UnixRoute>();
}

// Sets.

/// A policy with a set `backends`, and a network of the host's own.
fn case_of_sets(allow: &[&str], deny: &[&str]) -> Case {
    let mut builder = Policy::builder();
    builder.set("backends=10.0.0.0/24,db.example,*.cache.example,[fd00:1::/64]").unwrap();
    builder.nat64("2a00:64::/96").unwrap();
    builder.host_networks(["203.1.2.3/24".parse().unwrap(), "2a00:1::5/64".parse().unwrap()]);
    for rule in allow {
        builder.allow(rule).unwrap();
    }
    for rule in deny {
        builder.deny(rule).unwrap();
    }
    let now = Instant::now();
    Case { policy: builder.build(), pins: Pins::new(now), now }
}

#[test]
fn public_is_the_internet_and_nothing_of_mine() {
    let mut case = case_of_sets(&["tcp-connect=public:443", "resolve=*"], &[]);
    case.allows(&[
        "tcp-connect=1.1.1.1:443",
        "tcp-connect=[::ffff:1.1.1.1]:443",
        "tcp-connect=[2606:4700::1111]:443",
        "tcp-connect=[64:ff9b::1.1.1.1]:443",
        "tcp-connect=[2a00:64::1.1.1.1]:443",
    ]);
    case.denies(&[
        "tcp-connect=1.1.1.1:80",
        "tcp-connect=127.0.0.1:443",
        "tcp-connect=0.0.0.0:443",
        "tcp-connect=[::]:443",
        "tcp-connect=10.0.0.1:443",
        "tcp-connect=169.254.169.254:443",
        "tcp-connect=168.63.129.16:443",
        "tcp-connect=203.1.2.3:443",
        "tcp-connect=203.1.2.200:443",
        "tcp-connect=[2a00:1::9]:443",
        "tcp-connect=[2a00:64::10.0.0.1]:443",
        "tcp-connect=[2a00:64::203.1.2.3]:443",
        "tcp-connect=[64:ff9b::127.0.0.1]:443",
        "tcp-connect=[2002:7f00:1::]:443",
    ]);
    // A name is looked up by a grant of its own, and its addresses are judged as addresses.
    case.look_up("a.example", &["1.1.1.1", "203.1.2.3"]).unwrap();
    case.allows(&["tcp-connect=1.1.1.1:443"]);
    case.denies(&["tcp-connect=203.1.2.3:443"]);
    assert!(case.look_up("b.example", &["2a00:64::10.0.0.1"]).is_err());
    let alone = case_of_sets(&["tcp-connect=public:443"], &[]);
    alone.denies(&["resolve=a.example"]);
}

#[test]
fn set_denied_holds_for_what_its_members_hold() {
    let case = case_of_sets(
        &["tcp-connect=*:*", "tcp-listen=*:*"],
        &["tcp-connect=private:*", "tcp-connect=loopback:*", "tcp-listen=backends:80"],
    );
    case.denies(&[
        "tcp-connect=10.9.9.9:1",
        "tcp-connect=[fd00::1]:1",
        "tcp-connect=0.0.0.0:1",
        "tcp-connect=[64:ff9b::10.0.0.1]:1",
        "tcp-connect=[2a00:64::10.0.0.1]:1",
        "tcp-listen=10.0.0.7:80",
        // Some address of the wildcard is denied.
        "tcp-listen=0.0.0.0:80",
        "tcp-listen=[::]:80",
    ]);
    case.allows(&[
        "tcp-connect=8.8.8.8:1",
        "tcp-connect=[2a00:64::8.8.8.8]:1",
        "tcp-connect=169.254.0.1:1",
        "tcp-listen=10.0.0.7:81",
        "tcp-listen=0.0.0.0:81",
    ]);
}

#[test]
fn set_of_ones_own_stands_wherever_a_host_may() {
    let mut case = case_of_sets(
        &[
            "tcp-connect=backends:5432",
            "udp-bind=backends:53",
            "udp-receive=backends:*",
            "reverse-resolve=backends",
            "raw=icmp:backends",
        ],
        &[],
    );
    case.allows(&[
        "tcp-connect=10.0.0.255:5432",
        "tcp-connect=[fd00:1::9]:5432",
        "udp-bind=10.0.0.1:53",
        "udp-receive=10.0.0.1:9",
        "reverse-resolve=10.0.0.1",
        "raw=icmp:10.0.0.1",
        // By the rule of tcp-connect.
        "resolve=db.example",
        "resolve=a.cache.example",
    ]);
    case.denies(&[
        "tcp-connect=10.0.1.0:5432",
        "tcp-connect=203.0.113.1:5432",
        "resolve=backends",
        "resolve=cache.example",
        "udp-bind=0.0.0.0:53",
    ]);
    case.look_up("db.example", &["203.0.113.1"]).unwrap();
    case.allows(&["tcp-connect=203.0.113.1:5432", "reverse-resolve=203.0.113.1"]);
    case.denies(&["tcp-connect=203.0.113.1:5433", "udp-send=203.0.113.1:5432"]);
    let named = case_of_sets(&["resolve=backends"], &[]);
    named.allows(&["resolve=db.example", "resolve=a.cache.example"]);
    named.denies(&["resolve=other.example", "tcp-connect=10.0.0.1:1"]);
    let denied = case_of_sets(&["resolve=*", "tcp-connect=*:*"], &["resolve=backends"]);
    denied.denies(&["resolve=db.example"]);
}

#[test]
fn set_is_less_specific_than_a_name_and_more_than_everything() {
    let mut case = case_of_sets(
        &[
            "tcp-connect=*:*;bytes=1",
            "tcp-connect=backends:1-9;bytes=2",
            "tcp-connect=public:5;bytes=3",
            "tcp-connect=*.example:*;bytes=4",
            "tcp-connect=10.0.0.0/8:9;bytes=5",
        ],
        &[],
    );
    assert_eq!(charged(&case, "tcp-connect=10.0.0.1:1").1, Some(1));
    assert_eq!(charged(&case, "tcp-connect=10.0.0.1:9").1, Some(4));
    assert_eq!(charged(&case, "tcp-connect=10.0.0.1:10").1, Some(0));
    assert_eq!(charged(&case, "tcp-connect=8.8.8.8:5").1, Some(2));
    case.pins.pin("x.y.cache.example", &[ip("8.8.8.8")], case.now);
    assert_eq!(charged(&case, "tcp-connect=8.8.8.8:5").1, Some(3));
    // Of two sets, the ports decide.
    let mut case =
        case_of_sets(&["tcp-connect=backends:1-9;bytes=1", "tcp-connect=public:5-6;bytes=2"], &[]);
    case.pins.pin("db.example", &[ip("8.8.8.8")], case.now);
    assert_eq!(charged(&case, "tcp-connect=8.8.8.8:5").1, Some(1));
    assert_eq!(charged(&case, "tcp-connect=8.8.8.8:7").1, Some(0));
}

#[test]
fn set_that_is_none_is_refused() {
    let error = |text: &str| Policy::builder().set(text).unwrap_err().to_string();
    for (text, start) in [
        ("a", "at character 2: the hosts are missing; write NAME=HOST,HOST"),
        ("A=10.0.0.1", "at character 1: `A` can't be the name of a set"),
        ("a.b=10.0.0.1", "at character 1: `a.b` can't be the name of a set"),
        ("public=10.0.0.1", "at character 1: every policy has the set `public`"),
        ("a=10.0.0.1,", "at character 12: the host is missing"),
        ("a=10.0.0.1,b:80", "at character 13: a port is not allowed here"),
        ("a=10.0.0.1/8", "at character 3: 10.0.0.1/8 has bits set beyond its length"),
        ("a=0.0.0.0", "at character 3: 0.0.0.0 stands for no host"),
        ("a=a", "at character 3: `a` is a set of your own"),
    ] {
        assert!(error(text).starts_with(start), "{}", error(text));
    }
    let mut builder = Policy::builder();
    builder.set("a=10.0.0.1,public").unwrap();
    assert!(builder.set("a=::1").unwrap_err().to_string().contains("is there twice"));
    assert!(builder.set("b=a").unwrap_err().to_string().contains("is a set of your own"));
    builder.allow("tcp-connect=db:1").unwrap();
    assert!(builder.set("db=::1").unwrap_err().to_string().contains("of a host already"));
    for text in ["tcp-listen=localhost:80", "udp-bind=bakends:80"] {
        let error = builder.allow(text).unwrap_err().to_string();
        assert!(error.contains("is a name; write an address"), "{error}");
    }
    let error = builder.allow("multicast=groups").unwrap_err().to_string();
    assert!(error.starts_with("at character 11: `groups` is not a multicast group"), "{error}");
    assert!(
        builder.allow("multicast=multicast").is_ok() && builder.allow("tcp-listen=a:1").is_ok()
    );
    let error = builder.allow("resolve=public").unwrap_err().to_string();
    assert!(error.contains("holds addresses, and no name"), "{error}");
    for text in ["2001:db8::/33", "2001:db8::1/96", "10.0.0.0/8", "x"] {
        assert!(builder.nat64(text).is_err(), "{text}");
    }
}

#[test]
fn rule_with_a_set_is_printed_as_it_is_written() {
    for text in ["tcp-connect=public:443", "udp-send=link-local:*", "raw=icmp:private"] {
        assert_eq!(text.parse::<Grant>().unwrap().to_string(), text);
    }
    let case = case_of_sets(&["tcp-connect=backends:1", "resolve=backends"], &[]);
    assert_eq!(case.policy.allowed()[0].to_string(), "tcp-connect=backends:1");
    assert_eq!(case.policy.allowed()[1].to_string(), "resolve=backends");
    assert_eq!(case.policy.sets().next().unwrap().0, "backends");
}

// The most specific rule.

/// The rule that allows a request, and the place of its budget.
fn charged(case: &Case, text: &str) -> (String, Option<usize>) {
    let allowed = case.decide(text).unwrap_or_else(|denial| panic!("{text}: {denial}"));
    (allowed.rule.unwrap_or_default().to_owned(), allowed.budget.map(BudgetId::index))
}

#[test]
fn act_is_charged_to_the_most_specific_rule() {
    let rules = [
        "tcp-connect=*:*",
        "tcp-connect=0.0.0.0/0:443;bytes=1",
        "tcp-connect=10.0.0.0/8:*",
        "tcp-connect=10.0.0.1:1-9;bytes=2",
        "tcp-connect=10.0.0.1:5;bytes=3",
        "tcp-connect=10.0.0.1:5;bytes=4",
    ];
    for turned in [false, true] {
        let mut order = rules.to_vec();
        if turned {
            order.reverse();
        }
        let case = case(&order, &[]);
        let rule = |text: &str| charged(&case, text).0;
        assert_eq!(rule("tcp-connect=192.0.2.1:80"), rules[0]);
        assert_eq!(rule("tcp-connect=192.0.2.1:443"), rules[1]);
        assert_eq!(rule("tcp-connect=10.0.0.2:443"), rules[2]);
        assert_eq!(rule("tcp-connect=10.0.0.1:10"), rules[2]);
        assert_eq!(rule("tcp-connect=10.0.0.1:4"), rules[3]);
        // Only the order tells these two apart.
        assert_eq!(rule("tcp-connect=10.0.0.1:5"), rules[if turned { 5 } else { 4 }]);
        assert_eq!(rule("tcp-connect=[2001:db8::1]:5"), rules[0]);
        let budgets: Vec<_> = case.policy.budgets().map(|(rule, _)| rule.to_string()).collect();
        let (rule, budget) = charged(&case, "tcp-connect=10.0.0.1:4");
        assert_eq!(budgets[budget.unwrap()], rule);
        assert_eq!(charged(&case, "tcp-connect=10.0.0.1:10").1, None);
    }
}

#[test]
fn act_by_a_name_is_charged_after_networks_and_before_everything() {
    let mut case = case_of(
        &[
            "tcp-connect=*:*",
            "tcp-connect=*.example:*;bytes=1",
            "tcp-connect=*.a.example:443;bytes=2",
            "tcp-connect=db.a.example:1-443;bytes=3",
            "tcp-connect=192.0.2.0/24:*;bytes=4",
        ],
        &[],
        everything,
    );
    assert_eq!(charged(&case, "tcp-connect=203.0.113.1:443").1, None);
    case.look_up("x.example", &["203.0.113.1"]).unwrap();
    assert_eq!(charged(&case, "tcp-connect=203.0.113.1:443").1, Some(0));
    case.look_up("x.a.example", &["203.0.113.1"]).unwrap();
    assert_eq!(charged(&case, "tcp-connect=203.0.113.1:443").1, Some(1));
    assert_eq!(charged(&case, "tcp-connect=203.0.113.1:80").1, Some(0));
    case.look_up("db.a.example", &["203.0.113.1", "192.0.2.1"]).unwrap();
    assert_eq!(charged(&case, "tcp-connect=203.0.113.1:443").1, Some(2));
    assert_eq!(charged(&case, "tcp-connect=192.0.2.1:443").1, Some(3));
    // A look-up is charged to nothing, though a rule with a budget implies it.
    let (rule, budget) = charged(&case, "resolve=db.a.example");
    assert!(budget.is_none() && rule.starts_with("tcp-connect="), "{rule}");
    let none = self::case_of(&[], &[], everything);
    assert_eq!(charged(&none, "tcp-connect=192.0.2.1:1"), ("allow-all".to_owned(), None));
}

#[test]
fn act_on_a_unix_name_is_charged_to_the_deepest_rule() {
    let case = case(
        &[
            "unix-connect=/**;bytes=1",
            "unix-connect=/run/**/x;bytes=2",
            "unix-connect=/run/*/x;bytes=3",
            "unix-connect=/run/app/x;bytes=4",
            "unix-connect=@*;bytes=5",
            "unix-connect=@a*;bytes=6",
            "unix-connect=@ab;bytes=7",
        ],
        &[],
    );
    for (name, budget) in [
        ("/tmp/x", 0),
        ("/run/a/b/x", 1),
        ("/run/a/x", 2),
        ("/run/app/x", 3),
        ("@b", 4),
        ("@ac", 5),
        ("@ab", 6),
    ] {
        assert_eq!(charged(&case, &format!("unix-connect={name}")).1, Some(budget), "{name}");
    }
}

#[test]
fn datagram_is_charged_to_its_own_verb_before_the_one_that_it_answers() {
    let case = case(&["udp-send=*:*;bytes=1", "udp-receive=*:53;bytes=2"], &[]);
    assert_eq!(charged(&case, "udp-receive=192.0.2.1:53").1, Some(1));
    assert_eq!(charged(&case, "udp-receive=192.0.2.1:54").1, Some(0));
    assert_eq!(charged(&case, "udp-send=192.0.2.1:53").1, Some(0));
}

/// A host pattern and addresses, few enough that they often meet.
fn hosts() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "*",
        "10.0.0.1",
        "10.0.0.0/8",
        "0.0.0.0/0",
        "127.0.0.1",
        "[::1]",
        "[::/0]",
        "[64:ff9b::a00:1]",
        "[2002:a00:1::]",
        "a.example",
        "*.example",
        "public",
        "private",
        "loopback",
    ])
    .prop_map(str::to_owned)
}

fn addresses() -> impl Strategy<Value = IpAddr> {
    prop::sample::select(vec![
        "10.0.0.1",
        "10.9.9.9",
        "127.0.0.1",
        "0.0.0.0",
        "::",
        "::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "203.0.113.1",
        "8.8.8.8",
        "64:ff9b::808:808",
        "2001:0:808:808::f5ff:fffe",
        "2001:db8::1",
    ])
    .prop_map(ip)
}

proptest! {
    #[test]
    fn a_rule_more_never_denies_and_a_deny_more_never_allows(
        allow in prop::collection::vec((hosts(), 1u16..4), 0..5),
        deny in prop::collection::vec((hosts(), 1u16..4), 0..3),
        more in (hosts(), 1u16..4),
        address in addresses(),
        port in 1u16..4,
        verb in prop::sample::select(vec!["tcp-connect", "udp-send", "udp-receive"]),
    ) {
        let text = |(host, port): &(String, u16)| format!("{verb}={host}:{port}");
        let build = |allow: Vec<String>, deny: Vec<String>| {
            let mut case = case(
                &allow.iter().map(String::as_str).collect::<Vec<_>>(),
                &deny.iter().map(String::as_str).collect::<Vec<_>>(),
            );
            case.pins.pin("a.example", &[ip("203.0.113.1"), ip("10.0.0.1")], case.now);
            let asked = format!("{verb}={}", SocketAddr::new(address, port));
            case.decide(&asked).is_ok()
        };
        let (allow, deny): (Vec<_>, Vec<_>) = (allow.iter().map(text).collect(), deny.iter().map(text).collect());
        let with = |list: &Vec<String>| list.iter().cloned().chain([text(&more)]).collect::<Vec<_>>();
        let before = build(allow.clone(), deny.clone());
        prop_assert!(!before || build(with(&allow), deny.clone()));
        prop_assert!(before || !build(allow.clone(), with(&deny)));
        prop_assert!(!before || !allow.is_empty());
    }

    #[test]
    fn any_address_is_decided_and_its_grant_allows_it(bits in any::<u128>(), v4 in any::<u32>(), port in any::<u16>(), kind in 0usize..5) {
        let verb = ["tcp-connect", "tcp-listen", "udp-bind", "udp-send", "udp-receive"][kind];
        for address in [IpAddr::V6(Ipv6Addr::from(bits)), IpAddr::V4(Ipv4Addr::from(v4))] {
            let asked = format!("{verb}={}", SocketAddr::new(address, port));
            let denial = case(&[], &[]).decide(&asked).unwrap_err();
            case(&[&denial.grant.unwrap()], &[]).allows(&[&asked]);
            let asked = format!("reverse-resolve={address}");
            let denial = case(&[], &[]).decide(&asked).unwrap_err();
            case(&[&denial.grant.unwrap()], &[]).allows(&[&asked]);
        }
    }

    #[test]
    fn any_name_or_path_is_decided(name in any::<String>(), path in prop::collection::vec(any::<u8>(), 0..120)) {
        let case = case(&["resolve=*.example", "unix-connect=/run/**", "unix-connect=@a*b"], &["unix-connect=/run/*x"]);
        for asked in [
            Request::Resolve(&name),
            Request::UnixConnect(UnixTarget::Path(&path)),
            Request::UnixConnect(UnixTarget::Abstract(&path)),
        ] {
            drop(case.policy.decide(&asked, &case.pins, case.now));
        }
        drop(case.policy.unix_route(Verb::UnixConnect, &path));
    }
}
